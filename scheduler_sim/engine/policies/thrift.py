"""The node group and fraction with the least energy or cost for each task by itself."""

import numpy as np

from scheduler_sim.engine.clusters.demand import NodeGroups, demands
from scheduler_sim.engine.clusters.paces import Paces
from scheduler_sim.engine.codes import MILLI
from scheduler_sim.engine.formulas import TENTHS, Holdings, hybrid_sides, rigid_time, split_time, task_cost, task_energy
from scheduler_sim.engine.policies.placement import ChoiceContext, Choices


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
    cpu_speed, paces = cluster.of_groups("cpu_speed"), Paces.of(workload, cluster)
    for number in range(len(cluster.groups)):
        group = np.full(n, number)
        for f in TENTHS:
            fraction = np.where(workload.hybrid, f, workload.gpus > 0)
            on_cpu = np.where(workload.hybrid, fraction < 1, asked.cpu > 0)
            on_gpu = np.where(workload.hybrid, fraction > 0, asked.gpu > 0)
            possible = (asked.memory <= groups.memory[number]) & (asked.full_nodes == 0)
            possible &= ~on_cpu | ((asked.cpu <= groups.cpu[number]) & (~workload.hybrid | (asked.cpu > 0)))
            room = (asked.gpu <= groups.gpus[number] * MILLI) & asked.allowed[asked.kinds.codes, number]
            possible &= ~on_gpu | (room & (asked.gpu > 0))
            cpu, gpu = hybrid_sides(workload, rows, context.estimate, fraction, cluster, group)
            rigid = rigid_time(context.estimate, workload.gpus > 0, cpu_speed[number], paces.on(number))
            length = np.where(workload.hybrid, split_time(cpu, gpu, context.split_model), rigid)
            held = Holdings.of(
                workload,
                rows,
                length=length,
                fraction=fraction,
                runtime=context.estimate,
                cluster=cluster,
                group=group,
                split_model=context.split_model,
            )
            value = formula(cluster, group, held)
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
