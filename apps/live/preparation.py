"""From a run's row to what the engine plays."""

from dataclasses import dataclass

import numpy as np

from apps.live.configuration import RunConfiguration
from apps.results.models import Run
from apps.tasks.models import Task
from scheduler_sim import engine
from scheduler_sim.engine.estimates import replace_estimates
from scheduler_sim.engine.fitting import fit_workload
from scheduler_sim.engine.workload import IntArray


@dataclass(frozen=True)
class Prepared:
    """What a run plays.

    Attributes:
        workload: the tasks that fit, in canonical order, with the estimates in force.
        task_keys: shape (n,), their primary keys.
        cluster: what they are played on.
    """

    workload: engine.Workload
    task_keys: IntArray
    cluster: engine.Cluster


def prepare(*, run: Run, configuration: RunConfiguration) -> Prepared:
    """Load the run's tasks, leave out or change what does not fit, and set the estimates.

    Raises:
        OversizedTasks: tasks that could never start, unless the configuration drops or clamps them.
        InvalidWorkload, InvalidCluster: estimates or a cluster that have no meaning.
    """
    cluster = engine.Cluster.from_json(run.cluster)
    tasks = Task.objects.filter(workload_id=run.workload_id).in_canonical_order()
    if configuration.limit is not None:
        tasks = tasks[: configuration.limit]
    workload = tasks.as_workload()
    task_keys = np.fromiter(tasks.values_list("pk", flat=True).iterator(chunk_size=10_000), np.int64)
    workload, rows = fit_workload(workload, cluster, on_oversize=configuration.on_oversize)
    generator = np.random.default_rng([configuration.seed, len(workload)])
    workload = replace_estimates(workload, configuration.estimates, generator)
    return Prepared(workload=workload, task_keys=task_keys[rows], cluster=cluster)
