"""A workflow of a run: the tasks that hang together, level by level, with when and where a policy ran each."""

from collections import deque
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from apps.dashboard.instants.panel import Clock, clock_from_beginning
from apps.results.models import Run, SchedulerResult
from apps.tasks.models import Task, Workload
from scheduler_sim.display.appearance import COLOURS
from scheduler_sim.display.formatting import duration

MOST_READ = 100_000
"""Of a workload with more tasks that depend on others the workflows are not drawn: all of them would be read."""

MOST_DRAWN = 200
"""Tasks of a picture, those nearest to the one that is asked for."""

BOX_WIDE, BOX_HIGH = 152, 42
GAP_WIDE, GAP_HIGH = 56, 14
EDGE = 8
LABEL_ROOM = 16
"""Characters of a number and a name that stand beside each other in a box."""


class NoWorkflow(Exception):
    """There is nothing to draw; the sentence says why."""


@dataclass(frozen=True)
class Box:
    """One task of the picture.

    Attributes:
        number: of the task. name: what else it is called.
        level: how many tasks lie before it on the longest way from a task without parents, of those drawn.
        x, y: of the upper left corner.
        colour: of its node. node: -1 where it is not placed.
        start_time, finish_time, wait_time: seconds, instants on the workload's clock; None where it is not placed.
        start, finish: the same instants after the first arrival, as the page writes them; empty where it is not placed.
        when: when it ran, in few words.
        parents: numbers, also of those that are not drawn.
        critical: it lies on the critical path of those drawn.
        asked: it is the one that was asked for.
    """

    number: int
    name: str
    level: int
    x: int
    y: int
    colour: int
    node: int
    start_time: float | None
    finish_time: float | None
    wait_time: float | None
    start: str
    finish: str
    when: str
    parents: tuple[int, ...]
    critical: bool
    asked: bool

    @property
    def label(self) -> str:
        """Its name as far as there is room for it beside the number."""
        room = max(LABEL_ROOM - len(str(self.number)) - 1, 3)
        return self.name if len(self.name) <= room else f"{self.name[: room - 1]}…"

    @property
    def actual_time(self) -> float | None:
        """Seconds from its start to its end, None where it is not placed."""
        return None if self.start_time is None or self.finish_time is None else self.finish_time - self.start_time

    @property
    def words(self) -> str:
        """All that is known of it in one sentence."""
        where = "" if self.node < 0 else f" on node {self.node}"
        path = ", on the critical path" if self.critical else ""
        return f"Task {self.number}{f' ({self.name})' if self.name else ''}: {self.when}{where}{path}."


@dataclass(frozen=True)
class Line:
    """A dependency of the picture: its path, whether it lies on the critical path, and whether it crosses nodes."""

    path: str
    critical: bool
    crosses: bool
    words: str


@dataclass(frozen=True)
class Workflow:
    """The picture.

    Attributes:
        total: tasks of the workflow; at most `MOST_DRAWN` of them are in `boxes`.
        levels: of those drawn.
        span: seconds from the first start to the last end of those drawn, None while some are not placed.
        kept: the run keeps when each task ran.
        path: numbers of the tasks on the critical path of those drawn, first to last.
    """

    scheduler: str
    asked: int
    total: int
    levels: int
    span: float | None
    kept: bool
    path: tuple[int, ...]
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    width: int
    height: int

    @property
    def finding(self) -> str:
        """What the picture shows in one or two sentences."""
        said = f"{self.total:,} tasks hang together, on {self.levels:,} levels."
        of = "their"
        if not self.is_whole:
            said = (
                f"{self.total:,} tasks hang together. Drawn are the {len(self.boxes):,} nearest to task {self.asked}, "
            )
            said += f"on {self.levels:,} levels of their own."
            of = "the drawn ones'"
        if not self.kept:
            return f"{said} This run keeps its figures only, not when and where each task ran."
        if self.span is None:
            return f"{said} Not all of them are placed."
        return f"{said} From {of} first start to {of} last end it takes {duration(self.span)}."

    @property
    def is_whole(self) -> bool:
        """True where all tasks of the workflow are drawn."""
        return len(self.boxes) == self.total


def workflow_of(run: Run, scheduler: str, number: int) -> Workflow:
    """Return the workflow to which a task belongs, as a policy of the run played it.

    Raises:
        NoWorkflow: the task hangs on no other and no other on it, or too many tasks would have to be read.
    """
    near, total = _near(run.workload, number)
    tasks = {task.task_id: task for task in Task.objects.filter(workload_id=run.workload_id, task_id__in=near)}
    parents = {one: tuple(other for other in task.dependencies if other in tasks) for one, task in tasks.items()}
    kept = run.configuration.get("keep") != "summary"
    placed = _placed(run, scheduler, tasks)
    level = _levels(parents)
    rows = _rows(level, parents)
    path = _critical(parents, placed)
    clock = clock_from_beginning(run, max((one[2] for one in placed.values()), default=0.0))
    boxes = {
        one: _box(task, level[one], rows[one], placed.get(one), clock, kept, one in path, one == number)
        for one, task in sorted(tasks.items())
    }
    whole = len(placed) == len(tasks)
    span = max(one[2] for one in placed.values()) - min(one[1] for one in placed.values()) if whole else None
    on_path = set(pairwise(path))
    lines = [
        _line(boxes[parent], boxes[one], tasks[one], (parent, one) in on_path)
        for one in boxes
        for parent in parents[one]
    ]
    return Workflow(
        scheduler=scheduler,
        asked=number,
        total=total,
        levels=max(level.values()) + 1,
        span=span,
        kept=kept,
        path=path,
        boxes=tuple(boxes.values()),
        # Those of the critical path last, on top of the others.
        lines=tuple(sorted(lines, key=lambda line: line.critical)),
        width=2 * EDGE + (max(level.values()) + 1) * (BOX_WIDE + GAP_WIDE) - GAP_WIDE,
        height=2 * EDGE + (max(rows.values()) + 1) * (BOX_HIGH + GAP_HIGH) - GAP_HIGH,
    )


def first_of_workflows(workload: Workload) -> int | None:
    """Return the number of the first task that depends on another, None where none does."""
    if not workload.audit.get("dependencies"):
        return None
    first = Task.objects.filter(workload=workload).exclude(dependencies=[]).order_by("task_id")
    return first.values_list("task_id", flat=True).first()


def _near(workload: Workload, number: int) -> tuple[list[int], int]:
    """Return the tasks that hang together with one, nearest first, not more than are drawn; and how many there are."""
    alone = f"Task {number} depends on no other task, and none depends on it."
    depending = Task.objects.filter(workload=workload).exclude(dependencies=[])
    if not workload.audit.get("dependencies") and not depending.filter(task_id=number).exists():
        # What an import counted spares looking through a workload for tasks that depend on others.
        raise NoWorkflow(alone)
    read = list(depending.order_by("task_id").values_list("task_id", "dependencies")[: MOST_READ + 1])
    if len(read) > MOST_READ:
        raise NoWorkflow(f"More than {MOST_READ:,} tasks depend on others; their workflows are not drawn.")
    beside: dict[int, list[int]] = {}
    for one, parents in read:
        for parent in parents:
            beside.setdefault(one, []).append(parent)
            beside.setdefault(parent, []).append(one)
    if number not in beside:
        raise NoWorkflow(alone)
    found, waiting = {number: None}, deque([number])
    while waiting:
        for other in beside[waiting.popleft()]:
            if other not in found:
                found[other] = None
                waiting.append(other)
    return list(found)[:MOST_DRAWN], len(found)


def _placed(run: Run, scheduler: str, tasks: dict[int, Task]) -> dict[int, tuple[int, float, float, float]]:
    """Return node, start, finish and wait of the tasks that are placed."""
    number_of = {task.pk: number for number, task in tasks.items()}
    columns = ("task_id", "node", "start_time", "finish_time", "wait_time")
    found = SchedulerResult.objects.of_tasks(run, scheduler, np.sort(np.array(list(number_of), np.int64)), columns)
    rows = zip(*(found[name].tolist() for name in columns), strict=True)
    return {number_of[int(key)]: (int(node), start, end, wait) for key, node, start, end, wait in rows}


def _levels(parents: dict[int, tuple[int, ...]]) -> dict[int, int]:
    """Return how many tasks lie before each on the longest way to it."""
    level: dict[int, int] = {}
    left = {one: len(several) for one, several in parents.items()}
    children: dict[int, list[int]] = {}
    for one, several in parents.items():
        for parent in several:
            children.setdefault(parent, []).append(one)
    ready = deque(one for one, count in left.items() if not count)
    while ready:
        one = ready.popleft()
        level[one] = max((level[parent] + 1 for parent in parents[one]), default=0)
        for child in children.get(one, ()):
            left[child] -= 1
            if not left[child]:
                ready.append(child)
    return level


def _rows(level: dict[int, int], parents: dict[int, tuple[int, ...]]) -> dict[int, int]:
    """Return the place of each task in its level: near those of its parents, else by its number."""
    rows: dict[int, int] = {}
    for depth in range(max(level.values()) + 1):
        here = [one for one, at in level.items() if at == depth]
        middle = {one: np.mean([rows[parent] for parent in parents[one]]) if parents[one] else 0.0 for one in here}
        here.sort(key=lambda one: (middle[one], one))
        rows |= {one: place for place, one in enumerate(here)}
    return rows


def _critical(
    parents: dict[int, tuple[int, ...]], placed: dict[int, tuple[int, float, float, float]]
) -> tuple[int, ...]:
    """Return the tasks from the last end back, each the last parent that the next one waited for, first to last."""
    if not placed:
        return ()
    one = max(placed, key=lambda number: (placed[number][2], -number))
    path = [one]
    while several := [parent for parent in parents[one] if parent in placed]:
        one = max(several, key=lambda number: (placed[number][2], -number))
        path.append(one)
    return tuple(reversed(path))


def _box(
    task: Task,
    level: int,
    row: int,
    placed: tuple[int, float, float, float] | None,
    clock: Clock,
    kept: bool,
    critical: bool,
    asked: bool,
) -> Box:
    node, start, finish, wait = placed or (-1, None, None, None)
    when = "not placed" if kept else "not kept"
    if placed:
        when = f"at {clock(start)}, {duration(placed[2] - placed[1])}"
    return Box(
        number=task.task_id,
        name=task.group or task.external_id,
        level=level,
        x=EDGE + level * (BOX_WIDE + GAP_WIDE),
        y=EDGE + row * (BOX_HIGH + GAP_HIGH),
        colour=max(node, 0) % COLOURS,
        node=node,
        start_time=start,
        finish_time=finish,
        wait_time=wait,
        start=clock(start),
        finish=clock(finish),
        when=when,
        parents=tuple(task.dependencies),
        critical=critical,
        asked=asked,
    )


def _line(parent: Box, child: Box, task: Task, critical: bool) -> Line:
    left, right = parent.x + BOX_WIDE, child.x
    begin, end, bend = parent.y + BOX_HIGH // 2, child.y + BOX_HIGH // 2, GAP_WIDE // 2
    amounts = dict(zip(task.dependencies, task.dependency_mb or (), strict=False))
    sent = f", {amounts[parent.number]:,.12g} MB" if amounts.get(parent.number) else ""
    crosses = parent.node >= 0 and child.node >= 0 and parent.node != child.node
    return Line(
        path=f"M{left} {begin}C{left + bend} {begin} {right - bend} {end} {right} {end}",
        critical=critical,
        crosses=crosses,
        words=f"Task {parent.number} to task {child.number}{sent}{', to another node' if crosses else ''}",
    )
