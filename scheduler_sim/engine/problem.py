"""What a kernel is given to play."""

from dataclasses import dataclass, field

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.contract import Options
from scheduler_sim.engine.policies import Choices, Policy, Scores
from scheduler_sim.engine.power_cap import PowerCap
from scheduler_sim.engine.sharing import Shared
from scheduler_sim.engine.sites import Site
from scheduler_sim.engine.workloads.workload import Workload


@dataclass(frozen=True, eq=False)
class Problem:
    """A workload, a cluster, and a policy with what it settles before anything runs.

    Attributes:
        scores: of the policy's order for this workload.
        choices: of its placement.
        seed: draws failures of nodes.
        site: whose partitions, limits and reservations bind all tasks; None for a cluster without rules. Its cluster is
            `cluster`.
        cap: on the power that starts keep; None for none.
        late: estimates, and scores and choices that depend on them, come by `Kernel.tell` as tasks arrive.
        shared: what this has in common with the other policies of a play.
    """

    workload: Workload
    cluster: Cluster
    policy: Policy
    scores: Scores
    choices: Choices
    options: Options
    seed: int = 0
    late: bool = False
    site: Site | None = None
    cap: PowerCap | None = None
    shared: Shared = field(default_factory=Shared)

    @property
    def stops(self) -> bool:
        """True when its policy may stop tasks, for others or, by what it has settled, at times of their own."""
        return self.policy.preempts or self.scores.openings is not None
