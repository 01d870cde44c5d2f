"""What the pages of policies tell: the parts a policy is made of, and how it did in the stored runs."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count

from apps.metrics.models import Metric
from scheduler_sim.display.appearance import appearance
from scheduler_sim.display.charts import Axis, Chart, Series, TextTable
from scheduler_sim.display.formatting import percent_change, quantity
from scheduler_sim.engine.policies import PREEMPTIONS, READY_MADE, Order, Parameter, Placement, Policy, Preemption
from scheduler_sim.engine.policies.backfill import BACKFILLS, Backfill
from scheduler_sim.engine.policies.order import ORDERS
from scheduler_sim.engine.policies.placement import PLACEMENTS

RUNS_SHOWN = 50


@dataclass(frozen=True)
class Part:
    """One order, backfilling, placement or preemption as the list shows it."""

    kind: str
    name: str
    rule: str
    source: str
    clairvoyant: bool
    example: str
    parameters: tuple[Parameter, ...] = ()


def _order(one: Order) -> Part:
    return Part("order", one.name, one.formula, one.source, one.clairvoyant, one.name, one.parameters)


def _backfill(one: Backfill) -> Part:
    example = f"fcfs+{one.name}" if one.name != "none" else "fcfs"
    return Part("backfill", one.name, one.rule, one.source, False, example, one.parameters)


def _placement(one: Placement) -> Part:
    example = f"fcfs@{one.name}"
    return Part("placement", one.name, one.rule, one.source, one.clairvoyant, example, one.parameters)


def _preemption(one: Preemption) -> Part:
    example = f"sjf~{one.name}" if one.name != "none" else "sjf"
    return Part("preemption", one.name, one.rule, one.source, False, example, one.parameters)


def parts() -> list[Part]:
    """Return every registered part."""
    return [
        *map(_order, ORDERS),
        *map(_backfill, BACKFILLS),
        *map(_placement, PLACEMENTS),
        *map(_preemption, PREEMPTIONS),
    ]


def parts_of(policy: Policy) -> list[Part]:
    """Return the parts of one policy; that nothing is stopped is not worth a line."""
    parts = [_order(policy.order), _backfill(policy.backfill), _placement(policy.placement)]
    return [*parts, _preemption(policy.preemption)] if policy.preemption.name != "none" else parts


def ready_made() -> Iterable[tuple[str, str]]:
    """Return the whole policies under one name, with what they stand for."""
    return READY_MADE.items()


def played() -> list[dict[str, object]]:
    """Return the policies that stored runs hold, the most played first."""
    totals = Metric.objects.totals().order_by()
    return list(totals.values("scheduler").annotate(runs=Count("id")).order_by("-runs", "scheduler"))


@dataclass(frozen=True)
class Standing:
    """How a policy did in one run."""

    total: Metric
    rank: int
    policies: int
    best: Metric
    behind: str

    @property
    def above(self) -> float | None:
        """The policy's mean slowdown over the best one's, less 1; None where there is none to compare with."""
        mine, least = self.total.mean_bounded_slowdown, self.best.mean_bounded_slowdown
        return mine / least - 1 if mine is not None and least else None


def standings(scheduler: str) -> list[Standing]:
    """Return how the policy did in the newest runs that hold it, newest first."""
    mine = Metric.objects.totals().filter(scheduler=scheduler, mean_bounded_slowdown__isnull=False)
    newest = mine.select_related("run__workload").defer("details", "run__configuration", "run__cluster")
    rows = list(newest.order_by("-run_id")[:RUNS_SHOWN])
    ranked: dict[int, list[Metric]] = {}
    others = Metric.objects.totals().filter(run__in=[row.run_id for row in rows]).in_rank_order()
    for total in others.only("run_id", "scheduler", "mean_bounded_slowdown"):
        ranked.setdefault(total.run_id, []).append(total)
    found = []
    for row in rows:
        of_run = ranked[row.run_id]
        best = of_run[0]
        rank = 1 + next(place for place, total in enumerate(of_run) if total.scheduler == scheduler)
        behind = percent_change(row.mean_bounded_slowdown, best.mean_bounded_slowdown)
        found.append(Standing(total=row, rank=rank, policies=len(of_run), best=best, behind=behind))
    return found


def distance_chart(scheduler: str, found: list[Standing]) -> Chart:
    """Draw how far the policy's mean slowdown is above the best policy's, run by run."""
    shown = [one for one in found if one.above is not None]
    names = [one.total.run.name for one in shown]
    above = [one.above for one in shown if one.above is not None]
    first = sum(one.rank == 1 for one in shown)
    look = appearance(scheduler)
    finding = "No stored run holds this policy."
    if shown:
        runs = f"{len(shown)} run{'s' if len(shown) > 1 else ''}"
        finding = f"{scheduler} has the lowest mean slowdown in {first or 'none'} of {runs}"
        worst = max(above)
        finding += f"; at worst it is {quantity('share', worst)} above the best policy's." if worst > 0 else "."
    series = [Series(scheduler, names, above, look.colour, look.dash)] if shown else []
    rows = [
        (name, f"{one.rank} of {one.policies}", quantity("share", distance))
        for name, one, distance in zip(names, shown, above, strict=True)
    ]
    return Chart(
        "distance",
        "bar",
        "How far from the best policy of each run",
        finding,
        Axis("Run", "", "category"),
        Axis("Mean slowdown above the best", "share"),
        series,
        TextTable(("Run", "Place", "Above the best"), rows),
    )
