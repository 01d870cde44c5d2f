"""WfCommons' WfFormat 1.0 to 1.6 (Coleman et al., FGCS 128, 2022), JSON: one workflow, its files and its run times.

From 1.5 on structure and measurements lie apart: `workflow.specification` has tasks (id, name, parents, children,
inputFiles, outputFiles) and files (id, sizeInBytes), `workflow.execution` what was measured of each task. Before,
`workflow.tasks` (first `workflow.jobs`) has all of it, with files (link, name, sizeInBytes) in each task. Up to 1.3
memory is `memory` in KB (1,000 bytes each, as WfCommons' wfcommons-migrate-instance.py has it), and files have `size`.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from scheduler_sim.engine.errors import InvalidTrace
from scheduler_sim.engine.traces.audit import Audit, shorten
from scheduler_sim.engine.traces.documents import begins_object, first_number, read_object, texts
from scheduler_sim.engine.traces.raw import RawTasks
from scheduler_sim.engine.traces.registry import Reading, ReadOptions, reads
from scheduler_sim.engine.traces.source import Source
from scheduler_sim.engine.workloads.workload import Labels

BYTES_PER_MB = 1e6
"""Of data that is sent: bandwidths are stated so."""

BYTES_PER_MIB = 2.0**20
"""Of memory."""

BYTES_PER_KB = 1000.0
"""Of memory up to 1.3."""

_READ_OF_TASK = frozenset(
    (
        *("id", "name", "category", "type", "command", "parents", "children", "inputFiles", "outputFiles", "files"),
        *("runtimeInSeconds", "runtime", "coreCount", "cores", "memoryInBytes", "memory"),
    )
)
"""Keys of a task that are used, and two that say nothing to a scheduler."""


def recognises(head: list[str]) -> bool:
    """Tell an object with a workflow."""
    return begins_object(head, "workflow")


@reads("wfformat", description="WfCommons' WfFormat 1.x, one workflow (JSON)", recognises=recognises)
def read(source: Source, _options: ReadOptions, audit: Audit) -> Reading:
    """Parse a workflow; line numbers in the audit are positions in its list of tasks, from 1.

    All tasks arrive at 0. A dependency carries the sizes of those outputs of the parent that the child reads; a file
    without a size carries nothing. Cores are rounded up; a task's name (its category before 1.5) becomes the group.

    Raises:
        InvalidTrace: no such JSON, or no list of tasks.
    """
    workflow = read_object(source).get("workflow")
    if not isinstance(workflow, dict):
        raise InvalidTrace(f"{source.name} must hold an object with a workflow.")
    apart = workflow.get("specification")
    listed = apart.get("tasks") if isinstance(apart, dict) else workflow.get("tasks", workflow.get("jobs"))
    if not isinstance(listed, list):
        raise InvalidTrace(f"The workflow of {source.name} has no list of tasks.")
    audit.read = len(listed)
    named = [(place, task) for place, task in enumerate(listed, 1) if isinstance(task, dict) and _name(task)]
    audit.drop("broken_line", sorted({*range(1, len(listed) + 1)} - {place for place, _ in named}))
    first: dict[str, int] = {}
    for place, task in named:
        first.setdefault(_name(task), place)
    places = [*first.values()]
    audit.drop("repeated_task", sorted({place for place, _ in named} - {*places}))
    tasks = [listed[place - 1] for place in places]
    sizes = _by_name(apart.get("files")) if isinstance(apart, dict) else {}
    execution = workflow.get("execution") if isinstance(apart, dict) else None
    measured = _by_name(execution.get("tasks")) if isinstance(execution, dict) else {}
    merged = [{**task, **measured.get(_name(task), {}), "name": task.get("name", "")} for task in tasks]
    files = [_files(task, sizes) for task in merged]
    unread = [task.keys() - _READ_OF_TASK for task in merged]
    keys = sorted(set().union(*unread))
    audit.notice("unread_keys", [at for at, more in zip(places, unread, strict=True) if more], map(shorten, keys))
    parents = _parents(tasks)
    unsized = [
        place
        for place, (inputs, outputs) in zip(places, files, strict=True)
        if any(np.isnan(size) for size in (*inputs.values(), *outputs.values()))
    ]
    audit.notice("unsized_files", unsized)
    place_of = {_name(task): row for row, task in enumerate(tasks)}
    sent = [
        [_sent(files[place_of[parent]][1], inputs) if parent in place_of else 0.0 for parent in several]
        for several, (inputs, _) in zip(parents, files, strict=True)
    ]
    count = len(tasks)
    cores = np.ceil([first_number(task, "coreCount", "cores") for task in merged])
    memory = np.array([_memory_bytes(task) for task in merged]) / BYTES_PER_MIB
    number_of = {name: row + 1 for name, row in place_of.items()}
    kinds = [str(task.get("category") or task["name"]) for task in merged]
    return Reading(
        tasks=RawTasks(
            where=np.array(places, np.int64),
            arrival_time=np.zeros(count),
            runtime=np.array([first_number(task, "runtimeInSeconds", "runtime") for task in merged], np.float64),
            task_id=np.arange(1, count + 1, dtype=np.float64),
            cpus=np.where(np.isnan(cores) | (cores < 1), 1.0, cores),
            memory_mb=None if np.isnan(memory).all() else memory,
            group=Labels.from_texts(kinds),
            external_id=np.array(list(map(_name, tasks)), object),
            dependencies=[[number_of.get(parent, parent) for parent in several] for several in parents],
            dependency_mb=sent,
        ),
        headers={"Workflow": str(apart.get("name", "")) if isinstance(apart, dict) else ""},
    )


def _name(task: dict[str, Any]) -> str:
    """Return what others call a task: its id, else its name."""
    return str(task.get("id") or task.get("name") or "")


def _memory_bytes(task: dict[str, Any]) -> float:
    stated = first_number(task, "memoryInBytes")
    return first_number(task, "memory") * BYTES_PER_KB if np.isnan(stated) else stated


def _by_name(listed: Any) -> dict[str, dict[str, Any]]:
    found = listed if isinstance(listed, list) else []
    return {str(one.get("id", "")): one for one in found if isinstance(one, dict)}


def _files(task: dict[str, Any], sizes: dict[str, dict[str, Any]]) -> tuple[dict[str, float], dict[str, float]]:
    """Return the bytes of what a task reads and of what it writes, by file."""
    if "inputFiles" in task or "outputFiles" in task:
        read, written = (
            {name: first_number(sizes.get(name, {}), "sizeInBytes") for name in texts(task.get(key))}
            for key in ("inputFiles", "outputFiles")
        )
        return read, written
    of_task = task.get("files")
    listed = [one for one in of_task if isinstance(one, dict)] if isinstance(of_task, list) else []
    read, written = (
        {
            str(one.get("id") or one.get("name")): first_number(one, "sizeInBytes", "size")
            for one in listed
            if one.get("link") == link
        }
        for link in ("input", "output")
    )
    return read, written


def _parents(tasks: list[dict[str, Any]]) -> list[list[str]]:
    """Return the parents of each task: those that it names, and those that name it among their children."""
    called = {str(task["name"]): _name(task) for task in tasks if task.get("name")}
    names = set(map(_name, tasks))

    def known(several: Iterable[str]) -> list[str]:
        # Before 1.4 tasks were called by their names, also where they had numbers.
        return [one if one in names else called.get(one, one) for one in several]

    found = {_name(task): dict.fromkeys(known(texts(task.get("parents")))) for task in tasks}
    for task in tasks:
        for child in known(texts(task.get("children"))):
            if child in found:
                found[child].setdefault(_name(task))
    return [list(found[_name(task)]) for task in tasks]


def _sent(written: dict[str, float], read: dict[str, float]) -> float:
    """Return the MB of the files that one task writes and another reads."""
    fewer, more = (written, read) if len(written) <= len(read) else (read, written)
    shared = (written[name] if not np.isnan(written[name]) else read[name] for name in fewer if name in more)
    return sum(size for size in shared if size > 0) / BYTES_PER_MB
