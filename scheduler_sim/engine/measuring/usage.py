"""What the tasks of a schedule kept busy of the cluster over time, and what that took in energy and money."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.contract import Options, Outcome
from scheduler_sim.engine.formulas import Holdings, energy_at, played_runtime, task_cost
from scheduler_sim.engine.measuring.rest import Rest
from scheduler_sim.engine.numerics.spans import held_by_window
from scheduler_sim.engine.simulation import Simulation
from scheduler_sim.engine.stepped import busy_watts
from scheduler_sim.engine.units import SECONDS_PER_HOUR
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


def holdings(simulation: Played, rows: IntArray) -> Holdings:
    """Return what finished tasks `rows` held; a gang counts as held on the group of its lowest-numbered node.

    Of a task with several attempts these are the seconds of all of them together.
    """
    outcome, workload, cluster = simulation.outcome(), simulation.workload, simulation.cluster
    length = outcome.finish_time[rows] - outcome.start_time[rows]
    if outcome.history is not None:
        several = outcome.history.is_told_apart[rows]
        length[several] = outcome.history.held_time[rows][several]
    held = Holdings.of(
        workload,
        rows,
        length=length,
        fraction=outcome.gpu_fraction[rows],
        runtime=played_runtime(workload, kill_at_estimate=simulation.options.kill_at_estimate)[rows],
        cluster=cluster,
        group=cluster.groups_at(outcome.node[rows]),
        split_model=simulation.options.split_model,
        one_sided=outcome.history is not None,
    )
    if outcome.history is None or outcome.history.held_part is None:
        return held
    part = outcome.history.held_part[rows]
    return held._replace(cores=held.cores * part, gpus=held.gpus * part)


def energy_and_cost(simulation: Played, rows: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return the joules and the USD of finished tasks `rows`, shape (len(rows),) each.

    Of a task with several attempts each counts by the node that it ran on.
    """
    outcome, cluster, held = simulation.outcome(), simulation.cluster, holdings(simulation, rows)
    group = cluster.groups_at(outcome.node[rows])
    watts = busy_watts(simulation.workload, cluster, simulation.options, outcome, rows, group)
    energy, cost = energy_at(*watts, held), task_cost(cluster, group, held)
    history = outcome.history
    if history is not None and history.energy_joules is not None and history.cost_usd is not None:
        several = history.attempts[rows] > 1
        energy[several] = history.energy_joules[rows][several]
        cost[several] = history.cost_usd[rows][several]
    return energy, cost


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
        rows, start = spans.row, spans.start_time
        group = cluster.groups_at(spans.node)
        cores, gpus, cpu_busy, gpu_busy, cpu_held, gpu_held = Holdings.of(
            simulation.workload,
            rows,
            length=spans.end_time - start,
            fraction=outcome.gpu_fraction[rows],
            runtime=played_runtime(simulation.workload, kill_at_estimate=simulation.options.kill_at_estimate)[rows],
            cluster=cluster,
            group=group,
            split_model=simulation.options.split_model,
            one_sided=outcome.history is not None,
        )
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

        def at_group(name: str) -> FloatArray:
            return cluster.at_groups(name, group)

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
            core_price=at_group("usd_per_core_hour") / SECONDS_PER_HOUR,
            gpu_price=at_group("usd_per_gpu_hour") / SECONDS_PER_HOUR,
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
