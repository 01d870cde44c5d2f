"""What tasks do between a start and an end, and in which order they wait, in the slow simulator of tasks that stop."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, inf

from tests.engine.gang_cases import Span, span
from tests.engine.reference_machine import DONE, READY, RUNNING, SUSPENDED, Machine, Piece, Task, place_of

ENDS = {"completed": "finished", "timed_out": "timed_out", "failed": "failed"}
"""What ends the last attempt of a task, by what becomes of the task."""

Attempt = tuple[int, int, float, float, int, int, str]
"""Row, number, start, end, lowest node, lowest GPU on it, reason."""


@dataclass(frozen=True)
class ReferenceRules:
    """How it is played.

    Attributes:
        discipline: `srtf`, `srsf`, `las`, `rr`, or `score` for base - slope * wait.
        backfill: of `score`. preemption: `none`, `suspend`, `checkpoint`, `requeue`.
        pausing: what a stop at a time of the task's own leaves, `suspend` or `checkpoint`.
        spread: nodes do not matter. in_place: who runs on does not move.
        overhead: seconds of each start. charge_first: whether the first start pays it.
        limits: attained service that ends each queue of las. promote: None for never. quantum: of a turn of rr.
        limit: `run`, `kill`, `requeue`. requeue_at: `old` or `end`. by_arrival: the score is the arrival.
        max_failures: None for any number. depth: of conservative backfilling, None for all.
        outages: (start, end, node), which kill.
        interval, write, read, growth: checkpoints; interval None for none.
    """

    discipline: str
    backfill: str
    preemption: str
    pausing: str = "suspend"
    spread: bool = False
    in_place: bool = False
    overhead: float = 0.0
    charge_first: bool = False
    limits: tuple[float, ...] = (3250.0, 7200.0)
    promote: float | None = None
    quantum: float = 60.0
    limit: str = "run"
    max_requeues: int = 0
    requeue_at: str = "old"
    by_arrival: bool = False
    max_failures: int | None = None
    depth: int | None = None
    outages: tuple[tuple[float, float, int], ...] = ()
    interval: float | None = None
    write: float = 0.0
    read: float = 0.0
    growth: float = 1.0


class TasksUnderWay:
    """Tasks in canonical order, on nodes as (cores, GPUs)."""

    def __init__(self, tasks: list[Task], nodes: list[tuple[int, int]], rules: ReferenceRules) -> None:
        self.tasks, self.machine, self.rules = tasks, Machine(nodes), rules
        self.preempts = rules.discipline != "score" or rules.preemption != "none"
        self.now = -inf
        self.attempts: list[Attempt] = []
        self.gangs: list[Span] = []
        self.list: list[Task] = []
        self.queues: list[list[Task]] = [[] for _ in range(len(rules.limits) + 1)]
        self.later = len(tasks)

    def span(self, work: float) -> float:
        """Return the seconds that `work` takes with its checkpoints; none is written where the work ends."""
        interval = self.rules.interval
        if interval is None:
            return work
        seconds, done = work, interval
        while done < work:
            seconds += self.rules.write
            interval = self.grown(interval)
            done += interval
        return seconds

    def grown(self, interval: float) -> float:
        return interval if self.rules.growth == 1 else floor(interval * self.rules.growth * 1000) / 1000

    def progress(self, task: Task, now: float) -> tuple[float, float]:
        """Return what was done in this attempt, and what of it lies in complete checkpoints."""
        elapsed = max(now - task.progress_from, 0.0)
        interval = self.rules.interval
        if interval is None:
            return min(elapsed, task.left), 0.0
        done = kept = 0.0
        while True:
            if done + interval >= task.left:
                return min(done + elapsed, task.left), kept
            if elapsed < interval + self.rules.write:
                return done + min(elapsed, interval), kept
            done, elapsed, interval = done + interval, elapsed - interval - self.rules.write, self.grown(interval)
            kept = done

    def estimate_now(self, task: Task) -> float:
        done = self.progress(task, self.now)[0] if task.state == RUNNING else 0.0
        return max(task.estimate_left - done, 0.0)

    def overhead_of(self, task: Task) -> float:
        seconds = self.rules.overhead if task.attempts or self.rules.charge_first else 0.0
        return seconds + (self.rules.read if task.saved else 0.0)

    # Verbs.

    def begin(self, task: Task, pieces: list[Piece]) -> None:
        task.state, task.start, task.progress_from = RUNNING, self.now, self.now + self.overhead_of(task)
        task.attempts += 1
        task.pieces, task.there_since = pieces, self.now
        work = task.left
        if self.rules.limit != "run":
            work = min(work, task.estimate - task.since_begin)
        task.attempt_work = work
        task.finish = task.progress_from + self.span(work)
        task.expected_end = task.progress_from + self.span(task.estimate_left)
        task.slice_end = self.now + self.rules.quantum
        if task.attempts == 1:
            task.first_start = self.now

    def tell(self, task: Task) -> None:
        """Note what a task on several nodes, which is about to have them no longer, has held of each."""
        if len(task.pieces) > 1:
            held = [(node, cores, dict.fromkeys(gpus, 1000)) for node, cores, gpus in task.pieces]
            self.gangs.append(span(task.row, task.there_since, self.now, held))

    def close(self, task: Task, reason: str) -> tuple[float, float]:
        """End the attempt and say what it did and what of that lies in checkpoints."""
        done, kept = self.progress(task, self.now)
        held = self.now - task.start
        task.held_seconds += held
        task.attained += held
        task.executed += held
        self.tell(task)
        node, device = place_of(task.pieces)
        self.attempts.append((task.row, task.attempts, task.start, self.now, node, device, reason))
        task.state, task.finish, task.waiting_since = SUSPENDED, inf, self.now
        return done, kept

    def stop(self, task: Task, reason: str) -> None:
        done, kept = self.close(task, reason)
        if reason == "suspended":
            keep = done
            task.since_begin += done
        else:
            keep = kept
            task.since_begin = 0.0
            task.saved = task.saved or kept > 0
        task.left -= keep
        task.estimate_left = max(task.estimate_left - keep, 0.0)
        task.service += keep
        if reason == "requeued" and self.rules.preemption == "requeue":
            task.left, task.estimate_left, task.service, task.saved = task.work, task.estimate, 0.0, False

    def finish(self, task: Task, outcome: str) -> None:
        if task.state == RUNNING:
            done, _ = self.close(task, ENDS[outcome])
            task.service += done
        task.state, task.end, task.outcome = DONE, self.now, outcome
        self.drop(task)

    # The list of active tasks.

    def add(self, task: Task) -> None:
        task.state, task.ready = READY, self.now
        task.waiting_since = self.now
        (self.queues[0] if self.rules.discipline == "las" else self.list).append(task)

    def drop(self, task: Task) -> None:
        (self.queues[task.queue] if self.rules.discipline == "las" else self.list).remove(task)

    def put_back(self, tasks: Sequence[Task]) -> None:
        """Put tasks that failed or timed out where they belong, in their order."""
        if self.rules.discipline == "las":
            for task in tasks:
                self.drop(task)
            for task in reversed(tasks):
                queue = self.queues[task.queue]
                waiting = [i for i, other in enumerate(queue) if other.state != RUNNING]
                queue.insert(waiting[0] if waiting else len(queue), task)
        if self.rules.requeue_at == "end":
            for task in sorted(tasks, key=lambda task: task.row):
                self.drop(task)
                (self.queues[task.queue] if self.rules.discipline == "las" else self.list).append(task)
                task.ready, task.tie = self.now, self.later
                self.later += 1
                if self.rules.by_arrival:
                    task.base = self.now

    def score(self, task: Task) -> float:
        return task.base - task.slope * (self.now - task.ready)

    def in_order(self) -> list[Task]:
        if self.rules.discipline == "las":
            return [task for queue in self.queues for task in queue]
        if self.rules.discipline == "srtf":
            self.list.sort(key=self.estimate_now)
        elif self.rules.discipline == "srsf":
            self.list.sort(key=lambda task: self.estimate_now(task) * task.size)
        elif self.rules.discipline == "score":
            self.list.sort(key=lambda task: (self.score(task), task.tie))
        return list(self.list)
