"""A study or a run as one HTML file that needs nothing else: style and pictures stand inside it."""

import math
from typing import Any

from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe

from apps.metrics.groups import told_of_run
from apps.metrics.leaderboard import FIGURE_COLUMNS, in_words
from apps.metrics.models import Metric
from apps.results.fidelity import run_badge
from apps.results.models import Run, Study
from apps.studies.definition import definition_text
from apps.studies.report.charts import study_charts
from apps.studies.report.figures import CellFigures, Standing, study_figures
from apps.studies.report.heatmap import HeatCell, heatmap
from apps.studies.report.published import published, published_tables
from apps.studies.report.tables import (
    chosen_base,
    chosen_figure,
    fixed_places,
    policies_of,
    scale_for,
    varying_axes,
    with_reach,
)
from apps.studies.report.words import study_sentences
from scheduler_sim import engine
from scheduler_sim.display.charts import Chart
from scheduler_sim.display.formatting import Scale, figure_scale
from scheduler_sim.display.stylesheets import stylesheet
from scheduler_sim.engine.measuring.figures import FIGURES

STYLE_SHEETS = ("tokens.css", "charts.css", "report.css")


def study_html(study: Study, *, figure: str = "", base: str = "") -> str:
    """Return a study's conclusion, grid with intervals, charts and definition."""
    figure, base = chosen_figure(study, figure), chosen_base(study, base)
    cells = study_figures(study, figure, base)
    names, scale = policies_of(cells), scale_for(cells, figure)
    axes = varying_axes(cells)
    rows, differences = [], []
    for row in heatmap(cells, names, base, figure):
        place = [_text(getattr(row.figures.cell, axis)) for axis in axes]
        offered = row.figures.offered_load
        load = "no data" if offered is None else f"{offered:.1%}"
        rows.append((place, load, len(row.figures.run_ids), [_heat(one, scale) for one in row.cells]))
        differences += [[*place, *_difference(one.standing, scale)] for one in row.cells if one.standing is not None]
    versions = sorted(set(study.runs.order_by().values_list("engine_version", "code_version")))
    context = {
        "sentences": study_sentences(study, cells, figure=figure, base=base),
        "figure": FIGURES[figure],
        "unit": f" ({scale.unit})" if scale.unit else "",
        "fixed": [_text(place) for place in fixed_places(cells, axes)],
        "base": base,
        "heads": [axis.replace("_", " ").capitalize() for axis in axes],
        "names": names,
        "rows": rows,
        "pictures": _pictures(cells, figure),
        "published": [] if (beside := published(study)) is None else published_tables(beside),
        "differences": differences,
        "definition": definition_text(study.definition),
        "finished": study.runs.finished().count(),
        "versions": [f"engine {one}, code {other or 'not known'}" for one, other in versions],
    }
    return _page("study", f"Study: {study.name}", context)


def run_html(run: Run) -> str:
    """Return a run's conclusion, leaderboard, who wins and who loses under the best policy, and configuration."""
    sentences, labels, rows = _leaderboard(run)
    context = {
        "sentences": [*(caution["text"] for caution in run.cautions), *sentences],
        "labels": labels,
        "rows": rows,
        "groups": told_of_run(run),
        "facts": {
            "workload": f"{run.workload.name}, sha256 {run.workload.source_sha256 or 'none (generated)'}",
            "cluster": run.cluster["name"],
            **run.configuration,
            "fidelity": run_badge(run).text or "no log to compare with",
            "engine": f"{run.engine_version}, code {run.code_version or 'not known'}",
            "checksum": run.checksum,
        },
    }
    return _page("run", f"Run {run.pk}: {run.name}", context)


def run_markdown(run: Run) -> str:
    """Return a run's conclusion, leaderboard, and who wins and who loses as Markdown."""
    sentences, labels, rows = _leaderboard(run)
    lines = [f"# {run.name}", ""]
    lines += [text for caution in run.cautions for text in (caution["text"], "")]
    lines += [" ".join(sentences).strip(), ""]
    lines.append("| policy | " + " | ".join(labels) + " |")
    lines.append("|---" * (1 + len(labels)) + "|")
    lines += [f"| {scheduler} | " + " | ".join(values) + " |" for scheduler, values in rows]
    if told := told_of_run(run):
        lines += ["", "## Who wins, who loses", "", *(f"- {label}: {text}" for label, text in told)]
    return "\n".join([*lines, "", f"Engine {run.engine_version}, checksum {run.checksum}."]) + "\n"


def _leaderboard(run: Run) -> tuple[tuple[str, str], list[str], list[tuple[str, list[str]]]]:
    """Return a run's conclusion, the heads of its figures, and each policy with its figures as texts."""
    totals = list(Metric.objects.leaderboard(run))
    shown = [name for name in FIGURE_COLUMNS if any(getattr(total, name) for total in totals)]
    scales = {name: figure_scale(name, [getattr(total, name) for total in totals]) for name in shown}
    base = next((total for total in totals if total.scheduler == run.policies[0]), None)
    rows = [(total.scheduler, [scales[name].with_unit(getattr(total, name)) for name in shown]) for total in totals]
    return in_words(totals, base, doubt=run_badge(run).doubt), [FIGURES[name].label for name in shown], rows


def _page(kind: str, title: str, context: dict[str, Any]) -> str:
    common = {
        "title": title,
        # The site's own files: nothing in them came from outside.
        "style": mark_safe("\n".join(map(stylesheet, STYLE_SHEETS))),  # noqa: S308
        "engine": engine.ENGINE_VERSION,
        "made_at": timezone.now(),
    }
    return render_to_string(f"reports/{kind}.html", context | common)


def _pictures(cells: list[CellFigures], figure: str) -> list[tuple[Chart, SafeString | None]]:
    """Return the study's charts, each with its picture."""
    charts = study_charts(cells, figure).values()
    if not charts:
        return []
    from apps.studies.report.pictures import line_picture

    return [
        (chart, line_picture(chart, figure_scale(figure, [value for one in chart.series for value in one.y])))
        for chart in charts
    ]


def _heat(one: HeatCell, scale: Scale) -> tuple[HeatCell, str, str]:
    """Return a coloured cell with its mean and its interval as texts."""
    if one.standing is None:
        return one, "", ""
    mean, _, reach = with_reach(one.standing, scale).partition(" ")
    return one, mean, reach


def _difference(one: Standing, scale: Scale) -> tuple[str, ...]:
    """Return a policy's rank and what tells it from the base, as texts."""
    rank = "no data" if math.isnan(one.rank) else f"{one.rank:.2f}"
    if one.difference is None:
        return (one.scheduler, rank, "base", "", "", "")
    interval, chances = one.difference.interval, (one.difference.p_value, one.difference.adjusted)
    reach = interval.why_unbounded
    if interval.is_bounded:
        reach = f"{scale.text(interval.low)} to {scale.text(interval.high)}"
    known = ["" if math.isnan(chance) else f"{chance:.2g}" for chance in chances]
    return (one.scheduler, rank, scale.text(interval.mean), reach, *known)


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
