"""Nodes with cores, GPUs and memory playing any workload."""

from collections.abc import Callable
from typing import Any

import numpy as np

from scheduler_sim.engine.codes import (
    CONSERVATIVE,
    DRF,
    EASY,
    FGD,
    MAX_MIN,
    MIN_MIN,
    NOT_PLANNED,
    ORACLE,
    SUFFERAGE,
)
from scheduler_sim.engine.contract import News, Outcome
from scheduler_sim.engine.demand import possible_fractions
from scheduler_sim.engine.errors import InvalidPolicy
from scheduler_sim.engine.kernels.base import BaseKernel
from scheduler_sim.engine.kernels.cluster.act import Parts
from scheduler_sim.engine.kernels.cluster.agent import agent_arrays, agent_loop
from scheduler_sim.engine.kernels.cluster.layout import lay_out
from scheduler_sim.engine.kernels.cluster.loop import (
    advance_conservative,
    advance_in_order,
    advance_planned,
    index_nodes,
)
from scheduler_sim.engine.kernels.cluster.state import (
    PLANNED,
    TREE,
    handle,
)
from scheduler_sim.engine.problem import Problem

PICKING = (DRF, MIN_MIN, MAX_MIN, SUFFERAGE)
"""Orders that choose again after each start instead of walking a sorted queue."""


class ClusterKernel(BaseKernel):
    """The event loop of a cluster of nodes.

    Raises:
        OversizedTasks: tasks that the empty cluster could not start.
    """

    def __init__(self, problem: Problem) -> None:
        policy, scores, learner = problem.policy, problem.scores, problem.choices.learner
        self._sim = lay_out(problem)
        self._handle, self._views = handle(self._sim)
        self._groups = len(problem.cluster.groups)
        index_nodes(self._handle)
        # What a policy has no part of is None and is not compiled.
        fgd = True if policy.placement.code == FGD else None
        easy = True if policy.backfill.code == EASY else None
        picking = True if scores.kind in PICKING else None
        listed = True if picking is None and not self._sim.settings[TREE] else None
        reordered = True if scores.backfill is not None else None
        parts = Parts(fgd, easy, listed, picking, reordered)
        play: Callable[..., None] = advance_in_order
        arguments: tuple[Any, ...] = (parts,)
        if policy.placement.planned != NOT_PLANNED:
            play, arguments = advance_planned, (listed, picking)
        elif policy.backfill.code == CONSERVATIVE:
            # Reservations are made in an order that is settled at the beginning of an instant.
            play, arguments = advance_conservative, (fgd, listed or picking)
        if learner is not None:
            if policy.backfill.code == CONSERVATIVE:
                raise InvalidPolicy("rl_agent chooses while it runs and plays with none, list and easy.")
            self.agent = agent_arrays(len(problem.workload), learner.values)
            play, arguments = agent_loop(learner, self.agent), (parts._replace(fgd=None),)
        super().__init__(
            counts=self._sim.counts,
            clock=self._sim.clock,
            advance=lambda until, events: play(self._handle, until, events, *arguments),
        )

    def tell(self, news: News) -> None:
        """Take what became known of tasks that are about to arrive."""
        rows, tasks = news.rows, self._sim.tasks
        tasks["runtime"][rows] = news.runtime
        tasks["estimate"][rows] = news.runtime if self._sim.settings[PLANNED] == ORACLE else news.estimate
        if news.base is not None:
            tasks["base"][rows] = news.base
        if news.slope is not None:
            tasks["slope"][rows] = news.slope
        if news.features is not None:
            self._sim.features[rows] = news.features
        if news.fraction is not None:
            usable = (tasks[name][rows].astype(bool) for name in ("can_cpu", "can_gpu", "can_both"))
            hybrid, on_gpu = tasks["hybrid"][rows].astype(bool), tasks["on_gpu"][rows].astype(bool)
            tasks["fixed"][rows] = possible_fractions(news.fraction, hybrid, on_gpu, *usable)
        if news.group is not None:
            # Behind the rows of the labels and of any node lie those of the groups.
            of_group = len(self._sim.allowed) - self._groups + news.group
            for name in ("gpu_nodes", "any_nodes"):
                tasks[name][rows] = np.where(news.group >= 0, of_group, tasks[name][rows])

    def outcome(self) -> Outcome:
        """Return the present outcome; the arrays are views that later calls of `advance` change."""
        tasks = self._sim.tasks
        return Outcome(
            ready_time=tasks["ready"],
            start_time=tasks["start"],
            finish_time=tasks["finish"],
            node=tasks["node"],
            device=tasks["device"],
            gpu_fraction=tasks["fraction"],
            completion_order=self._sim.order[: self.finished],
        )
