"""A workload on a site: with partitions, limits and reservations."""

from collections.abc import Callable

import numpy as np

from scheduler_sim.engine.contract import Outcome
from scheduler_sim.engine.kernels.attempts import AttemptsKernel, history_of
from scheduler_sim.engine.kernels.base import EventLoop
from scheduler_sim.engine.kernels.site import state
from scheduler_sim.engine.kernels.site.asks import asks
from scheduler_sim.engine.kernels.site.layout import lay_out
from scheduler_sim.engine.kernels.site.loop import advance_site
from scheduler_sim.engine.kernels.site.rules import Rules
from scheduler_sim.engine.kernels.site.shares import rank_once
from scheduler_sim.engine.kernels.site.state import State, handle
from scheduler_sim.engine.kernels.structures.gang_buffer import GangBuffer
from scheduler_sim.engine.problem import Problem
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray


class SiteKernel(AttemptsKernel):
    """The event loop of a site.

    Raises:
        InvalidPolicy, InvalidWorkload: what is not played on a site.
        OversizedTasks: tasks that could never start, see `never.never_starts`.
    """

    EVENTS, WRITTEN, OUTAGES, ROOM = state.EVENTS, state.WRITTEN, state.OUTAGES, state.ROOM

    def __init__(self, problem: Problem) -> None:
        rules = Rules.of(problem)
        self._state = lay_out(
            problem, rules, asks(problem.workload, rules.site, as_recorded=problem.policy.replays_log)
        )
        super().__init__(
            workload=problem.workload,
            failures=rules.drawn,
            arrays=self._state,
            counts=self._state.counts,
            clock=self._state.clock,
            advance=self._renew(self._state),
            gangs=GangBuffer(self._state.gang_pieces, self._state.gang_counts),
        )
        self._ask_for_failures()
        self._free_from: FloatArray | None = None
        if problem.scores.not_before is not None:
            told = problem.workload.requests
            arrival = problem.workload.arrival_time
            self._free_from = arrival if told is None else np.fmax(arrival, told.eligible_time)

    def _renew(self, arrays: State) -> EventLoop:
        """Return the event loop over arrays of which some are new."""
        self._state, self._handle = arrays, handle(arrays)
        play: Callable[..., None] = advance_site
        records = self._handle
        return lambda until, events: play(records, until, events)

    def _with_outages(self, times: FloatArray, nodes: IntArray, signs: IntArray) -> State:
        """Return the arrays with further timers for nodes that fail by chance and come back."""
        left = slice(int(self._state.counts[state.TIMER]), None)
        self._state.counts[state.TIMER] = 0
        kinds = np.where(signs > 0, state.BREAKS, state.MENDED)
        times = np.concatenate([self._state.timer_times[left], times])
        codes = np.concatenate([self._state.timer_codes[left], nodes * state.TIMER_KINDS + kinds])
        order = np.lexsort((codes // state.TIMER_KINDS, codes % state.TIMER_KINDS, times))
        return self._state._replace(timer_times=times[order], timer_codes=codes[order].astype(np.int64))

    def factors(self, usage: FloatArray) -> FloatArray:
        """Return the fair-share factor of every entry of the tree for what users have used, shape (entries,)."""
        self._state.fair_usage[:] = usage
        rank_once(self._handle)
        return self._state.fair_factors.copy()

    @property
    def passes(self) -> tuple[int, int]:
        """How many passes planned, and how often one tried to plan a task."""
        counts = self._state.counts
        return int(counts[state.PASSES]), int(counts[state.TRIED])

    def reasons(self) -> IntArray:
        """Return why each task waits or never started, as codes of `reasons.WORDS`, shape (n,)."""
        reasons: IntArray = self._state.site_tasks["reason"].copy()
        return reasons

    def outcome(self) -> Outcome:
        """Return the present outcome; the arrays are views that later calls of `advance` change.

        A task that left the queue before it started has no attempt, and the instant at which it left as its start and
        finish: it held nothing, and waited until then. What a policy holds back waits all the while, too.
        """
        tasks = self._state.site_tasks
        left = (tasks["ending"] >= 0) & (tasks["attempts"] == 0)
        ready = np.where(left, np.fmin(tasks["ready"], tasks["finish"]), tasks["ready"])
        if self._free_from is not None:
            parents = self._workload.parents
            last = np.full(len(ready), -np.inf)
            np.fmax.at(last, np.repeat(np.arange(len(ready)), np.diff(parents.offsets)), tasks["finish"][parents.rows])
            ready = np.minimum(ready, np.maximum(self._free_from, last))
        return Outcome(
            ready_time=ready,
            start_time=np.where(left, tasks["finish"], tasks["start"]),
            finish_time=tasks["finish"],
            node=tasks["node"],
            device=tasks["device"],
            gpu_fraction=np.where(self._workload.gpus > 0, 1.0, 0.0),
            completion_order=self._state.completed_rows[: self.finished],
            history=history_of(tasks, energy_joules=tasks["joules"], cost_usd=tasks["usd"]),
        )
