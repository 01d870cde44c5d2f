"""Indexes that are never negative, which compiled code then need not ask about.

To Python -1 is the last place of an array, and Numba asks of every index whether it is negative. In a kernel that reads
hundreds of arrays this takes a seventh of the time, and loops that ask are not done in vectors. Packages that say so
here have no such index: with `NUMBA_BOUNDSCHECK=1` one would be an IndexError (docs/engine.md).
"""

from functools import cache
from typing import Any

_PACKAGES: dict[str, str] = {}
"""By name, and as they stand in the names of functions that Numba makes."""


def never_negative(package: str) -> None:
    """Compile the functions of a package or module that are met from now on without asking if an index is negative."""
    _PACKAGES[package] = "".join(f"{len(name)}{name}" for name in package.split("."))
    _teach()


def are_never_negative(module: str) -> bool:
    """Tell whether the functions of a module are compiled so."""
    return any(f"{module}.".startswith(f"{package}.") for package in _PACKAGES)


@cache
def _teach() -> None:
    """Write code for an index in place of Numba's."""
    from numba import types
    from numba.np import arrayobj

    # Numba ships without types for these.
    arrays: Any = arrayobj
    fix_index = arrays.fix_integer_index

    def index(context: Any, builder: Any, kind: Any, value: Any, size: Any) -> Any:
        name = builder.function.name
        if any(mangled in name for mangled in _PACKAGES.values()):
            return context.cast(builder, value, kind, types.intp)
        return fix_index(context, builder, kind, value, size)

    arrays.fix_integer_index = index
