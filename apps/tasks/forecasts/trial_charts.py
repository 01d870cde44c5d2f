"""How good forecasts were, drawn and in lines of tables."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scheduler_sim.display.charts import Axis, Chart, Series, TextTable
from scheduler_sim.display.formatting import duration, quantity

BEYOND = "beyond the end"

TABLES = (
    ("partition", "By partition", "Partition"),
    ("lead", "By the wait that was forecast", "Wait"),
    ("instant", "By instant", "Instant (UTC)"),
)
"""Of the page: by what groups are made, the title, and the head of the first column."""


@dataclass(frozen=True)
class Line:
    """The figures of some forecasts, for people; empty texts where there is nothing to tell."""

    name: str
    forecasts: int
    covered: str
    median_error: str
    median_width: str
    compared: int
    median_error_compared: str
    slurm_median_error: str


def lines(groups: Iterable[Mapping[str, Any]]) -> list[Line]:
    """Return the lines of a table of groups."""
    return [
        Line(
            name=_name(group),
            forecasts=group["forecasts"],
            covered=quantity("share", group["covered"]),
            median_error=_seconds(group["median_error"]),
            median_width=_seconds(group["median_width"]),
            compared=group["compared"],
            median_error_compared=_seconds(group["median_error_compared"]) if group["compared"] else "",
            slurm_median_error=_seconds(group["slurm_median_error"]) if group["compared"] else "",
        )
        for group in groups
    ]


def trial_charts(result: Mapping[str, Any]) -> dict[str, Chart]:
    """Draw forecast chances beside realised shares, and errors by the wait that was forecast."""
    drawn = (_calibration(result), _errors(result))
    return {chart.key: chart for chart in drawn}


def _calibration(result: Mapping[str, Any]) -> Chart:
    title = "Did it start by then as often as was said?"
    axes = Axis("Chance that was forecast", "share"), Axis("Share that had really started", "share")
    if not result["overall"]:
        return Chart("calibration", "line", title, "Nothing is forecast yet.", *axes, [])
    chances = [one["chance"] for one in result["deciles"]]
    shares = [one["share"] for one in result["deciles"]]
    overall = result["overall"]
    finding = (
        f"{quantity('share', overall['covered'])} of {overall['forecasts']:,} real starts lie in their intervals "
        f"of 80 % (chance of the instants: {quantity('share', overall['covered_low'])} to "
        f"{quantity('share', overall['covered_high'])})."
    )
    rows = [
        (quantity("share", chance), quantity("share", share)) for chance, share in zip(chances, shares, strict=True)
    ]
    series = [Series("forecasts", chances, shares, mark=1), Series("as it should be", chances, chances, dash=1)]
    return Chart("calibration", "line", title, finding, *axes, series, TextTable(("Chance forecast", "Started"), rows))


def _errors(result: Mapping[str, Any]) -> Chart:
    title = "Error by the wait that was forecast"
    axes = Axis("Wait that was forecast", "", "category"), Axis("Median error", "s")
    if not result["overall"]:
        return Chart("errors", "column", title, "Nothing is forecast yet.", *axes, [])
    groups = [group for group in result["groups"] if group["by"] == "lead"]
    names = [group["name"] for group in groups]
    overall = result["overall"]
    finding = f"Half of all starts are less than {_seconds(overall['median_error'])} from the forecast"
    series = [Series("this forecast", names, [group["median_error"] for group in groups], colour=0)]
    columns = ["Wait forecast", "Forecasts", "Median error"]
    if overall["compared"]:
        finding += (
            f"; where Slurm told a start too, {_seconds(overall['median_error_compared'])} against "
            f"{_seconds(overall['slurm_median_error'])} of Slurm's own"
        )
        series.append(Series("squeue --start", names, [group["slurm_median_error"] for group in groups], colour=1))
        columns.append("Of Slurm")
    rows = [
        (
            line.name,
            f"{line.forecasts:,}",
            line.median_error,
            *([line.slurm_median_error] if overall["compared"] else ()),
        )
        for line in lines(groups)
    ]
    return Chart("errors", "column", title, f"{finding}.", *axes, series, TextTable(columns, rows))


def _name(group: Mapping[str, Any]) -> str:
    name = str(group["name"])
    return f"{datetime.fromisoformat(name):%-d %b %Y %H:%M:%S}" if group.get("by") == "instant" else name or "none"


def _seconds(value: float | None) -> str:
    return BEYOND if value is None else duration(value)
