"""What every part of the engine agrees on: how a run is played, what comes of it, and what a kernel is."""

from dataclasses import dataclass
from typing import Any, Protocol

from scheduler_sim.engine.workload import FloatArray, IntArray

SPLIT_MODELS = ("concurrent", "sequential")
"""How the sides of a hybrid task lie in time: side by side, or the CPU side after the GPU side."""


@dataclass(frozen=True)
class Options:
    """Choices that change what is simulated, equal for all policies of a run.

    Attributes:
        kill_at_estimate: end a task when its estimate is used up.
        split_model: one of `SPLIT_MODELS`.
        conservative_depth: how many queued tasks hold a reservation under conservative backfilling; the
            others wait without one. None for all of them; a policy that says `conservative(depth=...)` goes before.
    """

    kill_at_estimate: bool = False
    split_model: str = "concurrent"
    conservative_depth: int | None = None


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
    """

    ready_time: FloatArray
    start_time: FloatArray
    finish_time: FloatArray
    node: IntArray
    device: IntArray
    gpu_fraction: FloatArray
    completion_order: IntArray


class Kernel(Protocol):
    """A compiled event loop and its state between two calls."""

    agent: dict[str, Any] | None
    """What an agent that learns while the kernel plays has learned, by name; None where none plays."""

    @property
    def clock(self) -> float:
        """The simulated time up to which all events are applied."""

    @property
    def finished(self) -> int:
        """How many tasks have finished."""

    @property
    def queued(self) -> int:
        """How many tasks are ready and have not started."""

    @property
    def running(self) -> int:
        """How many tasks have started and not finished."""

    def advance(self, *, until_time: float, max_events: int) -> None:
        """Apply whole instants up to and including `until_time`, and stop after at least `max_events` events."""

    def outcome(self) -> Outcome:
        """Return the present outcome; the arrays are views that later calls of `advance` change."""
