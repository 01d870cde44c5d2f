"""Many arrays as one record of addresses, so that compiled functions pass a pointer instead of hundreds of values.

A NamedTuple of arrays is flattened into one argument a dimension and stride at every call, which makes dozens of
functions over dozens of arrays take minutes to compile. Here `addresses` writes where the arrays lie into a record,
and compiled code reads `record.name` as the array of that name again. Whoever holds the record keeps the arrays alive.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import carray, types  # type: ignore[attr-defined]
from numba.core import cgutils
from numba.extending import intrinsic, overload_attribute


@intrinsic
def pointer_to(_context: Any, address: Any) -> Any:
    """Turn an address into a pointer, in compiled code."""

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(address), generate


def record_of(columns: dict[str, int]) -> np.dtype[np.void]:
    """Return the record type for arrays of these names and numbers of dimensions."""
    fields: list[tuple[str, str]] = []
    for name, dimensions in columns.items():
        fields += [(f"{name}_at", "i8"), *((f"{name}_{axis}", "i8") for axis in range(dimensions))]
    return np.dtype(fields)


def addresses(record: np.dtype[np.void], arrays: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.void]:
    """Return one record that says where contiguous `arrays` lie and how long they are, shape (1,)."""
    table = np.zeros(1, record)
    for name, array in arrays.items():
        if not array.flags.c_contiguous:
            raise ValueError(f"Array {name} is not contiguous.")
        table[f"{name}_at"] = array.ctypes.data
        for axis, length in enumerate(array.shape):
            table[f"{name}_{axis}"] = length
    return table


_KINDS: dict[tuple[str, str, int], Any] = {}


def readable(name: str, dimensions: int, dtype: Any) -> None:
    """Let compiled code read `record.name` as an array of `dtype`, for every record that holds such an address.

    With 0 dimensions it reads as a single record.
    """

    def attribute(record):  # type: ignore[no-untyped-def]  # Numba compares signatures, annotations included
        if f"{name}_at" not in record.fields:
            return None
        return _KINDS[(name, str(dtype), dimensions)]

    shape = ", ".join(f"record.{name}_{axis}" for axis in range(dimensions))
    source = f"lambda record: carray(pointer_to(record.{name}_at), ({shape},), dtype)"
    if dimensions == 0:
        source = f"lambda record: carray(pointer_to(record.{name}_at), (1,), dtype)[0]"
    # The attribute's name has to stand in the source, because compiled code looks fields up by literal names.
    _KINDS[(name, str(dtype), dimensions)] = eval(source, {"carray": carray, "pointer_to": pointer_to, "dtype": dtype})  # noqa: S307 # nosec B307
    overload_attribute(types.Record, name)(attribute)
