"""What the learning agent starts from: its table of values and how it explores."""

from dataclasses import dataclass

import numpy as np

from scheduler_sim.engine.clusters.cluster import NodeGroup
from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.workloads.workload import FloatArray

ACTIONS = 11
"""GPU fractions 0, 0.1 .. 1."""

INTENSITIES, CORE_STATES, GPU_STATES = 4, 3, 3
"""The context: a quarter of the compute intensity; no core free for the task, some, or four times as many; no GPU
free for it, one, or more."""

CONTEXTS = INTENSITIES * CORE_STATES * GPU_STATES

FIRST_EPSILON, EXPLORED_TASKS, SLOWEST_STEP, TIME_WEIGHT, CORE_WEIGHT, GPU_WEIGHT, AGENT_SETTINGS = range(7)
"""Places in the vector that the kernel takes."""


@dataclass(frozen=True)
class RewardWeights:
    """What the agent minimises: a weighted sum of time, energy and cost, each as a share of what one core would need.

    Attributes:
        time: from readiness to finish, over the task's estimate on one core.
        energy: joules of the devices held, over those of one core for the estimate.
        cost: the price of holding them, over that of one core for the estimate.

    Raises:
        InvalidParameter: a weight that is negative or not finite, or none above 0.
    """

    time: float = 1.0
    energy: float = 0.0
    cost: float = 0.0

    def __post_init__(self) -> None:
        weights = (self.time, self.energy, self.cost)
        if not all(np.isfinite(weight) and weight >= 0.0 for weight in weights) or not sum(weights) > 0.0:
            raise InvalidParameter(
                f"The agent's weights of time, energy and cost are numbers from 0, one above 0, not {weights}."
            )

    @classmethod
    def parse(cls, text: str) -> "RewardWeights":
        """Read `TIME,ENERGY,COST`, for example `1,0.5,0`.

        Raises:
            InvalidParameter: anything else.
        """
        try:
            time, energy, cost = (float(part) for part in text.split(","))
        except ValueError as error:
            raise InvalidParameter(f"The agent's weights are three numbers TIME,ENERGY,COST, not {text!r}.") from error
        return cls(time=time, energy=energy, cost=cost)

    def by_device(self, group: NodeGroup) -> tuple[float, float, float]:
        """Return the weights of a second of waiting and running, of a core's second and of a GPU's, summing to 1 first.

        Where a core costs nothing, a GPU's second is the unit instead; where neither does, there is nothing to weigh.
        """
        whole = self.time + self.energy + self.cost
        core = gpu = 0.0
        for weight, of_core, of_gpu in (
            (self.energy, group.cpu_busy_watts, group.gpu_busy_watts),
            (self.cost, group.usd_per_core_hour, group.usd_per_gpu_hour),
        ):
            unit = of_core or of_gpu
            if unit > 0.0:
                core += weight / whole * of_core / unit
                gpu += weight / whole * of_gpu / unit
        return self.time / whole, core, gpu


@dataclass(frozen=True)
class AgentSettings:
    """How the agent learns.

    Attributes:
        first_epsilon: the chance of a random fraction at the beginning; it falls linearly.
        explored_tasks: after so many choices nothing is random any more.
        slowest_step: values follow the newest reward at least by this share, so that they follow a changing load.
        reward: what it minimises.
    """

    first_epsilon: float = 0.3
    explored_tasks: int = 3000
    slowest_step: float = 0.02
    reward: RewardWeights = RewardWeights()

    def __post_init__(self) -> None:
        for name in ("first_epsilon", "slowest_step"):
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
