"""A chart as data: what the page draws, what the CSV holds and what the table behind it says are one object."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

SERIES_POINTS = 600
"""At most so many points of one line are sent to the browser."""

PAPER_WIDTHS = {"single": 3.33, "double": 7.0}
"""Inches of one and of both columns of a paper, by what they are called."""

AXIS_UNITS = {
    "seconds": "s",
    "share": "share",
    "joules": "J",
    "dollars": "usd",
    "kilograms": "kg",
    "per_second": "a second",
}
"""What an axis' unit is called by the quantity of what is along it; of others, numbers stand without one."""

SCATTER_POINTS = 4_000
"""At most so many points of one scatter are sent to the browser."""


@dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        label: what it measures.
        unit: one of `AXIS_UNITS` (a `share` is a part of 1), which the browser scales for reading; any other is written
            as it is, and an empty one stands for plain numbers.
        scale: `linear` (from zero), `free` (linear, from where the data begin), `log` or `category`.
    """

    label: str
    unit: str = ""
    scale: str = "linear"


@dataclass(frozen=True)
class Series:
    """One line, row of bars or cloud of points.

    Attributes:
        name: as the legend says it.
        x, y: as long as each other; None in y is a gap.
        colour: number of the policy's colour, None for the page's own ink.
        dash: number of the policy's dash.
        mark: number of the mark on a line, which tells runs of one policy apart; 0 for none.
        labels: what each point is called, where a point has a name.
        low, high: the band around a line, as long as y.
    """

    name: str
    x: Sequence[Any]
    y: Sequence[Any]
    colour: int | None = None
    dash: int = 0
    mark: int = 0
    labels: Sequence[str] | None = None
    low: Sequence[float | None] | None = None
    high: Sequence[float | None] | None = None


@dataclass(frozen=True)
class TextTable:
    """The table behind a chart, formatted for reading; the numbers in full are in the CSV."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Chart:
    """Everything about one chart.

    Attributes:
        key: its name within the page, used in addresses.
        kind: `line`, `step`, `bar`, `stack`, `column`, `interval` or `scatter`.
        title: what it shows.
        finding: one sentence with what can be read from it; also the text for people who cannot see it.
        x, y: the axes.
        series: what is drawn; empty when there is no data.
        table: the table behind the disclosure.
        group: charts of one group share the cursor and the zoom.
        height: `short`, empty or `tall`.
    """

    key: str
    kind: str
    title: str
    finding: str
    x: Axis
    y: Axis
    series: Sequence[Series]
    table: TextTable = field(default_factory=lambda: TextTable((), ()))
    group: str = ""
    height: str = ""

    @property
    def area(self) -> str:
        """The height of the drawing as a class of the style sheet: what was asked for, else what the bars need."""
        if self.height or self.kind not in ("bar", "stack", "interval"):
            return self.height
        bars = len({name for series in self.series for name in (series.y if self.kind == "interval" else series.x)})
        return "brief" if bars <= 4 else "short" if bars <= 8 else ""

    def as_json(self) -> dict[str, Any]:
        """Return what the browser draws from; no NaN, shortened numbers."""
        return {
            "key": self.key,
            "kind": self.kind,
            "title": self.title,
            "finding": self.finding,
            "x": vars(self.x),
            "y": vars(self.y),
            "group": self.group,
            "series": [
                {
                    "name": series.name,
                    "x": [plain(value) for value in series.x],
                    "y": [plain(value) for value in series.y],
                    "colour": series.colour,
                    "dash": series.dash,
                    **({"mark": series.mark} if series.mark else {}),
                    **({"labels": list(series.labels)} if series.labels is not None else {}),
                    **({"low": _plain_list(series.low)} if series.low is not None else {}),
                    **({"high": _plain_list(series.high)} if series.high is not None else {}),
                }
                for series in self.series
            ],
        }

    def csv_rows(self) -> Iterable[Sequence[Any]]:
        """Yield a head and one row a point: series, x, y, and the band where there is one."""
        if any(series.low is not None and series.high is not None for series in self.series):
            yield ("series", _csv_head(self.x), _csv_head(self.y), "low", "high")
            for series in self.series:
                gaps = [None] * len(series.y)
                for row in zip(series.x, series.y, series.low or gaps, series.high or gaps, strict=True):
                    yield (series.name, *map(plain, row))
            return
        yield ("series", _csv_head(self.x), _csv_head(self.y))
        for series in self.series:
            for x, y in zip(series.x, series.y, strict=True):
                yield (series.name, plain(x), plain(y))


TIME_DIGITS = 12
"""Significant digits of an instant on a workload's clock, which may count from 1970: to the millisecond."""


def plain(value: Any, digits: int = 6) -> Any:
    """Return a value as JSON can hold it: None for NaN and infinities, floats with so many significant digits."""
    if value is None or isinstance(value, str | bool | int):
        return value
    number = float(value)
    if not math.isfinite(number):
        return None
    number = float(f"{number:.{digits}g}")
    return int(number) if number.is_integer() else number


def _plain_list(values: Sequence[Any]) -> list[Any]:
    return [plain(value) for value in values]


def thin(x: npt.ArrayLike, y: npt.ArrayLike, most: int = SERIES_POINTS) -> tuple[list[float], list[float]]:
    """Return at most `most` points of a line that keep its lowest and highest values.

    The points are cut into equal spans of the sequence, and of each span the lowest and the highest point stay in
    their order, so that no peak is lost; ends stay too. Gaps (NaN) count as points of their own.
    """
    xs, ys = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if len(xs) <= most:
        return xs.tolist(), ys.tolist()
    spans = np.array_split(np.arange(len(xs)), max(1, (most - 2) // 2))
    keep = {0, len(xs) - 1}
    for span in spans:
        part = ys[span]
        if np.isnan(part).all():
            keep.add(int(span[0]))
            continue
        keep.update((int(span[np.nanargmin(part)]), int(span[np.nanargmax(part)])))
    rows = sorted(keep)
    return xs[rows].tolist(), ys[rows].tolist()


def sample_rows(count: int, most: int = SCATTER_POINTS) -> npt.NDArray[np.int64]:
    """Return at most `most` row numbers out of `count`, evenly spread, the same ones every time."""
    if count <= most:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, most).round().astype(np.int64))


def cumulative(counts: npt.NDArray[np.int64], upper: npt.NDArray[np.float64]) -> tuple[list[float], list[float]]:
    """Return the share of values up to each upper edge, from the last empty bin below to the first full one.

    Args:
        counts: shape (k,), how many values fall in each bin.
        upper: shape (k,), the bins' upper edges, ascending.
    """
    total = int(counts.sum())
    if not total:
        return [], []
    held = np.flatnonzero(counts)
    first, last = max(0, int(held[0]) - 1), int(held[-1])
    share = np.cumsum(counts) / total
    return upper[first : last + 1].tolist(), share[first : last + 1].tolist()


def _csv_head(axis: Axis) -> str:
    return f"{axis.label} [{axis.unit}]" if axis.unit else axis.label
