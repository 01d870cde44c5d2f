"""What was learned by a policy search: from weights to the part of a policy."""

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from scheduler_sim.engine.codes import BY_LEFT, BY_PAST, FIRST_FIT, LEARNED, LEARNED_NODE, LEARNED_SPLIT, NOT_PLANNED
from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.policies.choice_scoring import choice_weights
from scheduler_sim.engine.policies.order import Order, ScoreContext, Scores
from scheduler_sim.engine.policies.placement import ChoiceContext, Choices, Placement
from scheduler_sim.engine.policies.scoring import HIDDEN_UNITS, HISTORY, LINEAR, MLP, parameter_vector, task_features
from scheduler_sim.engine.workloads.workload import FloatArray

FORMS = {"linear": LINEAR, "mlp": MLP, "history": HISTORY}
"""The forms of a learned score by name; those of `SHIPPED` come with weights."""

PREEMPTION = "preemption"
"""The form of an order that says, too, which running tasks are stopped: it plays with a `~preemption` only."""

ORDER_FORMS = (*FORMS, PREEMPTION)
PLACEMENT_FORMS = ("node", "split")

_SOURCE = "policy search (docs/learning.md)"

SHIPPED = Path(__file__).parent / "weights"
"""One JSON document a form: the weights behind the orders `linear` and `mlp`, found by `trainpolicy`."""


def learned_order(name: str, document: dict[str, Any], *, source: str = _SOURCE) -> Order:
    """Return the order of stored weights.

    Args:
        name: as it shall stand in a policy, for example `learned:night`.
        document: `{"form": "linear" | "mlp" | "history", "weights": [...], "hidden": H}`, the last for `mlp` only, or
            `{"form": "preemption", "weights": [...]}`.

    Raises:
        InvalidParameter: a document of another shape.
    """
    if document.get("form") == PREEMPTION:
        return _active_order(name, document, source)
    parameters = parameters_of(document)
    past = ", what the user has done" if document["form"] == "history" else ""
    return Order(
        name=name,
        formula=f"a learned {document['form']} function of r, n, w{past} and the state of the cluster",
        source=source,
        scores=_scores(lambda: parameters),
    )


def _active_order(name: str, document: dict[str, Any], source: str) -> Order:
    weights = choice_weights(PREEMPTION, document.get("weights"))

    def scores(context: ScoreContext) -> Scores:
        return Scores(
            base=np.zeros(len(context.workload)), kind=BY_LEFT, parameters=weights, features=_features(context)
        )

    formula = "a learned linear function of r, n, w, of what is left of the estimate and of whether the task runs"
    return Order(name, formula, source, scores)


def learned_placement(name: str, document: dict[str, Any], *, source: str = _SOURCE) -> Placement:
    """Return the placement of stored weights.

    Args:
        name: as it shall stand in a policy, for example `learned:night`.
        document: `{"form": "node" | "split", "weights": [...]}`.

    Raises:
        InvalidParameter: a document of another shape.
    """
    form = document.get("form")
    if form not in PLACEMENT_FORMS:
        raise InvalidParameter(f"A learned placement has the form {', '.join(PLACEMENT_FORMS)}, not {form!r}.")
    weights = choice_weights(form, document.get("weights"))
    by_node = form == "node"
    return Placement(
        name,
        LEARNED_NODE if by_node else FIRST_FIT,
        "The node with the lowest learned score among those that fit, then the lowest number."
        if by_node
        else "The node and the gpu_fraction (0, 0.1 .. 1) with the lowest learned score.",
        source,
        choices=partial(_by_weights, weights=weights),
        planned=NOT_PLANNED if by_node else LEARNED_SPLIT,
        uses_estimates=True,
    )


def _by_weights(context: ChoiceContext, *, weights: FloatArray) -> Choices:
    return Choices(fraction=context.workload.compute_intensity, weights=weights)


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
        weights = parameters()
        return Scores(
            base=np.zeros(len(context.workload)),
            kind=BY_PAST if weights[0] == HISTORY else LEARNED,
            parameters=weights,
            features=_features(context),
        )

    return scores


def _features(context: ScoreContext) -> FloatArray:
    """Return r and n of each task, shape (n, 2)."""
    workload, cluster = context.workload, context.cluster
    capacity = np.where(workload.gpus > 0, float(cluster.gpus), float(cluster.cores))
    return task_features(context.estimate, context.processors, capacity)
