"""A Gymnasium environment over the simulator, so that any reinforcement learning library can learn an order.

Gymnasium is optional: `pip install gymnasium`. An episode is one sequence of rigid tasks on one pool. Whenever a task
could start, the agent sees a window of the queue and chooses which task starts next; a task that does not fit blocks
the queue until enough is released, as a head does without backfilling, and is then started. That is the commit rule of
RLScheduler (Zhang et al., SC 2020), which differs from choosing again at every event, as the policies here do.
"""

from typing import Any

import numpy as np

from scheduler_sim.engine.codes import QUEUED
from scheduler_sim.engine.demand import check_pool
from scheduler_sim.engine.errors import InvalidParameter, InvalidWorkload
from scheduler_sim.engine.formulas import bounded_slowdown
from scheduler_sim.engine.kernels.pool.chosen import advance_to_choice, start_chosen
from scheduler_sim.engine.kernels.pool.state import FREE, Tasks
from scheduler_sim.engine.learning.rollout import idle_run
from scheduler_sim.engine.learning.sampling import AS_RECORDED, Variation, sample
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
        drawn = sample(self.workload, 1, self.length, self.processors, self.np_random, self.variation)
        unused = np.empty(0)
        self._tasks = Tasks(drawn.arrival[0], drawn.duration[0], drawn.expected[0], drawn.cpus[0], unused, unused)
        self._features = drawn.features[0]
        self._run = idle_run(self.length, self.processors)
        self._queue = np.empty(self.length + 1, np.int64)
        advance_to_choice(self._tasks, self._run, self._queue)
        return self._observation(), {}

    def step(self, action: int | np.int64) -> tuple[FloatArray, float, bool, bool, dict[str, Any]]:
        """Start the chosen task, after waiting for enough processors."""
        place = int(action) if int(action) < min(self._run.counts[QUEUED], self.visible) else 0
        start_chosen(place, self._tasks, self._run, self._queue)
        done = bool(self._run.counts[QUEUED] == 0)
        slowdown = self._mean_slowdown() if done else np.nan
        info = {"mean_bounded_slowdown": slowdown} if done else {}
        return self._observation(), -float(np.log(slowdown)) if done else 0.0, done, False, info

    def _observation(self) -> FloatArray:
        queued = self._run.counts[QUEUED]
        rows = self._queue[: min(queued, self.visible)]
        seen = np.zeros((self.visible, FEATURES))
        table = seen[: len(rows)]
        table[:, 0] = 1.0
        table[:, 1:3] = self._features[rows]
        wait = np.maximum(self._run.clock[0] - self._tasks.arrival[rows], 0.0)
        table[:, 3] = wait**0.125 / 2.5 - 1.0
        table[:, 4] = self._tasks.cpus[rows] <= self._run.counts[FREE]
        state = [self._run.counts[FREE] / self.processors, np.log1p(queued) / 5.0]
        observation: FloatArray = np.clip(np.concatenate([seen.ravel(), state]), -10.0, 10.0)
        return observation

    def _mean_slowdown(self) -> float:
        duration = self._tasks.duration
        completion = self._run.finish - self._tasks.arrival
        return float(bounded_slowdown(completion, duration).mean())
