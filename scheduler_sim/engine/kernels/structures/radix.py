"""A stable sort of numbers by 64-bit codes, digit by digit, without comparing them."""

import numpy as np

from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

DIGITS, VALUES = 8, 256
"""Digits of a code, the lowest first, and how many values each may have."""

WIDE = 11
"""Bits of a digit where codes have little beside them to be moved."""

MOST_MOVES = 8
"""Moves of each code on average beyond which digits are quicker."""


@inner_kernel
def order_codes(keys: FloatArray, codes: IntArray) -> None:
    """Write codes that, without a sign, are in the order of the keys; both zeros have the same, and no key is NaN."""
    for i in range(len(keys)):
        keys[i] += 0.0
    bits = keys.view(np.int64)
    for i in range(len(keys)):
        codes[i] = bits[i] ^ ((bits[i] >> 63) | np.int64(-(2**63)))


@inner_kernel
def sort_by_codes(codes: IntArray, items: IntArray) -> None:
    """Sort items by their codes, which count as numbers without a sign; the codes are written over.

    Equal ones stay in their order. Digits that all codes share cost nothing but to be counted.
    """
    size = len(codes)
    counted = np.zeros(DIGITS * VALUES, np.int64)
    for i in range(size):
        for digit in range(DIGITS):
            counted[digit * VALUES + ((codes[i] >> (8 * digit)) & 255)] += 1
    other_codes, other_items = np.empty(size, np.int64), np.empty(size, np.int64)
    for digit in range(DIGITS):
        if size == 0 or counted[digit * VALUES + ((codes[0] >> (8 * digit)) & 255)] == size:
            continue
        place = 0
        for value in range(digit * VALUES, (digit + 1) * VALUES):
            counted[value], place = place, place + counted[value]
        for i in range(size):
            other_codes[i], other_items[i] = codes[i], items[i]
        for i in range(size):
            value = digit * VALUES + ((other_codes[i] >> (8 * digit)) & 255)
            place = counted[value]
            counted[value] += 1
            codes[place], items[place] = other_codes[i], other_items[i]


@inner_kernel
def sort_codes(codes: IntArray, low: int = 0) -> None:
    """Sort codes of up to 62 bits that are not negative; digits that all of them share cost nothing.

    Those that differ in their `low` lowest bits alone are mostly in order before.
    """
    if low > 0:
        _sort_digits(codes, low)
        if _sort_rest(codes):
            return
    _sort_digits(codes, 0)


@inner_kernel
def _sort_rest(codes: IntArray) -> bool:
    """Move each code before those larger that stand before it; False where that takes too many moves."""
    moves = 0
    for i in range(1, len(codes)):
        code, j = codes[i], i
        while j > 0 and codes[j - 1] > code:
            codes[j] = codes[j - 1]
            j -= 1
        codes[j] = code
        moves += i - j
        if moves > MOST_MOVES * len(codes):
            return False
    return True


@inner_kernel
def _sort_digits(codes: IntArray, shift: int) -> None:
    """Sort codes by their bits from `shift` on; equal ones stay in their order."""
    size, differing = len(codes), np.int64(0)
    for i in range(size):
        differing |= codes[i] ^ codes[0]
    one, other, counted = codes, np.empty(size, np.int64), np.empty(1 << WIDE, np.int64)
    most, moves = (1 << WIDE) - 1, 0
    # A shift by 64 would be one by none; codes are not negative, so bit 63 never differs.
    while shift < 63 and differing >> shift != 0:
        if (differing >> shift) & most != 0:
            for value in range(1 << WIDE):
                counted[value] = 0
            for i in range(size):
                counted[(one[i] >> shift) & most] += 1
            place = 0
            for value in range(1 << WIDE):
                counted[value], place = place, place + counted[value]
            for i in range(size):
                value = (one[i] >> shift) & most
                other[counted[value]] = one[i]
                counted[value] += 1
            one, other = other, one
            moves += 1
        shift += WIDE
    if moves % 2 == 1:
        for i in range(size):
            codes[i] = one[i]
