"""Ranks that look up the dependency graph: how much work hangs on a task."""

import numpy as np

from scheduler_sim.engine.clusters.demand import NodeGroups, demands
from scheduler_sim.engine.clusters.paces import Paces
from scheduler_sim.engine.clusters.transfers import Transfers
from scheduler_sim.engine.codes import MILLI
from scheduler_sim.engine.formulas import hybrid_alone
from scheduler_sim.engine.policies.order import Order, ScoreContext
from scheduler_sim.engine.policies.parameter import choice
from scheduler_sim.engine.workloads.paths import longest_paths
from scheduler_sim.engine.workloads.workload import FloatArray, Parents


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
    """Return mean work plus the largest sum of a mean transfer and the child's rank (Topcuoglu et al. 2002, eq. 8).

    The mean of work is over all processors on which the task can run, that of a transfer over all pairs of different
    nodes. The time to bring a task's own data to a GPU is part of its work there.
    """
    table, devices = costs(context)
    transfers = Transfers.of(context.workload, context.cluster)
    sent = np.zeros(context.workload.parents.count) if transfers is None else transfers.mean_seconds()
    return along_children(context.workload.parents, _mean(table, table, devices), sent)


PLAN = choice(
    "plan",
    lambda: ["insertion"],
    default=None,
    rule=(
        "insertion: when tasks arrive each is planned to where it ends first, into gaps too, and the plan is followed "
        "node by node, as published; without it the rank is an order like others."
    ),
)


def follows_plan(order: Order) -> bool:
    """Tell whether tasks go where a plan put them when they arrived."""
    return order.having(PLAN.name) and order.value(PLAN.name) is not None


def is_planned(context: ScoreContext) -> bool:
    """Tell whether tasks are planned when they arrive."""
    return context.parameters.get(PLAN.name) is not None


def optimistic_costs(context: ScoreContext) -> FloatArray | None:
    """Return PEFT's optimistic cost table, shape (n, groups); None where no data is sent, and its rows are even."""
    transfers = Transfers.of(context.workload, context.cluster)
    if transfers is None:
        return None
    by_group: FloatArray = costs(context)[0].min(axis=2)
    return transfers.optimistic_costs(by_group)


def optimistic_cost(context: ScoreContext) -> FloatArray:
    """Return PEFT's rank: the mean of a task's row of the optimistic cost table over all processors it can run on.

    Where no data is sent the table is the same for every processor: the best path from the task's children to an exit.
    """
    table, devices = costs(context)
    rows = optimistic_costs(context)
    if rows is not None:
        return _mean(rows[:, :, None], table, devices)
    best = table.reshape(len(table), -1).min(axis=1) if len(table) else np.zeros(0)
    return along_children(context.workload.parents, best, np.zeros(context.workload.parents.count)) - best


def along_children(parents: Parents, work: FloatArray, sent: FloatArray) -> FloatArray:
    """Return work plus the largest sum of `sent` and the value of a child, from the leaves to the roots.

    Args:
        work: shape (n,).
        sent: shape (edges,), in the order of the parents.

    Returns:
        Shape (n,).
    """
    children = np.bincount(parents.rows, minlength=len(work))
    rank: FloatArray = longest_paths(np.zeros(len(work)), work, children, parents.offsets, parents.rows, sent)
    return rank


def _mean(values: FloatArray, table: FloatArray, devices: FloatArray) -> FloatArray:
    """Return the mean of values, shape (n, groups, 2 or 1), over the processors on which each task can run."""
    possible = np.isfinite(table)
    weight = np.where(possible, devices, 0.0)
    total: FloatArray = (np.where(possible, values, 0.0) * weight).sum(axis=(1, 2))
    mean: FloatArray = total / np.maximum(weight.sum(axis=(1, 2)), 1e-300)
    return mean
