"""The event core's arrays and its face: construct, advance, read the outcome, drain the attempts."""

from functools import partial
from typing import Any

import numpy as np

from scheduler_sim.engine.clusters.paces import Paces
from scheduler_sim.engine.codes import CONSERVATIVE, EASY
from scheduler_sim.engine.contract import Outcome
from scheduler_sim.engine.kernels.attempts import AttemptsKernel, buffer_columns, buffer_for, history_of
from scheduler_sim.engine.kernels.base import EventLoop, outcome_of
from scheduler_sim.engine.kernels.core import state
from scheduler_sim.engine.kernels.core.loop import advance_core
from scheduler_sim.engine.kernels.core.room import Room
from scheduler_sim.engine.kernels.core.rules import Rules
from scheduler_sim.engine.kernels.core.state import (
    JOB,
    NEXT,
    UNORDERED,
    Core,
    handle,
)
from scheduler_sim.engine.kernels.structures.attempt_buffer import AttemptBuffer
from scheduler_sim.engine.kernels.structures.gang_buffer import GangBuffer
from scheduler_sim.engine.kernels.structures.outages import Outages
from scheduler_sim.engine.problem import Problem
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray, Workload

PIECE = ("node", "cpus", "mask", "memory")
"""What is known of a piece of a task."""


class CoreKernel(AttemptsKernel):
    """The event loop of tasks that may stop and go on.

    Args:
        offered: seconds before which a task is not offered to the policy, shape (n,).
        speed: how many seconds of a task's runtime pass in one second, shape (n,).
        base, slope: of the score, shape (n,).
        room: what there is to hold.
    """

    EVENTS, WRITTEN, OUTAGES, ROOM = state.EVENTS, state.WRITTEN, state.OUTAGES, state.ROOM

    def __init__(
        self,
        *,
        workload: Workload,
        rules: Rules,
        offered: FloatArray,
        speed: FloatArray,
        base: FloatArray,
        slope: FloatArray,
        room: Room,
    ) -> None:
        n = len(workload)
        jobs = np.zeros(n, JOB)
        jobs["arrival"], jobs["offered"] = workload.arrival_time, offered
        jobs["work"] = jobs["work_left"] = workload.runtime / speed
        jobs["estimate"] = jobs["estimate_left"] = workload.duration_estimate / speed
        jobs["limit"] = np.where(workload.estimate_known, jobs["estimate"], np.inf)
        jobs["cpus"], jobs["gpus"], jobs["kind"] = room.cpus, room.gpus, room.kind
        jobs["size"] = np.where(workload.gpus > 0, workload.gpus, workload.cpus)
        jobs["base"], jobs["slope"] = base, slope
        jobs["overhead"] = 0.0 if rules.overhead is None else rules.overhead
        jobs["parents"] = np.diff(workload.parents.offsets)
        jobs["ready"] = np.where(jobs["parents"] > 0, np.nan, workload.arrival_time)
        for name in ("start", "finish", "expected_end", "demote_at", "promote_at", "turn_end", "begun"):
            jobs[name] = np.nan
        jobs["ending"] = -1
        jobs["device"] = -1
        self._jobs = jobs
        core = _lay_out(workload, jobs, rules, slope, room)
        self._gpu_fraction = np.where(workload.gpus > 0, 1.0, 0.0)
        super().__init__(
            workload=workload,
            failures=rules.failures,
            arrays=core,
            counts=core.counts,
            clock=core.clock,
            advance=self._renew(core),
            gangs=core.gangs,
        )

    def _renew(self, arrays: Core) -> EventLoop:
        """Return the event loop over arrays of which some are new."""
        self._handle = handle(arrays)
        return partial(advance_core, self._handle[0])

    def advance(self, *, until_time: float, max_events: int) -> None:
        """Apply whole instants up to and including `until_time`; stop after `max_events` events or when full."""
        super().advance(until_time=until_time, max_events=max_events)
        if self._counts[UNORDERED]:
            ended = self._arrays.order[: self.finished]
            ended[:] = ended[np.lexsort((ended, self._jobs["finish"][ended]))]
            self._counts[UNORDERED] = 0

    @classmethod
    def of(cls, problem: Problem, rules: Rules) -> "CoreKernel":
        """Return the kernel of a simulation."""
        workload, cluster, scores = problem.workload, problem.cluster, problem.scores
        offered = workload.arrival_time
        if scores.not_before is not None:
            offered = np.maximum(offered, scores.not_before)
        return cls(
            workload=workload,
            rules=rules,
            offered=offered,
            speed=np.where(workload.gpus > 0, Paces.of(workload, cluster).on(0), cluster.groups[0].cpu_speed),
            base=scores.base,
            slope=np.zeros(len(workload)) if scores.slope is None else scores.slope,
            room=Room.of_pool(workload, cluster.cores)
            if rules.where == state.POOL
            else Room.of_nodes(workload, cluster, spread=rules.where == state.SPREAD),
        )

    def outcome(self) -> Outcome:
        """Return the present outcome; the arrays are views that later calls of `advance` change."""
        return outcome_of(
            self._jobs,
            ready_time=self._jobs["ready"],
            gpu_fraction=self._gpu_fraction,
            order=self._arrays.order[: self.finished],
            history=history_of(self._jobs),
        )


def _lay_out(workload: Workload, jobs: Any, rules: Rules, slope: FloatArray, room: Room) -> Core:
    """Return the arrays of a simulation that has not begun."""
    n, kinds, processors, most_running = len(jobs), len(room.classes.cpus), room.processors, room.most_running
    leaves = 1 << max(kinds - 1, 0).bit_length()
    aging = bool(slope.any())
    heaps = rules.backfill not in (EASY, CONSERVATIVE) and not (aging and rules.discipline == state.SCORE)
    buffer, most_written = buffer_for(most_running)
    first = float(workload.arrival_time[0]) if n else 0.0
    child_offsets, children = workload.parents.children()
    counts = np.zeros(state.FIELDS, np.int64)
    counts[NEXT] = n
    counts[state.FREE] = processors
    settings = rules.settings(state.SETTINGS, most_written)
    settings[state.DISCIPLINE], settings[state.BACKFILL] = rules.discipline, rules.backfill
    settings[state.WHERE], settings[state.IN_PLACE] = rules.where, rules.in_place
    settings[state.HEAPS], settings[state.AGING] = heaps, aging and rules.discipline == state.SCORE
    settings[state.CAPACITY], settings[state.LEAVES] = processors, leaves
    reals = np.zeros(state.REALS)
    reals[state.READ], reals[state.QUANTUM], reals[state.PROMOTION] = rules.read, rules.quantum, rules.promotion
    entries = 64 + 8 * most_running + (2 * n if rules.promotion < np.inf else 0)

    planned = min(n, rules.depth) if rules.backfill == CONSERVATIVE else 0
    steps = 2 * (planned + most_running) + 4
    settings[state.DEPTH] = planned

    def numbers(length: int) -> IntArray:
        return np.zeros(length, np.int64)

    pieces: dict[str, Any] = {
        f"{when}_{what}": numbers(room.most_pieces) for when in ("piece", "old") for what in PIECE
    }
    return Core(
        jobs=jobs,
        counts=counts,
        settings=settings,
        reals=reals,
        checkpoints=rules.checkpoints,
        clock=np.full(2, first),
        arrivals=np.lexsort((np.arange(n), jobs["offered"])),
        child_offsets=child_offsets,
        children=children,
        heap_times=np.zeros(entries),
        heap_codes=numbers(entries),
        order=numbers(n),
        outages=Outages.none(),
        running=numbers(most_running),
        was_running=numbers(most_running),
        stopping=numbers(most_running),
        beginning=numbers(most_running),
        demoted=numbers(most_running),
        ended=numbers(most_running),
        back=numbers(most_running),
        newcomers=numbers(n),
        promoted=numbers(n if rules.promotion < np.inf else 0),
        upto=np.searchsorted(room.classes.cpus, np.arange(processors + 1), side="right"),
        shadow_ends=np.zeros(most_running),
        plan_times=np.zeros(steps),
        plan_free=numbers(steps),
        shadow_cpus=numbers(most_running),
        queue_rows=numbers(n if heaps else 0),
        class_from=np.concatenate(([0], np.cumsum(np.bincount(room.kind, minlength=kinds))[:-1])).astype(np.int64),
        class_count=numbers(kinds),
        **{f"class_{name}": column for name, column in vars(room.classes).items()},
        class_shut=numbers(kinds),
        best=np.full(2 * leaves, -1),
        waiting=numbers(0 if heaps else n),
        limits=np.array(rules.limits),
        node_cpus=room.node_cpus,
        node_mask=room.node_mask,
        node_memory=room.node_memory,
        node_away=numbers(len(room.node_cpus)),
        left_cpus=room.node_cpus.copy(),
        left_gpus=room.node_mask.copy(),
        left_memory=room.node_memory.copy(),
        kept_cpus=numbers(len(room.node_cpus)),
        kept_gpus=numbers(len(room.node_cpus)),
        kept_memory=numbers(len(room.node_cpus)),
        **pieces,
        buffer=AttemptBuffer(**buffer_columns(buffer)),
        gangs=GangBuffer.of(room.most_pieces),
    )
