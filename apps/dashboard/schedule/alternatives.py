"""The other ways in which a task of a run could have been placed, once it started: where, and how it is split."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from apps.results.models import Run
from apps.tasks.models import Task
from scheduler_sim import engine
from scheduler_sim.engine import execution
from scheduler_sim.engine.demand import demands

FRACTIONS = (0.0, 0.25, 0.5, 0.75, 1.0)
SHOWN = 24


@dataclass(frozen=True)
class Alternative:
    """One way to place the task on an empty node.

    Attributes:
        group: name of the node group.
        fraction: gpu_fraction of a split task, None of a rigid one.
        seconds, energy_joules, cost_usd: what it would take.
        chosen_by: the policies that placed it so.
    """

    group: str
    fraction: float | None
    seconds: float
    energy_joules: float
    cost_usd: float
    chosen_by: list[str]


def alternatives(run: Run, task: Task, placed: Mapping[str, tuple[str, float]]) -> list[Alternative]:
    """Return the ways to place a task by node group and gpu_fraction, the shortest first.

    Args:
        placed: node group and gpu_fraction that each policy chose; these fractions are shown beside the usual ones.
    """
    one = Task.objects.filter(pk=task.pk).as_workload()
    found = []
    for group in engine.Cluster.from_json(run.cluster).groups:
        cluster = engine.Cluster(group.name, (group,))
        if not demands(one, cluster).fits[0]:
            continue
        here = {name: fraction for name, (place, fraction) in placed.items() if place == group.name}
        if task.kind == Task.Kind.HYBRID:
            taken = {round(fraction, 3) for fraction in here.values()}
            fractions = sorted({*FRACTIONS, *taken}) if group.gpus else [0.0]
            for fraction in fractions:
                chosen = [name for name, own in here.items() if round(own, 3) == fraction]
                found.append(Alternative(group.name, fraction, *_split(run, one, cluster, fraction), chosen))
        else:
            found.append(Alternative(group.name, None, *_rigid(run, one, cluster), list(here)))
    found.sort(key=lambda way: (way.seconds, way.cost_usd, way.energy_joules))
    return [way for rank, way in enumerate(found) if rank < SHOWN or way.chosen_by]


def _runtime(run: Run, one: engine.Workload) -> float:
    ends_early = run.configuration.get("kill_at_estimate", False)
    return float(min(one.runtime[0], one.duration_estimate[0]) if ends_early else one.runtime[0])


def _rigid(run: Run, one: engine.Workload, cluster: engine.Cluster) -> tuple[float, float, float]:
    group = cluster.groups[0]
    seconds = _runtime(run, one) / (group.gpu_speed if one.gpus[0] > 0 else group.cpu_speed)
    return (seconds, *_price(cluster, float(one.cpus[0]), float(one.gpus[0]), (seconds, seconds), (seconds, seconds)))


def _split(run: Run, one: engine.Workload, cluster: engine.Cluster, fraction: float) -> tuple[float, float, float]:
    first = np.zeros(1, np.int64)
    runtime = np.array([_runtime(run, one)])
    cpu, gpu = execution.hybrid_sides(one, first, runtime, np.array([fraction]), cluster, first)
    model = run.configuration.get("split_model", "concurrent")
    seconds = float(execution.actual_time(cpu, gpu, model)[0])
    busy = (float(cpu[0]), float(gpu[0]))
    held = busy if model == "concurrent" else (seconds, seconds)
    cores = float(one.cpus[0]) if fraction < 1 else 0.0
    gpus = float(one.gpus[0]) if fraction > 0 else 0.0
    return (seconds, *_price(cluster, cores, gpus, busy, held))


def _price(
    cluster: engine.Cluster, cores: float, gpus: float, busy: tuple[float, float], held: tuple[float, float]
) -> tuple[float, float]:
    group = np.zeros(1, np.int64)
    devices = np.array([cores]), np.array([gpus])
    energy = execution.task_energy(cluster, group, *devices, np.array([busy[0]]), np.array([busy[1]]))
    cost = execution.task_cost(cluster, group, *devices, np.array([held[0]]), np.array([held[1]]))
    return float(energy[0]), float(cost[0])
