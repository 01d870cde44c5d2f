"""SenseTime's Helios cluster_log.csv (Hu et al., SC 2021).

Columns: job_id, user, vc, gpu_num, cpu_num, node_num, state, submit_time, start_time, end_time (datetimes),
duration s, queue s.
"""

import numpy as np

from scheduler_sim.engine.traces.audit import Audit
from scheduler_sim.engine.traces.delimited import column_names, read_table
from scheduler_sim.engine.traces.raw import RawTasks
from scheduler_sim.engine.traces.registry import Reading, ReadOptions, reads
from scheduler_sim.engine.traces.source import Source
from scheduler_sim.engine.traces.table import MICROSECONDS, first_moment, seconds_since

_READ = frozenset(("job_id", "user", "vc", "gpu_num", "cpu_num", "submit_time", "start_time", "end_time", "duration"))


def recognises(head: list[str]) -> bool:
    """Tell a Helios log by its header."""
    return {"job_id", "gpu_num", "cpu_num", "submit_time", "duration"} <= set(column_names(head, ","))


@reads("helios", description="SenseTime's Helios cluster_log.csv", recognises=recognises)
def read(source: Source, _options: ReadOptions, audit: Audit) -> Reading:
    """Parse a Helios log; the virtual cluster becomes the queue, jobs that never started are dropped.

    The run time is `duration`, else end minus start. Time 0 is the first submission.
    """
    table = read_table(source, audit, delimiter=",", is_wanted=_READ.__contains__)
    table.require("job_id", "gpu_num", "cpu_num", "submit_time", "start_time", "duration")
    submitted, dated = table.times("submit_time", needed=True)
    started, _ = table.times("start_time")
    ended = table.times("end_time")[0] if "end_time" in table else np.full(len(table), np.nan)
    scale = MICROSECONDS if dated else 1.0
    runtimes = table.numbers("duration", needed=True, measures="runtime")
    runtimes = np.where(np.isnan(runtimes), (ended - started) / scale, runtimes)
    origin = first_moment(submitted)
    idle = np.isnan(started) & ~table.broken
    tasks = RawTasks(
        where=table.where,
        arrival_time=seconds_since(origin, submitted) if dated else submitted,
        runtime=runtimes,
        cpus=table.numbers("cpu_num", measures="cpus"),
        gpus=table.numbers("gpu_num", measures="gpus"),
        user=table.texts("user").labels() if "user" in table else None,
        queue=table.texts("vc").labels() if "vc" in table else None,
        recorded_start_time=seconds_since(origin, started) if dated else started,
        recorded_end_time=seconds_since(origin, ended) if dated else ended,
        external_id=table.texts("job_id").objects(),
    )
    idle &= ~table.broken
    audit.drop("never_started", table.where[idle])
    return Reading(tasks=table.finish(tasks, audit, idle))
