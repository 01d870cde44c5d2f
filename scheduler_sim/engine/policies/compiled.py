"""Scores by a compiled function of the user's, called inside the event loops for the tasks that wait at an instant.

The loops are compiled once for all such functions: they call by its address a pass over some tasks, which is compiled
with the function in it. What a function needs of a task lies in one row of a table.
"""

import inspect
import re
from collections import namedtuple
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np

from scheduler_sim.engine.errors import InvalidPolicy
from scheduler_sim.engine.policies.asking import asking
from scheduler_sim.engine.workloads.workload import FloatArray, Workload

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class WaitingTask(NamedTuple):
    """What a compiled score may look at of a task, all numbers.

    Attributes:
        wait_time: seconds since it is ready.
        arrival_time, estimate: seconds.
        cpus, gpus, memory_mb: what it asks for. processors: its GPUs; its cores where it asks for none.
        user, group, partition: the same number for the same name, from 0 up.
        runtime: seconds on a device of speed 1; only for clairvoyant policies, for others NaN.
    """

    wait_time: float
    arrival_time: float
    estimate: float
    cpus: float
    gpus: float
    memory_mb: float
    processors: float
    user: float
    group: float
    partition: float
    runtime: float


Task = cast("Any", namedtuple)("Task", WaitingTask._fields[1:])
"""What a compiled score of the task alone may look at: a `WaitingTask` without its wait."""


class Instant(NamedTuple):
    """What a compiled score may look at of the cluster, as it is before anything starts at an instant.

    Attributes:
        time: seconds.
        queued, running: how many tasks are ready and wait, and how many run.
        free_cores, free_gpus: what is left, over all nodes. cores, gpus: what there is.
    """

    time: float
    queued: float
    running: float
    free_cores: float
    free_gpus: float
    cores: float
    gpus: float


COLUMNS, STATES = len(Task._fields), len(Instant._fields)

AT, FAILED, WAITED, STATE = range(4)
"""Places in `Called.at`: the row that is scored, the first row that has no score (-1 for none), its wait, and from
there on the instant of that."""


class Compiled:
    """A score function, compiled when it is first played, once a process."""

    def __init__(self, name: str, function: Any) -> None:
        self.name, self._function = name, function
        self._whole: Any = None
        self._each: Any = None
        if not callable(function):
            raise InvalidPolicy(f"{name} is no function, but {function!r}.")
        takes = len(inspect.signature(getattr(function, "py_func", function)).parameters)
        if takes not in (1, 2):
            raise InvalidPolicy(f"{name} takes {takes} arguments, where a task, or a task and the instant, are given.")
        self.knows_time = takes == 2

    def of_one(self) -> Any:
        """Return the function as compiled code that Python can call."""
        from numba import njit

        # What is compiled already keeps its own settings.
        if not hasattr(self._function, "py_func"):
            self._function = njit(error_model="numpy", nogil=True)(self._function)
        return self._function

    def of_each(self, called: "Called") -> Any:
        """Return what a function of the task alone returns for each: scores, or a pair of scores and slopes.

        Raises:
            InvalidPolicy: it cannot be compiled, or fails at a task.
        """
        if self._each is None:
            from numba import NumbaError

            try:
                self._each = _pass_over_each(self.name, self.of_one())
            except NumbaError as error:
                hint = " A function of the task alone knows no wait; let it take the instant, too." * (
                    "attribute 'wait_time'" in str(error)
                )
                raise InvalidPolicy(f"{self.name} cannot be compiled: {_reason(error)}{hint}") from error
        scores = np.zeros((2, len(called.table)))
        try:
            with asking(called.place):
                has_slopes = self._each(called.table, scores[0], scores[1], called.at)
        except Exception as error:
            raise InvalidPolicy(
                f"{self.name} fails at scoring {called.place()}: {type(error).__name__}: {error}.".replace("..", ".")
            ) from error
        finally:
            called.at[AT] = -1
        return (scores[0], scores[1]) if has_slopes else scores[0]

    def address(self) -> int:
        """Return where the pass over tasks lies.

        Raises:
            InvalidPolicy: the function cannot be compiled.
        """
        if self._whole is None:
            from numba import NumbaError

            try:
                self._whole = _pass_over(self.name, self.of_one())
            except NumbaError as error:
                raise InvalidPolicy(f"{self.name} cannot be compiled: {_reason(error)}") from error
        return int(self._whole.address)


def _returned(name: str, score: Any, *arguments: Any) -> Any:
    """Compile a score for such arguments and return the type of what it returns.

    Raises:
        InvalidPolicy: neither a real number nor, of the task alone, a pair of them.
    """
    import numba

    types: Any = numba.types
    kinds = tuple(cast("Any", numba).typeof(one) for one in arguments)
    score.compile(kinds)
    found = score.overloads[kinds].signature.return_type
    is_tuple = isinstance(found, types.BaseTuple) and len(arguments) == 1
    parts = tuple(found) if is_tuple else (found,)
    if (is_tuple and len(parts) != 2) or not all(
        isinstance(part, types.Integer | types.Float | types.Boolean) for part in parts
    ):
        pair = " or a pair of them" if len(arguments) == 1 else ""
        raise InvalidPolicy(f"{name} returns {_in_words(found)}, where a real number{pair} was expected.")
    return found


def _in_words(kind: Any) -> str:
    """Return what a function returns, by Numba's type of it."""
    import numba

    types: Any = numba.types
    words = (
        (types.Optional, "None for some tasks"),
        (types.NoneType, "None"),
        ((types.UnicodeType, types.StringLiteral), "a text"),
        (types.Complex, "a complex number"),
    )
    if isinstance(kind, types.BaseTuple):
        return f"{len(kind)} values" if len(kind) > 1 else f"a tuple of {len(kind)}"
    return next((word for known, word in words if isinstance(kind, known)), str(kind))


def _pass_over(name: str, score: Any) -> Any:
    """Compile the pass that scores tasks by `score`; it returns nothing of use, and stops scoring at a failure."""
    import numba

    _returned(name, score, WaitingTask(*[0.0] * (COLUMNS + 1)), Instant(*[0.0] * STATES))

    # Numba ships without types for these.
    types: Any = numba.types
    carray: Any = getattr(numba, "carray")  # noqa: B009
    integers, reals = types.CPointer(types.int64), types.CPointer(types.float64)

    def of_one(row: int, wait: float, table: Any, now: Any) -> float:
        t = carray(table, (row + 1, COLUMNS))[row]
        found = float(score(WaitingTask(wait, t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7], t[8], t[9]), now))
        if np.isnan(found):
            raise ValueError
        return found

    # A function of its own: after each step of what is tried Numba has code that asks whether it failed.
    score_of_one = numba.njit(error_model="numpy", nogil=True)(of_one)

    def scored(first: int, count: int, rows: Any, wait: Any, table: Any, state: Any, scores: Any, at: Any) -> int:
        row_of, waits, found = carray(rows, first + count), carray(wait, count), carray(scores, count)
        seen, marks = carray(state, STATES), carray(at, STATE + STATES)
        now = Instant(seen[0], seen[1], seen[2], seen[3], seen[4], seen[5], seen[6])
        done = 0
        while done < count and marks[FAILED] < 0:
            marks[AT] = row_of[first + done]
            try:
                found[done] = score_of_one(row_of[first + done], waits[done], table, now)
                done += 1
            except Exception:  # noqa: BLE001  (compiled code tells errors no further apart)
                marks[FAILED], marks[WAITED] = marks[AT], waits[done]
                for place in range(STATES):
                    marks[STATE + place] = seen[place]
        # Whoever calls looks for a failure only when it has played; any order will do until then.
        for place in range(done, count):
            found[place] = 0.0
        return done

    signature = types.int64(types.int64, types.int64, integers, *[reals] * 5)
    return numba.cfunc(signature, error_model="numpy")(scored)


def _pass_over_each(name: str, score: Any) -> Any:
    """Compile the pass that scores all tasks by `score`; it tells whether scores come with slopes."""
    import numba

    types: Any = numba.types
    pairs = isinstance(_returned(name, score, Task(*[0.0] * COLUMNS)), types.BaseTuple)

    def scored(table: Any, base: Any, slope: Any, at: Any) -> bool:
        for row in range(len(table)):
            at[AT] = row
            t = table[row]
            found = score(Task(t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7], t[8], t[9]))
            if pairs:
                base[row], slope[row] = found
            else:
                base[row] = found
        return pairs

    reals = types.float64[::1]
    compiled = numba.njit(error_model="numpy", nogil=True)(scored)
    compiled.compile((types.float64[:, ::1], reals, reals, reals))
    return compiled


def _reason(error: Exception) -> str:
    """Return what Numba's long message says in one sentence."""
    lines = [line.strip() for line in _COLOURS.sub("", str(error)).splitlines() if line.strip()]
    skipped = ("Failed in", "During:", "File ", "No implementation", ">>>", "- Resolution", "raised from", "^")
    telling = [line for line in lines if not line.startswith(skipped)]
    return (telling or lines or [type(error).__name__])[0].rstrip(".") + "."


@dataclass(frozen=True)
class Called:
    """A compiled score in one simulation.

    Attributes:
        compiled: the function.
        workload: the tasks.
        table: shape (n, COLUMNS), `WaitingTask` without the wait.
        at: where the scoring is and where it failed, see the places above.
        state: shape (STATES,), the instant as the function sees it.
    """

    compiled: Compiled
    workload: Workload
    table: FloatArray
    at: FloatArray
    state: FloatArray

    def place(self) -> str:
        """Return what the function is asked about, for a sentence; empty before it is asked."""
        row = int(self.at[AT])
        if row < 0:
            return ""
        task = f"task {self.workload.task_id[row]}"
        if self.compiled.knows_time:
            return f"{task} at {self.state[0]:,.15g} s"
        return f"{task}, which arrives at {self.workload.arrival_time[row]:,.15g} s"

    def refuse_failure(self) -> None:
        """Refuse what was played where a task got no score.

        Raises:
            InvalidPolicy: one did not; the sentence names it and the instant.
        """
        row = int(self.at[FAILED])
        if row < 0:
            return
        task = WaitingTask(float(self.at[WAITED]), *self.table[row].tolist())
        now = Instant(*self.at[STATE:].tolist())
        name, where = self.compiled.name, f"task {self.workload.task_id[row]} at {now.time:,.15g} s"
        try:
            self.compiled.of_one()(task, now)
        except Exception as error:
            raise InvalidPolicy(f"{name} fails at scoring {where}: {type(error).__name__}: {error}.") from error
        raise InvalidPolicy(f"The score of {name} is not a number for {where}.")


def call_of(
    compiled: Compiled, workload: Workload, *, estimate: FloatArray, processors: FloatArray, clairvoyant: bool
) -> Called:
    """Return what a simulation of the workload calls; `estimate` in seconds and `processors` have the shape (n,).

    Raises:
        InvalidPolicy: the function cannot be compiled.
    """
    if compiled.knows_time:
        compiled.address()
    n = len(workload)
    table = np.column_stack(
        [
            workload.arrival_time,
            estimate,
            workload.cpus,
            workload.gpus,
            workload.memory_mb,
            processors,
            workload.user.codes,
            workload.group.codes,
            workload.queue.codes,
            workload.runtime if clairvoyant else np.full(n, np.nan),
        ]
    )
    at, state = np.full(STATE + STATES, -1.0), np.zeros(STATES)
    return Called(compiled, workload, np.ascontiguousarray(table), at, state)
