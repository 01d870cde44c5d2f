"""What a search plays: an order on a pool in compiled calls, another choice on a cluster as a run would play it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.errors import InvalidParameter, InvalidWorkload
from scheduler_sim.engine.learning.evaluation import FIGURES, held_out_windows, refusal
from scheduler_sim.engine.learning.informed import play_informed
from scheduler_sim.engine.learning.rollout import OBJECTIVES, play
from scheduler_sim.engine.learning.sampling import People, Variation, draw, evenly_spaced, sample
from scheduler_sim.engine.learning.sequences import Sequences
from scheduler_sim.engine.learning.settings import ORDER, SearchSettings
from scheduler_sim.engine.measuring.metrics import TaskFigures
from scheduler_sim.engine.policies.choice_scoring import CHOICES
from scheduler_sim.engine.policies.learned import FORMS
from scheduler_sim.engine.policies.scoring import (
    HIDDEN_UNITS,
    HISTORY,
    MLP,
    PAST_FEATURES,
    PAST_STATES,
    STATE_FEATURES,
    TASK_FEATURES,
    parameter_vector,
    weight_count,
)
from scheduler_sim.engine.simulation import Simulation
from scheduler_sim.engine.whatif import at_arrivals
from scheduler_sim.engine.workloads.workload import FloatArray, Parents, Workload

NONE_TO_SPLIT = "A choice of a split is searched on tasks that may be split; none of these may."

Batch = Any
"""Sequences that are played together; its length is how many."""


class Subject(ABC):
    """What is searched, and how it is played."""

    def __init__(self, settings: SearchSettings) -> None:
        self.settings = settings

    @abstractmethod
    def first_guess(self, generator: np.random.Generator) -> FloatArray:
        """Return the weights with which a search begins."""

    @abstractmethod
    def source(self, part: Workload) -> Callable[[int, np.random.Generator], Batch]:
        """Return what draws so many varied sequences from a part.

        Raises:
            InvalidWorkload: tasks that cannot be played.
        """

    @abstractmethod
    def recorded(self, part: Workload, count: int) -> Batch:
        """Return so many sequences as recorded, evenly spaced."""

    @abstractmethod
    def figures(self, weights: FloatArray, batch: Batch) -> FloatArray:
        """Return the figures of each sequence, shape (S, 3), columns as in `OBJECTIVES`."""

    def document(self, weights: FloatArray) -> dict[str, Any]:
        """Return what is stored of weights."""
        return {"form": self.settings.kind, "weights": [float(weight) for weight in weights]}

    def scaled(self, mean: FloatArray) -> FloatArray:
        """Return weights whose length means nothing at length 1, to be averaged."""
        return mean / np.linalg.norm(mean)


class PoolOrder(Subject):
    """The order of a queue on a pool of processors."""

    def __init__(self, settings: SearchSettings, processors: int) -> None:
        super().__init__(settings)
        self._processors, self._form = processors, FORMS[settings.form]
        backfill = settings.policy(self.document(np.zeros(weight_count(self._form)))).backfill
        self._backfill, self._predict = backfill.code, backfill.predicts

    def first_guess(self, generator: np.random.Generator) -> FloatArray:
        """Start a score at smallest area first, and a network at small random weights."""
        code = self._form
        if code == MLP:
            return generator.normal(0.0, 0.3, weight_count(code))
        past = code == HISTORY
        table = (len(PAST_FEATURES), len(PAST_STATES)) if past else (len(TASK_FEATURES), len(STATE_FEATURES))
        weights = np.zeros(table)
        # r and n are ln(r) / 5 - 1 and ln(n) scaled to -1..1; on 256 processors 0.55 makes it the logarithm of r * n.
        weights[0, 0], weights[1, 0] = 1.0, 0.3 if past else 0.55
        return weights.ravel()

    def source(self, part: Workload) -> Callable[[int, np.random.Generator], Sequences]:
        """Return what draws sequences; see `Subject.source`."""
        people = People.of(part) if self._form == HISTORY else None
        length, processors = self.settings.length, self._processors
        return lambda count, generator: sample(part, count, length, processors, generator, people=people)

    def recorded(self, part: Workload, count: int) -> Sequences:
        """Return sequences as recorded."""
        return evenly_spaced(part, count, self.settings.length, self._processors)

    def figures(self, weights: FloatArray, batch: Sequences) -> FloatArray:
        """Play all sequences in one compiled call."""
        parameters = parameter_vector(self._form, weights)
        if self._form == HISTORY:
            return play_informed(batch, parameters, self._backfill, predict=self._predict)
        return play(batch, parameters, self._backfill)

    def document(self, weights: FloatArray) -> dict[str, Any]:
        """Return what is stored of weights."""
        hidden = {"hidden": HIDDEN_UNITS} if self._form == MLP else {}
        return {**super().document(weights), **hidden}

    def scaled(self, mean: FloatArray) -> FloatArray:
        """Return a linear score at length 1; the length of a network means something."""
        return mean if self._form == MLP else super().scaled(mean)


class ClusterChoice(Subject):
    """A choice of node, split or preemption on a cluster, played by the simulator that serves it afterwards.

    Raises:
        InvalidParameter: a choice of node on a single one, or of a split without GPUs.
    """

    def __init__(self, settings: SearchSettings, cluster: Cluster) -> None:
        super().__init__(settings)
        named = "A pool" if cluster.is_pool else f"Cluster {cluster.name}"
        if settings.choice == "node" and cluster.nodes == 1:
            raise InvalidParameter(f"{named} has one node, so that there is nothing to choose; name a cluster of more.")
        if settings.choice == "split" and not cluster.gpus:
            raise InvalidParameter(f"{named} has no GPUs, so that no task can be split; name a cluster that has.")
        self._cluster = cluster

    def first_guess(self, generator: np.random.Generator) -> FloatArray:
        """Start at what a built-in choice does."""
        return CHOICES[self.settings.choice].first_guess()

    def source(self, part: Workload) -> Callable[[int, np.random.Generator], Sequence[Workload]]:
        """Return what draws sequences, whose tasks are drawn one by one and have no parents; see `Subject.source`."""
        if self.settings.choice == "split" and not part.hybrid.any():
            raise InvalidWorkload(NONE_TO_SPLIT)

        alone = replace(part, parents=Parents.none(len(part)))

        def drawn(count: int, generator: np.random.Generator) -> list[Workload]:
            rows, arrival = draw(alone, count, self.settings.length, generator, Variation())
            number = np.arange(self.settings.length)
            return [
                at_arrivals(replace(alone.take(chosen), task_id=number), times)
                for chosen, times in zip(rows, arrival, strict=True)
            ]

        return drawn

    def recorded(self, part: Workload, count: int) -> Sequence[Workload]:
        """Return sequences as recorded."""
        return held_out_windows(part, count, self.settings.length)

    def figures(self, weights: FloatArray, batch: Sequence[Workload]) -> FloatArray:
        """Play each sequence as a run would."""
        policy = self.settings.policy(self.document(weights))
        found = np.empty((len(batch), len(OBJECTIVES)))
        for place, tasks in enumerate(batch):
            simulation = Simulation(tasks, self._cluster, policy)
            simulation.advance()
            figures = TaskFigures.of(tasks, simulation.outcome())
            found[place] = [getattr(figures, FIGURES[name]).mean() for name in OBJECTIVES]
        return found


def subject_of(settings: SearchSettings, cluster: Cluster) -> Subject:
    """Return what a search plays on a cluster.

    Raises:
        InvalidParameter: an order on anything but a pool, or see `ClusterChoice`.
    """
    if settings.choice != ORDER:
        return ClusterChoice(settings, cluster)
    if not cluster.is_pool:
        raise InvalidParameter(f"Orders are searched on a single pool of processors, which {cluster.name} is not.")
    return PoolOrder(settings, cluster.cores)


def refuse_unplayable(settings: SearchSettings, cluster: Cluster, tasks: Workload) -> None:
    """Refuse what a search would fail at when it plays its first sequence, from a few tasks and without playing.

    Raises:
        InvalidParameter: see `subject_of`; or a policy that does not play such tasks on this cluster.
    """
    subject = subject_of(settings, cluster)
    policy = settings.policy(subject.document(subject.first_guess(np.random.default_rng(0))))
    if told := refusal(policy, tasks, cluster):
        raise InvalidParameter(told)
