"""Charts of a run's electricity: the series it names over its own span, and what its energy emitted and cost."""

from collections.abc import Iterator, Sequence

import numpy as np

from apps.live.play.configuration import RunConfiguration
from apps.live.play.electricity import series_on_clock
from apps.live.play.options import InvalidOption
from apps.metrics.models import Metric
from apps.results.models import Run
from scheduler_sim.display.charts import Axis, Chart, Series, TextTable
from scheduler_sim.display.formatting import duration, quantity
from scheduler_sim.engine.series import KINDS, StepSeries
from scheduler_sim.engine.series.shown import shown

POINTS = 480
"""Steps that a chart shows at most; of a span with more, the lowest and the highest of equal parts."""

MOST_REPEATED = 1_000_000
"""Steps of a series that repeats which are looked at for a chart; of more than that it shows means."""

TABLE_ROWS = 12


def electricity_charts(run: Run, totals: Sequence[Metric]) -> Iterator[Chart]:
    """Yield a chart of each series that the run names, and of its carbon and price; none for a run without series."""
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
    whole = steps.integral(np.array([first]), np.array([last]))[0] / max(last - first, 1e-9)
    if steps.beyond == "repeat" and (last - first) / steps.span * len(steps.times) > MOST_REPEATED:
        edges = np.linspace(first, last, POINTS + 1)
        values = steps.integral(edges[:-1], edges[1:]) / np.maximum(np.diff(edges), 1e-9)
    else:
        edges, values = shown(steps, first, last, POINTS)
    known = values[~np.isnan(values)]
    finding = f"Series {name} tells nothing of this span."
    if len(known):
        finding = f"Series {name} goes from {known.min():,.4g} to {known.max():,.4g} {of.unit} here"
        finding += f", {whole:,.4g} on average." if whole == whole else "; it does not cover all of it."
    told = np.linspace(0, len(values) - 1, min(TABLE_ROWS, len(values))).astype(int)
    rows = [(duration(float(edges[at] - first)), f"{values[at]:,.4g} {of.unit}") for at in told if len(known)]
    series = [Series(name, (edges[:-1] - first).tolist(), values.tolist())] if len(known) else []
    return Chart(
        f"series-{kind.replace('_', '-')}",
        "step",
        f"{of.label} over time",
        finding,
        Axis("Workload time", "s"),
        Axis(of.label, of.unit),
        series,
        TextTable(("From", of.label), rows),
        group="time",
        height="short",
    )


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
