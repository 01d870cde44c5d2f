"""What is played, and on what: read from files, made by models, or built in Python."""

import io
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.clusters.presets import load_cluster
from scheduler_sim.engine.errors import InvalidCluster, InvalidParameter, InvalidTrace, InvalidWorkload
from scheduler_sim.engine.generators import FITTED, Generated, generate_like, generate_workload
from scheduler_sim.engine.sites import Site
from scheduler_sim.engine.traces import ReadOptions, Trace, read_trace
from scheduler_sim.engine.workloads.workload import Workload

Played = Workload | Trace | Generated
"""What `play` takes as a workload."""

Ground = Cluster | Site | str | Path
"""What `play` takes as a cluster."""


def read(
    file: str | Path | BinaryIO,
    *,
    format: str | None = None,  # noqa: A002  (the word that people use, and the command's option)
    columns: Mapping[str, str] | None = None,
) -> Trace:
    """Read a trace file: its workload, what the import noticed, and how large the machine was.

    Args:
        file: a path, or a stream of bytes; packed files are unpacked.
        format: a name of `traces.FORMATS`, such as `swf`, `sacct` or `csv`; None finds it by content.
        columns: of a csv or Parquet table, the file's name for a column of a workload, as in
            `{"arrival_time": "submitted"}`; a unit may follow, as in `submitted@ms`.

    Raises:
        InvalidTrace, InvalidWorkload: one sentence on a file that cannot be read or that holds nothing usable.
    """
    if isinstance(file, io.TextIOBase):
        raise InvalidTrace("A trace is read from bytes, and the stream is of text; open the file with mode 'rb'.")
    if not isinstance(file, str | Path) and not hasattr(file, "read"):
        raise InvalidTrace(
            f"A trace is a path or a stream of bytes, not {_kind(file)}; Workload.from_pandas, from_arrow and "
            "from_numpy take tables."
        )
    return read_trace(file, format=format, options=ReadOptions(columns=columns))


def generate(
    model: str, *, tasks: int | None = None, like: Played | None = None, seed: int = 0, **parameters: float | str | None
) -> Generated:
    """Make tasks by a model of synthetic workloads; the same arguments give the same tasks.

    Args:
        model: a name of `generators.GENERATORS`, such as `lublin` or `mixed`, or of `generators.FITTED`, such as
            `fitted`.
        tasks: how many a generator makes.
        like: the workload to which a fitted model is fitted.
        parameters: of the model, by name; `estimates` is one of each (`tsafrir`, `uniform:5` ...).

    Raises:
        InvalidParameter: an unknown model or parameter, a value out of bounds, or a model without the tasks or the
            workload that it needs.
    """
    if (like is None) == (model in FITTED) or (tasks is None) == (like is None):
        raise InvalidParameter(
            f"A generator is given tasks=, how many; one of {', '.join(FITTED)} is given like=, the workload, alone."
        )
    seed = whole_number("seed", seed, least=0)
    if like is None:
        return generate_workload(model, tasks=whole_number("tasks", tasks), seed=seed, parameters=parameters)
    fitted_to = _tasks_of(like)
    processors = getattr(like, "processors", None)
    return generate_like(model, fitted_to, seed=seed, parameters=parameters, processors=processors)


def whole_number(name: str, value: Any, *, least: int | None = None) -> int:
    """Return a whole number.

    Raises:
        InvalidParameter: it is none, or below the least.
    """
    try:
        found = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        found = None
    if found is None or (least is not None and found < least):
        above = "" if least is None else f" from {least} up"
        raise InvalidParameter(f"{name} is {value!r}, not a whole number{above}.")
    return found


def _tasks_of(workload: Played) -> Workload:
    """Return the tasks.

    Raises:
        InvalidWorkload: something else than what is played.
    """
    if not isinstance(workload, Played):
        raise InvalidWorkload(
            f"A workload is a Workload, or what read or generate returned, not {_kind(workload)}; read takes files, "
            "Workload.from_pandas, from_arrow and from_numpy take tables."
        )
    return workload if isinstance(workload, Workload) else workload.workload


def _kind(value: Any) -> str:
    kind = type(value)
    return (
        kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__.split('.')[0]}'s {kind.__qualname__}"
    )


@dataclass(frozen=True)
class Setting:
    """A workload and what it is played on.

    Attributes:
        name: of the workload.
        cluster: the machine. site: whose rules bind all tasks, `cluster` being its own; None without rules.
    """

    name: str
    workload: Workload
    cluster: Cluster
    site: Site | None = None


def setting(workload: Played, ground: Ground) -> Setting:
    """Return what is to be played on what.

    Args:
        ground: a cluster or a site, the name of a preset (`hpc-256`, `dgx-4`, `auto` ...) or a file's path.

    Raises:
        InvalidCluster: a name or file that is no cluster, or `auto` where the workload does not tell its machine.
    """
    tasks = _tasks_of(workload)
    name = {Trace: "name", Generated: "model"}.get(type(workload))
    called = getattr(workload, name) if name else f"{len(tasks):,} tasks"
    if isinstance(ground, Site):
        return Setting(called, tasks, ground.cluster, ground)
    if isinstance(ground, Cluster):
        return Setting(called, tasks, ground)
    if not isinstance(ground, str | Path):
        raise InvalidCluster(f"A cluster is a Cluster, a Site, a preset's name or a file's path, not {ground!r}.")
    return Setting(called, tasks, load_cluster(ground, max_processors=getattr(workload, "processors", None)))
