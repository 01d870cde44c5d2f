"""Fairness over time: what each task and each user got of an equal share of the cluster while they were there.

A cluster that is shared equally among N tasks gives each 1/N of it, and no task more than it asks for. Finish-time
fairness compares with that what a task went through (Mahajan et al., Themis, NSDI 2020).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from scheduler_sim.engine.clusters.paces import Paces, kinds_allowed
from scheduler_sim.engine.formulas import played_runtime
from scheduler_sim.engine.jit import kernel
from scheduler_sim.engine.numerics.grouped import (
    divide,
    group_count,
    group_percentile,
    group_sum,
    order_of_groups,
    sort_in_groups,
    sums_of_pairs,
)
from scheduler_sim.engine.numerics.histogram import LogHistogram
from scheduler_sim.engine.simulation import Simulation
from scheduler_sim.engine.workloads.columns import Rows
from scheduler_sim.engine.workloads.workload import BoolArray, FloatArray, IntArray

ROUNDING = 1e-9
"""Below so little above 1 a task got its equal share."""


@dataclass(frozen=True, eq=False)
class FairShares:
    """What n tasks got of their equal shares, shape (n,) each; NaN for tasks that have not finished or need no time.

    Attributes:
        rho: finish-time fairness, (finish - ready) / (alone_time x max(1, N d)): the time that the task took over the
            time that it would have taken in 1/N of the cluster, with N the mean number of tasks that were ready and not
            done while this one was, and d the part of the cluster that it asks for.
        due: seconds x part of the cluster that an equal share would have given it, (finish - ready) x min(d, 1/N).
        got: seconds x part of the cluster that its work takes, alone_time x d; it is due / rho.
    """

    rho: FloatArray
    due: FloatArray
    got: FloatArray

    @classmethod
    def of(cls, simulation: Simulation) -> Self:
        """Read them from a simulation, played to its end or to any point before.

        A task that left the queue unstarted contends with nobody.
        """
        outcome = simulation.outcome()
        ready, finish = outcome.ready_time, outcome.finish_time
        done = ~np.isnan(finish)
        present = ~np.isnan(ready)
        if outcome.history is not None:
            present &= done | (outcome.history.ending < 0)
        rows: Rows = slice(None) if done.all() else np.flatnonzero(done)
        alone, part = alone_times(simulation, rows)
        crowd = contention(ready, finish, present, completion_order=outcome.completion_order)
        # In place: of a million tasks each column more is 8 MB that the system has to clear.
        fair = crowd[rows] * part
        np.maximum(fair, 1.0, out=fair)
        fair *= alone
        got = np.multiply(alone, part, out=part)
        got[~(fair > 0)] = np.nan
        rho = divide(finish[rows] - ready[rows], fair)
        due = np.multiply(got, rho, out=fair)
        return cls(*(_spread(values, rows, len(ready)) for values in (rho, due, got)))

    @cached_property
    def _is_known(self) -> BoolArray:
        return ~np.isnan(self.rho)

    @cached_property
    def _all_known(self) -> bool:
        return bool(self._is_known.all())

    @cached_property
    def _ordered(self) -> FloatArray:
        """Every rho, ascending."""
        return np.sort(self.rho)

    @cached_property
    def _attained(self) -> FloatArray:
        """What each task got of its due."""
        return divide(self.got, self.due)

    def by_window(
        self, users: IntArray | None, rows: Rows, window: IntArray, windows: int, order: IntArray | None = None
    ) -> dict[str, FloatArray]:
        """Return the figures of each window of time by name, shape (windows,) each; NaN where it has no task.

        Args:
            users: shape (n,), see `sharers`. rows: shape (m,), the tasks that count. window: shape (m,), of each.
            order: shape (m,), places of the tasks, those of the first window first, where these are known.
        """
        rho = self.rho[rows]
        if not self._all_known:
            known = self._is_known[rows]
            rows, window, rho = np.arange(len(self.rho))[rows][known], window[known], rho[known]
            order = None
        count = group_count(window, windows)
        if windows == 1:
            ordered = self._ordered if self._all_known and len(rho) == len(self.rho) else np.sort(rho)
        else:
            ordered = sort_in_groups(rho[order_of_groups(window) if order is None else order], count)
        share, _, of_window = self.of_users(users, rows, window)
        return {
            "mean_rho": divide(group_sum(window, rho, windows), count),
            "p95_rho": group_percentile(ordered, count, 95),
            "max_rho": group_percentile(ordered, count, 100),
            "unfair_share": divide(group_count(window[rho > 1.0 + ROUNDING], windows), count),
            "share_fairness": jain(share, of_window, windows),
            "least_share": _least(share, of_window, windows),
        }

    def of_users(
        self, users: IntArray | None, rows: Rows, group: IntArray
    ) -> tuple[FloatArray, IntArray | None, IntArray]:
        """Return the attained share of each user in each group of tasks: all that was got over all that was due.

        Args:
            users: shape (n,), see `sharers`. rows: shape (m,), the tasks that count, none of them NaN. group: shape
                (m,).

        Returns:
            share, user and group of each pair that has tasks, by group and then user; where tasks count for
            themselves, the share and the group of each task in the order of `rows`, and None.
        """
        if users is None:
            return self._attained[rows], None, group
        groups, user, (got, due) = sums_of_pairs(group, users[rows], self.got[rows], self.due[rows])
        return divide(got, due), user, groups

    def as_json(self, simulation: Simulation, scored: BoolArray | None = None) -> dict[str, Any]:
        """Return the distribution of rho, and who got least: `rho`, `users`, `worst_user` and its `share`.

        The worst user is None where the workload names no users, and then tasks count for themselves.

        Args:
            scored: tasks that count, shape (n,); all by default.
        """
        is_whole = self._all_known and scored is None
        rows: Rows = slice(None) if is_whole else np.flatnonzero(self._is_known & (True if scored is None else scored))
        rho = self._ordered if is_whole else np.sort(self.rho[rows])
        share, user, _ = self.of_users(sharers(simulation), rows, np.zeros(len(rho), np.int64))
        names = simulation.workload.user.names
        worst = int(np.argmin(share)) if len(share) else None
        return {
            "rho": LogHistogram.of_sorted(rho).as_json(),
            "users": len(share),
            "worst_user": None if worst is None or user is None else names[user[worst]],
            "share": None if worst is None else float(share[worst]),
        }


def jain(values: FloatArray, group: IntArray, groups: int) -> FloatArray:
    """Return Jain's index of each group's values, (sum x)^2 / (n sum x^2) (Jain, Chiu, Hawe, 1984); NaN for none.

    Args:
        values, group: shape (n,), values from 0 up and the number of the group of each.
    """
    total, squares = group_sum(group, values, groups), group_sum(group, values**2, groups)
    return divide(total**2, squares * group_count(group, groups))


def _least(values: FloatArray, group: IntArray, groups: int) -> FloatArray:
    found = np.where(group_count(group, groups) > 0, np.inf, np.nan)
    _lower(values, group, found)
    return found


@kernel
def _lower(values: FloatArray, group: IntArray, found: FloatArray) -> None:
    """Lower each number of `found` to the least value of its group; NaN where one of them is not known."""
    for place in range(len(values)):
        value = values[place]
        # Nothing is below what is not known, which so stays.
        if value < found[group[place]] or np.isnan(value):
            found[group[place]] = value


def _spread(values: FloatArray, rows: Rows, tasks: int) -> FloatArray:
    """Return the values of `rows` among those of all tasks, NaN for the others."""
    if isinstance(rows, slice):
        return values
    found = np.full(tasks, np.nan)
    found[rows] = values
    return found


def sharers(simulation: Simulation) -> IntArray | None:
    """Return the user of each task, shape (n,); None where the workload names none, and tasks count for themselves."""
    user = simulation.workload.user
    return None if user.names == ("",) else user.codes


def contention(
    ready: FloatArray, finish: FloatArray, present: BoolArray, *, completion_order: IntArray | None = None
) -> FloatArray:
    """Return how many tasks were ready and not done, the mean of each task's own time, shape (n,); never below 1.

    Args:
        ready, finish: shape (n,), seconds; NaN for a finish that is not known.
        present: shape (n,), tasks that count.
        completion_order: rows by their finish, where these are known.
    """
    ready, finish = np.ascontiguousarray(ready), np.ascontiguousarray(finish)
    begun = np.flatnonzero(present)
    done = begun[~np.isnan(finish[begun])]
    if not _ascends(ready, begun):
        begun = begun[np.argsort(ready[begun], kind="stable")]
    if completion_order is not None and len(completion_order) == len(done) and _ascends(finish, completion_order):
        done = completion_order
    else:
        done = done[np.argsort(finish[done], kind="stable")]
    found = np.ones(len(ready))
    _crowd(ready, finish, begun, done, np.zeros(len(ready)), found)
    return found


@kernel
def _ascends(times: FloatArray, rows: IntArray) -> bool:
    """Tell whether the times of rows are all known and none is before the one before it."""
    before = -np.inf
    for row in rows:
        if not times[row] >= before:
            return False
        before = times[row]
    return True


@kernel
def _crowd(
    ready: FloatArray, finish: FloatArray, begun: IntArray, done: IntArray, passed: FloatArray, found: FloatArray
) -> None:
    """Write the mean number of tasks that were there with each one that is done.

    Args:
        begun, done: rows by the time at which they come, and at which they go.
        passed: shape (n,), for the integral of the number over time at which each comes.
    """
    level, integral, before, came = 0, 0.0, 0.0, 0
    for row in done:
        while came < len(begun) and ready[begun[came]] <= finish[row]:
            time = ready[begun[came]]
            if level > 0:
                integral += level * (time - before)
            passed[begun[came]] = integral
            level, before, came = level + 1, time, came + 1
        integral += level * (finish[row] - before)
        before = finish[row]
        level -= 1
        length = finish[row] - ready[row]
        mean = (integral - passed[row]) / length if length > 0 else 1.0
        found[row] = max(mean, 1.0)


def alone_times(simulation: Simulation, rows: Rows) -> tuple[FloatArray, FloatArray]:
    """Return the seconds that tasks `rows` take alone, at the mean speed of what they may use, and their part of it.

    The part is the larger of those of its cores and its GPUs (dominant share; Ghodsi et al., NSDI 2011). Of a task that
    is split between cores and GPUs these are the seconds in which it progressed, as it was played.
    """
    workload, cluster = simulation.workload, simulation.cluster
    cpus, gpus = workload.cpus[rows], workload.gpus[rows]
    if simulation.policy.order.shares_gpus:
        # Here rather than above: pages that show figures would wait for the kernels to be read.
        from scheduler_sim.engine.kernels.rounds.kinds import Kinds

        kinds = Kinds.of(workload, cluster, simulation.policy.name)
        rate = kinds.rate[rows]
        usable = ((rate > 0) * kinds.workers).sum(1)
        return kinds.work[rows] * usable / (rate @ kinds.workers), np.maximum(gpus / usable, cpus / _cores(simulation))
    runtime = played_runtime(workload, kill_at_estimate=simulation.options.kill_at_estimate)[rows]
    count, paces = cluster.of_groups("count"), Paces.of(workload, cluster)
    cores, devices = cluster.of_groups("cores") * count, cluster.of_groups("gpus") * count
    cpu_speed, on_gpu = _mean(cluster.of_groups("cpu_speed"), cores), gpus > 0
    alone, part = runtime / cpu_speed, cpus / _cores(simulation)
    if on_gpu.any():
        mean_speed, usable = np.full(len(gpus), cpu_speed), np.ones(len(gpus))
        labels, admission = kinds_allowed(workload, cluster)
        for code, allowed in enumerate(admission):
            chosen = on_gpu & (labels.codes[rows] == code)
            mean_speed[chosen] = _mean(paces.gpu, devices * allowed)[paces.row[rows][chosen]]
            usable[chosen] = max((devices * allowed).sum(), 1.0)
        alone, part = runtime / mean_speed, np.maximum(gpus / usable, part)
    split = workload.hybrid[rows]
    if split.any():
        alone[split] = simulation.history(np.arange(len(workload))[rows][split]).service_time
    return alone, part


def _cores(simulation: Simulation) -> float:
    return max(simulation.cluster.cores, 1)


def _mean(values: FloatArray, weight: FloatArray) -> FloatArray:
    """Return the mean of the last axis of `values`."""
    mean: FloatArray = np.asarray(values @ weight / weight.sum()) if weight.any() else np.ones(values.shape[:-1])
    return mean
