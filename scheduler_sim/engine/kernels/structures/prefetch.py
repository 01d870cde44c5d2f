"""Asking for a record before it is wanted, so that nobody waits for memory: a hint that changes nothing."""

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

LINE = 64
"""Bytes that come at once."""

# Numba ships without types for this.
_intrinsic: Any = intrinsic


@_intrinsic  # type: ignore[untyped-decorator]
def prefetch(typing_context: Any, records: Any, row: Any, line: Any) -> Any:  # noqa: ARG001  # Numba gives it
    """Ask for a line of 64 bytes of `records[row]`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        number = ir.IntType(64)
        size = context.get_abi_sizeof(context.get_data_type(signature.args[0].dtype))
        place = builder.add(builder.mul(arguments[1], number(size)), builder.mul(arguments[2], number(LINE)))
        address = builder.add(builder.ptrtoint(array.data, number), place)
        pointer = builder.inttoptr(address, ir.PointerType(ir.IntType(8)))
        short = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, short, short, short])
        hint = builder.module.declare_intrinsic("llvm.prefetch", [pointer.type], kind)
        builder.call(hint, [pointer, short(0), short(3), short(1)])
        return context.get_dummy_value()

    return types.none(records, row, line), generate
