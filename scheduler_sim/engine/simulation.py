"""The readable face of the kernels: construct, advance, read the outcome."""

from dataclasses import dataclass, field, replace
from zlib import crc32

import numpy as np

from scheduler_sim.engine.cluster import Cluster
from scheduler_sim.engine.contract import Kernel, Options, Outcome
from scheduler_sim.engine.kernels import make_kernel
from scheduler_sim.engine.policies import ORDERS, ChoiceContext, Choices, Order, Policy, ScoreContext, Scores
from scheduler_sim.engine.workload import Workload


@dataclass
class Simulation:
    """One policy playing one workload on one cluster.

    Attributes:
        workload: tasks that all fit the cluster (see `oversize.oversized`).
    """

    workload: Workload
    cluster: Cluster
    policy: Policy
    seed: int = 0
    options: Options = field(default_factory=Options)

    def __post_init__(self) -> None:
        depth = self.policy.backfill.value("depth") if self.policy.backfill.having("depth") else None
        if depth is not None:
            self.options = replace(self.options, conservative_depth=depth)
        self.kernel = self._make_kernel()

    def _make_kernel(self) -> Kernel:
        return make_kernel(
            workload=self.workload,
            cluster=self.cluster,
            policy=self.policy,
            scores=self.scores(),
            choices=self.choices(),
            options=self.options,
        )

    def scores(self) -> Scores:
        """Return the order's scores of this workload, and those of the order of backfilling where it is another."""
        backfilled = self.policy.backfill.order
        scores = self._scores_by(self.policy.order)
        return scores if backfilled is None else replace(scores, backfill=self._scores_by(ORDERS[backfilled]))

    def _scores_by(self, order: Order) -> Scores:
        return order.scores(
            ScoreContext(
                workload=self.workload,
                estimate=self.workload.duration_estimate,
                processors=np.where(self.workload.gpus > 0, self.workload.gpus, self.workload.cpus),
                generator=self.generator(f"order {order.name}"),
                cluster=self.cluster,
                split_model=self.options.split_model,
            )
        )

    def choices(self) -> Choices:
        """Return what the placement settles before anything runs."""
        return self.policy.placement.choices(
            ChoiceContext(
                workload=self.workload,
                cluster=self.cluster,
                estimate=self.workload.duration_estimate,
                split_model=self.options.split_model,
                generator=self.generator(f"placement {self.policy.placement.name}"),
            )
        )

    def generator(self, purpose: str) -> np.random.Generator:
        """Return the seeded stream for one purpose."""
        return np.random.default_rng([self.seed, crc32(purpose.encode())])

    @property
    def clock(self) -> float:
        """The simulated time up to which all events are applied."""
        return self.kernel.clock

    @property
    def finished(self) -> int:
        """How many tasks have finished."""
        return self.kernel.finished

    @property
    def done(self) -> bool:
        """True when every task has finished."""
        return self.kernel.finished == len(self.workload)

    def advance(self, *, until_time: float = np.inf, max_events: int = np.iinfo(np.int64).max) -> None:
        """Simulate up to and including `until_time`, or a little past `max_events` events if that comes first.

        An instant is never cut in two. Calling again goes on where the last call stopped, with the same result as
        one long call.
        """
        self.kernel.advance(until_time=until_time, max_events=max_events)

    def outcome(self) -> Outcome:
        """Return what is known so far, as views on the kernel's arrays."""
        return self.kernel.outcome()
