"""Steps of frequency at which tasks started where a power cap chose them, told from how long the tasks ran."""

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.clusters.demand import demands
from scheduler_sim.engine.clusters.paces import Paces
from scheduler_sim.engine.contract import Options, Outcome
from scheduler_sim.engine.errors import InvalidPolicy
from scheduler_sim.engine.formulas import played_runtime
from scheduler_sim.engine.workloads.columns import Rows
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray, Workload


def refuse_steps(workload: Workload, cluster: Cluster, *, stops: bool) -> None:
    """Refuse that a power cap chooses where the length of a run would not tell the step.

    Args:
        workload, cluster: what is played.
        stops: tasks may stop and go on, so that an attempt may be as long as anything.

    Raises:
        InvalidPolicy: so it is, or gangs on several node groups, links or racks that take time, split tasks, tasks by
            rates, or steps at which tasks run equally fast.
    """
    why = ""
    if stops:
        why = "tasks may stop and go on"
    elif len(cluster.groups) > 1 and (demands(workload, cluster).full_nodes > 0).any():
        why = "tasks on several nodes may lie on several of its node groups"
    elif cluster.network is not None or (cluster.topology is not None and cluster.topology.slows_down):
        why = "its links or racks take time too"
    elif workload.hybrid.any() or Paces.of(workload, cluster).rated.any():
        why = "tasks are split between CPU and GPU, or have rates"
    else:
        kinds = [("cores", "cpu_speed", workload.gpus <= 0), ("gpus", "gpu_speed", workload.gpus > 0)]
        for device, name in [kind[:2] for kind in kinds if kind[2].any()]:
            for group in [one for one in cluster.groups if getattr(one, device)]:
                speeds = {getattr(group.at_step_below(down), name) for down in range(group.slower_steps + 1)}
                if len(speeds) <= group.slower_steps:
                    why = f"tasks run equally fast at some of them, by {name}"
    if why:
        raise InvalidPolicy(
            f"A power cap that starts keep does not choose among the frequencies of {cluster.name}: {why}. Leave the "
            "steps out that are slower than the one that holds."
        )


def steps_taken(
    workload: Workload, cluster: Cluster, options: Options, outcome: Outcome, rows: Rows, group: IntArray
) -> IntArray | None:
    """Return how far below the step that holds tasks `rows`, finished on groups `group`, ran; None without a choice.

    Tasks of no length, of which nothing tells it, count as run at the one that holds.
    """
    if not options.hold_cap or not cluster.has_slower_steps:
        return None
    work = played_runtime(workload, kill_at_estimate=options.kill_at_estimate)[rows]
    start, finish, on_gpu = outcome.start_time[rows], outcome.finish_time[rows], workload.gpus[rows] > 0
    speeds = [
        np.where(on_gpu, *(one.of_groups(name)[group] for name in ("gpu_speed", "cpu_speed")))
        for one in cluster.steps_down
    ]
    found: IntArray = np.argmin([np.abs(start + work / speed - finish) for speed in speeds], axis=0)
    return found


def busy_watts(
    workload: Workload, cluster: Cluster, options: Options, outcome: Outcome, rows: Rows, group: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Return what a core and a GPU of finished tasks `rows` on node groups `group` drew, each as `group`."""
    steps = steps_taken(workload, cluster, options, outcome, rows, group)
    if steps is None:
        return cluster.at_groups("cpu_busy_watts", group), cluster.at_groups("gpu_busy_watts", group)
    tables = [
        np.array([one.of_groups(f"{device}_busy_watts") for one in cluster.steps_down]) for device in ("cpu", "gpu")
    ]
    return tables[0][steps, group], tables[1][steps, group]
