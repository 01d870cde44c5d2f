"""Slurm's queue at one instant as a workload, for playing it on from there."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scheduler_sim.engine.errors import InvalidTrace
from scheduler_sim.engine.traces.slurm_options import NEED_SUCCESS, read_dependencies
from scheduler_sim.engine.traces.slurm_snapshots import QueuedJob
from scheduler_sim.engine.workloads.requests import Requests
from scheduler_sim.engine.workloads.workload import Labels, Workload

_STATE_OF_PARENT = re.compile(r"\([a-z]+\)")


@dataclass(frozen=True)
class QueueState:
    """The jobs that run and wait at one instant.

    Attributes:
        workload: both; what runs has a recorded start, what waits has none. Time 0 is the first submission. A run
            time is the time limit, which is all that the queue knows of it; without one, the longest of the queue.
        now: the instant, in seconds on the workload's clock.
        zero_at: time 0 in seconds since 1970.
        held: jobs that wait for somebody to release them, which are not among the tasks.
        left_out: jobs in other states, or without cores, which are not among the tasks.
    """

    workload: Workload
    now: float
    zero_at: float
    held: tuple[str, ...]
    left_out: tuple[str, ...]


def workload_of_queue(jobs: Sequence[QueuedJob], *, at: float | None = None) -> QueueState:
    """Return the jobs of a queue as tasks.

    Args:
        jobs: as `read_queue` returns them.
        at: when they were printed, in seconds since 1970; None to tell it by what runs.

    Raises:
        InvalidTrace: no job that runs or waits, or nothing that tells the instant.
    """
    if at is None:
        shown = [
            job.started + job.elapsed
            for job in jobs
            if job.is_running and job.started is not None and job.elapsed is not None
        ]
        if not shown:
            raise InvalidTrace("Nothing in the queue tells when it was printed; print it with START_TIME and TIME.")
        at = max(shown)
    held = tuple(job.job for job in jobs if job.is_held)
    chosen = [job for job in jobs if job.cpus > 0 and (job.is_running or (job.state == "PENDING" and not job.is_held))]
    left = {job.job for job in jobs} - set(held) - {job.job for job in chosen}
    if not chosen:
        raise InvalidTrace("The queue holds no job that runs or may start.")
    started = np.array([_start(job, at) for job in chosen])
    submitted = np.array([job.submitted if job.submitted is not None else np.nan for job in chosen], np.float64)
    # Where the queue does not say when jobs came, what runs came when it started, and what waits has just come.
    arrivals = np.where(np.isnan(submitted), np.where(np.isnan(started), at, started), submitted)
    zero = float(np.fmin(arrivals, np.where(np.isnan(started), np.inf, started)).min())
    limits = np.array([np.nan if job.limit is None else job.limit for job in chosen])
    longest = float(np.nanmax(limits)) if not np.isnan(limits).all() else 0.0
    elapsed = np.where(np.isnan(started), 0.0, at - np.nan_to_num(started))
    numbers = np.arange(1, len(chosen) + 1)
    parents, needs_success = _parents(chosen)
    begin = np.array(
        [job.started if job.reason == "BeginTime" and job.started else np.nan for job in chosen], np.float64
    )
    nodes = np.array([job.nodes for job in chosen], np.int64)
    gpus = np.array([float(job.gpus_per_node) for job in chosen])
    queues = [job.partition.split(",")[0] for job in chosen]
    requests = Requests.blank(
        len(chosen),
        nodes=nodes,
        gpus_per_node=gpus,
        features=Labels.from_texts([job.features for job in chosen]),
        partitions=Labels.from_texts([job.partition if "," in job.partition else "" for job in chosen]),
        qos=Labels.from_texts([job.qos for job in chosen]),
        reservation=Labels.from_texts([job.reservation for job in chosen]),
        eligible_time=np.where(begin > arrivals, begin - zero, np.nan),
        array=np.array([job.array for job in chosen], np.int64),
        array_limit=np.array([job.array_limit for job in chosen], np.int64),
        needs_success=needs_success,
    )
    workload = Workload.from_columns(
        task_id=numbers,
        arrival_time=arrivals - zero,
        runtime=np.maximum(np.where(np.isnan(limits), longest, limits), elapsed),
        duration_estimate=limits,
        cpus=np.array([float(job.cpus) for job in chosen]),
        gpus=gpus * np.maximum(nodes, 1),
        gpu_type=[job.gpu_type for job in chosen],
        user=[job.user for job in chosen],
        group=[job.account for job in chosen],
        queue=queues,
        dependencies=parents,
        recorded_start_time=started - zero,
        external_id=[job.job for job in chosen],
        requests=requests,
    )
    return QueueState(workload=workload, now=at - zero, zero_at=zero, held=held, left_out=tuple(sorted(left)))


def _start(job: QueuedJob, at: float) -> float:
    """Return when a running job started, NaN for one that waits, whose start is only expected."""
    if not job.is_running:
        return np.nan
    return job.started if job.started is not None else at - (job.elapsed or 0.0)


def _parents(jobs: Sequence[QueuedJob]) -> tuple[list[list[int]], np.ndarray]:
    """Return the task numbers that each job waits for, and whether these must succeed; what is gone has ended."""
    number_of = {job.job: number for number, job in enumerate(jobs, 1)}
    members: dict[str, list[int]] = {}
    for number, job in enumerate(jobs, 1):
        if job.array:
            members.setdefault(str(job.array), []).append(number)
    parents: list[list[int]] = []
    needs_success = np.zeros(len(jobs), bool)
    for place, job in enumerate(jobs):
        read = read_dependencies(_STATE_OF_PARENT.sub("", job.dependency)) if job.dependency else None
        found: list[int] = []
        for kind, named in read[0] if read else ():
            for name in named:
                head, _, task = name.partition("_")
                those = members.get(head, []) if task in ("", "*") else []
                those = those or ([number_of[name]] if name in number_of else [])
                found += [number for number in those if number != place + 1]
                needs_success[place] |= bool(those) and kind in NEED_SUCCESS
        parents.append(list(dict.fromkeys(found)))
    return parents, needs_success
