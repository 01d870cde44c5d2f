"""Many futures of one instant: drawn run times, drawn arrivals, and the phases of Slurm's loops drawn anew."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any
from zlib import crc32

import numpy as np

from scheduler_sim.engine.contract import Options
from scheduler_sim.engine.forecasting.arrivals import Arrivals
from scheduler_sim.engine.forecasting.present import Present, present, wanted
from scheduler_sim.engine.forecasting.runtimes import Likened, RunTimes
from scheduler_sim.engine.forecasting.standing import Standing
from scheduler_sim.engine.kernels.site.never import never_starts
from scheduler_sim.engine.policies import Policy, parse_policy
from scheduler_sim.engine.simulation import Simulation
from scheduler_sim.engine.sites import Site
from scheduler_sim.engine.traces.slurm_snapshots import QueuedJob
from scheduler_sim.engine.workloads.columns import FloatArray, IntArray, Labels
from scheduler_sim.engine.workloads.requests import Requests
from scheduler_sim.engine.workloads.workload import Parents, Workload

LONGEST_HORIZON = 30 * 86_400.0
LEAST_HORIZON = 600.0
"""Replicas are played for twice as long as it takes until all have started that run to their limits, within these
seconds: those that come later may go before them."""

_STEPS = 16


@dataclass(frozen=True, eq=False)
class Past:
    """What is known from accounting.

    Attributes:
        workload: tasks with recorded starts; what lies behind the instant of a forecast is not looked at.
        zero_at: time 0 of its clock, in seconds since 1970.
    """

    workload: Workload
    zero_at: float

    def until(self, now: float) -> Workload:
        """Return the tasks that had come by an instant of its clock, without what became known later."""
        rows = np.flatnonzero(self.workload.arrival_time <= now)
        known = self.workload.take(rows)
        ended = known.recorded_start_time + known.runtime <= now
        requests = wanted(known)
        times: dict[str, Any] = {
            name: np.where(getattr(requests, name) <= now, getattr(requests, name), np.nan)
            for name in ("eligible_time", "cancel_time")
        }
        return replace(
            known,
            parents=Parents.none(len(rows)),
            runtime=np.where(ended, known.runtime, np.nan),
            recorded_start_time=np.where(known.recorded_start_time <= now, known.recorded_start_time, np.nan),
            requests=replace(requests, **times, fails=requests.fails & ended),
        )


@dataclass(frozen=True, eq=False)
class Future:
    """What all replicas of a forecast share.

    Attributes:
        present: the state from which they begin.
        pool: the present tasks, then those of the past that may come again.
        policy: Slurm's own, on this clock.
        standing: what priorities come of.
        zero_at: time 0 of the clock, seconds since 1970.
        runtimes: what is known of run times. likened: of those of the pool. learned: of how many tasks that ended.
        arrivals: those of the past.
        horizon: up to when replicas are played, on the clock.
    """

    present: Present
    pool: Workload
    policy: Policy
    standing: Standing
    zero_at: float
    runtimes: RunTimes
    likened: Likened
    learned: int
    arrivals: Arrivals
    horizon: float

    @classmethod
    def of(cls, jobs: Sequence[QueuedJob], site: Site, *, at: float | None, past: Past | None) -> "Future":
        """Prepare the forecast of a queue, see `forecast`."""
        now = present(
            jobs,
            site,
            at=at,
            zero_at=None if past is None else past.zero_at,
            asked=None if past is None else past.workload,
        )
        before = now.workload.take(np.zeros(0, np.int64)) if past is None else past.until(now.now)
        ended = np.flatnonzero(~np.isnan(before.runtime))
        ended = ended[np.argsort((before.recorded_start_time + before.runtime)[ended], kind="stable")]
        elapsed = now.now - now.workload.recorded_start_time[: now.running]
        observed = joined(before.take(ended), now.workload.take(np.arange(now.running)))
        runtimes = RunTimes(
            observed,
            np.concatenate([before.runtime[ended], elapsed]),
            np.arange(len(observed)) < len(ended),
        )
        playable = replace(before, runtime=np.nan_to_num(before.runtime, nan=1.0))
        comes = np.setdiff1d(np.arange(len(before)), never_starts(playable, now.site).rows)
        zero_at = now.zero_at
        policy = parse_policy(f"slurm(epoch={zero_at:.0f})")
        standing = Standing.of(now, before.take(ended), policy)
        present_tasks = replace(now.workload, requests=standing.asked(now.workload))
        pool = joined(present_tasks, playable.take(comes))
        future = cls(
            present=now,
            pool=pool,
            policy=policy,
            standing=standing,
            zero_at=zero_at,
            runtimes=runtimes,
            likened=runtimes.likened(pool),
            learned=len(ended),
            arrivals=Arrivals(before.arrival_time[comes], now.now),
            horizon=now.now + LEAST_HORIZON,
        )
        return replace(future, horizon=future._horizon())

    @property
    def waiting(self) -> int:
        """How many present tasks wait."""
        return len(self.present.workload) - self.present.running

    def starts(self, replicas: int, seed: int, on_replica: Callable[[int], None] | None = None) -> FloatArray:
        """Return when each task that waits starts, shape (waiting, replicas), infinite beyond the horizon."""
        found = np.full((self.waiting, replicas), np.inf)
        if not self.waiting:
            return found
        generator = np.random.default_rng([seed, crc32(b"forecast present")])
        tasks = len(self.present.workload)
        strata = generator.permuted(np.tile(np.arange(replicas), (tasks, 1)), axis=1)
        chances = (strata + generator.random(strata.shape)) / replicas
        for replica in range(replicas):
            found[:, replica] = self._play(chances[:, replica], seed, replica)
            if on_replica is not None:
                on_replica(replica + 1)
        return found

    def _play(self, chances: FloatArray, seed: int, replica: int) -> FloatArray:
        """Play one future; `chances` say where in their distributions the run times of present tasks lie."""
        generator = np.random.default_rng([seed, replica, crc32(b"forecast future")])
        chosen, times = self.arrivals.draw(generator, self.horizon)
        tasks = self.present.workload
        later = len(tasks) + chosen
        elapsed = np.concatenate([np.maximum(self.present.now - tasks.arrival_time, 0.0), np.zeros(len(later))])
        rows = np.concatenate([np.arange(len(tasks)), later])
        runtimes = self.likened.draw(generator, rows, np.append(chances, generator.random(len(later))), elapsed)
        runtimes[self.present.ending] = elapsed[self.present.ending] + 1.0
        workload = self._workload(later, times, runtimes)
        return self._played(workload, seed=int(generator.integers(2**31)))

    def _workload(self, later: IntArray, times: FloatArray, runtimes: FloatArray) -> Workload:
        """Return the present tasks and those that come later, with their run times."""
        tasks = len(self.present.workload)
        taken = self.pool.take(np.concatenate([np.arange(tasks), later]))
        requests = wanted(taken)
        arrival = np.concatenate([taken.arrival_time[:tasks], times])
        _, arrays = np.unique(np.column_stack([requests.array, arrival])[tasks:], axis=0, return_inverse=True)
        array = requests.array.copy()
        array[tasks:] = np.where(array[tasks:] > 0, array[:tasks].max(initial=0) + 1 + arrays.ravel(), 0)
        moved = requests.moved(taken.arrival_time, arrival)
        return replace(
            taken,
            task_id=np.arange(1, len(taken) + 1),
            arrival_time=arrival,
            runtime=runtimes,
            recorded_start_time=np.full(len(taken), np.nan),
            requests=replace(moved, array=array),
        )

    def _played(self, workload: Workload, *, seed: int) -> FloatArray:
        """Return the starts of the present tasks that wait, infinite for those that do not start."""
        simulation = Simulation(
            workload,
            self.present.site.cluster,
            self.policy,
            seed=seed,
            options=Options(kill_at_estimate=True),
            site=self.present.site,
        )
        self.standing.begin(simulation)
        rows = slice(self.present.running, len(self.present.workload))
        start = np.full(self.waiting, np.inf)
        for until in np.linspace(self.present.now, self.horizon, _STEPS + 1)[1:]:
            simulation.advance(until_time=float(until))
            outcome = simulation.outcome()
            begun = ~np.isnan(outcome.start_time[rows])
            start = np.where(begun & (outcome.node[rows] >= 0), outcome.start_time[rows], np.inf)
            if begun.all():
                break
        return start

    def _horizon(self) -> float:
        """Return up to when to play, by how long it takes where all run to their limits and nobody comes."""
        tasks = self.present.workload
        elapsed = np.maximum(self.present.now - tasks.arrival_time, 0.0)
        limits = np.where(tasks.estimate_known, tasks.duration_estimate, tasks.runtime)
        longest = replace(self, horizon=self.present.now + LONGEST_HORIZON)
        none = np.zeros(0, np.int64)
        start = longest._played(self._workload(none, np.zeros(0), np.maximum(limits, elapsed + 1.0)), seed=0)
        last = float(np.max(start[start < np.inf], initial=self.present.now))
        span = np.clip(2.0 * (last - self.present.now), LEAST_HORIZON, LONGEST_HORIZON)
        return self.present.now + float(span)


def joined(one: Workload, other: Workload) -> Workload:
    """Return the tasks of two workloads, those of the other without parents; their order is kept."""

    def both(first: Labels, second: Labels) -> Labels:
        return Labels.from_texts(np.concatenate([first.texts(), second.texts()]))

    columns: dict[str, Any] = {}
    for field in fields(Workload):
        first, second = getattr(one, field.name), getattr(other, field.name)
        if field.name == "requests" and first is None and second is None:
            columns[field.name] = None
        elif field.name == "requests":
            second = wanted(other)
            asked: dict[str, Any] = {
                name: both(column, getattr(second, name))
                if isinstance(column, Labels)
                else np.concatenate([column, getattr(second, name)])
                for name, column in wanted(one).columns().items()
            }
            columns[field.name] = Requests(**asked)
        elif field.name == "parents":
            last = np.full(len(other), first.offsets[-1])
            columns[field.name] = Parents(np.concatenate([first.offsets, last]), first.rows, first.mb)
        elif field.name == "throughputs":
            columns[field.name] = None
        else:
            columns[field.name] = both(first, second) if isinstance(first, Labels) else np.concatenate([first, second])
    return Workload(**columns)
