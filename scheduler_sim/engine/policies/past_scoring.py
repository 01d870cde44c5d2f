"""The score of the form `history`: what `scoring` looks at, and what the task's user has done until then.

    score = sum over i, j of A[i, j] * x[i] * z[j]            lowest first

with the eleven x and three z of `scoring`. A user's past is what has finished in this very run; a *kind* is
what one user asks for with the same estimate and the same processors. Past run times enter as the mean of the last two,
and as a mean that weighs short ones more: 1 / the moving average of 1 / max(run time, 10 s), since a task costs the
expected 1 / run time in bounded slowdown for each second that it waits. No prediction exceeds the estimate.
"""

from typing import NamedTuple

import numpy as np

from scheduler_sim.engine.formulas import SHORTEST_RUN
from scheduler_sim.engine.jit import bare_kernel, kernel
from scheduler_sim.engine.policies.scoring import HEADER, PAST_FEATURES, PAST_STATES
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray, Workload

_INPUTS = len(PAST_FEATURES)
_STATES = len(PAST_STATES)

FADING = 0.3
"""What the run time that finished last weighs in the moving average."""

ENDED, LAST, RATE, MEAN_LOG, RATE_LOG, HELD, WAITING, COLUMNS = range(8)
"""Columns of what is known of a user or a kind: how many finished, the last run time, the moving average of the
reciprocals, the two means scaled as r, and of a user the processors held and the tasks that wait."""


class Past(NamedTuple):
    """What has finished, by user and by kind.

    Attributes:
        user, kind: shape (n,), numbers of the task's user and kind; the last number stands for nobody's.
        of_user, of_kind: shape (numbers, COLUMNS).
    """

    user: IntArray
    kind: IntArray
    of_user: FloatArray
    of_kind: FloatArray


def numbered(workload: Workload) -> tuple[IntArray, IntArray]:
    """Return the numbers of the users and of the kinds of n tasks, shape (n,) each, -1 for tasks that name nobody."""
    known = np.array([bool(name) for name in workload.user.names], bool)
    user = np.where(known[workload.user.codes], workload.user.codes, -1).astype(np.int64)
    asked = np.stack([user, workload.duration_estimate, workload.cpus], axis=1)
    kind = np.unique(asked, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return user, np.where(user < 0, -1, kind)


def make_past(user: IntArray, kind: IntArray) -> Past:
    """Return the past of tasks before anything has finished; arguments as `numbered` returns them."""
    users, kinds = int(user.max(initial=-1)) + 1, int(kind.max(initial=-1)) + 1
    return Past(
        user=np.where(user < 0, users, user),
        kind=np.where(kind < 0, kinds, kind),
        of_user=np.zeros((users + 1, COLUMNS)),
        of_kind=np.zeros((kinds + 1, COLUMNS)),
    )


@bare_kernel
def scaled(seconds: float) -> float:
    """Return the feature r of one length in seconds, see `scoring.task_features`."""
    return float(np.log(max(seconds, 1.0)) / 5.0 - 1.0)


@bare_kernel
def _note(row: FloatArray, seconds: float) -> None:
    short = 1.0 / max(seconds, SHORTEST_RUN)
    if row[ENDED] > 0.0:
        row[MEAN_LOG] = scaled((row[LAST] + seconds) / 2.0)
        row[RATE] += FADING * (short - row[RATE])
    else:
        row[MEAN_LOG] = scaled(seconds)
        row[RATE] = short
    row[RATE_LOG] = scaled(1.0 / row[RATE])
    row[LAST] = seconds
    row[ENDED] += 1.0


@bare_kernel
def note_end(user: int, kind: int, cpus: int, seconds: float, of_user: FloatArray, of_kind: FloatArray) -> None:
    """Learn from a task that finishes; of nobody's tasks nothing is learned."""
    of_user[user, HELD] -= cpus
    if user < len(of_user) - 1:
        _note(of_user[user], seconds)
        _note(of_kind[kind], seconds)


@kernel
def fold(parameters: FloatArray, free_share: float, queued: int, folded: FloatArray) -> None:
    """Fold the state of this instant into the weights, as `scoring.blend` does."""
    queue = np.log(float(queued)) / 5.0
    for i in range(_INPUTS):
        at = HEADER + i * _STATES
        folded[i] = parameters[at] + parameters[at + 1] * free_share + parameters[at + 2] * queue


@kernel
def rate_by_past(
    folded: FloatArray,
    r: FloatArray,
    n: FloatArray,
    wait: FloatArray,
    excess: FloatArray,
    users: IntArray,
    kinds: IntArray,
    of_user: FloatArray,
    of_kind: FloatArray,
    processors: int,
    count: int,
    scores: FloatArray,
) -> None:
    """Write the scores of the first `count` tasks; the lowest goes first.

    Args:
        users, kinds: the tasks' numbers. of_user, of_kind: what is known of those.
        processors: of the pool.
        folded: from `fold`; it and the others are as of `scoring.rate`, but `wait` stays.
    """
    of_r, of_n, of_rn, of_w, of_fits, of_excess = folded[0], folded[1], folded[2], folded[3], folded[4], folded[5]
    of_p, of_h, of_g, of_held, of_waiting = folded[6], folded[7], folded[8], folded[9], folded[10]
    nobody = len(of_user) - 1
    for i in range(count):
        user, kind = users[i], kinds[i]
        w = np.sqrt(np.sqrt(np.sqrt(wait[i]))) / 2.5 - 1.0
        p = h = r[i]
        if of_user[user, ENDED] > 0.0:
            p, h = min(p, of_user[user, MEAN_LOG]), min(h, of_user[user, RATE_LOG])
        g = h
        if of_kind[kind, ENDED] > 0.0:
            g = min(r[i], of_kind[kind, RATE_LOG])
        score = r[i] * (of_r + of_rn * n[i]) + of_n * n[i] + of_w * w + of_p * p + of_h * h + of_g * g
        score += of_fits if excess[i] <= 0.0 else of_excess * excess[i]
        if user < nobody:
            score += of_held * (of_user[user, HELD] / processors) + of_waiting * (np.log(of_user[user, WAITING]) / 5.0)
        scores[i] = score
