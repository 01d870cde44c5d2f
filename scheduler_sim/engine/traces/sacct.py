"""Slurm's accounting as sacct prints it with `-P` (or `-p`), with any columns and delimiter, or with `--json`."""

import numpy as np

from scheduler_sim.engine.traces.assemble import LATEST_CLOCK
from scheduler_sim.engine.traces.audit import Audit
from scheduler_sim.engine.traces.raw import RawTasks
from scheduler_sim.engine.traces.registry import Reading, ReadOptions, reads
from scheduler_sim.engine.traces.sacct_guess import guess_columns
from scheduler_sim.engine.traces.sacct_jobs import SOURCES
from scheduler_sim.engine.traces.sacct_json import is_json
from scheduler_sim.engine.traces.sacct_lines import find_layout
from scheduler_sim.engine.traces.sacct_requests import Submissions, read_requests
from scheduler_sim.engine.traces.sacct_runs import is_fixed_width, read_runs
from scheduler_sim.engine.traces.sacct_waits import Waiting, read_waits
from scheduler_sim.engine.traces.source import Source
from scheduler_sim.engine.traces.table import MICROSECONDS, first_moment, seconds_since
from scheduler_sim.engine.workloads.workload import BoolArray, FloatArray, Labels

_SEVERAL = 5
_MANY_TIMES = 5


def recognises(head: list[str]) -> bool:
    """Tell sacct's output by its header or by what its columns hold, its other outputs by their first lines."""
    if is_json(head) or is_fixed_width(head):
        return True
    layout = find_layout(head[0])
    if layout is None:
        return guess_columns(head) is not None
    times = {"Submit", "Start", "Elapsed", "ElapsedRaw", "State"} & set(layout.names)
    return len(times) >= 2 or ("State" in times and "JobName" in layout.names)


@reads(
    "sacct",
    description="Slurm accounting (sacct -P with any columns and delimiter, or --json)",
    recognises=recognises,
    options=frozenset({"columns", "header", "finished_only"}),
    mappable=frozenset(SOURCES),
)
@np.errstate(over="ignore", invalid="ignore")
def read(source: Source, options: ReadOptions, audit: Audit) -> Reading:
    """Parse sacct's output.

    Job steps (`123.batch`) and jobs that never started are dropped and counted, among them those that were
    cancelled while pending, which sacct gives a start and an end but no nodes. A job that still runs keeps the time
    it has run, or is left out with `finished_only`. The records of a job that was queued again (`-D`) are one task:
    submitted as the first says, started when it first was, with the run time of the last. Time 0 is the first
    submission; the partition becomes the queue, the account the group.

    Raises:
        InvalidTrace: not what `sacct -P` or `--json` prints, or a column lacks; the message says what to print.
    """
    runs = read_runs(source, options, audit)
    table, jobs, step, idle, joined = runs.table, runs.jobs, runs.step, runs.idle, runs.joined
    joined.tell(audit, table.where)
    submitted, started, ended, eligible, runtimes = (
        runs.submitted,
        runs.started,
        runs.ended,
        runs.eligible,
        runs.runtimes,
    )
    origin = first_moment(submitted[~step])
    joined.apply(submitted=submitted, eligible=eligible, started=started, ended=ended, runtimes=runtimes)
    running = runs.states.running & ~idle & ~step
    unfinished = running & ~(joined.earlier | joined.repeated)
    left_out = step | joined.earlier | joined.repeated | ((idle | (unfinished & options.finished_only)) & ~table.broken)
    kept = ~(left_out | table.broken)
    cpus, requested_cpus = jobs.cpus()
    gpus, types, requested_gpus = jobs.gpus()
    memory = jobs.memory(cpus)
    audit.repair("ended_while_running", table.where[running & kept])
    audit.repair("requested_taken", table.where[(requested_cpus | requested_gpus) & kept])
    audit.notice("job_component", table.where[kept & runs.identifiers.map(lambda job: "+" in job, bool)])
    audit.notice("restarted", table.where[kept & jobs.restarted() & ~joined.several])
    names = runs.identifiers.objects()
    tasks = RawTasks(
        where=table.where,
        arrival_time=seconds_since(origin, submitted),
        runtime=runtimes,
        task_id=runs.numbers,
        duration_estimate=jobs.limits(),
        cpus=cpus,
        gpus=gpus,
        gpu_type=types,
        memory_mb=memory,
        user=jobs.labels("user"),
        group=jobs.labels("group"),
        queue=jobs.labels("queue"),
        recorded_start_time=seconds_since(origin, started),
        recorded_end_time=seconds_since(origin, ended) - jobs.suspended,
        external_id=names,
        incomplete=True,
    )
    lines = Submissions(table)
    asked = read_requests(table, lines, jobs.allocations(cpus, gpus, memory), tasks.queue, kept, audit)
    waiting = Waiting(
        numbers=runs.numbers,
        names=names,
        submitted=submitted,
        eligible=eligible,
        started=started,
        runtimes=runtimes,
        failed=runs.states.failed,
        kept=kept,
    )
    waits, tasks.dependencies = read_waits(table, lines, runs.identifiers, waiting, origin, audit)
    tasks.requests = {name: column for name, column in {**asked, **waits}.items() if _says(name, column)}
    _notice_window(tasks, kept, audit)
    if origin > LATEST_CLOCK * MICROSECONDS:
        audit.notice(
            "implausible_clock", table.where[[int(np.nanargmin(submitted))]], [f"{origin / MICROSECONDS:,.6g} s"]
        )
    audit.drop("job_step", table.where[step])
    audit.drop("never_started", table.where[idle & ~table.broken])
    if options.finished_only:
        audit.drop("still_running", table.where[unfinished & ~table.broken])
    return Reading(
        tasks=table.finish(tasks, audit, left_out), headers={"UnixStartTime": f"{origin / MICROSECONDS:.15g}"}
    )


def _says(name: str, column: FloatArray | Labels) -> bool:
    """Tell whether any job asks for something by a column; the others would only take room."""
    if isinstance(column, Labels):
        return any(column.names)
    return bool((column != 1).any() if name == "requeueable" else (np.nan_to_num(column) != 0).any())


def _notice_window(tasks: RawTasks, kept: BoolArray, audit: Audit) -> None:
    """Notice that the file begins in the middle: sacct -S gives the jobs that had not ended by then, however old.

    Where several jobs had started before the first one ended, and that took many times their usual run time, those
    that came and went meanwhile are missing.
    """
    if tasks.recorded_start_time is None:
        return
    started, runtimes = tasks.recorded_start_time[kept], tasks.runtime[kept]
    known = np.isfinite(started) & np.isfinite(runtimes)
    if not known.any():
        return
    first_end = float((started[known] + runtimes[known]).min())
    early = known & (started < first_end)
    usual = float(np.median(runtimes[known]))
    if early.sum() >= _SEVERAL and first_end - float(started[early].min()) > _MANY_TIMES * usual > 0:
        audit.notice("begun_before", tasks.where[kept][early], [f"--begin-time {np.ceil(first_end):.0f}"])
