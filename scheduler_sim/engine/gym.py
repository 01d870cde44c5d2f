"""A Gymnasium environment over the simulator, so that any reinforcement learning library can learn an order.

Gymnasium is optional: `pip install gymnasium`. An episode is one sequence of rigid tasks on one pool. Whenever a task
could start, the agent sees a window of the queue and chooses which task starts next; a task that does not fit blocks
the queue until enough is released, as a head does without backfilling, and is then started. That is the commit rule of
RLScheduler (Zhang et al., SC 2020), which differs from choosing again at every event, as the policies here do.
"""

from typing import Any

import numpy as np

from scheduler_sim.engine.errors import InvalidParameter, InvalidWorkload
from scheduler_sim.engine.learning.rollout import Sequences, check_pool
from scheduler_sim.engine.learning.sampling import AS_RECORDED, Variation, sample
from scheduler_sim.engine.metrics import SHORTEST_RUN
from scheduler_sim.engine.workload import FloatArray, Workload

try:
    import gymnasium
    from gymnasium import spaces
except ImportError as error:  # pragma: no cover
    raise ImportError(
        "scheduler_sim.engine.gym needs the optional package gymnasium (pip install gymnasium)."
    ) from error

FEATURES = 5
"""Of each visible task: present, r, n, wait (as the learned scores see them), and whether it fits now."""


class SchedulingEnv(gymnasium.Env[FloatArray, np.int64]):
    """One pool, one sequence an episode; the action is which visible task starts next.

    The reward is given at the end of an episode: minus the logarithm of the mean bounded slowdown. An action that
    points at no task stands for the first visible one. The queue is visible in order of arrival.

    Attributes:
        workload: what sequences are cut from.
        processors: of the pool.
        length: tasks a sequence.
        visible: how many queued tasks are seen.
        variation: how sequences differ from the workload; by default they are as recorded.
    """

    metadata = {"render_modes": []}

    def __init__(
        self,
        workload: Workload,
        processors: int,
        *,
        length: int = 256,
        visible: int = 32,
        variation: Variation = AS_RECORDED,
    ) -> None:
        check_pool(workload, processors)
        if visible < 1 or length < 1:
            raise InvalidParameter("length and visible must be at least 1.")
        if len(workload) < length:
            raise InvalidWorkload(f"The workload has {len(workload)} tasks, fewer than one sequence of {length}.")
        self.workload, self.processors = workload, processors
        self.length, self.visible, self.variation = length, visible, variation
        self.observation_space = spaces.Box(-10.0, 10.0, (visible * FEATURES + 2,), np.float64)
        self.action_space = spaces.Discrete(visible)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[FloatArray, dict[str, Any]]:
        """Begin an episode on a freshly drawn sequence."""
        super().reset(seed=seed)
        self._tasks: Sequences = sample(self.workload, 1, self.length, self.processors, self.np_random, self.variation)
        self._start = np.full(self.length, np.nan)
        self._clock = float(self._tasks.arrival[0, 0])
        self._free, self._arrived = self.processors, 0
        self._queue: list[int] = []
        self._running: list[tuple[float, int]] = []
        self._run_to_decision()
        return self._observation(), {}

    def step(self, action: int | np.int64) -> tuple[FloatArray, float, bool, bool, dict[str, Any]]:
        """Start the chosen task, after waiting for enough processors."""
        place = int(action) if int(action) < min(len(self._queue), self.visible) else 0
        row = self._queue.pop(place)
        cpus = int(self._tasks.cpus[0, row])
        while self._free < cpus:
            self._pass_instant()
        self._start[row] = self._clock
        self._free -= cpus
        self._running.append((self._clock + float(self._tasks.duration[0, row]), row))
        self._run_to_decision()
        done = not self._queue
        slowdown = self._mean_slowdown() if done else np.nan
        info = {"mean_bounded_slowdown": slowdown} if done else {}
        return self._observation(), -float(np.log(slowdown)) if done else 0.0, done, False, info

    def _pass_instant(self) -> None:
        """Go to the next event and apply all events of that instant, releases first."""
        times = [time for time, _ in self._running]
        if self._arrived < self.length:
            times.append(float(self._tasks.arrival[0, self._arrived]))
        self._clock = max(min(times), self._clock)
        for _, row in (entry for entry in self._running if entry[0] <= self._clock):
            self._free += int(self._tasks.cpus[0, row])
        self._running = [entry for entry in self._running if entry[0] > self._clock]
        self._take_arrivals()

    def _take_arrivals(self) -> None:
        while self._arrived < self.length and self._tasks.arrival[0, self._arrived] <= self._clock:
            self._queue.append(self._arrived)
            self._arrived += 1

    def _run_to_decision(self) -> None:
        self._take_arrivals()
        while not self._queue and self._arrived < self.length:
            self._pass_instant()

    def _observation(self) -> FloatArray:
        seen = self._queue[: self.visible]
        table = np.zeros((self.visible, FEATURES))
        if seen:
            rows = np.array(seen)
            table[: len(seen), 0] = 1.0
            table[: len(seen), 1:3] = self._tasks.features[0, rows]
            wait = np.maximum(self._clock - self._tasks.arrival[0, rows], 0.0)
            table[: len(seen), 3] = wait**0.125 / 2.5 - 1.0
            table[: len(seen), 4] = self._tasks.cpus[0, rows] <= self._free
        state = [self._free / self.processors, np.log1p(len(self._queue)) / 5.0]
        observation: FloatArray = np.clip(np.concatenate([table.ravel(), state]), -10.0, 10.0)
        return observation

    def _mean_slowdown(self) -> float:
        duration = self._tasks.duration[0]
        completion = self._start - self._tasks.arrival[0] + duration
        return float(np.maximum(1.0, completion / np.maximum(duration, SHORTEST_RUN)).mean())
