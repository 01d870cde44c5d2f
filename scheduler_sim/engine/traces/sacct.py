"""Slurm's accounting as sacct prints it.

`sacct -P -o JobID,User,Submit,Start,End,ElapsedRaw,TimelimitRaw,AllocCPUS,ReqMem,AllocTRES,State`

Pipe separated with a header; the columns are found by name, and User, ReqMem, AllocTRES, TimelimitRaw,
Partition and Account may be missing. TimelimitRaw counts minutes, memory is in MiB (K, M, G, T).
"""

import re

import numpy as np

from scheduler_sim.engine.traces.assemble import RawTasks
from scheduler_sim.engine.traces.audit import Audit
from scheduler_sim.engine.traces.registry import Reading, ReadOptions, TraceFormat, register
from scheduler_sim.engine.traces.source import Source
from scheduler_sim.engine.traces.table import (
    Table,
    as_objects,
    column_names,
    first_moment,
    read_table,
    seconds_since,
)
from scheduler_sim.engine.workload import FloatArray, Labels

_GPU = re.compile(r"(?:^|,)gres/gpu=(\d+)")
_TYPED_GPU = re.compile(r"(?:^|,)gres/gpu:([^=,]+)=(\d+)")
_TRES_MEMORY = re.compile(r"(?:^|,)mem=([\d.]+)([KMGTP]?)")
_NODES = re.compile(r"(?:^|,)node=(\d+)")
_REQUESTED_MEMORY = re.compile(r"([\d.]+)([KMGTP]?)([nc]?)$")
_MB = {"K": 1 / 1024, "": 1.0, "M": 1.0, "G": 1024.0, "T": 1024.0**2, "P": 1024.0**3}
_SECONDS_PER_MINUTE = 60.0


def recognises(head: list[str]) -> bool:
    """Tell sacct's output by its header."""
    return {"JobID", "Submit", "ElapsedRaw"} <= set(column_names(head, "|"))


def read(source: Source, _options: ReadOptions, audit: Audit) -> Reading:
    """Parse sacct's output.

    Job steps (`123.batch`) and jobs that never started are dropped and counted. A job that is still
    running keeps the time it has run. Without a time limit in minutes there is no estimate. Time 0 is the
    first submission; the partition becomes the queue, the account the group.
    """
    table = read_table(source, audit, delimiter="|", quoted=False)
    table.require("JobID", "Submit", "Start", "ElapsedRaw", "AllocCPUS")
    jobs = table.texts("JobID")
    step = np.array(["." in job for job in jobs], bool)
    submitted, _ = table.times("Submit")
    started, _ = table.times("Start")
    cpus = table.numbers("AllocCPUS")
    gpus, types, memory = _resources(table, cpus)
    origin = first_moment(submitted)
    idle = np.isnan(started) & ~step
    kept = ~(step | idle | table.broken)
    if "State" in table:
        running = np.array([state.startswith("RUNNING") for state in table.texts("State")], bool)
        audit.repair("ended_while_running", table.where[running & kept])
    limits = np.full(len(table), np.nan)
    if "TimelimitRaw" in table:
        # UNLIMITED and Partition_Limit are no numbers and no faults.
        texts = table.texts("TimelimitRaw").tolist()
        limits = np.array([float(text) if text.isdigit() else np.nan for text in texts])
    tasks = RawTasks(
        where=table.where,
        arrival_time=seconds_since(origin, submitted),
        runtime=table.numbers("ElapsedRaw"),
        duration_estimate=limits * _SECONDS_PER_MINUTE,
        cpus=cpus,
        gpus=gpus,
        gpu_type=types,
        memory_mb=memory,
        user=Labels.from_texts(table.texts("User")) if "User" in table else None,
        group=Labels.from_texts(table.texts("Account")) if "Account" in table else None,
        queue=Labels.from_texts(table.texts("Partition")) if "Partition" in table else None,
        recorded_start_time=seconds_since(origin, started),
        external_id=jobs,
    )
    kept &= ~table.broken
    audit.drop("job_step", table.where[step])
    audit.drop("never_started", table.where[idle & ~table.broken])
    audit.drop("broken_line", table.where[table.broken & ~step])
    return Reading(tasks=tasks.take(kept))


def _resources(table: Table, cpus: FloatArray) -> tuple[FloatArray, Labels | None, FloatArray]:
    """Return GPUs, their types and MB from AllocTRES, and the memory from ReqMem where that lacks it."""
    blank = as_objects([""] * len(table))
    allocated = table.texts("AllocTRES") if "AllocTRES" in table else blank
    requested = table.texts("ReqMem") if "ReqMem" in table else blank
    gpus = np.zeros(len(table))
    memory = np.full(len(table), np.nan)
    types = []
    for row, (tres, wanted) in enumerate(zip(allocated.tolist(), requested.tolist(), strict=True)):
        typed = _TYPED_GPU.findall(tres)
        total = _GPU.search(tres)
        gpus[row] = int(total.group(1)) if total else sum(int(count) for _, count in typed)
        types.append("|".join(sorted({model for model, _ in typed})))
        held, asked = _TRES_MEMORY.search(tres), _REQUESTED_MEMORY.match(wanted)
        if held:
            memory[row] = _number(held.group(1)) * _MB[held.group(2)]
        elif asked:
            # Older versions mark memory a core with c and memory a node with n.
            nodes = _NODES.search(tres)
            times = {"c": cpus[row], "n": float(nodes.group(1)) if nodes else 1.0, "": 1.0}[asked.group(3)]
            memory[row] = _number(asked.group(1)) * _MB[asked.group(2)] * times
    return gpus, Labels.from_texts(as_objects(types)) if "AllocTRES" in table else None, memory


def _number(text: str) -> float:
    return float(text) if text.replace(".", "", 1).isdigit() else np.nan


SACCT = register(
    TraceFormat(
        name="sacct",
        description="Slurm accounting (sacct -P, pipe separated)",
        recognises=recognises,
        read=read,
    )
)
