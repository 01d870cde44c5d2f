"""What rounds are played on: the jobs, what becomes of them, and the arrays of a simulation."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from scheduler_sim.engine.codes import COMMON
from scheduler_sim.engine.kernels.attempts import BUFFER, attempt_type
from scheduler_sim.engine.kernels.structures.gang_buffer import GangBuffer
from scheduler_sim.engine.workloads.columns import FloatArray, IntArray

HALF_ROUND = 180.0
"""Seconds on each kind that a job counts as having had when shares are settled, so that no fraction is of nothing."""

TASK = np.dtype(
    [
        *(
            (name, "f8")
            for name in ("arrival", "gpus", "overhead", "work_left", "done_since", "start", "finish", "begun")
        ),
        *((name, "f8") for name in ("until", "done_time", "service", "held")),
        *((name, "i8") for name in ("kind", "wanted", "ran_on", "place", "node", "device", "attempts", "ending")),
        *((name, "i8") for name in ("has_share", "is_done")),
    ]
)
"""A job: `work_left`, and what of it is `done_since` shares were settled; its attempt on GPUs of `kind` (-1 for none),
the first of them at `place`, `begun` and so far planned `until`; what it does in the round that is played (`done_time`
seconds, `is_done` with it); the kind that the next round `wanted` for it."""

ATTEMPT = attempt_type()
ENTRY = np.dtype([("row", "i8"), ("kind", "i8"), ("is_done", "i8"), ("end", "f8"), ("done_time", "f8")])
"""What a job does in the next round."""

EVENTS, ACTIVE, PLAYING, ENDS, ENDS_TAKEN, NEXT, STALE, LAST_TRY, ORDERS_TAKEN, WRITTEN, ROUNDS, COUNTS = range(
    COMMON, COMMON + 12
)
"""Places in the counts: events of this call, jobs that have come and are not done, those of the round that is played,
those that are done with it, how many of those have ended, jobs of the next round (-1 for none found yet), whether
shares are stale, whether a last try is made to settle them, orders of kinds that were used up, attempts in the buffer,
and rounds."""

NOW, PREVIOUS_END, LAST_RESET, NEXT_START, ROUND_TIME, LEAST_RESET_TIME, REALS = range(7)
IN_TURN, IN_STEPS, KNOWS_KINDS, FLAGS = range(4)

PLAYED, TO_SETTLE, TO_ORDER, TO_DRAIN, NOBODY = range(5)
"""Why a call ends: all asked for is played; shares are to be settled, orders of kinds to be drawn, the buffer to be
emptied; or no job can run and none is to come."""

ORDERS = 1024
"""Orders of kinds that are drawn at a time."""


@dataclass(frozen=True, eq=False)
class Jobs:
    """The jobs of a simulation in the order of their arrival; n of them, k kinds of GPU.

    Attributes:
        arrival_time, work, gpus, weight: shape (n,). rate: shape (n, k), work a second; 0 where a job cannot run.
        known_work: shape (n,), what policies are told of the work. overhead: shape (n,), seconds at the beginning of a
            round in which a job does nothing, where it did not run on that kind in the round before.
        workers: shape (k,), GPUs of each kind. names: of the kinds.
        nodes, devices: shape (GPUs,), where each is, kind by kind.
        in_steps: work is done in whole units.
    """

    arrival_time: FloatArray
    work: FloatArray
    gpus: FloatArray
    weight: FloatArray
    rate: FloatArray
    known_work: FloatArray
    overhead: FloatArray
    workers: FloatArray
    names: tuple[str, ...]
    nodes: IntArray
    devices: IntArray
    in_steps: bool = True


@dataclass(frozen=True)
class Rules:
    """How rounds go on.

    Attributes:
        knows_kinds: kinds are walked in their order; else in one shuffled anew for each round.
        in_turn: who has no share never fills GPUs that are left over.
        round_time: seconds. least_reset_time: seconds between two settlements. seed: of the shuffling.
    """

    knows_kinds: bool
    in_turn: bool = False
    round_time: float = 360.0
    least_reset_time: float = 1920.0
    seed: int = 0


class State(NamedTuple):
    """The arrays of a simulation.

    Attributes:
        tasks: of `TASK`. rate, share, had, deficit: shape (n, k), see `Jobs` and `mechanism`. total: shape (k,).
        workers: shape (k,). active: the rows that have come and are not done, ascending.
        order: shape (n,), those that are done. playing: rows of the round that is played. ends: those done with it.
        next: of `ENTRY`. chosen, candidates, merged: to work with, shape (n,).
        key: shape (n, 3), to work with.
        free: shape (k,), where to look for a free GPU of each kind. after: shape (GPUs,), the next GPU of whoever holds
            it, -1 for none, -2 where it is free.
        nodes, devices: shape (GPUs,). kinds_order: shape (`ORDERS`, k). buffer: of `ATTEMPT`.
        gang_pieces, gang_counts: a `GangBuffer`.
    """

    tasks: npt.NDArray[np.void]
    rate: FloatArray
    share: FloatArray
    had: FloatArray
    deficit: FloatArray
    total: FloatArray
    workers: FloatArray
    active: IntArray
    order: IntArray
    playing: IntArray
    ends: IntArray
    next: npt.NDArray[np.void]
    chosen: IntArray
    candidates: IntArray
    merged: IntArray
    key: FloatArray
    free: IntArray
    after: IntArray
    nodes: IntArray
    devices: IntArray
    kinds_order: IntArray
    buffer: npt.NDArray[np.void]
    counts: IntArray
    clock: FloatArray
    reals: FloatArray
    flags: IntArray
    gang_pieces: npt.NDArray[np.void]
    gang_counts: IntArray

    @classmethod
    def of(cls, jobs: Jobs, rules: Rules) -> "State":
        """Return the state before the first round."""
        n, kinds = jobs.rate.shape
        tasks = np.zeros(n, TASK)
        tasks["arrival"], tasks["gpus"], tasks["overhead"] = jobs.arrival_time, jobs.gpus, jobs.overhead
        tasks["work_left"] = jobs.work
        for name in ("start", "finish", "begun"):
            tasks[name] = np.nan
        for name in ("kind", "wanted", "ran_on", "place", "device", "ending"):
            tasks[name] = -1
        counts = np.zeros(COUNTS, np.int64)
        counts[NEXT], counts[ORDERS_TAKEN] = -1, 0 if rules.knows_kinds else ORDERS
        reals = np.zeros(REALS)
        reals[ROUND_TIME], reals[LEAST_RESET_TIME] = rules.round_time, rules.least_reset_time
        reals[NOW] = max(jobs.arrival_time[0], 0.0) if len(jobs.work) else 0.0
        workers = jobs.workers.astype(np.int64)
        firsts = np.concatenate(([0], np.cumsum(workers)))
        return cls(
            tasks=tasks,
            rate=np.ascontiguousarray(jobs.rate, np.float64),
            share=np.zeros((n, kinds)),
            had=np.full((n, kinds), HALF_ROUND),
            deficit=np.zeros((n, kinds)),
            total=np.zeros(kinds),
            workers=jobs.workers.astype(np.float64),
            active=np.zeros(n, np.int64),
            order=np.zeros(n, np.int64),
            playing=np.zeros(n, np.int64),
            ends=np.zeros(n, np.int64),
            next=np.zeros(n, ENTRY),
            chosen=np.zeros(n, np.int64),
            candidates=np.zeros(n, np.int64),
            merged=np.zeros(n, np.int64),
            key=np.zeros((n, 3)),
            free=firsts[:-1].copy(),
            after=np.full(firsts[-1], -2, np.int64),
            nodes=jobs.nodes,
            devices=jobs.devices,
            kinds_order=np.arange(kinds)[None, :].repeat(ORDERS, axis=0),
            buffer=np.zeros(BUFFER + 2 * n, ATTEMPT),
            counts=counts,
            clock=np.full(2, jobs.arrival_time[0] if n else 0.0),
            reals=reals,
            flags=np.array([rules.in_turn, jobs.in_steps, rules.knows_kinds], np.int64),
            **GangBuffer.of(int(firsts[-1]))._asdict(),
        )
