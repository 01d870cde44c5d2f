"""The definition of every reported figure. Times are seconds, nothing is rounded, NaN says that there is no data."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from scheduler_sim.engine.contract import ENDINGS, History, Outcome
from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.formulas import bounded_slowdown
from scheduler_sim.engine.measuring.electricity import Electricity
from scheduler_sim.engine.measuring.fairness import FairShares, jain, sharers
from scheduler_sim.engine.measuring.usage import Usage
from scheduler_sim.engine.numerics.grouped import (
    divide,
    group_count,
    group_percentile,
    group_sum,
    order_of_groups,
    sort_in_groups,
    sums_of_pairs,
)
from scheduler_sim.engine.numerics.spans import held_by_window, highest_by_window, window_of
from scheduler_sim.engine.simulation import Simulation
from scheduler_sim.engine.stored_schedule import laid_out
from scheduler_sim.engine.workloads.columns import Rows
from scheduler_sim.engine.workloads.workload import BoolArray, FloatArray, IntArray, Workload

PERCENTS = (50, 95, 99)


@dataclass(frozen=True, eq=False)
class TaskFigures:
    """What each of n tasks experienced, shape (n,) each; NaN for a task that has not finished.

    Attributes:
        wait_time: start - readiness, which is the arrival or the last parent's finish where that is later.
        job_completion_time: finish - arrival.
        actual_time: finish - start.
        bounded_slowdown: max(1, completion time / max(actual time, 10 s)); of a task that may stop and go on, the
            seconds of progress it needed instead of the actual time.
    """

    wait_time: FloatArray
    job_completion_time: FloatArray
    actual_time: FloatArray
    bounded_slowdown: FloatArray

    @classmethod
    def of(cls, workload: Workload, outcome: Outcome) -> "TaskFigures":
        """Compute the figures of every task of `workload`."""
        finished = ~np.isnan(outcome.finish_time)
        wait = np.where(finished, outcome.start_time - outcome.ready_time, np.nan)
        completion = outcome.finish_time - workload.arrival_time
        actual = outcome.finish_time - outcome.start_time
        needed = actual
        if outcome.history is not None:
            needed = np.where(outcome.history.ending >= 0, outcome.history.service_time, actual)
        slowdown = np.where(finished, bounded_slowdown(completion, needed), np.nan)
        return cls(wait_time=wait, job_completion_time=completion, actual_time=actual, bounded_slowdown=slowdown)


class Observed:
    """What one policy did, as its figures are read from it: what several of them need is worked out once.

    Args:
        simulation: played to its end or to any point before.
        scored: shape (n,), tasks whose figures count; all by default.

    Attributes:
        simulation: as it stood, with columns that lie by themselves.
        rows: of finished tasks whose figures count, ascending.
    """

    def __init__(self, simulation: Simulation, scored: BoolArray | None = None) -> None:
        self.simulation, self.scored = laid_out(simulation), scored
        counted = ~np.isnan(self.simulation.outcome().finish_time)
        if scored is not None:
            counted &= scored
        self.rows: Rows = slice(None) if counted.all() else np.flatnonzero(counted)
        self._ordered: dict[str, FloatArray] = {}

    @cached_property
    def figures(self) -> TaskFigures:
        """What each task experienced."""
        return TaskFigures.of(self.simulation.workload, self.simulation.outcome())

    @cached_property
    def shares(self) -> FairShares:
        """What each task got of an equal share."""
        return FairShares.of(self.simulation)

    @cached_property
    def usage(self) -> Usage:
        """What tasks kept busy and held."""
        return Usage.of(self.simulation)

    @cached_property
    def waits(self) -> tuple[FloatArray, FloatArray]:
        """The spans in which tasks were ready and did not run."""
        return self.simulation.waits()

    @cached_property
    def waits_in_order(self) -> tuple[FloatArray, FloatArray]:
        """When such spans begin, and when they end, in ascending order each."""
        begin, end = self.waits
        # Tasks come in the order of their rows.
        return begin if (begin[1:] >= begin[:-1]).all() else np.sort(begin), np.sort(end)

    def ordered(self, name: str) -> FloatArray:
        """Return one of `TaskFigures`, of `rows`, in ascending order."""
        if name not in self._ordered:
            self._ordered[name] = np.sort(getattr(self.figures, name)[self.rows])
        return self._ordered[name]


@dataclass(frozen=True, eq=False)
class Summary:
    """The figures of one policy in k windows of simulated time, shape (k,) each.

    A task's figures belong to the window in which it finishes; what is held (devices, energy, queue) is shared out
    over the windows by time. Names and meanings are those of the stored metrics.

    Attributes:
        window_start_time, window_end_time: seconds; a window ends where the next one begins.
        arrived_count, started_count, finished_count: events within the window.
        mean_job_completion_time ... p99_job_completion_time: of the tasks that finished.
        mean_wait_time ... p99_wait_time: of the tasks that finished.
        mean_bounded_slowdown: of the tasks that finished.
        makespan: last finish - first arrival; of a window its length.
        throughput: finished tasks a second.
        cpu_utilisation, gpu_utilisation: busy device-seconds / (devices x makespan); NaN without such devices.
        mean_queue_length, max_queue_length: tasks that are ready and wait; the mean is over time.
        energy_joules, cost_usd: of what tasks held.
        idle_energy_joules: of the devices that nothing held.
        wins: tasks whose finish is the lowest of all policies; those that tie all win. losses: the other ones.
        fairness: Jain's index over the users' mean bounded slowdown; NaN when users are not known.
        attempts_mean: spans in which a task held devices, mean of the tasks that finished.
        service_time, lost_time, suspended_time: seconds of progress that lasted, seconds held without such, and seconds
            between the first start and the finish in which it held nothing, summed over the tasks that finished.
        timed_out_count, failed_count: tasks that ended so.
        mean_rho, p95_rho, max_rho: finish-time fairness of the tasks that finished. unfair_share: part of them above 1.
        share_fairness, least_share: Jain's index over the users' attained shares, and the least of these. All six are
            defined in `fairness.py`.
        carbon_kg, idle_carbon_kg, electricity_usd, idle_electricity_usd, over_cap_time: see `electricity.Electricity`.
        asleep_time, wakes, woken_starts, saved_joules: see `rest.Rest`; NaN where nodes do not sleep.
    """

    window_start_time: FloatArray
    window_end_time: FloatArray
    arrived_count: IntArray
    started_count: IntArray
    finished_count: IntArray
    mean_job_completion_time: FloatArray
    min_job_completion_time: FloatArray
    max_job_completion_time: FloatArray
    p50_job_completion_time: FloatArray
    p95_job_completion_time: FloatArray
    p99_job_completion_time: FloatArray
    mean_wait_time: FloatArray
    min_wait_time: FloatArray
    max_wait_time: FloatArray
    p50_wait_time: FloatArray
    p95_wait_time: FloatArray
    p99_wait_time: FloatArray
    mean_bounded_slowdown: FloatArray
    makespan: FloatArray
    throughput: FloatArray
    cpu_utilisation: FloatArray
    gpu_utilisation: FloatArray
    mean_queue_length: FloatArray
    max_queue_length: IntArray
    energy_joules: FloatArray
    idle_energy_joules: FloatArray
    cost_usd: FloatArray
    wins: IntArray
    losses: IntArray
    fairness: FloatArray
    attempts_mean: FloatArray
    service_time: FloatArray
    lost_time: FloatArray
    suspended_time: FloatArray
    timed_out_count: IntArray
    failed_count: IntArray
    mean_rho: FloatArray
    p95_rho: FloatArray
    max_rho: FloatArray
    unfair_share: FloatArray
    share_fairness: FloatArray
    least_share: FloatArray
    carbon_kg: FloatArray
    idle_carbon_kg: FloatArray
    electricity_usd: FloatArray
    idle_electricity_usd: FloatArray
    over_cap_time: FloatArray
    asleep_time: FloatArray
    wakes: FloatArray
    woken_starts: FloatArray
    saved_joules: FloatArray

    def row(self, number: int = 0) -> dict[str, float | int | None]:
        """Return one window's figures by name, None where there is no data."""
        values = {field.name: getattr(self, field.name)[number].item() for field in fields(self)}
        return {name: None if value != value else value for name, value in values.items()}


def summarise(
    simulation: Simulation, *, edges: FloatArray, won: BoolArray | None = None, scored: BoolArray | None = None
) -> Summary:
    """Compute the figures of all windows in one pass over the columns.

    Args:
        simulation: one policy's, played to its end or to any point before.
        edges: shape (k + 1,), ascending window limits; two of them make one window, the whole run.
        won: shape (n,), tasks that this policy won; by default none is known, and wins and losses are 0.
        scored: shape (n,), tasks whose figures count; all by default. Devices, queue and energy count every task,
            because they were there.
    """
    return summary_of(Observed(simulation, scored), edges=edges, won=won)


def summary_of(observed: Observed, *, edges: FloatArray, won: BoolArray | None = None) -> Summary:
    """Return `summarise` of what is laid out already, for figures of other windows too."""
    # Shares take the most room while they are worked out.
    shares, figures = observed.shares, observed.figures
    simulation, usage = observed.simulation, observed.usage
    workload, outcome = simulation.workload, simulation.outcome()
    windows = len(edges) - 1
    length = np.diff(edges)
    rows = observed.rows
    window = window_of(outcome.finish_time[rows], edges)
    inside = window >= 0
    is_whole = bool(inside.all())
    if not is_whole:
        rows, window = np.arange(len(workload))[rows][inside], window[inside]
    count = group_count(window, windows)
    order = order_of_groups(window) if windows > 1 or not is_whole else None
    # Before all is over kernels know the finish of what still runs, and only the history who has ended.
    history = None if simulation.runs_plainly and simulation.done else simulation.history(rows)
    wins = np.zeros(windows, np.int64)
    if won is not None:
        wins = group_count(window[won[rows]], windows)
    asked = slice(None) if observed.scored is None else observed.scored
    share = divide(1.0, length)
    ready, began = observed.waits

    def distribution(name: str) -> dict[str, FloatArray]:
        values = getattr(figures, name)[rows]
        ordered = observed.ordered(name) if order is None else sort_in_groups(values[order], count)
        return _distribution(name, values, ordered, window, count)

    return Summary(
        window_start_time=edges[:-1],
        window_end_time=edges[1:],
        arrived_count=_count(workload.arrival_time[asked], edges),
        started_count=_count(outcome.start_time[asked], edges),
        finished_count=count,
        **distribution("job_completion_time"),
        **distribution("wait_time"),
        mean_bounded_slowdown=divide(group_sum(window, figures.bounded_slowdown[rows], windows), count),
        makespan=length,
        throughput=count * share,
        cpu_utilisation=divide(usage.busy_core_seconds(edges), usage.cores * length),
        gpu_utilisation=divide(usage.busy_gpu_seconds(edges), usage.gpus * length),
        mean_queue_length=held_by_window(ready, began, np.ones(len(ready)), edges) * share,
        max_queue_length=highest_by_window(*observed.waits_in_order, edges),
        energy_joules=usage.energy_joules(edges),
        idle_energy_joules=usage.idle_energy_joules(edges),
        cost_usd=usage.cost_usd(edges),
        wins=wins,
        losses=(count - wins) if won is not None else np.zeros(windows, np.int64),
        fairness=_fairness(workload, figures.bounded_slowdown[rows], rows, window, windows),
        **_gone_through(history, outcome.finish_time[rows] - outcome.start_time[rows], window, count),
        timed_out_count=_ended(history, "timed_out", window, windows),
        failed_count=_ended(history, "failed", window, windows),
        **shares.by_window(sharers(simulation), rows, window, windows, order),
        **vars(Electricity.of(usage, simulation.signals, edges)),
        **usage.sleep_figures(edges),
    )


def _gone_through(
    history: History | None, passed: FloatArray, window: IntArray, count: IntArray
) -> dict[str, FloatArray]:
    """Return by name how tasks spent the time that passed between their first start and their finish.

    Args:
        history: None where each ran once, from its start to its completion.
        passed, window: of each task. count: how many tasks each window has.
    """
    windows = len(count)
    if history is None:
        return {
            "attempts_mean": divide(count, count),
            "service_time": _sum(passed, window, windows),
            "lost_time": np.zeros(windows),
            "suspended_time": np.zeros(windows),
        }
    return {
        "attempts_mean": divide(group_sum(window, history.attempts, windows), count),
        "service_time": _sum(history.service_time, window, windows),
        "lost_time": _sum(history.lost_time, window, windows),
        "suspended_time": _sum(passed - history.held_time, window, windows),
    }


def whole_run(workload: Workload, outcomes: Sequence[Outcome], scored: BoolArray | None = None) -> tuple[float, float]:
    """Return the first arrival and the last finish of the scored tasks over `outcomes`.

    A run in which nothing finished ends where it began.
    """
    rows = slice(None) if scored is None else scored
    arrivals = workload.arrival_time[rows]
    if not len(arrivals):
        return 0.0, 0.0
    first = float(arrivals.min())
    # What is not known, NaN, is not the largest; where nothing is, the maximum is the first arrival.
    return first, max([first, *(float(np.fmax.reduce(one.finish_time[rows], initial=first)) for one in outcomes)])


def check_scored_part(warmup: float, cooldown: float) -> None:
    """Refuse parts of the arrivals, not scored at the beginning and at the end, that leave nothing between them.

    Raises:
        InvalidParameter: parts that are not from 0 to 1 and together below 1.
    """
    if not (0 <= warmup < 1 and 0 <= cooldown < 1 and warmup + cooldown < 1):
        raise InvalidParameter(
            f"warmup and cooldown are parts of the arrivals from 0 to 1, together below 1, not {warmup:g} and "
            f"{cooldown:g}."
        )


def never_started(simulations: Iterable[Simulation]) -> BoolArray | None:
    """Tell which tasks left the queue under some policy before they started, None where there are none; shape (n,).

    Policies are compared task by task, so that figures about tasks are of those that started under all of them.
    """
    found = None
    for simulation in simulations:
        history = simulation.outcome().history
        if history is not None:
            left = (history.ending >= 0) & (history.attempts == 0)
            found = left if found is None else found | left
    return found if found is not None and found.any() else None


def scored_tasks(
    simulations: Mapping[str, Simulation], *, warmup: float = 0.0, cooldown: float = 0.0
) -> BoolArray | None:
    """Return which tasks' figures count, shape (n,); None for all.

    Not those of the first and last parts of the arrivals (see `measured`), nor those that never started.
    """
    workload = next(iter(simulations.values())).workload
    scored = measured(workload, warmup=warmup, cooldown=cooldown) if warmup or cooldown else None
    left = never_started(simulations.values())
    if left is None:
        return scored
    return ~left if scored is None else scored & ~left


def measured(workload: Workload, *, warmup: float = 0.0, cooldown: float = 0.0) -> BoolArray:
    """Tell which tasks are scored when the first and last parts of the arrivals only fill and drain the cluster.

    Args:
        warmup, cooldown: parts of the tasks by recorded arrival, 0 to 1, together below 1.

    Raises:
        InvalidParameter: parts that leave no task.
    """
    check_scored_part(warmup, cooldown)
    rank = np.arange(len(workload))
    chosen: BoolArray = (rank >= round(warmup * len(workload))) & (
        rank < len(workload) - round(cooldown * len(workload))
    )
    return chosen


def regret(job_completion_time: float, of_oracle: float) -> float:
    """Return how much longer than under the oracle: completion time / the oracle's - 1; NaN for an oracle's zero."""
    return job_completion_time / of_oracle - 1.0 if of_oracle > 0 else float("nan")


def _count(times: FloatArray, edges: FloatArray) -> IntArray:
    window = window_of(times, edges)
    return group_count(window[window >= 0], len(edges) - 1)


def _sum(values: FloatArray, window: IntArray, windows: int) -> FloatArray:
    """Return each window's sum; what is less than nothing by a rounding is nothing."""
    return group_sum(window, np.maximum(values, 0.0), windows)


def _ended(history: History | None, ending: str, window: IntArray, windows: int) -> IntArray:
    if history is None:
        return np.zeros(windows, np.int64)
    return group_count(window[history.ending == ENDINGS.index(ending)], windows)


def _distribution(
    name: str, values: FloatArray, ordered: FloatArray, window: IntArray, count: IntArray
) -> dict[str, FloatArray]:
    """Return mean, least, largest and percentiles (linear between order statistics) of each window's values.

    Args:
        ordered: those of the first window first, ascending within each.
    """
    return {
        f"mean_{name}": divide(group_sum(window, values, len(count)), count),
        f"min_{name}": group_percentile(ordered, count, 0),
        f"max_{name}": group_percentile(ordered, count, 100),
        **{f"p{percent}_{name}": group_percentile(ordered, count, percent) for percent in PERCENTS},
    }


def _fairness(workload: Workload, slowdown: FloatArray, rows: Rows, window: IntArray, windows: int) -> FloatArray:
    """Return Jain's index over users' mean slowdown in each window."""
    if workload.user.names == ("",) or not len(window):
        return np.full(windows, np.nan)
    of_window, _, (total, tasks) = sums_of_pairs(window, workload.user.codes[rows], slowdown, np.ones(len(window)))
    return jain(total / tasks, of_window, windows)
