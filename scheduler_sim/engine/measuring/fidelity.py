"""How far the starts that were played lie from those that the trace recorded: may an answer be believed?"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.contract import Attempts
from scheduler_sim.engine.measuring.recording import LOG_RESOLUTION
from scheduler_sim.engine.numerics.spans import held_by_window
from scheduler_sim.engine.simulation import Simulation
from scheduler_sim.engine.workloads.columns import FloatArray, IntArray, Labels
from scheduler_sim.engine.workloads.workload import Workload

WITHIN_SECONDS = (2, 5, 30, 60, 600)
"""The shares of starts that lie so near to the recorded ones are told."""

SAME_MEAN_WAIT = 0.05
"""Mean waits that differ by at most this part of the log's are called the same."""

FIRST_OVER = 30.0
"""Seconds by which the first task that differs must differ: Slurm looks for tasks to backfill every 30 s."""

MOST_GROUPS = 50
"""Of queues and QOS the largest so many are told of."""

_DAY_SECONDS = 86_400
_HOUR_SECONDS = 3600


@dataclass(frozen=True)
class StartDifferences:
    """How n starts that were played, p, lie beside the recorded ones, r; all waits are counted from the arrival a.

    Attributes:
        tasks: n.
        within: by seconds, the share of tasks with |p - r| at most so many.
        within_tenth: the share of tasks with |p - r| <= (r - a) / 10.
        mean_absolute, median_absolute, p95_absolute: of |p - r|, seconds.
        mean_difference: mean of p - r, seconds; above 0 what was played starts later.
        recorded_mean_wait, played_mean_wait: means of r - a and p - a, seconds.
        rank_correlation: Spearman's (1904) of r - a and p - a; None where one of them is the same for all tasks.
    """

    tasks: int
    within: Mapping[int, float]
    within_tenth: float
    mean_absolute: float
    median_absolute: float
    p95_absolute: float
    mean_difference: float
    recorded_mean_wait: float
    played_mean_wait: float
    rank_correlation: float | None

    @classmethod
    def of(cls, arrival: FloatArray, recorded: FloatArray, played: FloatArray) -> Self:
        """Compare n > 0 tasks; every array has shape (n,), seconds, all known."""
        difference = played - recorded
        distance = np.abs(difference)
        waits, waits_played = recorded - arrival, played - arrival
        median, p95 = np.percentile(distance, (50, 95))
        return cls(
            tasks=len(played),
            within={seconds: float((distance <= seconds).mean()) for seconds in WITHIN_SECONDS},
            within_tenth=float((distance <= waits / 10).mean()),
            mean_absolute=float(distance.mean()),
            median_absolute=float(median),
            p95_absolute=float(p95),
            mean_difference=float(difference.mean()),
            recorded_mean_wait=float(waits.mean()),
            played_mean_wait=float(waits_played.mean()),
            rank_correlation=_rank_correlation(waits, waits_played),
        )

    def has_same_mean_wait(self, within: float = SAME_MEAN_WAIT) -> bool:
        """Tell whether the mean waits differ by at most that part of the log's, or by what logs do not resolve."""
        reach = max(within * self.recorded_mean_wait, LOG_RESOLUTION)
        return abs(self.played_mean_wait - self.recorded_mean_wait) <= reach

    def as_json(self) -> dict[str, Any]:
        """Return it as a document."""
        return {**asdict(self), "within": {str(seconds): share for seconds, share in self.within.items()}}


def _rank_correlation(one: FloatArray, other: FloatArray) -> float | None:
    if len(one) < 2 or (one == one[0]).all() or (other == other[0]).all():
        return None
    from scipy.stats import spearmanr  # It takes two seconds to load, which every command and server would wait for.

    return float(spearmanr(one, other).statistic)


@dataclass(frozen=True)
class FirstDifference:
    """The earliest task whose start differs by more than a threshold: it may explain the later ones.

    Attributes:
        task_id: its number. queue: where it was submitted.
        recorded_time, played_time: when it started in the log and in what was played.
        time: the earlier of both, of which the rest tells.
        cores, gpus: what it asks for.
        recorded_cores, recorded_gpus, played_cores, played_gpus: what other tasks hold then in the log, and in what
            was played.
        all_cores, all_gpus: of the cluster.
        reason: `before_arrival` (the log starts it before it arrives), `waits_for_parents` (tasks that it depends on
            have not finished in what was played), `no_room` (it starts later, and the cluster has not room enough),
            `not_placed` (it starts later although the cluster as a whole has room), `sooner` (it starts earlier).
        group: the node group on which it was played, empty where it says nothing.
        group_cores, group_gpus: of all nodes of that group.
        group_held_cores, group_held_gpus: what other tasks hold of it then.
    """

    task_id: int
    queue: str
    recorded_time: float
    played_time: float
    time: float
    cores: float
    gpus: float
    recorded_cores: float
    recorded_gpus: float
    played_cores: float
    played_gpus: float
    all_cores: int
    all_gpus: int
    reason: str
    group: str = ""
    group_cores: int = 0
    group_gpus: int = 0
    group_held_cores: float = 0.0
    group_held_gpus: float = 0.0


@dataclass(frozen=True)
class Fidelity:
    """A policy's schedule beside the recorded one.

    Attributes:
        every: all tasks of which both starts are known; None where there is none.
        by_queue, by_qos, by_hour: the same of the tasks of each queue, QOS and hour of the day of their arrival.
        unrecorded: tasks whose start the trace does not tell. unplayed: recorded ones that never started.
        recorded_cpu_utilisation, played_cpu_utilisation: core-seconds held between the first recorded start and the
            last recorded end, over those that the cluster has then; None where it has none, or the span no length.
        recorded_gpu_utilisation, played_gpu_utilisation: the same of GPUs.
        first: the first task that differs by more than `over` seconds; None where none does.
        late: numbers of the first five tasks, by recorded start, that start later than recorded by more than logs
            resolve. late_tasks: how many there are.
    """

    every: StartDifferences | None
    by_queue: Mapping[str, StartDifferences]
    by_qos: Mapping[str, StartDifferences]
    by_hour: Mapping[str, StartDifferences]
    unrecorded: int
    unplayed: int
    recorded_cpu_utilisation: float | None
    played_cpu_utilisation: float | None
    recorded_gpu_utilisation: float | None
    played_gpu_utilisation: float | None
    over: float
    first: FirstDifference | None
    late: tuple[int, ...] = ()
    late_tasks: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return it as a document."""
        groups = ("by_queue", "by_qos", "by_hour")
        return {
            **asdict(self),
            "every": None if self.every is None else self.every.as_json(),
            **{name: {key: one.as_json() for key, one in getattr(self, name).items()} for name in groups},
        }


def fidelity(simulation: Simulation, *, clock_zero: float = 0.0, over: float = FIRST_OVER) -> Fidelity:
    """Hold what was played beside what the workload recorded.

    Args:
        simulation: one that has come to its end.
        clock_zero: seconds since midnight at time 0 of the workload's clock, for the hours of the day.
        over: see `Fidelity.first`.
    """
    workload, outcome = simulation.workload, simulation.outcome()
    recorded, played = workload.recorded_start_time, outcome.start_time
    known = ~np.isnan(recorded)
    rows = np.flatnonzero(known & ~np.isnan(played))
    hours = np.floor((workload.arrival_time + clock_zero) % _DAY_SECONDS / _HOUR_SECONDS).astype(np.int64)
    of_hours = Labels(codes=hours, names=tuple(f"{hour:02d}" for hour in range(24)))
    qos = None if workload.requests is None else workload.requests.qos
    late = rows[played[rows] - recorded[rows] > LOG_RESOLUTION]
    late = late[np.argsort(recorded[late], kind="stable")]

    def compared(chosen: IntArray) -> StartDifferences:
        return StartDifferences.of(workload.arrival_time[chosen], recorded[chosen], played[chosen])

    def grouped(labels: Labels | None) -> dict[str, StartDifferences]:
        return {} if labels is None else {name: compared(chosen) for name, chosen in _groups(labels, rows)}

    spans = simulation.spans()
    cpu, gpu = _utilisations(simulation, rows, spans)
    return Fidelity(
        every=compared(rows) if len(rows) else None,
        by_queue=grouped(workload.queue),
        by_qos=grouped(qos),
        by_hour=grouped(of_hours),
        unrecorded=int((~known).sum()),
        unplayed=int(known.sum()) - len(rows),
        recorded_cpu_utilisation=cpu[0],
        played_cpu_utilisation=cpu[1],
        recorded_gpu_utilisation=gpu[0],
        played_gpu_utilisation=gpu[1],
        over=over,
        first=_first_difference(simulation, rows, spans, over),
        late=tuple(workload.task_id[late[:5]].tolist()),
        late_tasks=len(late),
    )


def _groups(labels: Labels, rows: IntArray) -> Iterator[tuple[str, IntArray]]:
    """Yield the tasks of each label that has any, by name; none where all of them are without one."""
    counts = np.bincount(labels.codes[rows], minlength=len(labels.names))
    told = [code for code in np.argsort(-counts, kind="stable").tolist() if counts[code]][:MOST_GROUPS]
    if [labels.names[code] for code in told] == [""]:
        return
    for code in sorted(told):
        yield labels.names[code], rows[labels.codes[rows] == code]


def _utilisations(
    simulation: Simulation, rows: IntArray, spans: Attempts
) -> tuple[tuple[float | None, float | None], tuple[float | None, float | None]]:
    """Return the shares of all cores, and of all GPUs, that are held in the recorded span: recorded and played."""
    workload, cluster = simulation.workload, simulation.cluster
    if not len(rows):
        return (None, None), (None, None)
    start = workload.recorded_start_time[rows]
    end = start + workload.runtime[rows]
    edges = np.array([start.min(), end.max()])
    compared = spans[np.isin(spans.row, rows)]

    def shares(recorded: FloatArray, played: FloatArray, there: int) -> tuple[float | None, float | None]:
        most = there * (edges[1] - edges[0])
        if not most:
            return None, None
        held = (
            held_by_window(start, end, recorded, edges),
            held_by_window(compared.start_time, compared.end_time, played, edges),
        )
        one, other = (float(seconds[0] / most) for seconds in held)
        return one, other

    return (
        shares(workload.cpus[rows], workload.cpus[compared.row], cluster.cores),
        shares(workload.gpus[rows], workload.gpus[compared.row], cluster.gpus),
    )


def _first_difference(simulation: Simulation, rows: IntArray, spans: Attempts, over: float) -> FirstDifference | None:
    workload, outcome, cluster = simulation.workload, simulation.outcome(), simulation.cluster
    recorded, played = workload.recorded_start_time, outcome.start_time
    differing = rows[np.abs(played[rows] - recorded[rows]) > over]
    if not len(differing):
        return None
    times = np.minimum(recorded[differing], played[differing])
    row = int(differing[np.lexsort((differing, times))[0]])
    time = float(min(recorded[row], played[row]))
    in_log = np.flatnonzero((recorded <= time) & (recorded + workload.runtime > time))
    in_log = in_log[in_log != row]
    here = spans[(spans.start_time <= time) & (spans.end_time > time) & (spans.row != row)]
    found: dict[str, Any] = {
        "task_id": int(workload.task_id[row]),
        "queue": str(workload.queue.names[workload.queue.codes[row]]),
        "recorded_time": float(recorded[row]),
        "played_time": float(played[row]),
        "time": time,
        "cores": float(workload.cpus[row]),
        "gpus": float(workload.gpus[row]),
        "recorded_cores": float(workload.cpus[in_log].sum()),
        "recorded_gpus": float(workload.gpus[in_log].sum()),
        "played_cores": float(workload.cpus[here.row].sum()),
        "played_gpus": float(workload.gpus[here.row].sum()),
        "all_cores": cluster.cores,
        "all_gpus": cluster.gpus,
    }
    reason = _reason(workload, outcome.ready_time, row, found)
    if reason == "not_placed":
        found |= _group(cluster, workload, int(outcome.node[row]), row, here)
    return FirstDifference(**found, reason=reason)


def _reason(workload: Workload, ready: FloatArray, row: int, found: Mapping[str, Any]) -> str:
    if found["recorded_time"] < workload.arrival_time[row]:
        return "before_arrival"
    if found["played_time"] < found["recorded_time"]:
        return "sooner"
    if workload.parents.offsets[row + 1] > workload.parents.offsets[row] and ready[row] > found["recorded_time"]:
        return "waits_for_parents"
    lacks_cores = found["played_cores"] + found["cores"] > found["all_cores"]
    lacks_gpus = found["played_gpus"] + found["gpus"] > found["all_gpus"]
    return "no_room" if lacks_cores or lacks_gpus else "not_placed"


def _group(cluster: Cluster, workload: Workload, node: int, row: int, here: Attempts) -> dict[str, Any]:
    """Return what is held of the node group on which a task was played, where that is why it had to wait.

    A task on several nodes counts for the group of its lowest numbered one; where such tasks reach over several groups
    that says nothing, and nothing is returned.

    Args:
        node: on which it was played. here: the spans of other tasks that run when it was recorded to start.
    """
    groups = cluster.group_of_nodes()
    group = cluster.groups[groups[node]]
    there = here.row[groups[here.node] == groups[node]]
    cores, gpus = float(workload.cpus[there].sum()), float(workload.gpus[there].sum())
    all_cores, all_gpus = group.count * group.cores, group.count * group.gpus
    lacks = cores + workload.cpus[row] > all_cores or gpus + workload.gpus[row] > all_gpus
    if len(cluster.groups) == 1 or not lacks or cores > all_cores or gpus > all_gpus:
        return {}
    return {
        "group": group.name,
        "group_cores": all_cores,
        "group_gpus": all_gpus,
        "group_held_cores": cores,
        "group_held_gpus": gpus,
    }


def seconds_of_day(unix_time: float) -> float:
    """Return the seconds since midnight of an instant as the trace's clock told it, 0 for what is no number."""
    return unix_time % _DAY_SECONDS if math.isfinite(unix_time) else 0.0
