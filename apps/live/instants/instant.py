"""A stored run at one instant: who waits and for what, what runs where until when, and what the policy decided."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from apps.live.instants.replays import Patience
from apps.live.instants.stored import StoredInstants
from apps.live.play.configuration import RunConfiguration
from apps.live.play.preparation import prepare_tasks
from apps.results.errors import InvalidField, RunStateError
from apps.results.models import Run, SchedulerResult
from apps.results.services import stretches_store
from apps.tasks.stored_tasks import load_tasks
from scheduler_sim import engine
from scheduler_sim.engine.clusters.demand import demands
from scheduler_sim.engine.codes import CONSERVATIVE
from scheduler_sim.engine.instant import (
    Decision,
    Decisions,
    NotExplained,
    NotKnownFarEnough,
    Schedule,
    Standing,
    decisions,
    event_times,
    scores_at,
    site_decisions,
    standing,
)
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

STRETCHES_AHEAD = 16
"""So many stretches are looked at for what happens while a task waits."""

MOST_READ = 100_000
"""When a reader has read or looked at more tasks than that, what asks it for instants one after another ends early."""


@dataclass(frozen=True, eq=False)
class Instant:
    """One policy of a run at one instant.

    Attributes:
        schedule: what is known of the tasks that were in the system around it, its workload being theirs.
        standing: what they do, rows of that workload.
        queue: rows that wait, in the policy's order where scores are known, else by arrival; then those that wait for a
            parent.
        scores: by row, empty where they are not known.
        decided: what the policy decided, by row, of tasks that were ready.
        decisions: the same with the head's reservation, None where it is not explained.
        unexplained: why not, in one sentence, else empty.
        notes: what of the rest is not known, a sentence each.
        previous_time, next_time: the nearest instants at which something arrives, is ready, starts, stops or ends; None
            where there is none.
    """

    run: Run
    scheduler: str
    schedule: Schedule
    standing: Standing
    queue: IntArray
    scores: Mapping[int, float]
    decided: Mapping[int, Decision]
    decisions: Decisions | None
    unexplained: str
    notes: tuple[str, ...]
    previous_time: float | None
    next_time: float | None

    @cached_property
    def node_counts(self) -> IntArray:
        """On how many nodes of a cluster each task of the schedule runs, shape (n,)."""
        asked = demands(self.schedule.workload, self.schedule.cluster)
        rest = (asked.last_cpu > 0) | (asked.last_gpu > 0) | (asked.full_nodes == 0)
        return asked.full_nodes + rest

    @cached_property
    def running_on(self) -> Mapping[int, IntArray]:
        """The nodes of each running task that is on several, by its row, where that was kept."""
        gangs = self.standing.gangs
        return {row: gangs.nodes(place) for place, row in enumerate(gangs.task.tolist())}

    def waits_for(self, row: int) -> str:
        """Return what a task that waits waits for, in squeue's words where that is known, else `None` as there."""
        if row in set(self.standing.awaited.tolist()):
            return "Dependency"
        if self.decisions is not None and row in self.decided:
            verdict, head = self.decided[row].verdict, self.decisions.head
            if self.decided[row].reason:
                return self.decided[row].reason
            if verdict in ("held", "cleaner"):
                return "BeginTime"
            if verdict == "passed_over":
                return "None"
            return "Resources" if row == head or (head < 0 and verdict == "resources") else "Priority"
        if self.scores and len(self.queue):
            return "Resources" if row == int(self.queue[0]) else "Priority"
        return "None"


def run_index(*, run: Run) -> None:
    """Store who was in the system when, of a finished run that was played before that was kept.

    Raises:
        RunStateError: the run has no placements to look at, or is not finished.
        EngineError: its tasks cannot be made ready as they were played.
    """
    _refuse(run)
    configuration = RunConfiguration.from_json(run.configuration)
    cluster = engine.Cluster.from_json(run.cluster)
    tasks = load_tasks(workload_id=run.workload_id, limit=configuration.limit)
    prepared = prepare_tasks(stored=run.workload, tasks=tasks, cluster=cluster, configuration=configuration)
    order = np.argsort(prepared.task_keys)
    for scheduler in run.policies:
        found = SchedulerResult.objects.of_tasks(run, scheduler, prepared.task_keys[order], ("task_id", "finish_time"))
        finish = np.empty(len(order))
        finish[order] = found["finish_time"]
        stretches_store(
            run=run,
            scheduler=scheduler,
            task_keys=prepared.task_keys,
            arrival=prepared.workload.arrival_time,
            finish=finish,
        )


def run_instant(run: Run, time: float, scheduler: str = "", *, wait: float | None = None) -> Instant:
    """Return one policy of a run at `time`, seconds on the workload's clock.

    Args:
        scheduler: one of the run's policies, by default its first.
        wait: see `InstantReader`.

    Raises:
        InvalidField: the run does not play that policy, or the time is not a number.
        RunStateError: the run is not finished, keeps no placements, or does not know who was in the system when.
    """
    return InstantReader(run, scheduler, wait=wait, alone=True).at(time)


class InstantReader:
    """Reads instants of one policy of a run; those of one stretch, asked one after another, share what is read.

    Args:
        wait: seconds in all for what a kernel has to play to explain decisions, which are else not explained; None for
            as long as it takes. Requests wait `replays.WAIT_SECONDS`.
        alone: see `StoredInstants`.

    Raises:
        InvalidField: the run does not play that policy.
        RunStateError: the run is not finished, or keeps no placements.
    """

    def __init__(self, run: Run, scheduler: str = "", *, wait: float | None = None, alone: bool = False) -> None:
        _refuse(run)
        scheduler = scheduler or run.policies[0]
        if scheduler not in run.policies:
            plays = ", ".join(run.policies)
            raise InvalidField(f"Run {run.name} does not play {scheduler}; it plays {plays}.", "policy")
        self._asked = StoredInstants(run, scheduler, alone=alone)
        self._patience = Patience(wait)

    def at(self, time: float) -> Instant:
        """Return the state at `time`, seconds on the workload's clock; raises as `run_instant` does."""
        if not np.isfinite(time):
            raise InvalidField("The instant is a number of seconds on the workload's clock.", "time")
        found = self._asked.look(time)
        beside = self._asked.beside(time, found)
        explained: Decisions | None = None
        unexplained = ""
        try:
            explained, found = _decided(self._asked, found, time, self._patience)
        except NotExplained as refusal:
            unexplained = str(refusal)
        self._asked.tasks_read += len(found.workload)
        return _instant(self._asked.run, found, time, explained, unexplained, beside)

    @property
    def tasks_read(self) -> int:
        """How many tasks were read from the database, and each instant's once more."""
        return self._asked.tasks_read

    def events(self, low: float, high: float) -> tuple[FloatArray, bool]:
        """Return the instants from `low` to `high` at which something happens, and whether these are all.

        At most `STRETCHES_AHEAD` stretches are looked at, and none after `MOST_READ` tasks but the first.
        """
        parts = []
        for _ in range(STRETCHES_AHEAD):
            found, until = self._asked.look(low), self._asked.until
            times = event_times(found)
            parts.append(times[(times >= low) & (times <= high) & (times < until)])
            if until > high:
                return np.concatenate(parts), True
            low = until
            if self.tasks_read > MOST_READ:
                break
        return np.concatenate(parts), False


def _refuse(run: Run) -> None:
    if run.keeps == "summary" or (run.is_over and not run.rows_written):
        raise RunStateError(
            f"Run {run.name} keeps its figures only; without placements nothing is known of an instant."
        )
    if run.status != Run.Status.FINISHED:
        raise RunStateError(
            f"Run {run.name} is {run.status}: of tasks that have not finished nothing is stored, so that an instant is "
            "known only once it has come to its end."
        )


def _decided(asked: StoredInstants, found: Schedule, time: float, patience: Patience) -> tuple[Decisions, Schedule]:
    """Return what was decided, and the schedule, of which more may have been needed."""
    if asked.run.site_id is not None:
        again = asked.played_again()
        return patience.wait(lambda: site_decisions(found, again.until(time), time)), found
    plays = found.policy.backfill.code == CONSERVATIVE
    while True:
        asked.refuse_many(found)
        explain = partial(decisions, found, time)
        # Of the same instant and as many tasks it is the same plan: runs that have ended do not change.
        key = (asked.run.pk, asked.run.created_at, asked.scheduler, time, found.known_from, len(found.workload))
        try:
            return (patience.wait(explain, key) if plays else explain()), found
        except NotKnownFarEnough:
            further = asked.look_back(time, found)
            if further is None:
                raise
            found = further


def _instant(
    run: Run,
    found: Schedule,
    time: float,
    explained: Decisions | None,
    unexplained: str,
    beside: tuple[float | None, float | None],
) -> Instant:
    stands = standing(found, time, on_site=run.site_id is not None)
    decided = {} if explained is None else {one.row: one for one in explained.decisions}
    waiting = stands.waiting
    scores: dict[int, float] = {}
    notes = list(_notes(found, stands, run))
    try:
        values = scores_at(found, waiting, time)
        scores = dict(zip(waiting.tolist(), values.tolist(), strict=True))
        waiting = waiting[np.lexsort((waiting, values))]
    except NotExplained as refusal:
        if explained is not None and not explained.note:
            tried = [one for one in explained.decisions if not one.starts]
            scores = {one.row: one.score for one in tried}
            waiting = np.array([*scores, *np.setdiff1d(waiting, list(scores))], np.int64)
        else:
            notes.append(f"{refusal} The queue is shown by arrival.")
    if explained is not None and explained.note:
        notes.append(explained.note)
    return Instant(
        run=run,
        scheduler=found.policy.name,
        schedule=found,
        standing=stands,
        queue=np.concatenate((waiting, stands.awaited)),
        scores=scores,
        decided=decided,
        decisions=explained,
        unexplained=unexplained,
        notes=tuple(notes),
        previous_time=beside[0],
        next_time=beside[1],
    )


def _notes(found: Schedule, stands: Standing, run: Run) -> list[str]:
    notes = []
    if np.isnan(stands.expected_until).any():
        notes.append("Of some tasks the expected end is not known: it goes by what the policy was told meanwhile.")
    if run.site_id is not None:
        shown = "" if run.knows_gangs else "a task on several nodes is shown on its first one, and "
        notes.append(f"Of a site {shown}what is free is not told.")
    elif found.policy.order.resizes:
        notes.append("The policy changes what tasks hold, so that free devices are told in all only.")
    elif stands.free_by_node is None and run.knows_gangs:
        notes.append("The policy shares out GPUs alone, so that free devices are told in all while a gang runs.")
    elif stands.free_by_node is None:
        notes.append("Of a task on several nodes the lowest is stored, so that free devices are told in all only.")
    if any(group.outages for group in found.cluster.groups) or found.cluster.fails:
        notes.append("Free devices include those of nodes that are out of service.")
    return notes
