"""What the colours of the Gantt chart mean."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from apps.dashboard.schedule.placements import Spans
from apps.tasks.models import Task
from scheduler_sim.display.appearance import COLOURS
from scheduler_sim.engine.workloads.columns import FloatArray, IntArray

BY_TASK = "task"
FIELDS = {"user": "user", "partition": "queue", "account": "group", "qos": "request__qos"}
"""Where a task says what it is coloured by."""

WAITS = {
    "no wait": 0.0,
    "up to 1 min": 60.0,
    "up to 10 min": 600.0,
    "up to 1 h": 3_600.0,
    "up to 6 h": 21_600.0,
    "up to 1 d": 86_400.0,
}
"""Classes of waits and the seconds up to which each reaches; what is above is the last class."""

CHOICES = (BY_TASK, *FIELDS, "wait")

NOT_STATED = "not stated"


@dataclass(frozen=True)
class Colouring:
    """A class for each span that is drawn.

    Attributes:
        by: what it is about. number: the class of each span.
        names: of the classes; empty where colours only tell neighbours apart.
        ordered: the classes rise, so that shades of one colour tell them better than many colours.
    """

    by: str
    number: list[int]
    names: list[str]
    ordered: bool = False


def colouring(by: str, held: Spans, shown: IntArray) -> Colouring:
    """Return the classes of the spans `shown`, by one of `CHOICES`."""
    if by == "wait":
        return _by_wait(held.wait[shown])
    if by in FIELDS:
        return _by_field(by, held.task[shown])
    return Colouring(BY_TASK, (held.number[shown] % COLOURS).tolist(), [])


def _by_wait(wait: FloatArray) -> Colouring:
    number = np.searchsorted(list(WAITS.values()), wait, side="left")
    return Colouring("wait", number.tolist(), [*WAITS, "above 1 d"], ordered=True)


def _by_field(by: str, keys: IntArray) -> Colouring:
    """Give the values that most tasks have a colour each, and the others one together."""
    found = dict(Task.objects.filter(pk__in=np.unique(keys).tolist()).values_list("pk", FIELDS[by]))
    values = [found[key] or NOT_STATED for key in keys.tolist()]
    return Colouring(by, *classes(values))


def classes(values: Sequence[str]) -> tuple[list[int], list[str]]:
    """Return the class of each value and what the classes are called, the most frequent first, at most `COLOURS`."""
    counts = Counter(values)
    ranked = sorted(counts, key=lambda value: (-counts[value], value))
    if len(ranked) > COLOURS:
        kept = ranked[: COLOURS - 1]
        names = [*kept, f"{len(ranked) - len(kept)} others"]
    else:
        kept = names = ranked
    number = {value: at for at, value in enumerate(kept)}
    return [number.get(value, len(kept)) for value in values], names
