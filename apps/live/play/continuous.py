"""A race without end: round after round of fresh tasks, with bounded memory and bounded tables.

Each round is an ordinary run on a workload of its own, so everything that works on a run works on a round: it can be
watched, verified, exported and compared. Rounds follow each other until they are stopped; the oldest are deleted.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import msgspec

from apps.live.play.configuration import RunConfiguration
from apps.live.play.launch import run_create
from apps.results.models import Run
from apps.results.services import deletions_finish, run_delete
from apps.tasks.services import workload_generate
from scheduler_sim import engine
from scheduler_sim.accounts import audit

ROUNDS_KEPT = 5


@dataclass
class ContinuousRace:
    """Rounds of one model of tasks on one cluster.

    Attributes:
        name: what the rounds are called, with their number behind it.
        model, parameters: of the generator.
        tasks_per_round: how many tasks a round holds.
        cluster, configuration: as for any run; round i is generated with the seed + i.
        play: plays a run to its end, and tells whether it was asked to stop, be it when all had been played.
        after_round: called with a round that finished, for example to train learned policies on it.
        rounds_kept: finished rounds that stay in the database.
    """

    name: str
    model: str
    tasks_per_round: int
    cluster: engine.Cluster
    configuration: RunConfiguration
    play: Callable[[Run], bool]
    after_round: Callable[[Run], None]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    rounds_kept: int = ROUNDS_KEPT
    made: set[int] = field(default_factory=set, init=False)

    def run(self, first: Run | None = None) -> Run:
        """Play rounds until one of them does not finish or was asked to stop too late for that, and return that one.

        Args:
            first: the first round, where it is stored already.
        """
        finished: list[Run] = []
        for number in count(1):
            played = first if first is not None and number == 1 else self.round(number)
            is_last = self.play(played)
            if played.status != Run.Status.FINISHED:
                return played
            finished.append(played)
            self.after_round(played)
            if is_last:
                return played
            while len(finished) > self.rounds_kept:
                self._forget(finished.pop(0))
        raise AssertionError("unreachable: counting never ends")

    def round(self, number: int) -> Run:
        """Store a round, from 1 on, that is not played yet."""
        seed = self.configuration.seed + number - 1
        name = Run.objects.free_name(f"{self.name} round {number}")
        workload, is_new = workload_generate(
            model=self.model,
            tasks=self.tasks_per_round,
            seed=seed,
            parameters=self.parameters,
        )
        if is_new:
            self.made.add(workload.pk)
        configuration = msgspec.structs.replace(self.configuration, seed=seed)
        return run_create(workload=workload, cluster=self.cluster, configuration=configuration, name=name)

    def _forget(self, run: Run) -> None:
        workload = run.workload
        with audit.parts():
            run_delete(run=run)
            deletions_finish()
            # What was there before the race is not its to take away.
            if workload.pk in self.made and not workload.runs.exists():
                workload.delete()
