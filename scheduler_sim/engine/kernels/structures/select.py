"""The k-th least of (time, row) pairs in two parallel arrays, of pairs that come one by one or are there at once."""

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

from scheduler_sim.engine.jit import bare_kernel
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

# Numba ships without types for this.
_intrinsic: Any = intrinsic

FEW = 32
"""Up to so many least pairs are sorted as they come; more are selected when all are there."""

FEWER = 8
"""Up to so many times are kept in one vector."""


@bare_kernel
def keep_least(times: FloatArray, rows: IntArray, size: int, most: int, time: float, row: int) -> int:
    """Add a pair to `size` others; return how many there are.

    With `most` up to `FEW` they stay sorted, and only the `most` least ones are kept.
    """
    if most > FEW:
        times[size], rows[size] = time, row
        return size + 1
    i = size
    if size == most:
        i = size - 1
        if time > times[i] or (time == times[i] and row >= rows[i]):
            return size
        size = i
    while i > 0 and (times[i - 1] > time or (times[i - 1] == time and rows[i - 1] > row)):
        times[i], rows[i] = times[i - 1], rows[i - 1]
        i -= 1
    times[i], rows[i] = time, row
    return size + 1


@bare_kernel
def select(times: FloatArray, rows: IntArray, size: int, k: int) -> None:
    """Put the pair with `k` lesser ones at place `k`, lesser ones before it and larger ones behind (Hoare, 1961)."""
    first, last = 0, size - 1
    if k == 0:
        for i in range(1, size):
            if times[i] < times[0] or (times[i] == times[0] and rows[i] < rows[0]):
                times[0], times[i] = times[i], times[0]
                rows[0], rows[i] = rows[i], rows[0]
        return
    while first < last:
        middle = (first + last) >> 1
        time, row = times[middle], rows[middle]
        i, j = first, last
        while i <= j:
            while times[i] < time or (times[i] == time and rows[i] < row):
                i += 1
            while time < times[j] or (time == times[j] and row < rows[j]):
                j -= 1
            if i <= j:
                times[i], times[j] = times[j], times[i]
                rows[i], rows[j] = rows[j], rows[i]
                i += 1
                j -= 1
        if k <= j:
            last = j
        elif k >= i:
            first = i
        else:
            return


def _inserting(lanes: int) -> Any:
    """Return what puts a time among the `lanes` sorted ones at the beginning of an array; the last is left out."""

    @_intrinsic  # type: ignore[untyped-decorator]
    def insert(typing_context: Any, times: Any, time: Any) -> Any:  # noqa: ARG001  # Numba gives it
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array = context.make_array(signature.args[0])(context, builder, arguments[0])
            vector, short = ir.VectorType(ir.DoubleType(), lanes), ir.IntType(32)
            place = builder.bitcast(array.data, vector.as_pointer())
            kept, nothing = builder.load(place, align=8), ir.Constant(vector, [-np.inf] * lanes)
            one = builder.insert_element(nothing, arguments[1], short(0))
            numbers = ir.VectorType(short, lanes)
            alike = builder.shuffle_vector(one, nothing, ir.Constant(numbers, [0] * lanes))
            moved = builder.shuffle_vector(kept, nothing, ir.Constant(numbers, [lanes, *range(lanes - 1)]))
            # Each is the least of what it was and of what is larger, the one before it or the new one: none is asked
            # where that one belongs.
            other = builder.select(builder.fcmp_ordered(">", moved, alike), moved, alike)
            builder.store(builder.select(builder.fcmp_ordered("<", kept, other), kept, other), place, align=8)
            return context.get_dummy_value()

        return types.none(times, types.float64), generate

    return insert


_insert_in_fewer, _insert_in_few = _inserting(FEWER), _inserting(FEW)


@bare_kernel
def begin_least(times: FloatArray, most: int) -> None:
    """Get an array of `FEW` times or more ready for `keep_time`."""
    if most <= FEW:
        for i in range(FEWER if most <= FEWER else FEW):
            times[i] = np.inf


@bare_kernel
def keep_time(times: FloatArray, size: int, most: int, time: float) -> int:
    """Add a time to `size` others as `keep_least` does, after `begin_least`; return how many there are."""
    if most > FEW:
        times[size] = time
        return size + 1
    if most <= FEWER:
        _insert_in_fewer(times, time)
    elif size < most or time < times[most - 1]:
        _insert_in_few(times, time)
    return min(size + 1, most)
