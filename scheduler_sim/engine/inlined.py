"""How small steps of an event loop are compiled: written out wherever they are called.

Import this module, not the function, so that what is said here counts among what a kernel comes from (`sources`).
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba.core import config

from scheduler_sim.engine.jit import inner_kernel

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile `function` as `jit.inner_kernel` does, to be written out in its callers.

    A call takes longer than what such a step does, and LLVM by itself leaves most of them.
    """
    compiled: Any = inner_kernel(function)
    if not config.DISABLE_JIT:  # type: ignore[attr-defined]
        compiled.targetoptions["forceinline"] = True
    return cast("F", compiled)
