"""What the tasks of a schedule kept busy of the cluster over time, and what that took in energy and money."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol, Self

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.contract import Options, Outcome
from scheduler_sim.engine.formulas import Holdings, energy_at, played_runtime, task_cost, task_energy
from scheduler_sim.engine.measuring.rest import Rest
from scheduler_sim.engine.numerics.spans import held_by_window
from scheduler_sim.engine.simulation import Simulation
from scheduler_sim.engine.stepped import busy_watts
from scheduler_sim.engine.units import SECONDS_PER_HOUR
from scheduler_sim.engine.workloads.columns import Rows
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray, Workload


class Played(Protocol):
    """What the figures of a schedule are read from: a simulation, or what is stored of one."""

    @property
    def workload(self) -> Workload:
        """The tasks."""

    @property
    def cluster(self) -> Cluster:
        """What they ran on."""

    @property
    def options(self) -> Options:
        """The rules they ran by."""

    def outcome(self) -> Outcome:
        """Return what became of them."""


def holdings(simulation: Played, rows: Rows) -> Holdings:
    """Return what finished tasks `rows` held, to be read only; a gang counts as held on its lowest-numbered node.

    Of a task with several attempts these are the seconds of all of them together.
    """
    outcome = simulation.outcome()
    length = outcome.finish_time[rows] - outcome.start_time[rows]
    if outcome.history is not None:
        several = outcome.history.is_told_apart[rows]
        length[several] = outcome.history.held_time[rows][several]
    held = _held(simulation, rows, length, simulation.cluster.groups_at(outcome.node[rows]))
    if outcome.history is None or outcome.history.held_part is None:
        return held
    part = outcome.history.held_part[rows]
    return held._replace(cores=held.cores * part, gpus=held.gpus * part)


def _held(simulation: Played, rows: Rows, length: FloatArray, group: IntArray) -> Holdings:
    """Return `Holdings.of` m tasks that ran `length` seconds on node groups `group`, copying nothing of whole ones."""
    workload, outcome = simulation.workload, simulation.outcome()
    if not workload.hybrid[rows].any():
        return Holdings(workload.cpus[rows], workload.gpus[rows], length, length, length, length)
    return Holdings.of(
        workload,
        np.arange(len(workload))[rows],
        length=length,
        fraction=outcome.gpu_fraction[rows],
        runtime=played_runtime(workload, kill_at_estimate=simulation.options.kill_at_estimate)[rows],
        cluster=simulation.cluster,
        group=group,
        split_model=simulation.options.split_model,
        one_sided=outcome.history is not None,
    )


def energy_and_cost(simulation: Played, rows: Rows, held: Holdings | None = None) -> tuple[FloatArray, FloatArray]:
    """Return the joules and the USD of finished tasks `rows`, shape (m,) each.

    Of a task with several attempts each counts by the node that it ran on.

    Args:
        held: what `holdings` returned of them, where it was asked for.
    """
    outcome, cluster = simulation.outcome(), simulation.cluster
    if held is None:
        held = holdings(simulation, rows)
    group = cluster.groups_at(outcome.node[rows])
    watts = busy_watts(simulation.workload, cluster, simulation.options, outcome, rows, group)
    energy, cost = energy_at(*watts, held), task_cost(cluster, group, held)
    history = outcome.history
    if history is not None and history.energy_joules is not None and history.cost_usd is not None:
        several = history.attempts[rows] > 1
        energy[several] = history.energy_joules[rows][several]
        cost[several] = history.cost_usd[rows][several]
    return energy, cost


class Used(NamedTuple):
    """What tasks took together: devices x seconds for which they worked, and what that took in energy and money."""

    core_seconds: float
    gpu_seconds: float
    joules: float
    usd: float

    @classmethod
    def of(cls, simulation: Played, rows: Rows) -> Self:
        """Add up what finished tasks `rows` took."""
        cluster, held = simulation.cluster, holdings(simulation, rows)
        cores, gpus = total(held.cores, held.cpu_busy), total(held.gpus, held.gpu_busy)
        if len(cluster.groups) > 1 or cluster.has_slower_steps or simulation.outcome().history is not None:
            energy, cost = energy_and_cost(simulation, rows, held)
            return cls(cores, gpus, float(energy.sum()), float(cost.sum()))
        # Every core draws and costs the same, and so does every GPU.
        group = np.zeros(1, np.int64)
        energy = task_energy(cluster, group, _for_a_second(cores, gpus))
        for_good = total(held.cores, held.cpu_held), total(held.gpus, held.gpu_held)
        return cls(cores, gpus, float(energy[0]), float(task_cost(cluster, group, _for_a_second(*for_good))[0]))


def _for_a_second(cores: float, gpus: float) -> Holdings:
    second = np.ones(1)
    return Holdings(np.array([cores]), np.array([gpus]), second, second, second, second)


def total(devices: FloatArray, seconds: FloatArray) -> float:
    """Return device-seconds. Not as a product of vectors: BLAS shares that out to threads, which then spin for more."""
    return float((devices * seconds).sum())


@dataclass(frozen=True, eq=False)
class Usage:
    """Spans in which tasks kept devices busy and held them, m in all, and what the cluster has.

    A task that runs once has one span, one that stops and goes on a span an attempt.

    Attributes:
        start: shape (m,), seconds.
        core_start, core_end, gpu_end: shape (m,), seconds; cores are busy from the first to the second, GPUs from
            `start` to the third. The sides of a split task run side by side or, sequential, the GPU side first.
        core_held_end, gpu_held_end: shape (m,), seconds until which each is held from `start` on.
        cores_held, gpus_held: shape (m,).
        core_watts, gpu_watts, core_idle_watts, gpu_idle_watts: shape (m,), of one device where the task ran.
        core_price, gpu_price: shape (m,), USD for one device and second where the task ran.
        cores, gpus: of the cluster.
        idle_watts: of the whole cluster when nothing runs and none of its nodes sleeps.
        states_watts, states_prices: whether the cluster says what its devices draw and cost; where it does not, energy
            and cost are not known, which is not the same as none.
        rest: when nodes slept and woke; None where they do not sleep.
    """

    start: FloatArray
    core_start: FloatArray
    core_end: FloatArray
    gpu_end: FloatArray
    core_held_end: FloatArray
    gpu_held_end: FloatArray
    cores_held: FloatArray
    gpus_held: FloatArray
    core_watts: FloatArray
    gpu_watts: FloatArray
    core_idle_watts: FloatArray
    gpu_idle_watts: FloatArray
    core_price: FloatArray
    gpu_price: FloatArray
    cores: int
    gpus: int
    idle_watts: float
    states_watts: bool
    states_prices: bool
    rest: Rest | None = None

    @classmethod
    def of(cls, simulation: Simulation) -> "Usage":
        """Read from a simulation what each task that has finished used."""
        outcome, cluster, spans = simulation.outcome(), simulation.cluster, simulation.spans()
        # Where tasks run once and all have finished, each has a span, in their order.
        is_whole = outcome.history is None and len(spans) == len(simulation.workload)
        rows: Rows = slice(None) if is_whole else spans.row
        start, group = spans.start_time, cluster.groups_at(spans.node)
        cores, gpus, cpu_busy, gpu_busy, cpu_held, gpu_held = _held(simulation, rows, spans.end_time - start, group)
        if outcome.history is not None and outcome.history.held_part is not None:
            cores, gpus = spans.cpus, spans.gpus
        hybrid = simulation.workload.hybrid[rows]
        core_start, core_end = start, start + cpu_busy
        gpu_end = core_held_end = gpu_held_end = core_end
        if hybrid.any():
            # What is whole works and is held from its start to its end; of these each side has ends of its own.
            if simulation.options.split_model == "sequential":
                core_start = np.where(hybrid, start + gpu_busy, start)
            core_end, gpu_end = core_start + cpu_busy, start + gpu_busy
            core_held_end, gpu_held_end = start + cpu_held, start + gpu_held

        watts = busy_watts(simulation.workload, cluster, simulation.options, outcome, rows, group)

        def at_group(name: str, over: float = 1.0) -> FloatArray:
            values = cluster.of_groups(name) / over
            return np.broadcast_to(values[0], group.shape) if len(values) == 1 else values[group]

        return cls(
            start=start,
            core_start=core_start,
            core_end=core_end,
            gpu_end=gpu_end,
            core_held_end=core_held_end,
            gpu_held_end=gpu_held_end,
            cores_held=cores,
            gpus_held=gpus,
            core_watts=watts[0],
            gpu_watts=watts[1],
            core_idle_watts=at_group("cpu_idle_watts"),
            gpu_idle_watts=at_group("gpu_idle_watts"),
            core_price=at_group("usd_per_core_hour", SECONDS_PER_HOUR),
            gpu_price=at_group("usd_per_gpu_hour", SECONDS_PER_HOUR),
            cores=cluster.cores,
            gpus=cluster.gpus,
            idle_watts=cluster.idle_watts,
            states_watts=cluster.states_watts,
            states_prices=cluster.states_prices,
            rest=Rest.of(simulation) if cluster.sleeps else None,
        )

    def busy_core_seconds(self, edges: FloatArray) -> FloatArray:
        """Return the core-seconds that were busy in each window."""
        return held_by_window(self.core_start, self.core_end, self.cores_held, edges)

    def busy_gpu_seconds(self, edges: FloatArray) -> FloatArray:
        """Return the GPU-seconds that were busy in each window."""
        return held_by_window(self.start, self.gpu_end, self.gpus_held, edges)

    def energy_joules(self, edges: FloatArray) -> FloatArray:
        """Return what the tasks' devices drew in each window: busy watts x busy device-seconds; NaN without watts."""
        if not self.states_watts:
            return np.full(len(edges) - 1, np.nan)
        on_cores = held_by_window(self.core_start, self.core_end, self.cores_held * self.core_watts, edges)
        return on_cores + held_by_window(self.start, self.gpu_end, self.gpus_held * self.gpu_watts, edges)

    def idle_energy_joules(self, edges: FloatArray) -> FloatArray:
        """Return what the other devices drew in each window: idle watts x device-seconds that were not busy.

        Where nodes sleep it is less by what that saves. NaN where the cluster states no watts.
        """
        if not self.states_watts:
            return np.full(len(edges) - 1, np.nan)
        spared = held_by_window(self.core_start, self.core_end, self.cores_held * self.core_idle_watts, edges)
        spared += held_by_window(self.start, self.gpu_end, self.gpus_held * self.gpu_idle_watts, edges)
        if self.rest is not None:
            spared += self.rest.saved_joules(edges)
        idle: FloatArray = np.maximum(self.idle_watts * np.diff(edges) - spared, 0.0)
        return idle

    def sleep_figures(self, edges: FloatArray) -> dict[str, FloatArray]:
        """Return what each window had of sleeping nodes, by the names of `Rest`; NaN where none of them sleeps."""
        names = ("asleep_time", "wakes", "woken_starts", "saved_joules")
        if self.rest is None:
            return {name: np.full(len(edges) - 1, np.nan) for name in names}
        return {name: getattr(self.rest, name)(edges) for name in names}

    def cost_usd(self, edges: FloatArray) -> FloatArray:
        """Return the price of what tasks held in each window: price x held device-seconds; NaN without prices."""
        if not self.states_prices:
            return np.full(len(edges) - 1, np.nan)
        on_cores = held_by_window(self.start, self.core_held_end, self.cores_held * self.core_price, edges)
        return on_cores + held_by_window(self.start, self.gpu_held_end, self.gpus_held * self.gpu_price, edges)
