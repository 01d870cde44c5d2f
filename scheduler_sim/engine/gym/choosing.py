"""What every environment does, one or many: draw an episode, take actions, tell what is seen and what it was worth."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, TypedDict

import numpy as np
import numpy.typing as npt

from scheduler_sim.engine.errors import InvalidParameter, InvalidWorkload
from scheduler_sim.engine.kernels.choices.figures import FIGURES
from scheduler_sim.engine.learning.rollout import OBJECTIVES
from scheduler_sim.engine.learning.sampling import AS_RECORDED, Variation, draw
from scheduler_sim.engine.workloads.workload import BoolArray, FloatArray, IntArray, Workload

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


class Episodes(TypedDict, total=False):
    """What may be said of the episodes of every environment, see `Game`."""

    length: int
    variation: Variation
    objective: str


class Game(ABC):
    """What is played in `places` episodes side by side; a subclass keeps their state.

    Attributes:
        workload: what sequences are cut from.
        length: tasks a sequence.
        variation: how sequences differ from the workload.
        objective: which figure of an episode the reward goes by, of `rollout.OBJECTIVES`.
        seen: how many numbers are observed.
        actions: how many there are.
    """

    seen: int
    actions: int

    def __init__(
        self,
        workload: Workload,
        places: int,
        *,
        length: int = 256,
        variation: Variation = AS_RECORDED,
        objective: str = "bsld",
    ) -> None:
        if places < 1:
            raise InvalidParameter("num_envs must be at least 1.")
        if length < 1:
            raise InvalidParameter("length and visible must be at least 1.")
        if len(workload) < length:
            raise InvalidWorkload(f"The workload has {len(workload)} tasks, fewer than one sequence of {length}.")
        if objective not in OBJECTIVES:
            raise InvalidParameter(f"There is no objective {objective!r}; there are {', '.join(OBJECTIVES)}.")
        self.workload, self.places, self.length = workload, places, length
        self.variation, self.objective = variation, objective

    @abstractmethod
    def draw(self, place: int, generator: np.random.Generator) -> None:
        """Begin an episode at one place, of a sequence that is drawn."""

    def cut(self, generator: np.random.Generator) -> tuple[IntArray, FloatArray]:
        """Draw a sequence and return the rows of its tasks, and when they arrive."""
        rows, arrival = draw(self.workload, 1, self.length, generator, self.variation)
        return rows[0], arrival[0]

    @abstractmethod
    def play(self, actions: IntArray, begins: BoolArray, seen: FloatArray, figures: FloatArray) -> None:
        """Take one step at every place; none is chosen where an episode `begins`.

        Args:
            seen: shape (places, seen), overwritten. figures: shape (places, 3), overwritten; NaN in an episode.
        """

    @abstractmethod
    def masks(self, seen: FloatArray) -> BoolArray:
        """Return which actions are valid by what is seen, shape (places, actions)."""

    def spaces(self) -> tuple["spaces.Space[FloatArray]", "spaces.Discrete"]:
        """Return what is observed and what may be done."""
        box: spaces.Space[Any] = spaces.Box(-10.0, 10.0, (self.seen,), np.float64)
        return box, spaces.Discrete(self.actions)

    def step(self, actions: IntArray, begins: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Take one step at every place and return what is seen, and the figures where episodes are over."""
        seen, figures = np.empty((self.places, self.seen)), np.empty((self.places, len(FIGURES)))
        self.play(actions, begins, seen, figures)
        return seen, figures

    def rewards(self, figures: FloatArray) -> FloatArray:
        """Return minus the logarithm of the figure where an episode is over, of 1 + seconds for times; 0 elsewhere."""
        of = figures[:, OBJECTIVES.index(self.objective)]
        worth = -np.log(of) if self.objective == "bsld" else -np.log1p(of)
        return np.where(np.isnan(of), 0.0, worth)

    def allowed(self, seen: FloatArray) -> BoolArray:
        """Return `masks`, with the first action where nothing is left to choose, as libraries want one."""
        masks = self.masks(seen)
        masks[~masks.any(1), 0] = True
        return masks


class ChoosingEnv(gymnasium.Env[FloatArray, np.int64]):
    """One episode at a time; the reward comes at its end."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}  # type: ignore[misc]

    def __init__(self, game: Game) -> None:
        self.game = game
        self.workload, self.length, self.variation = game.workload, game.length, game.variation
        self.observation_space, self.action_space = game.spaces()
        self._mask = np.ones(game.actions, np.bool_)
        self._over = True

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[FloatArray, dict[str, Any]]:
        """Begin an episode on a freshly drawn sequence."""
        super().reset(seed=seed)
        self._over = True
        self.game.draw(0, self.np_random)
        seen, _ = self.game.step(np.zeros(1, np.int64), np.ones(1, np.bool_))
        self._over = False
        return seen[0], self._masked(seen)

    def step(self, action: int | np.int64) -> tuple[FloatArray, float, bool, bool, dict[str, Any]]:
        """Do what was chosen and go on to the next choice; an action that is not valid counts as the first that is.

        Raises:
            InvalidParameter: no episode is under way.
        """
        if self._over:
            raise InvalidParameter("No episode is under way: call reset first.")
        seen, figures = self.game.step(np.array([int(action)]), np.zeros(1, np.bool_))
        done = self._over = not np.isnan(figures[0, 0])
        info = self._masked(seen)
        if done:
            info |= dict(zip(FIGURES, figures[0].tolist(), strict=True))
        return seen[0], float(self.game.rewards(figures)[0]), done, False, info

    def action_masks(self) -> BoolArray:
        """Return which actions are valid now, as sb3-contrib asks for it; also `info["action_mask"]`."""
        return self._mask

    def _masked(self, seen: FloatArray) -> dict[str, Any]:
        self._mask = self.game.allowed(seen)[0]
        return {"action_mask": self._mask.astype(np.int8)}


class ChoosingVectorEnv(VectorEnv[FloatArray, IntArray, Any]):
    """Many environments, all stepped in one compiled call.

    What each does is what the single one of the same seed does: environment i of `reset(seed=s)` has the seed s + i.
    After its last task an environment begins anew at the next step, whose action it ignores (`NEXT_STEP`).
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "render_modes": [],
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(self, game: Game) -> None:
        self.game, self.num_envs = game, game.places
        self.workload, self.length, self.variation = game.workload, game.length, game.variation
        self.single_observation_space, self.single_action_space = game.spaces()
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._generators: list[np.random.Generator] = []
        self._over = np.ones(self.num_envs, np.bool_)
        self._masks = np.ones((self.num_envs, game.actions), np.bool_)

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
        return seen, self._masked(seen)

    def step(self, actions: Any) -> tuple[FloatArray, FloatArray, BoolArray, BoolArray, dict[str, Any]]:
        """Do what was chosen in every environment, and begin anew where an episode was over before.

        Raises:
            InvalidParameter: another number of actions than there are environments, or `reset` was never called.
        """
        if not self._generators:
            raise InvalidParameter("No episode is under way: call reset first.")
        chosen = np.ascontiguousarray(actions, np.int64)
        if chosen.shape != (self.num_envs,):
            raise InvalidParameter(f"{chosen.size} actions are not one for each of {self.num_envs} environments.")
        seen, figures = self._step(chosen)
        self._over = ~np.isnan(figures[:, 0])
        info = self._masked(seen)
        if self._over.any():
            for name, values in zip(FIGURES, figures.T, strict=True):
                info |= {name: values, f"_{name}": self._over.copy()}
        return seen, self.game.rewards(figures), self._over.copy(), np.zeros(self.num_envs, np.bool_), info

    def action_masks(self) -> BoolArray:
        """Return which actions are valid now, shape (environments, actions); also `info["action_mask"]`."""
        return self._masks

    def _step(self, actions: IntArray) -> tuple[FloatArray, FloatArray]:
        begins = self._over
        for place in np.flatnonzero(begins).tolist():
            self.game.draw(place, self._generators[place])
        # Only now: where a draw fails, all of them begin anew at the next step.
        self._over = np.zeros(self.num_envs, np.bool_)
        return self.game.step(actions, begins)

    def _masked(self, seen: FloatArray) -> dict[str, Any]:
        self._masks = self.game.allowed(seen)
        every: npt.NDArray[np.bool_] = np.ones(self.num_envs, np.bool_)
        return {"action_mask": self._masks.astype(np.int8), "_action_mask": every}


def _one_each(seed: int | Sequence[int | None] | None, environments: int) -> Sequence[int | None]:
    if isinstance(seed, Sequence):
        if len(seed) != environments:
            raise InvalidParameter(f"{len(seed)} seeds are not one for each of {environments} environments.")
        return seed
    return [None if seed is None else seed + i for i in range(environments)]
