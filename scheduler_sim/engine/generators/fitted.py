"""Tasks as in a recorded workload, for any length of time: "a year like last month".

Days of the record are drawn with those that follow them, some in a row (the stationary bootstrap: D. N. Politis and
J. P. Romano, JASA 89(428), 1994); where it lasts two weeks or longer, a day is followed by one of the next weekday. So
arrivals by hour and weekday, who submits, and what is asked for stay as they are, and so do busy and quiet times of
several days. Within a day each user's tasks move together by some minutes.

More may be drawn by user (N. Zakay and D. G. Feitelson, "Workload resampling for performance evaluation of parallel
job schedulers", Concurrency and Computation: Practice and Experience 26(12), 2014): the days of each user on their own,
with all that he submitted on them; or run times and estimates, those that other tasks of that user, of the same shape,
queue and account, had in a row. Users that are not known are one. Both bring more work at once than was recorded: in a
record those who submit look at what runs, and many tasks on a day are short ones. So neither is done unless asked for.

Days are counted from the first arrival; what is left of the last one, or of the last week, is not drawn. The model
draws, in this order: which days follow each other, user by user where each has his own, by how much users move, and
where their run times begin.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

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

USERS = "users"
"""Each user's days are drawn on their own."""

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
    redraw: bool | str = parameter(
        False,
        "no: days are drawn for all users together; users: for each on his own; yes: together, and run times by user",
        kind=bool,
        words=(USERS,),
    )


def _generate(like: Workload, parameters: FittedParameters, generator: np.random.Generator) -> Workload:
    """Draw tasks as in `like`, numbered from 1; the first day begins where it begins there.

    Tasks keep what they depend on as far as that is drawn with them. Recorded starts and nodes and identifiers are
    forgotten.

    Raises:
        InvalidParameter: `like` is shorter than two days, or more tasks are asked for than can be made.
    """
    days = _Days.of(like)
    units = _Units.apart(days, like.user.codes if parameters.redraw == USERS else np.zeros(len(like), np.int64))
    drawn = units.draw(days, parameters, generator)
    counts = units.counts[drawn.unit]
    if not 0 < counts.sum() <= MOST_TASKS:
        raise InvalidParameter(f"{parameters.days:,} such days have {counts.sum():,} tasks, not 1 to {MOST_TASKS:,}.")
    ends = np.cumsum(counts)
    rows = units.rows[np.arange(ends[-1]) - np.repeat(ends - counts - units.first[drawn.unit], counts)]
    copy = np.repeat(drawn.day, counts)
    of_user, owner = np.unique(copy * len(like.user.names) + like.user.codes[rows], return_inverse=True)
    moves = np.round(60.0 * parameters.move_minutes * (2.0 * generator.random(len(of_user)) - 1.0))
    shift = np.repeat(drawn.day - units.day[drawn.unit], counts) * DAY
    arrival = np.maximum(like.arrival_time[rows] + shift + moves[owner], days.origin)
    donors = rows
    if parameters.redraw is True:
        donors = _donors(like, rows, generator.random(len(of_user))[owner], int(days.first[-1]))
    order = np.argsort(arrival, kind="stable")
    tasks = _copied(like, rows[order], donors[order], copy[order])
    tasks = at_arrivals(replace(tasks, task_id=np.arange(1, len(rows) + 1)), arrival[order])
    return replace(tasks, parents=_parents(like, units, drawn, rows, order))


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


@dataclass(frozen=True)
class _Drawn:
    """What days are made of, shape (n,), by day and then by unit.

    Attributes:
        unit: which one of the record. day: where it stands now.
    """

    unit: IntArray
    day: IntArray


@dataclass(frozen=True)
class _Units:
    """What is drawn as a whole: the tasks of a day, of one user where each is drawn on his own.

    Attributes:
        owner, day, counts, first: shape (n,), whose tasks of which day, how many, and where they begin in `rows`; by
            owner and then by day.
        rows: shape (tasks,), the tasks of each unit by arrival.
        of, place: shape (tasks,), the unit of each task, and how many of it arrive before.
    """

    owner: IntArray
    day: IntArray
    counts: IntArray
    first: IntArray
    rows: IntArray
    of: IntArray
    place: IntArray

    @classmethod
    def apart(cls, days: _Days, owner: IntArray) -> "_Units":
        """Part the tasks of whole days by `owner`, shape (tasks of the record,)."""
        day = np.repeat(np.arange(days.count), np.diff(days.first))
        keys, of = np.unique(owner[: len(day)] * days.count + day, return_inverse=True)
        counts = np.bincount(of)
        first = np.cumsum(counts) - counts
        rows = np.argsort(of, kind="stable")
        place = np.empty(len(day), np.int64)
        place[rows] = np.arange(len(day)) - np.repeat(first, counts)
        return cls(keys // days.count, keys % days.count, counts, first, rows, of, place)

    def draw(self, days: _Days, parameters: FittedParameters, generator: np.random.Generator) -> _Drawn:
        """Draw days for one owner after the other."""
        units, places = [], []
        for begin, end in pairwise((*np.unique(self.owner, return_index=True)[1], len(self.owner))):
            there = np.full(days.count, -1)
            there[self.day[begin:end]] = np.arange(begin, end)
            found = there[_days_in_a_row(days.count, parameters, generator)]
            places.append(np.flatnonzero(found >= 0))
            units.append(found[places[-1]])
        unit, day = np.concatenate(units), np.concatenate(places)
        order = np.argsort(day, kind="stable")
        return _Drawn(unit[order], day[order])


def _days_in_a_row(count: int, parameters: FittedParameters, generator: np.random.Generator) -> IntArray:
    """Draw which day of the record each day is, shape (days,)."""
    step = WEEK if count >= 2 * WEEK else 1
    jumps = generator.random(parameters.days) < 1.0 / parameters.block_days
    draws = generator.integers(0, count // step, parameters.days)
    number = np.arange(parameters.days)
    begun = np.maximum.accumulate(np.where(jumps, number, 0))
    chosen: IntArray = ((number % step + step * draws)[begun] + number - begun) % count
    return chosen


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


def _parents(like: Workload, units: _Units, drawn: _Drawn, rows: IntArray, order: IntArray) -> Parents:
    """Return the dependencies of tasks drawn with their parents: on the same day, or on one that is as long before it.

    Args:
        rows: of the tasks in `like`, unit by unit. order: how they were put in order.
    """
    if not like.parents.count:
        return Parents.none(len(rows))
    counts = np.diff(like.parents.offsets)[rows]
    child = np.repeat(np.arange(len(rows)), counts)
    edges = np.arange(len(child)) - np.repeat(np.cumsum(counts) - counts - like.parents.offsets[rows], counts)
    parent, sent = like.parents.rows[edges], None if like.parents.mb is None else like.parents.mb[edges]
    kept = np.flatnonzero(parent < len(units.of))
    child, parent, sent = child[kept], parent[kept], None if sent is None else sent[kept]
    sizes = units.counts[drawn.unit]
    at = np.repeat(drawn.day, sizes)[child] - (units.day[units.of[rows[child]]] - units.day[units.of[parent]])
    keys, wanted = drawn.day * len(units.day) + drawn.unit, at * len(units.day) + units.of[parent]
    found = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    kept = np.flatnonzero((at >= 0) & (keys[found] == wanted))
    placed = np.empty(len(rows), np.int64)
    placed[order] = np.arange(len(rows))
    starts = np.cumsum(sizes) - sizes
    children, parents = placed[child[kept]], placed[starts[found[kept]] + units.place[parent[kept]]]
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
