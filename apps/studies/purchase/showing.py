"""What is known of a search as a chart and a table."""

from typing import Any

from scheduler_sim.background.models import Job
from scheduler_sim.display.appearance import appearance
from scheduler_sim.display.charts import Axis, Chart, Series, TextTable
from scheduler_sim.display.formatting import duration, quantity
from scheduler_sim.engine.measuring.figures import FIGURES

JOULES_PER_MWH = 3.6e9


def plays_of(job: Job, *, is_shown: bool = False) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Return the heads and the rows of the table of plays, the cheapest first.

    Args:
        is_shown: for people: rounded, with units; a row is its head and its cells.
    """
    found = job.outcome or {}
    plays = found.get("plays", [])
    groups = tuple(plays[0]["nodes"]) if plays else ()
    figures = tuple(found.get("figures", ()))
    if not is_shown:
        columns = ("policy", *(f"add_{group}" for group in groups), "price", *found.get("targets", ()))
        rows = [
            (
                line["policy"],
                *line["nodes"].values(),
                line["price"],
                *line["figures"],
                line["reaches"],
                line["on_frontier"],
                line["energy_joules"],
                line["tasks"],
            )
            for line in plays
        ]
        return (*columns, "reaches", "on_frontier", "energy_joules", "tasks"), rows
    columns = ("Policy", *(f"+{group}" for group in groups), f"Price, {found.get('price_unit', '')}")
    rows = [
        (
            line["policy"],
            (
                *(f"{number:,}" for number in line["nodes"].values()),
                f"{line['price']:,.0f}",
                *(_shown(name, value) for name, value in zip(figures, line["figures"], strict=True)),
                "" if line["energy_joules"] is None else f"{line['energy_joules'] / JOULES_PER_MWH:,.3f}",
                "yes" if line["reaches"] else "",
            ),
        )
        for line in plays
    ]
    return (*columns, *(_head(name) for name in figures), "MWh", "Reaches"), rows


def frontier_chart(job: Job) -> Chart:
    """Draw the first figure of what was played over its price, a line a policy."""
    found = job.outcome or {}
    plays = found.get("plays", [])
    name = next(iter(found.get("figures", ())), "p95_wait_time")
    by_policy: dict[str, list[tuple[float, float]]] = {}
    for line in plays:
        if line["figures"][0] is not None:
            by_policy.setdefault(line["policy"], []).append((line["price"], line["figures"][0]))
    series = []
    for policy, points in by_policy.items():
        look = appearance(policy)
        least: dict[float, float] = {}
        for price, figure in points:
            least[price] = min(figure, least.get(price, figure))
        series.append(Series(policy, list(least), list(least.values()), look.colour, look.dash))
    frontier = [line for line in plays if line["on_frontier"]]
    table = [(line["policy"], f"{line['price']:,.0f}", _shown(name, line["figures"][0])) for line in frontier]
    return Chart(
        "frontier",
        "line",
        f"{_head(name)} over what is spent",
        found.get("verdict", "Nothing was played yet."),
        Axis("Price", found.get("price_unit", "")),
        Axis(_head(name), "s" if name.endswith("_time") else ""),
        series,
        TextTable(("Frontier: policy", "Price", _head(name)), table),
    )


def _head(name: str) -> str:
    return FIGURES[name].label if name in FIGURES else name


def _shown(name: str, value: float | None) -> str:
    if value is None:
        return ""
    return duration(value) if name.endswith("_time") else quantity("ratio", value)
