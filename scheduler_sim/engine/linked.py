"""How Numba compiles a function that only other compiled functions call.

Numba optimises such a function by itself and makes machine code of it, and does both again wherever it is linked into a
caller. Nobody ever runs what came out of the first time: it was nearly half of a cold start.
"""

from collections.abc import Callable
from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler


class _LinkedCode(JITCodeLibrary):
    """Code that waits for being linked into that of a caller, and is optimised and turned into machine code there."""

    @property
    def codegen(self) -> "_NoEnvironments":
        return _NoEnvironments(self._codegen)

    def _optimize_final_module(self) -> None:
        """Leave that to the callers."""

    def _finalize_final_module(self) -> None:
        """Make no machine code."""
        self._finalize_dynamic_globals()  # type: ignore[no-untyped-call]
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """Return that there is no such machine code."""
        return 0

    def serialize_using_object_code(self) -> Any:
        """Return what can be linked: there is no object code."""
        return self.serialize_using_bitcode()  # type: ignore[no-untyped-call]


class _CalledCode(_LinkedCode):
    """Such code that callers call, and do not take in."""

    def add_ir_module(self, ir_module: Any) -> None:
        """Add functions that are not to be written out where they are called."""
        for function in ir_module.functions:
            if not function.is_declaration:
                function.attributes.add("noinline")
        super().add_ir_module(ir_module)  # type: ignore[no-untyped-call]


class _NoEnvironments:
    """What makes code, but for environments, which functions have that Python calls."""

    def __init__(self, codegen: Any) -> None:
        self._codegen = codegen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._codegen, name)

    def set_env(self, name: str, environment: Any) -> None:
        """Set none: its place is in machine code."""


class LinkedCompiler(Compiler):
    """Numba's compiler, for functions that Python does not call (`pipeline_class` of `numba.njit`)."""

    code: type[JITCodeLibrary] = _LinkedCode

    def compile_extra(self, func: Callable[..., Any]) -> Any:
        """Compile a function into code that is only linked."""
        make_library: Any = self.code
        self.state.library = make_library(self.state.targetctx.codegen(), func.__qualname__)
        return super().compile_extra(func)  # type: ignore[no-untyped-call]


class CalledCompiler(LinkedCompiler):
    """The same, for functions that are not written out where they are called."""

    code = _CalledCode
