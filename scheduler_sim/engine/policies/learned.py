"""Orders whose scores were learned: from weights to an `Order` that any policy can use."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from scheduler_sim.engine.codes import BY_PAST, LEARNED
from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.policies.order import Order, ScoreContext, Scores
from scheduler_sim.engine.policies.scoring import HIDDEN_UNITS, HISTORY, LINEAR, MLP, parameter_vector, task_features
from scheduler_sim.engine.workloads.workload import FloatArray

FORMS = {"linear": LINEAR, "mlp": MLP, "history": HISTORY}
"""The forms of a learned score by name; those of `SHIPPED` come with weights."""

SHIPPED = Path(__file__).parent / "weights"
"""One JSON document a form: the weights behind the orders `linear` and `mlp`, found by `trainpolicy`."""


def learned_order(name: str, document: dict[str, Any], *, source: str = "policy search (docs/learning.md)") -> Order:
    """Return the order of stored weights.

    Args:
        name: as it shall stand in a policy, for example `learned:night`.
        document: `{"form": "linear" | "mlp" | "history", "weights": [...], "hidden": H}`, the last for `mlp` only.

    Raises:
        InvalidParameter: a document of another shape.
    """
    parameters = parameters_of(document)
    past = ", what the user has done" if document["form"] == "history" else ""
    return Order(
        name=name,
        formula=f"a learned {document['form']} function of r, n, w{past} and the state of the cluster",
        source=source,
        scores=_scores(lambda: parameters),
    )


def shipped_order(form: str) -> Order:
    """Return the order of the weights that come with the engine; they are read when a run first needs them."""
    return Order(
        name=form,
        formula=f"a learned {form} function of r, n, w and the state of the cluster",
        source="policy search with CMA-ES (Hansen & Ostermeier, Evol. Comput. 2001), see docs/learning.md",
        scores=_scores(lambda: shipped_parameters(form)),
    )


def parameters_of(document: dict[str, Any]) -> FloatArray:
    """Check a stored document and return the kernels' parameter vector.

    Raises:
        InvalidParameter: an unknown form, or weights that are no finite numbers of the right count.
    """
    form = document.get("form")
    if form not in FORMS:
        raise InvalidParameter(f"A learned score has the form {', '.join(FORMS)}, not {form!r}.")
    try:
        weights = np.asarray(document.get("weights"), dtype=np.float64)
        hidden = int(document.get("hidden", HIDDEN_UNITS))
    except (TypeError, ValueError) as error:
        raise InvalidParameter("The weights of a learned score must be numbers.") from error
    return parameter_vector(FORMS[form], weights, hidden)


@lru_cache
def shipped_parameters(form: str) -> FloatArray:
    """Read the weights of `linear` or `mlp`."""
    import json

    return parameters_of(json.loads((SHIPPED / f"{form}.json").read_text()))


def _scores(parameters: Callable[[], FloatArray]) -> Callable[[ScoreContext], Scores]:
    def scores(context: ScoreContext) -> Scores:
        workload, cluster = context.workload, context.cluster
        capacity = np.where(workload.gpus > 0, float(cluster.gpus), float(cluster.cores))
        weights = parameters()
        return Scores(
            base=np.zeros(len(workload)),
            kind=BY_PAST if weights[0] == HISTORY else LEARNED,
            parameters=weights,
            features=task_features(context.estimate, context.processors, capacity),
        )

    return scores
