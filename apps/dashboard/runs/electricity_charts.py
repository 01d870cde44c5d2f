"""Charts of a run's electricity: the series it names over its own span, and what its energy emitted and cost."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from apps.live.play.configuration import RunConfiguration
from apps.live.play.electricity import series_on_clock
from apps.live.play.options import InvalidOption
from apps.metrics.models import Metric
from apps.results.models import Run
from scheduler_sim.display.appearance import appearance
from scheduler_sim.display.charts import Axis, Chart, Series, TextTable, thin
from scheduler_sim.display.formatting import duration, quantity
from scheduler_sim.engine.series import KINDS, StepSeries
from scheduler_sim.engine.series.shown import shown
from scheduler_sim.engine.units import SECONDS_PER_HOUR

POINTS = 480
"""Steps that a chart shows at most; of a span with more, the lowest and the highest of equal parts."""

MOST_REPEATED = 1_000_000
"""Steps of a series that repeats which are looked at for a chart; of more than that it shows means."""

TABLE_ROWS = 12


class _Rate(NamedTuple):
    """What a chart shows of what windows took by the time: of a `figure`, each `seconds`, in `unit`."""

    key: str
    label: str
    figure: str
    seconds: float
    unit: str
    sentence: str


_RATES = (
    _Rate("power", "Power", "energy_joules", 1.0, "W", "Tasks and idle devices draw"),
    _Rate("carbon-over-time", "Carbon", "carbon_kg", SECONDS_PER_HOUR, "kg/h", "Tasks and idle devices emit"),
    _Rate(
        "electricity-over-time",
        "Electricity",
        "electricity_usd",
        SECONDS_PER_HOUR,
        "USD/h",
        "The electricity of tasks and idle devices costs",
    ),
)

OF_WINDOWS = tuple(name for rate in _RATES for name in (rate.figure, f"idle_{rate.figure}"))
"""Figures of windows that are drawn: of tasks, and of idle devices."""


def electricity_charts(run: Run, totals: Sequence[Metric], windows: Mapping[str, Sequence[Any]]) -> Iterator[Chart]:
    """Yield a chart of each series that the run names, and of its carbon and price; none for a run without series.

    Args:
        totals: the whole-run figures, in rank order. windows: those of each policy, in the order of time, with
            `OF_WINDOWS`.
    """
    if not totals or not run.configuration.get("series"):
        return
    first = min(total.window_start_time for total in totals)
    last = max(total.window_end_time for total in totals)
    try:
        named = series_on_clock(RunConfiguration.from_json(run.configuration), run.workload)
    except InvalidOption as error:
        # Figures were stored with the run; the series is not there any more.
        yield Chart("series", "step", "Series", str(error), Axis("Workload time", "s"), Axis(""), [])
    else:
        for name, kind, steps in named:
            yield _series(name, kind, steps, first, last)
    for rate in _RATES:
        yield from _over_time(rate, totals, windows)
    for key, title, figure, unit, measure in (
        ("carbon", "Carbon", "carbon_kg", "kg", "kilograms"),
        ("electricity", "Price of electricity", "electricity_usd", "usd", "dollars"),
    ):
        known = [(total, value) for total in totals if (value := getattr(total, figure)) is not None]
        if known:
            yield _stack(key, title, figure, unit, measure, known)


def _series(name: str, kind: str, steps: StepSeries, first: float, last: float) -> Chart:
    """Draw a series with its peaks; one that repeats very often as the means over equal parts of the span."""
    of = KINDS[kind]
    unit = f" {of.shown_unit}".rstrip()
    whole = steps.integral(np.array([first]), np.array([last]))[0] / max(last - first, 1e-9)
    if steps.beyond == "repeat" and (last - first) / steps.span * len(steps.times) > MOST_REPEATED:
        edges = np.linspace(first, last, POINTS + 1)
        values = steps.integral(edges[:-1], edges[1:]) / np.maximum(np.diff(edges), 1e-9)
    else:
        edges, values = shown(steps, first, last, POINTS)
    known = values[~np.isnan(values)]
    finding = f"Series {name} tells nothing of this span."
    if len(known):
        finding = f"Series {name} goes from {known.min():,.4g} to {known.max():,.4g}{unit} here"
        finding += f", {whole:,.4g} on average." if whole == whole else "; it does not cover all of it."
    told = np.linspace(0, len(values) - 1, min(TABLE_ROWS, len(values))).astype(int)
    rows = [(duration(float(edges[at] - first)), f"{values[at]:,.4g}{unit}") for at in told if len(known)]
    series = [Series(name, (edges[:-1] - first).tolist(), values.tolist())] if len(known) else []
    return Chart(
        f"series-{kind.replace('_', '-')}",
        "step",
        f"{of.label} over time",
        finding,
        Axis("Workload time", "s"),
        Axis(of.label, of.shown_unit),
        series,
        TextTable(("From", of.label), rows),
        group="time",
        height="short",
    )


def _over_time(rate: _Rate, totals: Sequence[Metric], windows: Mapping[str, Sequence[Any]]) -> Iterator[Chart]:
    """Yield the chart of what each window took, tasks and idle devices together; none where no window knows it."""
    lines, means = [], []
    for total in totals:
        of_policy = windows.get(total.scheduler, ())
        values = [_by_time(rate, window) for window in of_policy]
        if not any(value is not None for value in values):
            continue
        first = of_policy[0].window_start_time
        ends = [window.window_end_time - first for window in of_policy]
        look = appearance(total.scheduler)
        known = [np.nan if value is None else value for value in values]
        lines.append(Series(total.scheduler, *thin(ends, known), look.colour, look.dash))
        if (mean := _by_time(rate, total)) is not None:
            means.append((mean, total.scheduler))
    if not lines:
        return
    finding = "Not all of the run is known."
    if means:
        least, most = (choose(means) for choose in (min, max))
        finding = f"{rate.sentence} {least[0]:,.4g} {rate.unit} on average under {least[1]}"
        finding += "." if least[1] == most[1] else f", and {most[0]:,.4g} {rate.unit} under {most[1]}."
    times = lines[0].x
    rows = [
        (duration(times[at]), *("" if line.y[at] != line.y[at] else f"{line.y[at]:,.4g} {rate.unit}" for line in lines))
        for at in np.linspace(0, len(times) - 1, min(TABLE_ROWS, len(times))).astype(int)
    ]
    is_below_zero = any(value < 0 for line in lines for value in line.y)
    yield Chart(
        rate.key,
        "line",
        f"{rate.label} over time",
        finding,
        Axis("Workload time", "s"),
        Axis(rate.label, rate.unit, "free" if is_below_zero else "linear"),
        lines,
        TextTable(("Until", *(line.name for line in lines)), rows),
        group="time",
        height="short",
    )


def _by_time(rate: _Rate, of: Any) -> float | None:
    """Return what a window, or the whole run, took by the time, in the rate's unit; None where that is not known."""
    busy, idle = getattr(of, rate.figure), getattr(of, f"idle_{rate.figure}")
    span = of.window_end_time - of.window_start_time
    return None if busy is None or idle is None or span <= 0 else rate.seconds * (busy + idle) / span


def _stack(key: str, title: str, figure: str, unit: str, measure: str, known: Sequence[tuple[Metric, float]]) -> Chart:
    names = [total.scheduler for total, _ in known]
    busy = [value for _, value in known]
    idle = [getattr(total, f"idle_{figure}") or 0.0 for total, _ in known]
    least, most = (choose(zip(busy, names, strict=True)) for choose in (min, max))
    finding = f"Tasks come to {quantity(measure, least[0])} under {least[1]}"
    finding += "." if least[0] == most[0] else f" and to {quantity(measure, most[0])} under {most[1]}."
    rows = [
        (name, quantity(measure, one), quantity(measure, other), quantity(measure, one + other))
        for name, one, other in zip(names, busy, idle, strict=True)
    ]
    return Chart(
        key,
        "stack",
        title,
        finding,
        Axis("Policy", "", "category"),
        Axis(title, unit),
        [Series("busy", names, busy), Series("idle", names, idle)],
        TextTable(("Policy", "Busy", "Idle", "Both"), rows),
    )
