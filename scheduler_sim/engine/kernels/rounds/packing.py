"""Shares for jobs and for pairs of jobs that have one GPU together (Narayanan et al., Gavel, OSDI 2020, section 3.1).

x[i, j] is the part of time that job i is to have on kind j for itself, y[q, j] that for which pair q is to share one
GPU there, each of the two at the rate that it has beside the other. No job has more than all its time in all of these,
and a pair counts as one GPU.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from scheduler_sim.engine.kernels.rounds.allocations import MARGIN, PROGRAMMES, Instant, NoAllocation
from scheduler_sim.engine.workloads.columns import FloatArray, IntArray

MOST_SHARING = 400
"""Jobs of one GPU that may be there at a time: the columns grow with their square, here to some 200,000."""

GAIN = 1e-9
"""What two jobs must do more together than by turns for their pair to be of use."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """p pairs of jobs of one GPU, of which each does more on some kind of GPU than the two would by turns.

    Where it does not, the pair is of no use to any policy: turns give both of them what they have together.

    Attributes:
        first, second: shape (p,), places among the jobs, the first before the second.
        rate: shape (p, k, 2), work a second of both; 0 on kinds where the pair is of no use.
    """

    first: IntArray
    second: IntArray
    rate: FloatArray

    @classmethod
    def of(cls, rate: FloatArray, job_type: IntArray, beside: FloatArray) -> "Pairs":
        """Find them.

        Args:
            rate: shape (m, k), of each job alone. job_type: shape (m,), -1 for jobs that share with nobody.
            beside: shape (t, t, k), the rate of a job of the first type beside one of the second.

        Raises:
            NoAllocation: more than `MOST_SHARING` jobs may share.
        """
        able = np.flatnonzero(job_type >= 0)
        if len(able) > MOST_SHARING:
            raise NoAllocation(
                f"{len(able)} jobs that may share a GPU are there at once, and pairs are found among {MOST_SHARING}; "
                "play a lower load, or a policy without pairs."
            )
        one, other = np.triu_indices(len(able), 1)
        first, second = able[one], able[other]
        both = np.stack([beside[job_type[first], job_type[second]], beside[job_type[second], job_type[first]]], axis=2)
        alone = np.stack([rate[first], rate[second]], axis=2)
        part = np.divide(both, alone, out=np.zeros(both.shape), where=alone > 0)
        useful = (part > 0).all(2) & (part.sum(2) > 1 + GAIN)
        kept = useful.any(1)
        return cls(first[kept], second[kept], np.where(useful[kept][:, :, None], both[kept], 0.0))

    def __len__(self) -> int:
        return len(self.first)


def packed_shares(name: str, now: Instant, pairs: Pairs) -> tuple[FloatArray, FloatArray]:
    """Return x, shape (m, k), and y, shape (p, k), of a programme of shares by its name.

    Where several are best, those are taken that give most in all. Without pairs they are the programme's own.

    Raises:
        NoAllocation: HiGHS finds none.
    """
    if not len(pairs):
        return PROGRAMMES[name].shares(now), np.zeros((0, len(now.workers)))
    programme = _Programme.of(now, pairs, _worth(name, now))
    if name == "max_sum_throughput":
        return programme.apart(programme.largest_sum(0.0))
    least = programme.largest_least()
    return programme.apart(programme.largest_sum(least * (1 - MARGIN)))


def least_gain(name: str, now: Instant, pairs: Pairs) -> float:
    """Return the optimum of a programme that looks at who gains least: of the weighted share, or 1 / seconds left."""
    programme = _Programme.of(now, pairs, _worth(name, now))
    return programme.largest_least() * programme.scale


def _worth(name: str, now: Instant) -> FloatArray:
    """Return what a unit of each job's work is worth, shape (m,)."""
    if name == "max_min_fairness":
        usual = now.rate @ now.workers / now.workers.sum()
        worth: FloatArray = now.gpus / now.weight / usual
        return worth
    if name == "min_total_duration":
        return 1.0 / now.left
    return np.ones(len(now.gpus))


@dataclass(frozen=True, eq=False)
class _Programme:
    """The columns are x and y where they may be above 0.

    Attributes:
        jobs, kinds, count: how many jobs and kinds there are, and pairs.
        job, job_kind: of each column of x. pair, pair_kind: of each column of y.
        gains: shape (m, columns), what each column gives each job, divided by `scale`.
        taken: shape (m + k, columns), the time of each job and the GPUs of each kind that it takes.
        workers: shape (k,).
    """

    jobs: int
    kinds: int
    count: int
    job: IntArray
    job_kind: IntArray
    pair: IntArray
    pair_kind: IntArray
    gains: Any
    taken: Any
    workers: FloatArray
    scale: float

    @classmethod
    def of(cls, now: Instant, pairs: Pairs, worth: FloatArray) -> "_Programme":
        """Lay the columns out."""
        m, k = now.rate.shape
        job, job_kind = np.nonzero(now.rate > 0)
        pair, pair_kind = np.nonzero(pairs.rate[:, :, 0] > 0)
        first, second = pairs.first[pair], pairs.second[pair]
        columns = np.arange(len(job) + len(pair))
        alone, shared = columns[: len(job)], columns[len(job) :]
        both = pairs.rate[pair, pair_kind]
        values = np.concatenate(
            [now.rate[job, job_kind] * worth[job], both[:, 0] * worth[first], both[:, 1] * worth[second]]
        )
        scale = float(values.max())
        rows, places = np.concatenate([job, first, second]), np.concatenate([alone, shared, shared])
        held = np.concatenate([np.ones(len(rows)), now.gpus[job], np.ones(len(pair))])
        takes = np.concatenate([rows, m + job_kind, m + pair_kind])
        taken = sparse.csr_array((held, (takes, np.concatenate([places, columns]))), shape=(m + k, len(columns)))
        gains = sparse.csr_array((values / scale, (rows, places)), shape=(m, len(columns)))
        return cls(m, k, len(pairs), job, job_kind, pair, pair_kind, gains, taken, now.workers, scale)

    def largest_least(self) -> float:
        """Return the largest least gain of a job, over `scale`."""
        least = sparse.csr_array(np.ones((self.jobs, 1)))
        bounds = sparse.block_array([[-self.gains, least], [self.taken, None]], format="csc")
        objective = np.zeros(bounds.shape[1])
        objective[-1] = -1.0
        return float(self._solve(objective, bounds, np.zeros(self.jobs))[-1])

    def largest_sum(self, least: float) -> FloatArray:
        """Return the columns with the largest sum of gains, of which each job has `least` or more."""
        bounds = sparse.vstack([-self.gains, self.taken], format="csc")
        return self._solve(-self.gains.sum(0), bounds, np.full(self.jobs, -least))

    def _solve(self, objective: FloatArray, bounds: Any, gained: FloatArray) -> FloatArray:
        limits = np.concatenate([gained, np.ones(self.jobs), self.workers])
        found = linprog(objective, A_ub=bounds, b_ub=limits, method="highs")
        if found.x is None:
            raise NoAllocation(f"The shares of {self.jobs} jobs and pairs could not be settled: {found.message}")
        return np.maximum(np.asarray(found.x, np.float64), 0.0)

    def apart(self, columns: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return x and y of the columns."""
        alone, shared = np.zeros((self.jobs, self.kinds)), np.zeros((self.count, self.kinds))
        alone[self.job, self.job_kind] = columns[: len(self.job)]
        shared[self.pair, self.pair_kind] = columns[len(self.job) :]
        return np.minimum(alone, 1.0), np.minimum(shared, 1.0)
