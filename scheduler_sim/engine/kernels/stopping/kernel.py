"""Nodes, or a pool taken as one, where tasks may stop and go on."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.codes import BY_LEFT, CONSERVATIVE, LEARNED, MULTIFACTOR, NOT_PLANNED, ORACLE, STATIC
from scheduler_sim.engine.contract import Outcome
from scheduler_sim.engine.errors import InvalidPolicy, InvalidWorkload
from scheduler_sim.engine.kernels.attempts import AttemptsKernel, buffer_columns, buffer_for, history_of
from scheduler_sim.engine.kernels.base import EventLoop, outcome_of
from scheduler_sim.engine.kernels.cluster import state as nodes
from scheduler_sim.engine.kernels.cluster.act import PICKING, parts_of
from scheduler_sim.engine.kernels.cluster.layout import copied, crossed_levels, lay_out
from scheduler_sim.engine.kernels.cluster.loop import index_nodes
from scheduler_sim.engine.kernels.core import state as core
from scheduler_sim.engine.kernels.core.rules import WHY, Rules
from scheduler_sim.engine.kernels.stopping import state
from scheduler_sim.engine.kernels.stopping.loop import advance_stopping, prepare_all
from scheduler_sim.engine.kernels.stopping.state import LIFE, Life, handle
from scheduler_sim.engine.kernels.structures.attempt_buffer import AttemptBuffer
from scheduler_sim.engine.kernels.structures.gang_buffer import GangBuffer
from scheduler_sim.engine.kernels.structures.outages import Outages
from scheduler_sim.engine.policies.openings import Openings
from scheduler_sim.engine.problem import Problem
from scheduler_sim.engine.units import SECONDS_PER_HOUR
from scheduler_sim.engine.workloads.workload import IntArray, Workload


class StoppingKernel(AttemptsKernel):
    """The event loop of a cluster whose tasks may stop and go on.

    Raises:
        OversizedTasks: tasks that the empty cluster could not start.
    """

    EVENTS, WRITTEN, OUTAGES, ROOM = state.EVENTS, state.WRITTEN, state.OUTAGES, core.ROOM

    def __init__(self, problem: Problem, rules: Rules) -> None:
        workload, cluster, policy, scores = problem.workload, problem.cluster, problem.policy, problem.scores
        n = len(workload)
        if (rules.to_end or rules.stops) and scores.kind == STATIC and scores.slope is None:
            # Who comes behind all others has no rank, and running tasks are walked beside the queue: as scores that
            # change they need none.
            problem = replace(problem, scores=replace(scores, slope=np.zeros(n)))
        self._sim = lay_out(problem)
        if rules.stops:
            views: dict[str, Any] = {view: copied(self._sim.live) for view in ("plan", "window", "empty", "beside")}
            self._sim = self._sim._replace(**views)
        tasks, settings = self._sim.tasks, self._sim.settings
        settings[nodes.KEPT] = False
        settings[nodes.STRETCHED], settings[nodes.BY_TIE] = True, rules.to_end
        if rules.to_end:
            tasks["rank"] = np.arange(n)
        self._sim.checkpoints[:] = rules.checkpoints
        self._nodes, self._views = nodes.handle(self._sim)
        self._lives = _lives(workload, rules)
        clairvoyant = policy.placement.planned == ORACLE
        most_running = len(self._sim.chunks)
        parts, planned, reserving = parts_of(problem, in_tree=bool(settings[nodes.TREE]))
        if rules.stops:
            # Who runs and who waits are walked together, in one order.
            parts = parts._replace(listed=None)
        self._parts = (parts, planned, reserving, True if rules.stops else None)
        planned_pieces = int((tasks["full_nodes"] + 1).sum()) if reserving and rules.stops else 0
        life = _lay_out(
            self._lives,
            rules,
            cluster,
            clairvoyant=clairvoyant,
            openings=problem.scores.openings,
            most_running=most_running,
            most_pieces=most_running + planned_pieces,
        )
        super().__init__(
            workload=workload,
            failures=rules.failures,
            arrays=life,
            counts=self._sim.counts,
            clock=self._sim.clock,
            advance=self._renew(life),
            gangs=GangBuffer(self._sim.gang_pieces, self._sim.gang_counts),
        )
        index_nodes(self._nodes)
        prepare_all(self._nodes, self._handle)

    @classmethod
    def of(cls, problem: Problem, rules: Rules) -> "StoppingKernel":
        """Return the kernel of a simulation.

        Raises:
            InvalidPolicy, InvalidWorkload: what is not played where tasks may stop.
            OversizedTasks: tasks that the empty cluster could not start.
        """
        _refuse(problem, rules)
        return cls(problem, rules)

    def _renew(self, arrays: Life) -> EventLoop:
        """Return the event loop over arrays of which some are new."""
        self._handle = handle(arrays)
        play: Callable[..., None] = advance_stopping
        nodes_, lives, parts = self._nodes, self._handle, self._parts
        return lambda until, events: play(nodes_, lives, until, events, *parts)

    def outcome(self) -> Outcome:
        """Return the present outcome; the arrays are views that later calls of `advance` change."""
        lives, tasks = self._lives, self._sim.tasks
        return outcome_of(
            lives,
            ready_time=np.where(np.isnan(lives["ready"]), tasks["ready"], lives["ready"]),
            gpu_fraction=tasks["fraction"],
            order=self._sim.order[: self.finished],
            history=history_of(lives, energy_joules=lives["joules"], cost_usd=lives["usd"]),
            crossed=crossed_levels(self._sim),
        )


def _refuse(problem: Problem, rules: Rules) -> None:
    """Refuse what is not played where tasks may stop, each with the sentence that says why."""
    workload, policy, scores, choices = problem.workload, problem.policy, problem.scores, problem.choices
    order, placement = policy.order.name, policy.placement
    planned = placement.planned != NOT_PLANNED
    if policy.order.preempts:
        raise InvalidPolicy(
            f"{order} is played on a pool, and on nodes of one group with first_fit, whole GPUs, outages that kill and "
            f"no racks."
        )
    if choices.learner is not None:
        raise InvalidPolicy(f"{placement.name} learns from tasks that run once, and is not played {WHY}.")
    if scores.kind == LEARNED and policy.backfill.code == CONSERVATIVE:
        raise InvalidPolicy("Learned orders change with the state of the cluster and play with none, list and easy.")
    if rules.to_end and scores.kind in PICKING:
        raise InvalidPolicy(f"{order} has no end of its queue: who failed waits where it did (requeue_at old).")
    if rules.stops and (planned or scores.kind not in (STATIC, MULTIFACTOR, BY_LEFT)):
        chooser = placement.name if planned else order
        raise InvalidPolicy(f"{chooser} chooses among waiting tasks only: it stops none, so that ~ has no meaning.")
    if rules.stops and scores.backfill is not None:
        raise InvalidPolicy(
            f"{policy.name}: what waits is walked in one order with what runs; easy without parameters."
        )
    split = workload.hybrid & (choices.fraction > 0.0) & (choices.fraction < 1.0)
    if workload.hybrid.any() and (planned or split.any()):
        raise InvalidWorkload(
            f"Tasks that {policy.name} splits between CPU and GPU are not played {WHY}; a placement that keeps each on "
            f"one side is, as cpu_only and gpu_only do."
        )


def _lives(workload: Workload, rules: Rules) -> Any:
    """Return the record of each task before anything has happened."""
    lives = np.zeros(len(workload), LIFE)
    lives["work"] = lives["work_left"] = workload.runtime
    lives["estimate"] = lives["estimate_left"] = workload.duration_estimate
    lives["limit"] = np.where(workload.estimate_known, workload.duration_estimate, np.inf)
    lives["restart"] = 0.0 if rules.overhead is None else rules.overhead
    lives["begun"] = lives["ready"] = lives["start"] = lives["finish"] = np.nan
    lives["node"] = lives["device"] = lives["ending"] = -1
    return lives


def _lay_out(
    lives: Any,
    rules: Rules,
    cluster: Cluster,
    *,
    clairvoyant: bool,
    openings: Openings | None,
    most_running: int,
    most_pieces: int,
) -> Life:
    """Return the arrays of a simulation that has not begun."""
    n = len(lives)
    running = min(n, most_running)
    length, room = buffer_for(running)
    counts, settings = np.zeros(state.FIELDS, np.int64), rules.settings(state.SETTINGS, room)
    counts[state.LATER] = n
    settings[state.PAUSING], settings[state.CLAIRVOYANT] = rules.pausing, clairvoyant

    def rows(length: int) -> IntArray:
        return np.zeros(length, np.int64)

    turns = (np.zeros(0), rows(0), rows(0)) if openings is None else openings.turns()
    stops, planned = rules.stops, rules.stops and rules.backfill == CONSERVATIVE
    return Life(
        lives=lives,
        counts=counts,
        settings=settings,
        read=np.array([rules.read], np.float64),
        core_watts=cluster.of_groups("cpu_busy_watts"),
        gpu_watts=cluster.of_groups("gpu_busy_watts"),
        core_price=cluster.of_groups("usd_per_core_hour") / SECONDS_PER_HOUR,
        gpu_price=cluster.of_groups("usd_per_gpu_hour") / SECONDS_PER_HOUR,
        outages=Outages.none(),
        turn_times=turns[0],
        turn_rows=turns[1],
        turn_opens=turns[2],
        back=rows(running),
        woken=rows(running),
        stopping=rows(running if stops else 0),
        beginning=rows(running if stops else 0),
        kept_node=rows(most_pieces if stops else 0),
        kept_mask=rows(most_pieces if stops else 0),
        kept_device=rows(most_pieces if stops else 0),
        span_rows=rows(n + running if planned else 0),
        span_begins=np.zeros(n + running if planned else 0),
        span_ends=np.zeros(n + running if planned else 0),
        buffer=AttemptBuffer(**buffer_columns(length)),
    )
