"""Fitting models to stored data, judging them on later data, and storing them."""

import hashlib
import json
import time
from datetime import datetime
from typing import Any

import numpy as np

from apps.metrics.prometheus import RETRAIN_SECONDS
from apps.results.errors import DomainError
from apps.results.models import Run
from apps.tasks.models import Workload
from apps.tasks.stored_tasks import load_tasks
from apps.training.managers import TrainingDataQuerySet
from apps.training.models import BY_GROUP, TrainedModel, TrainingData
from apps.training.registry import HYBRID_KIND, RUNTIME_KIND, check_name, model_store
from scheduler_sim import engine
from scheduler_sim.engine.learning.by_group import by_group, groups_of, quarters
from scheduler_sim.engine.predictors import hybrid, regression, runtime
from scheduler_sim.engine.workloads.workload import FloatArray

HELD_OUT = 0.2
"""The share of the newest rows that a model is judged on and not fitted to."""

FEWEST_ROWS = 50


class TooFewRows(DomainError):
    """There is not enough data to learn from and to judge on."""


def hybrid_train(
    *,
    run: Run | None = None,
    window: int | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    algorithm: str = "lightgbm",
    seed: int = 0,
    name: str = HYBRID_KIND,
    activate: bool = True,
) -> TrainedModel:
    """Fit the best GPU fraction to labelled rows and store the model.

    The split is chronological: the last fifth of the rows is held out.

    Args:
        run: only its rows.
        window: only the newest so many.
        since, until: only those stored from the first up to, not including, the second.

    Raises:
        TooFewRows: fewer than 50 rows.
        InvalidParameter: an unknown algorithm.
    """
    check_name(name)
    rows: TrainingDataQuerySet = TrainingData.objects.all()
    if run is not None:
        rows = rows.filter(run=run)
    if since is not None or until is not None:
        rows = rows.between(since, until)
    if window is not None:
        rows = rows.latest_window(window)
    columns = rows.as_columns()
    count = len(columns["size"])
    if count < FEWEST_ROWS:
        where = "is stored" if run is None else f"of run {run.name} is stored"
        raise TooFewRows(
            f"{count} rows of training data {where}, and at least {FEWEST_ROWS} are needed. A run with hybrid tasks "
            "and the policy oracle leaves one a task."
        )
    split = count - int(count * HELD_OUT)
    fraction = columns["optimal_gpu_fraction"]
    early, late = (
        {key: values[part] for key, values in columns.items()} for part in (slice(split), slice(split, None))
    )
    began = time.perf_counter()
    text = hybrid.fit_fraction(algorithm, early, early["optimal_gpu_fraction"], seed=seed)
    seconds = time.perf_counter() - began
    RETRAIN_SECONDS.labels(kind=HYBRID_KIND).observe(seconds)
    predicted = hybrid.predict_fraction(regression.load(text), late)
    regret = fraction_regret(predicted, late["optimal_gpu_fraction"])
    middle = np.full(len(predicted), np.median(early["optimal_gpu_fraction"]))
    return model_store(
        name=name,
        kind=HYBRID_KIND,
        artifact=text,
        parameters={
            "algorithm": algorithm,
            "feature_importance": regression.importance(text, hybrid.FEATURES),
            "seconds": seconds,
        },
        features=hybrid.FEATURES,
        data_range={
            "run": None if run is None else run.pk,
            "window": window,
            "since": None if since is None else since.isoformat(),
            "until": None if until is None else until.isoformat(),
            "rows": split,
            "held_out_rows": count - split,
            "sha256": _digest([columns[key] for key in hybrid.FEATURES] + [fraction]),
        },
        seed=seed,
        scores={
            **regression.scores(predicted, late["optimal_gpu_fraction"]),
            "mean_regret": float(regret.mean()),
            "p95_regret": float(np.percentile(regret, 95)),
            "mean_regret_of_the_median": float(fraction_regret(middle, late["optimal_gpu_fraction"]).mean()),
            BY_GROUP: {
                "figure": "mean_regret",
                "against": "the median of the earlier rows",
                "groups": by_group(
                    [
                        *quarters("size", late["size"], "s"),
                        *quarters("compute intensity", late["compute_intensity"], ""),
                        *quarters("memory", late["memory_mb"], "MB"),
                    ],
                    regret,
                    fraction_regret(middle, late["optimal_gpu_fraction"]),
                ),
            },
        },
        activate=activate,
    )


def fraction_regret(fraction: FloatArray, best: FloatArray) -> FloatArray:
    """Return by how much longer tasks take with `fraction` than with the best one, on free devices; 0 is none.

    With concurrent sides that end together at f*, the time with f is max((1 - f) / (1 - f*), f / f*) times the best.
    Where the best is 0 or 1, the other side's speed is not known, and the regret is that of the side that is.
    """
    cpu = np.divide(1.0 - fraction, 1.0 - best, out=np.zeros_like(best), where=best < 1.0)
    gpu = np.divide(fraction, best, out=np.zeros_like(best), where=best > 0.0)
    return np.maximum(np.maximum(cpu, gpu) - 1.0, 0.0)


def runtime_train(
    *, workload: Workload, name: str, algorithm: str = "lightgbm", seed: int = 0, activate: bool = True
) -> TrainedModel:
    """Fit run times on the first 80% of a workload, judge on the rest, and store the model.

    Raises:
        TooFewRows: fewer than 50 tasks.
        InvalidParameter: an unknown algorithm.
    """
    check_name(name)
    tasks = load_tasks(workload_id=workload.pk).workload
    if len(tasks) < FEWEST_ROWS:
        raise TooFewRows(f"Workload {workload.name} has {len(tasks)} tasks, and at least {FEWEST_ROWS} are needed.")
    split = len(tasks) - int(len(tasks) * HELD_OUT)
    began = time.perf_counter()
    text = runtime.fit_runtime(tasks, split, seed=seed, algorithm=algorithm)
    seconds = time.perf_counter() - began
    RETRAIN_SECONDS.labels(kind=RUNTIME_KIND).observe(seconds)
    predicted = runtime.predict_runtime(text, tasks)[split:]
    actual = tasks.runtime[split:]
    stated = np.where(tasks.estimate_known, tasks.duration_estimate, np.nan)[split:]
    return model_store(
        name=name,
        kind=RUNTIME_KIND,
        artifact=text,
        parameters={
            "algorithm": algorithm,
            "feature_importance": regression.importance(json.loads(text)["regressor"], runtime.FEATURES),
            "seconds": seconds,
        },
        features=runtime.FEATURES,
        data_range={
            "workload": workload.name,
            "rows": split,
            "held_out_rows": len(tasks) - split,
            "first_arrival_time": float(tasks.arrival_time[0]),
            "last_arrival_time": float(tasks.arrival_time[split - 1]),
            "sha256": _digest_of_first(tasks, split),
        },
        seed=seed,
        scores={
            **_runtime_scores(predicted, actual, stated, tasks.runtime[:split]),
            BY_GROUP: _runtime_by_group(tasks, split, predicted, stated),
        },
        activate=activate,
    )


def _runtime_scores(
    predicted: FloatArray, actual: FloatArray, estimate: FloatArray, earlier: FloatArray
) -> dict[str, Any]:
    """Compare predictions with the trace's own estimates, as far as it states some, and the earlier tasks' median."""
    logs, known = np.log1p(actual), ~np.isnan(estimate)
    scores = regression.scores(np.log1p(predicted), logs)
    return {
        "mae": float(np.abs(predicted - actual).mean()),
        "mae_log": scores["mae"],
        "r2_log": scores["r2"],
        "mae_of_the_median": float(np.abs(np.median(earlier) - actual).mean()),
        "mae_log_of_the_median": float(np.abs(np.log1p(np.median(earlier)) - logs).mean()),
        "mae_of_the_estimates": float(np.abs(estimate - actual)[known].mean()) if known.any() else None,
        "underestimated_share": float((predicted < actual).mean()),
    }


def _runtime_by_group(tasks: engine.Workload, split: int, predicted: FloatArray, stated: FloatArray) -> dict[str, Any]:
    """Hold predictions against what users state, or where nobody states anything against the earlier tasks' median."""
    late = tasks.take(np.arange(split, len(tasks)))
    states = bool((~np.isnan(stated)).any())
    other = stated if states else np.full(len(late), np.median(tasks.runtime[:split]))
    errors = (np.abs(np.log1p(one) - np.log1p(late.runtime)) for one in (predicted, other))
    return {
        "figure": "mae_log",
        "against": "the estimates that are stated" if states else "the median of the earlier tasks",
        "groups": by_group(groups_of(late), *errors),
    }


def rows_fitted_to(model: TrainedModel, name: str, tasks: engine.Workload) -> int:
    """Return how many of the first rows of a workload a model of run times was fitted to, 0 for none.

    It is the same workload when its first tasks are the same, whatever it is called, or where too few of them were read
    to tell, when it has the same name.

    Args:
        model: of the kind `runtime`.
        name: of the workload. tasks: its first tasks, as stored.
    """
    seen = model.data_range
    rows = int(seen.get("rows", 0))
    if len(tasks) < rows:
        return len(tasks) if name == seen.get("workload") else 0
    return rows if rows and _digest_of_first(tasks, rows) == seen.get("sha256") else 0


def _digest_of_first(tasks: engine.Workload, rows: int) -> str:
    return _digest([tasks.runtime[:rows], tasks.arrival_time[:rows], tasks.cpus[:rows]])


def _digest(columns: list[FloatArray]) -> str:
    digest = hashlib.sha256()
    for column in columns:
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()
