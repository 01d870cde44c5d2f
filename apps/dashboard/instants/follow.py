"""One task from its arrival to its start: every instant at which something was decided while it waited, and why not."""

from dataclasses import dataclass

import numpy as np

from apps.dashboard.instants.asked import Asked
from apps.dashboard.instants.panel import Clock, Panel
from apps.live.exchange.instants import decided_of
from apps.live.instants.instant import InstantReader
from apps.results.models import SchedulerResult
from apps.tasks.models import Task
from scheduler_sim.engine.workloads.workload import IntArray
from scheduler_sim.web.converters import number_text

LINES = 10
"""Decisions on a page."""

Said = tuple[str, str]
"""An instant as the page writes it, and its address."""


@dataclass(frozen=True)
class Followed:
    """What one policy made of the task.

    Attributes:
        ready, starts, ends: when it was ready, started and ended.
        count: instants of decisions from when it was ready to its start. at_least: there are more than were counted.
        lines: some of them, each with what was decided of the task, and its time once more as a number. first: how many
            come before.
        earlier, further: addresses of other lines, empty where there are none.
        unexplained: why decisions are not told, else empty.
        stands: what the task does at the instant that is shown.
    """

    policy: str
    ready: Said
    starts: Said
    ends: Said
    count: int
    at_least: bool
    lines: list[tuple[Said, str, str]]
    first: int
    earlier: str
    further: str
    unexplained: str
    stands: str


def followed(asked: Asked, reader: InstantReader, shown: Panel, clock: Clock) -> Followed | None:
    """Return what a policy, of which `shown` is, made of the followed task; None where it placed none, or none is."""
    policy = shown.policy
    if asked.task is None:
        return None
    task = Task.objects.filter(workload_id=asked.run.workload_id, task_id=asked.task).first()
    rows = [] if task is None else SchedulerResult.objects.of_keys(asked.run, [task.pk], [policy])
    if not rows:
        return None
    start = rows[0].start_time
    there = reader.at(start).schedule
    row = _row(there.workload.task_id, asked.task)
    ready = float(there.outcome.ready_time[row])
    times, complete = reader.events(ready, start)
    last = max(0, len(times) - 1)
    first = min(asked.decision, last) // LINES * LINES
    lines, unexplained = [], ""
    for time in times[first : first + LINES].tolist():
        found = reader.at(time)
        unexplained = unexplained or found.unexplained
        here = _row(found.schedule.workload.task_id, asked.task)
        lines.append(((clock(time), asked.address(time)), decided_of(found, here), number_text(time)))
    instants = (ready, start, float(there.outcome.finish_time[row]))
    said = [(clock(time), asked.address(time)) for time in instants]
    return Followed(
        policy=policy,
        ready=said[0],
        starts=said[1],
        ends=said[2],
        count=len(times),
        at_least=not complete,
        lines=lines,
        first=first,
        earlier=asked.decisions_from(first - LINES) if first else "",
        further=asked.decisions_from(first + LINES) if first + LINES < len(times) else "",
        unexplained=unexplained,
        stands=shown.followed,
    )


def _row(numbers: IntArray, task: int) -> int:
    return int(np.flatnonzero(numbers == task)[0])
