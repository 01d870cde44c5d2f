"""What a policy does on a pool of processors at one instant.

`none`, `list` and `easy` depend on nothing but the state of the instant, so their steps are made again from it. The
plan of `conservative` depends on the plans before it; it is made again by the kernel itself, from the last instant on
at which nothing waited: what ran then, and what came since, is all that it depends on.
"""

from dataclasses import replace

import numpy as np

from scheduler_sim.engine.codes import EASY, LIST, NONE
from scheduler_sim.engine.instant.decision import Decision, Decisions, NotExplained, NotKnownFarEnough, OrderNotKnown
from scheduler_sim.engine.instant.scores import refuse_to_score_some, scores_at
from scheduler_sim.engine.instant.standing import Schedule
from scheduler_sim.engine.policies import ORDERS
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray


class PoolStep:
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
        values = scores_at(self.schedule, queue, self.time)
        order = np.lexsort((queue, values))
        waiting: list[int] = queue[order].tolist()
        scores = dict(zip(waiting, values[order].tolist(), strict=True))
        tried: list[int] = []
        while True:
            self.head, self.shadow, self.extra = -1, np.nan, 0
            started = self._round(waiting, scores)
            tried += started
            gone = set(started)
            waiting = [row for row in waiting if row not in gone]
            ended = {row for row in started if self.finish[row] == self.time}
            self.running = [row for row in self.running if row not in ended]
            if not ended:
                break
        every = (*tried, *(row for row in waiting if row in self.verdicts))
        return Decisions(self.time, tuple(self.verdicts[row] for row in every), self.head, self.shadow, self.extra)

    def _round(self, waiting: list[int], scores: dict[int, float]) -> list[int]:
        free = self.processors - int(self.cpus[self.running].sum())
        cpus = dict(zip(waiting, self.cpus[waiting].tolist(), strict=True))
        started: list[int] = []

        def say(row: int, verdict: str, delay: float = np.nan) -> None:
            nonlocal free
            self.verdicts[row] = Decision(row, scores[row], verdict, free, delay)
            if verdict in ("started", "backfilled"):
                free -= cpus[row]
                started.append(row)
                self.running.append(row)

        for row in waiting:
            if cpus[row] > free:
                break
            say(row, "started")
        rest = waiting[len(started) :]
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
            elif cpus[row] > free:
                say(row, "resources")
            elif self.code == LIST or self.time + self.expected[row] <= self.shadow:
                say(row, "backfilled")
            elif cpus[row] <= self.extra:
                self.extra -= cpus[row]
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


def planned(schedule: Schedule, time: float, queue: IntArray, running: IntArray) -> Decisions:
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
    refuse_unknown(schedule, rows)
    # What ran then arrives when it started: it finds room at once, as it did.
    arrival = np.where(begun[rows], outcome.start_time[rows], workload.arrival_time[rows])
    order = np.lexsort((rows, arrival))
    rows, arrival = rows[order], arrival[order]
    # Played again by themselves they would be drawn anew, or ranked among themselves.
    refuse_to_score_some(schedule.policy.order)
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


def refuse_unknown(schedule: Schedule, rows: IntArray) -> None:
    """Refuse to make reservations again that go by estimates which are not known.

    Raises:
        OrderNotKnown: so it is.
    """
    if schedule.policy.backfill.uses_estimates and not schedule.estimates_known[rows].all():
        raise OrderNotKnown("Reservations went by estimates that are not known from what is stored.")
