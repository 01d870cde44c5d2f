"""Microsoft's Philly cluster_job_log (Jeon et al., USENIX ATC 2019), JSON.

A list of objects: status, vc, jobid, user, submitted_time, attempts [start_time, end_time, detail [ip,
gpus []]]. Times may be None and attempts empty; the GPU count comes from detail.
"""

import json
import re
from typing import Any

import numpy as np

from scheduler_sim.engine.errors import InvalidTrace
from scheduler_sim.engine.traces.audit import Audit
from scheduler_sim.engine.traces.raw import RawTasks
from scheduler_sim.engine.traces.registry import Reading, ReadOptions, reads
from scheduler_sim.engine.traces.source import Source
from scheduler_sim.engine.traces.table import MICROSECONDS, Table, first_moment, seconds_since
from scheduler_sim.engine.traces.texts import Texts

_KEYS = re.compile(r'"(?:jobid|vc|submitted_time|attempts)"\s*:')


def recognises(head: list[str]) -> bool:
    """Tell a JSON list with the log's keys."""
    return head[0].lstrip().startswith("[") and any(map(_KEYS.search, head))


@reads("philly", description="Microsoft's Philly cluster_job_log (JSON)", recognises=recognises)
def read(source: Source, _options: ReadOptions, audit: Audit) -> Reading:
    """Parse a Philly log; line numbers in the audit are positions in the list, from 1.

    The run time is the sum over attempts of end minus start, the GPUs the most that any attempt held. Attempts
    that are errors of the log (no start, no end although another follows, an end before the start) are left out
    of the sum and counted. A job whose last attempt has a start and no end was still running when the log was
    taken: its run time is not known. A job without any attempt of known length never started, unless an attempt
    was left out: then its run time is not known. Time 0 is the first submission; the virtual cluster becomes the
    queue.
    """
    try:
        jobs = json.loads(source.text())
    except (ValueError, RecursionError) as error:
        raise InvalidTrace(f"{source.name} is not valid JSON: {error}.") from error
    if not isinstance(jobs, list):
        raise InvalidTrace(f"{source.name} must hold a list of jobs.")
    audit.read = len(jobs)
    sound = [(place, job) for place, job in enumerate(jobs, 1) if _is_job(job)]
    audit.drop("broken_line", [place for place, job in enumerate(jobs, 1) if not _is_job(job)])
    attempts = [(row, attempt) for row, (_, job) in enumerate(sound) for attempt in job["attempts"]]
    owners = np.array([row for row, _ in attempts], np.int64)
    times = Table(
        name=source.name,
        where=owners,
        columns={key: Texts.of([attempt.get(key) for _, attempt in attempts]) for key in ("start_time", "end_time")},
    )
    table = Table(
        name=source.name,
        where=np.array([place for place, _ in sound], np.int64),
        columns={
            key: Texts.of([job.get(key) for _, job in sound]) for key in ("submitted_time", "vc", "jobid", "user")
        },
    )
    submitted, dated = table.times("submitted_time", needed=True)
    started, ended = times.times("start_time", needed=True)[0], times.times("end_time", needed=True)[0]
    # A text that is no datetime breaks the job.
    table.broken[owners[times.broken]] = True
    last = np.zeros(len(owners), bool)
    last[np.flatnonzero(np.append(owners[1:] != owners[:-1], True))[: len(owners)]] = True
    with np.errstate(invalid="ignore"):
        running = ~np.isnan(started) & np.isnan(ended) & last
        ran = ended >= started
    wrong = ~ran & ~running & ~times.broken
    runtimes = np.zeros(len(sound))
    np.add.at(runtimes, owners[ran], (ended - started)[ran])
    runtimes[owners[running]] = np.nan
    first_start = np.full(len(sound), np.inf)
    np.minimum.at(first_start, owners[ran | running], started[ran | running])
    gpus = np.zeros(len(sound))
    np.maximum.at(gpus, owners, np.array([_gpus(attempt) for _, attempt in attempts], np.float64))
    idle = np.isinf(first_start) & ~table.broken
    first_start[np.isinf(first_start)] = np.nan
    in_error = np.zeros(len(sound), bool)
    in_error[owners[wrong]] = True
    runtimes[idle & in_error] = np.nan
    idle &= ~in_error
    repaired = wrong & ~np.isnan(runtimes[owners]) & ~table.broken[owners]
    audit.repair("attempt_left_out", table.where[owners[repaired]])
    origin = first_moment(submitted)
    tasks = RawTasks(
        where=table.where,
        arrival_time=seconds_since(origin, submitted) if dated else submitted,
        runtime=runtimes / MICROSECONDS if dated else runtimes,
        gpus=gpus,
        user=table.texts("user").labels(),
        queue=table.texts("vc").labels(),
        recorded_start_time=seconds_since(origin, first_start) if dated else first_start,
        external_id=table.texts("jobid").objects(),
    )
    audit.drop("never_started", table.where[idle])
    return Reading(tasks=table.finish(tasks, audit, idle))


def _is_job(job: Any) -> bool:
    if not (isinstance(job, dict) and isinstance(job.get("attempts"), list)):
        return False
    return all(isinstance(attempt, dict) and isinstance(attempt.get("detail"), list) for attempt in job["attempts"])


def _gpus(attempt: dict[str, Any]) -> int:
    return sum(len(node.get("gpus") or ()) for node in attempt["detail"] if isinstance(node, dict))
