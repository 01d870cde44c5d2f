"""Predicts run times from a task's request and its user's history, so that estimates need not come from people.

In the manner of QSSF (Hu et al., Characterization and prediction of deep learning workloads, SC 2021). In a run each
task is predicted at its arrival, from what had finished in that very simulation (`prediction.Predictor`). To learn
from a log, its tasks count as finished when they ended in it.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np

from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.predictors.history import HISTORY, UNKNOWN, Past, history_given_ends, recorded_ends
from scheduler_sim.engine.predictors.regression import Predict, fit, load
from scheduler_sim.engine.units import SECONDS_PER_DAY, SECONDS_PER_HOUR
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray, Labels, Workload

REQUEST = ("processors", "estimate", "estimate_known", "user", "group", "queue", "hour", "weekday")
"""What a task says of itself: logarithms of processors and estimate, whether there is one, codes of names, place in
the day and the week."""

FEATURES = (*REQUEST, *HISTORY)
"""Names and order."""

OPTIONS = {"objective": "l1", "rounds": 300, "num_leaves": 31, "learning_rate": 0.05}
"""Absolute errors of logarithms: a median of factors, which a few endless tasks do not move."""

Categories = dict[str, list[str]]


def categories_of(workload: Workload) -> Categories:
    """Return the names that the codes of users, groups and queues stand for."""
    return {name: list(getattr(workload, name).names) for name in ("user", "group", "queue")}


def request_features(workload: Workload, categories: Categories) -> FloatArray:
    """Return what n tasks say of themselves, shape (n, 8), columns as in `REQUEST`.

    An estimate that is not stated is unknown, whatever policies are told instead.

    Args:
        workload: the tasks.
        categories: as at training; names that are not in it count as unknown.
    """
    processors = np.where(workload.gpus > 0, workload.gpus, workload.cpus)
    known, arrival = workload.estimate_known, workload.arrival_time
    return np.column_stack(
        [
            np.log2(np.maximum(processors, 1e-3)),
            np.where(known, np.log1p(workload.duration_estimate), UNKNOWN),
            known,
            *(_codes(getattr(workload, name), categories[name]) for name in ("user", "group", "queue")),
            np.floor(arrival % SECONDS_PER_DAY / SECONDS_PER_HOUR),
            np.floor(arrival / SECONDS_PER_DAY) % 7,
        ]
    )


def runtime_features(
    workload: Workload,
    categories: Categories,
    *,
    finish_time: FloatArray | None = None,
    runtime: FloatArray | None = None,
) -> FloatArray:
    """Return the features of n tasks at their arrival, shape (n, 13).

    Args:
        workload: tasks in canonical order; all that finished before a task arrived is its history.
        categories: as at training.
        finish_time: when tasks finish, by default as recorded. runtime: what is seen of them then, by default all.
    """
    ends = recorded_ends(workload) if finish_time is None else finish_time
    seen = workload.runtime if runtime is None else runtime
    return np.column_stack([request_features(workload, categories), history_given_ends(workload, ends, seen)])


def _codes(labels: Labels, names: list[str]) -> FloatArray:
    place = {name: code for code, name in enumerate(names)}
    return np.array([place.get(name, UNKNOWN) for name in labels.names], np.float64)[labels.codes]


def fit_runtime(workload: Workload, training_rows: int, *, seed: int, algorithm: str = "lightgbm") -> str:
    """Fit on the first `training_rows` tasks and return the model as text.

    Raises:
        InvalidParameter: too few tasks.
    """
    seen = workload.take(np.arange(training_rows))
    categories = categories_of(seen)
    options = OPTIONS if algorithm == "lightgbm" else None
    regressor = fit(algorithm, runtime_features(seen, categories), np.log1p(seen.runtime), seed=seed, options=options)
    return json.dumps({"features": FEATURES, "categories": categories, "regressor": regressor})


@dataclass(frozen=True, eq=False)
class RuntimeModel:
    """A fitted predictor of run times.

    Attributes:
        categories: the names that it knows.
        predict: from features to logarithms of run times.
    """

    categories: Categories
    predict: Predict

    @classmethod
    @lru_cache(maxsize=8)
    def parse(cls, text: str) -> Self:
        """Read the text that `fit_runtime` gave.

        Raises:
            InvalidParameter: another text, or a model that was fitted to other features.
        """
        try:
            document = json.loads(text)
            categories, regressor = document["categories"], document["regressor"]
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidParameter("The text is no stored run time model.") from error
        if document.get("features") != list(FEATURES):
            raise InvalidParameter(
                "The run time model was fitted by an engine before 2.0, whose features saw what could not be known; "
                "fit it anew."
            )
        return cls(categories=categories, predict=load(regressor))

    def seconds(self, features: FloatArray) -> FloatArray:
        """Return the run times that features mean, in whole seconds and at least 1; shape (n,)."""
        return np.maximum(np.round(np.expm1(np.clip(self.predict(features), 0.0, 36.0))), 1.0)

    def begin(self, workload: Workload) -> "PredictedTasks":
        """Return the predictions of a simulation that has not begun."""
        return PredictedTasks(self, workload)


class PredictedTasks:
    """The predictions of one simulation, task by task as they arrive.

    Args:
        model: the predictor.
        workload: what is simulated, with the estimates that its tasks state.
    """

    def __init__(self, model: RuntimeModel, workload: Workload) -> None:
        self._model = model
        self._requests = request_features(workload, model.categories)
        self._past = Past.nothing(workload)

    def finish(self, rows: IntArray, runtime: FloatArray) -> None:
        """Learn that `rows` have finished, in this order, after that many seconds of work, shape (len(rows),)."""
        self._past.finish(rows, runtime)

    def durations(self, rows: IntArray) -> FloatArray:
        """Return what is predicted now of the run times of `rows`, shape (len(rows),)."""
        return self._model.seconds(np.concatenate((self._requests[rows], self._past.of(rows)), axis=1))


def predict_runtime(
    text: str, workload: Workload, *, finish_time: FloatArray | None = None, runtime: FloatArray | None = None
) -> FloatArray:
    """Return the predicted run times of all tasks, given when each finishes (see `runtime_features`); shape (n,).

    Raises:
        InvalidParameter: see `RuntimeModel.parse`.
    """
    model = RuntimeModel.parse(text)
    features = runtime_features(workload, model.categories, finish_time=finish_time, runtime=runtime)
    return model.seconds(features)
