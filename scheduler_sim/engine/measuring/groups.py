"""Who wins and who loses: the figures of the tasks of one user, account, partition, size or hour, policy by policy.

All groups of a policy are computed at once from sorted columns, in O(n log n) for n tasks.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from scheduler_sim.engine.crew import Each
from scheduler_sim.engine.formulas import Holdings
from scheduler_sim.engine.measuring.electricity import task_electricity
from scheduler_sim.engine.measuring.metrics import Observed
from scheduler_sim.engine.measuring.usage import energy_and_cost, holdings
from scheduler_sim.engine.numerics.grouped import (
    divide,
    group_count,
    group_percentile,
    group_sum,
    order_of_groups,
    sort_in_groups,
)
from scheduler_sim.engine.numerics.paired import BATCHES, CONFIDENCE
from scheduler_sim.engine.numerics.statistics import holm
from scheduler_sim.engine.simulation import Simulation
from scheduler_sim.engine.units import SECONDS_PER_HOUR
from scheduler_sim.engine.workloads.columns import Rows
from scheduler_sim.engine.workloads.workload import BoolArray, FloatArray, IntArray, Labels, Workload

LARGEST = 200
"""Of what a workload may name in any number (users, accounts), so many groups are told apart: those with the most
tasks. All others are taken together."""

HOURS = 24


@dataclass(frozen=True)
class SizeClass:
    """Tasks whose value lies above one bound and at most at another."""

    name: str
    above: float
    up_to: float


def _classes(first: float, *named: tuple[str, float]) -> tuple[SizeClass, ...]:
    bounds = [first, *(up_to for _, up_to in named)]
    return tuple(SizeClass(name, above, up_to) for (name, up_to), above in zip(named, bounds, strict=False))


CORES = _classes(
    -math.inf,
    ("up to 1 core", 1.0),
    ("2 to 8 cores", 8.0),
    ("9 to 64 cores", 64.0),
    ("65 to 512 cores", 512.0),
    ("over 512 cores", math.inf),
)
"""Sizes of tasks that ask for no GPU, by cores, parts of one rounded up; `GPUS` are those of the others, by GPUs."""

GPUS = _classes(
    0.0,
    ("part of a GPU", math.nextafter(1.0, 0.0)),
    ("1 GPU", 1.0),
    ("2 to 4 GPUs", 4.0),
    ("5 to 8 GPUs", 8.0),
    ("9 to 64 GPUs", 64.0),
    ("over 64 GPUs", math.inf),
)

LENGTHS = _classes(
    -math.inf,
    ("up to 1 min", 60.0),
    ("1 to 10 min", 600.0),
    ("10 min to 1 h", 3600.0),
    ("1 h to 6 h", 21_600.0),
    ("6 h to 1 d", 86_400.0),
    ("over 1 d", math.inf),
)
"""Run times as the workload states them."""

KINDS = ("rigid", "hybrid")


@dataclass(frozen=True, eq=False)
class Grouping:
    """One way to tell n tasks apart.

    Attributes:
        by: `user`, `group`, `queue`, `qos`, `size`, `length`, `kind` or `hour`.
        codes: shape (n,), an index into `names`.
        names: of the groups, each with a task; an empty one is what the workload does not state.
        merged: how many small groups are taken together in the last one, 0 where there is no such.
    """

    by: str
    codes: IntArray
    names: tuple[str, ...]
    merged: int = 0

    @classmethod
    def of_labels(cls, by: str, labels: Labels, *, largest: int | None = None) -> "Grouping":
        """Keep the `largest` groups by their tasks, all by default, in the order of their names; the others are one."""
        counts = np.bincount(labels.codes, minlength=len(labels.names))
        present = np.flatnonzero(counts)
        kept = present
        if largest is not None and len(present) > largest:
            kept = np.sort(present[np.argsort(-counts[present], kind="stable")[:largest]])
        code = np.full(len(labels.names), len(kept))
        code[kept] = np.arange(len(kept))
        merged = len(present) - len(kept)
        names = tuple(labels.names[number] for number in kept.tolist()) + (("",) if merged else ())
        return cls(by, code[labels.codes], names, merged)


def groupings(workload: Workload, rows: Rows) -> list[Grouping]:
    """Return every way in which the workload tells its tasks `rows` apart; what it does not state is left out.

    The hour is that of the arrival on the workload's own clock, as it is played.
    """
    kept = dict.fromkeys(("user", "group", "queue", "qos"), LARGEST)
    every = told_apart(workload, rows).items()
    found = [Grouping.of_labels(by, labels, largest=kept.get(by)) for by, labels in every]
    return [one for one in found if one.by != "kind" or len(one.names) > 1]


def told_apart(workload: Workload, rows: Rows) -> dict[str, Labels]:
    """Return by what the workload tells its tasks `rows` apart, and the label of each under it."""
    texts = {"user": workload.user, "group": workload.group, "queue": workload.queue}
    if workload.requests is not None:
        texts["qos"] = workload.requests.qos
    found = {by: Labels(labels.codes[rows], labels.names) for by, labels in texts.items() if labels.names != ("",)}
    cores, gpus = workload.cpus[rows], workload.gpus[rows]
    size = np.where(gpus > 0, len(CORES) + _class_of(gpus, GPUS), _class_of(cores, CORES))
    hour = np.floor(workload.arrival_time[rows] / SECONDS_PER_HOUR).astype(np.int64) % HOURS
    found["size"] = Labels(size, tuple(one.name for one in (*CORES, *GPUS)))
    found["length"] = Labels(_class_of(workload.runtime[rows], LENGTHS), tuple(one.name for one in LENGTHS))
    found["kind"] = Labels(workload.hybrid[rows].astype(np.int64), KINDS)
    found["hour"] = Labels(hour, tuple(f"{number:02}" for number in range(HOURS)))
    return found


@dataclass(frozen=True, eq=False)
class GroupFigures:
    """The figures of one policy, a value a group, the groups of each grouping behind each other.

    Attributes:
        grouped_by, name, merged_count: see `Grouping`; `merged_count` is 0 but for the group of all others.
        task_count: tasks that every policy of the run finished and that are scored.
        mean_wait_time, p50_wait_time, p95_wait_time, mean_job_completion_time: seconds; percentiles are linear between
            order statistics.
        mean_bounded_slowdown: see `metrics.TaskFigures`.
        core_hours, gpu_hours: hours x devices that the tasks held.
        energy_joules, cost_usd, carbon_kg, electricity_usd: of the tasks together, see `usage` and `electricity`; NaN
            where watts, prices or series are not known.
        sooner_count, later_count: tasks that complete sooner and later than under the base.
        difference: mean of the tasks' completion times less those under the base, seconds.
        difference_low, difference_high: its 95% interval, NaN for groups of fewer than 60 tasks.
        difference_p_value: of the hypothesis that it is 0, corrected for all groups of the grouping (Holm, 1979); NaN
            where there is no interval.
    """

    grouped_by: npt.NDArray[np.object_]
    name: npt.NDArray[np.object_]
    merged_count: IntArray
    task_count: IntArray
    mean_wait_time: FloatArray
    p50_wait_time: FloatArray
    p95_wait_time: FloatArray
    mean_job_completion_time: FloatArray
    mean_bounded_slowdown: FloatArray
    core_hours: FloatArray
    gpu_hours: FloatArray
    energy_joules: FloatArray
    cost_usd: FloatArray
    carbon_kg: FloatArray
    electricity_usd: FloatArray
    sooner_count: IntArray
    later_count: IntArray
    difference: FloatArray
    difference_low: FloatArray
    difference_high: FloatArray
    difference_p_value: FloatArray


class Grouped:
    """The groups of the tasks that all policies of a run finished, from which the figures of each policy are made.

    In a closed loop the hours are those of the recorded arrivals.

    Args:
        simulations: by policy name, all of one workload; the first policy is the base of the differences.
        scored: shape (n,), tasks whose figures count; all by default.
        each: how the groupings are gone through, one after the other or side by side.
    """

    def __init__(
        self, simulations: Mapping[str, Simulation], *, scored: BoolArray | None = None, each: Each = map
    ) -> None:
        first = next(iter(simulations.values()))
        counted = np.ones(len(first.workload), bool) if scored is None else scored.copy()
        for known in each(lambda one: ~np.isnan(one.outcome().finish_time), simulations.values()):
            counted &= known
        self._rows: Rows = slice(None) if counted.all() else np.flatnonzero(counted)
        self._every = list(each(_Groups, groupings(first.recorded, self._rows))) if counted.any() else []
        self._base = first.outcome().finish_time[self._rows]
        self._came = first.workload.arrival_time[self._rows]

    def figures(self, observed: Observed) -> GroupFigures:
        """Return the figures of one policy's groups."""
        rows, simulation = self._rows, observed.simulation
        difference = simulation.outcome().finish_time[rows] - self._base
        if simulation.options.closed_loop:
            # There tasks come at other instants under each policy.
            difference -= simulation.workload.arrival_time[rows] - self._came
        return _joined(self._every, _Tasks.of(observed, rows, difference))


def group_changes(
    before: Simulation,
    after: Simulation,
    *,
    scored_before: BoolArray | None = None,
    scored_after: BoolArray | None = None,
) -> tuple[GroupFigures, GroupFigures]:
    """Return the figures of the groups of one simulation, and those of another, whose base the first one is.

    The tasks may arrive at other times in the second one: the difference is that of their completion times, and the
    groups are those of the first. The same tasks stand behind both: those that both finished, by number.

    Args:
        scored_before, scored_after: tasks of each whose figures count; all by default.
    """
    counted = [
        np.flatnonzero(~np.isnan(simulation.outcome().finish_time) & (True if scored is None else scored))
        for simulation, scored in ((before, scored_before), (after, scored_after))
    ]
    _, first, second = np.intersect1d(
        before.workload.task_id[counted[0]],
        after.workload.task_id[counted[1]],
        assume_unique=True,
        return_indices=True,
    )
    order = np.argsort(first, kind="stable")
    rows, others = counted[0][first[order]], counted[1][second[order]]
    every = [_Groups(grouping) for grouping in groupings(before.recorded, rows)] if len(rows) else []
    observed = [Observed(one) for one in (before, after)]
    times = [one.figures.job_completion_time for one in observed]
    return (
        _joined(every, _Tasks.of(observed[0], rows, np.zeros(len(rows)))),
        _joined(every, _Tasks.of(observed[1], others, times[1][others] - times[0][rows])),
    )


def _joined(every: "list[_Groups]", tasks: "_Tasks") -> GroupFigures:
    """Return the figures of all groupings behind each other."""
    columns = [groups.figures(tasks) for groups in every]
    joined: dict[str, Any] = {
        field.name: np.concatenate([column[field.name] for column in columns]) if columns else np.zeros(0)
        for field in fields(GroupFigures)
    }
    return GroupFigures(**joined)


def figures_of_rows(simulation: Simulation, rows: IntArray) -> dict[str, float]:
    """Return the figures of some finished tasks taken together, by the names of `GroupFigures`; at least one task."""
    one = _Groups(Grouping("all", np.zeros(len(rows), np.int64), ("",)))
    columns = one.figures(_Tasks.of(Observed(simulation), rows, simulation.outcome().finish_time[rows]))
    return {name: float(columns[name][0]) for name in TARGETED}


TARGETED = (
    "mean_wait_time",
    "p50_wait_time",
    "p95_wait_time",
    "mean_job_completion_time",
    "mean_bounded_slowdown",
)
"""Figures of tasks taken together that can be aimed at."""


def _class_of(values: FloatArray, classes: tuple[SizeClass, ...]) -> IntArray:
    return np.searchsorted([one.up_to for one in classes], values, side="left").astype(np.int64)


@dataclass(frozen=True, eq=False)
class _Tasks:
    """What one policy did with the m tasks that are counted, shape (m,) each, in order of arrival."""

    wait: FloatArray
    completion: FloatArray
    slowdown: FloatArray
    core_hours: FloatArray
    gpu_hours: FloatArray
    taken: Mapping[str, FloatArray | None]
    difference: FloatArray

    @classmethod
    def of(cls, observed: Observed, rows: Rows, difference: FloatArray) -> "_Tasks":
        figures, held = observed.figures, holdings(observed.simulation, rows)
        return cls(
            wait=figures.wait_time[rows],
            completion=figures.job_completion_time[rows],
            slowdown=figures.bounded_slowdown[rows],
            core_hours=held.cores * held.cpu_held / SECONDS_PER_HOUR,
            gpu_hours=held.gpus * held.gpu_held / SECONDS_PER_HOUR,
            taken=_taken(observed.simulation, rows, held),
            difference=difference,
        )


def _taken(simulation: Simulation, rows: Rows, held: Holdings) -> dict[str, FloatArray | None]:
    """Return what tasks took in energy and money, by the names of `GroupFigures`; None where that is not known."""
    cluster, signals = simulation.cluster, simulation.signals
    is_known = cluster.states_watts or cluster.states_prices
    energy, cost = energy_and_cost(simulation, rows, held) if is_known else (None, None)
    is_weighed = signals is not None and cluster.states_watts
    return {
        "energy_joules": energy if cluster.states_watts else None,
        "cost_usd": cost if cluster.states_prices else None,
        "carbon_kg": task_electricity(simulation, "carbon", rows) if is_weighed else None,
        "electricity_usd": task_electricity(simulation, "price", rows) if is_weighed else None,
    }


class _Groups:
    """The groups of one grouping, with what is the same for every policy: their sizes and their spans of arrivals."""

    def __init__(self, grouping: Grouping) -> None:
        self.size = len(grouping.names)
        # They are kept while the figures of all policies are made, and read for each.
        self._short: Any = np.int16 if self.size * BATCHES <= np.iinfo(np.int16).max else np.int64
        self.codes: IntArray = grouping.codes.astype(self._short)
        self.grouping = replace(grouping, codes=self.codes)
        self.order = order_of_groups(self.codes)
        self.count = group_count(self.codes, self.size)
        self.spanned = self.count >= 2 * BATCHES
        self.quantile = _quantile() if self.spanned.any() else np.nan
        self.span = self._spans()
        self.span_count = group_count(self.span, self.size * BATCHES).reshape(self.size, BATCHES)

    def _spans(self) -> IntArray:
        """Return the span of arrivals of each task, BATCHES a group: as equal as `np.array_split` makes them."""
        length, longer = np.divmod(self.count, BATCHES)
        lengths = length[:, None] + (np.arange(BATCHES) < longer[:, None])
        span: IntArray = np.empty(len(self.order), self._short)
        span[self.order] = np.repeat(np.arange(self.size * BATCHES, dtype=self._short), lengths.ravel())
        return span

    def figures(self, tasks: _Tasks) -> dict[str, Any]:
        """Return the columns of `GroupFigures` of one policy."""
        ordered = sort_in_groups(tasks.wait[self.order], self.count)
        merged = np.zeros(self.size, np.int64)
        if self.grouping.merged:
            merged[-1] = self.grouping.merged
        difference = self._mean(tasks.difference)
        reach, p_value = self._uncertainty(tasks.difference, difference)
        return {
            "grouped_by": np.full(self.size, self.grouping.by, object),
            "name": np.array(self.grouping.names, object),
            "merged_count": merged,
            "task_count": self.count,
            "mean_wait_time": self._mean(tasks.wait),
            "p50_wait_time": group_percentile(ordered, self.count, 50),
            "p95_wait_time": group_percentile(ordered, self.count, 95),
            "mean_job_completion_time": self._mean(tasks.completion),
            "mean_bounded_slowdown": self._mean(tasks.slowdown),
            "core_hours": self._sum(tasks.core_hours),
            "gpu_hours": self._sum(tasks.gpu_hours),
            **{name: self._sum(values) for name, values in tasks.taken.items()},
            "sooner_count": group_count(self.codes[tasks.difference < 0], self.size),
            "later_count": group_count(self.codes[tasks.difference > 0], self.size),
            "difference": difference,
            "difference_low": difference - reach,
            "difference_high": difference + reach,
            "difference_p_value": p_value,
        }

    def _sum(self, values: FloatArray | None) -> FloatArray:
        return np.full(self.size, np.nan) if values is None else group_sum(self.codes, values, self.size)

    def _mean(self, values: FloatArray) -> FloatArray:
        return divide(group_sum(self.codes, values, self.size), self.count)

    def _uncertainty(self, values: FloatArray, mean: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return half the width of each group's interval and its corrected p-value, as `paired.task_difference` does.

        Waits of neighbouring tasks depend on each other, so both come from the means of 30 spans of arrivals of the
        group (Law, Simulation Modeling and Analysis, 2015, section 9.5.3).
        """
        reach, p_value = np.full(self.size, np.nan), np.full(self.size, np.nan)
        if not self.spanned.any():
            return reach, p_value
        from scipy import special

        sums = group_sum(self.span, values, self.size * BATCHES).reshape(self.size, BATCHES)
        means = sums[self.spanned] / self.span_count[self.spanned]
        error = means.std(axis=1, ddof=1) / math.sqrt(BATCHES)
        reach[self.spanned] = self.quantile * error
        size = np.abs(mean[self.spanned])
        # Without any spread it is certain whether the mean is 0.
        statistic = np.divide(size, error, out=np.where(size > 0, np.inf, 0.0), where=error > 0)
        p_value[self.spanned] = holm((2 * special.stdtr(BATCHES - 1, -statistic)).tolist())
        return reach, p_value


def _quantile() -> float:
    """Return how many standard errors of the mean of BATCHES spans an interval reaches."""
    from scipy import special  # Its loading takes a fifth of a second, which every command would wait for.

    return float(special.stdtrit(BATCHES - 1, (1 + CONFIDENCE) / 2))
