"""One pass ahead: recorded passes of a real Slurm, and what the slow simulator would start in its real state.

Whether one pass decides as Slurm does can be told exactly: the state before it is known from the log, and so is what it
started. What follows from small differences of time does not matter here.
"""

import csv
import gzip
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import NamedTuple

from scheduler_sim.engine.sites import expand_hosts
from tests.engine.reference_slurm import ReferenceSlurm
from tests.engine.reference_slurm_jobs import AWAITED, DONE, PENDING, RUNNING, Job, Share
from tests.engine.slurm_cases import Recorded

BURST_TIME = 0.35
"""Seconds within which starts by one loop belong to one pass."""


class Event(NamedTuple):
    """A line of the recorded log."""

    time: float
    kind: str
    job: str
    nodes: str
    text: str


@dataclass
class Pass:
    """What one recorded pass started, and what the simulator would: nodes by row."""

    time: float
    loop: str
    really: dict[int, tuple[int, ...]]
    simulated: dict[int, tuple[int, ...]]


class Ahead(ReferenceSlurm):
    """The simulator led through a recorded log; `decay` says when usage was first calculated."""

    def __init__(self, recorded: Recorded, *, decay: float, held: set[str]) -> None:
        super().__init__(recorded.workload, recorded.site, epoch=recorded.epoch)
        self.by_name = dict(zip(recorded.names, self.jobs, strict=True))
        self.number = {host: number for number, host in enumerate(recorded.site.hosts)}
        self.held = {self.by_name[name].row for name in held}
        self.next_decay = decay if self.site.priority.kind == "multifactor" else float("inf")
        self.coming = sorted((self._comes(job), job.row) for job in self.jobs)
        self.unplaced: list[str] = []

    def _comes(self, job: Job) -> float:
        return job.submit if isnan(job.not_before) else max(job.submit, job.not_before)

    def follow(self, until: float) -> None:
        """Let jobs come and usage be calculated up to an instant."""
        while self.next_decay <= until or (self.coming and self.coming[0][0] <= until):
            if self.coming and self.coming[0][0] < self.next_decay:
                self.now, row = self.coming.pop(0)
                job = self.jobs[row]
                job.ready_at = self.now
                self._admit(job)
                if row in self.held and job.state == PENDING and self.site.priority.kind == "basic":
                    # A job that was held goes to the end of the queue.
                    job.priority = dict.fromkeys(job.priority, -len(self.jobs) - row)
                continue
            self.now = self.next_decay
            self.accounting.calculate(self.now)
            for job in self.jobs:
                if job.state == PENDING:
                    self.accounting.prioritise(job, self.now)
            self.next_decay += self.site.priority.calculation_period_time

    def try_pass(self, loop: str, now: float) -> dict[int, tuple[int, ...]]:
        """Return what a pass would start, and leave everything as it was."""
        kept = [(job, dict(vars(job))) for job in self.jobs if job.state in (PENDING, RUNNING)]
        before = self.free.copy(), dict(self.accounting.active), list(self.events), list(self.stopping)
        waiting = {job.row for job in self.jobs if job.state == PENDING}
        self.now = now
        self.preempting.clear()
        if loop == "main":
            self.main_pass(now, is_full=True)
        else:
            self.backfill(now)
        begun = {row: tuple(node for node, _ in self.jobs[row].shares) for row in waiting if self._runs(row)}
        for job, values in kept:
            vars(job).update(values)
        self.free, self.accounting.active, self.events, self.stopping = before
        self.preempting.clear()
        return begun

    def _runs(self, row: int) -> bool:
        return self.jobs[row].state == RUNNING

    def really_start(self, job: Job, hosts: str, now: float, loop: str) -> tuple[int, ...]:
        """Start a job on the nodes on which it really did."""
        nodes = tuple(sorted(self.number[host] for host in expand_hosts(hosts)))
        shares: list[Share] | None = None
        if job.state == PENDING:
            shares = self.choice.choose(job, sum(1 << node for node in nodes), self.free, by_weight=False)
        if shares is None or tuple(node for node, _ in shares) != nodes:
            self.unplaced.append(f"{now} {hosts}")
            shares = [(node, max(job.cores // len(nodes), 1)) for node in nodes]
        self.now = now
        partition = next(
            (one for one in job.partitions if all(self.machine.nodes_of[one.name] >> node & 1 for node in nodes)),
            job.partitions[0],
        )
        self.start(job, partition, shares, now, loop)
        return nodes

    def really_end(self, job: Job, now: float, outcome: str) -> None:
        """End a job as it really did."""
        self.now = now
        if job.row in self.accounting.active:
            self._leave(job)
        if job.state != DONE:
            self._finish(job, outcome)

    def really_requeue(self, job: Job, now: float) -> None:
        """Let a job wait again that had to give way."""
        self.now = now
        if job.row not in self.accounting.active:
            return
        self._leave(job)
        job.state, job.submit = AWAITED, now
        self.coming.append((now + self.site.scheduling.requeue_delay_time, job.row))
        self.coming.sort()


def passes(
    recorded: Recorded, path: Callable[[str], Path], name: str, *, decay: float = 0.0, apart: int = 1
) -> Iterator[Pass]:
    """Yield recorded passes that started something, beside what the simulator would have started.

    Args:
        decay: when usage was first calculated. apart: how far apart those lie that are looked at; 1 for all.
    """
    with gzip.open(path(f"{name}/jobs.csv.gz"), "rt") as lines:
        rows = list(csv.DictReader(lines))
    by_number = {row["jobidraw"]: row["jobid"] for row in rows}
    ahead = Ahead(recorded, decay=decay, held={row["jobid"] for row in rows if row["kind"] == "hold"})
    with gzip.open(path(f"{name}/ctld_events.csv.gz"), "rt") as lines:
        events = [
            Event(float(row["t"]), row["event"], _job(row["jobid"], ahead, by_number), row["nodes"], row["text"])
            for row in csv.DictReader(lines)
        ]
    place = found = 0
    while place < len(events):
        event = events[place]
        ahead.follow(event.time)
        if event.kind.startswith("start_"):
            burst = []
            while place < len(events) and events[place].kind in {event.kind, "submit"}:
                if events[place].time - event.time >= BURST_TIME:
                    break
                if events[place].kind == event.kind:
                    burst.append(events[place])
                place += 1
            loop = event.kind.removeprefix("start_")
            is_looked_at = found % apart == 0
            simulated = ahead.try_pass(loop, event.time) if is_looked_at else {}
            really = {}
            for one in burst:
                job = ahead.by_name[one.job]
                really[job.row] = ahead.really_start(job, one.nodes, one.time, loop)
            found += 1
            if is_looked_at:
                yield Pass(event.time, loop, really, simulated)
            continue
        place += 1
        job_or_none = ahead.by_name.get(event.job)
        if job_or_none is None:
            continue
        job = job_or_none
        match event.kind:
            case "complete":
                ahead.really_end(job, event.time, "FAILED" if job.fails else "COMPLETED")
            case "timelimit":
                ahead.really_end(job, event.time + 0.1, "TIMEOUT")
            case "kill" if job.state not in (RUNNING, DONE):
                ahead.really_end(job, event.time, "CANCELLED")
            case "requeue":
                ahead.really_requeue(job, event.time)
            case "preempted" if "killed" in event.text:
                ahead.really_end(job, event.time + 0.1, "PREEMPTED")


def _job(text: str, ahead: Ahead, by_number: dict[str, str]) -> str:
    """Return how the accounting calls a job of the log: arrays are `9_0(11)` there, or only 11."""
    if "(" in text:
        return text.partition("(")[0]
    return text if text in ahead.by_name else by_number.get(text, "")


def tally(found: Iterator[Pass]) -> Counter[str]:
    """Count passes and starts that are the same, by loop."""
    counts: Counter[str] = Counter()
    for one in found:
        counts[f"{one.loop} passes"] += 1
        counts[f"{one.loop} passes alike"] += set(one.really) == set(one.simulated)
        both = set(one.really) & set(one.simulated)
        counts[f"{one.loop} starts"] += len(one.really)
        counts[f"{one.loop} starts alike"] += len(both)
        counts[f"{one.loop} starts on the same nodes"] += sum(one.really[row] == one.simulated[row] for row in both)
        counts[f"{one.loop} starts too many"] += len(set(one.simulated) - set(one.really))
    return counts
