"""The bundle of a study: all of it is made of stored figures, no placement is read."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from apps.results.models import Run, Study
from apps.studies.definition import definition_text
from apps.studies.paper.bundle import MOST_PLAYS, NothingToShow, Paper, Table, TooMuchAtOnce
from apps.studies.paper.methods import methods
from apps.studies.paper.parts import manifests, play_count, run_rows
from apps.studies.report.charts import cell_charts, study_charts
from apps.studies.report.figures import AXES, CellFigures, Standing, study_figures
from apps.studies.report.tables import COLUMNS, chosen_base, chosen_figure, scale_for, study_rows
from apps.studies.report.words import place_in_words, study_sentences
from scheduler_sim.display.formatting import NO_DATA, Scale
from scheduler_sim.display.latex import code, number, tex
from scheduler_sim.engine.measuring.figures import FIGURES
from scheduler_sim.engine.numerics.statistics import RESAMPLES, SMALLEST_BOOTSTRAP, is_bootstrapped


def study_paper(study: Study, *, figure: str = "", base: str = "", is_bounded: bool = True) -> Paper:
    """Return what a paper shows of a study's finished runs.

    Args:
        figure, base: what is shown and the policy that others are compared with; the study's own where they are none.
        is_bounded: refuse more than `MOST_PLAYS` and `MOST_SERIES_BYTES`, as somebody waits for it.

    Raises:
        NothingToShow: no run has finished.
        TooMuchAtOnce: there is more than that.
    """
    finished = study.runs.finished()
    if is_bounded and (count := play_count(finished)) > MOST_PLAYS:
        raise TooMuchAtOnce(
            f"The study holds {count:,} plays, more than the {MOST_PLAYS:,} that a page puts together; "
            f"exportreport --study {study.pk} --bundle FILE.zip has no such limit."
        )
    runs: list[Run] = list(finished.select_related("workload", "site").order_by("pk"))
    if not runs:
        raise NothingToShow(f"No run of study {study.name} has finished, so there is nothing to show.")
    figure, base = chosen_figure(study, figure), chosen_base(study, base)
    cells = study_figures(study, figure, base)
    lines = study_charts(cells, figure)
    single = {} if lines else cell_charts(cells, figure)
    return Paper(
        title=study.name,
        findings=study_sentences(study, cells, figure=figure, base=base),
        methods=methods(runs, lambda cite: _statistics(cells, figure, base, cite)),
        charts=list((lines or single).values()),
        table=_table(cells, figure, base),
        data={"runs.csv": run_rows(runs, AXES), "cells.csv": _cells(cells)},
        documents={"study.yaml": definition_text(study.definition), **manifests(runs, is_bounded=is_bounded)},
        replay=[
            ("manage.py runstudy study.yaml", "plays the study again, as far as it is not stored"),
            (
                "manage.py runsimulation --manifest manifests/run-N.json",
                "plays one run again and compares the checksum",
            ),
        ],
    )


def _cells(cells: list[CellFigures]) -> Iterator[Sequence[Any]]:
    yield COLUMNS
    yield from study_rows(cells)


def _statistics(cells: Sequence[CellFigures], figure: str, base: str, cite: Callable[[str], str]) -> Iterator[str]:
    seeds = [len(one.run_ids) for one in cells]
    label = tex(FIGURES[figure].label)
    if not any(standing.interval.is_bounded for one in cells for standing in one.standings.values()):
        why = "is of one seed" if max(seeds) < 2 else "is the same for all seeds"
        yield f"{label} {why}, so no interval is given."
        return
    if is_bootstrapped(figure) and max(seeds) >= SMALLEST_BOOTSTRAP:
        few = "" if min(seeds) >= SMALLEST_BOOTSTRAP else f", Student's t{cite('t')} below {SMALLEST_BOOTSTRAP} seeds"
        yield (
            f"{label} is given as the mean over the seeds with its 95\\% bootstrap interval (BCa, {RESAMPLES:,} "
            f"resamples{few}){cite('bootstrap')}."
        )
    else:
        yield f"{label} is given as the mean over the seeds with its 95\\% interval of Student's t{cite('t')}."
    if max(len(one.standings) for one in cells) > 1:
        paired = cite("paired")
        corrected = f"corrected in each cell for as many comparisons by Holm's method{cite('holm')}"
        yield (
            f"Policies are compared with {code(base)} seed by seed on the same tasks{paired}, by paired t tests "
            f"whose p values are {corrected}."
        )
        yield f"Ranks are averaged over the seeds{cite('friedman')}."


def _table(cells: list[CellFigures], figure: str, base: str) -> Table:
    scale = scale_for(cells, figure)
    unit = f" ({tex(scale.unit)})" if scale.unit else ""
    every = [one.cell for one in cells]
    return Table(
        caption=(
            f"{tex(FIGURES[figure].label)}{unit}: mean over the seeds with its 95\\% interval, mean rank, and the "
            f"difference from {code(base)} with its 95\\% interval and p value after Holm's correction. The best mean "
            f"of each cell is bold."
        ),
        heads=("Policy", "Mean", r"95\% interval", "Seeds", "Rank", "Difference", r"95\% interval", "$p$"),
        groups=[
            (
                tex(place_in_words(one.cell, every)),
                [_row(standing, scale, is_best=standing.scheduler == one.best) for standing in one.standings.values()],
            )
            for one in cells
        ],
    )


def _row(standing: Standing, scale: Scale, *, is_best: bool) -> Sequence[str]:
    difference = standing.difference
    mean = number(scale.text(standing.interval.mean))
    return (
        code(standing.scheduler),
        rf"\textbf{{{mean}}}" if is_best else mean,
        _reach(standing.interval.low, standing.interval.high, scale),
        str(standing.interval.count),
        _plain(f"{standing.rank:.2f}"),
        "base" if difference is None else number(scale.text(difference.interval.mean)),
        "" if difference is None else _reach(difference.interval.low, difference.interval.high, scale),
        "" if difference is None else _plain(f"{difference.adjusted:.2g}"),
    )


def _plain(text: str) -> str:
    return "" if text == "nan" else number(text)


def _reach(low: float, high: float, scale: Scale) -> str:
    texts = [scale.text(low), scale.text(high)]
    return "" if NO_DATA in texts else f"{number(texts[0])} to {number(texts[1])}"
