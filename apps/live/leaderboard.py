"""The leaderboard of one run as a page shows it: ranked, against a base policy, and in words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.metrics.models import Metric
from apps.tasks.formatting import NO_DATA, Scale, change_in_words, duration, figure_scale, percent_change, quantity
from scheduler_sim.engine.figures import FIGURES

CLEAR_DIFFERENCE = 0.005
"""Below half a percent two means are called equal in words."""

FIGURE_COLUMNS = (
    "mean_bounded_slowdown",
    "mean_job_completion_time",
    "p95_job_completion_time",
    "mean_wait_time",
    "makespan",
    "cpu_utilisation",
    "gpu_utilisation",
    "energy_joules",
    "cost_usd",
    "fairness",
    "wins",
)
"""Columns of the table; those of which no policy has a value, or all have zero, are left out."""


@dataclass(frozen=True)
class Column:
    """One column of figures: its name, how its numbers are written, and its unit."""

    name: str
    scale: Scale


@dataclass(frozen=True)
class Cell:
    """One figure, how far it is from the base policy's, and whether that is better or worse."""

    value: float | None
    scale: Scale
    change: str = ""
    verdict: str = ""
    share: float | None = None


@dataclass(frozen=True)
class Row:
    """One policy: its place, and its figures in the order of the columns."""

    rank: int
    scheduler: str
    is_base: bool
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Leaderboard:
    """The table and what it says in words."""

    base: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    sentence: str
    reason: str


def leaderboard(totals: Iterable[Metric], *, base: str, sort: str) -> Leaderboard:
    """Build the table.

    Args:
        totals: one a policy, in rank order.
        base: the policy the others are compared with.
        sort: a figure's name, `-` in front for descending; the rank when it is none.
    """
    ranked = list(totals)
    of_base = next((total for total in ranked if total.scheduler == base), None)
    columns = [
        Column(name, figure_scale(name, [getattr(total, name) for total in ranked]))
        for name in FIGURE_COLUMNS
        if any(getattr(total, name) for total in ranked)
    ]
    rows = [
        Row(
            rank=rank,
            scheduler=total.scheduler,
            is_base=total.scheduler == base,
            cells=[_cell(total, of_base, column) for column in columns],
        )
        for rank, total in enumerate(ranked, start=1)
    ]
    names = [column.name for column in columns]
    key = sort.removeprefix("-")
    if key in names:
        at = names.index(key)
        known = [row for row in rows if row.cells[at].value is not None]
        known.sort(key=lambda row: row.cells[at].value, reverse=sort.startswith("-"))
        rows = known + [row for row in rows if row.cells[at].value is None]
    sentence, reason = in_words(ranked, of_base)
    return Leaderboard(base=base, columns=columns, rows=rows, sentence=sentence, reason=reason)


def _cell(total: Metric, base: Metric | None, column: Column) -> Cell:
    value = getattr(total, column.name)
    if column.name == "wins":
        share = value / total.finished_count if value is not None and total.finished_count else None
        return Cell(value, column.scale, change="" if share is None else f"{share:.0%}")
    share = value if FIGURES[column.name].quantity == "share" else None
    if base is None or base.scheduler == total.scheduler or FIGURES[column.name].quantity == "share":
        return Cell(value, column.scale, share=share)
    of_base = getattr(base, column.name)
    change = percent_change(value, of_base)
    verdict = ""
    if value is not None and of_base and change != "0%":
        lower = value < of_base
        verdict = "better" if lower == (FIGURES[column.name].better == "lower") else "worse"
    shown = "" if value is None or change in ("0%", NO_DATA) else change
    return Cell(value, column.scale, change=shown, verdict=verdict, share=share)


def in_words(ranked: Sequence[Metric], base: Metric | None) -> tuple[str, str]:
    """Return which policy is best and by how much, and what that comes from.

    Args:
        ranked: one a policy, in rank order, which is that of the mean bounded slowdown.
    """
    known = [total for total in ranked if total.mean_bounded_slowdown is not None]
    if not known:
        return "No task has finished, so there is nothing to compare.", ""
    best = known[0]
    slowdown = quantity("ratio", best.mean_bounded_slowdown)
    if len(known) == 1:
        return f"{best.scheduler} has a mean slowdown of {slowdown}; there is no other policy to compare with.", ""
    if base is None or base.scheduler == best.scheduler or base.mean_bounded_slowdown is None:
        second = known[1]
        if _alike(best, second):
            return _by_completion(known, best, second), ""
        change = change_in_words(second.mean_bounded_slowdown, best.mean_bounded_slowdown)
        sentence = f"{best.scheduler} slows tasks down least: a mean slowdown of {slowdown}."
        return f"{sentence} That of the next, {second.scheduler}, is {change}.", _shortest(known, best)
    if _alike(best, base):
        return _by_completion(known, best, base), _reason(best, base)
    change = change_in_words(best.mean_bounded_slowdown, base.mean_bounded_slowdown)
    sentence = (
        f"{best.scheduler} slows tasks down least: a mean slowdown of {slowdown}, {change} than {base.scheduler}."
    )
    return sentence, f"{_reason(best, base)} {_shortest(known, best)}".strip()


def _by_completion(known: Sequence[Metric], best: Metric, other: Metric) -> str:
    """Return what tells two policies of like slowdown apart: the completion times."""
    slowdown = quantity("ratio", best.mean_bounded_slowdown)
    sentence = f"{best.scheduler} and {other.scheduler} slow tasks down alike, {slowdown} times on average"
    one, two = best.mean_job_completion_time, other.mean_job_completion_time
    if not one or not two or abs(one / two - 1) <= CLEAR_DIFFERENCE:
        return f"{sentence}, and complete them equally soon."
    change = change_in_words(one, two, more="longer", less="shorter")
    tail = f" {_shortest(known, best)}".rstrip()
    return f"{sentence}; completion times are {change} under {best.scheduler}, {duration(one)} on average.{tail}"


def _alike(one: Metric, other: Metric) -> bool:
    return other.mean_bounded_slowdown <= one.mean_bounded_slowdown * (1 + CLEAR_DIFFERENCE)


def _shortest(known: Sequence[Metric], best: Metric) -> str:
    """Return a sentence about the policy with the shortest completion times, where it is another one."""
    shortest = min(known, key=lambda total: total.mean_job_completion_time)
    if best.mean_job_completion_time <= shortest.mean_job_completion_time * (1 + CLEAR_DIFFERENCE):
        return ""
    return (
        f"{shortest.scheduler} has the shortest mean completion time, {duration(shortest.mean_job_completion_time)} "
        f"against {duration(best.mean_job_completion_time)}."
    )


def _reason(best: Metric, base: Metric) -> str:
    parts = [
        f"Under it tasks wait {duration(best.mean_wait_time)} instead of {duration(base.mean_wait_time)} on average"
    ]
    for name, label in (("cpu_utilisation", "CPU"), ("gpu_utilisation", "GPU")):
        now, before = getattr(best, name), getattr(base, name)
        if now is not None and before is not None and abs(now - before) >= 0.01:
            parts.append(f"{label} use is {now:.0%} instead of {before:.0%}")
    if best.wins is not None and best.finished_count:
        parts.append(f"it is first with {best.wins / best.finished_count:.0%} of the tasks")
    text = ", ".join(parts[:-1]) + f", and {parts[-1]}" if len(parts) > 1 else parts[0]
    return text + "."


@dataclass(frozen=True)
class MatrixCell:
    """How the policy of the row did against that of the column, on the same tasks."""

    share: float | None
    step: int = 5
    title: str = ""


def win_matrix(totals: Sequence[Metric]) -> list[tuple[str, list[MatrixCell]]]:
    """Return, for each policy, its share of tasks finished earlier than under each other policy, ties left out.

    The colour step goes from 0 (lost all) over 5 (even) to 10 (won all).
    """
    names = [total.scheduler for total in totals]
    beats: Mapping[str, Mapping[str, Any]] = {total.scheduler: total.details.get("beats", {}) for total in totals}
    rows = []
    for row in names:
        cells = []
        for column in names:
            won, lost = beats[row].get(column), beats[column].get(row)
            if row == column or won is None or lost is None:
                cells.append(MatrixCell(None))
                continue
            decided = won + lost
            share = won / decided if decided else 0.5
            title = f"{row} finished {won:,} tasks before {column} and {lost:,} after"
            cells.append(MatrixCell(share, round(share * 10), title))
        rows.append((row, cells))
    return rows
