"""The scores of the learned orders, as data for the kernels: a parameter vector and two features a task.

A learned score looks at the task (estimate r, processors n, wait w), at how the task fits what is free, and at the
state of the cluster (free share, queue length, work ahead). The state is the same for all tasks at one instant, so it
is folded into the weights once an instant (`blend`), and what is left a task is a handful of multiplications (`rate`).

*linear*: score = sum over i, j of A[i, j] * x[i] * z[j], the interaction of ten task features x with four state
features z. A term of the state alone could not change a ranking, so there is none. *mlp*: one hidden layer of
rectified units over five task features and three state features, and a linear output. *history*: as linear, with what
the task's user has done until then, see `past_scoring`.
"""

import numpy as np

from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.jit import kernel
from scheduler_sim.engine.workloads.workload import FloatArray

LINEAR, MLP, HISTORY = range(3)

TASK_FEATURES = ("r", "n", "r*n", "r^2", "n^2", "w", "r*w", "n*w", "fits", "excess")
"""x of a linear score: r and n are logarithms scaled to about -1..1; w is the eighth root of the wait, scaled likewise
(it bends as a logarithm does between seconds and weeks, costs a tenth and is exact on every machine); `fits` is 1 when
the task could start now; `excess` is by how much it exceeds what is free, as a share of the machine, 0 when it fits."""

STATE_FEATURES = ("1", "free", "queue", "work")
"""z: 1; free share of the processors; ln(queue length) / 5; ln(1 + seconds of work ahead) / 10."""

NET_TASK_FEATURES = ("r", "n", "w", "fits", "excess")
NET_STATE_FEATURES = ("free", "queue", "work")

PAST_FEATURES = ("r", "n", "r*n", "w", "fits", "excess", "p", "h", "g", "held", "waiting")
PAST_STATES = STATE_FEATURES[:3]
"""x and z of a score of the form history. p and h: the mean of the user's last two run times, and a mean of all that
weighs short ones more; g: that mean of the user's tasks with this estimate and size; all scaled as r. Where nothing has
finished g is h, and p and h are r. `held`: the share of the processors that the user holds; `waiting`: ln(tasks of the
user that wait) / 5."""

HIDDEN_UNITS = 6

HEADER = 2
"""Where the weights begin in a parameter vector: after the form and the number of hidden units."""

_INPUTS = len(TASK_FEATURES)
_STATES = len(STATE_FEATURES)
_NET_INPUTS = len(NET_TASK_FEATURES)
_NET_STATES = len(NET_STATE_FEATURES)


def weight_count(form: int, hidden: int = HIDDEN_UNITS) -> int:
    """Return how many weights a score of this form has."""
    if form == MLP:
        return hidden * (_NET_INPUTS + _NET_STATES + 2)
    return len(PAST_FEATURES) * len(PAST_STATES) if form == HISTORY else _INPUTS * _STATES


def parameter_vector(form: int, weights: FloatArray, hidden: int = HIDDEN_UNITS) -> FloatArray:
    """Return weights with the header that tells the kernels how to read them.

    Linear weights are A row by row, shape (10, 4), and of the form history (11, 3). MLP weights are, for each hidden
    unit: five of the task, three of the state, a bias, and the unit's weight in the output.

    Raises:
        InvalidParameter: weights of another number, or not finite.
    """
    values = np.asarray(weights, dtype=np.float64).ravel()
    expected = weight_count(form, hidden)
    if len(values) != expected:
        raise InvalidParameter(f"A learned score of this form has {expected} weights, not {len(values)}.")
    if not np.isfinite(values).all():
        raise InvalidParameter("The weights of a learned score must be finite.")
    return np.concatenate(([float(form), float(hidden if form == MLP else 0)], values))


def task_features(estimate: FloatArray, processors: FloatArray, capacity: FloatArray) -> FloatArray:
    """Return r and n of each task, shape (n, 2), in training and in serving; `past_scoring.scaled` has r of one length.

    Args:
        estimate: shape (n,), seconds; below 1 s counts as 1 s.
        processors: shape (n,), processors or GPUs requested; below 1 counts as 1.
        capacity: shape (n,), how many of them the cluster has.
    """
    r = np.log(np.maximum(estimate, 1.0)) / 5.0 - 1.0
    n = 2.0 * np.log2(np.maximum(processors, 1.0)) / np.log2(np.maximum(capacity, 2.0)) - 1.0
    return np.ascontiguousarray(np.stack([r, n], axis=-1))


@kernel
def blend(parameters: FloatArray, free_share: float, queued: int, work: float, folded: FloatArray) -> None:
    """Fold the state of this instant into the weights; the result in `folded` serves `rate` at this instant only.

    Args:
        free_share: free processors / processors, 0 to 1.
        queued: tasks that wait, at least 1.
        work: seconds of work that running tasks are expected to have left, spread over all processors.
        folded: shape (weight_count,), written.
    """
    queue = np.log(float(queued)) / 5.0
    ahead = np.log1p(work) / 10.0
    if parameters[0] == LINEAR:
        for i in range(_INPUTS):
            at = HEADER + i * _STATES
            folded[i] = (
                parameters[at]
                + parameters[at + 1] * free_share
                + parameters[at + 2] * queue
                + parameters[at + 3] * ahead
            )
    else:
        width = _NET_INPUTS + _NET_STATES + 2
        for unit in range(int(parameters[1])):
            at = HEADER + unit * width + _NET_INPUTS
            folded[unit] = (
                parameters[at] * free_share
                + parameters[at + 1] * queue
                + parameters[at + 2] * ahead
                + parameters[at + 3]
            )


@kernel
def rate(
    parameters: FloatArray,
    folded: FloatArray,
    r: FloatArray,
    n: FloatArray,
    wait: FloatArray,
    excess: FloatArray,
    count: int,
    scores: FloatArray,
) -> None:
    """Write the scores of the first `count` tasks; the lowest goes first. Plain loops, so that they become SIMD code.

    Args:
        folded: what `blend` wrote at this instant.
        r, n: the tasks' features.
        wait: seconds since each was ready; overwritten with the feature w.
        excess: (processors requested - free processors) / processors of the cluster; not positive when it fits.
    """
    for i in range(count):
        wait[i] = np.sqrt(np.sqrt(np.sqrt(wait[i]))) / 2.5 - 1.0
    if parameters[0] == LINEAR:
        of_r, of_n, of_rn, of_rr, of_nn = folded[0], folded[1], folded[2], folded[3], folded[4]
        of_w, of_rw, of_nw, of_fits, of_excess = folded[5], folded[6], folded[7], folded[8], folded[9]
        for i in range(count):
            linear = r[i] * (of_r + of_rn * n[i] + of_rr * r[i] + of_rw * wait[i]) + n[i] * (
                of_n + of_nn * n[i] + of_nw * wait[i]
            )
            scores[i] = linear + of_w * wait[i] + (of_fits if excess[i] <= 0.0 else of_excess * excess[i])
        return
    width = _NET_INPUTS + _NET_STATES + 2
    scores[:count] = 0.0
    for unit in range(int(parameters[1])):
        at = HEADER + unit * width
        of_r, of_n, of_w, of_fits, of_excess = (
            parameters[at],
            parameters[at + 1],
            parameters[at + 2],
            parameters[at + 3],
            parameters[at + 4],
        )
        of_state, out = folded[unit], parameters[at + width - 1]
        for i in range(count):
            value = of_state + of_r * r[i] + of_n * n[i] + of_w * wait[i]
            value += of_fits if excess[i] <= 0.0 else of_excess * excess[i]
            scores[i] += value * out if value > 0.0 else 0.0
