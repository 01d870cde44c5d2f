"""Writing workloads: everything of one import or none of it."""

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from django.db import IntegrityError, models, transaction

from apps.tasks.errors import WorkloadError
from apps.tasks.models import Task, TaskRequest, Workload
from apps.tasks.stored_tasks import load_tasks
from scheduler_sim import engine
from scheduler_sim.engine.generators import FITTED, Generated, generate_like, generate_workload
from scheduler_sim.engine.packed.unpack import ENDINGS
from scheduler_sim.engine.sampling import Arrivals, Draw, sample_tasks
from scheduler_sim.engine.workloads.requests import TEXTS
from scheduler_sim.engine.workloads.workload import Labels

if TYPE_CHECKING:
    # The readers of traces bring Arrow, for which a run of a stored workload need not wait.
    from scheduler_sim.engine.traces import Audit, ReadOptions

Progress = Callable[[str], None]
"""Told in a few words what is being done."""

USUAL_TASKS = 10_000
"""So many tasks a generator makes where nobody says how many."""

FIRST_READER = 1
"""The version of the reader that did not write its number into the audit."""

_SUFFIXES = {
    *ENDINGS,
    *(".swf", ".csv", ".tsv", ".psv", ".txt", ".trace", ".json", ".parquet", ".log"),
}


def workload_import(
    *,
    file: str | Path | BinaryIO,
    name: str | None = None,
    format: str | None = None,  # noqa: A002  (the word that people use, and the command's option)
    options: "ReadOptions | None" = None,
    file_name: str | None = None,
    max_bytes: int | None = None,
    max_rows: int | None = None,
    progress: Progress | None = None,
) -> tuple[Workload, bool]:
    """Read a trace into a stored workload, in one transaction.

    Args:
        file: a path, or a stream of bytes.
        name: of the workload; made from the file's name when not given.
        format: a trace format; None to find it by content.
        options: choices of the format.
        file_name: what to call a stream.
        max_bytes: the largest size after decompression; None for what traces may have.
        max_rows: the largest number of rows, of text of lines; None for any.
        progress: told what is being done.

    Returns:
        The workload, and whether it is new: the same file read in the same way is stored once. What an earlier
        version of the reader stored stays as it is, and the file is read anew.

    Raises:
        InvalidTrace, InvalidWorkload: the file cannot be read; nothing is stored.
        WorkloadError: the name is taken or too long, or a text does not fit its column; nothing is stored.
    """
    from scheduler_sim.engine.traces import choose_format, fingerprint, open_source, read_source
    from scheduler_sim.engine.traces.audit import READER
    from scheduler_sim.engine.traces.source import MAX_BYTES

    tell = progress or (lambda _text: None)
    tell("reading")
    with open_source(file, name=file_name, max_bytes=max_bytes or MAX_BYTES, max_rows=max_rows) as source:
        trace_format = choose_format(source, format, options)
        sha256 = fingerprint(source, trace_format, options)
        known = Workload.objects.filter(source_sha256=sha256).first()
        if known is not None and known.audit.get("reader", FIRST_READER) < READER:
            sha256 = fingerprint(source, trace_format, options, reader=READER)
            known = Workload.objects.filter(source_sha256=sha256).first()
        if known is not None:
            return known, False
        _refuse_name(name)
        trace = read_source(source, trace_format, options)
    tell(f"writing {len(trace.workload):,} tasks")
    try:
        return _store(
            tasks=trace.workload,
            audit=trace.audit,
            headers=trace.headers,
            name=name or _free_name(_stem(source.name)),
            source=trace.format,
            source_file_name=source.name[:255],
            source_sha256=sha256,
        ), True
    except IntegrityError:
        # Another process stored the same file, or took the name, since the look-up above.
        known = Workload.objects.filter(source_sha256=sha256).first()
        if known is None:
            raise
        return known, False


def workload_of_file(
    *, file: BinaryIO, file_name: str, name: str, kept: Mapping[str, Any], max_rows: int, **origin: Any
) -> Workload:
    """Store the tasks of a small csv table that belongs to something else, which the workload names as its source.

    Args:
        name: of the workload, with a number behind it where it is taken.
        kept: what the audit keeps beside its findings.
        origin: `source` and `source_sha256`.

    Raises:
        InvalidTrace, InvalidWorkload: the table cannot be read; nothing is stored.
        WorkloadError: a line of it would be left out or repaired, or the same is stored already; nothing is stored.
    """
    from scheduler_sim.engine.traces import FORMATS, open_source, read_source

    with open_source(file, name=file_name, max_rows=max_rows) as source:
        trace = read_source(source, FORMATS["csv"])
    if trace.audit.dropped or trace.audit.repaired:
        raise WorkloadError(f"Its tasks cannot be taken as they are. {' '.join(trace.audit.sentences())}")
    try:
        return _store(
            tasks=trace.workload,
            audit=trace.audit,
            kept=kept,
            name=_free_name(name),
            source_file_name=file_name,
            **origin,
        )
    except IntegrityError as error:
        raise WorkloadError(f"{name} was stored by another process at this moment.") from error


def workload_generate(
    *,
    model: str,
    tasks: int | None = None,
    like: Workload | None = None,
    seed: int,
    name: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> tuple[Workload, bool]:
    """Make a synthetic workload and store it, in one transaction.

    Args:
        tasks: how many a generator makes; None for `USUAL_TASKS`.
        like: the stored workload to which a fitted model is fitted.

    Returns:
        The workload, and whether it is new: the same model with the same parameters, seed and number of
        tasks, fitted to the same tasks, is stored once, unless another name is asked for.

    Raises:
        InvalidParameter: an unknown model or parameter, a value out of bounds, or a workload to which the model cannot
            be fitted; nothing is stored.
        WorkloadError: the name is taken by another workload, or too long, or the model needs a workload, or takes none;
            nothing is stored.
    """
    tell = progress or (lambda _text: None)
    kept: dict[str, str] = {}
    if like is None:
        if model in FITTED:
            raise WorkloadError(f"The model {model} is fitted to a stored workload; name one with --from.")
        tasks = USUAL_TASKS if tasks is None else tasks
        tell(f"generating {tasks:,} tasks")
        generated, base = generate_workload(model, tasks=tasks, seed=seed, parameters=parameters), f"{model}-{tasks}"
    else:
        if tasks is not None:
            raise WorkloadError(f"How many tasks {model} makes follows from its days; leave the number out.")
        generated, kept = _generate_like(model, like, seed, parameters, tell)
        base = f"{like.name[:160]}-{model}"
    tasks = len(generated.workload)
    origin: dict[str, Any] = {
        "source": f"synthetic:{generated.model}",
        "generator_parameters": generated.parameters | kept,
        "seed": seed,
        "task_count": tasks,
    }
    same = Workload.objects.filter(**origin)
    known = (same.filter(name=name) if name else same).order_by("id").first()
    if known is not None:
        return known, False
    _refuse_name(name)
    from scheduler_sim.engine.traces import Audit

    audit = Audit(read=tasks)
    audit.measure(generated.workload, generated.processors)
    tell(f"writing {tasks:,} tasks")
    origin.pop("task_count")
    stored = _store(
        tasks=generated.workload,
        audit=audit,
        kept={} if like is None else {"fitted_to": like.name},
        name=name or _free_name(f"{base}-seed{seed}"),
        **origin,
    )
    return stored, True


def _generate_like(
    model: str, like: Workload, seed: int, parameters: Mapping[str, Any] | None, tell: Progress
) -> tuple[Generated, dict[str, str]]:
    """Return tasks like those of a stored workload, and what says which these were."""
    tell(f"reading {like.name}")
    found = load_tasks(workload_id=like.pk)
    tell(f"generating tasks like those of {like.name}")
    generated = generate_like(model, found.workload, seed=seed, parameters=parameters, processors=like.max_processors)
    return generated, {"fitted_to": found.digest}


SAMPLE = "sample"
"""The source of a workload that was drawn from another one."""


def workload_sample(
    *, of: Workload, tasks: int, seed: int, draw: Draw, arrivals: Arrivals, progress: Progress | None = None
) -> tuple[Workload, bool]:
    """Draw tasks of a stored workload by a seed and store them as one, in one transaction.

    Returns:
        The workload, and whether it is new: the same sample of the same tasks is stored once.

    Raises:
        WorkloadError: `of` was not imported from a file, whose sha256 would say which it is; nothing is stored.
        InvalidParameter: such a sample cannot be drawn; nothing is stored.
    """
    if not of.source_sha256:
        raise WorkloadError(
            f"Workload {of.name} was not imported from a file, and only such are sampled; a generator makes tasks of "
            f"its own for every seed."
        )
    origin: dict[str, Any] = {
        "source": SAMPLE,
        "generator_parameters": {"sample_of": of.source_sha256, "draw": draw, "arrivals": arrivals},
        "seed": seed,
    }
    known = Workload.objects.filter(task_count=tasks, **origin).order_by("id").first()
    if known is not None:
        return known, False
    if progress is not None:
        progress(f"drawing {tasks:,} tasks of {of.name}")
    drawn = sample_tasks(load_tasks(workload_id=of.pk).workload, tasks=tasks, draw=draw, arrivals=arrivals, seed=seed)
    from scheduler_sim.engine.traces import Audit

    audit = Audit(read=tasks)
    audit.measure(drawn, of.max_processors)
    name = _free_name(f"{of.name[:160]}-{tasks}-seed{seed}")
    return _store(tasks=drawn, audit=audit, name=name, source_file_name=of.source_file_name, **origin), True


def workload_find_or_import(wanted: str) -> tuple[Workload, bool]:
    """Return the workload called `wanted`, else import the file of that path; and whether it was imported now.

    Raises:
        WorkloadError: there is neither such a workload nor such a file.
        InvalidTrace, InvalidWorkload: the file cannot be read; nothing is stored.
    """
    stored = Workload.objects.filter(name=wanted).first()
    if stored is not None:
        return stored, False
    _refuse_unknown(wanted)
    return workload_import(file=wanted)


def workload_stored(name: str) -> Workload:
    """Return the stored workload of a name.

    Raises:
        WorkloadError: there is none; the sentence names the nearest.
    """
    stored = Workload.objects.filter(name=name).first()
    if stored is None:
        raise WorkloadError(f"There is no workload called {name!r}.{_nearest(name)}")
    return stored


def workload_preview(wanted: str) -> tuple[engine.Workload, int | None]:
    """Return the tasks that `workload_find_or_import` would give, and the machine's size; store nothing.

    Raises:
        WorkloadError, InvalidTrace, InvalidWorkload: as `workload_find_or_import`.
    """
    stored = Workload.objects.filter(name=wanted).first()
    if stored is not None:
        return load_tasks(workload_id=stored.pk).workload, stored.max_processors
    _refuse_unknown(wanted)
    from scheduler_sim.engine.traces import read_trace

    trace = read_trace(wanted)
    return trace.workload, trace.processors


@transaction.atomic
def _store(
    *,
    tasks: engine.Workload,
    audit: "Audit",
    headers: Mapping[str, str] | None = None,
    kept: Mapping[str, Any] | None = None,
    **row: Any,
) -> Workload:
    _refuse_texts(tasks)
    workload = Workload.objects.create(
        task_count=len(tasks),
        first_arrival_time=float(tasks.arrival_time[0]),
        last_arrival_time=float(tasks.arrival_time[-1]),
        max_processors=audit.processors,
        core_seconds=audit.core_seconds,
        gpu_seconds=audit.gpu_seconds,
        offered_load=audit.offered_load,
        audit=audit.as_json() | {"headers": dict(headers or {}), **(kept or {})},
        throughputs=None if tasks.throughputs is None else tasks.throughputs.as_json(),
        **row,
    )
    Task.objects.bulk_create_columns(workload_id=workload.pk, columns=_columns(tasks))
    if tasks.requests is not None and tasks.requests.stated():
        by_number = tasks.requests.take(np.argsort(tasks.task_id, kind="stable"))
        TaskRequest.objects.bulk_create_columns(workload_id=workload.pk, requests=by_number)
    return workload


def _columns(tasks: engine.Workload) -> dict[str, Any]:
    """Return the engine's columns as the table's; a column that is the same in every row as one value."""
    names = ("task_id", "arrival_time", "runtime", "compute_intensity", "memory_mb")
    columns: dict[str, Any] = {name: getattr(tasks, name) for name in (*names, "cpus", "gpus")}
    columns["duration_estimate"] = np.where(tasks.estimate_known, tasks.duration_estimate, np.nan)
    columns |= {name: getattr(tasks, name) for name in ("size", "deadline_time", "predicted_duration")}
    columns["recorded_start_time"] = tasks.recorded_start_time
    for name, values in columns.items():
        if values.dtype == np.float64 and np.isnan(values).all():
            columns[name] = None
    for name in ("gpu_type", "user", "group", "queue"):
        labels: Labels = getattr(tasks, name)
        columns[name] = labels.texts() if len(labels.names) > 1 else labels.names[0]
    columns["external_id"] = tasks.external_id if any(tasks.external_id) else ""
    if tasks.parents.count:
        columns["dependencies"] = tasks.dependencies()
    if tasks.parents.mb is not None:
        columns["dependency_mb"] = [amounts if any(amounts) else None for amounts in tasks.dependency_mb()]
    columns["kind"] = Task.Kind.RIGID.value
    if tasks.hybrid.any():
        columns["kind"] = np.where(tasks.hybrid, Task.Kind.HYBRID.value, Task.Kind.RIGID.value).astype(object)
    return columns


def _refuse_name(name: str | None) -> None:
    if name is None:
        return
    longest = Workload.NAME_LENGTH
    if not name.strip() or len(name) > longest or "\0" in name:
        raise WorkloadError(f"A workload's name must have 1 to {longest} characters, none of them NUL.")
    if Workload.objects.filter(name=name).exists():
        raise WorkloadError(f"There is a workload called {name!r} already; choose another name.")


def _refuse_texts(tasks: engine.Workload) -> None:
    texts: dict[str, Any] = {name: getattr(tasks, name).names for name in ("gpu_type", "user", "group", "queue")}
    asked: dict[str, Any] = {}
    if tasks.requests is not None:
        asked = {name: getattr(tasks.requests, name).names for name in sorted(TEXTS)}
    for name, values in (texts | {"external_id": tasks.external_id} | asked).items():
        # SQLite would store it, PostgreSQL cannot; and no text that means something holds one.
        if any("\0" in value for value in values):
            raise WorkloadError(f"Column {name} holds a NUL character, which cannot be stored.")
        field = (TaskRequest if name in asked else Task)._meta.get_field(name)
        if not isinstance(field, models.CharField) or field.max_length is None:
            continue
        longest = max(map(len, values), default=0)
        if longest > field.max_length:
            raise WorkloadError(
                f"Column {name} holds a text of {longest} characters, where {field.max_length} are allowed."
            )


def _refuse_unknown(wanted: str) -> None:
    # The file itself is opened by the reader, which says what is wrong with one that exists.
    if Path(wanted).exists():
        return
    raise WorkloadError(f"There is no workload and no file called {wanted!r}.{_nearest(wanted)}")


def _nearest(wanted: str) -> str:
    names = list(Workload.objects.values_list("name", flat=True)[:1000])
    nearest = difflib.get_close_matches(wanted, names, n=1)
    return f" Did you mean {nearest[0]}?" if nearest else ""


def _stem(file_name: str) -> str:
    path = Path(file_name)
    while path.suffix.lower() in _SUFFIXES:
        path = path.with_suffix("")
    return path.name[:180] or "workload"


def _free_name(wanted: str) -> str:
    """Return `wanted`, with the first number from 2 behind it that makes it unique."""
    taken = set(Workload.objects.filter(name__startswith=wanted).values_list("name", flat=True))
    if wanted not in taken:
        return wanted
    return next(f"{wanted}-{number}" for number in range(2, len(taken) + 3) if f"{wanted}-{number}" not in taken)
