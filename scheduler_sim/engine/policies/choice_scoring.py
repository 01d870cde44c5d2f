"""The scores of learned choices: of a node, of a split, and of who runs. One shape serves all three.

A choice is made among candidates: the nodes that hold a task, the ways to run one (a node and a GPU fraction), or the
tasks that run and wait, of which those behind are stopped for those before them. Each candidate has the score

    sum over i, j of A[i, j] * x[i] * z[j]            lowest first

where x is of the candidate and z is the same for all candidates of one choice. The state is folded into the weights
once a choice (`fold`), and what is left a candidate is one sum (`weigh`). The true run time is in none of them.
"""

from typing import NamedTuple

import numpy as np

from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.jit import bare_kernel
from scheduler_sim.engine.workloads.workload import FloatArray


class ChoiceForm(NamedTuple):
    """What one kind of choice looks at.

    Attributes:
        features: x, of a candidate. states: z, of the moment or of the task, the first always 1.
        first: where a search begins: weights of some features beside the state 1.
    """

    features: tuple[str, ...]
    states: tuple[str, ...]
    first: dict[str, float]

    @property
    def weights(self) -> int:
        """How many weights there are, feature by feature."""
        return len(self.features) * len(self.states)

    def first_guess(self) -> FloatArray:
        """Return the weights that a search begins with, shape (weights,)."""
        table = np.zeros((len(self.features), len(self.states)))
        for name, weight in self.first.items():
            table[self.features.index(name), 0] = weight
        return table.ravel()


CHOICES = {
    "node": ChoiceForm(
        features=("room", "cores", "gpus", "shared", "idle", "equipped", "full", "pace"),
        states=("1", "on gpu", "share", "length"),
        first={"room": 1.0},
    ),
    "split": ChoiceForm(
        features=("finish", "begin", "core time", "gpu time", "fraction", "both"),
        states=("1", "queue", "free cores", "free gpus"),
        first={"finish": 1.0},
    ),
    "preemption": ChoiceForm(
        features=("r", "n", "left", "left*n", "w", "runs", "runs*left", "runs*n", "runs for", "stops"),
        states=("1", "queue"),
        first={"left": 1.0},
    ),
}
"""By kind of choice. A length is ln(1 + seconds) / 5, a wait the eighth root of seconds / 2.5, `queue` is
ln(1 + tasks that wait) / 5, r and n are those of `scoring.task_features`.

node: `room` is what best_fit compares, whole GPUs for work on GPUs and whole cores for other, `cores` and `gpus` what
the node has free, all by the most that a node has; `shared` is 1 where a part goes beside other parts; `idle` where
nothing runs on the node; `equipped` its GPUs by the most that a node has; `full` 1 where none of its GPUs, or for
other work of its cores, would be left; `pace` the logarithm of the task's speed there. `on gpu` and `share` are 1 for
work on GPUs and on parts of one, `length` is that of the estimate.

split: `finish` and `begin` are the lengths until the expected end and start, `core time` and `gpu time` those of how
long devices are held, times how many; `both` is 1 where cores and GPUs are used.

preemption, of tasks that run or wait: `left` is the length of what is left of the estimate, w the wait since the task
was ready, `runs` 1 where it runs, `runs for` how long it has in this attempt, as a wait, and `stops` ln(1 + how often
it was stopped)."""


def choice_weights(choice: str, weights: object) -> FloatArray:
    """Check the weights of a choice, and return them, shape (weights,).

    Raises:
        InvalidParameter: an unknown kind of choice, or weights of another number or not finite.
    """
    if choice not in CHOICES:
        raise InvalidParameter(f"A learned choice is one of {', '.join(CHOICES)}, not {choice!r}.")
    try:
        values = np.asarray(weights, dtype=np.float64).ravel()
    except (TypeError, ValueError) as error:
        raise InvalidParameter(f"The weights of a choice of {choice} must be numbers.") from error
    expected = CHOICES[choice].weights
    if len(values) != expected or not np.isfinite(values).all():
        raise InvalidParameter(f"A choice of {choice} has {expected} finite weights.")
    return values


@bare_kernel
def fold(weights: FloatArray, state: FloatArray, folded: FloatArray) -> None:
    """Fold z, shape (states,), into the weights; the result in `folded`, shape (features,), serves one choice."""
    for i in range(len(folded)):
        total = 0.0
        for j in range(len(state)):
            total += weights[i * len(state) + j] * state[j]
        folded[i] = total


@bare_kernel
def weigh(folded: FloatArray, features: FloatArray) -> float:
    """Return the score of a candidate from its x, shape (features,)."""
    total = 0.0
    for i in range(len(folded)):
        total += folded[i] * features[i]
    return total


@bare_kernel
def length_of(seconds: float) -> float:
    """Return a length as choices see it; it tells any two apart, however short."""
    return float(np.log1p(max(seconds, 0.0)) / 5.0)


@bare_kernel
def wait_of(seconds: float) -> float:
    """Return a wait as choices see it."""
    return float(max(seconds, 0.0) ** 0.125 / 2.5)
