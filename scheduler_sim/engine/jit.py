"""How the kernels are compiled: once, without the GIL, and kept on disk (`kernel_files`).

Numba tells functions of one name apart by a count that begins at 1 in every process, and the linker takes two of one
name for one. Code that one process has compiled and another reads from disk could so call a function of the reader's
that has the same name and count and does something else: the steps of `np.sort` and `np.argsort` are such. Here the
count begins at a random number in every process.
"""

import itertools
import os
import secrets
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba.core import config, types
from numba.core.bytecode import FunctionIdentity

from scheduler_sim.engine.kernel_files import KernelCache
from scheduler_sim.engine.linked import CalledCompiler, LinkedCompiler

F = TypeVar("F", bound=Callable[..., Any])


def _tell_functions_apart() -> None:
    """Let Numba count functions from a random number on."""
    FunctionIdentity._unique_ids = itertools.count(secrets.randbits(62))


_tell_functions_apart()
os.register_at_fork(after_in_child=_tell_functions_apart)


def _kept(compiled: Any, function: Callable[..., Any]) -> Any:
    """Let the code of a function be kept in files of its own."""
    if not config.DISABLE_JIT:  # type: ignore[attr-defined]
        compiled._cache = KernelCache(function)
    return compiled


def kernel(function: F) -> F:
    """Compile `function` in nopython mode, without the GIL, cached on disk.

    `fastmath` and parallel execution stay off: ties and equality must be exact and repeatable. References are not
    counted, because an atomic count for each array that is passed on costs more than the work of a small function: a
    kernel uses the arrays that it is given, makes none, and returns none.
    """
    # Numba takes this option, but its type stubs do not say so.
    compile_with: Any = numba.njit
    return cast("F", _kept(compile_with(nogil=True, error_model="numpy", _nrt=False)(function), function))


def counting_kernel(function: F) -> F:
    """Compile `function` as `kernel` does, to make arrays or read records of arrays (`kernels.records`)."""
    return cast("F", _kept(numba.njit(nogil=True, error_model="numpy")(function), function))


def inner_kernel(function: F) -> F:
    """Compile `function` as `counting_kernel` does, to be called by other kernels only.

    Python cannot call it: without the wrappers for that, and with one version for variables and constants alike, a
    cold start takes a fraction of the time. An argument that is None still has a version of its own, from which Numba
    leaves out what is done only with other values.
    """
    return _without_wrappers(function, counting=True)


def called_kernel(function: F) -> F:
    """Compile `function` as `inner_kernel` does, and let it be called: it is written out nowhere.

    Written out wherever a hot loop might come to it, it is compiled as many times.
    """
    return _without_wrappers(function, counting=True, compiler=CalledCompiler)


def bare_kernel(function: F) -> F:
    """Compile `function` as `kernel` does, to be called by other kernels only (see `inner_kernel`)."""
    return _without_wrappers(function, counting=False)


def _without_wrappers(function: F, *, counting: bool, compiler: type[LinkedCompiler] = LinkedCompiler) -> F:
    if config.DISABLE_JIT:  # type: ignore[attr-defined]
        return function
    # Numba takes these options and gives these methods, but its type stubs do not say so.
    compile_with: Any = numba.njit
    without_literal: Any = types.unliteral
    compiled = compile_with(
        nogil=True,
        error_model="numpy",
        _nrt=counting,
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
        # Else it would be written out wherever it was first called by what is (`inlined`).
        forceinline=False,
        pipeline_class=compiler,
    )(function)
    _kept(compiled, function)
    template = compiled.get_call_template

    def without_constants(arguments: Any, keywords: Any) -> Any:
        return template(
            tuple(without_literal(argument) for argument in arguments),
            {name: without_literal(argument) for name, argument in dict(keywords).items()},
        )

    compiled.get_call_template = without_constants
    return cast("F", compiled)
