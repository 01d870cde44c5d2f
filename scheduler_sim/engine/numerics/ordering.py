"""Putting many numbers in order, the ones that are equal by their places; the same as NumPy's stable argsort.

Digits of 11 bits are counted and dealt out from the lowest to the highest (Knuth, The Art of Computer Programming 3,
section 5.2.5), which takes less than a third of the time of comparing doubles. A digit that all numbers share costs
nothing, so that small whole numbers take one pass. Of doubles the higher half of the digits is dealt out, which is
nearly the whole order, and the rest is inserted.
"""

import numpy as np

from scheduler_sim.engine.jit import bare_kernel, counting_kernel
from scheduler_sim.engine.workloads.columns import FloatArray, IntArray

_BITS = 11
_DIGITS = 6
_RADIX = 1 << _BITS
_SIGN = -(2**63)
_LARGEST = 2**63 - 1
_INFINITY = 0x7FF0_0000_0000_0000


def order_of(values: FloatArray | IntArray, rows: IntArray | None = None) -> IntArray:
    """Return `rows` in the order of their values, ascending; NaN comes last, and equal ones stay as they are.

    Args:
        values: shape (n,), doubles or 64-bit integers.
        rows: shape (m,), places in `values`; all of them by default.
    """
    is_real = values.dtype.kind == "f"
    bits = np.ascontiguousarray(values, np.float64 if is_real else np.int64).view(np.int64)
    given = np.arange(len(bits)) if rows is None else rows
    return _ordered(bits, given, is_real)


def places_of(order: IntArray) -> IntArray:
    """Return at which place of `order`, shape (n,), each of the rows 0 to n - 1 stands; shape (n,)."""
    return _places(order)


@counting_kernel
def _ordered(bits: IntArray, rows: IntArray, is_real: bool) -> IntArray:
    n = len(rows)
    counts = np.empty((_DIGITS, _RADIX), np.int64)
    keys, place = np.empty(n, np.int64), np.empty(n, np.int64)
    for i in range(n):
        key = bits[rows[i]]
        if is_real:
            if (key & _LARGEST) > _INFINITY:
                key = _LARGEST
            elif key == _SIGN:
                key = 0  # -0.0
            elif key < 0:
                key ^= _LARGEST
        # Its digits from here on are those of a number without a sign.
        keys[i] = key ^ _SIGN
        place[i] = rows[i]
    other_keys, other_place = np.empty(n, np.int64), np.empty(n, np.int64)
    lowest = _DIGITS // 2 if is_real else 0
    while True:
        counts[:] = 0
        for i in range(n):
            for digit in range(lowest, _DIGITS):
                counts[digit, (keys[i] >> (digit * _BITS)) & (_RADIX - 1)] += 1
        for digit in range(lowest, _DIGITS):
            shift = digit * _BITS
            if n == 0 or counts[digit, (keys[0] >> shift) & (_RADIX - 1)] == n:
                continue
            before = 0
            for value in range(_RADIX):
                count = counts[digit, value]
                counts[digit, value] = before
                before += count
            for i in range(n):
                value = (keys[i] >> shift) & (_RADIX - 1)
                at = counts[digit, value]
                counts[digit, value] = at + 1
                other_keys[at], other_place[at] = keys[i], place[i]
            keys, other_keys = other_keys, keys
            place, other_place = other_place, place
        if lowest == 0 or _inserted(keys, place):
            return place
        lowest = 0


@bare_kernel
def _inserted(keys: IntArray, place: IntArray) -> bool:
    """Put keys in order by insertion, equal ones as they are; tell whether that took no more than a move a key.

    They are in order by the higher half of their digits, which few doubles of a workload share.
    """
    left = len(keys)
    for i in range(1, len(keys)):
        # Without a sign: the highest bit is turned.
        key, row, j = keys[i] ^ _SIGN, place[i], i
        while j > 0 and keys[j - 1] ^ _SIGN > key:
            if left == 0:
                keys[j], place[j] = key ^ _SIGN, row
                return False
            keys[j], place[j] = keys[j - 1], place[j - 1]
            j -= 1
            left -= 1
        keys[j], place[j] = key ^ _SIGN, row
    return True


@counting_kernel
def _places(order: IntArray) -> IntArray:
    places = np.empty(len(order), np.int64)
    for i in range(len(order)):
        places[order[i]] = i
    return places
