"""How a log is replayed, as a document and as a table for people."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from apps.live.checking.fidelity_check import Check
from apps.results.fidelity import replay_groups, replay_sentences
from scheduler_sim.display.formatting import NO_DATA, duration
from scheduler_sim.engine.measuring.fidelity import WITHIN_SECONDS


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
    document = check.found.as_json()
    for name, one in replay_groups(document):
        table.add_row(name, *_cells(one))
    console.print(table)
    for text in replay_sentences(document):
        console.print(text, soft_wrap=True)


def _cells(one: Mapping[str, Any]) -> Iterator[str]:
    yield f"{one['tasks']:,}"
    for name in ("recorded_mean_wait", "played_mean_wait", "mean_difference"):
        yield duration(one[name])
    for name in ("mean_absolute", "median_absolute", "p95_absolute"):
        yield duration(one[name])
    for share in (*one["within"].values(), one["within_tenth"]):
        yield f"{share:.0%}"
    yield NO_DATA if one["rank_correlation"] is None else f"{one['rank_correlation']:.3f}"
