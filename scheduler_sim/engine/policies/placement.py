"""Where a task goes: the node and, for a task that may be split, its GPU fraction and device."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.codes import NOT_PLANNED
from scheduler_sim.engine.policies.agent import Learner
from scheduler_sim.engine.policies.parameter import Adjustable
from scheduler_sim.engine.policies.registry import Registry
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray, Workload


@dataclass(frozen=True)
class ChoiceContext:
    """What a placement may look at before anything runs.

    Attributes:
        workload: the tasks in canonical order.
        cluster: what they are played on.
        estimate: shape (n,), the duration estimates in force.
        split_model: `concurrent` or `sequential`.
        generator: seeded, the placement's own stream.
    """

    workload: Workload
    cluster: Cluster
    estimate: FloatArray
    split_model: str
    generator: np.random.Generator


@dataclass(frozen=True)
class Choices:
    """What a placement settles before anything runs, shape (n,) each.

    Attributes:
        fraction: the GPU fraction of hybrid tasks, 0 to 1; rigid tasks ignore it.
        group: the only node group a task may use, -1 for any; None for any for all.
        draw: a number in [0, 1) a task, for the random choice of a node.
        learner: an agent that chooses fractions while it runs, instead of those above.
        weights: of a learned choice of node or split, see `choice_scoring`; of any length.
    """

    fraction: FloatArray
    group: IntArray | None = None
    draw: FloatArray | None = None
    learner: Learner | None = None
    weights: FloatArray | None = None


def by_intensity(context: ChoiceContext) -> Choices:
    """Split every hybrid task at f = compute_intensity."""
    return Choices(fraction=context.workload.compute_intensity)


Choosing = Callable[[ChoiceContext], Choices]
Chosen = TypeVar("Chosen", bound=Choosing)


@dataclass(frozen=True)
class Placement(Adjustable):
    """A registered placement.

    Attributes:
        name: as typed after `@` in a policy.
        code: how the node is chosen, one of `codes`.
        rule: one sentence for the help pages.
        source: paper and year, or `classic` / `baseline`.
        clairvoyant: true when it sees the true runtime.
        uses_estimates: true when it depends on duration estimates.
        choices: settles fractions before anything runs; a predicted fraction a task is given through it.
        planned: one of the planning `codes`; a planned one other than `PREDICTED` ignores `choices`.
        in_turn: GPUs of a node are taken in turn rather than lowest number first.
        model_version: of the stored model behind it, None when there is none.
    """

    code: int
    rule: str
    source: str
    clairvoyant: bool = False
    choices: Choosing = by_intensity
    planned: int = NOT_PLANNED
    in_turn: bool = False
    model_version: int | None = None
    uses_estimates: bool = field(default=False, kw_only=True)


PLACEMENTS: Registry[Placement] = Registry("placement")

DEFAULT_PLACEMENT = "first_fit"


def placement(name: str, code: int, *, rule: str, source: str, **more: Any) -> Callable[[Chosen], Chosen]:
    """Register the decorated function as the choices of the placement `name`; arguments as of `Placement`."""

    def add(choices: Chosen) -> Chosen:
        PLACEMENTS.register(Placement(name, code, rule, source, choices=choices, **more))
        return choices

    return add
