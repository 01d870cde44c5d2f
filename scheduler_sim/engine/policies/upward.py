"""Ranks that look up the dependency graph: how much work hangs on a task."""

import numpy as np

from scheduler_sim.engine.codes import MILLI
from scheduler_sim.engine.demand import NodeGroups, demands
from scheduler_sim.engine.formulas import hybrid_alone
from scheduler_sim.engine.paces import Paces
from scheduler_sim.engine.paths import longest_paths
from scheduler_sim.engine.policies.order import ScoreContext
from scheduler_sim.engine.workload import FloatArray, Parents


def costs(context: ScoreContext) -> tuple[FloatArray, FloatArray]:
    """Return the estimated seconds of each task on each kind of processor, and how many processors a kind has.

    The kinds are the CPU side and the GPU side of every node group, shape (n, groups, 2); inf where a task cannot run.
    """
    workload, cluster = context.workload, context.cluster
    asked, groups = demands(workload, cluster), NodeGroups.of(cluster)
    n, count = len(workload), len(cluster.groups)
    rows = np.arange(n)
    table = np.full((n, count, 2), np.inf)
    cpu_speed, paces = cluster.of_groups("cpu_speed"), Paces.of(workload, cluster)
    for number in range(count):
        group = np.full(n, number)
        cpu, gpu = hybrid_alone(workload, rows, context.estimate, cluster, group)
        gang = asked.full_nodes > 0
        has_cores = (asked.cpu <= groups.cpu[number]) | gang
        allowed = asked.allowed[asked.kinds.codes, number]
        has_gpus = ((asked.gpu <= groups.gpus[number] * MILLI) | gang) & allowed & (asked.gpu > 0)
        on_cpu = np.where(workload.hybrid, (asked.cpu > 0) & has_cores, (asked.gpu == 0) & has_cores)
        on_gpu = np.where(workload.hybrid, has_gpus, has_gpus & has_cores)
        cpu = np.where(workload.hybrid, cpu, context.estimate / cpu_speed[number])
        gpu = np.where(workload.hybrid, gpu, context.estimate / paces.on(number))
        table[:, number, 0] = np.where(on_cpu, cpu, np.inf)
        table[:, number, 1] = np.where(on_gpu, gpu, np.inf)
    devices = np.stack([groups.count * groups.cpu / MILLI, groups.count * groups.gpus], axis=1).astype(np.float64)
    return table, devices


def upward_rank(context: ScoreContext) -> FloatArray:
    """Return mean work plus the largest rank among the children (Topcuoglu et al. 2002, equation 8).

    The mean is over all processors on which the task can run. Transfers between tasks are not modelled: the time to
    bring a task's data to a GPU is part of its work there.
    """
    table, devices = costs(context)
    possible = np.isfinite(table)
    weight = np.where(possible, devices, 0.0)
    mean = (np.where(possible, table, 0.0) * weight).sum(axis=(1, 2)) / np.maximum(weight.sum(axis=(1, 2)), 1e-300)
    return along_children(context.workload.parents, mean)


def optimistic_cost(context: ScoreContext) -> FloatArray:
    """Return PEFT's optimistic cost: the best path from a task's children to an exit.

    OCT(task, p) = max over children of min over processors q of (OCT(child, q) + work(child, q)) (Arabnejad &
    Barbosa 2014, equation 4). Without transfers between tasks it is the same for every processor p.
    """
    table, _ = costs(context)
    best = table.reshape(len(table), -1).min(axis=1) if len(table) else np.zeros(0)
    return along_children(context.workload.parents, best) - best


def along_children(parents: Parents, work: FloatArray) -> FloatArray:
    """Return work plus the largest value among the children, shape (n,), from the leaves to the roots."""
    children = np.bincount(parents.rows, minlength=len(work))
    rank: FloatArray = longest_paths(np.zeros(len(work)), work, children, parents.offsets, parents.rows)
    return rank
