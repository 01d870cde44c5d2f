"""Writing the Standard Workload Format, so that reading it back gives the same numbers."""

from typing import TextIO

import numpy as np

from scheduler_sim.engine.workloads.requests import FEEDBACK
from scheduler_sim.engine.workloads.workload import FloatArray, Labels, Workload

FIELDS = 18
KB_PER_MB = 1024.0


def write_swf(workload: Workload, stream: TextIO, *, processors: int | None = None) -> dict[str, int]:
    """Write a workload as SWF and return what the format could not hold, counted by kind.

    Reading the result gives the same arrival, run time, estimate, processors, memory (as far as memory a
    processor is a whole number of KB or exact as a double), recorded start and numeric user, group and
    queue. What is lost: GPUs and their types (a task without cores is written with its GPUs as
    processors), names of users, groups and queues that are not numbers (numbered from 1 in alphabetical
    order, with a comment each), all parents but one, size, compute intensity, whether a task is hybrid,
    deadlines, predictions, text identifiers and what tasks ask of a site. Whom a task follows and its think time
    stand in fields 17 and 18, unless it has parents.

    Args:
        workload: the tasks.
        stream: where the text goes.
        processors: the machine's size for the MaxProcs header; left out when None.
    """
    write = stream.write
    write("; Version: 2.2\n")
    write(f"; MaxJobs: {len(workload)}\n; MaxRecords: {len(workload)}\n")
    if processors is not None:
        write(f"; MaxProcs: {processors}\n")
    people = []
    for title, labels in (("User", workload.user), ("Group", workload.group), ("Queue", workload.queue)):
        numbers, legend = _label_numbers(labels)
        people.append(numbers)
        for number, name in legend:
            write(f"; {title}: {number} {name}\n")
    held = np.where(workload.cpus > 0, workload.cpus, workload.gpus)
    memory = np.where(workload.memory_mb > 0, workload.memory_mb * KB_PER_MB / held, -1.0)
    waits = workload.recorded_start_time - workload.arrival_time
    counts = np.diff(workload.parents.offsets)
    preceding = np.full(len(workload), -1, np.int64)
    single = counts > 0
    preceding[single] = workload.task_id[workload.parents.rows[workload.parents.offsets[1:][single] - 1]]
    thinks = np.full(len(workload), -1.0)
    if workload.requests is not None:
        follows = ~single & (workload.requests.follows > 0)
        preceding[follows] = workload.requests.follows[follows]
        thinks[follows] = np.nan_to_num(workload.requests.think_time[follows], nan=-1.0)
    unknown = ["-1"] * len(workload)
    columns = {
        1: [str(number) for number in workload.task_id.tolist()],
        2: _texts(workload.arrival_time),
        3: _texts(np.where(np.isnan(waits) | (waits < 0), -1.0, waits)),
        4: _texts(workload.runtime),
        5: _texts(held),
        8: _texts(held),
        9: _texts(np.where(workload.estimate_known, workload.duration_estimate, -1.0)),
        10: _texts(memory),
        12: people[0],
        13: people[1],
        15: people[2],
        17: [str(number) for number in preceding.tolist()],
        18: _texts(thinks),
    }
    rows = zip(*(columns.get(number, unknown) for number in range(1, FIELDS + 1)), strict=True)
    stream.writelines(" ".join(row) + "\n" for row in rows)
    lost = {
        "gpus": int((workload.gpus > 0).sum()),
        "gpu_type": int((workload.gpu_type.texts() != "").sum()),
        "dependencies": int((counts - single).sum()),
        "size": int((~np.isnan(workload.size) & (workload.size != workload.runtime)).sum()),
        "rates": _rated(workload),
        "hybrid": int(workload.hybrid.sum()),
        "compute_intensity": int((workload.compute_intensity > 0).sum()),
        "deadline_time": int(np.isfinite(workload.deadline_time).sum()),
        "predicted_duration": int(np.isfinite(workload.predicted_duration).sum()),
        "external_id": int((workload.external_id != "").sum()),
    }
    lost |= {} if workload.requests is None else workload.requests.stated()
    for name in FEEDBACK:
        lost.pop(name, None)
    return {kind: count for kind, count in lost.items() if count}


def _rated(workload: Workload) -> int:
    """Return how many tasks have rates on kinds of GPU."""
    if workload.throughputs is None:
        return 0
    return int((~np.isnan(workload.throughputs.of(workload.group, workload.gpus)).all(1)).sum())


def _texts(column: FloatArray) -> list[str]:
    """Return numbers in the shortest text that reads back to the same double."""
    return [shortest(value) for value in column.tolist()]


def _label_numbers(labels: Labels) -> tuple[list[str], list[tuple[int, str]]]:
    """Return a number a task, and the legend when the names are not numbers themselves."""
    used = [labels.names[code] for code in np.unique(labels.codes).tolist()]
    if all(not name or (name.isascii() and name.isdigit()) for name in used):
        by_name = {name: name or "-1" for name in used}
        legend = []
    else:
        named = [name for name in used if name]
        legend = list(enumerate(named, 1))
        by_name = {"": "-1"} | {name: str(number) for number, name in legend}
    numbers = [by_name.get(name, "-1") for name in labels.names]
    return [numbers[code] for code in labels.codes.tolist()], legend


def shortest(value: float) -> str:
    """Return a number in the shortest text that reads back to the same double, whole ones without a point."""
    return str(int(value)) if value.is_integer() else repr(value)
