"""The node group and fraction with the least energy or cost for each task by itself."""

import numpy as np

from scheduler_sim.engine.codes import MILLI
from scheduler_sim.engine.demand import NodeGroups, demands
from scheduler_sim.engine.execution import (
    actual_time,
    hybrid_sides,
    of_groups,
    task_cost,
    task_energy,
)
from scheduler_sim.engine.policies.placement import ChoiceContext, Choices

FRACTIONS = np.arange(11) / 10.0
"""The fractions that planned and thrifty placements try."""


def thriftiest(context: ChoiceContext, aim: str) -> Choices:
    """Return for each task the group and fraction of least `aim` (`energy` or `cost`) by its estimate.

    Ties go to the faster choice, then to the lower group, then to the lower fraction. Gangs may use any group.
    """
    workload, cluster = context.workload, context.cluster
    asked, groups = demands(workload, cluster), NodeGroups.of(cluster)
    n = len(workload)
    rows = np.arange(n)
    best = np.full((3, n), np.inf)
    choice = np.zeros(n)
    where = np.full(n, -1, np.int64)
    formula = task_energy if aim == "energy" else task_cost
    cpu_speed, gpu_speed = of_groups(cluster, "cpu_speed"), of_groups(cluster, "gpu_speed")
    for number in range(len(cluster.groups)):
        group = np.full(n, number)
        for f in FRACTIONS:
            fraction = np.where(workload.hybrid, f, workload.gpus > 0)
            on_cpu = np.where(workload.hybrid, fraction < 1, asked.cpu > 0)
            on_gpu = np.where(workload.hybrid, fraction > 0, asked.gpu > 0)
            possible = (asked.memory <= groups.memory[number]) & (asked.full_nodes == 0)
            possible &= ~on_cpu | ((asked.cpu <= groups.cpu[number]) & (~workload.hybrid | (asked.cpu > 0)))
            room = (asked.gpu <= groups.gpus[number] * MILLI) & asked.allowed[workload.gpu_type.codes, number]
            possible &= ~on_gpu | (room & (asked.gpu > 0))
            cpu, gpu = hybrid_sides(workload, rows, context.estimate, fraction, cluster, group)
            length = actual_time(cpu, gpu, context.split_model)
            alone = context.estimate / np.where(workload.gpus > 0, gpu_speed[number], cpu_speed[number])
            cpu, gpu = np.where(workload.hybrid, cpu, alone), np.where(workload.hybrid, gpu, alone)
            length = np.where(workload.hybrid, length, alone)
            if aim == "cost" and context.split_model == "sequential":
                cpu, gpu = length, length
            cores, gpus = np.where(on_cpu, workload.cpus, 0.0), np.where(on_gpu, workload.gpus, 0.0)
            value = formula(cluster, group, cores, gpus, cpu, gpu)
            better = value < best[0]
            tied = value == best[0]
            better |= tied & (length < best[1])
            # Groups and fractions are tried in ascending order, so an equal choice never replaces an earlier one.
            better &= possible
            best[0], best[1] = np.where(better, value, best[0]), np.where(better, length, best[1])
            choice, where = np.where(better, fraction, choice), np.where(better, number, where)
            if f == 0.0 and not workload.hybrid.any():
                break
    return Choices(fraction=choice, group=where)
