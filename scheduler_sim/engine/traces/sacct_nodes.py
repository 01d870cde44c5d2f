"""Which nodes jobs had, by Slurm's accounting: what a site may be inferred from."""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from scheduler_sim.engine.errors import InvalidTrace
from scheduler_sim.engine.traces.audit import Audit
from scheduler_sim.engine.traces.registry import ReadOptions
from scheduler_sim.engine.traces.sacct_jobs import COMMAND
from scheduler_sim.engine.traces.sacct_runs import read_runs
from scheduler_sim.engine.traces.source import MAX_BYTES, open_source
from scheduler_sim.engine.traces.table import MICROSECONDS
from scheduler_sim.engine.workloads.workload import LARGEST_INTEGER, FloatArray, IntArray, Labels


@dataclass(frozen=True)
class NodeUse:
    """Runs that had nodes; every column has a value a run.

    Attributes:
        name: of the file.
        nodes: host lists.
        partition, qos, features: as the accounting has them; empty where it has no such column.
        started, ended: seconds since 1970.
        cpus, requested_cpus: cores held and asked for, NaN where unknown.
        gpus, gpu_type: held.
        memory_mb: held in all, NaN where unknown.
        limit: seconds, NaN where there is none or it is not known.
    """

    name: str
    nodes: Labels
    partition: Labels
    qos: Labels
    features: Labels
    started: FloatArray
    ended: FloatArray
    cpus: FloatArray
    requested_cpus: FloatArray
    gpus: FloatArray
    gpu_type: Labels
    memory_mb: FloatArray
    limit: FloatArray


@np.errstate(over="ignore", invalid="ignore")
def read_node_use(
    file: str | Path | BinaryIO,
    *,
    options: ReadOptions | None = None,
    name: str | None = None,
    max_bytes: int = MAX_BYTES,
) -> NodeUse:
    """Read which nodes jobs had out of sacct's output.

    Args:
        file: a path, or a stream of bytes.
        options: as for a trace of the format `sacct`.
        name: what to call a stream in messages.
        max_bytes: the largest size after decompression.

    Raises:
        InvalidTrace: what `sacct` does not print, without NodeList, or without a run that had nodes.
    """
    with open_source(file, name=name, max_bytes=max_bytes) as source:
        runs = read_runs(source, options or ReadOptions(), Audit())
    table, jobs = runs.table, runs.jobs
    if "NodeList" not in table:
        raise InvalidTrace(f"{table.name} is sacct's output without NodeList; print it with {COMMAND}.")
    cpus, _ = jobs.cpus()
    gpus, _, _ = jobs.gpus()
    memory = jobs.memory(cpus)
    held = jobs.allocations(cpus, gpus, memory)
    nodes = table.texts("NodeList").map(lambda text: text.lower() not in ("", "none assigned"), bool)
    out = runs.step | runs.idle | runs.joined.repeated | table.broken
    sound = (runs.runtimes >= 0) & (cpus > 0) & ~(gpus < 0)
    for column in (runs.started / MICROSECONDS, runs.runtimes, cpus, np.nan_to_num(gpus)):
        sound &= np.abs(column) <= LARGEST_INTEGER
    rows = np.flatnonzero(nodes & ~out & sound)
    if not len(rows):
        raise InvalidTrace(f"{table.name} holds no job that ran on a node it names.")

    def labels(column: str) -> Labels:
        return _used(table.texts(column).labels() if column in table else Labels.blank(len(table)), rows)

    started = runs.started[rows] / MICROSECONDS
    return NodeUse(
        name=table.name,
        nodes=labels("NodeList"),
        partition=labels("Partition"),
        qos=labels("QOS"),
        features=labels("Constraints"),
        started=started,
        ended=started + runs.runtimes[rows],
        cpus=cpus[rows],
        requested_cpus=held.requested_cpus[rows],
        gpus=np.nan_to_num(gpus[rows]),
        gpu_type=_used(jobs.got_types(), rows),
        memory_mb=memory[rows],
        limit=jobs.limits()[rows],
    )


def _used(labels: Labels, rows: IntArray) -> Labels:
    """Return the texts of `rows`, without names that none of them has."""
    codes, places = np.unique(labels.codes[rows], return_inverse=True)
    return Labels(codes=places, names=tuple(labels.names[code] for code in codes.tolist()))
