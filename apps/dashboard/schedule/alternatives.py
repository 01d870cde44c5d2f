"""The other ways in which a task of a run could have been placed, once it started: where, and how it is split."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from apps.results.models import Run
from apps.tasks.models import Task
from scheduler_sim import engine
from scheduler_sim.engine import formulas
from scheduler_sim.engine.clusters.demand import demands
from scheduler_sim.engine.clusters.paces import Paces

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
                found.append(Alternative(group.name, fraction, *_placed(run, one, cluster, fraction), chosen))
        else:
            found.append(Alternative(group.name, None, *_placed(run, one, cluster, 0.0), list(here)))
    found.sort(key=lambda way: (way.seconds, way.cost_usd, way.energy_joules))
    return [way for rank, way in enumerate(found) if rank < SHOWN or way.chosen_by]


def _placed(run: Run, one: engine.Workload, cluster: engine.Cluster, fraction: float) -> tuple[float, float, float]:
    """Return seconds, joules and USD of the only task of `one` on the only group of `cluster`."""
    split_model = run.configuration.get("split_model", "concurrent")
    runtime = formulas.played_runtime(one, kill_at_estimate=run.configuration.get("kill_at_estimate", False))
    first, part, group = np.zeros(1, np.int64), np.array([fraction]), cluster.groups[0]
    if one.hybrid[0]:
        sides = formulas.hybrid_sides(one, first, runtime, part, cluster, first)
        length = formulas.split_time(*sides, split_model)
    else:
        length = formulas.rigid_time(runtime, one.gpus > 0, group.cpu_speed, Paces.of(one, cluster).on(0))
    held = formulas.Holdings.of(
        one, first, length=length, fraction=part, runtime=runtime, cluster=cluster, group=first, split_model=split_model
    )
    energy, cost = formulas.task_energy(cluster, first, held), formulas.task_cost(cluster, first, held)
    return float(length[0]), float(energy[0]), float(cost[0])
