"""A study or a run as one HTML file that needs nothing else: style and pictures stand inside it."""

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from django.utils import timezone

from apps.metrics.leaderboard import FIGURE_COLUMNS, in_words
from apps.metrics.models import Metric
from apps.results.models import Run, Study
from apps.studies.definition import definition_text
from apps.studies.report.charts import study_charts
from apps.studies.report.figures import AXES, Standing, study_figures
from apps.studies.report.heatmap import HeatCell, heatmap
from apps.studies.report.tables import chosen_base, chosen_figure, policies_of, scale_for, varying_axes, with_reach
from apps.studies.report.words import study_in_words
from scheduler_sim import engine
from scheduler_sim.display.charts import Chart, Series
from scheduler_sim.display.formatting import Scale, figure_scale
from scheduler_sim.engine.figures import FIGURES

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1b1f24;background:#fff;max-width:1100px;margin:32px auto;padding:0 20px}
h1{font-size:26px}h2{font-size:19px;margin-top:32px}table{border-collapse:collapse;font-size:13px;display:block;
overflow-x:auto}th,td{border-bottom:1px solid #d5d9de;padding:5px 9px;text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}.muted{color:#59636e}svg.chart{max-width:100%;height:auto}
pre{background:#f3f4f6;padding:12px;overflow-x:auto;font-size:13px}p span{margin-right:16px;white-space:nowrap}
"""
_HEAT = (
    "#f8b77b", "#fac697", "#fbd4b1", "#fce1ca", "#fef0e5", "#fff",
    "#e8f1fc", "#d1e3f9", "#b8d4f5", "#9bc2f1", "#82b3ed",
)  # fmt: skip
_COLOURS = (
    "#7a4fb5", "#b0563a", "#3f8f6b", "#0b7a75", "#b3367a", "#1f6fc4",
    "#5b6470", "#8a6d1d", "#8b8f95", "#2f7d32", "#c0392b", "#a05a00",
)  # fmt: skip
_DASHES = ("", "7 4", "2 3", "10 3 2 3", "14 4", "4 2 1 2", "1 4", "12 3 2 3 2 3")
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 760, 320, 70, 44, 14


def study_html(study: Study, *, figure: str = "", base: str = "") -> str:
    """Return a study's conclusion, grid with intervals, charts and definition."""
    figure, base = chosen_figure(study, figure), chosen_base(study, base)
    cells = study_figures(study, figure, base)
    names, scale = policies_of(cells), scale_for(cells, figure)
    unit = f" ({scale.unit})" if scale.unit else ""
    axes = varying_axes(cells)
    rows, differences = [], []
    for row in heatmap(cells, names, base, figure):
        place = [_cell(_text(getattr(row.figures.cell, axis))) for axis in axes]
        offered = row.figures.offered_load
        facts = ("no data" if offered is None else f"{offered:.1%}", len(row.figures.run_ids))
        rows.append([*place, *map(_cell, facts), *(_heat(one, scale) for one in row.cells)])
        differences += [
            [*place, *map(_cell, _difference(one.standing, scale))] for one in row.cells if one.standing is not None
        ]
    heads = [axis.replace("_", " ").capitalize() for axis in axes]
    fixed = [_text(getattr(cells[0].cell, axis)) for axis in AXES if axis not in axes] if cells else []
    parts = [
        f"<p>{' '.join(map(escape, study_in_words(cells, figure=figure, base=base)))}</p>",
        f"<h2>{escape(', '.join([FIGURES[figure].label + unit, *fixed]))}</h2>",
        f'<p class="muted">{escape(FIGURES[figure].definition)} Mean over the seeds and its 95% interval (Student t; '
        f"bootstrap BCa for percentiles and extremes). * differs from {escape(base)} at 95%, paired over seeds and "
        f"corrected for many comparisons (Holm). The best of each row is bold; blue is better than {escape(base)}, "
        "orange worse.</p>",
        _table([*heads, "Offered load", "Seeds", *names], rows),
    ]
    for chart in study_charts(cells, figure).values():
        parts += [f"<h2>{escape(chart.title)}</h2>", f"<p>{escape(chart.finding)}</p>", _drawing(chart)]
    parts += [
        f"<h2>Ranks, and differences from {escape(base)}{escape(unit)}</h2>",
        _table([*heads, *_DIFFERENCE_HEADS], differences),
        "<h2>Definition</h2>",
        f"<pre>{escape(definition_text(study.definition))}</pre>",
    ]
    versions = sorted(set(study.runs.order_by().values_list("engine_version", "code_version")))
    code = ", ".join(f"engine {one}, code {other or 'not known'}" for one, other in versions)
    parts.append(f'<p class="muted">{study.runs.finished().count()} finished runs; {escape(code)}.</p>')
    return _page(f"Study: {study.name}", parts)


_DIFFERENCE_HEADS = ("Policy", "Mean rank", "Difference", "95% interval", "p", "p, corrected")


def _difference(one: Standing, scale: Scale) -> tuple[str, ...]:
    """Return a policy's rank and what tells it from the base, as texts."""
    rank = "no data" if math.isnan(one.rank) else f"{one.rank:.2f}"
    if one.difference is None:
        return (one.scheduler, rank, "base", "", "", "")
    interval, chances = one.difference.interval, (one.difference.p_value, one.difference.adjusted)
    reach = "one seed" if math.isnan(interval.low) else f"{scale.text(interval.low)} to {scale.text(interval.high)}"
    known = ["" if math.isnan(chance) else f"{chance:.2g}" for chance in chances]
    return (one.scheduler, rank, scale.text(interval.mean), reach, *known)


def _heat(one: HeatCell, scale: Scale) -> str:
    """Return a coloured cell with mean and interval."""
    if one.standing is None:
        return _cell("no data")
    mean, _, reach = with_reach(one.standing, scale).partition(" ")
    text = f"<b>{escape(mean)}</b>" if one.is_best else escape(mean)
    return f'<td style="background:{_HEAT[one.step]}">{text}{one.mark}<br><small>{escape(reach)}</small></td>'


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _cell(text: object) -> str:
    return f"<td>{escape(str(text))}</td>"


def run_html(run: Run) -> str:
    """Return a run's conclusion, leaderboard and configuration."""
    totals = list(Metric.objects.leaderboard(run))
    shown = [name for name in FIGURE_COLUMNS if any(getattr(total, name) for total in totals)]
    scales = {name: figure_scale(name, [getattr(total, name) for total in totals]) for name in shown}
    rows = [
        [_cell(total.scheduler), *(_cell(scales[name].with_unit(getattr(total, name))) for name in shown)]
        for total in totals
    ]
    base = next((total for total in totals if total.scheduler == run.policies[0]), None)
    facts = {
        "workload": f"{run.workload.name}, sha256 {run.workload.source_sha256 or 'none (generated)'}",
        "cluster": f"{run.cluster['name']}",
        **run.configuration,
        "engine": f"{run.engine_version}, code {run.code_version or 'not known'}",
        "checksum": run.checksum,
    }
    parts = [
        f"<p>{escape(' '.join(in_words(totals, base)))}</p>",
        _table(["Policy", *(FIGURES[name].label for name in shown)], rows),
        "<h2>Configuration</h2>",
        _table(["Setting", "Value"], [[_cell(key), _cell(value)] for key, value in facts.items()]),
    ]
    return _page(f"Run {run.pk}: {run.name}", parts)


def run_markdown(run: Run) -> str:
    """Return a run's conclusion and leaderboard as Markdown."""
    totals = list(Metric.objects.leaderboard(run))
    shown = [name for name in FIGURE_COLUMNS if any(getattr(total, name) for total in totals)]
    scales = {name: figure_scale(name, [getattr(total, name) for total in totals]) for name in shown}
    base = next((total for total in totals if total.scheduler == run.policies[0]), None)
    lines = [f"# {run.name}", "", " ".join(in_words(totals, base)).strip(), ""]
    lines.append("| policy | " + " | ".join(FIGURES[name].label for name in shown) + " |")
    lines.append("|---" * (1 + len(shown)) + "|")
    for total in totals:
        values = [scales[name].with_unit(getattr(total, name)) for name in shown]
        lines.append(f"| {total.scheduler} | " + " | ".join(values) + " |")
    return "\n".join([*lines, "", f"Engine {run.engine_version}, checksum {run.checksum}."]) + "\n"


def _page(title: str, parts: Iterable[str]) -> str:
    made = f"Scheduler Sim, engine {engine.ENGINE_VERSION}, {timezone.now():%d %B %Y %H:%M} UTC"
    return (
        f'<!doctype html><html lang="en-GB"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>{''.join(parts)}"
        f'<p class="muted">{made}. Everything shown is simulated, stored and reproducible.</p></body></html>\n'
    )


def _table(heads: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of texts for the head and of rows of finished cells."""
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _drawing(chart: Chart) -> str:
    """Return a line chart with its bands as SVG."""
    values = [value for one in chart.series for value in one.y if value is not None]
    tops = [*values, *(value for one in chart.series for value in one.high or [] if value is not None)]
    across = [float(value) for one in chart.series for value in one.x]
    if not tops or not across:
        return "<p>No data.</p>"
    scale = figure_scale(next(name for name, one in FIGURES.items() if one.label == chart.y.label), values)
    left, right, top = min(across), max(across), max(tops) or 1.0
    width, height = _WIDTH - _LEFT - 20, _HEIGHT - _TOP - _BOTTOM
    is_log = chart.y.scale == "log"
    bottom = min(value for value in values if value > 0) if is_log else 0.0

    def at(x: Any, y: float) -> str:
        part = (float(x) - left) / (right - left) if right > left else 0.5
        up = math.log(max(y, bottom) / bottom) / math.log(top / bottom) if is_log else y / top
        return f"{_LEFT + part * width:.1f},{_TOP + height * (1 - up):.1f}"

    marks = []
    for step in range(5):
        value = bottom * (top / bottom) ** (step / 4) if is_log else top * step / 4
        line = at(left, value).split(",")[1]
        marks.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - 20}" y1="{line}" y2="{line}" stroke="#d5d9de"/>'
            f'<text x="{_LEFT - 8}" y="{line}" text-anchor="end" dy="4">{escape(scale.text(value))}</text>'
        )
    for value in sorted(set(across)):
        place = at(value, top).split(",")[0]
        marks.append(f'<text x="{place}" y="{_HEIGHT - 24}" text-anchor="middle">{value:g}</text>')
    lines = [_line(one, at) for one in chart.series]
    names = "".join(
        f'<span><svg width="34" height="10">{_stroke("0,5 30,5", one)}</svg>{escape(one.name)}</span>'
        for one in chart.series
    )
    label = f"{chart.y.label}{f' ({scale.unit})' if scale.unit else ''} against {chart.x.label}"
    label += ", logarithmic" if is_log else ""
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" role="img" '
        f'aria-label="{escape(chart.finding)}" font-size="12" font-family="system-ui,sans-serif" fill="#59636e">'
        f'{"".join(marks)}{"".join(lines)}<text x="{_LEFT}" y="{_HEIGHT - 6}">{escape(label)}</text></svg>'
        f"<p>{names}</p>"
    )


def _line(one: Series, at: Any) -> str:
    """Return a line with its band; where a value is missing it is broken off."""
    colour = _COLOURS[one.colour or 0]
    known = [(x, y) for x, y in zip(one.x, one.y, strict=True) if y is not None and not math.isnan(y)]
    band = (
        [
            (x, low, high)
            for x, low, high in zip(one.x, one.low or [], one.high or [], strict=True)
            if low is not None and high is not None
        ]
        if one.low and one.high
        else []
    )
    area = ""
    if band:
        around = [at(x, high) for x, _, high in band] + [at(x, low) for x, low, _ in reversed(band)]
        area = f'<polygon points="{" ".join(around)}" fill="{colour}" fill-opacity="0.15"/>'
    points = " ".join(at(x, y) for x, y in known)
    return area + _stroke(points, one)


def _stroke(points: str, one: Series) -> str:
    dash = f' stroke-dasharray="{_DASHES[one.dash]}"' if _DASHES[one.dash] else ""
    return f'<polyline points="{points}" fill="none" stroke="{_COLOURS[one.colour or 0]}" stroke-width="2"{dash}/>'
