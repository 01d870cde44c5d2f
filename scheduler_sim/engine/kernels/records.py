"""Many arrays as one record of addresses, so that compiled functions pass a pointer instead of hundreds of values.

A NamedTuple of arrays is flattened into one argument a dimension and stride at every call, which makes dozens of
functions over dozens of arrays take minutes to compile. Here `addresses` writes where the arrays lie into a record,
and compiled code reads `record.name` as the array of that name again. Whoever holds the record keeps the arrays alive.
"""

from collections.abc import Iterable, Mapping, Set
from typing import Any, get_type_hints

import numpy as np
import numpy.typing as npt
from numba import types
from numba.core.cgutils import get_record_member
from numba.core.typing.templates import AttributeTemplate
from numba.extending import infer_getattr, lower_getattr
from numba.np.arrayobj import populate_array
from numba.np.numpy_support import from_dtype

from scheduler_sim.engine.workloads.workload import FloatArray


def record_of(columns: dict[str, int]) -> np.dtype[np.void]:
    """Return the record type for arrays of these names and numbers of dimensions."""
    fields: list[tuple[str, str]] = []
    for name, dimensions in columns.items():
        fields += [(f"{name}_at", "i8"), *((f"{name}_{axis}", "i8") for axis in range(dimensions))]
    return np.dtype(fields)


def record_of_columns(names: Iterable[str], *, reals: Set[str], records: Mapping[str, Any]) -> np.dtype[np.void]:
    """Let compiled code read flat arrays by these names, and return the record type for them.

    Args:
        reals: names of arrays of doubles; the others hold 64-bit integers.
        records: names of arrays of records, with their types.
    """
    for name in names:
        readable(name, 1, records.get(name, np.float64 if name in reals else np.int64))
    return record_of(dict.fromkeys(names, 1))


def record_of_tuple(kind: type, *, records: Mapping[str, Any]) -> np.dtype[np.void]:
    """Let compiled code read the flat arrays of a named tuple and of tuples in it, and return the record type.

    Args:
        kind: its annotations say which arrays hold doubles; the others hold 64-bit integers.
        records: names of arrays of records, with their types.
    """
    hints: dict[str, Any] = {}
    for name, hint in get_type_hints(kind).items():
        hints |= get_type_hints(hint) if hasattr(hint, "_fields") else {name: hint}
    reals = {name for name, hint in hints.items() if hint == FloatArray}
    return record_of_columns(hints, reals=reals, records=records)


def columns_of(state: Any) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a named tuple by name, those of tuples in it among them."""
    columns: dict[str, npt.NDArray[Any]] = {}
    for name, value in state._asdict().items():
        columns |= value._asdict() if hasattr(value, "_asdict") else {name: value}
    return columns


def addresses(record: np.dtype[np.void], arrays: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.void]:
    """Return one record that says where contiguous `arrays` lie and how long they are, shape (1,).

    Raises:
        TypeError: an array of another type than compiled code reads by its name: its bits would be taken for that.
        ValueError: an array that is not contiguous.
    """
    table = np.zeros(1, record)
    for name, array in arrays.items():
        if array.dtype != _LAID[name]:
            raise TypeError(f"Array {name} holds {array.dtype}, and is read as {_LAID[name]}.")
        if not array.flags.c_contiguous:
            raise ValueError(f"Array {name} is not contiguous.")
        table[f"{name}_at"] = array.ctypes.data
        for axis, length in enumerate(array.shape):
            table[f"{name}_{axis}"] = length
    return table


# Numba ships without types for these.
_member: Any = get_record_member
_populate: Any = populate_array

_READABLE: dict[str, Any] = {}
"""What each name reads as: the type of an array, or of a single record."""

_LAID: dict[str, np.dtype[Any]] = {}
"""What an array of each name holds."""


@infer_getattr
class AddressedArray(AttributeTemplate):
    """Tells Numba's type inference what `record.name` is where the record holds such an address."""

    key = types.Record

    def generic_resolve(self, record: Any, name: str) -> Any:  # type: ignore[override]
        """Return the type of the attribute, None where it is no address."""
        return _READABLE.get(name) if f"{name}_at" in record.fields else None


def readable(name: str, dimensions: int, dtype: Any) -> None:
    """Let compiled code read `record.name` as an array of `dtype`, for every record that holds such an address.

    With 0 dimensions it reads as a single record. The code is written out where it is used, without a function to
    call, because hundreds of small functions are what a cold start would wait for.

    Raises:
        TypeError: the name reads as something else already, in this record or another.
    """
    element = from_dtype(np.dtype(dtype))
    kind = types.Array(element, dimensions, "C") if dimensions else element
    if _READABLE.setdefault(name, kind) != kind:
        raise TypeError(
            f"{name} is read as {_READABLE[name]} already, not as {kind}: give one of the two another name."
        )
    _LAID[name] = np.dtype(dtype)

    @lower_getattr(types.Record, name)  # type: ignore[untyped-decorator, no-untyped-call]
    def read(context: Any, builder: Any, record: Any, pointer: Any) -> Any:
        def number(field: str) -> Any:
            place = _member(builder, pointer, record.offset(field), context.get_data_type(types.int64))
            loaded = context.unpack_value(builder, types.int64, place, None if record.aligned else 1)
            # Arrays stay where they are while compiled code runs, whatever that writes into them.
            loaded.set_metadata("invariant.load", builder.module.add_metadata([]))
            return loaded

        address = number(f"{name}_at")
        if not dimensions:
            return builder.inttoptr(address, context.get_value_type(element))
        itemsize = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(element)))
        shape = [number(f"{name}_{axis}") for axis in range(dimensions)]
        strides = [itemsize]
        for length in reversed(shape[1:]):
            strides.insert(0, builder.mul(strides[0], length))
        array = context.make_array(kind)(context, builder)
        _populate(
            array,
            data=builder.inttoptr(address, context.get_data_type(element).as_pointer()),
            shape=shape,
            strides=strides,
            itemsize=itemsize,
            meminfo=None,
        )
        return array._getvalue()
