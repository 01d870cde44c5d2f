"""How the kernels are compiled: once, without the GIL, and kept on disk.

Numba's own cache notices an edit to the file of a compiled function but not to a helper in another
file, so compiled code is kept by a hash of all that the function comes from (`sources`): an edit of any of
it gives a fresh folder, a stale kernel can never answer, and what the edit does not touch stays.

Numba tells functions of one name apart by a count that begins at 1 in every process, and the linker takes two of one
name for one. Code that one process has compiled and another reads from disk could so call a function of the reader's
that has the same name and count and does something else: the steps of `np.sort` and `np.argsort` are such. Here the
count begins at a random number in every process.

Numba numbers the files of a function too, one for each kind of arguments. Two processes that compile it for
different kinds at the same moment would write one file, and the index that is left may name the code of the
other kind. Here the names of files hold a random number.
"""

import importlib
import itertools
import os
import secrets
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

import numba
from numba.core import config, types
from numba.core.bytecode import FunctionIdentity
from numba.core.caching import CacheImpl, _CacheLocator

from scheduler_sim.engine import sources
from scheduler_sim.engine.linked import LinkedCompiler

_ENGINE = Path(__file__).parent
_CHECKOUT = _ENGINE.parent.parent

F = TypeVar("F", bound=Callable[..., Any])


def cache_folder() -> Path:
    """Return the folder that holds compiled kernels.

    `NUMBA_CACHE_DIR` in the environment wins. The default lies under `var/` in a checkout, and in the user's cache
    where the engine is installed as a library.
    """
    if os.environ.get("NUMBA_CACHE_DIR"):
        return Path(os.environ["NUMBA_CACHE_DIR"])
    if (_CHECKOUT / "manage.py").exists():
        return _CHECKOUT / "var" / "numba"
    return _users_cache()


def _users_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scheduler-sim"


def is_compiled() -> bool:
    """Tell whether kernels of these sources lie on disk, so that a first run can announce itself."""
    return any(next(folder.glob("*.nbc"), None) for folder in _Locator.folders)


_digest = cache(sources.digest)


class _Locator(_CacheLocator):
    """Where compiled code of a function of the engine lies, and of which sources it is."""

    # Of all functions that were met so far.
    folders: ClassVar[set[Path]] = set()

    def __init__(self, py_func: Callable[..., Any], folder: Path) -> None:
        self._py_file = py_func.__code__.co_filename
        self._line = py_func.__code__.co_firstlineno
        self._stamp = _digest(py_func.__module__)
        self._folder = folder / py_func.__module__ / self._stamp

    def get_cache_path(self) -> str:
        return str(self._folder)

    def get_source_stamp(self) -> str:
        return self._stamp

    def get_disambiguator(self) -> str:
        return str(self._line)

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> "_Locator | None":
        """Return the locator of a function of the engine, in the first folder that can be written to; else None."""
        if not Path(py_file).is_relative_to(_ENGINE):
            return None
        for folder in (cache_folder(), _users_cache()):
            locator = cls(py_func, folder)
            if locator._folder not in cls.folders:
                try:
                    locator.ensure_cache_path()  # type: ignore[no-untyped-call]
                except OSError:
                    continue
                cls.folders.add(locator._folder)
            return locator
        return None


CacheImpl._locator_classes.insert(0, _Locator)


def _tell_functions_apart() -> None:
    """Let Numba count functions from a random number on."""
    FunctionIdentity._unique_ids = itertools.count(secrets.randbits(62))


_tell_functions_apart()
os.register_at_fork(after_in_child=_tell_functions_apart)


def _files_apart(compiled: Any) -> Any:
    """Let the files of a function's compiled code be named like no other process's."""
    if not config.DISABLE_JIT:  # type: ignore[attr-defined]
        files = compiled._cache._cache_file
        files._data_name_pattern = files._data_name_pattern.replace("{number", f"{secrets.token_hex(8)}.{{number")
    return compiled


def spare_linear_algebra() -> None:
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


def kernel(function: F) -> F:
    """Compile `function` in nopython mode, without the GIL, cached on disk.

    `fastmath` and parallel execution stay off: ties and equality must be exact and repeatable. References are not
    counted, because an atomic count for each array that is passed on costs more than the work of a small function: a
    kernel uses the arrays that it is given, makes none, and returns none.
    """
    # Numba takes this option, but its type stubs do not say so.
    compile_with: Any = numba.njit
    return cast("F", _files_apart(compile_with(cache=True, nogil=True, error_model="numpy", _nrt=False)(function)))


def counting_kernel(function: F) -> F:
    """Compile `function` as `kernel` does, to make arrays or read records of arrays (`kernels.records`)."""
    return cast("F", _files_apart(numba.njit(cache=True, nogil=True, error_model="numpy")(function)))


def inner_kernel(function: F) -> F:
    """Compile `function` as `counting_kernel` does, to be called by other kernels only.

    Python cannot call it: without the wrappers for that, and with one version for variables and constants alike, a
    cold start takes a fraction of the time. An argument that is None still has a version of its own, from which Numba
    leaves out what is done only with other values.
    """
    return _without_wrappers(function, counting=True)


def bare_kernel(function: F) -> F:
    """Compile `function` as `kernel` does, to be called by other kernels only (see `inner_kernel`)."""
    return _without_wrappers(function, counting=False)


def _without_wrappers(function: F, *, counting: bool) -> F:
    if config.DISABLE_JIT:  # type: ignore[attr-defined]
        return function
    # Numba takes these options and gives these methods, but its type stubs do not say so.
    compile_with: Any = numba.njit
    without_literal: Any = types.unliteral
    compiled = compile_with(
        cache=True,
        nogil=True,
        error_model="numpy",
        _nrt=counting,
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
        pipeline_class=LinkedCompiler,
    )(function)
    _files_apart(compiled)
    template = compiled.get_call_template

    def without_constants(arguments: Any, keywords: Any) -> Any:
        return template(
            tuple(without_literal(argument) for argument in arguments),
            {name: without_literal(argument) for name, argument in dict(keywords).items()},
        )

    compiled.get_call_template = without_constants
    return cast("F", compiled)
