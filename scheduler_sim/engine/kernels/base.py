"""What all kernels share: a vector of counts, a clock and an event loop to call."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from scheduler_sim.engine.codes import FINISHED, QUEUED, RUNNING
from scheduler_sim.engine.contract import Attempts, History, News, Outcome, Pieces
from scheduler_sim.engine.kernels.structures.gang_buffer import GangBuffer
from scheduler_sim.engine.policies.asking import asking
from scheduler_sim.engine.problem import Problem
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

EventLoop = Callable[[float, int], None]
"""Takes the time up to which whole instants are played, and the number of events that are enough."""


def outcome_of(
    records: Any,
    *,
    ready_time: FloatArray,
    gpu_fraction: FloatArray,
    order: IntArray,
    history: History | None = None,
    crossed: IntArray | None = None,
) -> Outcome:
    """Return what the records of n tasks say of them, shape (n,); `order` is that in which they have finished."""
    return Outcome(
        ready_time=ready_time,
        start_time=records["start"],
        finish_time=records["finish"],
        node=records["node"],
        device=records["device"],
        gpu_fraction=gpu_fraction,
        completion_order=order,
        history=history,
        crossed=crossed,
    )


def guarded(problem: Problem, loop: EventLoop) -> EventLoop:
    """Return the event loop, which refuses to go on where a compiled score of the user's failed."""
    called = problem.scores.called
    if called is None:
        return loop

    def play(until: float, events: int) -> None:
        with asking(called.place):
            loop(until, events)
        called.refuse_failure()

    return play


class BaseKernel(ABC):
    """A kernel over the arrays of its run, which a subclass makes before it calls this.

    Args:
        counts: begins with the common places of `codes`.
        clock: the last instant that was applied, and the time up to which nothing more happens; seconds.
        advance: the compiled event loop. A kernel that plays by a method of its own overrides `_play`: if it kept that
            method it would hold itself, and its memory until Python's collector comes by.
        gangs: where it writes what tasks on several nodes held; None where every task is on one.
    """

    agent: dict[str, Any] | None = None

    def __init__(
        self, *, counts: IntArray, clock: FloatArray, advance: EventLoop | None = None, gangs: GangBuffer | None = None
    ) -> None:
        self._counts, self._clock, self._advance, self._gangs = counts, clock, advance, gangs

    @property
    def clock(self) -> float:
        """The simulated time up to which all events are applied."""
        return float(self._clock[:2].max())

    @property
    def finished(self) -> int:
        """How many tasks have finished."""
        return int(self._counts[FINISHED])

    @property
    def queued(self) -> int:
        """How many tasks are ready and wait."""
        return int(self._counts[QUEUED])

    @property
    def running(self) -> int:
        """How many tasks run."""
        return int(self._counts[RUNNING])

    def advance(self, *, until_time: float, max_events: int) -> None:
        """Apply whole instants up to and including `until_time`, and stop after at least `max_events` events."""
        self._play(until_time, max_events)

    def _play(self, until_time: float, max_events: int) -> None:
        if self._advance is None:
            raise NotImplementedError(f"{type(self).__name__} has neither an event loop nor a way of its own to play.")
        self._advance(until_time, max_events)

    @property
    def full(self) -> bool:
        """True when what tasks on several nodes held is to be drained before anything more is played."""
        return self._gangs is not None and self._gangs.full

    def drain(self) -> Attempts:
        """Return no attempts: each task runs once."""
        return Attempts.none()

    def drain_pieces(self) -> Pieces:
        """Return what tasks on several nodes held of each, of the spans that ended since the last call."""
        return Pieces.none() if self._gangs is None else self._gangs.drain()

    def tell(self, news: News) -> None:
        """Take what became known of tasks that are about to arrive; kernels that need it from the start refuse."""
        raise NotImplementedError(f"{type(self).__name__} takes no estimates late.")

    @abstractmethod
    def outcome(self) -> Outcome:
        """Return the present outcome; the arrays are views that later calls of `advance` change."""


class OuterKernel(BaseKernel):
    """A kernel that lets another one play, and changes what that one knows between its instants."""

    def __init__(self, inner: BaseKernel) -> None:
        super().__init__(counts=inner._counts, clock=inner._clock)
        self.agent = inner.agent
        self._inner = inner

    @abstractmethod
    def _play(self, until_time: float, max_events: int) -> None:
        """Play on; see `advance`."""

    @property
    def full(self) -> bool:
        """True when what the inner kernel has written is to be drained before anything more is played."""
        return self._inner.full

    def drain_pieces(self) -> Pieces:
        """Return what tasks on several nodes held of each, of the spans that ended since the last call."""
        return self._inner.drain_pieces()

    def outcome(self) -> Outcome:
        """Return the present outcome; the arrays are views that later calls of `advance` change."""
        return self._inner.outcome()
