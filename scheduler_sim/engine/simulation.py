"""The readable face of the kernels: construct, advance, read the outcome."""

from dataclasses import dataclass, field, replace
from typing import Protocol
from zlib import crc32

import numpy as np

from scheduler_sim.engine.cluster import Cluster
from scheduler_sim.engine.policies import ChoiceContext, Choices, Policy, ScoreContext, Scores
from scheduler_sim.engine.workload import FloatArray, IntArray, Workload


@dataclass(frozen=True)
class Options:
    """Choices that change what is simulated, equal for all policies of a run.

    Attributes:
        kill_at_estimate: end a task when its estimate is used up.
        split_model: `concurrent` or `sequential` sides of a hybrid task.
        conservative_depth: how many queued tasks hold a reservation under conservative backfilling; the
            others wait without one. None for all of them; a policy that says `conservative(depth=...)` goes before.
    """

    kill_at_estimate: bool = False
    split_model: str = "concurrent"
    conservative_depth: int | None = None


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of n tasks; row i is row i of the workload. Times that are not known yet are NaN; node,
    device and fraction mean something once the task has started.

    Attributes:
        ready_time: arrival, or the finish of the last parent where that is later.
        start_time, finish_time: seconds on the workload's clock.
        node: lowest number among the nodes used.
        device: lowest number among the GPUs used on that node, -1 for none.
        gpu_fraction: the part done on the GPU; of rigid tasks 1 when they hold GPUs and else 0.
        completion_order: rows in the order in which they finished, ties by row; as long as tasks have finished.
    """

    ready_time: FloatArray
    start_time: FloatArray
    finish_time: FloatArray
    node: IntArray
    device: IntArray
    gpu_fraction: FloatArray
    completion_order: IntArray


class Kernel(Protocol):
    """A compiled event loop and its state between two calls."""

    @property
    def clock(self) -> float:
        """The simulated time up to which all events are applied."""

    @property
    def finished(self) -> int:
        """How many tasks have finished."""

    @property
    def queued(self) -> int:
        """How many tasks have arrived and not started."""

    @property
    def running(self) -> int:
        """How many tasks have started and not finished."""

    def advance(self, *, until_time: float, max_events: int) -> None:
        """Apply whole instants up to and including `until_time`, and stop after at least `max_events` events."""

    def outcome(self) -> Outcome:
        """Return the present outcome; the arrays are views that later calls of `advance` change."""


@dataclass
class Simulation:
    """One policy playing one workload on one cluster.

    Attributes:
        workload: tasks that all fit the cluster (see `fitting.oversized`).
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
        from scheduler_sim.engine.kernels import make_kernel

        return make_kernel(
            workload=self.workload,
            cluster=self.cluster,
            policy=self.policy,
            scores=self.scores(),
            choices=self.choices(),
            options=self.options,
        )

    def scores(self) -> Scores:
        """Return the order's scores of this workload."""
        return self.policy.order.scores(
            ScoreContext(
                workload=self.workload,
                estimate=self.workload.duration_estimate,
                processors=np.where(self.workload.gpus > 0, self.workload.gpus, self.workload.cpus),
                generator=self.generator(f"order {self.policy.order.name}"),
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
