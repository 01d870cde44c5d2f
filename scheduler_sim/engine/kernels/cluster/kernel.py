"""Nodes with cores, GPUs and memory playing any workload."""

from collections.abc import Callable
from typing import Any

import numpy as np

from scheduler_sim.engine.clusters.demand import possible_fractions
from scheduler_sim.engine.codes import CONSERVATIVE, LEARNED, LIST, NONE, ORACLE
from scheduler_sim.engine.contract import News, Outcome
from scheduler_sim.engine.errors import InvalidPolicy
from scheduler_sim.engine.kernels.base import BaseKernel, guarded, outcome_of
from scheduler_sim.engine.kernels.cluster.act import parts_of
from scheduler_sim.engine.kernels.cluster.agent import agent_arrays, agent_loop
from scheduler_sim.engine.kernels.cluster.layout import crossed_levels, lay_out
from scheduler_sim.engine.kernels.cluster.loop import advance_nodes, index_nodes
from scheduler_sim.engine.kernels.cluster.state import KEPT, PLANNED, TREE, handle
from scheduler_sim.engine.kernels.structures.gang_buffer import GangBuffer
from scheduler_sim.engine.problem import Problem


class ClusterKernel(BaseKernel):
    """The event loop of a cluster of nodes.

    Raises:
        OversizedTasks: tasks that the empty cluster could not start.
    """

    def __init__(self, problem: Problem) -> None:
        learner = problem.choices.learner
        # EASY, conservative backfilling and learned scores look at all that runs.
        far = problem.policy.backfill.code in (NONE, LIST) and problem.scores.kind != LEARNED
        self._sim = lay_out(problem, far=far)
        self._handle, self._views = handle(self._sim)
        self._groups = len(problem.cluster.groups)
        index_nodes(self._handle)
        play: Callable[..., None] = advance_nodes
        arguments: tuple[Any, ...] = parts_of(
            problem, in_tree=bool(self._sim.settings[TREE]), kept=bool(self._sim.settings[KEPT])
        )
        if learner is not None:
            if problem.policy.backfill.code == CONSERVATIVE:
                raise InvalidPolicy("rl_agent chooses while it runs and plays with none, list and easy.")
            self.agent = agent_arrays(len(problem.workload), learner.values)
            play, arguments = agent_loop(learner, self.agent), (arguments[0]._replace(fgd=None),)
        records = self._handle
        super().__init__(
            counts=self._sim.counts,
            clock=self._sim.clock,
            advance=guarded(problem, lambda until, events: play(records, until, events, *arguments)),
            gangs=GangBuffer(self._sim.gang_pieces, self._sim.gang_counts),
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
        return outcome_of(
            tasks,
            ready_time=tasks["ready"],
            gpu_fraction=tasks["fraction"],
            order=self._sim.order[: self.finished],
            crossed=crossed_levels(self._sim),
        )
