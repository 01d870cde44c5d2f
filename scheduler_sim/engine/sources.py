"""What a compiled function of the engine comes from, so that it is compiled anew when any of it changes."""

import hashlib
import sys
from collections.abc import Iterator
from enum import Enum
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from scheduler_sim.engine import indexes

_ENGINE = Path(__file__).parent
_PACKAGE = __name__.rpartition(".")[0]
# They say how functions are compiled, or teach Numba types and calls, which a function may use that imports none.
EVERYWHERE = ("jit", "linked", "kernels.records", "kernels.calling")


def digest(module: str) -> str:
    """Return a short hash of what the compiled functions of a module come from.

    That is the source of the module and of all modules whose compiled functions it calls or whose named tuples it
    reads, directly or not, and the constants that stand in them, whichever way they were worked out: Numba writes them
    into its code. What Numba can do nothing with (functions that are not compiled, other classes) counts only where it
    stands in one of these sources.

    Args:
        module: the name of a loaded module of the engine; at the time of its first compiled function will do.
    """
    # The module itself may not hold all of its constants yet; what it imports does.
    parts = {module: _part(module)}
    ahead = [*parts[module].called]
    while ahead:
        name = ahead.pop()
        if name not in parts:
            parts[name] = _whole_part(name)
            ahead.extend(parts[name].called)
    summary = hashlib.sha256(_taught(any(indexes.are_never_negative(name) for name in parts)))
    for name in sorted(parts):
        summary.update(f"{name.removeprefix(_PACKAGE)} {parts[name].hash}\n".encode())
    return summary.hexdigest()[:16]


class _Part(NamedTuple):
    """A module: a hash of its source and constants, and the modules whose compiled functions it has at hand."""

    hash: str
    called: frozenset[str]


def _part(module: str) -> _Part:
    loaded = sys.modules[module]
    summary = hashlib.sha256(_source(module))
    for key, value in sorted(vars(loaded).items()):
        if not key.startswith("__") and (written := _written(value)) is not None:
            summary.update(f"{key}={written}\n".encode())
    return _Part(summary.hexdigest(), frozenset(_called(module)))


_whole_part = cache(_part)


@cache
def _source(module: str) -> bytes:
    return Path(str(sys.modules[module].__file__)).read_bytes()


def remember(module: str) -> None:
    """Keep the source of a module, and what counts everywhere, as it is while it is loaded.

    It may be edited before anything asks for the digest, and what this process compiles comes from what it has loaded.

    Args:
        module: the name of a loaded module of the engine.
    """
    _source(module)
    for never_negative in (False, True):
        _taught(never_negative)


@cache
def _taught(never_negative: bool) -> bytes:
    names = (*EVERYWHERE, "indexes") if never_negative else EVERYWHERE
    return b"".join(_ENGINE.joinpath(*name.split(".")).with_suffix(".py").read_bytes() for name in names)


def _called(module: str) -> Iterator[str]:
    """Give the modules of the engine whose compiled functions (or all that they hold) a module has at hand."""
    ahead = list(vars(sys.modules[module]).values())
    while ahead:
        value = ahead.pop()
        if isinstance(value, (tuple, list)):
            ahead.extend(value)
        else:
            is_tuple = isinstance(value, type) and issubclass(value, tuple)
            # A compiled function has the one, an intrinsic of Numba's the other. A named tuple's module says how
            # compiled code reads its fields, which may be more than their names tell (`kernels.records`).
            home = value if is_tuple else getattr(value, "py_func", None) or getattr(value, "_defn", None)
            name = value.__name__ if isinstance(value, ModuleType) else getattr(home, "__module__", "")
            if name.startswith(f"{_PACKAGE}."):
                yield name


def _written(value: Any) -> str | None:
    """Return a constant as Numba would freeze it, or None for what is none."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{value.shape}{hashlib.sha256(value.tobytes()).hexdigest()}"
    if isinstance(value, type):
        if issubclass(value, tuple) and value is not tuple:
            return f"{getattr(value, '_fields', ())}"
        return f"{list(value)}" if issubclass(value, Enum) else None
    if isinstance(value, tuple):
        items = [_written(item) for item in value]
        return None if None in items else f"({items})"
    if value is None or isinstance(value, (bool, int, float, str, bytes, np.generic, np.dtype)):
        return repr(value)
    return None
