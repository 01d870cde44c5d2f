"""A stored run at one instant: who waits and for what, what runs where until when, and what the policy decided."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from apps.live.play.configuration import RunConfiguration
from apps.live.play.preparation import Prepared, load_tasks, prepare_tasks
from apps.results.errors import InvalidField, RunStateError
from apps.results.models import Attempt, GangBlock, Run, SchedulerResult, Stretch
from apps.results.services import stretches_store
from apps.tasks.managers import key_pages
from apps.tasks.models import Task
from apps.training.registry import resolve_policy
from scheduler_sim import engine
from scheduler_sim.engine.beginning import begin_at
from scheduler_sim.engine.contract import Attempts, Outcome
from scheduler_sim.engine.demand import demands
from scheduler_sim.engine.estimates import Estimates, replace_estimates
from scheduler_sim.engine.gangs import Gangs
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
from scheduler_sim.engine.oversize import fit_workload
from scheduler_sim.engine.policies import changes_widths
from scheduler_sim.engine.whatif import scale_load
from scheduler_sim.engine.workload import FloatArray, IntArray

STRETCHES_BACK = 16
"""So many stretches before that of the instant are looked at for the beginning of a plan."""

STRETCHES_AHEAD = 16
"""So many stretches are looked at for what happens while a task waits."""

MOST_EXPLAINED = 20_000
"""Nothing is explained from more tasks than that, nor is a stretch looked back at that would make them more."""

MOST_READ = 100_000
"""When a reader has read or looked at more tasks than that, what asks it for instants one after another ends early."""

MOST_PLAYED_AGAIN = 20_000
"""Runs of more tasks are not played again for one instant."""

_PLACED = ("task_id", "node", "device", "gpu_fraction", "start_time", "finish_time", "wait_time", "attempts")
_SPANS = ("task_id", "number", "start_time", "end_time", "node", "device", "cpus", "gpus")


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
            if verdict == "held":
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
    tasks, keys = load_tasks(workload_id=run.workload_id, limit=configuration.limit)
    prepared = prepare_tasks(stored=run.workload, tasks=tasks, keys=keys, cluster=cluster, configuration=configuration)
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


def run_instant(run: Run, time: float, scheduler: str = "") -> Instant:
    """Return one policy of a run at `time`, seconds on the workload's clock.

    Args:
        scheduler: one of the run's policies, by default its first.

    Raises:
        InvalidField: the run does not play that policy, or the time is not a number.
        RunStateError: the run is not finished, keeps no placements, or does not know who was in the system when.
    """
    return InstantReader(run, scheduler).at(time)


class InstantReader:
    """Reads instants of one policy of a run; those of one stretch, asked one after another, share what is read.

    Raises:
        InvalidField: the run does not play that policy.
        RunStateError: the run is not finished, or keeps no placements.
    """

    def __init__(self, run: Run, scheduler: str = "") -> None:
        _refuse(run)
        scheduler = scheduler or run.policies[0]
        if scheduler not in run.policies:
            plays = ", ".join(run.policies)
            raise InvalidField(f"Run {run.name} does not play {scheduler}; it plays {plays}.", "policy")
        self._asked = _Asked(run, scheduler)

    def at(self, time: float) -> Instant:
        """Return the state at `time`, seconds on the workload's clock; raises as `run_instant` does."""
        if not np.isfinite(time):
            raise InvalidField("The instant is a number of seconds on the workload's clock.", "time")
        found = self._asked.look(time)
        beside = self._asked.beside(time, found)
        explained: Decisions | None = None
        unexplained = ""
        try:
            explained, found = _decided(self._asked, found, time)
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
    if run.configuration.get("keep", "results") != "results" or (run.is_over and not run.rows_written):
        raise RunStateError(
            f"Run {run.name} keeps its figures only; without placements nothing is known of an instant."
        )
    if run.status != Run.Status.FINISHED:
        raise RunStateError(
            f"Run {run.name} is {run.status}: of tasks that have not finished nothing is stored, so that an instant is "
            "known only once it has come to its end."
        )


def _decided(asked: "_Asked", found: Schedule, time: float) -> tuple[Decisions, Schedule]:
    """Return what was decided, and the schedule, of which more may have been needed."""
    if asked.run.site_id is not None:
        return site_decisions(found, asked.played_until(time), time), found
    while True:
        if len(found.workload) > MOST_EXPLAINED:
            raise NotExplained(
                f"Decisions are explained from up to {MOST_EXPLAINED:,} tasks; around this instant there are "
                f"{len(found.workload):,}."
            )
        try:
            return decisions(found, time), found
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
        notes.append("Tasks are shown with what they ask for; how wide they are then, and what is free, is not told.")
    elif stands.free_by_node is None and run.knows_gangs:
        notes.append("The policy shares out GPUs alone, so that free devices are told in all while a gang runs.")
    elif stands.free_by_node is None:
        notes.append("Of a task on several nodes the lowest is stored, so that free devices are told in all only.")
    if any(group.outages for group in found.cluster.groups) or found.cluster.fails:
        notes.append("Free devices include those of nodes that are out of service.")
    return notes


@dataclass(frozen=True, eq=False)
class _Kept:
    """A schedule that holds for every instant from `since` to before `until`, and how far back it was sought."""

    since: float
    until: float
    schedule: Schedule
    back: int = 1

    def holds(self, time: float) -> bool:
        return self.since <= time < self.until


class _Asked:
    """What is read of a run for its instants; of the two stretches that were looked at last it is kept."""

    def __init__(self, run: Run, scheduler: str) -> None:
        self.run, self.scheduler = run, scheduler
        self.configuration = RunConfiguration.from_json(run.configuration)
        self.cluster = engine.Cluster.from_json(run.cluster)
        self.tasks_read = 0
        self._kept: _Kept | None = None
        self._other: _Kept | None = None
        self._back: _Kept | None = None
        self._prepared: Prepared | None = None
        self._playing: engine.Simulation | None = None

    def look(self, time: float) -> Schedule:
        """Return the schedule of the instant's stretch."""
        if self._kept is None or not self._kept.holds(time):
            self._kept, self._other = self._stretch(time), self._kept
        return self._kept.schedule

    def look_back(self, time: float, found: Schedule) -> Schedule | None:
        """Return a schedule of the instant that is known from further back than `found`; None where none is read.

        The longest is kept for the instants of the same stretch, which all look equally far back.
        """
        kept = self._back if self._back is not None and self._back.until == self.until else None
        if kept is not None and kept.schedule.known_from < found.known_from:
            return kept.schedule
        back = 1 if kept is None else kept.back
        if back >= STRETCHES_BACK or not np.isfinite(found.known_from):
            return None
        keys, known_from = self._named(time, back * 4)
        if known_from < found.known_from:
            self._back = _Kept(known_from, self.until, self._read(keys, known_from), back * 4)
            return self._back.schedule
        self._back = _Kept(found.known_from, self.until, found, STRETCHES_BACK)
        return None

    def _stretch(self, time: float) -> _Kept:
        if self._other is not None and self._other.holds(time):
            return self._other
        following = Stretch.objects.of_policy(self.run, self.scheduler).first_after(time)
        until = np.inf if following is None else following
        found = self._read(*self._named(time, 0))
        # What is known from the beginning on was looked up for all that lies before the next stretch.
        since = found.known_from if np.isfinite(found.known_from) else min(time, until)
        return _Kept(since, until, found)

    @property
    def until(self) -> float:
        """When the stretch ends that was looked at last; infinite for the last one."""
        return np.inf if self._kept is None else self._kept.until

    def played_until(self, time: float) -> engine.Simulation:
        """Return the whole run again, played up to some instant that is not behind `time`.

        Raises:
            NotExplained: it is too long for that, or was played by another version of the engine.
        """
        tasks = self.run.rows_expected // len(self.run.policies)
        if tasks > MOST_PLAYED_AGAIN:
            raise NotExplained(
                f"Reasons on a site are found by playing again from the beginning, which is done up to "
                f"{MOST_PLAYED_AGAIN:,} tasks; this run has {tasks:,}."
            )
        if self.run.engine_version != engine.ENGINE_VERSION:
            raise NotExplained(
                "Reasons on a site are found by playing again; this run was played by engine "
                f"{self.run.engine_version}, and this is {engine.ENGINE_VERSION}."
            )
        if self._prepared is None:
            tasks_, keys = load_tasks(workload_id=self.run.workload_id, limit=self.configuration.limit)
            self._prepared = prepare_tasks(
                stored=self.run.workload,
                tasks=tasks_,
                keys=keys,
                cluster=self.cluster,
                configuration=self.configuration,
            )
        prepared = self._prepared
        if self._playing is None or self._playing.clock > time:
            self._playing = engine.Simulation(
                workload=prepared.workload,
                cluster=prepared.cluster,
                policy=resolve_policy(self.scheduler, self.configuration.models),
                seed=self.configuration.seed,
                options=self.configuration.engine_options(prepared.cluster),
                predictor=prepared.predictor,
                site=prepared.site,
            )
        return self._playing

    def beside(self, time: float, found: Schedule) -> tuple[float | None, float | None]:
        """Return when something happens last before and first after `time`, whose stretch `found` is."""
        times = event_times(found)
        later = float(times[times > time].min(initial=np.inf))
        if self._kept is not None and self._kept.schedule is found:
            # The next stretch begins with an arrival, and what comes behind that may be none of this one's tasks'.
            later = min(later, self._kept.until)
        earlier = times[(times < time) & (times >= found.known_from)]
        if not len(earlier) and np.isfinite(found.known_from):
            self._other = self._stretch(np.nextafter(time, -np.inf))
            before = event_times(self._other.schedule)
            earlier = before[before < time]
        return (float(earlier.max()) if len(earlier) else None), (later if np.isfinite(later) else None)

    def _named(self, time: float, back: int) -> tuple[IntArray, float]:
        """Return the keys of the tasks of the instant's stretch and of up to `back` before it, and since when all are.

        A stretch that would make them more than `MOST_EXPLAINED` is left out, but for that of the instant.
        """
        every = Stretch.objects.of_policy(self.run, self.scheduler)
        keys, since = np.zeros(0, np.int64), -np.inf
        # One more than is looked at: without it the first one is among them, before which there was nothing.
        cut = list(every.back_from(time)[: back + 2])
        if not cut and not every.exists():
            raise RunStateError(
                f"Run {self.run.name} was played before it was kept who was in the system when; "
                f"`manage.py squeue --run {self.run.pk} --index` makes up for it once."
            )
        for place, one in enumerate(cut):
            if place > back:
                return keys, since
            more = np.union1d(keys, one.task_keys)
            if place and len(more) > MOST_EXPLAINED:
                return keys, since
            keys, since = more, one.from_time
        return keys, -np.inf

    def _read(self, keys: IntArray, known_from: float) -> Schedule:
        self.tasks_read += len(keys)
        return self._schedule(SchedulerResult.objects.of_tasks(self.run, self.scheduler, keys, _PLACED), known_from)

    def _schedule(self, placed: Mapping[str, FloatArray], known_from: float) -> Schedule:
        played, known, task_keys = self._tasks(placed["task_id"].astype(np.int64))
        place = np.searchsorted(placed["task_id"].astype(np.int64), task_keys)
        placed = {name: column[place] for name, column in placed.items()}
        # A task arrives no later than it starts; what ran already when the replay began arrives as it starts.
        attempts = self._attempts(placed, task_keys)
        outcome = Outcome(
            ready_time=self._ready_time(played, placed, task_keys),
            start_time=placed["start_time"],
            finish_time=placed["finish_time"],
            node=placed["node"].astype(np.int64),
            device=placed["device"].astype(np.int64),
            gpu_fraction=placed["gpu_fraction"],
            completion_order=np.zeros(0, np.int64),
        )
        return Schedule(
            workload=played,
            cluster=self.cluster,
            policy=resolve_policy(self.scheduler, self.configuration.models),
            options=self.configuration.engine_options(self.cluster),
            outcome=outcome,
            attempts=attempts,
            estimates_known=known,
            known_from=known_from,
            seed=self.configuration.seed,
            gangs=self._gangs(task_keys),
        )

    def _gangs(self, task_keys: IntArray) -> Gangs | None:
        """Return what tasks on several nodes held, by their place in `task_keys`; None where that was not kept."""
        if not self.run.knows_gangs:
            return None
        found = GangBlock.objects.of_tasks(self.run, self.scheduler, task_keys)
        order = np.argsort(task_keys)
        return replace(found, task=order[np.searchsorted(task_keys, found.task, sorter=order)])

    def _tasks(self, keys: IntArray) -> tuple[engine.Workload, np.ndarray, IntArray]:
        """Return tasks as the run plays them, whether their estimates are known, and their keys in that order."""
        stored, numbered = Task.objects.workload_of(keys)
        configuration = self.configuration
        begun = (
            begin_at(stored, configuration.begin_time, hold=configuration.already_running == "hold", ever_started=False)
            if len(stored)
            else None
        )
        played = stored if begun is None else begun.workload
        since = configuration.begin_time
        if since is None:
            since = self.run.workload.first_arrival_time
        played = scale_load(played, configuration.load_factor, since=since)
        if self.run.site_id is None and len(played):
            played, _ = fit_workload(played, self.cluster, on_oversize=configuration.on_oversize)
        played, known = self._estimated(played)
        return played, known, np.array([numbered[number] for number in played.task_id.tolist()], np.int64)

    def _estimated(self, played: engine.Workload) -> tuple[engine.Workload, np.ndarray]:
        """Return tasks with the estimates that policies were told, and whether these are known."""
        text = self.configuration.estimates
        if text.partition(":")[0] == "predicted":
            return played, np.zeros(len(played), bool)
        asked = Estimates.parse(text)
        if asked.kind == "uniform" and asked.factor != 1.0:
            # Drawn of all tasks together.
            return played, np.zeros(len(played), bool)
        if asked.kind != "trace":
            played = replace_estimates(played, asked, np.random.default_rng(0))
        perfect = any(caution["kind"] == "perfect_estimates" for caution in self.run.cautions)
        if perfect:
            played = replace(
                played, duration_estimate=np.where(played.estimate_known, played.duration_estimate, played.runtime)
            )
        return played, played.estimate_known | perfect

    def _ready_time(self, played: engine.Workload, placed: Mapping[str, FloatArray], keys: IntArray) -> FloatArray:
        """Return when tasks were ready: exactly, where the stored wait is that from their arrival or a parent's end."""
        start, wait = placed["start_time"], placed["wait_time"]
        ready = np.where(start - played.arrival_time == wait, played.arrival_time, start - wait)
        late = np.flatnonzero(start - played.arrival_time != wait)
        if not len(late):
            return ready
        parents = Task.objects.parents_of(keys[late])
        numbers = sorted({number for several in parents.values() for number in several})
        finish = SchedulerResult.objects.ends_of(self.run, self.scheduler, numbers)
        for row in late.tolist():
            last = max((finish[one] for one in parents.get(int(keys[row]), ()) if one in finish), default=ready[row])
            ready[row] = last if start[row] - last == wait[row] else ready[row]
        return ready

    def _attempts(self, placed: Mapping[str, FloatArray], keys: IntArray) -> Attempts:
        several = np.flatnonzero(placed["attempts"] > (0 if changes_widths(self.scheduler) else 1))
        if not len(several):
            return Attempts.none()
        of_policy = Attempt.objects.filter(run=self.run, scheduler=self.scheduler).order_by("task_id", "number")
        rows = [
            row for some in key_pages(keys[several]) for row in of_policy.filter(task_id__in=some).values_list(*_SPANS)
        ]
        table = np.array(rows, np.float64)
        spans: dict[str, Any] = {name: table[:, place] for place, name in enumerate(_SPANS)}
        order = np.argsort(keys)
        row = order[np.searchsorted(keys[order], spans.pop("task_id").astype(np.int64))]
        whole = {name: spans[name].astype(np.int64) for name in ("number", "node", "device")}
        return Attempts(row=row, reason=np.zeros(len(row), np.int64), **{**spans, **whole})
