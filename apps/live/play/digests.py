"""Digests of all that belongs to a run beside its placements, kept with it from its end on."""

import hashlib

import numpy as np

from apps.metrics.models import GroupMetric, Metric
from apps.results.models import GangBlock, Run
from apps.training.managers import NUMBERS
from apps.training.models import TrainingData
from scheduler_sim.columnar.digests import columns_digest, json_digest

_INTERNAL = {"id", "run"}
_CHUNK_ROWS = 20_000


def run_digests(run: Run, *, tasks: str) -> dict[str, str]:
    """Return the digests of what is stored of a run now, by name: what `DIGESTED` tells of.

    Args:
        tasks: the digest of the tasks that it plays, before they are made ready (see `load_tasks`).
    """
    of_site = {} if run.site is None else {"site": json_digest(run.site.description)}
    return {
        "tasks": tasks,
        "cluster": json_digest(run.cluster),
        **of_site,
        "configuration": json_digest(_settings(run)),
        "figures": figures_digest(run),
        "groups": groups_digest(run),
        "training": training_digest(run),
        "gangs": gangs_digest(run),
    }


DIGESTED = {
    "tasks": "The tasks of the workload are not",
    "cluster": "The cluster is not",
    "site": "The site's description is not",
    "configuration": "The configuration (policies, seed, options, cautions, origin of the workload) is not",
    "figures": "The stored figures (totals and windows) are not",
    "groups": "The stored figures of groups are not",
    "training": "The rows to learn from are not",
    "gangs": "The nodes that tasks on several of them held are not",
}
"""What is kept a digest of, as the beginning of a sentence that ends in "what the run ended with"."""


def figures_digest(run: Run) -> str:
    """Return the digest of all figures of a run, totals and windows."""
    names = [field.attname for field in Metric._meta.concrete_fields if field.name not in _INTERNAL]
    rows = [
        {name: value for name, value in row.items() if value is not None or name not in Metric.ADDED}
        for row in Metric.objects.filter(run=run).values(*names)
    ]
    # Databases put texts into different orders.
    keys = ("scheduler", "is_total", "window_start_time", "window_end_time")
    return json_digest(sorted(rows, key=lambda row: tuple(row[key] for key in keys)))


def groups_digest(run: Run) -> str:
    """Return the digest of the figures of all groups of a run, empty where it has none."""
    names = [field.attname for field in GroupMetric._meta.concrete_fields if field.name not in _INTERNAL]
    rows = GroupMetric.objects.filter(run=run).order_by().values_list(*names)
    # Databases put texts into different orders; no two rows of a run share the first four values.
    kept = sorted(rows.iterator(chunk_size=_CHUNK_ROWS), key=lambda row: row[:4])
    if not kept:
        return ""
    texts = ("grouped_by", "scheduler", "name")
    every = zip(names, zip(*kept, strict=True), strict=True)
    columns = [
        (name, values)
        for name, values in every
        if name not in GroupMetric.ADDED or any(value is not None for value in values)
    ]
    return columns_digest({name: np.array(values, object if name in texts else float) for name, values in columns})


def training_digest(run: Run) -> str:
    """Return the digest of the rows to learn from of a run, empty where it has none."""
    rows = TrainingData.objects.filter(run=run).order_by().values_list("task__task_id", *NUMBERS)
    kinds = [("task_id", np.int64), *((name, np.float64) for name in NUMBERS)]
    columns = np.fromiter(rows.iterator(chunk_size=_CHUNK_ROWS), kinds)
    columns.sort(order="task_id")
    return columns_digest({name: columns[name] for name, _ in kinds}) if len(columns) else ""


def gangs_digest(run: Run) -> str:
    """Return the digest of which nodes tasks on several held, empty where every task of a run was on one."""
    # Databases put texts into different orders.
    schedulers = sorted(GangBlock.objects.filter(run=run).order_by().values_list("scheduler", flat=True).distinct())
    whole = hashlib.sha256()
    for scheduler in schedulers:
        rows = GangBlock.objects.of_policy(run, scheduler).values_list("first_task", "packed")
        for first_task, packed in rows.iterator(chunk_size=100):
            whole.update(f"{scheduler} {first_task} ".encode())
            whole.update(packed)
    return whole.hexdigest() if schedulers else ""


def _settings(run: Run) -> dict[str, object]:
    workload = run.workload
    return {
        "configuration": run.configuration,
        "policies": run.policies,
        "seed": run.seed,
        "engine_version": run.engine_version,
        "cautions": run.cautions,
        "rows_expected": run.rows_expected,
        "source": workload.source,
        "source_sha256": workload.source_sha256,
        "generator_parameters": workload.generator_parameters,
        "workload_seed": workload.seed,
        "task_count": workload.task_count,
    }
