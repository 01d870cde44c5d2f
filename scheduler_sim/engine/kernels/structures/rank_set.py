"""Ranks, the places of tasks in an order that does not change, and sets of them.

A set is bits in levels of 64-bit words, so that the next rank is found in a few steps.
"""

import numpy as np

from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.structures.bits import lowest_bit
from scheduler_sim.engine.numerics.ordering import order_of, places_of
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

SHIFT = 6


def ranks(base: FloatArray) -> tuple[IntArray, IntArray]:
    """Return each row's place in the order of scores that do not change, and the row at each place."""
    row_at = order_of(base)
    return places_of(row_at), row_at


def make_rank_set(length: int) -> tuple[IntArray, IntArray]:
    """Return an empty set of ranks below `length`: its words, level after level, and where each level begins."""
    starts, total, words = [], 0, max(length, 1)
    while True:
        words = -(-words // 64)
        starts.append(total)
        total += words
        if words == 1:
            return np.zeros(total, np.int64), np.array([*starts, total], np.int64)


@inner_kernel
def add_rank(words: IntArray, starts: IntArray, rank: int) -> None:
    """Add a rank that is not in the set."""
    for level in range(len(starts) - 1):
        i = starts[level] + (rank >> SHIFT)
        before = words[i]
        words[i] = before | (np.int64(1) << (rank & 63))
        if before != 0:
            return
        rank >>= SHIFT


@inner_kernel
def drop_rank(words: IntArray, starts: IntArray, rank: int) -> None:
    """Take a rank out that is in the set."""
    for level in range(len(starts) - 1):
        i = starts[level] + (rank >> SHIFT)
        words[i] &= ~(np.int64(1) << (rank & 63))
        if words[i] != 0:
            return
        rank >>= SHIFT


@inner_kernel
def next_rank(words: IntArray, starts: IntArray, rank: int) -> int:
    """Return the lowest rank of the set from `rank` on, -1 for none."""
    level = 0
    top = len(starts) - 2
    while True:
        word = rank >> SHIFT
        if word >= starts[level + 1] - starts[level]:
            return -1
        # A shift of -1 keeps the bits from the rank's own on.
        bits = words[starts[level] + word] & (np.int64(-1) << (rank & 63))
        if bits != 0:
            rank = (word << SHIFT) + lowest_bit(bits)
            if level == 0:
                return rank
            level -= 1
            rank <<= SHIFT
        elif level == top:
            return -1
        else:
            level += 1
            rank = word + 1
