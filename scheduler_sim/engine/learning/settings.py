"""What a policy search looks for, and how long."""

from dataclasses import dataclass, replace
from typing import Any

from scheduler_sim.engine.errors import InvalidParameter, InvalidPolicy
from scheduler_sim.engine.learning.rollout import OBJECTIVES
from scheduler_sim.engine.policies import Policy, parse_policy
from scheduler_sim.engine.policies.choice_scoring import CHOICES
from scheduler_sim.engine.policies.learned import FORMS, PREEMPTION, learned_order, learned_placement

BACKFILLS = ("none", "list", "easy", "easy(predict=last_two)")
"""What a score can be searched together with; the last with the form `history` only."""

ORDER = "order"
SEARCHABLE = (ORDER, *CHOICES)
"""The choices of a policy that can be searched."""

COMPARED = ("fcfs", "sjf", "saf", "wfp3", "unicep", "f1", "f2", "f3", "f4")
"""The orders that what was found is held against; benchmarks/ holds it against all."""

BUILT_IN = {
    "node": ("first_fit", "best_fit", "worst_fit", "weighted_fit", "fgd", "random", "eft"),
    "split": ("greedy", "round_robin", "cpu_only", "gpu_only", "eft", "min_energy", "min_cost", "hybrid_ml"),
}
"""The placements that a learned choice is held against."""


@dataclass(frozen=True)
class SearchSettings:
    """What is searched, and how long.

    Attributes:
        choice: one of `SEARCHABLE`: the order of the queue, the node, the split of hybrid tasks, or which tasks run.
        form: `linear`, `mlp` or `history`; of an order, the others are linear.
        objective: `bsld`, `jct` or `wait`.
        order: beside which a node or a split is chosen.
        backfill: one of `BACKFILLS`.
        preemption: how tasks are stopped where that is what is chosen: `suspend`, `requeue` and what a policy takes.
        length: tasks in a sequence.
        generations: at most so many.
        population: candidates a generation.
        batch: sequences that judge a generation.
        validations: sequences that choose when to stop; a third as recorded, the others varied.
        check_every: generations between two looks at the validation part.
        patience: looks without improvement after which the search stops.
        max_seconds: of wall time, for one search; a search that hits it depends on the machine's speed.
        threads: candidates that are played at the same time.
        step: CMA-ES' first step size.
        again: whether to search again on the training and validation parts together.
    """

    choice: str = ORDER
    form: str = "linear"
    objective: str = "bsld"
    order: str = "fcfs"
    backfill: str = "none"
    preemption: str = "suspend"
    length: int = 1024
    generations: int = 200
    population: int = 16
    batch: int = 16
    validations: int = 96
    check_every: int = 20
    patience: int = 10
    max_seconds: float = 600.0
    threads: int = 2
    step: float = 0.3
    again: bool = True

    def __post_init__(self) -> None:
        if self.choice not in SEARCHABLE:
            raise InvalidParameter(f"What is searched is one of {', '.join(SEARCHABLE)}, not {self.choice!r}.")
        if self.form not in FORMS:
            raise InvalidParameter(f"A learned score has the form {', '.join(FORMS)}, not {self.form!r}.")
        if self.choice != ORDER and self.form != "linear":
            raise InvalidParameter(f"A choice of {self.choice} has the form linear, not {self.form}.")
        if self.objective not in OBJECTIVES:
            raise InvalidParameter(f"The objective is one of {', '.join(OBJECTIVES)}, not {self.objective!r}.")
        if self.backfill not in BACKFILLS:
            raise InvalidParameter(f"Scores are searched with {', '.join(BACKFILLS)}, not {self.backfill!r}.")
        if self.backfill == BACKFILLS[-1] and self.form != "history":
            raise InvalidParameter(f"{self.backfill} goes by users' past, as scores of the form history do.")
        for name in ("length", "generations", "batch", "validations", "check_every", "patience", "threads"):
            if getattr(self, name) < 1:
                raise InvalidParameter(f"{name} must be at least 1, not {getattr(self, name)}.")
        if self.population < 4:
            raise InvalidParameter(f"population must be at least 4, not {self.population}.")
        try:
            base = self._beside()
        except InvalidPolicy as error:
            raise InvalidParameter(str(error)) from None
        if self.choice == PREEMPTION and not base.preempts:
            raise InvalidParameter("A choice of preemption stops tasks: preemption is suspend, checkpoint or requeue.")

    @property
    def kind(self) -> str:
        """What is found, as stored: the form of an order, or the choice."""
        return self.form if self.choice == ORDER else self.choice

    def policy(self, document: dict[str, Any], name: str = "learned") -> Policy:
        """Return the policy that plays what was found, `{"form": ..., "weights": [...]}`."""
        base = self._beside()
        if self.choice in BUILT_IN:
            return replace(base, placement=learned_placement(name, document))
        return replace(base, order=learned_order(name, document))

    def rivals(self) -> dict[str, Policy]:
        """Return the policies that are not learned and are held against it, by the order's name or the policy's."""
        if self.choice == ORDER:
            return {name: parse_policy(f"{name}+{self.backfill}") for name in COMPARED}
        if self.choice == PREEMPTION:
            stopping = [f"{name}+{self.backfill}~{self.preemption}" for name in COMPARED]
            # These stop tasks at no loss, as suspend does.
            own = ["srtf", "srsf"] if self.preemption == "suspend" else []
            found = [*stopping, *own, *(f"{name}+{self.backfill}" for name in COMPARED)]
        else:
            found = [f"{self.order}+{self.backfill}@{name}" for name in BUILT_IN[self.choice]]
        policies = [parse_policy(text) for text in found]
        return {policy.name: policy for policy in policies}

    def _beside(self) -> Policy:
        """Return what is played beside the choice."""
        stopped = f"~{self.preemption}" if self.choice == PREEMPTION else ""
        return parse_policy(f"{self.order if self.choice in BUILT_IN else 'fcfs'}+{self.backfill}{stopped}")
