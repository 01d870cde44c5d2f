"""A slow simulator of Slurm, written from docs/slurm-twin.md; the compiled twin must agree with it exactly.

Nothing here is clever: the queue is sorted anew for every pass, every plan looks at all nodes, and limits are counted
from what runs. Times are seconds on the workload's clock.

A class a file, each on top of the one before: jobs and nodes, the choice of nodes, priorities and limits, starts and
preemption, plans, and the loops here.
"""

from dataclasses import dataclass
from heapq import heappop, heappush
from math import floor, inf, isnan
from typing import Self

from scheduler_sim.engine.sites import Partition, Site
from scheduler_sim.engine.workloads.workload import Workload
from tests.engine.reference_slurm_jobs import AWAITED, DONE, PENDING, RUNNING, Job, Share
from tests.engine.reference_slurm_plans import Plans

TICK_TIME = 1.0035
"""Seconds between two looks of the main loop, and of a backfill loop that has nothing to do."""
PASS_TIME = 0.01
"""Seconds by which a backfill pass delays the next."""

PATIENCE_TIME = 20_000
"""Seconds in which nothing runs or comes after which what waits is held to wait for ever."""

DECAY, END, RELEASE, JOB, EDGE, MAIN, BACKFILL = range(7)
"""What happens, in the order in which it does at one instant."""


@dataclass(frozen=True)
class Phases:
    """When the loops first look, in seconds of the workload's clock after its first whole second."""

    main: float = 0.5
    backfill: float = 0.25
    decay: float = 0.0
    limits: float = 0.0


class ReferenceSlurm(Plans):
    """Slurm playing one workload; `jobs` say when each started and where, by row."""

    def __init__(self, workload: Workload, site: Site, phases: Phases | None = None, *, epoch: float = 0.0) -> None:
        super().__init__(workload, site, epoch=epoch)
        self.phases = phases or Phases()
        self.events: list[tuple[float, int, int, str]] = []
        self.is_queued = False
        self.children: dict[int, list[int]] = {}
        for job in self.jobs:
            for parent in job.parents:
                self.children.setdefault(parent, []).append(job.row)

    def play(self) -> Self:
        rules = self.site.scheduling
        if not self.jobs:
            return self
        origin = floor(min(job.submit for job in self.jobs)) - 1.0
        self.last_pass = self.last_full = self.last_limits = -inf
        self.last_limits = origin + self.phases.limits
        for job in self.jobs:
            heappush(self.events, (job.submit, JOB, job.row, "submit"))
            if not isnan(job.not_before) and job.not_before > job.submit:
                heappush(self.events, (job.not_before, JOB, job.row, "ready"))
            if not isnan(job.cancel_time):
                heappush(self.events, (job.cancel_time, JOB, job.row, "cancel"))
        for one in [one for spans in self.spans.values() for one in spans]:
            for edge in (one.begin, one.end):
                heappush(self.events, (edge, EDGE, 0, "reservation"))
        for named in self.site.outages:
            for node in self.site.numbers(named.hosts):
                heappush(self.events, (named.start_time, EDGE, node, "fails" if named.kill else "goes"))
                if named.end_time is not None:
                    heappush(self.events, (named.end_time, EDGE, node, "comes"))
        first = 0
        for group in self.site.cluster.groups:
            for outage in group.outages:
                for node in range(first + group.count - outage.nodes, first + group.count):
                    heappush(self.events, (outage.start_time, EDGE, node, "fails" if outage.kill else "goes"))
                    heappush(self.events, (outage.end_time, EDGE, node, "comes"))
            first += group.count
        heappush(self.events, (origin + self.phases.main, MAIN, 0, ""))
        if rules.backfill:
            heappush(self.events, (origin + self.phases.backfill, BACKFILL, 0, ""))
        if self.site.priority.kind == "multifactor":
            heappush(self.events, (origin + self.phases.decay, DECAY, 0, ""))
        self.ticks = 0
        self.main_from = origin + self.phases.main
        last_event = self.now
        while self.events and any(job.state != DONE for job in self.jobs):
            self.now, kind, row, what = heappop(self.events)
            if kind in (END, RELEASE, JOB):
                last_event = self.now
            if self.now > last_event + PATIENCE_TIME and not self.accounting.active:
                break
            getattr(self, ("decay", "end", "release", "change", "edge", "look", "look_ahead")[kind])(row, what)
            if all(job.state in (AWAITED, DONE) for job in self.jobs) and not any(
                event[1] in (END, RELEASE, JOB) for event in self.events
            ):
                break
        return self

    def decay(self, row: int, what: str) -> None:
        self.accounting.calculate(self.now)
        for job in self.jobs:
            if job.state == PENDING:
                self.accounting.prioritise(job, self.now)
        self.has_changed = True
        heappush(self.events, (self.now + self.site.priority.calculation_period_time, DECAY, 0, ""))

    def change(self, row: int, what: str) -> None:
        """Take a submission, the end of a delay, or a cancellation."""
        job = self.jobs[row]
        if what == "cancel":
            if job.state in (AWAITED, PENDING):
                self._finish(job, "CANCELLED")
            return
        if what == "submit":
            job.ready_at = job.submit
            if not isnan(job.not_before):
                job.ready_at = max(job.submit, job.not_before)
        self._admit(job)

    def _admit(self, job: Job) -> None:
        """Queue a job whose time has come and whose parents have ended."""
        if job.state != AWAITED or isnan(job.ready_at) or job.ready_at > self.now:
            return
        if not job.is_submitted:
            if reason := self.accounting.refused(job):
                job.reason = reason
                self._finish(job, "CANCELLED")
                return
            job.is_submitted = True
        parents = [self.jobs[parent] for parent in job.parents]
        if any(parent.state != DONE for parent in parents):
            job.reason = "Dependency"
            return
        if job.needs_success and any(parent.outcome != "COMPLETED" for parent in parents):
            job.reason = "DependencyNeverSatisfied"
            if self.site.scheduling.kill_invalid_dependency:
                self._finish(job, "CANCELLED")
            return
        job.state = PENDING
        job.eligible = self.now
        self.accounting.prioritise(job, self.now)
        self.is_queued = self.has_changed = True

    def _finish(self, job: Job, outcome: str) -> None:
        job.state, job.outcome = DONE, outcome
        job.is_submitted = False
        job.end = self.now
        self.is_queued = self.has_changed = True
        for child in self.children.get(job.row, ()):
            self._admit(self.jobs[child])

    def _note_attempt(self, job: Job, now: float) -> None:
        """Note that a job has run until now, and what it had of each node where it had several."""
        job.attempts.append((job.start, now))
        if len(job.shares) > 1:
            held = sorted((node, 1000 * cores, 1000 * job.gpus_per_node, 0) for node, cores in job.shares)
            self.gangs.append((job.row, job.start, now, tuple(held)))

    def _leave(self, job: Job) -> None:
        """Give back what a job that ran holds, and let those go on that were suspended for it."""
        self._give_back(job)
        self._go_on()

    def _go_on(self) -> None:
        if any(one.is_paused for one in self.accounting.running()):
            self._settle(self.now)

    def _give_back(self, job: Job) -> None:
        self.accounting.charge(job, self.now)
        self.free.take(job, job.shares, -1)
        del self.accounting.active[job.row]
        if not job.is_paused:
            self._note_attempt(job, self.now)

    def _settle(self, now: float) -> None:
        """Suspend what has no cores, and let go on what has them: others first, then higher tiers, and those that run.

        Cores are counted, as Slurm does where they are no named ones (CR_CPU).
        """
        jobs = self.accounting.running()

        def rank(job: Job) -> tuple[int, int, bool, int]:
            leaves = any(one is job for _, one, _ in self.stopping)
            if leaves or self.preempt_mode(job) != "suspend":
                return 0, 0, False, job.number
            return 1, -self._level(job), job.is_paused, job.number

        used = [0] * self.machine.count
        for job in sorted(jobs, key=rank):
            fits = all(used[node] + cores <= self.machine.cores[node] for node, cores in job.shares)
            if fits:
                for node, cores in job.shares:
                    used[node] += cores
            if fits and job.is_paused:
                job.is_paused = False
                job.start, job.charged_to = now, floor(now)
                assert job.partition is not None
                job.ends_by = floor(now) + self.limit_of(job, job.partition) - job.ran
                self.has_changed = True
                heappush(self.events, (now + job.left, END, job.row, str(now)))
            elif not fits and not job.is_paused:
                self.accounting.charge(job, now)
                self._note_attempt(job, now)
                job.left -= now - job.start
                job.ran += floor(now) - floor(job.start)
                job.is_paused = True

    def _level(self, job: Job) -> int:
        """Return how many tiers, or QOS in a row, a job is above the lowest."""
        if self.site.preemption.kind == "partition":
            assert job.partition is not None
            return job.partition.tier
        level, below = 0, {job.qos}
        while level <= len(self.accounting.qos) and (
            below := {name for one in below if one in self.accounting.qos for name in self.accounting.qos[one].preempts}
        ):
            level += 1
        return level

    def end(self, row: int, what: str) -> None:
        job = self.jobs[row]
        if (
            job.state != RUNNING
            or job.is_paused
            or str(job.start) != what
            or any(one is job for _, one, _ in self.stopping)
        ):
            return
        self._leave(job)
        self._finish(job, "FAILED" if job.fails else "COMPLETED")

    def release(self, row: int, what: str) -> None:
        """Have the resources of a job that was told to stop; the main loop looks at once."""
        job = self.jobs[row]
        if not any(one is job for _, one, _ in self.stopping):
            return
        self.stopping = [entry for entry in self.stopping if entry[1] is not job]
        self._leave(job)
        is_requeued = what == "preempted" and job.requeueable and self.preempt_mode(job) == "requeue"
        self._requeue(job, what.upper(), may=is_requeued)
        self.has_changed = True
        self._pass(is_full=False)

    def edge(self, row: int, what: str) -> None:
        """Begin or end a reservation, or let a node go or come back; what runs on one that fails is requeued."""
        self.reserve(self.now)
        if what in {"goes", "fails"}:
            self.away[row] += 1
        if what == "comes":
            self.away[row] -= 1
        self.up = sum(1 << node for node in range(self.machine.count) if not self.away[node])
        if what == "fails":
            for job in self.accounting.running():
                if job.nodes >> row & 1:
                    self.stopping = [entry for entry in self.stopping if entry[1] is not job]
                    self._give_back(job)
                    self._requeue(job, "NODE_FAIL", may=job.requeueable)
            # One that was suspended there for another has failed with it.
            self._go_on()
        self.is_queued = self.has_changed = True

    def _requeue(self, job: Job, outcome: str, *, may: bool) -> None:
        """Let a job that was stopped wait for its next run, if it may, or end."""
        if not may:
            self._finish(job, outcome)
            return
        job.state = AWAITED
        job.submit = self.now
        job.ready_at = self.now + self.site.scheduling.requeue_delay_time
        job.reason = "BeginTime"
        heappush(self.events, (job.ready_at, JOB, job.row, "ready"))

    def start(self, job: Job, partition: Partition, shares: list[Share], now: float, by: str) -> None:
        super().start(job, partition, shares, now, by)
        heappush(self.events, (now + job.runtime, END, job.row, str(now)))
        if self.site.preemption.kind != "none" and any(self.free.cores[node] < 0 for node, _ in shares):
            self._settle(now)

    def tell_to_stop(self, job: Job, now: float, why: str) -> None:
        known = len(self.stopping)
        super().tell_to_stop(job, now, why)
        if len(self.stopping) > known:
            heappush(self.events, (self.stopping[-1][0], RELEASE, job.row, why))

    def look(self, row: int, what: str) -> None:
        """Tick: stop what is over its limit, then pass over the queue if it is time to."""
        rules = self.site.scheduling
        second = floor(self.now)
        if second - floor(self.last_limits) >= rules.limit_check_interval_time:
            self.last_limits = second
            for job in self.accounting.running():
                if job.is_graced:
                    self.ask_to_go(job, self.now)
                elif second >= job.ends_by + rules.over_limit_time and not job.is_paused:
                    self.tell_to_stop(job, self.now, "timeout")
                if not job.is_paused and self.accounting.use.is_spent(job):
                    self.tell_to_stop(job, self.now, "timeout")
        if second - self.last_full >= rules.main_interval_time:
            self.last_full = second
            self._pass(is_full=True)
        elif self.is_queued and second - self.last_pass >= rules.submission_delay_time:
            self._pass(is_full=False)
        self.ticks += 1
        heappush(self.events, (self.main_from + self.ticks * TICK_TIME, MAIN, 0, ""))

    def _pass(self, *, is_full: bool) -> None:
        self.preempting.clear()
        self.is_queued = False
        self.last_pass = floor(self.now)
        self.main_pass(self.now, is_full=is_full)

    def look_ahead(self, row: int, what: str) -> None:
        """Plan while anything waits; after what changed an empty queue costs the time of a pass, too."""
        next_look = self.now + TICK_TIME
        is_waiting = any(job.state == PENDING for job in self.jobs)
        if is_waiting or self.has_changed:
            self.has_changed = False
            self.preempting.clear()
            self.backfill(self.now)
            next_look = self.now + self.site.scheduling.backfill_interval_time + PASS_TIME
        heappush(self.events, (next_look, BACKFILL, 0, ""))
