"""Sets of up to 64 things as the bits of one integer."""

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

from scheduler_sim.engine.jit import inner_kernel

# Numba ships without types for this.
_intrinsic: Any = intrinsic

WORD = 64
"""Things in one integer."""


@inner_kernel
def bits_in(mask: int) -> int:
    """Return how many bits of a 64-bit mask are set."""
    x = np.uint64(mask)
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((x * np.uint64(0x0101010101010101)) >> np.uint64(56))  # type: ignore[return-value]  # signed again


@inner_kernel
def lowest_bit(mask: int) -> int:
    """Return the number of the lowest set bit; the mask is not 0."""
    return bits_in((mask & -mask) - 1)


@_intrinsic  # type: ignore[untyped-decorator]
def bits_up_to(typing_context: Any, values: Any, first: Any, limit: Any) -> Any:  # noqa: ARG001  # Numba gives it
    """Return as bits which of the `WORD` doubles from place `first` of an array on are up to a limit.

    All are compared in vectors; a loop that says so takes twice as long. No place is looked at before it is used.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        vector, short = ir.VectorType(ir.DoubleType(), WORD), ir.IntType(32)
        place = builder.gep(array.data, [arguments[1]])
        compared = builder.load(builder.bitcast(place, vector.as_pointer()), align=8)
        undefined = ir.Constant(vector, ir.Undefined)
        one = builder.insert_element(undefined, arguments[2], short(0))
        alike = builder.shuffle_vector(one, undefined, ir.Constant(ir.VectorType(short, WORD), [0] * WORD))
        return builder.bitcast(builder.fcmp_ordered("<=", compared, alike), ir.IntType(WORD))

    return types.int64(values, types.int64, types.float64), generate
