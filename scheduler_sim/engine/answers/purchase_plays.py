"""Playing a change of a search: the same tasks, with the same seeds, on a cluster or site with more nodes."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from scheduler_sim.engine.answers.purchase import Change, Growth, Played
from scheduler_sim.engine.answers.targets import Target
from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.contract import Options, Predictor
from scheduler_sim.engine.measuring.metrics import summarise, whole_run
from scheduler_sim.engine.policies import Policy
from scheduler_sim.engine.series import Signals
from scheduler_sim.engine.simulation import Simulation
from scheduler_sim.engine.sites import Site, add_site_nodes
from scheduler_sim.engine.whatif import add_nodes
from scheduler_sim.engine.workloads.workload import BoolArray, IntArray, Workload

HOURS_A_YEAR = 8766.0


@dataclass(frozen=True, eq=False)
class PurchaseProblem:
    """What every change of a search is played with.

    Attributes:
        workload: tasks that all fit the ground as it is.
        ground: the cluster or site as it is.
        seeds: of the plays of each change, the same for all of them (common random numbers); figures are means.
        scored: shape (n,), tasks whose figures count.
        signals: the series of the ground's electricity; None where they are not known.
    """

    workload: Workload
    ground: Cluster | Site
    policies: Sequence[Policy]
    growths: Sequence[Growth]
    targets: Sequence[Target]
    seeds: Sequence[int] = (0,)
    options: Options = field(default_factory=Options)
    scored: BoolArray | None = None
    predictor: Predictor | None = None
    signals: Signals | None = None

    def play(self, change: Change) -> Played:
        """Play a change with every seed.

        Raises:
            EngineError: a policy or a group that cannot be played.
        """
        return mean_play([self.play_seed(change, seed) for seed in self.seeds])

    def play_seed(self, change: Change, seed: int) -> Played:
        """Play a change with one seed; errors as of `play`."""
        changed = grown(self.ground, self.growths, change.nodes)
        cluster, site = (changed.cluster, changed) if isinstance(changed, Site) else (changed, None)
        simulation = Simulation(
            workload=self.workload,
            cluster=cluster,
            policy=self.policies[change.policy],
            seed=seed,
            options=self.options,
            predictor=self.predictor,
            site=site,
            signals=self.signals,
        )
        simulation.advance()
        rows = self._rows(simulation)
        figures = [one.value(simulation, one.rows(simulation.workload, rows)) for one in self.targets]
        edges = np.array(whole_run(simulation.workload, [simulation.outcome()]))
        total = summarise(simulation, edges=edges)
        joules = float(total.energy_joules[0] + total.idle_energy_joules[0])
        return Played(tuple(figures), None if np.isnan(joules) else joules, float(len(rows)))

    def _rows(self, simulation: Simulation) -> IntArray:
        counted = ~np.isnan(simulation.outcome().finish_time)
        history = simulation.outcome().history
        if history is not None:
            # Tasks that left the queue unstarted have waited for nothing.
            counted &= history.attempts > 0
        if self.scored is not None:
            counted &= self.scored
        return np.flatnonzero(counted)


def mean_play(plays: Sequence[Played]) -> Played:
    """Return the mean of what a change came to with several seeds."""
    joules = [one.energy_joules for one in plays]
    return Played(
        figures=tuple(np.mean([one.figures for one in plays], axis=0).tolist()),
        energy_joules=None if None in joules else float(np.mean([joule for joule in joules if joule is not None])),
        tasks=float(np.mean([one.tasks for one in plays])),
    )


def grown(ground: Cluster | Site, growths: Sequence[Growth], nodes: Sequence[int]) -> Cluster | Site:
    """Return a cluster or site with so many nodes more of each kind.

    Raises:
        InvalidCluster: an unknown group.
    """
    changes = ",".join(f"{growth.group}={number}" for growth, number in zip(growths, nodes, strict=True) if number)
    if not changes:
        return ground
    return add_site_nodes(ground, changes) if isinstance(ground, Site) else add_nodes(ground, changes)


def yearly_price(ground: Cluster | Site, group: str) -> float:
    """Return what holding one node more of a group costs a year by the prices that the cluster states, in USD; or 0.

    Raises:
        InvalidCluster: an unknown group.
    """
    more = grown(ground, (Growth(group, 1, 1.0),), (1,))
    return HOURS_A_YEAR * (_hourly(more) - _hourly(ground))


def _hourly(ground: Cluster | Site) -> float:
    cluster = ground.cluster if isinstance(ground, Site) else ground
    return sum(
        group.count * (group.cores * group.usd_per_core_hour + group.gpus * group.usd_per_gpu_hour)
        for group in cluster.groups
    )
