"""The charts of one run, all from the figures stored when it ended; no placement is read."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from apps.dashboard.runs.agent_chart import agent_chart
from apps.dashboard.runs.electricity_charts import OF_WINDOWS, electricity_charts
from apps.dashboard.runs.fairness_chart import fairness_chart
from apps.dashboard.runs.interruption_charts import interruption_charts
from apps.metrics.models import Metric
from apps.results.models import Run
from scheduler_sim.display.appearance import appearance
from scheduler_sim.display.charts import Axis, Chart, Series, TextTable, cumulative, thin
from scheduler_sim.display.formatting import NO_DATA, about, duration, listing, quantity, scale_of
from scheduler_sim.engine.measuring.distributions import FRACTION_BINS
from scheduler_sim.engine.numerics.histogram import BINS, EDGES, LARGEST, LogHistogram

TABLE_ROWS = 12
"""Rows of the tables behind time series; the CSV has all."""


def run_charts(run: Run, totals: Sequence[Metric]) -> dict[str, Chart]:
    """Return the charts by key, in the page's order.

    Args:
        totals: the whole-run figures, in rank order.
    """
    windows = _windows(run)
    charts = [
        completion_times([(total.scheduler, total) for total in totals]),
        _over_time("cpu-use", "CPU use over time", "cpu_utilisation", Axis("CPU use", "share"), totals, windows),
        _over_time(
            "gpu-use",
            "GPU use (allocation ratio) over time",
            "gpu_utilisation",
            Axis("GPU use", "share"),
            totals,
            windows,
        ),
        _over_time(
            "gpu-fragmentation",
            "GPU fragmentation over time",
            "gpu_fragmentation",
            Axis("GPUs fragmented", "share"),
            totals,
            windows,
        ),
        _over_time("queue", "Queue length over time", "mean_queue_length", Axis("Tasks waiting"), totals, windows),
        *electricity_charts(run, totals, windows),
        _wait_by_size(totals),
        *fairness_chart(totals),
        _fractions(totals),
        agent_chart(totals),
        *interruption_charts(totals),
        _energy(totals),
        _bars("cost", "Cost", "cost_usd", Axis("Cost", "usd"), "dollars", totals),
    ]
    return {
        chart.key: chart
        for chart in charts
        if chart.series or chart.key not in ("gpu-use", "gpu-fragmentation", "fractions", "agent", "cost")
    }


def completion_times(named: Sequence[tuple[str, Metric]]) -> Chart:
    """Draw the distribution of completion times, one line a policy and run, from the stored histograms.

    Args:
        named: what each line is called, and whose it is.
    """
    series, rows = [], []
    upper = np.append(EDGES, LARGEST)
    percents = (5, 10, 25, 50, 75, 90, 95, 99)
    medians = {}
    runs = list(dict.fromkeys(total.run_id for _, total in named))
    for name, total in named:
        document = total.details.get("histograms", {}).get("job_completion_time")
        if not document:
            continue
        histogram = LogHistogram.from_json(document)
        x, y = cumulative(histogram.counts, upper[:BINS])
        look = appearance(total.scheduler)
        series.append(Series(name, x, y, look.colour, look.dash, mark=runs.index(total.run_id)))
        medians[name] = total.p50_job_completion_time
        rows.append((name, *(_percentile(total, histogram, percent) for percent in percents)))
    known = {name: value for name, value in medians.items() if value is not None}
    finding = "No task has finished."
    if known:
        best, worst = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
        finding = f"Half of the tasks are complete within {duration(known[best])} under {best}"
        finding += f", and within {duration(known[worst])} under {worst}." if worst != best else "."
    return Chart(
        "completion",
        "line",
        "Completion times",
        finding,
        Axis("JCT", "s", "log"),
        Axis("Tasks complete", "share"),
        series,
        TextTable(("Policy", *(f"{percent}%" for percent in percents)), rows),
    )


def _percentile(total: Metric, histogram: LogHistogram, percent: int) -> str:
    """Write a percentile of completion times: as stored where it is, else out of the histogram and marked as such."""
    stored = getattr(total, f"p{percent}_job_completion_time", None)
    if stored is not None:
        return duration(stored)
    extremes = (total.min_job_completion_time, total.max_job_completion_time)
    least, most = (np.inf if value is None else value for value in extremes)
    return about(duration(float(min(max(histogram.percentile(percent), least), most))))


def _windows(run: Run) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    fields = ("scheduler", "window_start_time", "window_end_time")
    figures = ("cpu_utilisation", "gpu_utilisation", "gpu_fragmentation", "mean_queue_length", *OF_WINDOWS)
    windows = Metric.objects.windows().filter(run=run).order_by("scheduler", "window_start_time")
    for window in windows.values_list(*fields, *figures, named=True):
        found.setdefault(window.scheduler, []).append(window)
    return found


def _over_time(
    key: str, title: str, figure: str, axis: Axis, totals: Sequence[Metric], windows: dict[str, list[Any]]
) -> Chart:
    series, columns = [], []
    for total in totals:
        of_policy = windows.get(total.scheduler, [])
        values = [getattr(window, figure) for window in of_policy]
        if not any(value is not None for value in values):
            continue
        first = of_policy[0].window_start_time
        x, y = thin(
            [window.window_end_time - first for window in of_policy],
            [np.nan if value is None else value for value in values],
        )
        look = appearance(total.scheduler)
        series.append(Series(total.scheduler, x, y, look.colour, look.dash))
        columns.append((total.scheduler, x, y))
    finding = _over_time_finding(figure, totals) if series else "This run has no such figures."
    rows = []
    if columns:
        kind = "share" if axis.unit == "share" else "ratio"
        scale = scale_of(kind, [value for _, _, y in columns for value in y])
        for at in np.linspace(0, len(columns[0][1]) - 1, min(TABLE_ROWS, len(columns[0][1]))).astype(int):
            rows.append((duration(columns[0][1][at]), *(scale.with_unit(y[at]) for _, _, y in columns)))
    return Chart(
        key,
        "line",
        title,
        finding,
        Axis("Workload time", "s"),
        axis,
        series,
        TextTable(("Until", *(name for name, _, _ in columns)), rows),
        group="time",
        height="short",
    )


def _over_time_finding(figure: str, totals: Sequence[Metric]) -> str:
    known = [(getattr(total, figure), total.scheduler) for total in totals if getattr(total, figure) is not None]
    if not known:
        return NO_DATA.capitalize() + "."
    low, high = min(known), max(known)
    if figure == "mean_queue_length":
        if not high[0]:
            return "No task ever waits."
        peak = max((total.max_queue_length or 0, total.scheduler) for total in totals)
        return (
            f"On average {quantity('ratio', low[0])} tasks wait under {low[1]} and {quantity('ratio', high[0])} under "
            f"{high[1]}; the longest queue is {peak[0]:,} under {peak[1]}."
        )
    most, least = quantity("share", high[0]), quantity("share", low[0])
    if figure == "gpu_fragmentation":
        if most == least:
            return f"On average {most} of all GPUs is idle and expected to be of no use to a task, under every policy."
        return (
            f"The share of all GPUs that is idle and expected to be of no use to a task is least under {low[1]}, "
            f"{least} on average, and most under {high[1]}, {most}."
        )
    if high[0] - low[0] < 0.005:
        return f"All policies use {most} over the whole run."
    return f"Over the whole run {high[1]} uses the most, {most}; {low[1]} the least, {least}."


def _wait_by_size(totals: Sequence[Metric]) -> Chart:
    series, spread = [], []
    table: dict[tuple[float, float, int], dict[str, float]] = {}
    for total in totals:
        bins = [one for one in total.details.get("wait_by_size", []) if one["count"]]
        if not bins:
            continue
        look = appearance(total.scheduler)
        middle = [float(np.sqrt(one["from"] * one["to"])) for one in bins]
        waits = [one["mean_wait_time"] for one in bins]
        series.append(Series(total.scheduler, middle, waits, look.colour, look.dash))
        for one in bins:
            table.setdefault((one["from"], one["to"], one["count"]), {})[total.scheduler] = one["mean_wait_time"]
        spread.append((waits[-1] - waits[0], total.scheduler, waits[0], waits[-1]))
    names = [one.name for one in series]
    rows = [
        (f"{low:,.3g} to {high:,.3g}", f"{count:,}", *(duration(waits.get(name)) for name in names))
        for (low, high, count), waits in sorted(table.items())
    ]
    finding = "This run stores no waits by amount of work."
    if spread:
        _, name, small, large = max(spread)
        finding = (
            f"Under {name} tasks of least work wait {duration(small)} and those of most {duration(large)} on average"
        )
        even = min(spread, key=lambda one: abs(one[0]))
        finding += f"; {even[1]} treats them most alike." if len(spread) > 1 else "."
        if not any(wait for line in series for wait in line.y):
            finding = "No task waits."
    return Chart(
        "wait-by-size",
        "line",
        "Wait by amount of work",
        finding,
        Axis("Amount of work (run time in s where none is stated)", "", "log"),
        Axis("Mean wait", "s"),
        series,
        TextTable(("Work", "Tasks", *names), rows),
    )


def _fractions(totals: Sequence[Metric]) -> Chart:
    series, rows, means = [], [], []
    labels = [f"{number / FRACTION_BINS:.2f} to {(number + 1) / FRACTION_BINS:.2f}" for number in range(FRACTION_BINS)]
    middle = [(number + 0.5) / FRACTION_BINS for number in range(FRACTION_BINS)]
    for total in totals:
        counts = np.array(total.details.get("fraction_counts") or [], float)
        if not counts.sum():
            continue
        look = appearance(total.scheduler)
        series.append(Series(total.scheduler, middle, (counts / counts.sum()).tolist(), look.colour, look.dash))
        means.append((float(np.dot(middle, counts) / counts.sum()), total.scheduler))
    if series:
        rows = [(label, *(quantity("share", one.y[number]) for one in series)) for number, label in enumerate(labels)]
    finding = "No task of this run can be split between CPU and GPU."
    if means:
        finding = (
            f"{max(means)[1]} gives the GPU the largest part, about {max(means)[0]:.0%} on average, "
            f"{min(means)[1]} the smallest, about {min(means)[0]:.0%}."
        )
    return Chart(
        "fractions",
        "line",
        "Part of the work done on the GPU",
        finding,
        Axis("gpu_fraction"),
        Axis("Split tasks", "share"),
        series,
        TextTable(("gpu_fraction", *(one.name for one in series)), rows),
    )


def _energy(totals: Sequence[Metric]) -> Chart:
    known = [(total, joules) for total in totals if (joules := total.energy_joules) is not None]
    names = [total.scheduler for total, _ in known]
    busy = [joules for _, joules in known]
    idle = [total.idle_energy_joules for total, _ in known]
    whole = [one + (other or 0.0) for one, other in zip(busy, idle, strict=True)]
    series = [Series("busy", names, busy), Series("idle", names, idle)] if any(whole) else []
    finding = (
        "The cluster's description names no watts."
        if not series
        else _least(names, whole, "energy with what idles", "joules")
    )
    rows = [
        (name, quantity("joules", one), quantity("joules", other), quantity("joules", both))
        for name, one, other, both in zip(names, busy, idle, whole, strict=True)
    ]
    return Chart(
        "energy",
        "stack",
        "Energy",
        finding,
        Axis("Policy", "", "category"),
        Axis("Energy", "J"),
        series,
        TextTable(("Policy", "Busy", "Idle", "Both"), rows if series else []),
    )


def _bars(key: str, title: str, figure: str, axis: Axis, kind: str, totals: Sequence[Metric]) -> Chart:
    known = [(total.scheduler, getattr(total, figure)) for total in totals if getattr(total, figure)]
    names, values = [name for name, _ in known], [value for _, value in known]
    series = [Series(name, [name], [value], appearance(name).colour, appearance(name).dash) for name, value in known]
    finding = _least(names, values, title.lower(), kind) if series else f"This run has no {title.lower()}."
    rows = [(name, quantity(kind, value)) for name, value in known]
    return Chart(
        key, "bar", title, finding, Axis("Policy", "", "category"), axis, series, TextTable(("Policy", title), rows)
    )


def _least(names: Sequence[str], values: Sequence[float], what: str, kind: str) -> str:
    low, high = min(values), max(values)
    if high <= low * 1.005:
        return f"All policies need about the same {what}, {quantity(kind, low)}."
    least = [name for name, value in zip(names, values, strict=True) if value <= low * 1.0005]
    most = names[values.index(high)]
    verb = "needs" if len(least) == 1 else "need"
    return f"{listing(least)} {verb} the least {what}, {quantity(kind, low)}; {most} the most, {quantity(kind, high)}."
