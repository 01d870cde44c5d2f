"""What tasks of changing width are played on: the arrays of a simulation."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from scheduler_sim.engine.codes import COMMON
from scheduler_sim.engine.kernels.attempts import attempt_type, buffer_for
from scheduler_sim.engine.kernels.elastic.kinds import Kinds
from scheduler_sim.engine.kernels.structures.gang_buffer import GangBuffer
from scheduler_sim.engine.workloads.columns import FloatArray, IntArray

TASK = np.dtype(
    [
        *((name, "f8") for name in ("arrival", "overhead", "work_left", "start", "finish", "begun", "until")),
        *((name, "f8") for name in ("paid", "service", "held", "area")),
        *((name, "i8") for name in ("bends", "least", "asked", "most", "width", "last_width", "target")),
        *((name, "i8") for name in ("kind", "aim", "place", "node", "device", "attempts", "ending")),
    ]
)
"""A task: how it `bends`, a place of `speedups.ELASTICITIES`; `work_left` in seconds on what it asks for; its attempt
on `width` devices (0 for none) of a `kind`, `begun`, without progress for `paid` seconds, to go on `until`; its
`last_width`; `area` device-seconds of the attempts that have ended; the first device that it holds at `place`; and the
width that was settled for it, its `target`, with the kind of those devices, its `aim`."""

ATTEMPT = attempt_type(("width", "i8"))

EVENTS, ACTIVE, WRITTEN, DECIDING, COUNTS = range(COMMON, COMMON + 5)
"""Places in the counts: events of this call, tasks that have come and are not done, attempts in the buffer, and whether
widths are to be applied that were settled outside."""

TICK, ROUND_TIME, REALS = range(3)
"""Places in the reals: when widths are settled next where that happens in rounds, and the seconds of a round."""

EQUAL_SHARE, EXPAND_SHRINK, IN_ROUNDS = range(3)
"""How widths are settled: by a rule at each arrival and end, or outside in rounds."""

PLAYED, TO_DECIDE, TO_DRAIN = range(3)
"""Why a call ends."""


class State(NamedTuple):
    """The arrays of a simulation.

    Attributes:
        tasks: of `TASK`. rates, overheads: see `Elasticity`. curve, pace: shape (n, kinds), see `Kinds`.
        active: rows that have come and are not done, ascending.
        order: shape (n,), those that are done. after: shape (devices,), the next device of whoever holds it, -1 for
            none, -2 where it is free. first_free: shape (kinds,), the lowest that may be free of each.
        nodes, numbers: shape (devices,), where each is, kind by kind. buffer: of `ATTEMPT`.
        settings: the rule, and how many attempts may lie in the buffer when an instant begins.
        gang_pieces, gang_counts: a `GangBuffer`.
    """

    tasks: npt.NDArray[np.void]
    rates: FloatArray
    overheads: FloatArray
    curve: IntArray
    pace: FloatArray
    active: IntArray
    order: IntArray
    after: IntArray
    first_free: IntArray
    nodes: IntArray
    numbers: IntArray
    buffer: npt.NDArray[np.void]
    counts: IntArray
    clock: FloatArray
    reals: FloatArray
    settings: IntArray
    gang_pieces: npt.NDArray[np.void]
    gang_counts: IntArray

    @classmethod
    def of(
        cls,
        *,
        arrival_time: FloatArray,
        work: FloatArray,
        kinds: Kinds,
        rule: int,
        round_time: float,
    ) -> "State":
        """Return the state before the first arrival."""
        n, devices, elastic = len(work), len(kinds.nodes), kinds.of_kind[0]
        tasks = np.zeros(n, TASK)
        tasks["arrival"], tasks["work_left"] = arrival_time, work
        tasks["bends"] = elastic.kind
        for name in ("least", "asked", "most", "overhead"):
            tasks[name] = getattr(elastic, name)
        for name in ("start", "finish", "begun", "until"):
            tasks[name] = np.nan
        for name in ("place", "node", "device", "ending"):
            tasks[name] = -1
        length, room = buffer_for(min(n, devices))
        first = arrival_time[0] if n else 0.0
        return cls(
            tasks=tasks,
            rates=np.concatenate([one.rates for one in kinds.of_kind]),
            overheads=max((one.overheads for one in kinds.of_kind), key=len),
            curve=kinds.curves(),
            pace=np.ascontiguousarray(kinds.pace),
            active=np.zeros(n, np.int64),
            order=np.zeros(n, np.int64),
            after=np.full(devices, -2, np.int64),
            first_free=kinds.firsts(),
            nodes=kinds.nodes,
            numbers=kinds.numbers,
            buffer=np.zeros(length, ATTEMPT),
            counts=np.zeros(COUNTS, np.int64),
            clock=np.full(2, first),
            reals=np.array([first if rule == IN_ROUNDS else np.inf, round_time]),
            settings=np.array([rule, room], np.int64),
            **GangBuffer.of(devices)._asdict(),
        )
