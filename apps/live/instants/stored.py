"""What is read of a stored run for its instants: who was in the system, as the run played them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from apps.live.instants.replays import Replay, replay
from apps.live.play.configuration import RunConfiguration
from apps.live.play.electricity import series_on_clock
from apps.live.play.options import InvalidOption
from apps.live.play.preparation import prepare_tasks
from apps.live.play.sites import played_site
from apps.results.errors import RunStateError
from apps.results.models import Attempt, GangBlock, Run, SchedulerResult, Stretch
from apps.tasks.models import Task
from apps.tasks.stored_tasks import load_tasks, some_tasks
from apps.training.registry import resolve_policy
from scheduler_sim import engine
from scheduler_sim.engine.clusters.oversize import fit_workload
from scheduler_sim.engine.contract import Attempts, Outcome
from scheduler_sim.engine.errors import EngineError
from scheduler_sim.engine.gangs import Gangs
from scheduler_sim.engine.instant import NotExplained, Schedule, happened
from scheduler_sim.engine.measuring.cautions import partitions_tell
from scheduler_sim.engine.policies import changes_widths
from scheduler_sim.engine.series import Signals
from scheduler_sim.engine.whatif import scale_load
from scheduler_sim.engine.workloads.beginning import begin_at
from scheduler_sim.engine.workloads.estimates import Estimates, replace_estimates
from scheduler_sim.engine.workloads.workload import BoolArray, FloatArray, IntArray

STRETCHES_BACK = 16
"""So many stretches before that of the instant are looked at for the beginning of a plan."""

MOST_EXPLAINED = 20_000
"""Nothing is explained from more tasks than that, nor is a stretch looked back at that would make them more."""

MOST_PLAYED_AGAIN = 20_000
"""Runs of more tasks are not played again for one instant."""

_PLACED = ("task_id", "node", "device", "gpu_fraction", "start_time", "finish_time", "wait_time", "attempts")
_SPANS = ("task_id", "number", "start_time", "end_time", "node", "device", "cpus", "gpus")


@dataclass(frozen=True, eq=False)
class _Kept:
    """A schedule that holds for every instant from `since` to before `until`, and how far back it was sought.

    Attributes:
        named: how many tasks its stretch names, of which those of one instant may be fewer.
    """

    since: float
    until: float
    schedule: Schedule
    named: int
    back: int = 1

    def holds(self, time: float) -> bool:
        return self.since <= time < self.until


@dataclass(frozen=True, eq=False)
class _Tasks:
    """Tasks as the run plays them, whether their estimates are known, and their primary keys."""

    workload: engine.Workload
    estimates_known: BoolArray
    keys: IntArray

    def take(self, rows: IntArray) -> "_Tasks":
        return _Tasks(self.workload.take(rows), self.estimates_known[rows], self.keys[rows])


class StoredInstants:
    """What is read of a run for its instants; of the two stretches that were looked at last it is kept.

    Args:
        alone: one instant is asked for, so that of its stretch only what is in the system about then need be read.
    """

    def __init__(self, run: Run, scheduler: str, *, alone: bool = False) -> None:
        self.alone = alone
        self.run, self.scheduler = run, scheduler
        self.configuration = RunConfiguration.from_json(run.configuration)
        self.cluster = engine.Cluster.from_json(run.cluster)
        self.tasks_read = 0
        self._kept: _Kept | None = None
        self._other: _Kept | None = None
        self._back: _Kept | None = None

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
            further = self._schedule(self._tasks(keys), known_from)
            self._back = _Kept(known_from, self.until, further, len(keys), back * 4)
            return further
        self._back = _Kept(found.known_from, self.until, found, len(found.workload), STRETCHES_BACK)
        return None

    def refuse_many(self, found: Schedule) -> None:
        """Refuse to explain decisions from more tasks than `MOST_EXPLAINED`.

        Raises:
            NotExplained: there are more.
        """
        is_kept = self._kept is not None and self._kept.schedule is found
        count = self._kept.named if self._kept is not None and is_kept else len(found.workload)
        if count > MOST_EXPLAINED:
            raise NotExplained(
                f"Decisions are explained from up to {MOST_EXPLAINED:,} tasks; around this instant there are {count:,}."
            )

    def _stretch(self, time: float) -> _Kept:
        if self._other is not None and self._other.holds(time):
            return self._other
        following = Stretch.objects.of_policy(self.run, self.scheduler).first_after(time)
        until = np.inf if following is None else following
        keys, known_from = self._named(time, 0)
        tasks = self._tasks(keys)
        if self.alone and (kept := self._about(tasks, time, known_from, until)) is not None:
            return kept
        found = self._schedule(tasks, known_from)
        # What is known from the beginning on was looked up for all that lies before the next stretch.
        since = known_from if np.isfinite(known_from) else min(time, until)
        return _Kept(since, until, found, len(keys))

    def _about(self, tasks: _Tasks, time: float, known_from: float, until: float) -> _Kept | None:
        """Return the schedule from the last arrival before `time` to the first one behind it.

        None where something may have happened last before that: nothing arrives, or tasks are ready later than that.
        """
        arrival = tasks.workload.arrival_time
        since = float(arrival[arrival < time].max(initial=-np.inf))
        if since == -np.inf or since < known_from:
            return None
        until = float(arrival[arrival > time].min(initial=until))
        found = self._schedule(tasks.take(np.flatnonzero(arrival < until)), since)
        if (found.outcome.ready_time != found.workload.arrival_time).any():
            return None
        return _Kept(since, until, found, len(tasks.keys))

    @property
    def until(self) -> float:
        """When the stretch ends that was looked at last; infinite for the last one."""
        return np.inf if self._kept is None else self._kept.until

    def played_again(self) -> Replay:
        """Return the whole run, to be played again; kept by run and policy.

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
        return replay((self.run.pk, self.run.created_at, self.scheduler), self._prepare)

    def _prepare(self) -> Replay:
        prepared = prepare_tasks(
            stored=self.run.workload,
            tasks=load_tasks(workload_id=self.run.workload_id, limit=self.configuration.limit),
            cluster=self.cluster,
            configuration=self.configuration,
        )
        return Replay(
            partial(
                engine.Simulation,
                workload=prepared.workload,
                cluster=prepared.cluster,
                policy=resolve_policy(self.scheduler, self.configuration.models),
                seed=self.configuration.seed,
                options=self.configuration.engine_options(prepared.cluster),
                predictor=prepared.predictor,
                site=prepared.site,
                signals=prepared.signals,
            )
        )

    def beside(self, time: float, found: Schedule) -> tuple[float | None, float | None]:
        """Return when something happens last before and first after `time`, whose stretch `found` is."""
        times = happened(found)
        later = float(times[times > time].min(initial=np.inf))
        if self._kept is not None and self._kept.schedule is found:
            # The next stretch begins with an arrival, and what comes behind that may be none of this one's tasks'.
            later = min(later, self._kept.until)
        earlier = times[(times < time) & (times >= found.known_from)]
        if not len(earlier) and np.isfinite(found.known_from):
            self._other = self._stretch(np.nextafter(time, -np.inf))
            before = happened(self._other.schedule)
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
            more = np.union1d(keys, one.task_keys) if place else one.task_keys
            if place and len(more) > MOST_EXPLAINED:
                return keys, since
            keys, since = more, one.from_time
        return keys, -np.inf

    def _schedule(self, tasks: _Tasks, known_from: float) -> Schedule:
        """Return the schedule of those that had not ended before `known_from`."""
        order = np.argsort(tasks.keys)
        placed = SchedulerResult.objects.of_tasks(
            self.run, self.scheduler, tasks.keys[order], _PLACED, ended_from=known_from
        )
        there = placed["task_id"].astype(np.int64)
        if len(there) < len(order):
            tasks = tasks.take(np.flatnonzero(np.isin(tasks.keys, there)))
        place = np.searchsorted(there, tasks.keys)
        placed = {name: column[place] for name, column in placed.items()}
        played, task_keys = tasks.workload, tasks.keys
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
        signals, lost = self._signals
        return Schedule(
            workload=played,
            cluster=self.cluster,
            policy=resolve_policy(self.scheduler, self.configuration.models),
            options=self.configuration.engine_options(self.cluster),
            outcome=outcome,
            attempts=attempts,
            estimates_known=tasks.estimates_known,
            known_from=known_from,
            seed=self.configuration.seed,
            gangs=self._gangs(task_keys),
            signals=signals,
            signals_lost=lost,
            first_arrival=None if signals is None else self._first_arrival,
        )

    @cached_property
    def _signals(self) -> tuple[Signals | None, str]:
        """The series that the run was played with, where its policy goes by some, and why they are not known."""
        if not self.configuration.series or not resolve_policy(self.scheduler, self.configuration.models).order.goes_by:
            return None, ""
        try:
            found = series_on_clock(self.configuration, self.run.workload)
        except (EngineError, InvalidOption) as error:
            return None, str(error)
        return Signals({kind: steps for _, kind, steps in found}), ""

    @cached_property
    def _first_arrival(self) -> float | None:
        return Stretch.objects.of_policy(self.run, self.scheduler).first_after(-np.inf)

    def _gangs(self, task_keys: IntArray) -> Gangs | None:
        """Return what tasks on several nodes held, by their place in `task_keys`; None where that was not kept."""
        if not self.run.knows_gangs:
            return None
        found = GangBlock.objects.of_tasks(self.run, self.scheduler, task_keys)
        order = np.argsort(task_keys)
        return replace(found, task=order[np.searchsorted(task_keys, found.task, sorter=order)])

    def _tasks(self, keys: IntArray) -> _Tasks:
        """Return tasks as the run plays them."""
        self.tasks_read += len(keys)
        tasks = some_tasks(self.run.workload, keys)
        stored = tasks.workload
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
        order = np.argsort(stored.task_id)
        return _Tasks(played, known, tasks.keys[order[np.searchsorted(stored.task_id, played.task_id, sorter=order)]])

    def _estimated(self, played: engine.Workload) -> tuple[engine.Workload, np.ndarray]:
        """Return tasks with the estimates that policies were told, and whether these are known."""
        text = self.configuration.estimates
        if text.partition(":")[0] == "predicted":
            return played, np.zeros(len(played), bool)
        asked = Estimates.parse(text)
        if asked.drawn:
            # Drawn of all tasks together.
            return played, np.zeros(len(played), bool)
        if asked.kind != "trace":
            played = replace_estimates(played, asked, np.random.default_rng(0))
        policy = resolve_policy(self.scheduler, self.configuration.models)
        perfect = any(caution["kind"] == "perfect_estimates" for caution in self.run.cautions)
        perfect = perfect and not partitions_tell(policy, played_site(self.configuration))
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
        kinds = [(name, np.float64) for name in _SPANS]
        table = Attempt.objects.of_policy(self.run, self.scheduler, kinds, np.sort(keys[several]))
        table = table[np.lexsort((table["number"], table["task_id"]))]
        spans: dict[str, Any] = {name: table[name].copy() for name in _SPANS}
        order = np.argsort(keys)
        row = order[np.searchsorted(keys[order], spans.pop("task_id").astype(np.int64))]
        whole = {name: spans[name].astype(np.int64) for name in ("number", "node", "device")}
        return Attempts(row=row, reason=np.zeros(len(row), np.int64), **{**spans, **whole})
