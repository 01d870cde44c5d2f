"""What every part of the engine agrees on: how a run is played, what comes of it, and what a kernel is."""

from dataclasses import dataclass, fields
from functools import cache
from typing import Any, NamedTuple, Protocol, Self

import numpy as np

from scheduler_sim.engine.clusters.failures import Failure
from scheduler_sim.engine.clusters.overheads import NO_OVERHEAD, Checkpoints, Overhead
from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.workloads.workload import BoolArray, FloatArray, IntArray, Workload

SPLIT_MODELS = ("concurrent", "sequential")
"""How the sides of a hybrid task lie in time: side by side, or the CPU side after the GPU side."""


REQUEUE_PLACES = ("old", "end")
"""Where a task that was interrupted waits: where its order puts it, or as if it had arrived anew."""


@dataclass(frozen=True)
class Options:
    """Choices that change what is simulated, equal for all policies of a run.

    Attributes:
        kill_at_estimate: end a task when its estimate is used up.
        split_model: one of `SPLIT_MODELS`.
        conservative_depth: how many queued tasks hold a reservation under conservative backfilling; the
            others wait without one. None for all of them; a policy that says `conservative(depth=...)` goes before.
        max_requeues: with `kill_at_estimate`, how often a task that used its estimate up is run again before it is
            ended for good.
        max_failures: a task that failed so often is ended; None for never.
        requeue_at: where a task that failed or is run again waits, one of `REQUEUE_PLACES`.
        restart_overhead: seconds that each start after the first holds devices without progress; a policy's own
            parameter goes before.
        checkpoints: written while tasks run; None for none.
        hold_cap: no task starts that would make the devices draw more than the series of the power cap allows, which
            the simulation must have; when false, what is drawn beyond it is only counted.
        failures: listed failures of nodes, beside those that the cluster's description draws.
        closed_loop: tasks that follow another one come their think time after it has ended (`feedback.predecessors`).
    """

    kill_at_estimate: bool = False
    split_model: str = "concurrent"
    conservative_depth: int | None = None
    max_requeues: int = 0
    max_failures: int | None = None
    requeue_at: str = "old"
    restart_overhead: Overhead = NO_OVERHEAD
    checkpoints: Checkpoints | None = None
    failures: tuple[Failure, ...] = ()
    hold_cap: bool = False
    closed_loop: bool = False

    def __post_init__(self) -> None:
        if self.max_requeues < 0 or (self.max_requeues and not self.kill_at_estimate):
            raise InvalidParameter(
                f"max_requeues is {self.max_requeues}; it says how often a task killed at its estimate runs again."
            )
        if self.max_failures is not None and self.max_failures < 1:
            raise InvalidParameter(f"max_failures is {self.max_failures}, not a whole number from 1 up.")
        if self.requeue_at not in REQUEUE_PLACES:
            raise InvalidParameter(f"requeue_at is {self.requeue_at!r}, not one of {', '.join(REQUEUE_PLACES)}.")

    @property
    def interrupts(self) -> bool:
        """True when tasks may stop and go on whatever the policy."""
        return self.max_requeues > 0 or self.checkpoints is not None or bool(self.failures)


REASONS = ("finished", "suspended", "requeued", "failed", "resized", "timed_out", "cancelled", "moved")
"""Why an attempt ended, by code. `moved`: the task goes on elsewhere at once, which costs it nothing."""

ENDINGS = ("completed", "timed_out", "cancelled", "failed")
"""What became of a task in the end, by code; -1 for one that has not ended."""


@dataclass(frozen=True, eq=False)
class _Batch:
    """Rows that kernels hand out batch by batch, a column a field."""

    @classmethod
    @cache
    def none(cls) -> Self:
        """Return no rows, the same for all: kernels are asked for news after each of their short turns."""
        return cls(*(np.zeros(0, np.int64 if item.type == IntArray else np.float64) for item in fields(cls)))

    @classmethod
    def joined(cls, batches: "list[Self]") -> Self:
        """Return the rows of several batches as one."""
        if not batches:
            return cls.none()
        if len(batches) == 1:
            return batches[0]
        return cls(*(np.concatenate([getattr(one, item.name) for one in batches]) for item in fields(cls)))

    def __len__(self) -> int:
        length: int = len(getattr(self, fields(self)[0].name))
        return length

    def __getitem__(self, chosen: "slice | IntArray | BoolArray") -> Self:
        """Return the chosen rows: a span, their places, or a mask."""
        return type(self)(*(getattr(self, item.name)[chosen] for item in fields(self)))


@dataclass(frozen=True, eq=False)
class Attempts(_Batch):
    """Spans in which tasks held devices, shape (m,) each: one row an attempt, in the order in which they ended.

    Attributes:
        row: of the workload.
        number: 1, 2, ... for each task.
        start_time, end_time: seconds on the workload's clock.
        node: lowest number among the nodes used. device: lowest GPU on it, -1 for none.
        cpus, gpus: held.
        reason: a code of `REASONS`.
    """

    row: IntArray
    number: IntArray
    start_time: FloatArray
    end_time: FloatArray
    node: IntArray
    device: IntArray
    cpus: FloatArray
    gpus: FloatArray
    reason: IntArray


@dataclass(frozen=True, eq=False)
class Pieces(_Batch):
    """What tasks on several nodes held of each, shape (m,) each: one row a node and a span of time.

    The rows of one span of one task lie together, by node ascending; spans in the order in which they ended. Tasks
    while they are on one node have none.

    Attributes:
        span: a number of what was held at once. row: of the workload.
        start_time, end_time: seconds on the workload's clock.
        node: its number. cpus, gpus: thousandths held there; cores are 0 where a policy shares out GPUs alone.
        devices: mask of the GPUs, a shared one too; 0 on sites, which count GPUs only.
    """

    span: IntArray
    row: IntArray
    start_time: FloatArray
    end_time: FloatArray
    node: IntArray
    cpus: IntArray
    gpus: IntArray
    devices: IntArray

    @classmethod
    def of_records(cls, written: Any) -> Self:
        """Return what a kernel has written, each node of a span once and in order."""
        place = written["span"] * (written["node"].max(initial=0) + 1) + written["node"]
        # Most are in order as they were written, and sorting what is takes several times as long as the rest.
        if (place[1:] < place[:-1]).any():
            order = np.argsort(place, kind="stable")
            written, place = written[order], place[order]
        first = np.flatnonzero(np.append(True, place[1:] != place[:-1]))
        return cls(
            span=written["span"][first],
            row=written["row"][first],
            start_time=written["start"][first],
            end_time=written["end"][first],
            node=written["node"][first],
            cpus=np.add.reduceat(written["cpu"], first),
            gpus=np.add.reduceat(written["gpu"], first),
            devices=np.bitwise_or.reduceat(written["mask"], first),
        )


class UnderWay(NamedTuple):
    """Tasks that have begun and not ended at an instant, shape (m,) each.

    Attributes:
        rows: of the workload.
        seconds: for which each has held devices so far.
        mean_part: of the devices that it asks for, how many it held on average over these.
        part: how many it holds at the instant, 0 where it stands.
    """

    rows: IntArray
    seconds: FloatArray
    mean_part: FloatArray
    part: FloatArray


@dataclass(frozen=True, eq=False)
class History:
    """What n tasks went through between their start and their finish, shape (n,) each.

    Attributes:
        attempts: how many spans each has begun.
        service_time: seconds of progress that was not thrown away.
        held_time: seconds in which it held devices, of the attempts that have ended.
        begun_time: when the last attempt began, NaN before the first.
        ending: a code of `ENDINGS`, -1 for a task that has not ended.
        energy_joules, cost_usd: of the attempts that have ended, each by the node that it ran on; None where all nodes
            are alike, so that `held_time` tells them.
        held_part, last_part: of the devices that it asks for, how many it held on average over `held_time`, and since
            its last attempt began; None where no task is played on more or fewer.
    """

    attempts: IntArray
    service_time: FloatArray
    held_time: FloatArray
    begun_time: FloatArray
    ending: IntArray
    energy_joules: FloatArray | None = None
    cost_usd: FloatArray | None = None
    held_part: FloatArray | None = None
    last_part: FloatArray | None = None

    def __getitem__(self, rows: "slice | IntArray") -> "History":
        """Return that of some tasks."""
        columns: list[Any] = [getattr(self, item.name) for item in fields(self)]
        chosen: list[Any] = [None if column is None else column[rows] for column in columns]
        return History(*chosen)

    @property
    def is_told_apart(self) -> BoolArray:
        """Tasks whose attempts say more than their results: several, or all where widths change."""
        several: BoolArray = self.attempts > (0 if self.held_part is not None else 1)
        return several

    @property
    def lost_time(self) -> FloatArray:
        """Seconds held without progress that lasted: overheads, checkpoints and progress thrown away."""
        return self.held_time - self.service_time


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of n tasks; row i is row i of the workload. Times that are not known yet are NaN; node,
    device and fraction mean something once the task has started.

    Attributes:
        ready_time: arrival, or the finish of the last parent where that is later.
        start_time, finish_time: seconds on the workload's clock.
        node: lowest number among the nodes used.
        device: lowest number among the GPUs used on that node, -1 for none.
        gpu_fraction: the part done on the GPU; of rigid tasks 1 when they hold GPUs and else 0.
        completion_order: rows in the order in which they finished, ties by row; as long as tasks have finished.
        history: what tasks went through where they may stop and go on; None where each runs once from its start to its
            finish (see `Simulation.history`). `start_time` is then the first attempt's start, `finish_time` the last
            one's end: the expected one while it runs, NaN while it waits to go on.
        crossed: how many levels of racks each task crosses, in its last attempt; None without a topology.
    """

    ready_time: FloatArray
    start_time: FloatArray
    finish_time: FloatArray
    node: IntArray
    device: IntArray
    gpu_fraction: FloatArray
    completion_order: IntArray
    history: History | None = None
    crossed: IntArray | None = None


@dataclass(frozen=True, eq=False)
class News:
    """What became known of tasks that are about to arrive, shape (k,) each; None for what stays as it was.

    Attributes:
        rows: which, ascending.
        estimate: what policies are told of their durations, seconds.
        runtime: the seconds of work that they do before they end.
        base, slope: of their scores. features: shape (k, 2), of learned ones.
        fraction, group: what the placement chose.
    """

    rows: IntArray
    estimate: FloatArray
    runtime: FloatArray
    base: FloatArray | None = None
    slope: FloatArray | None = None
    features: FloatArray | None = None
    fraction: FloatArray | None = None
    group: IntArray | None = None


class Predictions(Protocol):
    """The predictions of one simulation, which learns as it goes on."""

    def finish(self, rows: IntArray, runtime: FloatArray) -> None:
        """Learn that `rows` have finished, in this order, after that many seconds of work, shape (len(rows),)."""

    def durations(self, rows: IntArray) -> FloatArray:
        """Return what is predicted now of the run times of `rows`, shape (len(rows),)."""


class Predictor(Protocol):
    """What predicts run times."""

    def begin(self, workload: Workload) -> Predictions:
        """Return the predictions of a simulation that has not begun."""


class Progress(Protocol):
    """How far a policy is."""

    @property
    def clock(self) -> float:
        """The simulated time up to which all events are applied."""

    @property
    def finished(self) -> int:
        """How many tasks have finished."""

    @property
    def queued(self) -> int:
        """How many tasks are ready and wait, to start or to go on."""

    @property
    def running(self) -> int:
        """How many tasks run."""


class Kernel(Progress, Protocol):
    """A compiled event loop and its state between two calls."""

    agent: dict[str, Any] | None
    """What an agent that learns while the kernel plays has learned, by name; None where none plays."""

    def advance(self, *, until_time: float, max_events: int) -> None:
        """Apply whole instants up to and including `until_time`, and stop after at least `max_events` events.

        A kernel whose buffer of attempts or pieces is full stops before that, see `full`.
        """

    @property
    def full(self) -> bool:
        """True when `advance` stopped because a buffer is full; call `drain` and `drain_pieces`, and go on."""

    def drain(self) -> Attempts:
        """Return the attempts written since the last call, of tasks that have, or will have, more than one."""

    def drain_pieces(self) -> Pieces:
        """Return what tasks on several nodes held of each, of the spans that ended since the last call."""

    def tell(self, news: News) -> None:
        """Take what became known of tasks that are about to arrive; for kernels that are made to be told late."""

    def outcome(self) -> Outcome:
        """Return the present outcome; the arrays are views that later calls of `advance` change."""
