"""Where compiled code lies, and how it gets there and back.

Numba's own cache notices an edit to the file of a compiled function but not to a helper in another
file, so compiled code is kept by a hash of all that the function comes from (`sources`): an edit of any of
it gives a fresh folder, a stale kernel can never answer, and what the edit does not touch stays.

Numba numbers the files of a function, one for each kind of arguments. Two processes that compile it for
different kinds at the same moment would write one file, and the index that is left may name the code of the
other kind. Here the names of files hold a random number.

Numba gets ready to compile before it looks on disk, which takes longer than to read what lies there. Here it does so
only where it has to compile, and nothing is looked up for a function that no one calls.
"""

import os
import secrets
from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path
from typing import Any, ClassVar

from numba.core.caching import CacheImpl, CompileResultCacheImpl, FunctionCache, IndexDataCacheFile, _CacheLocator
from numba.core.runtime import rtsys  # type: ignore[attr-defined]

from scheduler_sim.engine import compiling, sources

_ENGINE = Path(__file__).parent
_CHECKOUT = _ENGINE.parent.parent


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


_digest = cache(sources.digest)


class _Locator(_CacheLocator):
    """Where compiled code of a function of the engine lies, and of which sources it is."""

    _made: ClassVar[set[Path]] = set()

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
            if locator._folder not in cls._made:
                try:
                    locator.ensure_cache_path()  # type: ignore[no-untyped-call]
                except OSError:
                    continue
                cls._made.add(locator._folder)
            return locator
        return None


CacheImpl._locator_classes.insert(0, _Locator)


class KernelCache(FunctionCache):
    """The files of one compiled function, looked for when it is first called.

    Args:
        py_func: the function of the engine.
    """

    _all: ClassVar[list["KernelCache"]] = []

    def __init__(self, py_func: Callable[..., Any]) -> None:
        # Numba's own would look for the files now. What the function comes from is what this process has loaded.
        if Path(py_func.__code__.co_filename).is_relative_to(_ENGINE):
            sources.remember(py_func.__module__)
        self._name = repr(py_func)
        self._py_func = py_func
        self.enable()  # type: ignore[no-untyped-call]
        self._all.append(self)

    @cached_property
    def _impl(self) -> Any:
        return CompileResultCacheImpl(self._py_func)  # type: ignore[no-untyped-call]

    @cached_property
    def _cache_path(self) -> str:
        return str(self._impl.locator.get_cache_path())

    @cached_property
    def _cache_file(self) -> Any:  # type: ignore[override]
        return IndexDataCacheFile(  # type: ignore[no-untyped-call]
            cache_path=self._cache_path,
            filename_base=self._impl.filename_base,
            source_stamp=self._impl.locator.get_source_stamp(),
        )

    @cached_property
    def _data_name_pattern(self) -> str:
        return str(self._cache_file._data_name_pattern)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the code for arguments of these types from disk, or None; Numba need not know how to compile it."""
        rtsys.initialize(target_context)
        with self._guard_against_spurious_io_errors():
            found = self._load_overload(sig, target_context)  # type: ignore[no-untyped-call]
        if found is None:
            compiling.prepare()
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the code for arguments of these types in a file of its own, whoever else saves at the same moment."""
        own = self._data_name_pattern.replace("{number", f"{secrets.token_hex(8)}.{{number")
        self._cache_file._data_name_pattern = own
        # With each instruction and its type in words, which nobody reads, it would take twice the room.
        super().save_overload(sig, data._replace(type_annotation=""))  # type: ignore[no-untyped-call]

    @classmethod
    def is_any_kept(cls) -> bool:
        """Tell whether code of any function that was met lies on disk, so that a first run can announce itself."""
        one_of_each_module = {one._py_func.__module__: one for one in cls._all}
        return any(next(Path(one._cache_path).glob("*.nbc"), None) for one in one_of_each_module.values())
