"""Predicts run times from a task's request and its user's history, so that estimates need not come from people.

In the manner of QSSF (Hu et al., Characterization and prediction of deep learning workloads, SC 2021), with the history
features of Tsafrir et al. (Backfilling using system-generated predictions, IEEE TPDS 2007). A task sees only what had
finished when it arrived: its predecessors count from their recorded start, or their arrival, plus their run time.
"""

import heapq
import json

import numpy as np

from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.learning.regression import fit, load
from scheduler_sim.engine.workload import FloatArray, Labels, Workload

FEATURES = (
    "processors",
    "estimate",
    "user",
    "group",
    "queue",
    "hour",
    "weekday",
    "last",
    "last_two",
    "user_mean",
    "user_count",
    "same_size_mean",
)
"""Names and order: logarithms of times and sizes, codes of names, place in the day and week, the user's past."""

UNKNOWN = -1.0
DAY = 86400.0

OPTIONS = {"objective": "l1", "rounds": 300, "num_leaves": 31, "learning_rate": 0.05}
"""Absolute errors of logarithms: a median of factors, which a few endless tasks do not move."""

Categories = dict[str, list[str]]
Totals = dict[tuple[int, float], tuple[int, float]]


def categories_of(workload: Workload) -> Categories:
    """Return the names that the codes of users, groups and queues stand for."""
    return {name: list(getattr(workload, name).names) for name in ("user", "group", "queue")}


def runtime_features(workload: Workload, categories: Categories) -> FloatArray:
    """Return the features of n tasks, shape (n, 12): one function for training and for serving.

    Args:
        workload: tasks in canonical order; all that came before a task is its history.
        categories: as at training; names that are not in it count as unknown.
    """
    processors = np.where(workload.gpus > 0, workload.gpus, workload.cpus)
    informed = not np.array_equal(workload.duration_estimate, workload.runtime)
    estimate = np.log1p(workload.duration_estimate) if informed else np.full(len(workload), UNKNOWN)
    arrival = workload.arrival_time
    return np.column_stack(
        [
            np.log2(np.maximum(processors, 1e-3)),
            estimate,
            *(_codes(getattr(workload, name), categories[name]) for name in ("user", "group", "queue")),
            np.floor(arrival % DAY / 3600.0),
            np.floor(arrival / DAY) % 7,
            *_history(workload, processors),
        ]
    )


def _codes(labels: Labels, names: list[str]) -> FloatArray:
    place = {name: code for code, name in enumerate(names)}
    return np.array([place.get(name, UNKNOWN) for name in labels.names], np.float64)[labels.codes]


def _history(workload: Workload, processors: FloatArray) -> list[FloatArray]:
    """Return what is known of each user's finished tasks when a task arrives."""
    n = len(workload)
    columns = [np.full(n, UNKNOWN) for _ in range(5)]
    last, last_two, mean, count, same = columns
    begun = np.where(np.isnan(workload.recorded_start_time), workload.arrival_time, workload.recorded_start_time)
    finish = begun + workload.runtime
    logs, users = np.log1p(workload.runtime), workload.user.codes
    recent: dict[int, list[float]] = {}
    by_user: Totals = {}
    by_size: Totals = {}
    running: list[tuple[float, int]] = []
    for row in range(n):
        while running and running[0][0] <= workload.arrival_time[row]:
            _, done = heapq.heappop(running)
            user, log = int(users[done]), float(logs[done])
            recent[user] = [*recent.get(user, []), log][-2:]
            _add(by_user, (user, 0.0), log)
            _add(by_size, (user, float(processors[done])), log)
        user, key = int(users[row]), (int(users[row]), float(processors[row]))
        if user in recent:
            last[row], last_two[row] = recent[user][-1], sum(recent[user]) / len(recent[user])
            number, total = by_user[user, 0.0]
            mean[row], count[row] = total / number, np.log1p(number)
        if key in by_size:
            number, total = by_size[key]
            same[row] = total / number
        heapq.heappush(running, (float(finish[row]), row))
    return columns


def _add(totals: Totals, key: tuple[int, float], value: float) -> None:
    number, total = totals.get(key, (0, 0.0))
    totals[key] = (number + 1, total + value)


def fit_runtime(workload: Workload, training_rows: int, *, seed: int, algorithm: str = "lightgbm") -> str:
    """Fit on the first `training_rows` tasks and return the model as text.

    Raises:
        InvalidParameter: too few tasks.
    """
    seen = workload.take(np.arange(training_rows))
    categories = categories_of(seen)
    options = OPTIONS if algorithm == "lightgbm" else None
    regressor = fit(algorithm, runtime_features(seen, categories), np.log1p(seen.runtime), seed=seed, options=options)
    return json.dumps({"categories": categories, "regressor": regressor})


def predict_runtime(text: str, workload: Workload) -> FloatArray:
    """Return predicted run times of all tasks, in whole seconds and at least 1; shape (n,).

    Raises:
        InvalidParameter: a text that `fit_runtime` did not give.
    """
    try:
        document = json.loads(text)
        categories, regressor = document["categories"], document["regressor"]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidParameter("The text is no stored run time model.") from error
    logs = load(regressor)(runtime_features(workload, categories))
    return np.maximum(np.round(np.expm1(np.clip(logs, 0.0, 36.0))), 1.0)
