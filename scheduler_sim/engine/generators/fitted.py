"""Tasks as in a recorded workload, for any length of time: "a year like last month".

Days of the record are drawn with those that follow them, some in a row (the stationary bootstrap: D. N. Politis and
J. P. Romano, JASA 89(428), 1994); where it lasts two weeks or longer, a day is followed by one of the next weekday. So
arrivals by hour and weekday, who submits, and what is asked for stay as they are, and so do busy and quiet times of
several days. Within a day each user's tasks move together by some minutes, and they have the run times and estimates
that other tasks of that user, of the same shape, queue and account, had in a row (resampling by user: N. Zakay and
D. G. Feitelson, "Workload resampling for performance evaluation of parallel job schedulers", Concurrency and
Computation: Practice and Experience 26(12), 2014).

Days are counted from the first arrival; what is left of the last one, or of the last week, is not drawn. The model
draws, in this order: which days follow each other, by how much users move, and where their run times begin.
"""

from dataclasses import dataclass, replace

import numpy as np

from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.generators.registry import (
    MOST_TASKS,
    Fitted,
    Parameters,
    parameter,
    register_fitted,
)
from scheduler_sim.engine.whatif import at_arrivals
from scheduler_sim.engine.workloads.columns import BoolArray, FloatArray, IntArray
from scheduler_sim.engine.workloads.requests import FEEDBACK, Requests
from scheduler_sim.engine.workloads.workload import Parents, Workload

DAY = 86_400.0
WEEK = 7
SHORTEST = 2
"""A record of fewer whole days says too little."""

_SHAPE = ("cpus", "gpus")
_SHAPE_ASKED = ("nodes", "tasks", "tasks_per_node", "least_width", "most_width")
_WITH_RUN_TIME = ("runtime", "duration_estimate", "estimate_known", "size", "predicted_duration")
"""What is drawn together with a run time."""


@dataclass(frozen=True)
class FittedParameters(Parameters):
    """How long, and how closely the record is followed."""

    days: int = parameter(365, "how many days are made", kind=int, low=1, high=36_500)
    block_days: float = parameter(7.0, "mean number of days that follow each other as recorded", low=1, high=36_500)
    move_minutes: float = parameter(
        30.0, "a user's tasks of a day move together by up to so many minutes, either way", low=0, high=720
    )
    redraw: bool = parameter(True, "tasks have run times of others of their user; else their own", kind=bool)


def _generate(like: Workload, parameters: FittedParameters, generator: np.random.Generator) -> Workload:
    """Draw tasks as in `like`, numbered from 1; the first day begins where it begins there.

    Tasks keep what they depend on as far as that is drawn with them. Recorded starts and nodes and identifiers are
    forgotten.

    Raises:
        InvalidParameter: `like` is shorter than two days, or more tasks are asked for than can be made.
    """
    days = _Days.of(like)
    chosen = _days_in_a_row(days.count, parameters, generator)
    counts = np.diff(days.first)[chosen]
    if not 0 < counts.sum() <= MOST_TASKS:
        raise InvalidParameter(f"{parameters.days:,} such days have {counts.sum():,} tasks, not 1 to {MOST_TASKS:,}.")
    ends = np.cumsum(counts)
    copy = np.repeat(np.arange(len(chosen)), counts)
    rows = np.arange(ends[-1]) - np.repeat(ends - counts - days.first[chosen], counts)
    of_user, owner = np.unique(copy * len(like.user.names) + like.user.codes[rows], return_inverse=True)
    moves = np.round(60.0 * parameters.move_minutes * (2.0 * generator.random(len(of_user)) - 1.0))
    shift = (np.arange(len(chosen)) - chosen)[copy] * DAY
    arrival = np.maximum(like.arrival_time[rows] + shift + moves[owner], days.origin)
    donors = rows
    if parameters.redraw:
        donors = _donors(like, rows, generator.random(len(of_user))[owner], int(days.first[-1]))
    order = np.argsort(arrival, kind="stable")
    tasks = _copied(like, rows[order], donors[order], copy[order])
    tasks = at_arrivals(replace(tasks, task_id=np.arange(1, len(rows) + 1)), arrival[order])
    return replace(tasks, parents=_parents(like, days, chosen, ends - counts, rows, order))


@dataclass(frozen=True)
class _Days:
    """Whole days of a record.

    Attributes:
        origin: when the first begins, seconds.
        count: how many there are; whole weeks where there are two.
        first: shape (count + 1,), the row of the first task of each, and of the first one behind the last.
    """

    origin: float
    count: int
    first: IntArray

    @classmethod
    def of(cls, workload: Workload) -> "_Days":
        origin, last = (float(workload.arrival_time[at]) for at in (0, -1)) if len(workload) else (0.0, 0.0)
        count = int((last - origin) // DAY)
        if count < SHORTEST:
            raise InvalidParameter(
                f"The tasks arrive within {(last - origin) / DAY:.3g} days; a model is fitted to {SHORTEST} or more."
            )
        if count >= 2 * WEEK:
            count -= count % WEEK
        edges = origin + DAY * np.arange(count + 1)
        return cls(origin, count, np.searchsorted(workload.arrival_time, edges).astype(np.int64))


def _days_in_a_row(count: int, parameters: FittedParameters, generator: np.random.Generator) -> IntArray:
    """Draw which day of the record each day is, shape (days,)."""
    step = WEEK if count >= 2 * WEEK else 1
    jumps = (generator.random(parameters.days) < 1.0 / parameters.block_days).tolist()
    draws = generator.integers(0, count // step, parameters.days).tolist()
    chosen, day = [], 0
    for number, (jump, draw) in enumerate(zip(jumps, draws, strict=True)):
        day = number % step + step * draw if jump or not number else (day + 1) % count
        chosen.append(day)
    return np.array(chosen, np.int64)


def _donors(like: Workload, rows: IntArray, places: FloatArray, there: int) -> IntArray:
    """Return for each task whose run time it has: one of the same user and shape, further on by a part of them all.

    Args:
        rows: of the tasks in `like`, whose first `there` rows are drawn from.
        places: from 0 to 1, by which part of all alike tasks the donor lies behind, cyclically.
    """
    alike = [like.user.codes, like.queue.codes, like.group.codes, like.gpu_type.codes, like.hybrid]
    alike += [getattr(like, name) for name in _SHAPE]
    if like.requests is not None:
        alike += [getattr(like.requests, name) for name in _SHAPE_ASKED]
    kind = np.zeros(there, np.int64)
    for column in alike:
        values, codes = np.unique(column[:there], return_inverse=True)
        _, kind = np.unique(kind * len(values) + codes, return_inverse=True)
    counts = np.bincount(kind)
    first = np.cumsum(counts) - counts
    members = np.argsort(kind, kind="stable")
    place = np.empty(there, np.int64)
    place[members] = np.arange(there) - first[kind[members]]
    of = kind[rows]
    steps = np.minimum((places * counts[of]).astype(np.int64), counts[of] - 1)
    found: IntArray = members[first[of] + (place[rows] + steps) % counts[of]]
    return found


def _copied(like: Workload, rows: IntArray, donors: IntArray, copy: IntArray) -> Workload:
    """Return the tasks of `rows` without parents, with the run times of `donors`; `copy` numbers the day of each."""
    alone = replace(like, parents=Parents.none(len(like)))
    drawn = {name: getattr(like, name)[donors] for name in _WITH_RUN_TIME}
    tasks = replace(alone.take(rows), external_id=np.full(len(rows), "", object), **drawn)
    if tasks.requests is None or like.requests is None:
        return tasks
    return replace(tasks, requests=_asked(tasks.requests, like.requests.fails[donors], copy))


def _asked(requests: Requests, fails: BoolArray, copy: IntArray) -> Requests:
    """Return what the tasks ask for: arrays of different days are different ones, and nothing of it was recorded.

    Nobody follows anybody: the numbers of the tasks are others.
    """
    arrays = np.zeros(len(copy), np.int64)
    there = requests.array > 0
    if there.any():
        _, codes = np.unique(requests.array, return_inverse=True)
        arrays[there] = 1 + np.unique((copy * (codes.max() + 1) + codes)[there], return_inverse=True)[1]
    blank = Requests.blank(len(copy))
    forgotten = {name: getattr(blank, name) for name in ("recorded_nodes", *FEEDBACK)}
    return replace(requests, fails=fails, array=arrays, **forgotten)


def _parents(
    like: Workload, days: _Days, chosen: IntArray, starts: IntArray, rows: IntArray, order: IntArray
) -> Parents:
    """Return the dependencies of tasks drawn with their parents: on the same day, or on one that is as long before it.

    Args:
        chosen: the day of the record that each day is. starts: where its tasks begin in `rows`.
        order: how the tasks of `rows` were put in order.
    """
    if not like.parents.count:
        return Parents.none(len(rows))
    counts = np.diff(like.parents.offsets)[rows]
    child = np.repeat(np.arange(len(rows)), counts)
    edges = np.arange(len(child)) - np.repeat(np.cumsum(counts) - counts - like.parents.offsets[rows], counts)
    parent, sent = like.parents.rows[edges], None if like.parents.mb is None else like.parents.mb[edges]
    day = np.searchsorted(days.first, np.arange(len(like)), side="right") - 1
    at = np.repeat(np.arange(len(chosen)), np.diff(days.first)[chosen])[child] - (day[rows[child]] - day[parent])
    kept = (at >= 0) & (at < len(chosen)) & (day[parent] < days.count)
    kept[kept] = chosen[at[kept]] == day[parent[kept]]
    child, parent, at = child[kept], parent[kept], at[kept]
    placed = np.empty(len(rows), np.int64)
    placed[order] = np.arange(len(rows))
    children, parents = placed[child], placed[starts[at] + parent - days.first[day[parent]]]
    sorting = np.lexsort((parents, children))
    offsets = np.concatenate(([0], np.cumsum(np.bincount(children, minlength=len(rows))))).astype(np.int64)
    return Parents(offsets, parents[sorting], None if sent is None else sent[kept][sorting])


FITTED_MODEL = register_fitted(
    Fitted(
        name="fitted",
        description="days of a stored workload in a new order, run times drawn by user: a year like last month",
        parameters=FittedParameters,
        generate=_generate,
    )
)
