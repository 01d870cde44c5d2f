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

CHOICE_BACKFILLS = BACKFILLS[:3]
"""What a choice other than the order is searched together with."""

COMPARED = ("fcfs", "sjf", "saf", "wfp3", "unicep", "f1", "f2", "f3", "f4")
"""The orders that what was found is held against; benchmarks/ holds it against all."""

BUILT_IN = {
    "node": ("first_fit", "best_fit", "worst_fit", "weighted_fit", "fgd", "random", "eft"),
    "split": ("greedy", "round_robin", "cpu_only", "gpu_only", "eft", "min_energy", "min_cost", "hybrid_ml"),
}
"""The placements that a learned choice is held against."""


class InvalidSetting(InvalidParameter):
    """A setting that has no meaning.

    Attributes:
        field: its name.
    """

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


@dataclass(frozen=True)
class SearchSettings:
    """What is searched, and how long.

    Attributes:
        choice: one of `SEARCHABLE`: the order of the queue, the node, the split of hybrid tasks, or which tasks run.
        form: `linear`, `mlp` or `history`; of an order, the others are linear.
        objective: `bsld`, `jct` or `wait`.
        order: beside which a node or a split is chosen.
        backfill: one of `BACKFILLS`.
        preemption: how tasks are stopped where that is what is chosen: `suspend` or `requeue`, with its parameters.
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

    Raises:
        InvalidSetting: a value that has no meaning, or one that says something of another choice.
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
        for name, known, told in (
            ("choice", SEARCHABLE, "What is searched is one of"),
            ("form", FORMS, "A learned score has the form"),
            ("objective", OBJECTIVES, "The objective is one of"),
            ("backfill", BACKFILLS, "Scores are searched with"),
        ):
            if getattr(self, name) not in known:
                raise InvalidSetting(name, f"{told} {', '.join(known)}, not {getattr(self, name)!r}.")
        if self.choice != ORDER and self.form != "linear":
            raise InvalidSetting("form", f"A choice of {self.choice} has the form linear, not {self.form}.")
        if self.choice != ORDER and self.backfill not in CHOICE_BACKFILLS:
            told = f"A choice of {self.choice} is searched with {', '.join(CHOICE_BACKFILLS)}, not {self.backfill}."
            raise InvalidSetting("backfill", told)
        if self.backfill == BACKFILLS[-1] and self.form != "history":
            told = f"{self.backfill} goes by users' past, as scores of the form history do."
            raise InvalidSetting("backfill", told)
        for name in ("length", "generations", "batch", "validations", "check_every", "patience", "threads"):
            if getattr(self, name) < 1:
                raise InvalidSetting(name, f"{name} must be at least 1, not {getattr(self, name)}.")
        if self.population < 4:
            raise InvalidSetting("population", f"population must be at least 4, not {self.population}.")
        self._check_beside()

    def _check_beside(self) -> None:
        for name, used, told in (
            ("order", self.choice in BUILT_IN, "choices of node and split"),
            ("preemption", self.choice == PREEMPTION, "a choice of preemption"),
        ):
            if not used and getattr(self, name) != getattr(SearchSettings, name):
                raise InvalidSetting(name, f"{name} is for {told}; {self.choice} is searched here.")
        field = PREEMPTION if self.choice == PREEMPTION else "order"
        try:
            base = self._beside()
        except InvalidPolicy as error:
            raise InvalidSetting(field, str(error)) from None
        if self.choice == PREEMPTION and (not base.preempts or base.preemption.name == "checkpoint"):
            # Nothing says how often a checkpoint is written.
            told = f"A choice of preemption stops tasks by suspend or requeue, not by {self.preemption}."
            raise InvalidSetting(field, told)

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
