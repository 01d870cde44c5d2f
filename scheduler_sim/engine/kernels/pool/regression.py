"""Run times predicted by a regression that learns from every task that finishes, while the simulation goes on.

Most features, the weight of a task (the logarithm of its area) and the idea that a prediction should rather be too
short than too long are those of Gaussier, Glesser, Reis & Trystram, "Improving backfilling by using machine learning to
predict running times", SC 2015; a polynomial of degree two is fitted to them by the normalised adaptive gradient
descent of Ross, Mineiro & Langford, UAI 2013 (algorithm 2). What is fitted here is the lower quartile: the loss is the
pinball loss of Koenker & Bassett, Econometrica 1978. Durations enter as logarithms, and the prediction comes out in
hours. The rate of learning, the quartile and the features were chosen on the first half of one log, KTH-SP2.
"""

from math import cos, log, log1p, pi, sin, sqrt
from typing import NamedTuple

import numpy as np

from scheduler_sim.engine.jit import bare_kernel
from scheduler_sim.engine.workloads.workload import FloatArray

QUANTILE = 0.25
RATE = 0.1
SHORTEST = 1.0
"""The share of tasks that are to run shorter than predicted; the rate of learning; seconds below which nothing is
predicted."""

HOUR, DAY, WEEK = 3600.0, 86400.0, 604800.0
PLAIN = 18
"""Features before they are multiplied with each other: what is told of the task, its user's past, what its user runs,
and when it arrives."""
TERMS = 1 + PLAIN + PLAIN * (PLAIN + 1) // 2

ENDED, RUN_SUM, CPU_SUM, LAST_END, UNDER_WAY, START_SUM, CPUS_HELD = range(7)
"""Columns of what is known of a user: tasks that finished, their seconds and processors in all, when the last one
ended, tasks that run, the sum of their starts, and the processors that they hold."""
SEEN, NORM = range(2)
"""Places in `totals`: tasks learned from, and the sum of the normalised squares of their terms."""


class Regression(NamedTuple):
    """What a regression knows; without one all arrays are empty.

    Attributes:
        users: shape (users + 1, 7), see the columns; the last row is for tasks that name nobody.
        runs: shape (users + 1, 3), seconds of the last three that finished, the latest first.
        plain: shape (PLAIN,), features of the task that is looked at.
        told: shape (n, PLAIN), features of every task as it arrived.
        terms: shape (TERMS,), the polynomial of the features that are looked at.
        weights, largest, squares: shape (TERMS,), the model, the largest size of each term so far, and the sum of its
            squared gradients.
        totals: shape (2,).
    """

    users: FloatArray
    runs: FloatArray
    plain: FloatArray
    told: FloatArray
    terms: FloatArray
    weights: FloatArray
    largest: FloatArray
    squares: FloatArray
    totals: FloatArray


def make_regression(tasks: int, users: int) -> Regression:
    """Return a regression that has learned nothing, for so many tasks and users; for no task at all an empty one."""
    terms = TERMS if tasks else 0
    return Regression(
        users=np.zeros((users + 1, 7)),
        runs=np.zeros((users + 1, 3)),
        plain=np.zeros(PLAIN if tasks else 0),
        told=np.zeros((tasks, PLAIN)),
        terms=np.zeros(terms),
        weights=np.zeros(terms),
        largest=np.zeros(terms),
        squares=np.zeros(terms),
        totals=np.zeros(2),
    )


@bare_kernel
def _look_at(now: float, user: int, cpus: int, estimate: float, regression: Regression) -> None:
    """Write down the features of a task that arrives."""
    known, runs, plain = regression.users[user], regression.runs[user], regression.plain
    finished, running = known[ENDED], known[UNDER_WAY]
    last = runs[0] if finished > 0 else estimate
    before = runs[1] if finished > 1 else last
    third = runs[2] if finished > 2 else before
    mean_cpus = known[CPU_SUM] / finished if finished > 0 else float(cpus)
    day, week = 2.0 * pi * (now % DAY) / DAY, 2.0 * pi * (now % WEEK) / WEEK
    plain[0] = log1p(estimate)
    plain[1] = log1p(last)
    plain[2] = log1p(before)
    plain[3] = log1p(third)
    plain[4] = log1p((last + before) / 2.0)
    plain[5] = log1p((last + before + third) / 3.0)
    plain[6] = log1p(known[RUN_SUM] / finished if finished > 0 else estimate)
    plain[7] = log(float(cpus))
    plain[8] = log(mean_cpus)
    plain[9] = plain[7] - plain[8]
    plain[10] = running
    plain[11] = log1p(max(running * now - known[START_SUM], 0.0))
    plain[12] = known[CPUS_HELD]
    plain[13] = log1p(now - known[LAST_END]) if finished > 0 else 0.0
    plain[14] = cos(day)
    plain[15] = sin(day)
    plain[16] = cos(week)
    plain[17] = sin(week)


@bare_kernel
def _multiply(plain: FloatArray, terms: FloatArray) -> None:
    """Write down the polynomial of degree two."""
    terms[0] = 1.0
    place = 1 + PLAIN
    for i in range(PLAIN):
        terms[1 + i] = plain[i]
        for j in range(i, PLAIN):
            terms[place] = plain[i] * plain[j]
            place += 1


@bare_kernel
def _value(weights: FloatArray, terms: FloatArray) -> float:
    """Return what the model says, in hours."""
    hours = 0.0
    for i in range(TERMS):
        hours += weights[i] * terms[i]
    return hours


@bare_kernel
def foretell(now: float, row: int, user: int, cpus: int, estimate: float, regression: Regression) -> float:
    """Return the seconds that a task is expected to run as it arrives, not beyond its estimate.

    Args:
        now: the instant.
        row: of the task.
        user: a number for its user, -1 for none.
        cpus: processors.
        estimate: seconds.
        regression: what is known.
    """
    _look_at(now, user, cpus, estimate, regression)
    for i in range(PLAIN):
        regression.told[row, i] = regression.plain[i]
    if regression.totals[SEEN] == 0:
        return estimate
    _multiply(regression.plain, regression.terms)
    return min(estimate, max(SHORTEST, HOUR * _value(regression.weights, regression.terms)))


@bare_kernel
def note_start(now: float, user: int, cpus: int, regression: Regression) -> None:
    """Note that a task of a user starts."""
    known = regression.users[user]
    known[UNDER_WAY] += 1.0
    known[START_SUM] += now
    known[CPUS_HELD] += cpus


@bare_kernel
def learn(now: float, row: int, user: int, cpus: int, start: float, seconds: float, regression: Regression) -> None:
    """Learn from a task that finishes.

    Args:
        now: the instant.
        row: of the task.
        user: a number for its user, -1 for none.
        cpus: processors.
        start: when it started.
        seconds: that it ran.
        regression: what is known.
    """
    known, runs = regression.users[user], regression.runs[user]
    runs[2], runs[1], runs[0] = runs[1], runs[0], seconds
    known[ENDED] += 1.0
    known[RUN_SUM] += seconds
    known[CPU_SUM] += cpus
    known[LAST_END] = now
    known[UNDER_WAY] -= 1.0
    known[START_SUM] -= start
    known[CPUS_HELD] -= cpus
    terms, weights, totals = regression.terms, regression.weights, regression.totals
    largest, squares = regression.largest, regression.squares
    _multiply(regression.told[row], terms)
    for i in range(TERMS):
        size = abs(terms[i])
        if size > largest[i]:
            if largest[i] > 0.0:
                weights[i] *= largest[i] / size
            largest[i] = size
        if size > 0.0:
            totals[NORM] += size * size / (largest[i] * largest[i])
    totals[SEEN] += 1.0
    above = _value(weights, terms) - seconds / HOUR
    weight = log(max(seconds * cpus, 2.0))
    slope = weight * (1.0 - QUANTILE) if above >= 0.0 else -weight * QUANTILE
    step = RATE * sqrt(totals[SEEN] / totals[NORM])
    for i in range(TERMS):
        gradient = slope * terms[i]
        if gradient != 0.0:
            squares[i] += gradient * gradient
            weights[i] -= step * gradient / (largest[i] * sqrt(squares[i]))
