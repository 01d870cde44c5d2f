"""What an import noticed: counted, with the first places, and never silent."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from scheduler_sim.engine.workload import IntArray, Workload

SHOWN = 10
"""How many line numbers (or row numbers) are kept of each finding."""

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
    "job_step": "job steps, which belong to a job that has its own line",
    # Repaired: the task is kept with something put right.
    "missing_estimate": (
        "tasks without an estimate, which got their run time as estimate; the import did not keep which ones"
    ),
    "duplicate_id": "tasks with a number already taken, which get a new one",
    "unusable_id": "tasks whose number is no whole number from 0 to 2**53, which get a new one",
    "unusable_value": "values of optional columns that are negative, not finite or too large, taken as unknown",
    "gpus_rounded_up": "tasks with more than one GPU and a fraction, which get the next whole number",
    "cpus_taken_as_zero": "GPU tasks whose cores are not known, taken as 0",
    "unknown_parent": "dependencies on a task that was dropped, or that a swf log leaves out, which are forgotten",
    "ended_while_running": "tasks still running when the log was written, which get the time they had run",
    # Noticed: nothing was changed.
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
    "type_without_throughput": "tasks of a job type without a throughput",
    "comment_bytes": "comment lines that are not UTF-8",
    "extra_fields": "lines with more fields than the format has, ignored",
}
"""Every finding and what it says to a person."""


@dataclass
class Finding:
    """How often something was found, and the first places (line or row numbers, from 1, ascending)."""

    count: int = 0
    places: list[int] = field(default_factory=list)


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
    processors: int | None = None
    offered_load: float | None = None

    def drop(self, reason: str, places: IntArray | list[int]) -> None:
        """Count tasks that were left out, at these line numbers."""
        _count(self.dropped, reason, places)

    def repair(self, reason: str, places: IntArray | list[int]) -> None:
        """Count tasks that were put right, at these line numbers."""
        _count(self.repaired, reason, places)

    def notice(self, reason: str, places: IntArray | list[int]) -> None:
        """Count tasks that are peculiar, at these line numbers."""
        _count(self.noticed, reason, places)

    def measure(self, workload: Workload, processors: int | None) -> None:
        """Fill the load figures from the kept tasks and the machine's size (processors, or None)."""
        self.kept = len(workload)
        self.processors = processors
        self.core_seconds = float(np.sum(workload.runtime * workload.cpus))
        self.gpu_seconds = float(np.sum(workload.runtime * workload.gpus))
        self.first_arrival_time = float(workload.arrival_time[0])
        self.estimates = int(workload.estimate_known.sum())
        self.span = float(workload.arrival_time[-1] - workload.arrival_time[0])
        self.offered_load = offered_load(workload, processors) if processors else None

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain JSON types."""
        return asdict(self)

    def sentences(self) -> list[str]:
        """Return the findings as sentences, what was dropped first."""
        lines = []
        for title, findings in (("Dropped", self.dropped), ("Repaired", self.repaired), ("Noticed", self.noticed)):
            for reason, finding in findings.items():
                places = ", ".join(str(place) for place in finding.places)
                more = " ..." if finding.count > len(finding.places) > 0 else ""
                where = f" (lines {places}{more})" if places else ""
                lines.append(f"{title}: {finding.count} {REASONS[reason]}{where}.")
        return lines


def offered_load(workload: Workload, processors: float) -> float | None:
    """Return core-seconds asked for over core-seconds there are while tasks arrive; None without a span."""
    span = float(workload.arrival_time[-1] - workload.arrival_time[0])
    if span <= 0:
        return None
    return float(np.sum(workload.runtime * workload.cpus)) / (processors * span)


def _count(findings: dict[str, Finding], reason: str, places: IntArray | list[int]) -> None:
    if reason not in REASONS:
        raise RuntimeError(f"The finding {reason} has no text in REASONS.")
    if not len(places):
        return
    finding = findings.setdefault(reason, Finding())
    finding.count += len(places)
    finding.places = sorted(finding.places + [int(place) for place in np.sort(np.asarray(places))[:SHOWN]])[:SHOWN]
