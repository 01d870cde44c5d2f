"""Run times drawn from what ran before, given how long a task has run already.

What is learned is the ratio of run time to time limit. A task is likened to those before it: the more, the nearer their
limit is to its own, and the more they share with it - the user, else account and partition, else the partition. These
are the templates of Smith, Foster and Taylor (JSSPP 1998), softened, since a template that fits well has few tasks; how
far users differ from each other is told by which weights would have foretold the past best. The distribution is Beran's
(Nonparametric regression with randomly censored survival data, 1981): Kaplan and Meier's product with weights, in which
a task that still runs counts with what it has run so far - without these, short tasks would be taken for all, since
they end first. That little is known of a distribution of which few tasks tell is drawn, too: each future weighs the
past anew (the Bayesian bootstrap, Rubin, Ann. Stat. 9(1), 1981).
"""

from dataclasses import dataclass
from itertools import product

import numpy as np

from scheduler_sim.engine.workloads.columns import BoolArray, FloatArray, IntArray, Labels
from scheduler_sim.engine.workloads.workload import Workload

MOST_REMEMBERED = 1000
"""The last so many tasks tell."""

BEYOND = 1.5
"""The ratio of a task that will use its limit up and more; it is ended at the limit."""

WIDTHS = (0.1, 0.2, 0.5)
"""How soon a task counts less as its limit differs: by a factor of e for each so much in the logarithm of the limit."""

STRANGERS = (1.0, 0.5, 0.2, 0.05)
"""By what a task counts less for each thing that it does not share: the user, account and partition, the partition."""

_DEFAULT = (0.2, 0.5)
_LEAST_TRIED = 30
_MOST_TRIED = 300
"""Weights are chosen by how well they would have foretold so many tasks of the past; with fewer they are `_DEFAULT`."""


@dataclass(frozen=True, eq=False)
class _Traits:
    """What tasks are likened by, shape (n,) each; texts as numbers that are the same for the same text."""

    user: IntArray
    account: IntArray
    partition: IntArray
    log_limit: FloatArray

    @classmethod
    def of(cls, workload: Workload, known: dict[str, int]) -> "_Traits":
        def numbers(labels: Labels) -> IntArray:
            codes = np.array([known.setdefault(name, len(known)) for name in labels.names], np.int64)
            return codes[labels.codes]

        limit = np.where(workload.estimate_known, np.log(scales(workload)), np.inf)
        return cls(numbers(workload.user), numbers(workload.group), numbers(workload.queue), limit)

    def take(self, rows: IntArray) -> "_Traits":
        return _Traits(self.user[rows], self.account[rows], self.partition[rows], self.log_limit[rows])

    def distinct(self) -> tuple[IntArray, IntArray]:
        """Return a row of each distinct combination, and which of these each task has."""
        table = np.column_stack([self.user, self.account, self.partition, self.log_limit])
        _, rows, which = np.unique(table, axis=0, return_index=True, return_inverse=True)
        return rows, which.ravel()

    def unlike(self, other: "_Traits") -> tuple[FloatArray, IntArray]:
        """Return how far the limits of m tasks lie from those of n others, and what they do not share, shape (m, n)."""
        same_partition = self.partition[:, None] == other.partition
        same_group = same_partition & (self.account[:, None] == other.account)
        same_user = same_group & (self.user[:, None] == other.user)
        strange = 3 - same_partition.astype(np.int64) - same_group - same_user
        with np.errstate(invalid="ignore"):
            apart = np.abs(self.log_limit[:, None] - other.log_limit)
        # Tasks that state no limit are like each other, and unlike all others.
        return np.nan_to_num(apart, nan=0.0, posinf=1e9), strange


class RunTimes:
    """What is known of run times at one instant.

    A task that states no limit is likened to those that state none, by seconds. Where nothing at all is known, every
    ratio up to 1 is as likely as another.
    """

    def __init__(self, workload: Workload, ran: FloatArray, ended: BoolArray) -> None:
        """Learn from n tasks.

        Args:
            workload: the tasks; their run times are not looked at.
            ran: shape (n,), how many seconds each has run.
            ended: shape (n,), whether that was all.
        """
        finish = workload.recorded_start_time + ran
        rows = np.lexsort((finish, ended))
        rows = np.sort(rows[-MOST_REMEMBERED:]) if len(rows) > MOST_REMEMBERED else np.arange(len(workload))
        kept = workload.take(rows)
        ratios = ran[rows] / scales(kept)
        # Of equal ratios those that ended come first: the others were longer.
        order = np.lexsort((~ended[rows], ratios))
        self._names: dict[str, int] = {}
        self._traits = _Traits.of(kept, self._names).take(order)
        self._ratios, self._ended = ratios[order], ended[rows][order]
        self._arrival, self._finish = kept.arrival_time[order], finish[rows][order]
        self.width, self.stranger = self._chosen()

    def _chosen(self) -> tuple[float, float]:
        """Return the weights that would have foretold the past best, by the continuous ranked probability score."""
        ended = np.flatnonzero(self._ended)
        tried = ended[np.argsort(self._arrival[ended], kind="stable")][-_MOST_TRIED:]
        known = self._finish[ended] <= self._arrival[tried, None]
        enough = known.sum(axis=1) >= _LEAST_TRIED
        if enough.sum() < _LEAST_TRIED:
            return _DEFAULT
        tried, known = tried[enough], known[enough]
        apart, strange = self._traits.take(tried).unlike(self._traits.take(ended))
        ratios = self._ratios[ended]
        steps = np.diff(ratios)
        passed = ratios[:-1] >= self._ratios[tried, None]
        scores = {}
        for width, stranger in product(WIDTHS, STRANGERS):
            weights = known * _weights(apart, strange, width, stranger)
            reached = np.cumsum(weights, axis=1) / np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)
            # In seconds: what is a large ratio of a short limit matters little.
            scores[width, stranger] = float(
                ((((reached[:, :-1] - passed) ** 2) @ steps) * np.exp(self._limit(tried))).mean()
            )
        return min(scores, key=lambda pair: (scores[pair], pair))

    def _limit(self, rows: IntArray) -> FloatArray:
        """Return logarithms of what the run times of tasks are divided by."""
        limits: FloatArray = np.where(np.isinf(self._traits.log_limit[rows]), 0.0, self._traits.log_limit[rows])
        return limits

    def likened(self, workload: Workload) -> "Likened":
        """Return what is known of the run times of n tasks."""
        traits = _Traits.of(workload, self._names)
        rows, which = traits.distinct()
        apart, strange = traits.take(rows).unlike(self._traits)
        weights = _weights(apart, strange, self.width, self.stranger)
        return Likened(self._ratios, self._ended, weights, which, scales(workload))


@dataclass(frozen=True, eq=False)
class Likened:
    """The run times of n tasks of k kinds, by m tasks that ran.

    Attributes:
        ratios, ended: shape (m,), ascending, and whether that was all.
        weights: shape (k, m), how much each counts.
        kind: shape (n,). limits: shape (n,), seconds.
    """

    ratios: FloatArray
    ended: BoolArray
    weights: FloatArray
    kind: IntArray
    limits: FloatArray

    def draw(
        self, generator: np.random.Generator, rows: IntArray, chances: FloatArray, elapsed: FloatArray
    ) -> FloatArray:
        """Return run times of one future.

        Args:
            generator: weighs the past anew, for all tasks alike.
            rows: shape (r,). chances: shape (r,), from 0 to 1, where in its distribution each lies.
            elapsed: shape (r,), seconds that each has run.

        Returns:
            Shape (r,), seconds, none below what has elapsed.
        """
        fresh = generator.exponential(size=len(self.ratios))
        kinds, which = np.unique(self.kind[rows], return_inverse=True)
        survival = survivors(self.weights[kinds] * fresh, self.ended)
        drawn = np.empty(len(rows))
        above = elapsed / self.limits[rows]
        passed = np.searchsorted(self.ratios, above, side="right")
        for place in range(len(rows)):
            alive, first = survival[which[place]], passed[place]
            left = (alive[first - 1] if first else 1.0) * (1.0 - chances[place])
            # The first one after which fewer are left than that.
            at = first + int(np.searchsorted(-alive[first:], -left, side="left"))
            if not len(alive) or left <= 0.0:
                at = len(alive)
            drawn[place] = self.ratios[at] if at < len(alive) else self._beyond(above[place], chances[place])
        return np.maximum(drawn * self.limits[rows], elapsed)

    def _beyond(self, above: float, chance: float) -> float:
        """Return a ratio larger than all that is known."""
        if not self.ended.any():
            return above + (1.0 - above) * chance if above < 1.0 else above + 0.5
        return max(BEYOND, above + 0.5)


def survivors(weights: FloatArray, ended: BoolArray) -> FloatArray:
    """Return the share of tasks that goes on beyond each of m ratios, by Beran's estimator.

    Args:
        weights: shape (k, m), of k kinds. ended: shape (m,), whether the ratio was all, in the order of ratios.

    Returns:
        Shape (k, m).
    """
    at_risk = np.cumsum(weights[:, ::-1], axis=1)[:, ::-1]
    lost = np.where(ended & (at_risk > 0.0), weights / np.maximum(at_risk, 1e-300), 0.0)
    alive: FloatArray = np.cumprod(1.0 - np.minimum(lost, 1.0), axis=1, dtype=np.float64)
    return alive


def scales(workload: Workload) -> FloatArray:
    """Return what run times are divided by, shape (n,): the time limit, 1 s where none is stated."""
    return np.where(workload.estimate_known & (workload.duration_estimate > 0), workload.duration_estimate, 1.0)


def _weights(apart: FloatArray, strange: IntArray, width: float, stranger: float) -> FloatArray:
    # Never nothing: where no task is alike, those tell that are least unlike.
    weights: FloatArray = np.exp(-np.minimum(apart / width, 200.0)) * stranger**strange
    return weights
