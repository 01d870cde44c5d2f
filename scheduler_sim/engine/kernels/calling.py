"""How event loops call a compiled score (`policies.compiled`) by its address."""

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from scheduler_sim.engine.jit import bare_kernel
from scheduler_sim.engine.policies.compiled import COLUMNS, STATES, Called
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray


class Call(NamedTuple):
    """What a loop needs to call a score.

    Attributes:
        call_address: shape (1,), of the pass over tasks; 0 where nothing is called.
        call_table: shape (n, COLUMNS), see `policies.compiled`. call_at: where the scoring is.
        call_state: shape (STATES,), what there is and what is left; filled at each instant, devices as they count.
    """

    call_address: IntArray
    call_table: FloatArray
    call_state: FloatArray
    call_at: FloatArray


def make_call(called: Called | None, *, cores: int, gpus: int) -> Call:
    """Return what a simulation calls; nothing where scores come from elsewhere."""
    state = np.zeros(STATES) if called is None else called.state
    state[5], state[6] = cores, gpus
    if called is None:
        return Call(np.zeros(1, np.int64), np.zeros((1, COLUMNS)), state, np.zeros(1))
    return Call(np.array([called.compiled.address()]), called.table, state, called.at)


# Numba ships without types for these.
_array: Any = make_array


@intrinsic
def _call_at(
    _typing: Any,
    _address: Any,
    _first: Any,
    _count: Any,
    rows: Any,
    wait: Any,
    table: Any,
    state: Any,
    scores: Any,
    at: Any,
) -> Any:
    arrays = (rows, wait, table, state, scores, at)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        integer, place = ir.IntType(64), ir.IntType(8).as_pointer()
        places = [
            builder.bitcast(_array(kind)(context, builder, value).data, place)
            for kind, value in zip(signature.args[3:], values[3:], strict=True)
        ]
        kind = ir.FunctionType(integer, [integer, integer, *[place] * len(places)])
        return builder.call(builder.inttoptr(values[0], kind.as_pointer()), [values[1], values[2], *places])

    return types.int64(types.int64, types.int64, types.int64, *arrays), generate


@bare_kernel
def set_state(state: FloatArray, now: float, queued: int, running: int, free_cores: float, free_gpus: float) -> None:
    """Write what a score may look at of this instant."""
    state[0], state[1], state[2], state[3], state[4] = now, queued, running, free_cores, free_gpus


@bare_kernel
def call_scores(
    address: IntArray,
    first: int,
    count: int,
    rows: IntArray,
    wait: FloatArray,
    table: FloatArray,
    state: FloatArray,
    scores: FloatArray,
    at: FloatArray,
) -> None:
    """Write the scores of `count` rows from place `first` on, by their waits, to the first places of `scores`."""
    call: Any = _call_at
    call(address[0], first, count, rows, wait, table, state, scores, at)
