"""Where and when tasks ran, as much of it as the visible window can show.

Few tasks are drawn one by one; many as shades of how much ran in each lane and span of time.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from apps.dashboard.schedule.areas import AREAS_SHOWN, Area, areas
from apps.dashboard.schedule.colouring import BY_TASK, Colouring, colouring
from apps.dashboard.schedule.placements import Placements, Spans, on_every_node, spans
from apps.dashboard.schedule.strips import Strip
from apps.live.play.sites import node_names
from apps.results.models import Run
from scheduler_sim.display.charts import TIME_DIGITS, plain
from scheduler_sim.display.formatting import duration
from scheduler_sim.engine.numerics.rows import processors_taken, rows_needed
from scheduler_sim.engine.numerics.spans import held_by_window
from scheduler_sim.engine.workloads.columns import IntArray

TASKS_SHOWN = 1_500
"""Above this many tasks in the window shades take their place."""

PIECES_SHOWN = 200_000
"""Above this many spans, each counted once a node, tasks on several nodes are drawn on their first one."""

LANES_SHOWN = 40
TIME_BINS = 120


@dataclass(frozen=True, kw_only=True)
class Window:
    """What of a schedule is asked for.

    Attributes:
        start, end: seconds on the workload's clock; None for the ends of what there is.
        within: between what it may lie where that is not the first start and the last finish.
        colour: what the colours tell, one of `colouring.CHOICES`.
    """

    start: float | None = None
    end: float | None = None
    within: tuple[float, float] | None = None
    colour: str = BY_TASK

    def span(self, first: float, last: float) -> tuple[float, float]:
        """Return its ends in a schedule from `first` to `last`: all of that where nothing of it lies between them."""
        low = first if self.start is None else min(max(self.start, first), last)
        high = last if self.end is None else max(min(self.end, last), first)
        return (low, high) if low < high else (first, last)


@dataclass(frozen=True, kw_only=True)
class Gantt:
    """What is drawn.

    Attributes:
        level: `tasks` or `shades`.
        first, last: begin and end of the whole schedule; window_from, window_to: of what is shown; seconds.
        lanes: what the rows are called, from the top; none where tasks are drawn on a pool.
        processors: of the pool whose tasks are drawn; 0 where there are lanes.
        items: of tasks: lane, from and up to where in it, start, finish, task number, cores, GPUs, gpu_fraction,
            attempt, whether it lost its work, class of its colour. In a lane they reach from 0 to 1, on a pool they are
            processors, and a task may be in several pieces.
            Of shades: lane, from, to, amount.
        areas: lane, from, to, kind, words: when its node was away or reserved.
        colours: what the classes of colours are called; none where they only tell neighbours apart.
        colours_by: what they tell. colours_rise: the classes are in order.
        unit: what a shade's amount is: `tasks` running at a time, `share` of the cores, or how much is in `use` of what
            the lane is called.
        finding: one sentence.
        strips: the series of the run's electricity in the same window.
    """

    scheduler: str
    level: str
    first: float = 0.0
    last: float = 0.0
    window_from: float = 0.0
    window_to: float = 0.0
    lanes: list[str] = field(default_factory=list)
    processors: float = 0.0
    items: list[list[Any]] = field(default_factory=list)
    areas: list[list[Any]] = field(default_factory=list)
    colours: list[str] = field(default_factory=list)
    colours_by: str = BY_TASK
    colours_rise: bool = False
    unit: str = ""
    finding: str
    strips: list[Strip] = field(default_factory=list)

    @classmethod
    def of(cls, drawing: "Drawing", whole: tuple[float, float], window: tuple[float, float], **more: Any) -> "Gantt":
        """Return the chart of what was drawn of a schedule's window; `more` is what is told beside it."""
        ends: dict[str, Any] = dict(zip(("first", "last", "window_from", "window_to"), (*whole, *window), strict=True))
        drawn = {name: value for name, value in vars(drawing).items() if name != "lane_nodes"}
        return cls(**ends, **drawn, **more)

    def as_json(self) -> dict[str, Any]:
        """Return what the browser draws from."""
        items = [self._told(item) for item in self.items]
        return {**vars(self), "items": items, "strips": [one.as_json() for one in self.strips]}

    def csv_rows(self) -> list[list[Any]]:
        """Return a head and the items, lanes by name."""
        tasks = ["lane", "low", "high", "start", "finish", "task_id", "cpus", "gpus", "gpu_fraction"]
        tasks += ["attempt", "loses_work", self.colours_by]
        head = tasks if self.level == "tasks" else ["lane", "from", "to", f"amount [{self.unit}]"]
        rows = [[self.lanes[item[0]] if self.lanes else "", *self._told(item)[1:]] for item in self.items]
        if self.level == "tasks":
            for row in rows:
                row[-1] = self.colours[row[-1]] if self.colours else row[5]
        return [head, *rows]

    def _told(self, item: list[Any]) -> list[Any]:
        """Return an item as JSON holds it, with all digits of its times and six of a share."""
        part = 8 if self.level == "tasks" else 3
        return [plain(value) if at == part else plain(value, TIME_DIGITS) for at, value in enumerate(item)]


@dataclass(frozen=True)
class Drawing:
    """Lanes and what is drawn in them; `lane_nodes` gives the nodes of each lane, from and up to."""

    lanes: list[str]
    items: list[list[Any]]
    unit: str = ""
    processors: float = 0.0
    lane_nodes: tuple[tuple[int, int], ...] = ()


def gantt(
    run: Run,
    scheduler: str,
    placed: Placements,
    window: Window,
    begin_time: float | None = None,
) -> Gantt:
    """Build the chart of a window.

    Args:
        begin_time: the first arrival of the run where those placed are not all, so that its task may not be among them.
    """
    if not len(placed):
        return Gantt(
            scheduler=scheduler,
            level="tasks",
            colours_by=window.colour,
            finding="No placement of this policy is stored.",
        )
    held = spans(run, scheduler, placed, partial=begin_time is not None)
    first, last = window.within or (float(held.start.min()), float(held.finish.max()))
    low, high = window.span(first, last)
    shown = np.flatnonzero((held.start < high) & (held.finish > low) & (held.node >= 0))
    shown = shown[np.lexsort((held.number[shown], held.start[shown]))]
    pool = _is_pool(run)
    drawn, gangs = (held[shown], "") if pool else _on_all_nodes(run, scheduler, held[shown])
    rows = np.flatnonzero((drawn.start < high) & (drawn.finish > low))
    single = len(rows) <= TASKS_SHOWN
    away = [] if pool else areas(run, placed, low, high, begin_time)
    uncounted = away is None
    colours = Colouring(BY_TASK, [], [])
    if single:
        colours = colouring(window.colour, drawn, rows)
        drawing = _on_pool(run, drawn, rows, colours) if pool else _on_nodes(run, drawn, rows, colours)
    else:
        drawing = _shades(run, drawn, rows, low, high, pool)
    seen = [one for one in away or () if any(first <= one.node <= last for first, last in drawing.lane_nodes)]
    finding = _finding(run, held, shown, pool=pool, colours=colours if single else None, gangs=gangs)
    span = f"between {duration(low - first)} and {duration(high - first)} after the first start"
    count = len(np.unique(held.task[shown]))
    run_words = "1 task runs" if count == 1 else f"{count:,} tasks run"
    return Gantt.of(
        drawing,
        (first, last),
        (low, high),
        scheduler=scheduler,
        level="tasks" if single else "shades",
        areas=_in_lanes(seen[:AREAS_SHOWN], drawing.lane_nodes),
        colours=colours.names,
        colours_by=colours.by,
        colours_rise=colours.ordered,
        finding=f"{run_words} under {scheduler} {span}. {finding}{_of_areas(seen, uncounted=uncounted)}",
    )


def _on_all_nodes(run: Run, scheduler: str, held: Spans) -> tuple[Spans, str]:
    """Return the spans, those on several nodes once on each of them in order of start, and a sentence on these."""
    if not run.knows_gangs:
        return held, _of_unknown_gangs(run, held)
    every = on_every_node(run, scheduler, held, PIECES_SHOWN)
    if every is None:
        return held, "Tasks on several nodes are drawn on their first one; zoom in to see them on all."
    if len(every) == len(held):
        return held, ""
    return every[np.lexsort((every.number, every.start))], "A task on several nodes is drawn on each of them."


def _of_unknown_gangs(run: Run, held: Spans) -> str:
    groups = run.cluster["groups"]
    most_cores, most_gpus = (max(group.get(name) or 0 for group in groups) for name in ("cores", "gpus"))
    is_large = bool(((held.cpus > most_cores) | (held.gpus > most_gpus)).any())
    if not is_large and run.site_id is None:
        return ""
    why = "was played before the others were kept" if run.status == Run.Status.FINISHED else "has not come to its end"
    return f"A task on several nodes is drawn on its first one: the run {why}."


def _finding(run: Run, held: Spans, shown: IntArray, *, pool: bool, colours: Colouring | None, gangs: str = "") -> str:
    """Say what the drawing shows and what it cannot; `colours` is None for shades, `gangs` a sentence on them."""
    said = []
    if colours is None:
        said.append("A stronger colour means more at a time; zoom in until single tasks appear.")
    elif not colours.names:
        said.append("Colours only tell neighbours apart.")
    if (held.attempt > 1).any():
        said.append("A task that was stopped is drawn once an attempt, in one colour.")
    if lost := int(held.loses[shown].sum()):
        what = "work" if run.configuration.get("checkpoints", "none") == "none" else "work since their last checkpoint"
        said.append(f"{lost:,} attempts lost their {what}" + ("; they are hatched." if colours else "."))
    if colours and pool:
        said.append("Heights are processors; a pool does not number them, so the lowest free ones are drawn.")
    if (held.gpus[shown] > 1).any():
        said.append("A task of several GPUs is drawn on its first one of a node.")
    return " ".join([*said, *filter(None, [gangs])])


def _of_areas(away: list[Area], *, uncounted: bool) -> str:
    if uncounted:
        return " Nodes fail or are reserved too often for that to be drawn."
    if not away:
        return ""
    kinds = sorted({one.kind for one in away})
    count = min(len(away), AREAS_SHOWN)
    said = f" {count:,} spans of {' and '.join(kinds)} of these nodes are shaded."
    return said + (f" There are {len(away):,}; zoom in." if len(away) > count else "")


def _in_lanes(away: list[Area], lane_nodes: tuple[tuple[int, int], ...]) -> list[list[Any]]:
    """Put each area into every lane that shows its node."""
    return [
        [lane, one.start_time, one.end_time, one.kind, one.what]
        for one in away
        for lane, (first, last) in enumerate(lane_nodes)
        if first <= one.node <= last
    ]


def _is_pool(run: Run) -> bool:
    groups = run.cluster["groups"]
    return len(groups) == 1 and groups[0]["count"] == 1 and not groups[0].get("gpus")


def _on_pool(run: Run, held: Spans, shown: IntArray, colours: Colouring) -> Drawing:
    """Draw single tasks on a pool, each as high as it has processors."""
    cores = float(run.cluster["groups"][0]["cores"])
    row, low, high = processors_taken(held.start[shown], held.finish[shown], held.cpus[shown], cores)
    pieces = zip(row.tolist(), low.tolist(), high.tolist(), strict=True)
    items = [_item(held, int(shown[at]), (0, under, upto), colours.number[at]) for at, under, upto in pieces]
    return Drawing([], items, processors=max(cores, float(high.max(initial=0.0))))


def _on_nodes(run: Run, held: Spans, shown: IntArray, colours: Colouring) -> Drawing:
    """Draw single tasks: one lane a device or node, tasks that run there at once one under another."""
    places = np.stack((held.node[shown], held.device[shown]), axis=1)
    distinct, lane = np.unique(places, axis=0, return_inverse=True)
    lane = lane.reshape(-1)
    sub = np.zeros(len(shown), np.int64)
    for number in range(len(distinct)):
        rows = np.flatnonzero(lane == number)
        sub[rows] = rows_needed(held.start[shown[rows]], held.finish[shown[rows]])
    subs = np.zeros(len(distinct), np.int64)
    np.maximum.at(subs, lane, sub + 1)
    hosts = node_names(run)
    names = [_name(node, device, hosts) for node, device in distinct.tolist()]
    low, high = sub / subs[lane], (sub + 1) / subs[lane]
    items = [
        _item(held, row, (int(lane[at]), float(low[at]), float(high[at])), colours.number[at])
        for at, row in enumerate(shown.tolist())
    ]
    return Drawing(names, items, lane_nodes=tuple((node, node) for node, _ in distinct.tolist()))


def _item(held: Spans, row: int, place: tuple[int, float, float], colour: int) -> list[Any]:
    return [
        *place,
        held.start[row],
        held.finish[row],
        int(held.number[row]),
        held.cpus[row],
        held.gpus[row],
        held.fraction[row],
        int(held.attempt[row]),
        bool(held.loses[row]),
        colour,
    ]


def _shades(run: Run, held: Spans, shown: IntArray, low: float, high: float, pool: bool) -> Drawing:
    """Draw how much ran: of a pool by size of task, else by node or band of nodes."""
    edges = np.linspace(low, high, TIME_BINS + 1)
    width = (high - low) / TIME_BINS
    nodes: tuple[tuple[int, int], ...] = ()
    if pool:
        lane = np.ceil(np.log2(np.maximum(held.cpus[shown], 1.0))).astype(np.int64)
        lanes = [f"≤ {2**number} cores" for number in range(int(lane.max()) + 1)]
        amount, whole, unit = held.cpus[shown], float(run.cluster["groups"][0]["cores"]), "share"
    else:
        lane, lanes, nodes = _places(run, held, shown)
        amount, whole, unit = np.ones(len(shown)), 1.0, "tasks"
    items = []
    for number in range(len(lanes)):
        rows = shown[lane == number]
        used = held_by_window(held.start[rows], held.finish[rows], amount[lane == number], edges) / (width * whole)
        for at in np.flatnonzero(used > 1e-9).tolist():
            items.append([number, edges[at], edges[at + 1], used[at]])
    return Drawing(lanes, items, unit, lane_nodes=nodes)


def _places(run: Run, held: Spans, shown: IntArray) -> tuple[IntArray, list[str], tuple[tuple[int, int], ...]]:
    """Return the lane of each task, the lanes' names and nodes: devices where there are few, else bands of nodes."""
    places = np.stack((held.node[shown], held.device[shown]), axis=1)
    distinct, lane = np.unique(places, axis=0, return_inverse=True)
    hosts = node_names(run)
    if len(distinct) <= LANES_SHOWN:
        names = [_name(node, device, hosts) for node, device in distinct.tolist()]
        return lane.reshape(-1), names, tuple((node, node) for node, _ in distinct.tolist())
    nodes = sum(group["count"] for group in run.cluster["groups"])
    band = -(-nodes // LANES_SHOWN)
    bands = [(first, min(first + band, nodes) - 1) for first in range(0, nodes, band)]
    names = [_node(first, hosts) if band == 1 else _nodes(first, last, hosts) for first, last in bands]
    return held.node[shown] // band, names, tuple(bands)


def _name(node: int, device: int, hosts: tuple[str, ...]) -> str:
    return _node(node, hosts) + (f" GPU {device}" if device >= 0 else " cores")


def _node(node: int, hosts: tuple[str, ...]) -> str:
    return hosts[node] if hosts else f"node {node}"


def _nodes(first: int, last: int, hosts: tuple[str, ...]) -> str:
    return f"{hosts[first]} to {hosts[last]}" if hosts else f"nodes {first:,} to {last:,}"
