"""What a study finds beside what papers claim of the same policies, in words and with paired intervals."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import yaml

from apps.results.models import Study
from apps.studies.definition import Definition
from apps.studies.grid import Cell
from apps.studies.report.figures import Values, in_order, study_values
from apps.studies.report.words import place_in_words
from scheduler_sim.display.formatting import figure_scale, percent_change
from scheduler_sim.engine.measuring.figures import FIGURES
from scheduler_sim.engine.numerics.statistics import Interval, compare_with_base

CLAIMS = Path(__file__).with_name("claims.yaml")
WON = ("mean_job_completion_time", "p99_job_completion_time", "p95_rho", "makespan")
"""What the literature compares policies by: the mean, the tail, fairness, and when all is done."""

AGREES, DIFFERS, UNDECIDED = "agrees", "differs", "not decided"

MOST_CELLS = 24
"""So many cells are put into words."""

_PARAMETERS = re.compile(r"\([^()]*\)")


@dataclass(frozen=True)
class Claim:
    """What a paper says of two policies, the first of which is said to be better by a figure.

    Attributes:
        source, year, place: the paper, and where in it that stands. says: what it measured, in its own setting.
    """

    source: str
    year: int
    place: str
    says: str
    figure: str
    before: str
    after: str

    @property
    def words(self) -> str:
        """The direction, such as `las before fifo`."""
        return f"{self.before} before {self.after}"


@dataclass(frozen=True)
class Beside:
    """A claim in one cell: `verdict` is `AGREES`, `DIFFERS` or `UNDECIDED`, `found` what was found, in words."""

    where: str
    claim: Claim
    verdict: str
    found: str


@dataclass(frozen=True)
class Winner:
    """The best policy of a cell by one figure.

    Attributes:
        next_best, ahead: the second, and how much larger its figure is. alike: all that are not told apart from it.
    """

    where: str
    figure: str
    best: str
    mean: str
    next_best: str
    ahead: str
    alike: Sequence[str]


@dataclass(frozen=True)
class Published:
    """A study beside the literature; `left_out` cells are not shown."""

    beside: Sequence[Beside]
    winners: Sequence[Winner]
    left_out: int

    @property
    def has_places(self) -> bool:
        """Whether there is more than one cell to be told apart."""
        return any(one.where for one in self.winners)


@cache
def claims() -> tuple[Claim, ...]:
    """Return all claims of the data file, one for each figure and two policies."""
    found = []
    for entry in yaml.safe_load(CLAIMS.read_text(encoding="utf-8")):
        said = {name: entry[name] for name in ("source", "year", "place", "says")}
        for figure, before, after in product(entry["figures"], entry["before"], entry["after"]):
            found.append(Claim(**said, figure=figure, before=before, after=after))
    return tuple(found)


def published(study: Study) -> Published | None:
    """Return a study's finished runs beside all that was claimed of its policies; None where nothing was."""
    names = {_PARAMETERS.sub("", name): name for name in Definition.from_json(study.definition).policies}
    told = [claim for claim in claims() if claim.before in names and claim.after in names]
    if not told:
        return None
    values = study_values(study, list(dict.fromkeys((*WON, *(claim.figure for claim in told)))))
    cells = in_order(values[WON[0]], study)
    if not cells:
        return None
    beside, winners = [], []
    for cell in cells[:MOST_CELLS]:
        where = place_in_words(cell, cells)
        for claim in told:
            if (one := _beside(claim, names, values[claim.figure], cell, where)) is not None:
                beside.append(one)
        for figure in WON:
            if (best := _winner(figure, values[figure], cell, where)) is not None:
                winners.append(best)
    return Published(beside, winners, len(cells) - len(cells[:MOST_CELLS]))


def _rows(values: Values, cell: Cell, names: Sequence[str] | None = None) -> dict[str, list[float]]:
    """Return a figure by policy, on the seeds that all of them have finished with a number."""
    of_cell = values.get(cell, {})
    chosen = {name: of_cell.get(name, {}) for name in (of_cell if names is None else names)}
    seeds = sorted(set.intersection(*(_known(one) for one in chosen.values()))) if chosen else []
    return {name: [one[seed] for seed in seeds] for name, one in chosen.items()} if seeds else {}


def _known(of_policy: Mapping[int, float]) -> set[int]:
    return {seed for seed, value in of_policy.items() if np.isfinite(value)}


def _beside(claim: Claim, names: Mapping[str, str], values: Values, cell: Cell, where: str) -> Beside | None:
    before, after = names[claim.before], names[claim.after]
    rows = _rows(values, cell, (before, after))
    if not rows:
        return None
    means = {name: float(np.mean(row)) for name, row in rows.items()}
    first, second = _ranked(claim.figure, means)
    difference = compare_with_base(rows, second)[first]
    if not difference.is_clear:
        # Said in the order of the claim, whichever is ahead.
        first, second = before, after
        difference = compare_with_base(rows, second)[first]
    amount = f"{_by(claim.figure, difference.interval)} ({percent_change(means[first], means[second])})"
    if not difference.interval.is_bounded:
        seeds = "one seed" if difference.interval.count < 2 else "the same for all seeds"
        return Beside(where, claim, UNDECIDED, f"{first} less {second} {amount}, {seeds}, no interval")
    if not difference.is_clear:
        return Beside(where, claim, UNDECIDED, f"{first} less {second} {amount}")
    return Beside(where, claim, AGREES if first == before else DIFFERS, f"{first} before {second} by {amount}")


def _ranked(figure: str, means: Mapping[str, float]) -> list[str]:
    """Return policies from the best mean to the worst, equal ones as they come."""
    return sorted(means, key=means.__getitem__, reverse=FIGURES[figure].better == "higher")


def _by(figure: str, interval: Interval) -> str:
    """Return a difference with its 95 % interval where there is one, as exactly as the larger of both asks for."""
    reach = 0.0 if np.isnan(interval.low) else (interval.high - interval.low) / 2
    scale = figure_scale(figure, [max(abs(interval.mean), reach)])
    around = f" [{scale.text(interval.low)}, {scale.text(interval.high)}]" if reach else ""
    return f"{scale.text(interval.mean)}{around} {scale.unit}".rstrip()


def _winner(figure: str, values: Values, cell: Cell, where: str) -> Winner | None:
    rows = _rows(values, cell)
    if len(rows) < 2:
        return None
    means = {name: float(np.mean(row)) for name, row in rows.items()}
    best, *others = _ranked(figure, means)
    scale = figure_scale(figure, [means[best]])
    differences = compare_with_base(rows, best)
    ahead = differences[others[0]].interval
    alike = [name for name in others if not differences[name].is_clear]
    return Winner(
        where=where,
        figure=figure,
        best=best,
        mean=scale.with_unit(means[best]),
        next_best=others[0],
        ahead=_by(figure, ahead),
        alike=alike,
    )


@dataclass(frozen=True)
class PublishedTable:
    """A table of the comparison as texts."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


def published_tables(found: Published) -> list[PublishedTable]:
    """Return which policy wins, and each published direction with what was found."""
    winners = [
        (one.where, FIGURES[one.figure].label, one.best, one.mean, one.next_best, one.ahead, ", ".join(one.alike))
        for one in found.winners
    ]
    directions = [
        (
            one.where,
            FIGURES[one.claim.figure].label,
            one.claim.words,
            one.verdict,
            one.found,
            f"{one.claim.source} {one.claim.year}, {one.claim.place}: {one.claim.says}",
        )
        for one in found.beside
    ]
    best = ("where", "figure", "best", "mean", "next", "ahead by", "not told apart")
    return [
        PublishedTable("Which policy wins", best, winners),
        PublishedTable("Published directions", ("where", "figure", "published", "here", "found", "source"), directions),
    ]


def published_lines(found: Published) -> list[str]:
    """Return both tables as Markdown."""
    lines = ["## Beside what was published", ""]
    for table in published_tables(found):
        lines += [_line(*table.heads), "|---" * len(table.heads) + "|", *(_line(*row) for row in table.rows), ""]
    return lines


def _line(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
