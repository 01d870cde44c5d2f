"""Tasks whose width changes, with the face of a kernel."""

from collections.abc import Callable

import numpy as np

from scheduler_sim.engine.codes import ARRIVED, COMMON, FINISHED, QUEUED, RUNNING
from scheduler_sim.engine.contract import Attempts, Outcome
from scheduler_sim.engine.errors import InvalidPolicy
from scheduler_sim.engine.kernels.attempts import attempts_of, history_of, refuse_others
from scheduler_sim.engine.kernels.base import BaseKernel, outcome_of
from scheduler_sim.engine.kernels.elastic.choices import Moment, pollux, sia
from scheduler_sim.engine.kernels.elastic.kinds import Kinds
from scheduler_sim.engine.kernels.elastic.loop import play
from scheduler_sim.engine.kernels.elastic.state import (
    ACTIVE,
    EQUAL_SHARE,
    EVENTS,
    EXPAND_SHRINK,
    IN_ROUNDS,
    TO_DECIDE,
    WRITTEN,
    State,
)
from scheduler_sim.engine.kernels.structures.gang_buffer import GangBuffer
from scheduler_sim.engine.policies import Order
from scheduler_sim.engine.problem import Problem
from scheduler_sim.engine.workloads.columns import IntArray

RULES = {"equal_share": EQUAL_SHARE, "expand_shrink": EXPAND_SHRINK}

CHOOSES_KINDS = frozenset({"sia"})
"""Policies that settle the kind of device, too."""


class ElasticKernel(BaseKernel):
    """A policy that settles how wide tasks are, at each arrival and end or in rounds.

    Raises:
        InvalidPolicy: the workload or the cluster has what it does not know.
    """

    def __init__(self, problem: Problem) -> None:
        workload, order = problem.workload, problem.policy.order
        _refuse(problem)
        self._workload, self._kinds = (
            workload,
            Kinds.of(workload, problem.cluster, problem.policy.name, problem.options),
        )
        self._asked = self._kinds.of_kind[0].asked
        self._settle = _settling(order)
        self._state = State.of(
            arrival_time=workload.arrival_time,
            work=self._kinds.work,
            kinds=self._kinds,
            rule=RULES.get(order.name, IN_ROUNDS),
            round_time=order.value("round") if order.having("round") else np.inf,
        )
        self._ready = np.full(len(workload), np.nan)
        super().__init__(
            counts=np.zeros(COMMON, np.int64),
            clock=self._state.clock,
            gangs=GangBuffer(self._state.gang_pieces, self._state.gang_counts),
        )

    def _play(self, until_time: float, max_events: int) -> None:
        state = self._state
        state.counts[EVENTS] = 0
        while play(state, until_time, max_events) == TO_DECIDE:
            rows = state.active[: state.counts[ACTIVE]].copy()
            tasks = state.tasks[rows]
            kind, width = self._settle(
                Moment(
                    rows=rows,
                    width=tasks["width"],
                    kind=tasks["kind"],
                    attempts=tasks["attempts"],
                    age_time=state.clock[0] - tasks["arrival"],
                    kinds=self._kinds,
                )
            )
            state.tasks["target"][rows] = width
            state.tasks["aim"][rows] = np.where(width > 0, kind, tasks["kind"])
        arrived = int(state.counts[ARRIVED])
        self._ready[:arrived] = self._workload.arrival_time[:arrived]
        self._counts[ARRIVED], self._counts[FINISHED] = arrived, state.counts[FINISHED]
        self._counts[RUNNING] = int((state.tasks["width"] > 0).sum())
        self._counts[QUEUED] = arrived - self._counts[RUNNING] - self._counts[FINISHED]

    @property
    def full(self) -> bool:
        """True when a buffer is to be drained before anything more is played."""
        return super().full or bool(self._state.counts[WRITTEN] > self._state.settings[1])

    def drain(self) -> Attempts:
        """Return the attempts written since the last call."""
        written = self._state.buffer[: self._state.counts[WRITTEN]].copy()
        self._state.counts[WRITTEN] = 0
        return attempts_of(written, self._workload, written["width"] / self._asked[written["row"]])

    def outcome(self) -> Outcome:
        """Return the present outcome; the arrays are views that later calls of `advance` change."""
        state, tasks, asked = self._state, self._state.tasks, self._asked
        whole = np.ones(len(self._workload))
        return outcome_of(
            tasks,
            ready_time=self._ready,
            gpu_fraction=np.where(self._workload.gpus > 0, 1.0, 0.0),
            order=state.order[: self.finished],
            history=history_of(
                tasks,
                held_part=np.divide(tasks["area"], tasks["held"] * asked, out=whole.copy(), where=tasks["held"] > 0),
                last_part=np.where(tasks["attempts"] > 0, tasks["last_width"] / asked, 1.0),
            ),
        )


def _settling(order: Order) -> Callable[[Moment], tuple[IntArray, IntArray]]:
    """Return what settles kinds and widths in the rounds of an order; where a rule does, nothing asks it."""
    if order.name in RULES:
        return lambda now: (now.kind, now.width)
    p = order.value("p")
    if order.name == "pollux":
        return lambda now: (now.kind, pollux(now, p))
    idle = order.value("idle")
    return lambda now: sia(now, p, idle)


def _refuse(problem: Problem) -> None:
    """Refuse what changing widths do not know.

    Raises:
        InvalidPolicy: the sentence says what.
    """
    workload, cluster, name = problem.workload, problem.cluster, problem.policy.name
    if len(cluster.groups) != 1 and problem.policy.order.name not in CHOOSES_KINDS:
        raise InvalidPolicy(
            f"{name} plays on nodes that are all alike; cluster {cluster.name} has {len(cluster.groups)} groups."
        )
    if cluster.topology is not None:
        raise InvalidPolicy(f"{name} does not know the racks of cluster {cluster.name}.")
    if workload.hybrid.any() or workload.parents.count:
        raise InvalidPolicy(f"{name} plays neither split tasks nor dependencies between tasks.")
    refuse_others(problem, "devices")
    on_gpu = workload.gpus > 0
    if on_gpu.any() and not on_gpu.all():
        raise InvalidPolicy(f"{name}: all tasks must ask for GPUs, or none of them.")
    asked = np.where(on_gpu, workload.gpus, workload.cpus)
    if (asked != np.floor(asked)).any():
        raise InvalidPolicy(f"{name}: every task must ask for a whole number of GPUs, or of processors.")
