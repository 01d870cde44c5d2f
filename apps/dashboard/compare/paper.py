"""The bundle of a comparison of runs, for a paper."""

from collections.abc import Callable, Iterator, Sequence

from apps.dashboard.compare.comparison import Comparison, Difference
from apps.results.fidelity import run_badges
from apps.results.models import Run
from apps.studies.paper.bundle import NothingToShow, Paper, Table
from apps.studies.paper.methods import methods
from apps.studies.paper.parts import manifests, run_rows
from scheduler_sim.display.formatting import NO_DATA, Scale
from scheduler_sim.display.latex import code, number, tex
from scheduler_sim.engine.numerics.paired import BATCHES

DIFFERENCE_COLUMNS = ("policy", "run", "mean", "low", "high", "median", "sooner", "later", "same", "tasks")
"""Of the differences from the base, task by task, in seconds."""


def comparison_paper(comparison: Comparison, *, is_bounded: bool = True) -> Paper:
    """Return what a paper shows of runs side by side.

    Args:
        is_bounded: refuse step series of more than `MOST_SERIES_BYTES`, as somebody waits for it.

    Raises:
        NothingToShow: one of them has not finished.
        TooMuchAtOnce: their series are larger than that.
    """
    runs = comparison.runs
    for run in runs:
        if run.status != Run.Status.FINISHED:
            raise NothingToShow(f"Run {run.pk} has not finished, so a paper cannot show it.")
    differences = comparison.differences()
    charts = comparison.charts(differences)
    badges = run_badges(runs)
    cautions = [caution["text"] for run in runs for caution in run.cautions]
    doubts = [badges[run.pk].doubt for run in runs if badges[run.pk].doubt]
    findings = [chart.finding for chart in charts.values() if chart.series]
    if not comparison.comparable:
        findings.insert(0, "The runs do not share a workload, so their tasks cannot be paired.")
    return Paper(
        title=f"Policies of {runs[0].name}" if len(runs) == 1 else f"{len(runs)} runs compared",
        findings=[*dict.fromkeys((*cautions, *doubts)), *findings],
        methods=methods(runs, lambda cite: _statistics(comparison, differences, cite)),
        charts=list(charts.values()),
        table=_table(comparison, differences),
        data={"runs.csv": run_rows(runs), "differences.csv": difference_rows(differences)},
        documents=manifests(runs, is_bounded=is_bounded),
        replay=[
            ("manage.py runsimulation --manifest manifests/run-N.json", "plays one run again and compares the checksum")
        ],
    )


def difference_rows(differences: Sequence[Difference]) -> Iterator[Sequence[object]]:
    """Yield a head, then every policy but the base, in the order of `DIFFERENCE_COLUMNS`."""
    yield DIFFERENCE_COLUMNS
    for one in differences:
        figures = [getattr(one.paired, name) for name in DIFFERENCE_COLUMNS[2:]]
        yield (one.contestant.scheduler, one.contestant.run.pk, *figures)


def _statistics(comparison: Comparison, differences: Sequence[Difference], cite: Callable[[str], str]) -> Iterator[str]:
    if differences:
        base = code(comparison.label(comparison.base))
        yield f"Policies are compared with {base} task by task on the same tasks{cite('paired')}."
    if any(one.paired.low is not None for one in differences):
        yield f"95\\% intervals are of Student's t{cite('t')} over the means of {BATCHES} spans of arrivals."


def _table(comparison: Comparison, differences: Sequence[Difference]) -> Table:
    scales = comparison.scales(differences)
    gap, slowdown, completion = (
        scales[name] for name in ("difference", "mean_bounded_slowdown", "mean_job_completion_time")
    )
    rows = [_row(one, gap, slowdown, completion) for one in differences]
    base = comparison.total(comparison.base)
    if base is not None:
        known = (slowdown.text(base.mean_bounded_slowdown), completion.text(base.mean_job_completion_time))
        rows.insert(0, [code(comparison.label(comparison.base)), *map(number, known), "base", "", ""])
    return Table(
        caption=(
            f"Differences of completion times from {code(comparison.label(comparison.base))}, task by task "
            f"({tex(gap.unit)}); less than zero is sooner."
        ),
        heads=(
            "Policy",
            "Slowdown",
            f"JCT ({tex(completion.unit)})",
            "Difference",
            r"95\% interval",
            r"Sooner",
        ),
        groups=[("", rows)],
    )


def _row(one: Difference, gap: Scale, slowdown: Scale, completion: Scale) -> Sequence[str]:
    paired = one.paired
    reach = [gap.text(paired.low), gap.text(paired.high)]
    sooner = f"{paired.sooner / paired.tasks:.1%}" if paired.tasks else ""
    return (
        code(one.label),
        number(slowdown.text(getattr(one.total, "mean_bounded_slowdown", None))),
        number(completion.text(getattr(one.total, "mean_job_completion_time", None))),
        number(gap.text(paired.mean)),
        "" if NO_DATA in reach else f"{number(reach[0])} to {number(reach[1])}",
        tex(sooner),
    )
