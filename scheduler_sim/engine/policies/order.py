"""What an order is: a score by which ready tasks are tried, lowest first."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.codes import STATIC
from scheduler_sim.engine.policies.compiled import Called
from scheduler_sim.engine.policies.openings import Openings
from scheduler_sim.engine.policies.parameter import Adjustable
from scheduler_sim.engine.policies.registry import Registry
from scheduler_sim.engine.series import Signals
from scheduler_sim.engine.workloads.workload import FloatArray, Workload

YOUR_OWN = "your own"
"""The source of what is no shipped order."""


@dataclass(frozen=True)
class Scores:
    """The scores of n tasks as data, so that the compiled kernel needs no Python function.

    The score of a task at time t is `base - slope * (t - ready_time)`, where ready_time is the arrival or, later, the
    finish of the last parent. Lowest first; ties go to the earlier arrival, then to the lower task_id.

    Attributes:
        base: shape (n,).
        slope: shape (n,), not negative; None when scores do not change with time.
        kind: how a score comes about, one of `codes`; others than `STATIC` add to `base` or replace it (docs/model.md).
        parameters: what the kind needs beside `base`: weights, a half-life.
        features: shape (n, 2), see `scoring.task_features`, for `LEARNED`.
        not_before: shape (n,), instants before which a task is not offered to the policy; None for none.
        openings: when each task may run that also stops; None where whoever has started runs on. `not_before` is their
            first begin.
        called: the function that is asked for them, for `CALLED`.
        ahead: shape (n, groups), what counts beside a task's end on a node of each group, for `BY_PLAN`; None: nothing.
        backfill: the scores by which what may pass a blocked head is tried; None for these.
    """

    base: FloatArray
    slope: FloatArray | None = None
    kind: int = STATIC
    parameters: FloatArray | None = None
    features: FloatArray | None = None
    not_before: FloatArray | None = None
    openings: Openings | None = None
    called: Called | None = None
    ahead: FloatArray | None = None
    backfill: "Scores | None" = None

    @classmethod
    def by_rule(cls, kind: int, context: "ScoreContext") -> Self:
        """Return scores that the kernel finds by a rule of its own while it plays, one of `codes`."""
        return cls(base=np.zeros(len(context.workload)), kind=kind)

    @classmethod
    def by_wait(cls, slope: FloatArray) -> Self:
        """Return scores that are 0 when a task becomes ready and fall by `slope` a second, shape (n,)."""
        return cls(base=np.zeros_like(slope), slope=slope)


@dataclass(frozen=True)
class ScoreContext:
    """What an order may look at. The true runtime is not in it, unless the order says it is clairvoyant.

    Attributes:
        workload: the tasks in canonical order.
        estimate: shape (n,), the duration estimates in force; 0 counts as 1 s in divisions and logarithms,
            see `positive_estimate`.
        processors: shape (n,), processors requested; for GPU tasks, GPUs.
        generator: seeded, the order's own stream.
        cluster: what the tasks are played on.
        split_model: `concurrent` or `sequential` sides of a hybrid task.
        signals: the series of the cluster's electricity, past and to come; None where they are not known.
        parameters: of the order itself, by name.
        part_since: when the first task of the run comes, where `workload` is a part of it that is looked at again; None
            where it is all of it.
    """

    workload: Workload
    estimate: FloatArray
    processors: FloatArray
    generator: np.random.Generator
    cluster: Cluster
    split_model: str = "concurrent"
    signals: Signals | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    part_since: float | None = None

    @property
    def positive_estimate(self) -> FloatArray:
        """Estimates with zero counted as 1 s, for divisions and logarithms."""
        return np.where(self.estimate > 0, self.estimate, 1.0)

    @property
    def submit_time(self) -> FloatArray:
        """The s of f1..f4: arrival on the trace's own clock, values below 1 counted as 1."""
        return np.maximum(self.workload.arrival_time, 1.0)


Scoring = Callable[[ScoreContext], Scores]


@dataclass(frozen=True)
class Order(Adjustable):
    """A registered order.

    Attributes:
        name: as typed in a policy.
        formula: the score in the notation of the help pages (w wait, r estimate, n processors, s submit time).
        source: paper and year, or `classic` / `baseline`.
        scores: computes the scores of a workload.
        clairvoyant: true when the score uses the true runtime, or what became of the tasks in the log.
        uses_estimates: true when the score of a task depends on duration estimates.
        looks_ahead: true when it depends on the tasks behind it.
        needs_site: true when it plays only on a site, whose scheduler it is.
        model_version: of the stored model behind it, None when there is none.
        preempts: true when it stops running tasks by itself.
        pauses: true when it can stop tasks at times of their own; its parameter `stops` says whether and how.
        shares_gpus: true when it shares out kinds of GPU in rounds, so that every task must ask for GPUs.
        resizes: true when it plays tasks on more or fewer devices than they ask for.
        decides: makes what decides for one simulation; None for an order that scores tasks.
        calls: true when a compiled function of the user's is called for scores while it plays.
        goes_by: the kind of series that it reacts to, empty for none.
        digest: of the file or program that a policy of one's own comes from (`policies.origin`); empty for others.
    """

    formula: str
    source: str
    scores: Scoring
    clairvoyant: bool = False
    model_version: int | None = None
    preempts: bool = field(default=False, kw_only=True)
    pauses: bool = field(default=False, kw_only=True)
    shares_gpus: bool = field(default=False, kw_only=True)
    resizes: bool = field(default=False, kw_only=True)
    uses_estimates: bool = field(default=True, kw_only=True)
    looks_ahead: bool = field(default=False, kw_only=True)
    needs_site: bool = field(default=False, kw_only=True)
    decides: Callable[[], Any] | None = field(default=None, kw_only=True)
    calls: bool = field(default=False, kw_only=True)
    goes_by: str = field(default="", kw_only=True)
    digest: str = field(default="", kw_only=True)

    @property
    def stops(self) -> bool:
        """True when it stops tasks at times of their own, which it settles as they arrive."""
        return self.pauses and self.value("stops") != "none"


ORDERS: Registry[Order] = Registry("order")


def changes_widths(policy: str) -> bool:
    """Tell of a policy by its name whether it plays tasks on more or fewer devices than they ask for."""
    name = policy.partition("(")[0]
    return name in ORDERS and ORDERS[name].resizes


def order(name: str, *, formula: str, source: str, **more: Any) -> Callable[[Scoring], Scoring]:
    """Register the decorated function as the scores of the order `name`; arguments as of `Order`."""
    return ORDERS.adding(lambda scores: Order(name, formula, source, scores, **more))
