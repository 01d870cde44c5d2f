"""Which nodes tasks on several held: blocks of spans, some hundred tasks each."""

from typing import Any, Self

import numpy as np
from django.db import models

from apps.results.of_policy import OfPolicy, OfPolicyQuerySet
from scheduler_sim.constraints import unique
from scheduler_sim.engine.gangs import Gangs
from scheduler_sim.engine.workloads.workload import IntArray

SPANS_TOGETHER = 512
"""A block ends with the task that brings it to so many spans."""


class GangBlockQuerySet(OfPolicyQuerySet):
    """Blocks."""

    def of_policy(self, run: Any, scheduler: str) -> Self:
        """Only those of one policy of a run, by task."""
        return super().of_policy(run, scheduler).order_by("first_task")

    def of_tasks(self, run: Any, scheduler: str, keys: IntArray) -> Gangs:
        """Return the spans of the tasks with these primary keys, by task and time; of tasks on one node there are none.

        Two queries: which blocks there are, a key for some hundred tasks, and those that may hold the tasks.
        """
        every = self.of_policy(run, scheduler)
        firsts = np.array(every.values_list("first_task", flat=True), np.int64)
        if not len(firsts) or not len(keys):
            return Gangs.joined([])
        keys = np.unique(keys)
        places = np.unique(np.searchsorted(firsts, keys, side="right")) - 1
        wanted = firsts[places[places >= 0]].tolist()
        if not wanted:
            return Gangs.joined([])
        found = Gangs.joined([one.gangs for one in every.filter(first_task__in=wanted)])
        return found[np.flatnonzero(np.isin(found.task, keys))]


class GangBlock(OfPolicy):
    """What some tasks held of each node while they were on several, under one policy, by task and time.

    A table of its own, written once when the run ends, so that the hot table of placements and runs without such tasks
    pay nothing. Packed, because a list of nodes is read as a whole: a span takes some tens of bytes here and would take
    a row a node otherwise. All spans of a task are in one block, which its primary key finds.
    """

    run = models.ForeignKey("results.Run", on_delete=models.CASCADE, related_name="gang_blocks", db_index=False)
    first_task = models.BigIntegerField(help_text="Primary key of its first task.")
    packed = models.BinaryField(help_text="See `scheduler_sim.engine.gangs`; tasks are primary keys.")

    objects = GangBlockQuerySet.as_manager()

    class Meta(OfPolicy.Meta):
        constraints = [unique("run", "scheduler", "first_task", called="unique_task")]

    def __str__(self) -> str:
        return f"{self.scheduler} from task {self.first_task}"

    @property
    def gangs(self) -> Gangs:
        """Its spans."""
        return Gangs.unpacked(self.packed)
