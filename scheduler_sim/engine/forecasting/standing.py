"""What priorities come of when a site is played on from an instant: usage so far, and what Slurm printed."""

from dataclasses import dataclass, replace

import numpy as np

from scheduler_sim.engine.contract import Options
from scheduler_sim.engine.forecasting.present import Present, wanted
from scheduler_sim.engine.kernels.site.asks import asks
from scheduler_sim.engine.kernels.site.kernel import SiteKernel
from scheduler_sim.engine.kernels.site.keys import fixed_terms
from scheduler_sim.engine.kernels.site.priority import TERMS
from scheduler_sim.engine.kernels.site.rules import Rules
from scheduler_sim.engine.policies import Policy
from scheduler_sim.engine.simulation import Simulation
from scheduler_sim.engine.sites import Site, classic, fair_tree
from scheduler_sim.engine.workloads.columns import FloatArray, IntArray
from scheduler_sim.engine.workloads.requests import Requests
from scheduler_sim.engine.workloads.workload import Workload

_MOST_DECAYED = 600.0
"""Usage is reckoned back over at most so many times its mean life: beyond that doubles end."""


@dataclass(frozen=True, eq=False)
class Standing:
    """How tasks stand at one instant.

    Attributes:
        nice: shape (tasks,), what to take from priorities for them to be those that squeue printed.
        usage: what each entry of the site's share tree has used, as of the first present task's arrival; None where
            priorities do not come of usage.
    """

    nice: IntArray
    usage: FloatArray | None

    @classmethod
    def of(cls, now: Present, ended: Workload, policy: Policy) -> "Standing":
        """Reckon how tasks stand.

        Args:
            now: the state. ended: the tasks that ended before it.
            policy: with which it is played on.
        """
        site, tasks = now.site, now.workload
        if site.priority.kind != "multifactor" or not len(tasks):
            return cls(np.zeros(len(tasks), np.int64), None)
        simulation = Simulation(tasks, site.cluster, policy, options=Options(kill_at_estimate=True), site=site)
        rules = Rules.of(simulation.problem())
        asked = asks(tasks, rules.site)
        entry_task = np.repeat(np.arange(len(tasks)), np.diff(asked.first))
        terms = fixed_terms(rules, asked, entry_task, wanted(tasks)).reshape(-1, TERMS).sum(axis=1)
        first = np.zeros(len(tasks))
        np.maximum.at(first, entry_task, terms)
        half_life = site.priority.decay_half_life_time
        decay = 1 - 0.693 / half_life if half_life else 1.0
        begun = tasks.arrival_time[: now.running]
        used_before = _used(
            site, ended, ended.recorded_start_time, ended.recorded_start_time + ended.runtime, now.now, decay
        )
        running = tasks.take(np.arange(now.running))
        used = used_before + _used(site, running, begun, np.full(now.running, now.now), now.now, decay)
        tree = asked.people.tree
        factors = np.zeros(len(tree.names))
        if tree.is_user.any():
            damping = site.priority.damping
            is_classic = site.priority.fair_share == "classic"
            factors = np.nan_to_num(classic(tree, used, damping=damping) if is_classic else fair_tree(tree, used))
        association = asked.people.association
        share = np.where(association >= 0, factors[association], 0.0)
        played = np.floor(np.maximum(first + site.priority.fair_share_weight * share, 1.0))
        # Where squeue tells no priority, it is what is played and the age so far.
        aged = site.priority.age_weight * np.minimum(now.waited / max(site.priority.max_age_time, 1.0), 1.0)
        nice = np.where(now.priorities > 0, played - now.priorities, -np.floor(aged)).astype(np.int64)
        lived = min((now.now - float(tasks.arrival_time[0])) * -np.log(decay), _MOST_DECAYED)
        return cls(np.where(np.arange(len(tasks)) < now.running, 0, nice), used_before * np.exp(lived))

    def asked(self, tasks: Workload) -> Requests:
        """Return what the present tasks ask for, with priorities that begin as squeue printed them."""
        asked = wanted(tasks)
        return replace(asked, nice=asked.nice + self.nice)

    def begin(self, simulation: Simulation) -> None:
        """Give a simulation that has not begun the usage so far."""
        if self.usage is not None and isinstance(simulation.kernel, SiteKernel):
            simulation.kernel.factors(self.usage)


def _used(site: Site, tasks: Workload, begin: FloatArray, end: FloatArray, now: float, decay: float) -> FloatArray:
    """Return core-seconds by entry of the share tree, each second counting decay ** (seconds since)."""
    people = asks(tasks, site).people
    rate = -np.log(decay)
    seconds = (np.exp(-rate * (now - end)) - np.exp(-rate * (now - begin))) / rate if rate else end - begin
    factors = np.array([*(one.usage_factor for one in site.qos), 1.0])[people.qos]
    used = np.zeros(len(people.tree.names))
    known = people.association >= 0
    np.add.at(used, people.association[known], (tasks.cpus * seconds * factors)[known])
    return used
