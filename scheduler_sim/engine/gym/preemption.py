"""What is stopped for a task that waits."""

from typing import Any, Unpack

import numpy as np

from scheduler_sim.engine.clusters.demand import check_pool
from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.gym.choosing import ChoosingEnv, ChoosingVectorEnv, Episodes, Game
from scheduler_sim.engine.kernels.choices.preemption import (
    COUNTS,
    FREE,
    OF_RUNNING,
    OF_WAITING,
    OFFERED,
    SETTINGS,
    SHORTEST_FIRST,
    SKIPS,
    Stopping,
    begin_or_stop,
)
from scheduler_sim.engine.workloads.workload import BoolArray, FloatArray, IntArray, Workload

BASES = ("fcfs", "fcfs+list", "sjf", "sjf+list")
"""The policies that play where nothing is ever stopped."""


class PreemptionEpisodes(Episodes, total=False):
    """What may be said of the episodes of `PreemptionEnv`."""

    base: str
    visible: int
    asked: int
    overhead: float


class PreemptionGame(Game):
    """Pools, and who may be stopped on each; see `PreemptionEnv`."""

    def __init__(
        self,
        workload: Workload,
        processors: int,
        places: int,
        *,
        base: str = "fcfs",
        visible: int = 16,
        asked: int = 1,
        overhead: float = 0.0,
        **episodes: Unpack[Episodes],
    ) -> None:
        super().__init__(workload, places, **episodes)
        check_pool(workload, processors)
        if base not in BASES:
            raise InvalidParameter(f"{base!r} is not what an agent may stop tasks under; there are {', '.join(BASES)}.")
        if visible < 1 or asked < 1:
            raise InvalidParameter("visible and asked must be at least 1.")
        if not 0.0 <= overhead < np.inf:
            raise InvalidParameter(f"overhead is {overhead}, not a number of seconds from 0 up.")
        self.processors = processors
        self.seen, self.actions = OF_WAITING + visible * OF_RUNNING, visible + 1
        self._overhead = float(overhead)
        self._settings = np.zeros(SETTINGS, np.int64)
        self._settings[SHORTEST_FIRST], self._settings[SKIPS] = base.startswith("sjf"), base.endswith("+list")
        self._settings[OFFERED] = asked
        shape = (places, self.length)
        # Which is of times and which of whole numbers is told by name, which types do not see.
        state: Any = Stopping
        times = ("arrival", "duration", "work", "told", "begun", "progress_from", "start", "finish", "end_times")
        numbers = ("cpus", "began_in", "stops", "queue", "end_rows")
        self.state = state(
            **{name: np.empty(shape) for name in times},
            **{name: np.zeros(shape, np.int64) for name in numbers},
            counts=np.empty((places, COUNTS), np.int64),
            clock=np.empty((places, 1)),
            shown=np.empty((places, visible), np.int64),
        )

    def draw(self, place: int, generator: np.random.Generator) -> None:
        """Put a sequence and an idle pool at one place."""
        state = self.state
        chosen, state.arrival[place] = self.cut(generator)
        state.duration[place] = state.work[place] = self.workload.runtime[chosen]
        state.told[place] = self.workload.duration_estimate[chosen]
        state.cpus[place] = self.workload.cpus[chosen].astype(np.int64)
        for column in (state.begun, state.progress_from, state.start, state.finish):
            column[place] = np.nan
        state.stops[place] = state.counts[place] = 0
        state.counts[place, FREE] = self.processors
        state.clock[place] = -np.inf

    def play(self, actions: IntArray, begins: BoolArray, seen: FloatArray, figures: FloatArray) -> None:
        """Take one step everywhere."""
        begin_or_stop(actions, begins, self.processors, self._settings, self._overhead, self.state, seen, figures)

    def masks(self, seen: FloatArray) -> BoolArray:
        """Return whether to stop nothing, which may always be, and which running tasks may be stopped."""
        masks = np.ones((len(seen), self.actions), np.bool_)
        masks[:, 1:] = seen[:, OF_WAITING::OF_RUNNING] == 1.0
        return masks


class PreemptionEnv(ChoosingEnv):
    """One pool, one sequence an episode; the action is which running task is stopped for a waiting one, if any.

    A base policy starts tasks. For one that waits and does not fit the agent is asked: 0 stops nothing, i stops the
    i-th running task that is seen, the most estimated time left first. It is asked again until the task fits, nothing
    more is stopped for it, or nothing is left to stop; what has begun in the same round of starts is not
    stopped. What is stopped keeps what it has done and waits at its place until a later event, or until the walk of the
    queue comes to it.

    Never to stop anything is the base policy. To stop, under `sjf+list` with `asked=length`, what `srtf` would not let
    run is `srtf`, where no two have the same time left.

    Args:
        workload: what sequences are cut from.
        processors: of the pool.
        length: tasks a sequence (256).
        base: `fcfs` (the default), `fcfs+list`, `sjf` or `sjf+list`; `sjf` goes by the estimated time left.
        visible: how many running tasks are seen (16).
        asked: for how many waiting tasks is asked at one instant (1).
        overhead: seconds that a stopped task holds its processors without progress when it goes on (0).
        variation: how sequences differ from the workload; by default they are as recorded.
        objective: what the reward goes by: `bsld` (the default), `jct` or `wait`, the wait until the first start.
    """

    def __init__(self, workload: Workload, processors: int, **episodes: Unpack[PreemptionEpisodes]) -> None:
        super().__init__(PreemptionGame(workload, processors, 1, **episodes))


class PreemptionVectorEnv(ChoosingVectorEnv):
    """Many environments like `PreemptionEnv`, all stepped in one compiled call; arguments as there."""

    def __init__(
        self, workload: Workload, processors: int, *, num_envs: int, **episodes: Unpack[PreemptionEpisodes]
    ) -> None:
        super().__init__(PreemptionGame(workload, processors, num_envs, **episodes))
