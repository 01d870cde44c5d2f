"""Where and when tasks ran, as much of it as the visible window can show.

Few tasks are drawn one by one; many as shades of how much ran in each lane and span of time.
"""

import math
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any

import numpy as np
import numpy.typing as npt

from apps.dashboard.schedule.placements import Placements, Spans, spans
from apps.live.play.sites import node_names
from apps.results.models import Run
from scheduler_sim.display.charts import plain
from scheduler_sim.display.formatting import duration
from scheduler_sim.engine.spans import held_by_window

TASKS_SHOWN = 1_500
"""Above this many tasks in the window shades take their place."""

LANES_SHOWN = 40
TIME_BINS = 120

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Gantt:
    """What is drawn.

    Attributes:
        level: `tasks` or `shades`.
        first, last: begin and end of the whole schedule; window_from, window_to: of what is shown; seconds.
        lanes: what the rows are called, from the top.
        items: of tasks: lane, sub-lane, sub-lanes of the lane, start, finish, task number, cores, GPUs, gpu_fraction,
            attempt, whether it lost its work;
            of shades: lane, from, to, amount.
        unit: what a shade's amount is: `tasks` running at a time, or `share` of the cores.
        finding: one sentence.
    """

    scheduler: str
    level: str
    first: float
    last: float
    window_from: float
    window_to: float
    lanes: list[str]
    items: list[list[Any]]
    unit: str
    finding: str

    def as_json(self) -> dict[str, Any]:
        """Return what the browser draws from."""
        return {**vars(self), "items": [[plain(value) for value in item] for item in self.items]}

    def csv_rows(self) -> list[list[Any]]:
        """Return a head and the items, lanes by name."""
        tasks = ["lane", "sub_lane", "sub_lanes", "start", "finish", "task_id", "cpus", "gpus", "gpu_fraction"]
        tasks += ["attempt", "loses_work"]
        head = tasks if self.level == "tasks" else ["lane", "from", "to", f"amount [{self.unit}]"]
        return [head, *([self.lanes[item[0]], *map(plain, item[1:])] for item in self.items)]


def gantt(run: Run, scheduler: str, placed: Placements, start: float | None, end: float | None) -> Gantt:
    """Build the chart for the window from `start` to `end` (workload seconds; None for the schedule's own ends)."""
    if not len(placed):
        return Gantt(scheduler, "tasks", 0.0, 0.0, 0.0, 0.0, [], [], "", "No placement of this policy is stored.")
    whole = len(placed)
    held = spans(run, scheduler, placed)
    first, last = float(held.start.min()), float(held.finish.max())
    low = first if start is None else min(max(start, first), last)
    high = last if end is None else max(min(end, last), first)
    if high <= low:
        low, high = first, last
    shown = np.flatnonzero((held.start < high) & (held.finish > low) & (held.node >= 0))
    pool = _is_pool(run)
    draw = _tasks if len(shown) <= TASKS_SHOWN else _shades
    lanes, items, unit = draw(run, held, shown, low, high, pool)
    level = "tasks" if draw is _tasks else "shades"
    span = f"between {duration(low - first)} and {duration(high - first)} after the first start"
    finding = f"{len(np.unique(held.task[shown])):,} tasks run under {scheduler} {span}."
    if level == "shades":
        finding += " A stronger colour means more at a time; zoom in until single tasks appear."
    else:
        finding += " Colours only tell neighbours apart."
    if len(held) > whole:
        finding += " A task that was stopped is drawn once an attempt, in one colour."
    if lost := int(held.loses[shown].sum()):
        what = "work" if run.configuration.get("checkpoints", "none") == "none" else "work since their last checkpoint"
        finding += f" {lost:,} attempts lost their {what}" + ("; they are hatched." if level == "tasks" else ".")
    if level == "tasks" and pool:
        finding += " Rows are as many as run at once; a pool does not number its processors."
    if (held.gpus[shown] > 1).any():
        finding += " A task of several GPUs is drawn on its first one."
    if run.site_id is not None:
        finding += " A task on several nodes is drawn on its first one."
    return Gantt(scheduler, level, first, last, low, high, lanes, items, unit, finding)


def _is_pool(run: Run) -> bool:
    groups = run.cluster["groups"]
    return len(groups) == 1 and groups[0]["count"] == 1 and not groups[0].get("gpus")


def _tasks(
    run: Run,
    placed: Spans,
    shown: Integers,
    low: float,  # noqa: ARG001
    high: float,  # noqa: ARG001
    pool: bool,
) -> tuple[list[str], list[list[Any]], str]:
    """Draw single tasks: one lane a device or node, tasks that run there at once one under another."""
    shown = shown[np.lexsort((placed.number[shown], placed.start[shown]))]
    if pool:
        sub = rows_needed(placed.start[shown], placed.finish[shown])
        lanes = [""] * (int(sub.max(initial=-1)) + 1)
        return lanes, [_item(placed, row, int(lane), 0, 1) for row, lane in zip(shown, sub, strict=True)], ""
    places = np.stack((placed.node[shown], placed.device[shown]), axis=1)
    distinct, lane = np.unique(places, axis=0, return_inverse=True)
    lane = lane.reshape(-1)
    sub = np.zeros(len(shown), np.int64)
    for number in range(len(distinct)):
        rows = np.flatnonzero(lane == number)
        sub[rows] = rows_needed(placed.start[shown[rows]], placed.finish[shown[rows]])
    subs = np.zeros(len(distinct), np.int64)
    np.maximum.at(subs, lane, sub + 1)
    hosts = node_names(run)
    names = [_name(node, device, hosts) for node, device in distinct.tolist()]
    items = [
        _item(placed, row, int(lane[at]), int(sub[at]), int(subs[lane[at]])) for at, row in enumerate(shown.tolist())
    ]
    return names, items, ""


def _item(placed: Spans, row: int, lane: int, sub: int, subs: int) -> list[Any]:
    return [
        lane,
        sub,
        subs,
        placed.start[row],
        placed.finish[row],
        int(placed.number[row]),
        placed.cpus[row],
        placed.gpus[row],
        placed.fraction[row],
        int(placed.attempt[row]),
        bool(placed.loses[row]),
    ]


def rows_needed(start: npt.NDArray[np.float64], finish: npt.NDArray[np.float64]) -> Integers:
    """Give each task, in order of start, the lowest row that is free when it starts."""
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    rows = np.zeros(len(start), np.int64)
    used = 0
    for at, (begin, end) in enumerate(zip(start.tolist(), finish.tolist(), strict=True)):
        # The sides of a split task that end together may do so a rounding apart.
        while busy and (busy[0][0] <= begin or math.isclose(busy[0][0], begin, rel_tol=1e-12)):
            heappush(free, heappop(busy)[1])
        if free:
            row = heappop(free)
        else:
            row, used = used, used + 1
        heappush(busy, (end, row))
        rows[at] = row
    return rows


def _shades(
    run: Run, placed: Spans, shown: Integers, low: float, high: float, pool: bool
) -> tuple[list[str], list[list[Any]], str]:
    """Draw how much ran: of a pool by size of task, else by node or band of nodes."""
    edges = np.linspace(low, high, TIME_BINS + 1)
    width = (high - low) / TIME_BINS
    if pool:
        lane = np.ceil(np.log2(np.maximum(placed.cpus[shown], 1.0))).astype(np.int64)
        lanes = [f"≤ {2**number} cores" for number in range(int(lane.max()) + 1)]
        amount, whole, unit = placed.cpus[shown], float(run.cluster["groups"][0]["cores"]), "share"
    else:
        lane, lanes = _places(run, placed, shown)
        amount, whole, unit = np.ones(len(shown)), 1.0, "tasks"
    items = []
    for number in range(len(lanes)):
        rows = shown[lane == number]
        held = held_by_window(placed.start[rows], placed.finish[rows], amount[lane == number], edges) / (width * whole)
        for at in np.flatnonzero(held > 1e-9).tolist():
            items.append([number, edges[at], edges[at + 1], held[at]])
    return lanes, items, unit


def _places(run: Run, placed: Spans, shown: Integers) -> tuple[Integers, list[str]]:
    """Return the lane of each task and the lanes' names: devices where there are few, else nodes or bands of nodes."""
    places = np.stack((placed.node[shown], placed.device[shown]), axis=1)
    distinct, lane = np.unique(places, axis=0, return_inverse=True)
    hosts = node_names(run)
    if len(distinct) <= LANES_SHOWN:
        return lane.reshape(-1), [_name(node, device, hosts) for node, device in distinct.tolist()]
    nodes = sum(group["count"] for group in run.cluster["groups"])
    band = -(-nodes // LANES_SHOWN)
    bands = [(first, min(first + band, nodes) - 1) for first in range(0, nodes, band)]
    names = [_node(first, hosts) if band == 1 else _nodes(first, last, hosts) for first, last in bands]
    return placed.node[shown] // band, names


def _name(node: int, device: int, hosts: tuple[str, ...]) -> str:
    return _node(node, hosts) + (f" GPU {device}" if device >= 0 else " cores")


def _node(node: int, hosts: tuple[str, ...]) -> str:
    return hosts[node] if hosts else f"node {node}"


def _nodes(first: int, last: int, hosts: tuple[str, ...]) -> str:
    return f"{hosts[first]} to {hosts[last]}" if hosts else f"nodes {first:,} to {last:,}"
