"""How the kernels are compiled: once, without the GIL, and kept on disk.

Numba's own cache notices an edit to the file of a compiled function but not to a helper in another
file, so the cache folder is keyed by a hash of every source of the engine: an edit anywhere gives a
fresh folder, and a stale kernel can never answer.

Numba tells functions of one name apart by a count that begins at 1 in every process, and the linker takes two of one
name for one. Code that one process has compiled and another reads from disk could so call a function of the reader's
that has the same name and count and does something else: the steps of `np.sort` and `np.argsort` are such. Here the
count begins at a random number in every process.
"""

import hashlib
import itertools
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core import config, types
from numba.core.bytecode import FunctionIdentity

_ENGINE = Path(__file__).parent
_CHECKOUT = _ENGINE.parent.parent

F = TypeVar("F", bound=Callable[..., Any])


def sources_digest() -> str:
    """Return a short hash of every Python source of the engine and of Numba's version."""
    digest = hashlib.sha256(numba.__version__.encode())
    for path in sorted(_ENGINE.rglob("*.py")):
        digest.update(path.relative_to(_ENGINE).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def cache_folder() -> Path:
    """Return the folder that holds this version's compiled kernels.

    `NUMBA_CACHE_DIR` in the environment wins. The default lies under `var/` in a checkout, and in the user's cache
    where the engine is installed as a library.
    """
    if os.environ.get("NUMBA_CACHE_DIR"):
        return Path(os.environ["NUMBA_CACHE_DIR"])
    if (_CHECKOUT / "manage.py").exists():
        return _CHECKOUT / "var" / "numba" / sources_digest()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scheduler-sim" / sources_digest()


def is_compiled() -> bool:
    """Tell whether kernels of this version lie on disk, so that a first run can announce itself."""
    return next(cache_folder().rglob("*.nbc"), None) is not None


config.CACHE_DIR = str(cache_folder())  # type: ignore[attr-defined]


def _tell_functions_apart() -> None:
    """Let Numba count functions from a random number on."""
    FunctionIdentity._unique_ids = itertools.count(secrets.randbits(62))


_tell_functions_apart()
os.register_at_fork(after_in_child=_tell_functions_apart)


def kernel(function: F) -> F:
    """Compile `function` in nopython mode, without the GIL, cached on disk.

    `fastmath` and parallel execution stay off: ties and equality must be exact and repeatable. References are not
    counted, because an atomic count for each array that is passed on costs more than the work of a small function: a
    kernel uses the arrays that it is given, makes none, and returns none.
    """
    # Numba takes this option, but its type stubs do not say so.
    compile_with: Any = numba.njit
    return cast("F", compile_with(cache=True, nogil=True, error_model="numpy", _nrt=False)(function))


def counting_kernel(function: F) -> F:
    """Compile `function` as `kernel` does, to make arrays or read records of arrays (`kernels.records`)."""
    return cast("F", numba.njit(cache=True, nogil=True, error_model="numpy")(function))


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
    )(function)
    template = compiled.get_call_template

    def without_constants(arguments: Any, keywords: Any) -> Any:
        return template(
            tuple(without_literal(argument) for argument in arguments),
            {name: without_literal(argument) for name, argument in dict(keywords).items()},
        )

    compiled.get_call_template = without_constants
    return cast("F", compiled)
