"""Why tasks start or wait at one instant: what the policy does there, step by step, from the state that it finds.

Explained are policies on a pool of processors whose orders score each task by itself. `none`, `list` and `easy`
depend on nothing but the state of the instant, so their steps are made again from it. The plan of `conservative`
depends on the plans before it; it is made again by the kernel itself, from the last instant on at which nothing waited:
what ran then, and what came since, is all that it depends on.
"""

from dataclasses import dataclass, replace

import numpy as np

from scheduler_sim.engine.codes import CONSERVATIVE, EASY, LIST, NONE, STATIC
from scheduler_sim.engine.demand import not_for_pool
from scheduler_sim.engine.errors import EngineError
from scheduler_sim.engine.instant.standing import Schedule
from scheduler_sim.engine.policies import ORDERS, Order
from scheduler_sim.engine.stored_schedule import StoredSchedule
from scheduler_sim.engine.workload import FloatArray, IntArray

DRAWN = ("random_order",)
"""Orders whose score of a task depends on how many tasks there are before it."""


class NotExplained(EngineError):
    """What a policy decided cannot be told exactly; the sentence says why."""


class NotKnownFarEnough(NotExplained):
    """A plan depends on waits from before the schedule is known; more of it might explain it."""


@dataclass(frozen=True)
class Decision:
    """What was decided of one task that was ready.

    Attributes:
        row: of the workload. score: by which it was tried, the lowest first.
        verdict: `started`; `backfilled`, started ahead of the head; `resources`, too few processors are free;
            `blocked`, the head of the queue waits and nothing may pass it; `delays`, it would delay the head's
            reservation; `planned`, its reservation lies later.
        free: processors free when it was tried.
        delay: seconds by which it would delay the head, of `delays`; NaN for others.
        planned_time: when it is to start by its own reservation, NaN without one.
    """

    row: int
    score: float
    verdict: str
    free: int
    delay: float = np.nan
    planned_time: float = np.nan

    @property
    def starts(self) -> bool:
        """True when it starts at the instant."""
        return self.verdict in ("started", "backfilled")


@dataclass(frozen=True)
class Decisions:
    """What a policy did at one instant.

    Attributes:
        time: seconds; when the policy acted last, where it does nothing at the instant itself.
        decisions: of every task that was ready, in the order in which they were tried.
        head: row of the first task that did not fit, -1 where all started or there is none.
        shadow_time: when the head is to start by the estimates, NaN where nothing is reserved for it.
        extra: processors that it leaves over then.
    """

    time: float
    decisions: tuple[Decision, ...]
    head: int = -1
    shadow_time: float = np.nan
    extra: int = 0

    @property
    def started(self) -> IntArray:
        """Rows that start, ascending."""
        return np.array(sorted(one.row for one in self.decisions if one.starts), np.int64)


def decisions(schedule: Schedule, time: float, *, on_site: bool = False) -> Decisions:
    """Return what the policy decided at `time`, or when something happened last before.

    Args:
        schedule: all tasks that waited or ran at `time` or when something happened last; under conservative backfilling
            also all that did since nothing waited last, which `Schedule.known_from` must not be behind.

    Raises:
        NotExplained: the policy, the cluster or the tasks are not of the kind that is explained, estimates are unknown,
            or what is found is not what was played; `NotKnownFarEnough` where more of the schedule is needed.
    """
    _refuse(schedule, on_site=on_site)
    ready = schedule.outcome.ready_time
    start, finish = schedule.outcome.start_time, schedule.outcome.finish_time
    if schedule.policy.backfill.code != CONSERVATIVE:
        # Between two events the policy does nothing, whatever its scores would say.
        events = np.concatenate((ready, finish))
        time = float(events[events <= time].max(initial=-np.inf)) if (events <= time).any() else time
    here = np.flatnonzero((ready <= time) & (finish >= time))
    _refuse_unknown(schedule, here)
    queue = here[start[here] >= time]
    before = here[(start[here] < time) & (finish[here] > time)]
    if schedule.policy.backfill.code == CONSERVATIVE:
        found = _planned(schedule, time, queue, before)
    else:
        found = _Step(schedule, time, before).act(queue)
    if found.started.tolist() != np.sort(queue[start[queue] == time]).tolist():
        raise NotExplained(
            f"Made again, the step of {schedule.policy.name} at {time:.12g} starts other tasks than were played; it is "
            "not explained."
        )
    return found


def scores_at(schedule: Schedule, rows: IntArray, time: float, order: Order | None = None) -> FloatArray:
    """Return the scores of tasks that wait, shape (len(rows),), the lowest first.

    Args:
        order: that of the policy's queue by default.

    Raises:
        NotExplained: scores of this order depend on more than the task and its wait, or on estimates that are unknown.
    """
    order = order or schedule.policy.order
    if order.looks_ahead or order.preempts or order.needs_site or order.shares_gpus or order.name in DRAWN:
        raise NotExplained(f"Scores of {order.name} depend on more than the task and its wait; they are not stored.")
    if order.uses_estimates and not schedule.estimates_known[rows].all():
        raise NotExplained(f"{order.name} goes by estimates that are not known from what is stored.")
    some = np.sort(rows)
    policy = replace(schedule.policy, order=order)
    alone = StoredSchedule(
        workload=schedule.workload.take(some),
        cluster=schedule.cluster,
        policy=policy,
        options=schedule.options,
        outcome=schedule.outcome,
    )
    scores = alone._scores_by(order)
    if scores.kind != STATIC:
        raise NotExplained(f"Scores of {order.name} depend on what else waits and runs; they are not stored.")
    waited = time - schedule.outcome.ready_time[some]
    values: FloatArray = scores.base if scores.slope is None else scores.base - scores.slope * waited
    return values[np.searchsorted(some, rows)]


def _refuse(schedule: Schedule, *, on_site: bool) -> None:
    policy, options, cluster = schedule.policy, schedule.options, schedule.cluster
    if on_site:
        raise NotExplained("Decisions on a site, under its rules, are not explained yet.")
    if policy.preempts or options.interrupts or cluster.fails or len(schedule.attempts):
        raise NotExplained("Decisions where tasks may stop and go on are not explained yet.")
    if not cluster.is_pool:
        raise NotExplained("Decisions on a cluster of nodes are not explained yet, only those on a pool of processors.")
    if policy.backfill.predicts:
        raise NotExplained("Decisions by predictions that are made while the run goes on are not explained yet.")
    if (why := not_for_pool(schedule.workload)) is not None:
        raise NotExplained(f"{why} Decisions on others are not explained yet.")


def _refuse_unknown(schedule: Schedule, rows: IntArray) -> None:
    if schedule.policy.backfill.uses_estimates and not schedule.estimates_known[rows].all():
        raise NotExplained("Reservations go by estimates that are not known from what is stored.")


class _Step:
    """One step of none, list or easy on a pool, in plain Python."""

    def __init__(self, schedule: Schedule, time: float, running: IntArray) -> None:
        (group,) = schedule.cluster.groups
        self.schedule, self.time, self.processors = schedule, time, group.cores
        self.code = schedule.policy.backfill.code
        self.cpus = schedule.workload.cpus.astype(np.int64)
        self.expected = schedule.workload.duration_estimate / group.cpu_speed
        self.start, self.finish = schedule.outcome.start_time, schedule.outcome.finish_time
        self.running = running.tolist()
        self.verdicts: dict[int, Decision] = {}
        self.head, self.shadow, self.extra = -1, np.nan, 0

    def act(self, queue: IntArray) -> Decisions:
        """Let the policy act; where a task of no length starts, it acts once more when that has ended."""
        scores = dict(zip(queue.tolist(), scores_at(self.schedule, queue, self.time).tolist(), strict=True))
        waiting = sorted(scores, key=lambda row: (scores[row], row))
        tried: list[int] = []
        while True:
            self.head, self.shadow, self.extra = -1, np.nan, 0
            started = self._round(waiting, scores)
            tried += started
            waiting = [row for row in waiting if row not in set(started)]
            ended = [row for row in started if self.finish[row] == self.time]
            self.running = [row for row in self.running if row not in set(ended)]
            if not ended:
                break
        every = (*tried, *(row for row in waiting if row in self.verdicts))
        return Decisions(self.time, tuple(self.verdicts[row] for row in every), self.head, self.shadow, self.extra)

    def _round(self, waiting: list[int], scores: dict[int, float]) -> list[int]:
        free = self.processors - int(self.cpus[self.running].sum())
        started: list[int] = []

        def say(row: int, verdict: str, delay: float = np.nan) -> None:
            nonlocal free
            self.verdicts[row] = Decision(row, scores[row], verdict, free, delay)
            if verdict in ("started", "backfilled"):
                free -= int(self.cpus[row])
                started.append(row)
                self.running.append(row)

        rest = list(waiting)
        while rest and self.cpus[rest[0]] <= free:
            say(rest.pop(0), "started")
        if not rest:
            return started
        self.head = rest.pop(0)
        say(self.head, "resources")
        if self.code == EASY:
            self.shadow, self.extra = self._reservation(self.head)
            rest = self._backfilling_order(rest)
        for row in rest:
            if self.code == NONE:
                say(row, "blocked")
            elif self.cpus[row] > free:
                say(row, "resources")
            elif self.code == LIST or self.time + self.expected[row] <= self.shadow:
                say(row, "backfilled")
            elif self.cpus[row] <= self.extra:
                self.extra -= int(self.cpus[row])
                say(row, "backfilled")
            else:
                self.running.append(row)
                delayed, _ = self._reservation(self.head)
                self.running.remove(row)
                say(row, "delays", delayed - self.shadow)
        return started

    def _reservation(self, head: int) -> tuple[float, int]:
        """Return when a task can start by the estimates of what runs, and how many processors are left over then."""
        rows = np.array(self.running, np.int64)
        begun = np.where(self.start[rows] < self.time, self.start[rows], self.time)
        ends = np.maximum(begun + self.expected[rows], self.time)
        order = np.argsort(ends, kind="stable")
        free = self.processors - int(self.cpus[rows].sum())
        held = free + np.cumsum(self.cpus[rows][order])
        shadow = ends[order][int(np.argmax(held >= self.cpus[head]))]
        return float(shadow), free + int(self.cpus[rows][ends <= shadow].sum()) - int(self.cpus[head])

    def _backfilling_order(self, rest: list[int]) -> list[int]:
        name = self.schedule.policy.backfill.order
        if name is None:
            return rest
        rows = np.array(sorted(rest), np.int64)
        values = scores_at(self.schedule, rows, self.time, ORDERS[name]) if len(rows) else np.zeros(0)
        return [int(rows[place]) for place in np.argsort(values, kind="stable")]


def _planned(schedule: Schedule, time: float, queue: IntArray, running: IntArray) -> Decisions:
    """Play conservative backfilling again from the last instant on at which nothing waited."""
    from scheduler_sim.engine.kernels.pool.kernel import PoolKernel
    from scheduler_sim.engine.simulation import Simulation

    outcome, workload = schedule.outcome, schedule.workload
    since = _last_idle_queue(outcome.ready_time, outcome.start_time, time)
    if since < schedule.known_from:
        raise NotKnownFarEnough(
            f"The plan of {schedule.policy.name} goes back to before {schedule.known_from:.12g}: since then there were "
            "always tasks that waited. It is not made again from so far."
        )
    begun = (outcome.start_time <= since) & (outcome.finish_time > since)
    came = (workload.arrival_time > since) & (workload.arrival_time <= time)
    rows = np.flatnonzero(begun | came)
    _refuse_unknown(schedule, rows)
    # What ran then arrives when it started: it finds room at once, as it did.
    arrival = np.where(begun[rows], outcome.start_time[rows], workload.arrival_time[rows])
    order = np.lexsort((rows, arrival))
    rows, arrival = rows[order], arrival[order]
    scores_at(schedule, rows, time)
    played = Simulation(
        replace(workload.take(rows), arrival_time=arrival), schedule.cluster, schedule.policy, options=schedule.options
    )
    kernel = played.kernel
    if not isinstance(kernel, PoolKernel):
        raise NotExplained(f"Plans of {schedule.policy.name} are not explained yet.")
    played.advance(until_time=time)
    starts = played.outcome().start_time
    plan = dict(zip(rows.tolist(), kernel.reservations().tolist(), strict=True))
    begins = dict(zip(rows.tolist(), starts.tolist(), strict=True))
    cpus = workload.cpus.astype(np.int64)
    free = schedule.cluster.cores - int(cpus[running].sum())
    scores = dict(zip(queue.tolist(), scores_at(schedule, queue, time).tolist(), strict=True))
    found, head = [], -1
    for row in sorted(scores, key=lambda row: (scores[row], row)):
        if begins[row] == time:
            verdict = "started" if head < 0 else "backfilled"
            found.append(Decision(row, scores[row], verdict, free, planned_time=time))
            if outcome.finish_time[row] > time:
                free -= int(cpus[row])
            continue
        head = row if head < 0 else head
        verdict = "resources" if cpus[row] > free else "planned"
        found.append(Decision(row, scores[row], verdict, free, planned_time=plan[row]))
    return Decisions(time, tuple(found), head, plan.get(head, np.nan))


def _last_idle_queue(ready: FloatArray, start: FloatArray, time: float) -> float:
    """Return the last instant before `time` after which nothing waited; minus infinity where there is none."""
    waited = (start > ready) & (ready < time)
    candidates = np.unique(start[(start < time)])
    # Behind an instant nothing waits where as many waits have begun as have ended by then.
    began = np.searchsorted(np.sort(ready[waited]), candidates, side="right")
    ended = np.searchsorted(np.sort(start[waited]), candidates, side="right")
    idle = candidates[began == ended]
    return float(idle[-1]) if len(idle) else -np.inf
