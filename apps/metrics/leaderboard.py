"""The leaderboard of one run as a page shows it: ranked, against a base policy, and in words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from apps.metrics.models import Metric
from scheduler_sim.display.formatting import (
    NO_DATA,
    Scale,
    change_in_words,
    duration,
    figure_scale,
    listing,
    percent_change,
    quantity,
)
from scheduler_sim.engine.measuring.figures import ENERGY_AND_COST, FIGURES

CLEAR_DIFFERENCE = 0.005
"""Below half a percent two means are called equal in words."""

CLEAR_COST = 0.02
"""Costs that differ by less are not worth a word."""

FIGURE_COLUMNS = (
    "mean_bounded_slowdown",
    "mean_job_completion_time",
    "regret",
    "p95_job_completion_time",
    "mean_wait_time",
    "makespan",
    "cpu_utilisation",
    "gpu_utilisation",
    *ENERGY_AND_COST,
    "fairness",
    "mean_rho",
    "unfair_share",
    "share_fairness",
    "least_share",
    "lost_time",
    "suspended_time",
    "timed_out_count",
    "failed_count",
    "wins",
)
"""Columns of the table; those of which no policy has a value, or all have zero, are left out."""

FOLDED_COLUMNS = frozenset(
    (
        *("cost_usd", "fairness", "mean_rho", "unfair_share", "share_fairness", "least_share"),
        *("lost_time", "suspended_time", "idle_energy_joules", "idle_carbon_kg", "idle_electricity_usd"),
        *("asleep_time", "wakes", "woken_starts"),
    )
)
"""Columns of the table that are shown only where all are asked for, or the table is sorted by them."""

_OF_LISTS = (
    "p50_job_completion_time",
    "p99_job_completion_time",
    "p50_wait_time",
    "p95_wait_time",
    "p99_wait_time",
    "max_wait_time",
    "mean_queue_length",
    "throughput",
    "gpu_fragmentation",
    "attempts_mean",
)


RUN_FIGURES = tuple(
    name
    for name in FIGURES
    if name in {field.name for field in Metric._meta.concrete_fields} & {*FIGURE_COLUMNS, *_OF_LISTS}
)
"""Figures that lists of runs can show of one policy of each, and be sorted by."""


@dataclass(frozen=True)
class Column:
    """One column of figures: its name, how its numbers are written, and whether differences stand beside them."""

    name: str
    scale: Scale
    compared: bool


@dataclass(frozen=True)
class Cell:
    """One figure, how far it is from the base policy's, and whether that is better or worse.

    `padded` keeps room where others of the column have a difference, so that numbers stand in line.
    """

    value: float | None
    scale: Scale
    change: str = ""
    verdict: str = ""
    share: float | None = None
    padded: bool = False


@dataclass(frozen=True)
class Row:
    """One policy: its place, and its figures in the order of the columns."""

    rank: int
    scheduler: str
    is_base: bool
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Leaderboard:
    """The table and what it says in words; `folded` are the columns that it has and does not show."""

    base: str
    columns: Sequence[Column]
    folded: Sequence[str]
    rows: Sequence[Row]
    sentence: str
    reason: str


def leaderboard(totals: Iterable[Metric], *, base: str, sort: str, doubt: str = "", whole: bool = False) -> Leaderboard:
    """Build the table.

    Args:
        totals: one a policy, in rank order.
        base: the policy the others are compared with.
        sort: a figure's name, `-` in front for descending; the rank when it is none.
        doubt: see `in_words`.
        whole: show `FOLDED_COLUMNS`, too.
    """
    ranked, key = list(totals), sort.removeprefix("-")
    of_base = next((total for total in ranked if total.scheduler == base), None)
    told = [name for name in FIGURE_COLUMNS if any(getattr(total, name) for total in ranked)]
    folded = [name for name in told if not whole and name in FOLDED_COLUMNS and name != key]
    columns = [_column(name, ranked, of_base) for name in told if name not in folded]
    rows = [
        Row(
            rank=rank,
            scheduler=total.scheduler,
            is_base=total.scheduler == base,
            cells=[replace(figure_cell(total, of_base, column), padded=column.compared) for column in columns],
        )
        for rank, total in enumerate(ranked, start=1)
    ]
    names = [column.name for column in columns]
    if key in names:
        at = names.index(key)
        known = [(value, row) for row in rows if (value := row.cells[at].value) is not None]
        known.sort(key=lambda one: one[0], reverse=sort.startswith("-"))
        rows = [row for _, row in known] + [row for row in rows if row.cells[at].value is None]
    sentence, reason = in_words(ranked, of_base, doubt=doubt)
    return Leaderboard(base=base, columns=columns, folded=folded, rows=rows, sentence=sentence, reason=reason)


def _column(name: str, totals: Sequence[Metric], base: Metric | None) -> Column:
    column = Column(name, figure_scale(name, [getattr(total, name) for total in totals]), compared=False)
    return replace(column, compared=any(figure_cell(total, base, column).change for total in totals))


def figure_cell(total: Metric, base: Metric | None, column: Column) -> Cell:
    """Return one figure of a policy, and how far it is from the base's; from nothing where it is the base itself."""
    value = getattr(total, column.name)
    if column.name == "wins":
        share = value / total.finished_count if value is not None and total.finished_count else None
        return Cell(value, column.scale, change="" if share is None else f"{share:.0%}")
    if column.name == "regret":
        return Cell(value, column.scale)
    share = value if FIGURES[column.name].quantity == "share" else None
    if base is None or base is total or FIGURES[column.name].quantity == "share":
        return Cell(value, column.scale, share=share)
    of_base = getattr(base, column.name)
    change = percent_change(value, of_base)
    verdict = ""
    if value is not None and of_base and change != "0%":
        lower = value < of_base
        verdict = "better" if lower == (FIGURES[column.name].better == "lower") else "worse"
    shown = "" if value is None or change in ("0%", NO_DATA) else change
    return Cell(value, column.scale, change=shown, verdict=verdict, share=share)


def in_words(ranked: Sequence[Metric], base: Metric | None, *, doubt: str = "") -> tuple[str, str]:
    """Return which policy is best and by how much, and what that comes from.

    Args:
        ranked: one a policy, in rank order, which is that of the mean bounded slowdown.
        doubt: what speaks against believing it, said before anything else.
    """
    sentence, reason = _verdict(ranked, base)
    return f"{doubt} {sentence}".strip(), reason


def _verdict(ranked: Sequence[Metric], base: Metric | None) -> tuple[str, str]:
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
        change = change_in_words(_stated(second.mean_bounded_slowdown), _stated(best.mean_bounded_slowdown))
        sentence = f"{best.scheduler} slows tasks down least: a mean slowdown of {slowdown}."
        return f"{sentence} That of the next, {second.scheduler}, is {change}.", _shortest(known, best)
    if all(_alike(best, one) and _equally_soon(best, one) for one in known):
        sentence = f"All {len(known)} policies slow tasks down alike, {slowdown} times on average"
        return f"{sentence}, and complete them equally soon.", _reason(best, base)
    if _alike(best, base):
        return _by_completion(known, best, base), _reason(best, base)
    change = change_in_words(_stated(best.mean_bounded_slowdown), base.mean_bounded_slowdown)
    sentence = (
        f"{best.scheduler} slows tasks down least: a mean slowdown of {slowdown}, {change} than {base.scheduler}."
    )
    return sentence, f"{_reason(best, base)} {_shortest(known, best)}".strip()


def _by_completion(known: Sequence[Metric], best: Metric, other: Metric) -> str:
    """Return what tells two policies of like slowdown apart: the completion times."""
    slowdown = quantity("ratio", best.mean_bounded_slowdown)
    sentence = f"{best.scheduler} and {other.scheduler} slow tasks down alike, {slowdown} times on average"
    if _equally_soon(best, other):
        return f"{sentence}, and complete them equally soon."
    one, two = _stated(best.mean_job_completion_time), _stated(other.mean_job_completion_time)
    change = change_in_words(one, two, more="longer", less="shorter")
    tail = f" {_shortest(known, best)}".rstrip()
    return f"{sentence}; completion times are {change} under {best.scheduler}, {duration(one)} on average.{tail}"


def _equally_soon(one: Metric, other: Metric) -> bool:
    now, before = one.mean_job_completion_time, other.mean_job_completion_time
    return not now or not before or abs(now / before - 1) <= CLEAR_DIFFERENCE


def _alike(one: Metric, other: Metric) -> bool:
    return _stated(other.mean_bounded_slowdown) <= _stated(one.mean_bounded_slowdown) * (1 + CLEAR_DIFFERENCE)


def _stated(figure: float | None) -> float:
    """Return a mean of a policy under which tasks have finished, and which therefore has one."""
    if figure is None:
        raise ValueError("Where a task has finished there is a mean.")
    return figure


def _shortest(known: Sequence[Metric], best: Metric) -> str:
    """Return a sentence about the policy with the shortest completion times, where it is another one."""
    shortest = min(known, key=lambda total: _stated(total.mean_job_completion_time))
    least = _stated(shortest.mean_job_completion_time)
    if _stated(best.mean_job_completion_time) <= least * (1 + CLEAR_DIFFERENCE):
        return ""
    return (
        f"{shortest.scheduler} has the shortest mean completion time, {duration(least)} "
        f"against {duration(best.mean_job_completion_time)}."
    )


def _reason(best: Metric, base: Metric) -> str:
    """Return a sentence about what else differs between the two, empty when nothing does."""
    parts = []
    waits = duration(best.mean_wait_time), duration(base.mean_wait_time)
    if waits[0] != waits[1]:
        parts.append(f"tasks wait {waits[0]} instead of {waits[1]} on average")
    for name, label in (("cpu_utilisation", "CPU"), ("gpu_utilisation", "GPU")):
        now, before = getattr(best, name), getattr(base, name)
        if now is not None and before is not None and abs(now - before) >= 0.01:
            parts.append(f"{label} use is {now:.0%} instead of {before:.0%}")
    if best.cost_usd and base.cost_usd and abs(best.cost_usd / base.cost_usd - 1) >= CLEAR_COST:
        costs = [quantity("dollars", total.cost_usd) for total in (best, base)]
        parts.append(f"the cost is {costs[0]} instead of {costs[1]}")
    if best.wins is not None and best.wins != base.wins and best.finished_count:
        parts.append(f"{best.wins / best.finished_count:.0%} of the tasks finish first")
    return f"Under {best.scheduler} {listing(parts)}." if parts else ""


@dataclass(frozen=True)
class MatrixCell:
    """How the policy of the row did against that of the column, on the same tasks."""

    text: str = ""
    step: int = 5
    title: str = ""


def _percent(share: float) -> str:
    """Write a share of tasks without decimals, but never call it none or all when it is not."""
    if 0 < share < 0.005:
        return "<1%"
    return ">99%" if 0.995 < share < 1 else f"{share:.0%}"


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
                cells.append(MatrixCell())
                continue
            decided = won + lost
            title = f"{row} finished {won:,} tasks before {column} and {lost:,} after"
            if not decided:
                cells.append(MatrixCell("ties", title=title))
                continue
            share = won / decided
            cells.append(MatrixCell(_percent(share), round(share * 10), title))
        rows.append((row, cells))
    return rows
