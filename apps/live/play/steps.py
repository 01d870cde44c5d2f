"""How far each step of a race goes."""

import time

from scheduler_sim.engine.workloads.workload import FloatArray

STEP_SECONDS = 0.03
"""What one step of all policies together should take, so that commands are obeyed promptly."""


class Steps:
    """The simulated times at which the policies of a race wait for each other.

    Without a pace, steps grow and shrink so that each takes about `STEP_SECONDS`. With a pace every step is as long as
    simulated time passes in that while, and the rest of it is slept away; time spent paused counts for nothing.

    Args:
        arrivals: shape (n,), arrival times in ascending order, n > 0.
        tasks_per_second: how many tasks arrive in a second of the watcher's, on average; None for full speed.
    """

    def __init__(self, arrivals: FloatArray, *, tasks_per_second: float | None = None) -> None:
        span = max(float(arrivals[-1] - arrivals[0]), 1e-3)
        self.until_time = float(arrivals[0])
        self._paced = tasks_per_second is not None
        self._length = span / 1000
        if tasks_per_second is not None:
            self._length = STEP_SECONDS * tasks_per_second * span / len(arrivals)
        self._began = time.perf_counter()

    def begin(self) -> None:
        """Start the watch of the step."""
        self._began = time.perf_counter()

    def extend(self) -> None:
        """Choose the next step's end, after this one was reached."""
        took = time.perf_counter() - self._began
        if self._paced:
            time.sleep(max(0.0, STEP_SECONDS - took))
        elif took < STEP_SECONDS / 2:
            self._length *= 2
        elif took > STEP_SECONDS * 2:
            self._length /= 2
        self.until_time += self._length
