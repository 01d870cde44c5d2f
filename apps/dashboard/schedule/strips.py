"""The series of a run's electricity over a window, as strips under its schedule and its race."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db.models import Max

from apps.live.play.configuration import RunConfiguration
from apps.live.play.electricity import series_on_clock
from apps.live.play.options import InvalidOption
from apps.metrics.models import Metric
from apps.results.models import Run
from scheduler_sim.display.charts import plain
from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.series import KINDS, StepSeries
from scheduler_sim.engine.series.shown import shown
from scheduler_sim.engine.workloads.columns import FloatArray

STEPS = 400
"""Steps that a strip shows at most; where a window holds more, the lowest and the highest of equal parts of it."""

FARTHEST = 1e11
"""Seconds from the clock's zero beyond which nothing is asked for: some 3,000 years."""


@dataclass(frozen=True)
class Strip:
    """One series in a window.

    Attributes:
        kind, name, label, unit: of the series; the unit as people see it, empty for a plain number.
        times: limits of the steps, one more than values; seconds on the workload's clock. None in values is unknown.
        drawn_times, drawn: of a power cap, what the devices drew under the policy: means over the windows of the run's
            figures, W; none where that is not known.
        finding: one sentence; also the text for people who do not see it.
    """

    kind: str
    name: str
    label: str
    unit: str
    times: list[float]
    values: list[float | None]
    drawn_times: list[float]
    drawn: list[float | None]
    finding: str

    @property
    def title(self) -> str:
        """What stands above it."""
        units = [self.unit] if self.unit else []
        if self.drawn:
            units.append("dashed")
        title = f"{self.label} ({', '.join(units)}), {self.name}" if units else f"{self.label}, {self.name}"
        return f"{title}, and what is drawn" if self.drawn else title

    def as_json(self) -> dict[str, Any]:
        """Return what the browser draws from."""
        return {
            **vars(self),
            "title": self.title,
            "values": [plain(one) for one in self.values],
            "drawn": [plain(one) for one in self.drawn],
        }


def strips(run: Run, begin: float, end: float, scheduler: str = "") -> list[Strip]:
    """Return the series that a run names, from `begin` to `end`; none for a run without, or of series that are gone.

    Args:
        begin, end: seconds on the workload's clock.
        scheduler: whose power stands beside a power cap; empty for nobody's.
    """
    if not run.configuration.get("series") or not begin < end:
        return []
    try:
        named = series_on_clock(RunConfiguration.from_json(run.configuration), run.workload)
    except InvalidOption:
        # Figures were stored with the run; the series is not there any more.
        return []
    return [_strip(run, one, begin, end, scheduler) for one in named]


def whole_span(run: Run) -> tuple[float, float]:
    """Return from when until when a run's clock goes, as far as that is known: its arrivals, and what came of them."""
    begin = run.configuration.get("begin_time")
    begin = run.workload.first_arrival_time if begin is None else begin
    ends = Metric.objects.totals().filter(run=run).aggregate(last=Max("window_end_time"))
    return begin, max(run.workload.last_arrival_time, ends["last"] or begin)


def csv_rows(every: list[Strip]) -> list[list[Any]]:
    """Return a head and one row a step."""
    rows: list[list[Any]] = [["series", "kind", "unit", "from", "to", "value"]]
    for one in every:
        for name, times, values in ((one.name, one.times, one.values), ("drawn", one.drawn_times, one.drawn)):
            for at, value in enumerate(values):
                rows.append([name, one.kind, one.unit, times[at], times[at + 1], plain(value)])
    return rows


def _strip(run: Run, named: tuple[str, str, StepSeries], begin: float, end: float, scheduler: str) -> Strip:
    name, kind, steps = named
    of = KINDS[kind]
    drawn_times, drawn = _drawn(run, scheduler, begin, end) if kind == "power_cap" and scheduler else ([], [])
    try:
        times, values = shown(steps, begin, end, STEPS)
    except InvalidParameter as error:
        return Strip(kind, name, of.label, of.shown_unit, [], [], [], [], str(error))
    finding = _finding(f"{of.label} ({name})", of.shown_unit, values, steps, begin, end)
    known = [one for one in drawn if one is not None]
    if known:
        finding += (
            f" Under {scheduler} the devices draw {min(known):,.4g} to {max(known):,.4g} W, on average of windows."
        )
    found = values.astype(object)
    found[np.isnan(values)] = None
    return Strip(kind, name, of.label, of.shown_unit, times.tolist(), found.tolist(), drawn_times, drawn, finding)


def _finding(title: str, unit: str, values: FloatArray, steps: StepSeries, begin: float, end: float) -> str:
    unit = f" {unit}".rstrip()
    known = values[~np.isnan(values)]
    if not len(known):
        return f"{title}: nothing is known of this window."
    if known.min() == known.max():
        return f"{title}: {known[0]:,.4g}{unit} all the time."
    mean = float(steps.integral(np.array([begin]), np.array([end]))[0]) / (end - begin)
    tail = "it does not cover all of the window." if np.isnan(mean) else f"{mean:,.4g} on average."
    return f"{title}: {known.min():,.4g} to {known.max():,.4g}{unit}, {tail}"


def _drawn(run: Run, scheduler: str, begin: float, end: float) -> tuple[list[float], list[float | None]]:
    """Return limits of windows, one more than there are values, and what all devices drew in each, W."""
    names = ("window_start_time", "window_end_time", "energy_joules", "idle_energy_joules")
    stored = Metric.objects.windows().filter(
        run=run, scheduler=scheduler, window_end_time__gt=begin, window_start_time__lt=end
    )
    rows = list(stored.order_by("window_start_time").values_list(*names))
    if not rows:
        return [], []
    values = [
        None if busy is None or idle is None or until <= since else (busy + idle) / (until - since)
        for since, until, busy, idle in rows
    ]
    times = [max(since, begin) for since, *_ in rows]
    return [*times, min(rows[-1][1], end)], values
