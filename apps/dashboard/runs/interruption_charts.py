"""The charts of what stopping cost: restarts, hours lost, and efficiency beside the ideal; none where nothing stops."""

from collections.abc import Iterator, Sequence
from typing import Any

from apps.metrics.models import Metric
from scheduler_sim.display.appearance import appearance
from scheduler_sim.display.charts import Axis, Chart, Series, TextTable
from scheduler_sim.display.formatting import listing, quantity

Told = Sequence[tuple[str, dict[str, Any]]]
"""Policies under which tasks may stop and go on, with what that cost (see `engine.interruptions`)."""

POLICY = Axis("Policy", "", "category")
IDEAL = "ideal"


def interruption_charts(totals: Sequence[Metric]) -> list[Chart]:
    """Draw them from the figures stored when the run ended."""
    told = [(total.scheduler, total.details["interruptions"]) for total in totals if "interruptions" in total.details]
    return list(_charts(told)) if told else []


def _charts(told: Told) -> Iterator[Chart]:
    yield _bars("restarts", "Restarts", Axis("Restarts"), told, "restarts", "count")
    lost = sorted(
        ("core" if name == "lost_core_hours" else "GPU", name)
        for name in ("lost_core_hours", "lost_gpu_hours")
        if any(cost[name] for _, cost in told)
    )
    for device, name in lost:
        title = f"{device[:1].upper()}{device[1:]}-hours lost"
        yield _bars(name.replace("_", "-"), title, Axis(title), told, name, "ratio")
    if any(cost["efficiency"] is not None for _, cost in told):
        yield _efficiency(told)


def _bars(key: str, title: str, axis: Axis, told: Told, name: str, kind: str) -> Chart:
    values = [(scheduler, cost[name]) for scheduler, cost in told]
    rows = [(scheduler, quantity(kind, value)) for scheduler, value in values]
    return Chart(
        key, "bar", title, _least(values, title.lower(), kind), POLICY, axis, _each(values), _table(title, rows)
    )


def _least(values: Sequence[tuple[str, float]], what: str, kind: str) -> str:
    low, high = (pick(value for _, value in values) for pick in (min, max))
    if not high:
        return f"There are no {what} under any policy."
    if low == high:
        return f"There are {quantity(kind, low)} {what} under every policy."
    least, most = ([name for name, value in values if value == end] for end in (low, high))
    return (
        f"The fewest {what}, {quantity(kind, low)}, are under {listing(least)}; "
        f"the most, {quantity(kind, high)}, under {listing(most)}."
    )


def _efficiency(told: Told) -> Chart:
    values = [(name, cost["efficiency"]) for name, cost in told if cost["efficiency"] is not None]
    low, high = min(values, key=lambda one: one[1]), max(values, key=lambda one: one[1])
    finding = f"Of the time held {quantity('share', high[1])} makes progress that lasts under {high[0]}"
    finding += f", and {quantity('share', low[1])} under {low[0]}." if low[1] < high[1] else "."
    rows = [(name, quantity("share", value)) for name, value in values]
    series = _each(values)
    ideal = told[0][1]["ideal_efficiency"]
    if ideal is not None:
        series.append(Series(IDEAL, [IDEAL], [ideal]))
        rows.append((IDEAL, quantity("share", ideal)))
        finding += (
            f" A long task on one node that only failures stop is expected to reach {quantity('share', ideal)} with "
            "these checkpoints (Daly, 2006)."
        )
    title = "Efficiency"
    return Chart("efficiency", "bar", title, finding, POLICY, Axis(title, "share"), series, _table(title, rows))


def _each(values: Sequence[tuple[str, float]]) -> list[Series]:
    return [Series(name, [name], [value], appearance(name).colour, appearance(name).dash) for name, value in values]


def _table(title: str, rows: Sequence[tuple[str, str]]) -> TextTable:
    return TextTable(("Policy", title), rows)
