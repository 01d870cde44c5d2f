"""What a workload looks like before any policy touches it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from django.core.cache import cache

from apps.tasks.models import Task, Workload
from scheduler_sim.display.charts import Axis, Chart, Series, TextTable, thin
from scheduler_sim.display.formatting import duration, quantity

ARRIVAL_BINS = 120
CDF_POINTS = 512
USERS_SHOWN = 12


@dataclass(frozen=True)
class WorkloadPortrait:
    """Charts and facts of one workload.

    Attributes:
        charts: by key, in the page's order.
        users: how many distinct users are named, 0 when none is.
        edges: dependencies; most_parents: the most that one task has.
        hybrid: tasks that may be split between CPU and GPU.
        gpu_tasks: tasks that ask for GPUs.
    """

    charts: dict[str, Chart]
    users: int
    edges: int
    most_parents: int
    hybrid: int
    gpu_tasks: int


def portrait(workload: Workload) -> WorkloadPortrait:
    """Return the portrait of a workload; it is kept in the cache, because a workload does not change."""
    key = f"workload-portrait:3:{workload.pk}:{workload.task_count}:{workload.created_at.timestamp()}"
    found: WorkloadPortrait | None = cache.get(key)
    if found is None:
        found = _portrait(workload)
        cache.set(key, found, timeout=None)
    return found


def _portrait(workload: Workload) -> WorkloadPortrait:
    tasks = Task.objects.filter(workload=workload)
    rows = tasks.values_list("arrival_time", "runtime", "duration_estimate", "cpus", "gpus").iterator(chunk_size=20_000)
    columns = np.array(list(rows), np.float64).reshape(-1, 5).T
    arrival, runtime, estimate, cpus, gpus = columns
    users, counts = np.unique(np.array(list(tasks.values_list("user", flat=True)), dtype=object), return_counts=True)
    parents = [len(row) for row in tasks.exclude(dependencies=[]).values_list("dependencies", flat=True).iterator()]
    named = users != ""
    drawn = (
        _arrivals(arrival),
        _times(runtime, estimate),
        *_sizes(cpus, gpus),
        _users(users[named], counts[named], len(arrival)),
    )
    return WorkloadPortrait(
        charts={chart.key: chart for chart in drawn},
        users=int(named.sum()),
        edges=sum(parents),
        most_parents=max(parents, default=0),
        hybrid=tasks.filter(kind=Task.Kind.HYBRID).count(),
        gpu_tasks=int((gpus > 0).sum()),
    )


def _arrivals(arrival: Any) -> Chart:
    title, axes = "Arrivals over time", (Axis("Workload time", "s"), Axis("Tasks"))
    if not len(arrival):
        return Chart("arrivals", "step", title, "The workload holds no task.", *axes, [])
    counts, edges = np.histogram(arrival, bins=ARRIVAL_BINS)
    busiest = int(counts.argmax())
    width = edges[1] - edges[0]
    span = duration(float(arrival[-1] if len(arrival) == 1 else np.ptp(arrival)))
    finding = (
        f"{len(arrival):,} tasks arrive over {span}; the busiest {duration(float(width))} brings {counts[busiest]:,}, "
        f"{counts[busiest] / counts.mean():.1f} times the mean."
    )
    x, y = thin(edges[1:] - edges[0], counts)
    starts = np.arange(0, ARRIVAL_BINS, 10)
    limits = [duration(float(edges[number] - edges[0])) for number in (*starts, ARRIVAL_BINS)]
    rows = [
        (f"{begin} to {end}", f"{count:,}")
        for begin, end, count in zip(limits, limits[1:], np.add.reduceat(counts, starts).tolist(), strict=False)
    ]
    return Chart(
        "arrivals",
        "step",
        title,
        finding,
        *axes,
        [Series("arrivals", x, y)],
        TextTable(("Span", "Tasks"), rows),
        height="short",
    )


def _times(runtime: Any, estimate: Any) -> Chart:
    title, axes = (
        "Run times and what policies are told",
        (Axis("Duration", "s", "log"), Axis("Share of tasks", "share")),
    )
    if not len(runtime):
        return Chart("runtimes", "line", title, "The workload holds no task.", *axes, [])
    known = ~np.isnan(estimate)
    told, real = estimate[known], runtime[known]
    if not known.any():
        about = "No task states an estimate: policies that use estimates are told the true run times."
    elif (told == real).all():
        about = "Estimates are the true run times."
    else:
        about = f"{(told > real).mean():.0%} of the estimates are too long, {(told < real).mean():.0%} too short."
    if known.any() and not known.all():
        about += f" {(~known).sum():,} tasks state none."
    finding = f"Half of the tasks run shorter than {duration(float(np.median(runtime)))}. {about}"
    shares = np.linspace(0, 1, CDF_POINTS)
    lines = [("run time", runtime)] + ([("estimate", told)] if (told != real).any() else [])
    series = [Series(name, np.quantile(values, shares).tolist(), shares.tolist()) for name, values in lines]
    rows = [
        (f"{percent}%", *(duration(float(np.quantile(values, percent / 100))) for _, values in lines))
        for percent in (1, 5, 10, 25, 50, 75, 90, 95, 99, 100)
    ]
    return Chart(
        "runtimes",
        "line",
        title,
        finding,
        *axes,
        series,
        TextTable(("Share of tasks", *(name for name, _ in lines)), rows),
    )


def _sizes(cpus: Any, gpus: Any) -> list[Chart]:
    """Draw the cores and the GPUs that tasks ask for, each over the tasks that ask for some."""
    kinds = (("sizes", "cores", cpus), ("gpus", "GPUs", gpus))
    drawn = [_asked(key, what, asked) for key, what, asked in kinds if (asked > 0).any()]
    return drawn or [_asked("sizes", "cores", cpus)]


def _asked(key: str, what: str, column: Any) -> Chart:
    title, axes = f"Size: {what} asked for", (Axis(what, "", "category"), Axis("Tasks"))
    asked = column[column > 0]
    if not len(asked):
        return Chart(key, "column", title, "The workload holds no task.", *axes, [])
    values, counts = np.unique(asked, return_counts=True)
    if len(values) > 16:
        power = np.ceil(np.log2(np.maximum(asked, 1e-3))).astype(int)
        powers, counts = np.unique(power, return_counts=True)
        labels = [f"≤ {2.0**number:g}" for number in powers.tolist()]
    else:
        labels = [f"{value:g}" for value in values.tolist()]
    most = int(counts.argmax())
    share = f"{counts[most] / len(asked):.0%}"
    asks = labels[most].replace("≤", "at most")
    thing = what.removesuffix("s") if asks.endswith(" 1") or asks == "1" else what
    those = "the tasks" if len(asked) == len(column) else f"the {len(asked):,} tasks with {what}"
    finding = f"{share} of {those} ask for {asks} {thing}; the largest asks for {asked.max():g}."
    rows = [(label, f"{count:,}") for label, count in zip(labels, counts.tolist(), strict=True)]
    return Chart(
        key,
        "column",
        title,
        finding,
        *axes,
        [Series("tasks", labels, counts.tolist())],
        TextTable((what[0].upper() + what[1:], "Tasks"), rows),
    )


def _users(users: Any, counts: Any, tasks: int) -> Chart:
    title, axes = "Who submits", (Axis("User", "", "category"), Axis("Tasks"))
    if not len(users):
        return Chart("users", "bar", title, "The workload names no users.", *axes, [])
    order = np.argsort(-counts, kind="stable")[:USERS_SHOWN]
    names, shown = [str(name) for name in users[order]], counts[order].tolist()
    finding = f"{len(users):,} users; {names[0]} submits the most, {shown[0] / tasks:.0%} of all tasks" + (
        f", and the {len(names)} shown together {quantity('share', sum(shown) / tasks)}." if len(names) > 1 else "."
    )
    rows = [(name, f"{count:,}") for name, count in zip(names, shown, strict=True)]
    return Chart(
        "users", "bar", title, finding, *axes, [Series("tasks", names, shown)], TextTable(("User", "Tasks"), rows)
    )
