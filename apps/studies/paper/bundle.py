"""A bundle for a paper: what it is made of, and the archive that holds it; the same content is the same bytes."""

import csv
import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.template.loader import render_to_string

from apps.results.errors import DomainError
from apps.studies.paper.methods import Methods
from scheduler_sim.display.charts import Chart, plain
from scheduler_sim.engine.references import references
from scheduler_sim.texts import no_formula

MOST_PLAYS = 1_000
"""So many times a policy was played on a workload may stand in a bundle that is made while somebody waits for it."""

MOST_SERIES_BYTES = 50_000_000
"""Of the step series that stand in manifests of such a bundle: each run's manifest holds its own whole."""

MOST_FIGURES = 24
ROWS_A_TABLE = 40
MOST_ROWS = 400
"""Lines of the tables in LaTeX; the csv beside them has all."""

_FIRST_DAY = (1980, 1, 1, 0, 0, 0)
"""The earliest time that an archive can tell."""


class NothingToShow(DomainError):
    """There is nothing yet that a paper could show."""


class TooMuchAtOnce(DomainError):
    """More than is put together while somebody waits."""


@dataclass(frozen=True)
class Table:
    """A table of numbers for a paper; all texts are LaTeX already.

    Attributes:
        caption: what stands above it.
        heads: of the columns; the first holds names.
        groups: what rows have in common, empty for nothing, and the rows.
    """

    caption: str
    heads: Sequence[str]
    groups: Sequence[tuple[str, Sequence[Sequence[str]]]]

    @property
    def columns(self) -> str:
        """Where the columns stand, as `tabular` wants it."""
        return "".join([r"@{}>{\raggedright\arraybackslash}p{2.1in}", "r" * (len(self.heads) - 1), "@{}"])

    def pages(self) -> list[list[tuple[str, list[Sequence[str]]]]]:
        """Return the groups divided among tables that fit on a page; what begins on one goes on in the next."""
        pages: list[list[tuple[str, list[Sequence[str]]]]] = [[]]
        used = total = 0
        for title, rows in self.groups:
            for row in rows:
                if total == MOST_ROWS:
                    return pages
                if used >= ROWS_A_TABLE:
                    pages.append([])
                    used = 0
                if not pages[-1] or pages[-1][-1][0] != title:
                    pages[-1].append((title, []))
                    used += bool(title)
                pages[-1][-1][1].append(row)
                used += 1
                total += 1
        return pages

    @property
    def left_out(self) -> int:
        """How many rows its pages do not show."""
        return max(0, sum(len(rows) for _, rows in self.groups) - MOST_ROWS)


@dataclass(frozen=True)
class Paper:
    """What a paper shows.

    Attributes:
        title: of it.
        findings: sentences that say what came out, cautions first.
        methods: how it came about, and what is cited for it.
        charts: what the figures show.
        table: the numbers.
        data: tables as csv by the names of their files: a head, then rows.
        documents: further files by name.
        replay: commands that play it again, each with what it does.
    """

    title: str
    findings: Sequence[str]
    methods: Methods
    charts: Sequence[Chart]
    table: Table
    data: Mapping[str, Iterable[Sequence[Any]]]
    documents: Mapping[str, str]
    replay: Sequence[tuple[str, str]]


def paper_zip(paper: Paper, width: str) -> bytes:
    """Return the bundle as a zip archive.

    Args:
        width: of its figures, one of `PAPER_WIDTHS`.
    """
    return _archive(_files(paper, width))


def _files(paper: Paper, width: str) -> dict[str, bytes]:
    from apps.studies.report.pictures import paper_picture

    shown = [chart for chart in paper.charts if chart.series][:MOST_FIGURES]
    context = {"paper": paper, "width": width, "figures": shown, "more_figures": len(paper.charts) - len(shown)}
    texts = {
        "README.md": render_to_string("paper/README.md", context),
        "main.tex": render_to_string("paper/main.tex", context),
        "methods.tex": paper.methods.text + "\n",
        "table.tex": render_to_string("paper/table.tex", context),
        "references.bib": references(paper.methods.cited),
        **paper.documents,
        **{f"data/{name}": _csv(rows) for name, rows in paper.data.items()},
    }
    files = {name: text.encode() for name, text in texts.items()}
    for chart in shown:
        for kind in ("pdf", "svg"):
            files[f"figures/{chart.key}.{kind}"] = paper_picture(chart, width, kind)
    return files


def _archive(files: Mapping[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _FIRST_DAY)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            opened.writestr(entry, files[name])
    return archive.getvalue()


def _csv(rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([[_cell(value) for value in row] for row in rows])
    return text.getvalue()


def _cell(value: Any) -> Any:
    if value is None or (isinstance(value, float) and plain(value) is None):
        return ""
    return no_formula(value)
