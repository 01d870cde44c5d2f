"""Which task of a pool's queue starts next."""

import hashlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Unpack

import numpy as np

from scheduler_sim.engine.clusters.demand import check_pool
from scheduler_sim.engine.codes import QUEUED
from scheduler_sim.engine.errors import InvalidParameter, InvalidPolicy
from scheduler_sim.engine.gym.choosing import ChoosingEnv, ChoosingVectorEnv, Episodes, Game
from scheduler_sim.engine.kernels.choices.queue import FEATURES, begin_or_choose, observe_once
from scheduler_sim.engine.kernels.pool.state import FIELDS, FREE, Run, Tasks
from scheduler_sim.engine.learning.sampling import sample
from scheduler_sim.engine.learning.sequences import idle_run
from scheduler_sim.engine.policies.origin import source_digest
from scheduler_sim.engine.policies.own import deciding
from scheduler_sim.engine.policies.scoring import task_features
from scheduler_sim.engine.workloads.workload import BoolArray, FloatArray, IntArray, Workload

if TYPE_CHECKING:
    from scheduler_sim.engine.kernels.decided.state import State

Chooser = Callable[[FloatArray, BoolArray], int]
"""Takes an observation and the mask of valid actions, and returns an action."""


class QueueEpisodes(Episodes, total=False):
    """What may be said of the episodes of `SchedulingEnv`."""

    visible: int


class QueueGame(Game):
    """Pools, and a window of the queue of each; see `SchedulingEnv`."""

    def __init__(
        self, workload: Workload, processors: int, places: int, *, visible: int = 32, **episodes: Unpack[Episodes]
    ) -> None:
        super().__init__(workload, places, **episodes)
        check_pool(workload, processors)
        if visible < 1:
            raise InvalidParameter("length and visible must be at least 1.")
        self.processors, self.visible = processors, visible
        self.seen, self.actions = visible * FEATURES + 2, visible
        shape, unused = (places, self.length), np.empty(0)
        self.tasks = Tasks(
            arrival=np.empty(shape),
            duration=np.empty(shape),
            expected=np.empty(shape),
            cpus=np.empty(shape, np.int64),
            base=unused,
            slope=unused,
        )
        self.run = Run(
            counts=np.zeros((places, FIELDS), np.int64),
            clock=np.empty((places, 2)),
            start=np.empty(shape),
            finish=np.empty(shape),
            order=np.empty(shape, np.int64),
            end_times=np.empty(shape),
            end_rows=np.empty(shape, np.int64),
        )
        self._features = np.empty((*shape, 2))
        self._queue = np.empty((places, self.length + 1), np.int64)

    def draw(self, place: int, generator: np.random.Generator) -> None:
        """Put a sequence and an idle pool at one place."""
        drawn = sample(self.workload, 1, self.length, self.processors, generator, self.variation)
        for name in ("arrival", "duration", "expected", "cpus"):
            getattr(self.tasks, name)[place] = getattr(drawn, name)[0]
        self._features[place] = drawn.features[0]
        for whole, idle in zip(self.run, idle_run(self.length, self.processors), strict=True):
            whole[place] = idle

    def play(self, actions: IntArray, begins: BoolArray, seen: FloatArray, figures: FloatArray) -> None:
        """Take one step everywhere."""
        begin_or_choose(
            actions, begins, self.processors, self.tasks, self.run, self._queue, self._features, seen, figures
        )

    def masks(self, seen: FloatArray) -> BoolArray:
        """Return which places of the queue show a task."""
        return present(seen)


def present(seen: FloatArray) -> BoolArray:
    """Return which places show a task in observations of a queue, shape (..., visible)."""
    return np.asarray(seen[..., : seen.shape[-1] - 2 : FEATURES] == 1.0)


class SchedulingEnv(ChoosingEnv):
    """One pool, one sequence an episode; the action is which visible task starts next.

    Whenever a task could start, the agent sees a window of the queue, in order of arrival, and chooses. A task that
    does not fit blocks the queue until enough is released, as a head does without backfilling, and is then started.
    That is the commit rule of RLScheduler (Zhang et al., SC 2020), which differs from choosing again at every event, as
    the policies here do.

    Args:
        workload: what sequences are cut from.
        processors: of the pool.
        length: tasks a sequence (256).
        visible: how many queued tasks are seen (32).
        variation: how sequences differ from the workload; by default they are as recorded.
        objective: what the reward goes by: `bsld` (the default), `jct` or `wait`.
    """

    game: QueueGame

    def __init__(self, workload: Workload, processors: int, **episodes: Unpack[QueueEpisodes]) -> None:
        super().__init__(QueueGame(workload, processors, 1, **episodes))
        self.processors, self.visible = processors, self.game.visible


class SchedulingVectorEnv(ChoosingVectorEnv):
    """Many environments like `SchedulingEnv`, all stepped in one compiled call; arguments as there."""

    game: QueueGame

    def __init__(
        self, workload: Workload, processors: int, *, num_envs: int, **episodes: Unpack[QueueEpisodes]
    ) -> None:
        super().__init__(QueueGame(workload, processors, num_envs, **episodes))
        self.processors, self.visible = processors, self.game.visible


def learned_queue(name: str, choose: Chooser, *, visible: int = 32, learned: bytes = b"") -> None:
    """Register what was learned in `SchedulingEnv` as the whole policy `name`, on pools.

    It sees what the environment shows, is bound to its choice as there, and plays and is judged as any other. A run on
    several nodes is refused when it is first asked (`InvalidPolicy`).

    Args:
        choose: what is called with an observation and a mask.
        visible: as in the environment.
        learned: what `choose` goes by beyond its source, such as the weights of a network: runs keep a digest of both,
            by which whoever plays them again can tell whether it is the same.

    Raises:
        InvalidPolicy: a name that cannot be one, or that another policy has.
    """

    class Bound:
        chosen = -1

        def decide(self, state: "State") -> Iterator[int]:
            if len(state.free_cores) != 1:
                raise InvalidPolicy(
                    f"{name} learned on a pool; it does not choose among {len(state.free_cores)} nodes."
                )
            queue, free = state.queue.tolist(), int(state.free_cores[0])
            # All that a pool has is free, or held by tasks that run.
            processors = free + int(state.cpus[state.running].sum())
            while queue:
                if self.chosen < 0:
                    seen = _seen(state, queue, free, processors, visible)
                    valid = present(seen)
                    place = int(choose(seen, valid))
                    self.chosen = queue[place if 0 <= place < visible and valid[place] else 0]
                row = self.chosen
                if state.cpus[row] > free:
                    return
                self.chosen = -1
                free -= int(state.cpus[row])
                queue.remove(row)
                yield row

    deciding(name, formula="learned in a Gymnasium environment", digest=_digest(choose, visible, learned))(Bound)


def _digest(choose: Chooser, visible: int, learned: bytes) -> str:
    source = source_digest(choose)
    return hashlib.sha256(f"{source} {visible} ".encode() + learned).hexdigest() if source else ""


def _seen(state: "State", queue: list[int], free: int, processors: int, visible: int) -> FloatArray:
    """Return what the environment shows of such a queue and pool."""
    rows = np.array(queue[:visible])
    estimate, cpus = state.estimate[rows], state.cpus[rows]
    unused, count = np.empty(0), len(rows)
    tasks = Tasks(state.arrival_time[rows], estimate, estimate, cpus.astype(np.int64), unused, unused)
    run = idle_run(count, free)
    run.counts[QUEUED], run.clock[0] = len(queue), state.time
    run.counts[FREE] = free
    seen = np.empty(visible * FEATURES + 2)
    features = task_features(estimate, cpus, np.full(count, float(processors)))
    observe_once(tasks, run, np.arange(count), features, processors, seen)
    return seen
