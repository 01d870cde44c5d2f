"""Rows to learn from: what the oracle would have done with the tasks of a finished run."""

from django.db import transaction

from apps.results.models import Run
from apps.training.models import TrainingData
from scheduler_sim import engine
from scheduler_sim.engine.codes import ORACLE
from scheduler_sim.engine.predictors.hybrid import best_fractions, hybrid_features
from scheduler_sim.engine.workloads.workload import IntArray


def run_label(
    *,
    run: Run,
    workload: engine.Workload,
    cluster: engine.Cluster,
    task_keys: IntArray,
    policies: list[engine.Policy],
    split_model: str,
) -> int:
    """Store a row for each task of a run that may be split, if the oracle was among its policies; return how many.

    The label is the fraction that the oracle takes on free devices, with the true times. A run that is labelled again
    has its rows replaced.
    """
    if not workload.hybrid.any() or not any(policy.placement.planned == ORACLE for policy in policies):
        return 0
    hybrid = workload.hybrid
    fraction, time = best_fractions(workload, cluster, split_model=split_model)
    features = hybrid_features(
        size=workload.expected_size[hybrid],
        compute_intensity=workload.compute_intensity[hybrid],
        memory_mb=workload.memory_mb[hybrid],
    )
    with transaction.atomic():
        TrainingData.objects.filter(run=run).delete()
        return TrainingData.objects.bulk_create_columns(
            {
                **features,
                "run_id": run.pk,
                "task_id": task_keys[hybrid],
                "optimal_gpu_fraction": fraction[hybrid],
                "optimal_time": time[hybrid],
            },
        )
