"""What Numba spends in Python while it compiles, and need not.

Most of a cold start is neither LLVM's passes nor machine code but Numba's own Python. What it works out again and again
is worked out once here, with the same outcome: the code that is made does not change by a byte. So this module does not
count among what a kernel comes from (`sources`). Nothing of it happens where all code lies on disk.
"""

import gc
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any

from numba.core import compiler, ir, types
from numba.core.compiler_lock import global_compiler_lock
from numba.core.targetconfig import TargetConfig

SELDOM = (10_000, 10, 10)
"""Thresholds of the garbage collector while a function is compiled."""

_HOLD_NO_VARIABLE = {str, int, float, bool, type(None), ir.Loc, ir.Scope}


@cache
def prepare() -> None:
    """Get Numba ready to compile, once for the process."""
    _spare_linear_algebra()
    _put(TargetConfig, "values", _options)
    # It names each field with its type and place, for each pass over each function that is given the record.
    _put(types.Record, "__repr__", lru_cache(maxsize=256)(types.Record.__repr__))
    _put(ir.Inst, "_rec_list_vars", _variables)
    _put(compiler, "compile_extra", _collecting_seldom(compiler.compile_extra))


def _put(owner: Any, name: str, function: Callable[..., Any]) -> None:
    setattr(owner, name, function)


def _spare_linear_algebra() -> None:
    """Let Numba load its functions of arrays without SciPy's linear algebra, which takes longer than all of them.

    All it wants to know there is whether it is installed, as it is; compiled code that uses it looks again.
    """
    linalg: Any = importlib.import_module("numba.np.linalg")
    look = linalg.ensure_blas
    linalg.ensure_blas = lambda: None
    try:
        importlib.import_module("numba.np.arraymath")
    finally:
        linalg.ensure_blas = look


def _options(config: Any) -> dict[str, Any]:
    """Return all options of a compilation by name: Numba compares them wherever it looks for an overload."""
    return {**_defaults(config.__class__), **config._values}


@cache
def _defaults(kind: Any) -> dict[str, Any]:
    return {name: option.default for name, option in kind.options.items()}


def _variables(instruction: Any, part: Any) -> list[Any]:
    """Return the variables in a part of an instruction, in order: Numba asks for them ten times for each function."""
    if isinstance(part, dict):
        part = part.values()
    elif isinstance(part, ir.Var):
        return [part]
    elif isinstance(part, ir.Inst):
        return list(part.list_vars())  # type: ignore[no-untyped-call]
    elif not isinstance(part, (list, tuple)):
        return []
    found = []
    for one in part:
        kind = type(one)
        if kind is ir.Var:
            found.append(one)
        elif kind not in _HOLD_NO_VARIABLE:
            found += _variables(instruction, one)
    return found


def _collecting_seldom(compile_one: Callable[..., Any]) -> Callable[..., Any]:
    """Let what compiles a function look for garbage seldom: nearly all that it makes is needed to the end.

    One function at a time is compiled, and within it those that it calls: the thresholds are the process's.
    """

    def compile_extra(*arguments: Any, **options: Any) -> Any:
        with global_compiler_lock, _seldom():
            return compile_one(*arguments, **options)

    return compile_extra


@contextmanager
def _seldom() -> Iterator[None]:
    before = gc.get_threshold()
    if 0 < before[0] < SELDOM[0]:
        gc.set_threshold(*SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*before)
