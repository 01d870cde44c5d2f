"""Steps of frequency at which tasks started where a power cap chose them, told from how long the tasks ran."""

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.clusters.paces import Paces
from scheduler_sim.engine.contract import Options, Outcome
from scheduler_sim.engine.errors import InvalidPolicy
from scheduler_sim.engine.formulas import played_runtime
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray, Workload


def refuse_steps(workload: Workload, cluster: Cluster) -> None:
    """Refuse that a power cap chooses where the length of a run would not tell the step.

    Raises:
        InvalidPolicy: several node groups, links or racks that take time, split tasks, tasks by rates, or steps at
            which tasks run equally fast.
    """
    why = ""
    if len(cluster.groups) > 1:
        why = "its node groups are several"
    elif cluster.network is not None or (cluster.topology is not None and cluster.topology.slows_down):
        why = "its links or racks take time too"
    elif workload.hybrid.any() or Paces.of(workload, cluster).rated.any():
        why = "tasks are split between CPU and GPU, or have rates"
    else:
        kinds = [name for name, on in (("cpu_speed", workload.gpus <= 0), ("gpu_speed", workload.gpus > 0)) if on.any()]
        for name in kinds:
            speeds = [one.of_groups(name)[0] for one in cluster.steps_down]
            if len(set(speeds)) < len(speeds):
                why = f"tasks run equally fast at some of them, by {name}"
    if why:
        raise InvalidPolicy(
            f"A power cap that starts keep does not choose among the frequencies of {cluster.name}: {why}. Leave the "
            "steps out that are slower than the one that holds."
        )


def steps_taken(
    workload: Workload, cluster: Cluster, options: Options, outcome: Outcome, rows: IntArray
) -> IntArray | None:
    """Return how many steps below the one that holds finished tasks `rows` ran, None where no cap chose any.

    Tasks of no length, of which nothing tells it, count as run at the one that holds.
    """
    if not options.hold_cap or not cluster.has_slower_steps:
        return None
    work = played_runtime(workload, kill_at_estimate=options.kill_at_estimate)[rows]
    start, finish, on_gpu = outcome.start_time[rows], outcome.finish_time[rows], workload.gpus[rows] > 0
    speeds = [
        np.where(on_gpu, *(one.of_groups(name)[0] for name in ("gpu_speed", "cpu_speed"))) for one in cluster.steps_down
    ]
    found: IntArray = np.argmin([np.abs(start + work / speed - finish) for speed in speeds], axis=0)
    return found


def busy_watts(
    workload: Workload, cluster: Cluster, options: Options, outcome: Outcome, rows: IntArray, group: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Return what a core and a GPU of finished tasks `rows` on node groups `group` drew, shape (len(rows),) each."""
    steps = steps_taken(workload, cluster, options, outcome, rows)
    if steps is None:
        return cluster.of_groups("cpu_busy_watts")[group], cluster.of_groups("gpu_busy_watts")[group]
    tables = [
        np.array([one.of_groups(f"{device}_busy_watts")[0] for one in cluster.steps_down]) for device in ("cpu", "gpu")
    ]
    return tables[0][steps], tables[1][steps]
