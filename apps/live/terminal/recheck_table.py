"""What changed between two exports, as a table for people."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from apps.live.checking.recheck import Recheck, WaitChange
from scheduler_sim.display.formatting import duration


def print_recheck(found: Recheck, console: Console) -> None:
    """Print what must be known to read it, then waits by partition and those of the users who lose most."""
    for caution in found.run.cautions:
        console.print(caution["text"], soft_wrap=True)
    if found.last is None:
        return
    title = f"{found.run.workload.name} beside {found.last.workload.name}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    table.add_column("", no_wrap=True)
    for head in ("jobs\nbefore", "jobs", "mean wait\nbefore", "mean wait", "p95 wait\nbefore", "p95 wait", "changed"):
        table.add_column(head, justify="right", no_wrap=True)
    for one in (*found.waits, *found.losers):
        table.add_row(_label(one), *_cells(one))
    console.print(table)


def _label(one: WaitChange) -> str:
    kinds = {"all": "all jobs", "queue": f"partition {one.name}", "user": f"user {one.name}"}
    return kinds[one.grouped_by].rstrip() or "not stated"


def _cells(one: WaitChange) -> list[str]:
    waits = (one.mean_before, one.mean, one.p95_before, one.p95)
    changed = "yes" if one.changed else "no"
    return [f"{one.tasks_before:,}", f"{one.tasks:,}", *map(duration, waits), changed]
