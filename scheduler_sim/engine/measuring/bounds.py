"""What no policy can beat: lower bounds on the makespan."""

from dataclasses import asdict, dataclass

import numpy as np

from scheduler_sim.engine import formulas
from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.clusters.demand import NodeGroups, demands
from scheduler_sim.engine.clusters.paces import Paces
from scheduler_sim.engine.clusters.slices import rated_as
from scheduler_sim.engine.clusters.transfers import Transfers
from scheduler_sim.engine.codes import MILLI
from scheduler_sim.engine.contract import Options
from scheduler_sim.engine.elasticity import Elasticity
from scheduler_sim.engine.whatif import at_arrivals
from scheduler_sim.engine.workloads.feedback import predecessors
from scheduler_sim.engine.workloads.paths import longest_paths
from scheduler_sim.engine.workloads.workload import FloatArray, Workload


@dataclass(frozen=True)
class LowerBounds:
    """Lower bounds on the makespan of a workload on a cluster, in seconds.

    Attributes:
        critical_path: from the first arrival to the earliest end that arrivals and dependencies allow when every
            task runs as quickly as it can and waits for no device but for data, which it gets where it comes soonest.
        core_work, gpu_work: device-seconds of the rigid tasks over the number of devices; split tasks may do their
            work on either side and are left out.
        makespan: the largest of them.
    """

    critical_path: float
    core_work: float
    gpu_work: float
    makespan: float

    def as_json(self) -> dict[str, float]:
        """Return the bounds by name."""
        return asdict(self)


def lower_bounds(workload: Workload, cluster: Cluster, options: Options | None = None) -> LowerBounds:
    """Return what no schedule of `workload` on `cluster` can beat.

    In a closed loop each task comes as early as the one that it follows can have ended; the tasks are to be given with
    their recorded arrivals.
    """
    if not len(workload):
        return LowerBounds(0.0, 0.0, 0.0, 0.0)
    options = options or Options()
    shortest = shortest_times(workload, cluster, options)
    if options.closed_loop:
        workload = at_arrivals(workload, earliest_arrivals(workload, shortest))
    first = float(workload.arrival_time.min())
    transfers = Transfers.of(workload, cluster)
    if transfers is None:
        finish = earliest_finish(workload, shortest)
    else:
        finish = transfers.earliest_finish(
            workload.arrival_time, shortest_by_group(workload, cluster, shortest, options)
        )
    path = float(finish.max()) - first
    rigid = ~workload.hybrid
    # On the width on which it does most for each device, a task of many widths takes least of them.
    width = np.ones(len(workload))
    if (plan := elasticity_on(workload, cluster)) is not None:
        width = plan.least_areas() / plan.asked * plan.highest_rates()
    width = width * least_parts(workload, cluster)
    cores, gpus = (
        float((held[rigid] * (shortest * width)[rigid]).sum()) / devices if devices else 0.0
        for held, devices in ((workload.cpus, cluster.cores), (workload.gpus, cluster.gpus))
    )
    return LowerBounds(critical_path=path, core_work=cores, gpu_work=gpus, makespan=max(path, cores, gpus))


def least_parts(workload: Workload, cluster: Cluster) -> FloatArray:
    """Return the least part of its device-seconds that each task may take by sharing its GPU with another, shape (n,).

    Of a GPU that two have together each takes half, so a task that goes on at r beside another, and alone at a on the
    GPU that is best for it, takes a / 2r of what it takes there, and not less than that beside whoever is best for it.
    """
    part, table, paces = np.ones(len(workload)), workload.throughputs, Paces.of(workload, cluster)
    if table is None or not table.pairs or not paces.rated.any():
        return part
    kinds = [rated_as(group.gpu_type or group.name, table.kinds) for group in cluster.groups if group.gpus]
    places = [table.kinds.index(kind) for kind in kinds if kind is not None]
    alone = np.nan_to_num(table.of(workload.group, workload.gpus)[:, places]).max(1)
    beside = table.beside(workload.group.names)[:, :, places].max((1, 2), initial=0.0)[workload.group.codes]
    able = paces.rated & (workload.gpus == 1) & (beside > 0)
    part[able] = np.minimum(1.0, alone[able] / (2.0 * beside[able]))
    return part


def elasticity_on(workload: Workload, cluster: Cluster) -> Elasticity | None:
    """Return the widths of tasks on the cluster, None where all are rigid."""
    stated = workload.requests
    if stated is None or stated.elasticity.names in ((), ("",)):
        return None
    on_gpu = workload.gpus > 0
    devices = np.where(on_gpu, cluster.gpus, cluster.cores)
    # On as few nodes as can be, a task is never slower than it is.
    per_node = int(cluster.of_groups("gpus" if on_gpu.any() else "cores").max())
    return Elasticity.of(workload, devices=devices, per_node=max(per_node, 1))


def shortest_times(workload: Workload, cluster: Cluster, options: Options) -> FloatArray:
    """Return the least seconds that each task can take anywhere on the cluster, shape (n,).

    A rigid task runs at the highest speed that any group has; a split task takes the best fraction of the best group:
    a b / (a + b) when its sides, a seconds on the CPU alone and b on the GPU alone, run side by side, and min(a, b)
    when one follows the other. Where its rates are known, it runs on the kind of GPU that is best for it, and where it
    has several widths, on its fastest.
    """
    runtime = formulas.played_runtime(workload, kill_at_estimate=options.kill_at_estimate)
    cpu_speed = cluster.of_groups("cpu_speed").max()
    gpu_speed, paces = cluster.of_groups("gpu_speed").max(), Paces.of(workload, cluster)
    by_rate = np.where(paces.possible & (cluster.of_groups("gpus") > 0), paces.gpu, 0.0).max(1)[paces.row]
    quickest = np.where(paces.rated, by_rate, max(cpu_speed, gpu_speed))
    shortest = formulas.rigid_time(runtime, workload.gpus > 0, cpu_speed, quickest)
    if (plan := elasticity_on(workload, cluster)) is not None:
        shortest = shortest / plan.highest_rates()
    rows = np.flatnonzero(workload.hybrid)
    if len(rows):
        best = np.full(len(rows), np.inf)
        for number in range(len(cluster.groups)):
            group = np.full(len(rows), number)
            cpu, gpu = formulas.hybrid_alone(workload, rows, runtime[rows], cluster, group)
            if options.split_model == "sequential":
                here = np.minimum(cpu, gpu)
            else:
                here = np.divide(cpu * gpu, cpu + gpu, out=np.zeros(len(rows)), where=cpu + gpu > 0)
            best = np.minimum(best, here)
        shortest[rows] = best
    return shortest


def shortest_by_group(workload: Workload, cluster: Cluster, shortest: FloatArray, options: Options) -> FloatArray:
    """Return the least seconds that each task can take on a node of each group, shape (n, groups), inf for never.

    Tasks that may be split, have several widths or need several nodes count with `shortest`, their least anywhere.
    """
    asked, groups = demands(workload, cluster), NodeGroups.of(cluster)
    if elasticity_on(workload, cluster) is not None:
        return np.repeat(shortest[:, None], len(cluster.groups), axis=1)
    runtime = formulas.played_runtime(workload, kill_at_estimate=options.kill_at_estimate)
    paces, on_gpu = Paces.of(workload, cluster), workload.gpus > 0
    anywhere = workload.hybrid | (asked.full_nodes > 0)
    table = np.empty((len(workload), len(cluster.groups)))
    for number, group in enumerate(cluster.groups):
        here = formulas.rigid_time(runtime, on_gpu, group.cpu_speed, paces.on(number))
        held = (asked.cpu <= groups.cpu[number]) & (asked.memory <= groups.memory[number])
        held &= ~on_gpu | (asked.allowed[asked.kinds.codes, number] & (asked.gpu <= groups.gpus[number] * MILLI))
        table[:, number] = np.where(anywhere, shortest, np.where(held, here, np.inf))
    nowhere = np.isinf(table).all(axis=1)
    table[nowhere] = shortest[nowhere, None]
    return table


def earliest_arrivals(workload: Workload, shortest: FloatArray) -> FloatArray:
    """Return the earliest instant at which each task can come in a closed loop, given least times; shape (n,)."""
    rows, thinks = predecessors(workload)
    arrival: FloatArray = workload.arrival_time.copy()
    for row in np.flatnonzero(rows >= 0):
        arrival[row] = arrival[rows[row]] + shortest[rows[row]] + thinks[row]
    return arrival


def earliest_finish(workload: Workload, shortest: FloatArray) -> FloatArray:
    """Return the earliest instant at which each task can finish, given its arrival, its parents and its least time."""
    if not workload.parents.count:
        alone: FloatArray = workload.arrival_time + shortest
        return alone
    first_child, children = workload.parents.children()
    finish: FloatArray = longest_paths(
        workload.arrival_time,
        shortest,
        np.diff(workload.parents.offsets),
        first_child,
        children,
        np.zeros(workload.parents.count),
    )
    return finish
