"""Doubles of an array compared in vectors, with what comes of it as the bits of one integer.

A loop that says so takes twice as long. No place is looked at before it is used.
"""

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

from scheduler_sim.engine.kernels.structures.bits import WORD

# Numba ships without types for this.
_intrinsic: Any = intrinsic

FEW = 8
"""Doubles in one line of memory."""


def _loaded(context: Any, builder: Any, kind: Any, array: Any, first: Any, lanes: int) -> Any:
    """Return so many doubles from a place of an array on as a vector."""
    data = context.make_array(kind)(context, builder, array).data
    place = builder.bitcast(builder.gep(data, [first]), ir.VectorType(ir.DoubleType(), lanes).as_pointer())
    return builder.load(place, align=8)


def _alike(builder: Any, value: Any, lanes: int) -> Any:
    """Return a vector of one value."""
    undefined, short = ir.Constant(ir.VectorType(ir.DoubleType(), lanes), ir.Undefined), ir.IntType(32)
    one = builder.insert_element(undefined, value, short(0))
    return builder.shuffle_vector(one, undefined, ir.Constant(ir.VectorType(short, lanes), [0] * lanes))


@_intrinsic  # type: ignore[untyped-decorator]
def few_up_to(typing_context: Any, values: Any, first: Any, limit: Any) -> Any:  # noqa: ARG001  # Numba gives it
    """Return as bits which of the `FEW` doubles from place `first` of an array on are up to a limit."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        compared = _loaded(context, builder, signature.args[0], arguments[0], arguments[1], FEW)
        bits = builder.fcmp_ordered("<=", compared, _alike(builder, arguments[2], FEW))
        return builder.zext(builder.bitcast(bits, ir.IntType(FEW)), ir.IntType(WORD))

    return types.int64(values, types.int64, types.float64), generate


@_intrinsic  # type: ignore[untyped-decorator]
def bits_that_fit(
    typing_context: Any,  # noqa: ARG001  # Numba gives it, and what follows
    times: Any,
    first: Any,  # noqa: ARG001
    ends: Any,
    other: Any,  # noqa: ARG001
    least: Any,  # noqa: ARG001
    length: Any,  # noqa: ARG001
    spare: Any,  # noqa: ARG001
) -> Any:
    """Return as bits which of `WORD` spans lie before their ends: `max(time, least) + length <= end + spare`.

    Their times are those from place `first` on, their ends those from place `other` on.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        time = _loaded(context, builder, signature.args[0], arguments[0], arguments[1], WORD)
        end = _loaded(context, builder, signature.args[2], arguments[2], arguments[3], WORD)
        begin, long, short = (_alike(builder, one, WORD) for one in arguments[4:])
        later = builder.select(builder.fcmp_ordered(">", time, begin), time, begin)
        fits = builder.fcmp_ordered("<=", builder.fadd(later, long), builder.fadd(end, short))
        return builder.bitcast(fits, ir.IntType(WORD))

    number = types.float64
    return types.int64(times, types.int64, ends, types.int64, number, number, number), generate
