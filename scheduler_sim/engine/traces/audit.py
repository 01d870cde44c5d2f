"""What an import noticed: counted, with the first places, and never silent."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from scheduler_sim.engine.workloads.workload import IntArray, Workload

Places = IntArray | list[int]

READER = 4
"""Raised when the same file would be read to other numbers; a workload keeps the one that read it."""

SHOWN = 10
"""How many line numbers (or row numbers) are kept of each finding."""

EXAMPLES = 5
"""How many examples of what was found are kept of each finding."""

_LONGEST_EXAMPLE = 80

REASONS = {
    # Dropped: the task cannot be simulated.
    "broken_line": "lines that do not hold the numbers they should",
    "unknown_arrival": "tasks whose arrival is not known",
    "negative_arrival": "tasks with a negative arrival",
    "unknown_runtime": "tasks whose run time is not known",
    "negative_runtime": "tasks with a negative run time",
    "unknown_resources": "tasks that name neither processors nor GPUs",
    "not_finite": "tasks with a number that is not finite",
    "too_large": "tasks with a number beyond 2**53",
    "never_started": "tasks that never started",
    "earlier_attempt": "earlier runs of jobs that were queued again, joined with their last one",
    "repeated_record": "records of runs that the file holds twice, of which the one that was written later counts",
    "still_running": "tasks still running when the log was written, left out as asked",
    "job_step": "job steps, which belong to a job that has its own line",
    "partial_execution": "partial executions of a job that has a line for the whole of it",
    "repeated_task": "tasks that are called as one above them, which alone counts",
    "unread_profile": "jobs whose profile is of a kind that has no meaning here, or computes at no known speed",
    # Repaired: the task is kept with something put right.
    "missing_estimate": (
        "tasks without an estimate, which got their run time as estimate; the import did not keep which ones"
    ),
    "duplicate_id": "tasks with a number already taken, which get a new one",
    "unusable_id": "tasks whose number is no whole number from 0 to 2**53, which get a new one",
    "unusable_value": "values of optional columns that are negative, not finite or too large, taken as unknown",
    "unreadable_value": "values of optional columns that are not what the column holds, taken as unknown",
    "gpus_rounded_up": "tasks with more than one GPU and a fraction, which get the next whole number",
    "cpus_taken_as_zero": "GPU tasks whose cores are not known, taken as 0",
    "gpus_taken_as_zero": "tasks whose GPUs are not known, taken as 0",
    "intensity_taken_as_zero": "tasks whose compute intensity is not known, taken as 0 (memory bound)",
    "one_instance": "jobs whose number of instances is not known, taken as 1",
    "unknown_parent": "dependencies on a task that was dropped, or that the log leaves out, which are forgotten",
    "unusable_amount": (
        "tasks with amounts of data that are no numbers from 0 up, or not one for each dependency, taken as nothing"
    ),
    "ended_while_running": "tasks still running when the log was written, which get the time they had run",
    "rejoined_line": "lines whose free text holds the delimiter or a line break, put together again",
    "foreign_bytes": "lines with bytes that are not UTF-8, which become question marks",
    "requested_taken": "tasks whose allocation is not stated, which get what they requested",
    "most_nodes_below_nodes": "tasks whose most nodes are fewer than their least, taken as just so many as the least",
    "most_width_below_least_width": "tasks whose greatest width is below their least, taken as what they ask for",
    "least_width_above_request": "elastic tasks that ask for fewer than their least width, taken as what they ask for",
    "most_width_below_request": "elastic tasks that ask for more than their greatest width, taken as what they ask for",
    "cancelled_before_arrival": "times of leaving the queue before the arrival, taken as never",
    "attempt_left_out": "attempts without a start or an end, or that end before they start, left out of the run time",
    # Noticed: nothing was changed, or in the same way for the whole file.
    "no_estimates": (
        "tasks, which are all, without an estimate: perfect estimates are assumed, and policies that use estimates "
        "(orders by length, easy, conservative, expected finishes) are told the true run times"
    ),
    "unknown_estimate": (
        "tasks without an estimate: policies that use estimates (orders by length, easy, conservative, expected "
        "finishes) are told the largest one of the queue, or of the workload where the queue states none"
    ),
    "zero_runtime": "tasks with a run time of zero",
    "estimate_below_runtime": "tasks that ran longer than their estimate",
    "unsorted": "tasks that arrive before the one above them",
    "late_clock": "first arrivals after time 0 (the clock of the trace is kept)",
    "larger_than_machine": "tasks larger than the machine that the trace describes",
    "start_before_arrival": "tasks that started before they arrived",
    "contradicting_duration": "tasks whose duration is not the end minus the start (the duration is kept)",
    "type_without_throughput": "tasks of a job type without a throughput",
    "one_rate": "tasks of several GPUs whose throughput does not depend on the number of GPUs",
    "given_duration": "tasks whose run time is the duration that the trace states, no throughput being given",
    "comment_bytes": "comment lines that are not UTF-8",
    "extra_fields": "lines with more fields than the format has, ignored",
    "zoneless": "datetimes without a time zone, taken as UTC",
    "minutes_and_seconds": "durations of two parts, taken as minutes and seconds",
    "shared_parent": "dependencies on what several tasks are called, of which the one that arrives first is meant",
    "own_unit": "values that name a unit of their own, converted to that of the column",
    "taken_from_requests": (
        "tasks whose cores, GPUs or memory no column states, taken from the nodes, tasks and amounts they ask for"
    ),
    "eligible_before_arrival": "earliest starts before the arrival, which ask for nothing",
    "one_core": "tasks of a trace without a column for cores, taken as one core each",
    "partial_without_whole": "partial executions of jobs without a line for the whole, each taken as a task",
    "unusual_header": "headers that write the size of the machine in an unusual way",
    "unreadable_header": "headers whose size of the machine cannot be read, taken as not stated",
    "nodes_as_processors": "headers of MaxNodes that stand in for MaxProcs, which is not stated",
    "implausible_clock": "first arrivals more than 3,000 years after 1970 (is it another unit? --map takes COLUMN@ms)",
    "implausible_span": "spans of the arrivals above 20 years (are the times in another unit? --map takes COLUMN@ms)",
    "within_one_second": "spans of the arrivals below one second (are the times in another unit? --map takes COLUMN@h)",
    "implausible_runtimes": "median run times above 30 days (are they in another unit? --map takes COLUMN@ms)",
    "tiny_runtimes": "longest run times below one second (are they in another unit? --map takes COLUMN@h)",
    "implausible_memory": "tasks with more than 10 TB for each core or GPU (is the memory in another unit?)",
    "job_component": "components of heterogeneous jobs, each taken as a task, although they start together",
    "restarted": (
        "tasks that were queued again, of which the file holds the last run alone, with the instant at which it was "
        "queued as submission (sacct -D prints all)"
    ),
    "begun_before": (
        "tasks that started before the file's first end, which comes late: of the time before it the file holds only "
        "what had not ended, so begin replays there"
    ),
    "unread_option": "lines of submission with options that are not understood, which ask for nothing",
    "contradicted_parent": "tasks that started before the end of one that their line waits for, taken as not waiting",
    "communication_left_out": "jobs whose profile also communicates, of which the computing alone is played",
    "unread_keys": "tasks with keys that are not read",
    "unsized_files": "tasks with files of which no size is stated, which carry nothing",
    "guessed_columns": "columns of a table without a header, named by what they hold",
}
"""Every finding and what it says to a person."""


@dataclass
class Finding:
    """How often something was found, the first places, and what stood there.

    Attributes:
        count: how often.
        places: the first line or row numbers, from 1, ascending.
        examples: some of what was found, such as the column and its text.
    """

    count: int = 0
    places: list[int] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON types; without examples there is no such key."""
        found: dict[str, Any] = {"count": self.count, "places": self.places}
        return found | {"examples": self.examples} if self.examples else found


@dataclass
class Audit:
    """The report of one import; `as_json` is what a workload's row keeps.

    Attributes:
        read: tasks (data lines) the file holds, job steps included.
        kept: tasks of the workload.
        dropped: findings that cost a task, by reason (see `REASONS`).
        repaired: findings that were put right.
        noticed: findings that changed nothing.
        core_seconds, gpu_seconds: sum over tasks of the run time times the cores (GPUs) held.
        first_arrival_time: seconds on the trace's own clock.
        span: seconds between the first and the last arrival.
        estimates: how many of them state an estimate.
        dependencies: of tasks on others.
        sent_mb: MB that tasks send to those that depend on them.
        requests: how many of them state each of what may be asked of a site, by column of `Requests`.
        processors: size of the machine by the trace's own header, None where it does not say.
        offered_load: core_seconds / (processors * span), None where either is unknown or zero.
    """

    read: int = 0
    kept: int = 0
    dropped: dict[str, Finding] = field(default_factory=dict)
    repaired: dict[str, Finding] = field(default_factory=dict)
    noticed: dict[str, Finding] = field(default_factory=dict)
    core_seconds: float = 0.0
    gpu_seconds: float = 0.0
    first_arrival_time: float = 0.0
    span: float = 0.0
    estimates: int = 0
    dependencies: int = 0
    sent_mb: float = 0.0
    requests: dict[str, int] = field(default_factory=dict)
    processors: int | None = None
    offered_load: float | None = None

    def drop(self, reason: str, places: Places, examples: Iterable[str] = ()) -> None:
        """Count tasks that were left out, at these line numbers."""
        _count(self.dropped, reason, places, examples)

    def repair(self, reason: str, places: Places, examples: Iterable[str] = ()) -> None:
        """Count tasks that were put right, at these line numbers."""
        _count(self.repaired, reason, places, examples)

    def notice(self, reason: str, places: Places, examples: Iterable[str] = ()) -> None:
        """Count tasks that are peculiar, at these line numbers."""
        _count(self.noticed, reason, places, examples)

    def measure(self, workload: Workload, processors: int | None) -> None:
        """Fill the load figures from the kept tasks and the machine's size (processors, or None)."""
        self.kept = len(workload)
        self.processors = processors
        self.core_seconds = float(np.sum(workload.runtime * workload.cpus))
        self.gpu_seconds = float(np.sum(workload.runtime * workload.gpus))
        self.first_arrival_time = float(workload.arrival_time[0])
        self.estimates = int(workload.estimate_known.sum())
        self.requests = {} if workload.requests is None else workload.requests.stated()
        self.dependencies = workload.parents.count
        self.sent_mb = workload.parents.sent_mb
        self.span = float(workload.arrival_time[-1] - workload.arrival_time[0])
        self.offered_load = offered_load(workload, processors) if processors else None

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain JSON types; no keys of requests, dependencies and data where there are none."""
        findings = {
            kind: {reason: finding.as_json() for reason, finding in getattr(self, kind).items()}
            for kind in ("dropped", "repaired", "noticed")
        }
        figures = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name not in findings}
        for name in ("requests", "dependencies", "sent_mb"):
            if not figures[name]:
                del figures[name]
        return {"reader": READER, **figures, **findings}

    def sentences(self) -> list[str]:
        """Return the findings as sentences, what was dropped first."""
        lines = []
        for title, findings in (("Dropped", self.dropped), ("Repaired", self.repaired), ("Noticed", self.noticed)):
            for reason, finding in findings.items():
                places = ", ".join(str(place) for place in finding.places)
                more = " ..." if finding.count > len(finding.places) > 0 else ""
                where = f" (lines {places}{more})" if places else ""
                what = ": " + ", ".join(finding.examples) if finding.examples else ""
                lines.append(f"{title}: {finding.count} {REASONS[reason]}{what}{where}.")
        return lines


def offered_load(workload: Workload, processors: float) -> float | None:
    """Return core-seconds asked for over core-seconds there are while tasks arrive; None without a span."""
    span = float(workload.arrival_time[-1] - workload.arrival_time[0])
    if span <= 0:
        return None
    return float(np.sum(workload.runtime * workload.cpus)) / (processors * span)


def shorten(text: str) -> str:
    """Return what an audit shows of a text: on one line, and not the whole of a long one."""
    shown = repr(text)
    return shown if len(shown) <= _LONGEST_EXAMPLE else shown[: _LONGEST_EXAMPLE - 4] + "...'"


def _count(findings: dict[str, Finding], reason: str, places: Places, examples: Iterable[str]) -> None:
    if reason not in REASONS:
        raise RuntimeError(f"The finding {reason} has no text in REASONS.")
    if not len(places):
        return
    finding = findings.setdefault(reason, Finding())
    finding.count += len(places)
    finding.places = sorted(finding.places + [int(place) for place in np.sort(np.asarray(places))[:SHOWN]])[:SHOWN]
    for example in examples:
        if len(finding.examples) >= EXAMPLES:
            break
        if example and example not in finding.examples:
            finding.examples.append(example)
