"""What the learning agent starts from: its table of values and how it explores."""

from dataclasses import dataclass

import numpy as np

from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.workload import FloatArray

ACTIONS = 11
"""GPU fractions 0, 0.1 .. 1."""

INTENSITIES, CORE_STATES, GPU_STATES = 4, 3, 3
"""The context: a quarter of the compute intensity; no core free for the task, some, or four times as many; no GPU
free for it, one, or more."""

CONTEXTS = INTENSITIES * CORE_STATES * GPU_STATES

FIRST_EPSILON, EXPLORED_TASKS, SLOWEST_STEP, ENERGY_WEIGHT, CORE_WATTS, GPU_WATTS, SETTINGS = range(7)
"""Places in the vector that the kernel takes."""


@dataclass(frozen=True)
class AgentSettings:
    """How the agent learns.

    Attributes:
        first_epsilon: the chance of a random fraction at the beginning; it falls linearly.
        explored_tasks: after so many choices nothing is random any more.
        slowest_step: values follow the newest reward at least by this share, so that they follow a changing load.
        energy_weight: a in the reward -(1 - a) * time / scale - a * energy / scale, 0 to 1.
    """

    first_epsilon: float = 0.3
    explored_tasks: int = 3000
    slowest_step: float = 0.02
    energy_weight: float = 0.0

    def __post_init__(self) -> None:
        for name in ("first_epsilon", "slowest_step", "energy_weight"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InvalidParameter(f"The agent's {name} must lie between 0 and 1, not {getattr(self, name)}.")
        if self.explored_tasks < 0:
            raise InvalidParameter(f"The agent's explored_tasks must not be negative, not {self.explored_tasks}.")


@dataclass(frozen=True, eq=False)
class Learner:
    """An agent before a run.

    Attributes:
        settings: shape (6,), see above.
        draws: shape (n, 2), uniform in [0, 1): whether a task's fraction is random, and which.
        values: shape (36, 11), expected rewards; zeros from scratch. Rewards are negative, so what was never tried
            looks best.
    """

    settings: FloatArray
    draws: FloatArray
    values: FloatArray


def no_values() -> FloatArray:
    """Return the table of an agent that has not learned anything."""
    return np.zeros((CONTEXTS, ACTIONS))


def values_from(table: object) -> FloatArray:
    """Check a stored table.

    Raises:
        InvalidParameter: another shape, or values that are not finite.
    """
    try:
        values = np.asarray(table, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidParameter("The agent's values must be numbers.") from error
    if values.shape != (CONTEXTS, ACTIONS) or not np.isfinite(values).all():
        raise InvalidParameter(f"The agent's values must be {CONTEXTS} rows of {ACTIONS} finite numbers.")
    return values
