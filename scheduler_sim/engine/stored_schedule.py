"""A schedule that is known already, read as a simulation that came to its end."""

from copy import copy
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.contract import Attempts, History, Kernel, News, Options, Outcome, Pieces
from scheduler_sim.engine.gangs import Gangs
from scheduler_sim.engine.policies import Policy
from scheduler_sim.engine.series import Signals
from scheduler_sim.engine.sharing import Shared
from scheduler_sim.engine.simulation import Simulation
from scheduler_sim.engine.sites import Site
from scheduler_sim.engine.workloads.workload import Workload

Columns = TypeVar("Columns", Outcome, History)


def laid_out(simulation: Simulation) -> Simulation:
    """Return a simulation as it stands now, to be measured: it is not played on, and its columns lie by themselves.

    Kernels keep together what belongs to a task, so that one column of theirs is read through all that they know.
    """
    kernel, outcome = simulation.kernel, _columns(simulation.outcome())
    if outcome.history is not None:
        outcome = replace(outcome, history=_columns(outcome.history))
    found = copy(simulation)
    found.shared = Shared()  # What policies share is for playing.
    found.kernel = _StoredKernel(outcome, kernel.agent, kernel.queued, kernel.running, now=kernel.clock)
    return found


def _columns(table: Columns) -> Columns:
    columns: dict[str, Any] = {item.name: getattr(table, item.name) for item in fields(table)}
    for name, values in columns.items():
        if isinstance(values, np.ndarray):
            columns[name] = np.ascontiguousarray(values)
    return type(table)(**columns)


class StoredSchedule(Simulation):
    """What a policy is known to have done, from which figures are computed as from a simulation; nothing is played.

    Args:
        workload, cluster, policy, options: as of the simulation.
        outcome: where and when each task ran; with a history where tasks may stop and go on.
        attempts: of tasks with more than one.
        site, signals: as of the simulation.
        gangs: what tasks on several nodes held of each, which is asked for where nodes sleep.
    """

    def __init__(
        self,
        *,
        workload: Workload,
        cluster: Cluster,
        policy: Policy,
        options: Options,
        outcome: Outcome,
        attempts: Attempts | None = None,
        site: Site | None = None,
        signals: Signals | None = None,
        gangs: Gangs | None = None,
    ) -> None:
        self._stored = outcome
        super().__init__(workload=workload, cluster=cluster, policy=policy, options=options, site=site, signals=signals)
        self._batches = [] if attempts is None else [attempts]
        self._held = Gangs.joined([]) if gangs is None else gangs

    def gangs(self) -> Gangs:
        """Return what tasks on several nodes held of each."""
        return self._held

    def _make_kernel(self) -> Kernel:
        return _StoredKernel(self._stored)


@dataclass
class _StoredKernel:
    """A kernel without events; `now` is its clock, None for the last end."""

    stored: Outcome
    agent: dict[str, Any] | None = None
    queued: int = 0
    running: int = 0
    full: bool = False
    now: float | None = None

    @property
    def clock(self) -> float:
        return float(self.stored.finish_time.max(initial=0.0)) if self.now is None else self.now

    @property
    def finished(self) -> int:
        return len(self.stored.completion_order)

    def advance(self, *, until_time: float, max_events: int) -> None:
        """Change nothing."""

    def drain(self) -> Attempts:
        return Attempts.none()

    def drain_pieces(self) -> Pieces:
        return Pieces.none()

    def tell(self, news: News) -> None:
        raise RuntimeError("A stored schedule has nothing to be told.")

    def outcome(self) -> Outcome:
        return self.stored
