"""Regressors that are stored as text: LightGBM's own format, or JSON numbers of a forest or a ridge.

Nothing here is ever unpickled: a stored model is parsed as text and holds numbers only.
"""

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.optional import optional
from scheduler_sim.engine.predictors.trees import forest_trees, lightgbm_trees, tree_sums
from scheduler_sim.engine.workloads.workload import FloatArray

Predict = Callable[[FloatArray], FloatArray]
"""Takes features, shape (n, k), and returns predictions, shape (n,)."""

ALGORITHMS = ("lightgbm", "forest", "ridge")
"""Gradient boosting (Ke et al., NIPS 2017), random forest (Breiman, 2001), ridge (Hoerl & Kennard, 1970)."""


def fit(
    algorithm: str, features: FloatArray, target: FloatArray, *, seed: int, options: dict[str, Any] | None = None
) -> str:
    """Fit a regressor and return it as text; the same rows and seed give the same text.

    Args:
        features: shape (n, k). target: shape (n,).
        options: of the algorithm, over the defaults here.

    Raises:
        InvalidParameter: an unknown algorithm, or fewer than 10 rows.
    """
    if algorithm not in ALGORITHMS:
        raise InvalidParameter(f"A regressor is {', '.join(ALGORITHMS)}, not {algorithm!r}.")
    if len(features) < 10:
        raise InvalidParameter(f"{len(features)} rows are too few to learn from; at least 10 are needed.")
    fitter = {"lightgbm": _fit_lightgbm, "forest": _fit_forest, "ridge": _fit_ridge}[algorithm]
    return fitter(features, target, seed, options or {})


@lru_cache(maxsize=16)
def load(text: str) -> Predict:
    """Read a regressor from the text that `fit` gave; a text that was read lately is not read again.

    Raises:
        InvalidParameter: a text of neither format.
    """
    if text.startswith("tree\n"):
        return _load_lightgbm(text)
    try:
        document = json.loads(text)
        reader = {"forest": _load_forest, "ridge": _load_ridge}[document["algorithm"]]
        return reader(document)
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidParameter("The text is no stored regressor.") from error


def importance(text: str, names: tuple[str, ...]) -> dict[str, float]:
    """Return each feature's share of the gain (boosting), of the splits (forest) or of the weights (ridge)."""
    if text.startswith("tree\n"):
        gains = optional("lightgbm", extra="learn").Booster(model_str=text).feature_importance("gain")
    else:
        document = json.loads(text)
        if document["algorithm"] == "ridge":
            gains = np.abs(document["weights"])
        else:
            used = np.concatenate([tree["feature"] for tree in document["trees"]]).astype(np.int64)
            gains = np.bincount(used[used >= 0], minlength=len(names))
    total = float(np.sum(gains)) or 1.0
    return {name: float(gain) / total for name, gain in zip(names, gains, strict=True)}


def scores(predicted: FloatArray, actual: FloatArray) -> dict[str, float]:
    """Return mean absolute error and R2 (0 where the actual values do not vary)."""
    spread = float(((actual - actual.mean()) ** 2).sum())
    r2 = 1.0 - float(((actual - predicted) ** 2).sum()) / spread if spread > 0 else 0.0
    return {"mae": float(np.abs(actual - predicted).mean()), "r2": r2}


def _fit_lightgbm(features: FloatArray, target: FloatArray, seed: int, options: dict[str, Any]) -> str:
    lightgbm = optional("lightgbm", extra="learn")

    chosen = {"rounds": 200, "num_leaves": 15, "learning_rate": 0.1, "objective": "l2", **options}
    rounds = chosen.pop("rounds")
    parameters = {
        "verbosity": -1,
        "seed": seed % (2**31 - 1),
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "min_data_in_leaf": min(20, max(1, len(features) // 20)),
        **chosen,
    }
    booster = lightgbm.train(parameters, lightgbm.Dataset(features, target), num_boost_round=rounds)
    return str(booster.model_to_string())


def _load_lightgbm(text: str) -> Predict:
    trees = lightgbm_trees(text)
    return lambda features: tree_sums(trees, features)


def _fit_forest(features: FloatArray, target: FloatArray, seed: int, options: dict[str, Any]) -> str:
    ensemble = optional("sklearn.ensemble", extra="learn")

    chosen = {"n_estimators": 40, "max_depth": 10, "min_samples_leaf": 5, **options}
    forest = ensemble.RandomForestRegressor(random_state=seed % (2**31 - 1), n_jobs=1, **chosen).fit(features, target)
    trees = [
        {
            "feature": tree.tree_.feature.tolist(),
            "threshold": tree.tree_.threshold.tolist(),
            "left": tree.tree_.children_left.tolist(),
            "right": tree.tree_.children_right.tolist(),
            "value": tree.tree_.value[:, 0, 0].tolist(),
        }
        for tree in forest.estimators_
    ]
    return json.dumps({"algorithm": "forest", "trees": trees})


def _load_forest(document: dict[str, Any]) -> Predict:
    trees, count = forest_trees(document), len(document["trees"])
    # Scikit-learn compares in single precision.
    return lambda features: tree_sums(trees, features.astype(np.float32)) / count


def _fit_ridge(features: FloatArray, target: FloatArray, _seed: int, options: dict[str, Any]) -> str:
    """Solve (Z'Z + alpha n I) b = Z'(y - mean) on standardised features Z."""
    alpha = float(options.get("alpha", 1e-3))
    centre, scale = features.mean(axis=0), features.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    standard = (features - centre) / scale
    gram = standard.T @ standard + alpha * len(features) * np.eye(features.shape[1])
    weights = np.linalg.solve(gram, standard.T @ (target - target.mean()))
    document = {"centre": centre, "scale": scale, "weights": weights, "intercept": np.array(target.mean())}
    return json.dumps({"algorithm": "ridge", **{name: value.tolist() for name, value in document.items()}})


def _load_ridge(document: dict[str, Any]) -> Predict:
    centre, scale, weights = (np.array(document[name], np.float64) for name in ("centre", "scale", "weights"))
    intercept = float(document["intercept"])

    def predict(features: FloatArray) -> FloatArray:
        standard = (features - centre) / scale
        return np.asarray(standard @ weights + intercept, np.float64)

    return predict
