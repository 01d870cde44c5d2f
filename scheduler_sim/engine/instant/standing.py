"""What every task does at one instant, read from where and when it ran."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.clusters.demand import demands
from scheduler_sim.engine.codes import MILLI
from scheduler_sim.engine.contract import Attempts, Options, Outcome
from scheduler_sim.engine.formulas import hybrid_sides, played_runtime, split_time
from scheduler_sim.engine.gangs import Gangs
from scheduler_sim.engine.measuring.cautions import partitions_tell
from scheduler_sim.engine.policies import Policy, Scores
from scheduler_sim.engine.series import Signals
from scheduler_sim.engine.simulation import Simulation
from scheduler_sim.engine.stored_schedule import StoredSchedule
from scheduler_sim.engine.workloads.workload import BoolArray, FloatArray, IntArray, Workload


@dataclass(frozen=True, eq=False)
class Schedule:
    """What a policy made of n tasks.

    Attributes:
        workload: the tasks as they were played; more tasks than are asked about do no harm.
        outcome: where and when each ran; every task has finished.
        attempts: of tasks with more than one.
        estimates_known: shape (n,), whether `workload.duration_estimate` is what the policy was told.
        gangs: what tasks on several nodes held of each, by rows of the workload; None where it was not kept.
        known_from: every task that waited or ran then or later, up to the instant asked about, is among them.
        whole: they are all tasks of the run, so that scores which depend on all of them are known.
        seed: of the run.
        signals: the series of its electricity on the workload's clock, None where it was played without.
        signals_lost: why those are not known that it was played with, in one sentence; empty where they are.
        first_arrival: when the first task of the run comes, which is asked for where a forecast was drawn; None where
            these are all.
    """

    workload: Workload
    cluster: Cluster
    policy: Policy
    options: Options
    outcome: Outcome
    attempts: Attempts
    estimates_known: BoolArray
    known_from: float = -np.inf
    whole: bool = False
    seed: int = 0
    gangs: Gangs | None = None
    signals: Signals | None = None
    signals_lost: str = ""
    first_arrival: float | None = None

    @cached_property
    def own_scores(self) -> Scores:
        """The scores of these tasks by the policy's order, as they had them among all tasks of the run."""
        stored, order = self.as_stored(), self.policy.order
        return stored._scores_by(order) if self.whole else stored.scores_of_part(order, self.first_arrival)

    def as_stored(self, rows: IntArray | None = None) -> StoredSchedule:
        """Return the schedule of some tasks, of all by default, as a simulation that came to its end."""
        found = StoredSchedule(
            workload=self.workload if rows is None else self.workload.take(rows),
            cluster=self.cluster,
            policy=self.policy,
            options=self.options,
            outcome=self.outcome,
            signals=self.signals,
        )
        found.seed = self.seed
        return found

    @classmethod
    def of(cls, simulation: Simulation) -> Self:
        """Return what a simulation that was played to its end has made of its tasks."""
        tasks = simulation.workload
        by_partition = partitions_tell(simulation.policy, simulation.site)
        return cls(
            workload=tasks,
            cluster=simulation.cluster,
            policy=simulation.policy,
            options=simulation.options,
            outcome=simulation.outcome(),
            attempts=simulation.attempts(),
            # A predictor tells others as time goes on; which partition's time holds depends on where a task is put.
            estimates_known=(tasks.estimate_known | (not by_partition)) & (simulation.predictor is None),
            whole=True,
            seed=simulation.seed,
            gangs=simulation.gangs() if simulation.keep_gangs else None,
            signals=simulation.signals,
        )


@dataclass(frozen=True, eq=False)
class Standing:
    """A schedule at one instant, after the policy has acted there: what starts then runs, what ends then has ended.

    Attributes:
        time: seconds.
        running: rows that hold devices, the longest first. since, until: when that began and really ends.
        expected_until: when it was expected to end by the estimate, not before the instant; NaN where that is unknown.
        held_part: of what it asks for, that each that runs holds; above or below 1 where the policy changes widths.
        node, device: of each that runs; the lowest number of a task on several.
        gangs: what of those that run is on several nodes, and what each holds there, where that was kept.
        waiting: rows that are ready and hold nothing. waits_since: from when on, their arrival or the end of what they
            last did. stopped: they have begun already.
        awaited: rows that have arrived and wait for a parent.
        free_cores, free_gpus: in all; negative never. NaN where a site's rules say what a task holds.
        free_by_node: shape (nodes, 2), cores and GPUs, None where a task on several nodes runs and it was not kept on
            which, or the policy does not deal out cores by node, or changes widths.
    """

    time: float
    running: IntArray
    since: FloatArray
    until: FloatArray
    expected_until: FloatArray
    held_part: FloatArray
    node: IntArray
    device: IntArray
    gangs: Gangs
    waiting: IntArray
    waits_since: FloatArray
    stopped: BoolArray
    awaited: IntArray
    free_cores: float
    free_gpus: float
    free_by_node: FloatArray | None


def standing(schedule: Schedule, time: float, *, on_site: bool = False) -> Standing:
    """Return what every task does at `time`.

    Args:
        on_site: whether rules of a site decide what a task holds, which the schedule does not tell.
    """
    workload, outcome, attempts = schedule.workload, schedule.outcome, schedule.attempts
    several = np.zeros(len(workload), bool)
    several[attempts.row] = True
    started, finished = outcome.start_time, outcome.finish_time
    there = workload.arrival_time <= time
    runs_once = there & ~several & (started <= time) & (finished > time)
    now = np.flatnonzero((attempts.start_time <= time) & (attempts.end_time > time))
    running = np.concatenate((np.flatnonzero(runs_once), attempts.row[now]))
    since = np.concatenate((started[runs_once], attempts.start_time[now]))
    until = np.concatenate((finished[runs_once], attempts.end_time[now]))
    node = np.concatenate((outcome.node[runs_once], attempts.node[now]))
    device = np.concatenate((outcome.device[runs_once], attempts.device[now]))
    holds = np.zeros(len(workload), bool)
    holds[running] = True
    left = there & ~holds & ((started > time) | (several & (finished > time)))
    waits_since = outcome.ready_time.copy()
    gone = attempts.end_time <= time
    np.maximum.at(waits_since, attempts.row[gone], attempts.end_time[gone])
    ready = left & (outcome.ready_time <= time)
    held_part = np.concatenate((np.ones(int(runs_once.sum())), _held_part(schedule, now)))
    order = np.lexsort((running, since))
    held_part = held_part[order]
    running, node, device = running[order], node[order], device[order]
    since, until = since[order], until[order]
    waiting = np.flatnonzero(ready)
    expected = _expected(schedule, running, since, node)
    gangs = _gangs(schedule, running, time)
    cores, gpus, by_node = np.nan, np.nan, None
    if schedule.policy.order.resizes:
        # What a task holds is not what it asks for, and of which nodes is not kept of all.
        cores = max(schedule.cluster.cores - float((workload.cpus[running] * held_part).sum()), 0.0)
        gpus = max(schedule.cluster.gpus - float((workload.gpus[running] * held_part).sum()), 0.0)
    elif not on_site:
        cores, gpus, by_node = _free(schedule, running, since, node, time, gangs)
    return Standing(
        time=time,
        running=running,
        since=since,
        until=until,
        # What runs beyond its estimate is expected to end at any moment.
        held_part=held_part,
        expected_until=np.where(several[running], np.nan, np.maximum(expected, time)),
        node=node,
        device=device,
        gangs=gangs,
        waiting=waiting,
        waits_since=waits_since[waiting],
        stopped=several[waiting] & (started[waiting] <= time),
        awaited=np.flatnonzero(left & ~ready),
        free_cores=cores,
        free_gpus=gpus,
        free_by_node=by_node,
    )


def _held_part(schedule: Schedule, places: IntArray) -> FloatArray:
    """Return which part of what their tasks ask for some attempts held."""
    workload, attempts = schedule.workload, schedule.attempts
    row, on_gpu = attempts.row[places], attempts.gpus[places] > 0
    if not schedule.policy.order.resizes:
        return np.ones(len(places))
    part: FloatArray = np.where(on_gpu, attempts.gpus[places], attempts.cpus[places]) / np.where(
        on_gpu, workload.gpus[row], workload.cpus[row]
    )
    return part


def _gangs(schedule: Schedule, rows: IntArray, time: float) -> Gangs:
    """Return what those of `rows` that are on several nodes hold of each."""
    every = Gangs.joined([]) if schedule.gangs is None else schedule.gangs
    now = (every.start_time <= time) & (every.end_time > time)
    return every[np.flatnonzero(now & np.isin(every.task, rows))]


def _expected(schedule: Schedule, rows: IntArray, since: FloatArray, node: IntArray) -> FloatArray:
    """Return when tasks were expected to end that began then, NaN where nobody can tell."""
    begun = since + _data_time(schedule, rows, node)
    _, _, ends = _sides(schedule, rows, begun, node, schedule.workload.duration_estimate[rows])
    # By its rate on the kind of GPU a task of a type that has rates takes another time.
    plain = schedule.options.checkpoints is None and schedule.workload.throughputs is None
    # How far over racks a gang lies, which makes it longer, is not stored.
    topology = schedule.cluster.topology
    plain = plain and not (topology is not None and topology.slows_down)
    known = schedule.estimates_known[rows] & plain
    return np.where(known, ends, np.nan)


def _played(schedule: Schedule, rows: IntArray) -> FloatArray:
    return played_runtime(schedule.workload, kill_at_estimate=schedule.options.kill_at_estimate)[rows]


def _data_time(schedule: Schedule, rows: IntArray, node: IntArray) -> FloatArray:
    """Return for how long data came to tasks that run, which is what they take longer than their work."""
    if schedule.cluster.network is None:
        return np.zeros(len(rows))
    _, _, length = _sides(schedule, rows, np.zeros(len(rows)), node, _played(schedule, rows))
    late: FloatArray = np.maximum(schedule.outcome.finish_time[rows] - schedule.outcome.start_time[rows] - length, 0.0)
    return late


def _sides(
    schedule: Schedule, rows: IntArray, since: FloatArray, node: IntArray, seconds: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return when tasks of so many seconds of work give their cores and their GPUs back, and end."""
    workload, cluster = schedule.workload, schedule.cluster
    group = cluster.group_of_nodes()[np.maximum(node, 0)]
    cpu_speed, gpu_speed = (cluster.of_groups(name)[group] for name in ("cpu_speed", "gpu_speed"))
    length: FloatArray = seconds / np.where(workload.gpus[rows] > 0, gpu_speed, cpu_speed)
    cpu, gpu = length.copy(), length.copy()
    split = np.flatnonzero(workload.hybrid[rows])
    if len(split):
        fraction = schedule.outcome.gpu_fraction[rows[split]]
        sides = hybrid_sides(workload, rows[split], seconds[split], fraction, cluster, group[split])
        length[split] = split_time(*sides, schedule.options.split_model)
        cpu[split], gpu[split] = sides if schedule.options.split_model == "concurrent" else (length[split],) * 2
    return since + cpu, since + gpu, since + length


def _free(
    schedule: Schedule, rows: IntArray, since: FloatArray, node: IntArray, time: float, gangs: Gangs
) -> tuple[float, float, FloatArray | None]:
    """Return the cores and GPUs that nobody holds, in all and by node."""
    workload, cluster = schedule.workload, schedule.cluster
    some = workload.take(np.sort(rows))
    asked = demands(some, cluster)
    place = np.searchsorted(np.sort(rows), rows)
    cpu, gpu, full = asked.cpu[place].copy(), asked.gpu[place].copy(), asked.full_nodes[place]
    whole = np.flatnonzero(full > 0)
    at = place[whole]
    cpu[whole] = full[whole] * asked.full_cpu[at] + asked.last_cpu[at]
    gpu[whole] = full[whole] * asked.full_gpus[at] * MILLI + asked.last_gpu[at]
    hybrid = workload.hybrid[rows]
    if hybrid.any():
        fraction = schedule.outcome.gpu_fraction[rows]
        begun = since + _data_time(schedule, rows, node)
        cpu_end, gpu_end, _ = _sides(schedule, rows, begun, node, _played(schedule, rows))
        cpu[hybrid & ((fraction >= 1.0) | (cpu_end <= time))] = 0
        gpu[hybrid & ((fraction <= 0.0) | (gpu_end <= time))] = 0
    free_cores = (cluster.cores * MILLI - int(cpu.sum())) / MILLI
    free_gpus = (cluster.gpus * MILLI - int(gpu.sum())) / MILLI
    # Rounds also spread what would fit on one node: without gangs nobody knows of which nodes its GPUs are, and with
    # them of which its cores are.
    untold = schedule.policy.order.shares_gpus and (schedule.gangs is None or len(gangs) > 0)
    if untold or not np.isin(rows[whole], gangs.task).all():
        return free_cores, free_gpus, None
    by_node = np.stack([cluster.of_groups("cores"), cluster.of_groups("gpus")], axis=1)[cluster.group_of_nodes()]
    by_node = by_node * MILLI
    alone, pieces = ~np.isin(rows, gangs.task), gangs.pieces()
    for column, held, there in ((0, cpu, pieces.cpus), (1, gpu, pieces.gpus)):
        np.subtract.at(by_node[:, column], node[alone], held[alone])
        np.subtract.at(by_node[:, column], pieces.node, there)
    return free_cores, free_gpus, by_node / MILLI
