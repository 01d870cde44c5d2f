"""What must be known to read a run's figures: estimates that nobody stated, and predictions of tasks learned from."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from apps.tasks.models import Workload
from apps.training.fitting import rows_fitted_to
from apps.training.models import TrainedModel
from scheduler_sim import engine
from scheduler_sim.engine.workload import IntArray


class Caution(TypedDict):
    """One caution.

    Attributes:
        kind: `perfect_estimates`, `unknown_estimates` or `in_sample`.
        policies: whose figures it is about.
        text: the sentence for people.
    """

    kind: str
    policies: list[str]
    text: str


def estimates_caution(workload: engine.Workload, policies: Sequence[engine.Policy]) -> Caution | None:
    """Return what to say of tasks that are played without a stated estimate, None where there is nothing."""
    names = [policy.name for policy in policies if policy.uses_estimates and not policy.clairvoyant]
    unknown = int((~workload.estimate_known).sum())
    if not names or not unknown:
        return None
    who = ", ".join(names)
    if workload.perfect_estimates:
        text = f"Perfect estimates are assumed: no task states one, and {who} use the true run times."
        return Caution(kind="perfect_estimates", policies=names, text=text)
    text = (
        f"{unknown:,} of {len(workload):,} tasks state no estimate; {who} are told the largest one of their queue, or "
        "of the workload."
    )
    return Caution(kind="unknown_estimates", policies=names, text=text)


def in_sample_caution(
    model: TrainedModel,
    stored: Workload,
    tasks: engine.Workload,
    rows: IntArray,
    policies: Sequence[engine.Policy],
) -> Caution | None:
    """Return what to say where run times are predicted of tasks that the model was fitted to.

    Args:
        model: predicts run times.
        stored: the workload. tasks: those that were read of it. rows: which of them are played.
        policies: of the run.
    """
    names = [policy.name for policy in policies if policy.uses_estimates and not policy.clairvoyant]
    seen = int(np.sum(rows < rows_fitted_to(model, stored.name, tasks)))
    if not seen or not names:
        return None
    text = (
        f"In-sample: the model {model} was fitted to {seen:,} of the {len(rows):,} tasks whose run times it predicts "
        f"here; the figures of {', '.join(names)} say little of other tasks."
    )
    return Caution(kind="in_sample", policies=names, text=text)
