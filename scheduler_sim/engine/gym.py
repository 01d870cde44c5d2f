"""A Gymnasium environment over the simulator, so that any reinforcement learning library can learn an order.

Gymnasium is optional: `pip install gymnasium`. An episode is one sequence of rigid tasks on one pool. Whenever a task
could start, the agent sees a window of the queue and chooses which task starts next; a task that does not fit blocks
the queue until enough is released, as a head does without backfilling, and is then started. That is the commit rule of
RLScheduler (Zhang et al., SC 2020), which differs from choosing again at every event, as the policies here do.

`SchedulingVectorEnv` is many of them that are stepped in one compiled call.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from scheduler_sim.engine.codes import QUEUED
from scheduler_sim.engine.demand import check_pool
from scheduler_sim.engine.errors import InvalidParameter, InvalidWorkload
from scheduler_sim.engine.kernels.pool.chosen import (
    FEATURES,
    advance_to_choice,
    begin_or_choose,
    mean_slowdown,
    observe,
    start_chosen,
)
from scheduler_sim.engine.kernels.pool.state import FIELDS, Run, Tasks
from scheduler_sim.engine.learning.rollout import idle_run
from scheduler_sim.engine.learning.sampling import AS_RECORDED, Variation, sample
from scheduler_sim.engine.workload import BoolArray, FloatArray, IntArray, Workload

try:
    import gymnasium
    from gymnasium import spaces
    from gymnasium.utils import seeding
    from gymnasium.vector import AutoresetMode, VectorEnv
    from gymnasium.vector.utils import batch_space
except ImportError as error:  # pragma: no cover
    raise ImportError(
        "scheduler_sim.engine.gym needs the optional package gymnasium (pip install gymnasium)."
    ) from error


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
        _check(workload, processors, length, visible)
        self.workload, self.processors = workload, processors
        self.length, self.visible, self.variation = length, visible, variation
        self.observation_space, self.action_space = _spaces(visible)

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
        """Start the chosen task, after waiting for enough processors; a place that shows none counts as the first."""
        place = int(action) if 0 <= int(action) < min(self._run.counts[QUEUED], self.visible) else 0
        start_chosen(place, self._tasks, self._run, self._queue)
        done = bool(self._run.counts[QUEUED] == 0)
        slowdown = mean_slowdown(self._tasks, self._run) if done else np.nan
        info = {"mean_bounded_slowdown": slowdown} if done else {}
        return self._observation(), -float(np.log(slowdown)) if done else 0.0, done, False, info

    def _observation(self) -> FloatArray:
        seen = np.empty(self.observation_space.shape or ())
        observe(self._tasks, self._run, self._queue, self._features, self.processors, seen)
        return seen


class SchedulingVectorEnv(VectorEnv[FloatArray, IntArray, Any]):
    """Many environments like `SchedulingEnv`, all stepped in one compiled call.

    What each does is what `SchedulingEnv` of the same seed does: environment i of `reset(seed=s)` has the seed s + i.
    After its last task an environment begins anew at the next step, whose action it ignores (`NEXT_STEP`).

    Attributes: as of `SchedulingEnv`.
    """

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(
        self,
        workload: Workload,
        processors: int,
        *,
        num_envs: int,
        length: int = 256,
        visible: int = 32,
        variation: Variation = AS_RECORDED,
    ) -> None:
        _check(workload, processors, length, visible)
        if num_envs < 1:
            raise InvalidParameter("num_envs must be at least 1.")
        self.workload, self.processors, self.num_envs = workload, processors, num_envs
        self.length, self.visible, self.variation = length, visible, variation
        self.single_observation_space, self.single_action_space = _spaces(visible)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        shape = (num_envs, length)
        unused = np.empty(0)
        arrival, duration, expected = (np.empty(shape) for _ in range(3))
        self._tasks = Tasks(arrival, duration, expected, np.empty(shape, np.int64), unused, unused)
        self._features = np.empty((*shape, 2))
        self._run = Run(
            counts=np.zeros((num_envs, FIELDS), np.int64),
            clock=np.empty((num_envs, 2)),
            start=np.empty(shape),
            finish=np.empty(shape),
            order=np.empty(shape, np.int64),
            end_times=np.empty(shape),
            end_rows=np.empty(shape, np.int64),
        )
        self._queue = np.empty((num_envs, length + 1), np.int64)
        self._generators: list[np.random.Generator] = []
        self._over = np.ones(num_envs, np.bool_)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[FloatArray, dict[str, Any]]:
        """Begin an episode in every environment; `seed` is that of the first, or has one for each.

        Raises:
            InvalidParameter: another number of seeds than there are environments.
        """
        if seed is not None or not self._generators:
            seeds = _one_each(seed, self.num_envs)
            self._generators = [seeding.np_random(one)[0] for one in seeds]
        self._over[:] = True
        seen, _ = self._step(np.zeros(self.num_envs, np.int64))
        return seen, {}

    def step(self, actions: Any) -> tuple[FloatArray, FloatArray, BoolArray, BoolArray, dict[str, Any]]:
        """Start the chosen task in every environment, and begin anew where all were started before.

        Raises:
            InvalidParameter: another number of actions than there are environments.
        """
        chosen = np.ascontiguousarray(actions, np.int64)
        if chosen.shape != (self.num_envs,):
            raise InvalidParameter(f"{chosen.size} actions are not one for each of {self.num_envs} environments.")
        seen, slowdowns = self._step(chosen)
        self._over = ~np.isnan(slowdowns)
        rewards = np.where(self._over, -np.log(slowdowns), 0.0)
        info = {"mean_bounded_slowdown": slowdowns, "_mean_bounded_slowdown": self._over.copy()}
        never = np.zeros(self.num_envs, np.bool_)
        return seen, rewards, self._over.copy(), never, info if self._over.any() else {}

    def _step(self, actions: IntArray) -> tuple[FloatArray, FloatArray]:
        for place in np.flatnonzero(self._over):
            self._draw(int(place))
        begins, self._over = self._over, np.zeros(self.num_envs, np.bool_)
        seen = np.empty(self.observation_space.shape or ())
        slowdowns = np.empty(self.num_envs)
        begin_or_choose(
            actions, begins, self.processors, self._tasks, self._run, self._queue, self._features, seen, slowdowns
        )
        return seen, slowdowns

    def _draw(self, place: int) -> None:
        """Put a sequence, and an idle pool, in the place of one that is over."""
        drawn = sample(self.workload, 1, self.length, self.processors, self._generators[place], self.variation)
        for name in ("arrival", "duration", "expected", "cpus"):
            getattr(self._tasks, name)[place] = getattr(drawn, name)[0]
        self._features[place] = drawn.features[0]
        for whole, idle in zip(self._run, idle_run(self.length, self.processors), strict=True):
            whole[place] = idle


def _one_each(seed: int | Sequence[int | None] | None, environments: int) -> Sequence[int | None]:
    if isinstance(seed, Sequence):
        if len(seed) != environments:
            raise InvalidParameter(f"{len(seed)} seeds are not one for each of {environments} environments.")
        return seed
    return [None if seed is None else seed + i for i in range(environments)]


def _check(workload: Workload, processors: int, length: int, visible: int) -> None:
    check_pool(workload, processors)
    if visible < 1 or length < 1:
        raise InvalidParameter("length and visible must be at least 1.")
    if len(workload) < length:
        raise InvalidWorkload(f"The workload has {len(workload)} tasks, fewer than one sequence of {length}.")


def _spaces(visible: int) -> tuple[spaces.Space[FloatArray], spaces.Discrete]:
    seen: spaces.Space[Any] = spaces.Box(-10.0, 10.0, (visible * FEATURES + 2,), np.float64)
    return seen, spaces.Discrete(visible)
