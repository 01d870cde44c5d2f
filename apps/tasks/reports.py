"""How the commands show a workload and its audit."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError
from django.db import DatabaseError
from rich.console import Console
from rich.status import Status
from rich.table import Table

from apps.tasks.audit_lines import audit_lines, request_lines
from apps.tasks.models import Workload
from scheduler_sim.display.formatting import duration
from scheduler_sim.engine import EngineError


def workload_document(workload: Workload, *, created: bool) -> dict[str, Any]:
    """Return what `--json` prints."""
    return {
        "workload": {
            "id": workload.pk,
            "name": workload.name,
            "source": workload.source,
            "source_file_name": workload.source_file_name,
            "source_sha256": workload.source_sha256,
            "generator_parameters": workload.generator_parameters,
            "seed": workload.seed,
            "task_count": workload.task_count,
            "first_arrival_time": workload.first_arrival_time,
            "last_arrival_time": workload.last_arrival_time,
            "max_processors": workload.max_processors,
            "core_seconds": workload.core_seconds,
            "gpu_seconds": workload.gpu_seconds,
            "offered_load": workload.offered_load,
        },
        "created": created,
        "audit": workload.audit,
    }


def summary(workload: Workload) -> str:
    """Return the workload in one line."""
    span = duration(workload.last_arrival_time - workload.first_arrival_time)
    parts = [f"{workload.task_count:,} tasks arriving over {span}", f"{workload.core_seconds:,.0f} core-s"]
    if workload.gpu_seconds:
        parts.append(f"{workload.gpu_seconds:,.0f} GPU-s")
    if workload.max_processors and workload.offered_load is not None:
        parts.append(f"offered load {workload.offered_load:.3f} on {workload.max_processors:,} processors")
    return f"Workload {workload.name} ({workload.source}): {', '.join(parts)}."


def print_audit(workload: Workload, console: Console) -> None:
    """Print what the import noticed, and what tasks ask of a site."""
    _print_findings(workload, console)
    if asked := request_lines(workload.audit):
        table = Table(title="What tasks ask of a site")
        for column in ("what", "tasks", "share"):
            table.add_column(column, justify="left" if column == "what" else "right")
        for line in asked:
            table.add_row(line.what, f"{line.tasks:,}", f"{line.share:.1%}")
        console.print(table)


def _print_findings(workload: Workload, console: Console) -> None:
    lines = audit_lines(workload.audit)
    if not lines:
        console.print("Nothing was dropped, repaired or noticed.")
        return
    table = Table(title=f"Import audit: {workload.audit['read']:,} read, {workload.audit['kept']:,} kept")
    for column in ("done", "count", "what", "first lines"):
        table.add_column(column, justify="right" if column == "count" else "left")
    for line in lines:
        table.add_row(line.done, f"{line.count:,}", line.what, line.places)
    console.print(table)


@contextmanager
def storing(console: Console, word: str) -> Iterator[Status]:
    """Show that a workload is made and stored, and say what went wrong as commands do.

    Raises:
        CommandError: the engine refuses it, it cannot be stored, or memory does not suffice.
    """
    try:
        with console.status(word) as status:
            yield status
    except EngineError as error:
        raise CommandError(str(error)) from error
    except (DatabaseError, OSError) as error:
        raise CommandError(f"The workload could not be stored: {error}.") from error
    except MemoryError as error:
        raise CommandError("There was not enough memory; nothing is stored.") from error
