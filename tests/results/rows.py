"""Runs with placements for the tests of the data layer, written the way the runner writes them."""

from typing import Any

import numpy as np

from apps.live.models import SimulationState
from apps.live.store.batches import ResultBatch, batch_store
from apps.results.models import Run
from apps.tasks.models import Task, Workload
from benchmarks.placements import made_up_tasks
from scheduler_sim.engine.clusters.presets import load_cluster

POLICIES = ("fcfs", "sjf+easy")


def make_workload(tasks: int, name: str = "workload") -> Workload:
    workload = Workload.objects.create(name=name, source="test", task_count=tasks)
    Task.objects.bulk_create_columns(workload_id=workload.pk, columns=made_up_tasks(tasks, 1.0))
    return workload


def make_queued_run(workload: Workload, name: str = "run", policies: tuple[str, ...] = POLICIES) -> Run:
    run = Run.objects.create(
        name=name,
        workload=workload,
        cluster=load_cluster("hpc-4").as_json(),
        policies=list(policies),
        rows_expected=workload.task_count * len(policies),
    )
    SimulationState.objects.create(run=run)
    return run


def placements(workload: Workload, first: int = 0, last: int | None = None) -> dict[str, Any]:
    """Return result columns of the workload's tasks `first` up to `last`."""
    tasks = list(workload.tasks.order_by("task_id").values_list("pk", "task_id"))[first:last]
    keys, numbers = (np.array(column) for column in zip(*tasks, strict=True))
    start = numbers + 0.25
    return {
        "task_id": keys,
        "gpu_fraction": 0.0,
        "node": numbers % 4,
        "device": -1,
        "start_time": start,
        "finish_time": start + 1.0,
        "actual_time": (start + 1.0) - start,
        "wait_time": start - numbers,
        "energy_joules": 1.0 / numbers,
        "cost_usd": 0.0,
        "model_version": None,
    }


def make_run(tasks: int = 5, name: str = "run", policies: tuple[str, ...] = POLICIES) -> Run:
    """Return a finished run with all its placements."""
    workload = make_workload(tasks, f"workload of {name}")
    run = make_queued_run(workload, name, policies)
    run.begin()
    columns = placements(workload)
    progress = dict.fromkeys(policies, tasks)
    batch_store(
        run=run, batch=ResultBatch(parts=dict.fromkeys(policies, columns), progress=progress, clock_time=float(tasks))
    )
    run.finish(rows_written=tasks * len(policies), checksum="")
    return Run.objects.get(pk=run.pk)
