"""The Gantt chart of a window, of a long run from no more than the window shows."""

from dataclasses import replace

from apps.dashboard.instants.asked import clock_span
from apps.dashboard.instants.load import thinned
from apps.dashboard.schedule.around import (
    MOST_AT_ONCE,
    MOST_TASKS,
    is_long,
    named_between,
    newest_placements,
    placements_of,
)
from apps.dashboard.schedule.gantt import Drawing, Gantt, Window, gantt
from apps.dashboard.schedule.placements import placements
from apps.dashboard.schedule.strips import strips
from apps.metrics.models import Metric
from apps.results.models import Run, Stretch
from scheduler_sim.display.formatting import duration

USES = {"cores": "cpu_utilisation", "GPUs": "gpu_utilisation"}
"""Lanes of a window of too many tasks, and the stored figures that they are drawn from."""


def gantt_window(run: Run, scheduler: str, window: Window) -> Gantt:
    """Return the chart of a window.

    With it come the series that the run names, in the same window. Of a long run the tasks of the window are read;
    where they are more than `MOST_TASKS` it is drawn how much was in use, from the run's stored figures.
    """
    chart = _chart(run, scheduler, window)
    return replace(chart, strips=strips(run, chart.window_from, chart.window_to, scheduler))


def _chart(run: Run, scheduler: str, window: Window) -> Gantt:
    if not is_long(run):
        return gantt(run, scheduler, placements(run, scheduler), window)
    begin = run.configuration.get("begin_time")
    begin = run.workload.first_arrival_time if begin is None else begin
    if not Stretch.objects.of_policy(run, scheduler).exists():
        placed = newest_placements(run, scheduler)
        chart = gantt(run, scheduler, placed, window, begin)
        return replace(chart, finding=f"{chart.finding} {_of_newest(run)}")
    first, last = window.within or clock_span(run)
    low, high = window.span(first, last)
    named = named_between(run, scheduler, low, high)
    if named.known_from > low:
        return _in_use(run, scheduler, (first, last), (low, high), at_once=not len(named.keys))
    placed = placements_of(run, scheduler, named.keys)
    return gantt(run, scheduler, placed, replace(window, start=low, end=high, within=(first, last)), begin)


def _of_newest(run: Run) -> str:
    if run.status == Run.Status.FINISHED:
        return (
            f"These are the {MOST_TASKS:,} placements that were stored last; after `manage.py squeue --run {run.pk} "
            "--index` any window can be seen."
        )
    return f"These are the {MOST_TASKS:,} placements that were stored last; a finished run shows any window."


def _in_use(run: Run, scheduler: str, whole: tuple[float, float], window: tuple[float, float], at_once: bool) -> Gantt:
    """Draw how much was in use in each of the windows of the run's figures that lie in the one asked for.

    Args:
        at_once: too many tasks were in the system at one time for a shorter window to be drawn task by task.
    """
    (first, _), (low, high) = whole, window
    stored = Metric.objects.windows().filter(
        run=run, scheduler=scheduler, window_end_time__gt=low, window_start_time__lt=high
    )
    names = ("window_start_time", "window_end_time", *USES.values())
    rows = list(stored.order_by("window_start_time").values_list(*names))
    has_gpus = any(group.get("gpus") for group in run.cluster["groups"])
    lanes = list(USES) if has_gpus else ["cores"]
    items = []
    for lane in range(len(lanes)):
        parts = thinned([(row[0], row[1], 0.0, row[2 + lane] or 0.0) for row in rows])
        items += [[lane, max(begin, low), min(end, high), share] for begin, end, _, share in parts if share > 0.0]
    span = f"between {duration(low - first)} and {duration(high - first)} after the first arrival"
    why = f"More than {MOST_TASKS:,} tasks were in the system: zoom in until it is drawn where they ran."
    if at_once:
        why = f"More than {MOST_AT_ONCE:,} tasks were in the system at once: it is not drawn where they ran."
    return Gantt.of(
        Drawing(lanes, items, "use"),
        whole,
        window,
        scheduler=scheduler,
        level="shades",
        finding=f"How much of the {' and '.join(lanes)} was in use under {scheduler} {span}. {why}",
    )
