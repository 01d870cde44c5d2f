"""Shares of the kinds of GPUs, as policies settle them: x[i, j] is the part of time that job i is to have on kind j.

Always x >= 0, each row sums to at most 1, and the GPUs of a kind are not given out more than once on average:
sum_i s_i x_ij <= W_j with s_i GPUs of job i and W_j GPUs of kind j. r_ij is the work that job i does in a second on
kind j. The programmes and their names are those of Gavel (Narayanan et al., OSDI 2020).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from scipy import sparse
from scipy.optimize import brentq, linprog

from scheduler_sim.engine.errors import EngineError
from scheduler_sim.engine.kernels.rounds.center import center, largest_least
from scheduler_sim.engine.kernels.rounds.embedding import any_shares
from scheduler_sim.engine.kernels.rounds.state import Jobs
from scheduler_sim.engine.policies.registry import Registry
from scheduler_sim.engine.workloads.columns import FloatArray, IntArray

MARGIN = 8e-7
"""By which part the optimum may be missed, so that there is room to choose among allocations."""

GAP = MARGIN / 2
"""What the path to the optimum stops short of."""

SEARCHED = (100.0, 1_000_000.0)
NEAR = 1.05
"""Between which seconds the shortest time until all have ended is looked for, and the factor that ends the search."""


class NoAllocation(EngineError):
    """A programme of shares that has no solution."""


@dataclass(frozen=True, eq=False)
class Instant:
    """What m active jobs are and have had when shares are settled; jobs in the order of their arrival.

    Attributes:
        gpus: shape (m,), of each job. weight: shape (m,), of its user or class.
        rate: shape (m, k), work a second on each kind; 0 where it cannot run.
        left: shape (m,), work. age_time: shape (m,), seconds since arrival.
        alone_time: shape (m,), seconds that what it has done would have taken under equal shares.
        had_share: shape (m, k), its shares so far, 0 for a newcomer.
        workers: shape (k,), GPUs of each kind. names: of the kinds.
    """

    gpus: FloatArray
    weight: FloatArray
    rate: FloatArray
    left: FloatArray
    age_time: FloatArray
    alone_time: FloatArray
    had_share: FloatArray
    workers: FloatArray
    names: tuple[str, ...]

    @classmethod
    def of(cls, jobs: Jobs, rows: IntArray, **become: FloatArray) -> Self:
        """Return what m jobs are, `rows` among all, with what has `become` of them."""
        return cls(
            gpus=jobs.gpus[rows],
            weight=jobs.weight[rows],
            rate=jobs.rate[rows],
            workers=jobs.workers,
            names=jobs.names,
            **become,
        )

    def agnostic(self) -> "Instant":
        """Return the same for a policy that does not know how kinds differ: each job has one rate, its mean."""
        usable = self.rate > 0
        known = (self.rate * self.workers).sum(1) / np.maximum((usable * self.workers).sum(1), 1.0)
        return replace(self, rate=np.where(usable, known[:, None], 0.0))


Sharing = Callable[[Instant], FloatArray]


@dataclass(frozen=True)
class Programme:
    """A way to settle shares.

    Attributes:
        name: of the policy. objective: what it is about, in a line.
        shares: returns x, shape (m, k). in_turn: jobs without a share never fill GPUs that are left over.
    """

    name: str
    objective: str
    shares: Sharing
    in_turn: bool = False


PROGRAMMES: Registry[Programme] = Registry("programme of shares")


def programme(name: str, objective: str, *, in_turn: bool = False) -> Callable[[Sharing], Sharing]:
    """Register the decorated function under `name`."""
    return PROGRAMMES.adding(lambda shares: Programme(name, objective, shares, in_turn))


@programme("gandiva_fair", "equal shares of every kind of GPU")
def equal_shares(now: Instant) -> FloatArray:
    """Return x_ij = W_j / (m s_i), each row divided by its sum where that is above 1."""
    shares: FloatArray = now.workers / (len(now.gpus) * now.gpus[:, None])
    shares /= np.maximum(1.0, shares.sum(1, keepdims=True))
    return shares


@programme("max_min_fairness", "the least weighted share is largest")
def max_min_shares(now: Instant) -> FloatArray:
    """Maximise min_i (s_i / w_i) sum_j r_ij x_ij / p_i, where p_i = sum_j r_ij W_j / sum_j W_j."""
    usual = now.rate @ now.workers / now.workers.sum()
    gains = now.rate * (now.gpus / now.weight / usual)[:, None]
    return _LargestLeast.of(now, gains).shares()


@programme("min_total_duration", "all that is here ends as early as it can")
def shortest_shares(now: Instant) -> FloatArray:
    """Return shares with sum_j r_ij x_ij >= left_i / T for all i, where T is what Gavel's bisection finds.

    They are those at which an interior-point method that looks for no particular ones stops (`any_shares`): jobs other
    than the longest go slower than they could. Where its way ends before, their centre is taken.
    """
    found = _LargestLeast.of(now, now.rate / now.left[:, None])
    best, within = found.near_optimum()
    time = bisected(1.0 / (found.scale * best))
    shares = any_shares(now.rate, now.left / time, now.gpus, now.workers)
    if shares is None:
        shares = found.centre(within, min(1.0 / (found.scale * time), best * (1 - MARGIN)))
    return np.where(now.rate > 0, shares, 0.0)


def shortest_time(now: Instant) -> float:
    """Return the smallest T, in seconds, with sum_j r_ij x_ij >= left_i / T for all i."""
    found = _LargestLeast.of(now, now.rate / now.left[:, None])
    return 1.0 / (found.scale * found.solve())


def bisected(least: float) -> float:
    """Return the T at which a bisection ends that looks for `least` from 100 to 1,000,000 s until 5 % are left.

    Where that is too short, the search goes on up to ten times as much, again and again, as in Gavel's simulator.
    """
    low, high = SEARCHED
    found = None
    while found is None:
        further = 10.0 * high
        while NEAR * low < high:
            middle = (low + high) / 2.0
            if middle >= least:
                found = high = middle
            else:
                low = middle
        low, high = further / 10.0, further
    return found


@programme("max_sum_throughput", "the sum of all rates is largest")
def largest_sum_shares(now: Instant) -> FloatArray:
    """Maximise sum_ij r_ij x_ij."""
    jobs, kinds = now.rate.shape
    columns = np.arange(jobs * kinds)
    whole = sparse.csr_array((np.ones(jobs * kinds), (np.repeat(np.arange(jobs), kinds), columns)))
    given = sparse.csr_array((np.repeat(now.gpus, kinds), (np.tile(np.arange(kinds), jobs), columns)))
    found = linprog(
        -now.rate.ravel() / now.rate.max(),
        A_ub=sparse.vstack([whole, given], format="csc"),
        b_ub=np.concatenate([np.ones(jobs), now.workers]),
        method="highs",
    )
    return _solution(found, jobs).reshape(jobs, kinds)


@programme("finish_time_fairness", "no job ends much later than it would with equal shares")
def finish_time_shares(now: Instant) -> FloatArray:
    """Minimise the largest rho_i = (age_i + left_i / sum_j r_ij x_ij) / (alone_i + left_i / e_i).

    e_i is the rate under equal shares now, alone_i the seconds that what is done would have taken under them (Themis,
    Mahajan et al., NSDI 2020). For each rho the least factor by which all needed rates can be had at once comes of one
    linear programme; where it is 1 lies the optimum.
    """
    alone = now.alone_time + now.left / (now.rate * equal_shares(now)).sum(1)

    def programme_of(rho: float) -> _LargestLeast:
        needed = now.left / (rho * alone - now.age_time)
        return _LargestLeast.of(now, now.rate / needed[:, None])

    def lacking(rho: float) -> float:
        found = programme_of(rho)
        return 1.0 - found.scale * found.solve()

    # Nobody can be done earlier than alone on the kind that is best for it.
    low = float(((now.age_time + now.left / now.rate.max(1)) / alone).max())
    high = max(2.0 * low, 1.0)
    while lacking(high) > 0:
        low, high = high, 2.0 * high
    if lacking(low) > 0:
        low = float(brentq(lacking, low, high, xtol=1e-13, rtol=1e-12))
    return programme_of(low).shares()


@dataclass(frozen=True, eq=False)
class _LargestLeast:
    """Maximise min_i sum_j gains_ij x_ij; jobs that are alike get the same and are one of the r rows.

    Attributes:
        gains: shape (r, k). gpus, count: shape (r,), of one job and how many there are. of_job: shape (m,), its row.
        scale: what the gains were divided by.
    """

    gains: FloatArray
    gpus: FloatArray
    count: FloatArray
    of_job: IntArray
    workers: FloatArray
    scale: float

    @classmethod
    def of(cls, now: Instant, gains: FloatArray) -> "_LargestLeast":
        scale = float(gains.max())
        alike, of_job, count = np.unique(
            np.column_stack([now.gpus, gains / scale]), axis=0, return_inverse=True, return_counts=True
        )
        return cls(
            alike[:, 1:].copy(), alike[:, 0].copy(), count.astype(np.float64), of_job.ravel(), now.workers, scale
        )

    def solve(self) -> float:
        """Return the optimum.

        Raises:
            NoAllocation: there is none.
        """
        return self.near_optimum()[0]

    def shares(self) -> FloatArray:
        """Return the centre of the x that are optimal but for `MARGIN`, of each job."""
        best, found = self.near_optimum()
        return self.centre(found, best * (1 - MARGIN))

    def centre(self, within: FloatArray, least: float) -> FloatArray:
        """Return the centre of the x that bring each job `least`, of each job; `within` lies strictly in all bounds."""
        found = within.copy()
        center(found, self.gains, least, self.gpus, self.count, self.workers)
        return found[self.of_job]

    def near_optimum(self) -> tuple[float, FloatArray]:
        """Return the optimum and an x strictly within all bounds that misses it by less than `MARGIN`."""
        kinds = len(self.workers)
        inner = np.broadcast_to(self.workers / (2 * (kinds + 1) * (self.count * self.gpus).sum()), self.gains.shape)
        inner = np.where(self.gains > 0, np.minimum(inner, 0.5 / kinds), 0.0)
        found = inner.copy()
        best = largest_least(found, self.gains, self.gpus, self.count, self.workers, GAP)
        if np.isnan(best):
            # Rounding ended the path: HiGHS knows a corner.
            best, corner = self.solve_at_corner()
            found = np.where(self.gains > 0, (1 - MARGIN / 2) * corner + MARGIN / 2 * inner, 0.0)
        return float(best), found

    def solve_at_corner(self) -> tuple[float, FloatArray]:
        """Return the optimum and x at one of its corners, by HiGHS.

        Raises:
            NoAllocation: HiGHS finds none.
        """
        size, kinds = self.gains.shape
        # Columns are x row by row, each in three bounds (of its row's gain and time, and of its kind), and the least.
        held = np.repeat(self.gpus * self.count, kinds)
        values = np.column_stack([-self.gains.ravel(), np.ones(size * kinds), held]).ravel()
        row, kind = np.divmod(np.arange(size * kinds), kinds)
        places = np.column_stack([row, size + row, 2 * size + kind]).ravel()
        ends = np.append(3 * np.arange(size * kinds + 1), 3 * size * kinds + size)
        bounds = sparse.csc_array(
            (np.append(values, np.ones(size)), np.append(places, np.arange(size)), ends),
            shape=(2 * size + kinds, size * kinds + 1),
        )
        objective = np.zeros(size * kinds + 1)
        objective[-1] = -1.0
        found = linprog(
            objective,
            A_ub=bounds,
            b_ub=np.concatenate([np.zeros(size), np.ones(size), self.workers]),
            method="highs",
        )
        solution = _solution(found, int(self.count.sum()))
        return float(solution[-1]), solution[:-1].reshape(size, kinds)


def _solution(found: Any, jobs: int) -> FloatArray:
    """Return the variables that HiGHS found.

    Raises:
        NoAllocation: it found none.
    """
    if found.x is None:
        raise NoAllocation(f"The shares of {jobs} jobs could not be settled: {found.message}")
    return np.clip(np.asarray(found.x, np.float64), 0.0, 1.0)
