"""What is worked out once while Numba compiles is what Numba itself would have worked out."""

import gc
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numba.core import ir, types
from numba.core.compiler import Flags, run_frontend

from scheduler_sim.engine import compiling

BOTH_WAYS = """
import itertools
import numpy as np
from numba import njit
from numba.core import bytecode
from numba.np import linalg
from scheduler_sim.engine import compiling

ROW = np.dtype([("at", np.int64), ("x", np.float64)])

def code():
    # Functions are counted, and the number stands in their names.
    bytecode.FunctionIdentity._unique_ids = itertools.count(10**6)
    inner = njit(lambda a, b: a * b + 1.0)

    @njit
    def outer(rows, table):
        total = 0.0
        for row in range(len(rows)):
            if rows[row].at > 0:
                total += inner(rows[row].x, table[row % len(table)])
        return total

    outer(np.zeros(3, ROW), np.ones(2))
    return [one.library.get_llvm_str() for one in outer.overloads.values()]

code()
plain, look = code(), linalg.ensure_blas
compiling.prepare()
assert linalg.ensure_blas is look
assert code() == plain != []
"""


def plain_variables(part: Any) -> list[ir.Var]:
    """Return the variables in a part of an instruction as Numba looks for them."""
    if isinstance(part, ir.Var):
        return [part]
    if isinstance(part, ir.Inst):
        return list(part.list_vars())
    if isinstance(part, dict):
        part = tuple(part.values())
    return [one for each in part for one in plain_variables(each)] if isinstance(part, (list, tuple)) else []


def walk(values: Any, limit: int, *more: int, step: float = 1.0) -> Any:
    found: dict[int, Any] = {1: limit, 2: (limit, [step])}
    for index, value in enumerate(values[:limit:2]):
        if value > step and index not in more:
            found[index] = -value if value < limit else np.sqrt(value, where=True)
    del values
    return found, (limit, *more)


def test_code_is_the_same_and_the_look_for_linear_algebra_put_back() -> None:
    # Nothing is prepared yet only in a process of its own.
    subprocess.run([sys.executable, "-c", BOTH_WAYS], check=True)


def test_the_variables_of_instructions_are_found_in_order() -> None:
    compiling.prepare()
    statements: list[Any] = [one for block in run_frontend(walk).blocks.values() for one in block.body]
    assert {ir.Assign, ir.Branch, ir.Jump, ir.Return} <= {type(one) for one in statements}
    for one in statements:
        assert one.list_vars() == plain_variables(one.__dict__)
        value = getattr(one, "value", None)
        if isinstance(value, ir.Expr):
            assert value.list_vars() == plain_variables(value._kws)
    assert sum(len(one.list_vars()) for one in statements) > len(statements)


def test_options_are_those_that_are_set_and_else_as_they_are_by_themselves() -> None:
    compiling.prepare()
    made: Any = Flags
    one, other = made(), made()
    for flags in (one, other):
        assert flags.values() == {name: getattr(flags, name) for name in made.options}
    assert one == other
    one.nrt = False
    assert one == other
    one.nrt = True
    assert one.values()["nrt"]
    assert one != other


def test_a_record_is_told_by_all_of_its_fields() -> None:
    compiling.prepare()
    one, same, other = (
        types.Record.make_c_struct([("at", types.int64), (name, types.float64)]) for name in ("x", "x", "y")
    )
    assert repr(one) == repr(same) != repr(other)
    assert "'x'" in repr(one)


def test_garbage_is_looked_for_as_before_when_a_function_is_compiled_or_cannot_be() -> None:
    before, seen = gc.get_threshold(), []

    def compile_one(*, fails: bool) -> None:
        seen.append(gc.get_threshold())
        if fails:
            raise TypeError

    compile_extra = compiling._collecting_seldom(compile_one)
    compile_extra(fails=False)
    with pytest.raises(TypeError):
        compile_extra(fails=True)
    assert seen == [compiling.SELDOM] * 2
    assert gc.get_threshold() == before
    gc.set_threshold(0)
    try:
        compile_extra(fails=False)
        assert seen[-1][0] == 0
    finally:
        gc.set_threshold(*before)
