"""How a log is replayed, as a document and as a table for people."""

from collections.abc import Iterator
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from apps.live.play.fidelity_check import Check
from apps.results.fidelity import first_in_words
from scheduler_sim.display.formatting import NO_DATA, duration, quantity
from scheduler_sim.engine.fidelity import WITHIN_SECONDS, Fidelity, StartDifferences

_GROUPS = (("by_queue", "partition"), ("by_qos", "QOS"), ("by_hour", "hour"))


def check_document(check: Check) -> dict[str, Any]:
    """Return what `checkfidelity --json` prints about a comparison."""
    return {"cautions": list(check.cautions), **check.found.as_json()}


def print_check(check: Check, console: Console, *, title: str) -> None:
    """Print a comparison: what must be known to read it, then by partition, QOS and hour, then the first difference."""
    for caution in check.cautions:
        console.print(caution["text"], soft_wrap=True)
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    table.add_column("", no_wrap=True)
    heads = ["tasks", "wait\nin the log", "wait\nhere", "mean\ndifference", "mean\n|diff.|", "median\n|diff.|"]
    heads += ["p95\n|diff.|", *(f"within\n{seconds:,} s" for seconds in WITHIN_SECONDS)]
    for head in (*heads, "within 10%\nof the wait", "rank\ncorr."):
        table.add_column(head, justify="right", no_wrap=True)
    for name, one in _rows(check):
        table.add_row(name, *_cells(one))
    console.print(table)
    for text in _sentences(check.found):
        console.print(text, soft_wrap=True)


def _rows(check: Check) -> Iterator[tuple[str, StartDifferences]]:
    yield "all tasks", check.every
    for attribute, what in _GROUPS:
        for name, one in getattr(check.found, attribute).items():
            yield f"{what} {name or 'without'}", one


def _cells(one: StartDifferences) -> Iterator[str]:
    yield f"{one.tasks:,}"
    times = (one.recorded_mean_wait, one.played_mean_wait, one.mean_difference)
    for seconds in (*times, one.mean_absolute, one.median_absolute, one.p95_absolute):
        yield duration(seconds)
    for share in (*one.within.values(), one.within_tenth):
        yield f"{share:.0%}"
    yield NO_DATA if one.rank_correlation is None else f"{one.rank_correlation:.3f}"


def _sentences(found: Fidelity) -> Iterator[str]:
    uses = (
        ("CPU", found.recorded_cpu_utilisation, found.played_cpu_utilisation),
        ("GPU", found.recorded_gpu_utilisation, found.played_gpu_utilisation),
    )
    for name, recorded, played in uses:
        if recorded is not None and played is not None:
            yield (
                f"{name} use while the log runs: {quantity('share', recorded)} in the log, "
                f"{quantity('share', played)} here."
            )
    for count, what in ((found.unrecorded, "have no recorded start"), (found.unplayed, "never start here")):
        if count:
            yield f"{count:,} tasks {what} and are not compared."
    if found.first is None:
        yield f"No task starts more than {found.over:g} s from when it did in the log."
    else:
        yield f"Some tasks start more than {found.over:g} s from when they did. {first_in_words(found.first)}"
