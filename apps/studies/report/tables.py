"""A study as one JSON document, as tables in the terminal, and as a Markdown table."""

import math
from dataclasses import asdict
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from apps.results.models import Study, study_status
from apps.studies.report.figures import AXES, CellFigures, Standing, study_figures
from apps.studies.report.published import published, published_lines
from apps.studies.report.words import study_sentences
from scheduler_sim.display.formatting import Scale, figure_scale
from scheduler_sim.engine.measuring.figures import FIGURES

COLUMNS = (
    *AXES,
    "offered_load",
    "cores",
    "gpus",
    "scheduler",
    "mean",
    "low",
    "high",
    "seeds",
    "mean_rank",
    "difference",
    "difference_low",
    "difference_high",
    "p_value",
    "p_value_holm",
    "is_best",
)


def chosen_figure(study: Study, wanted: str = "") -> str:
    """Return the figure to show: the wanted one when there is one like that, else the study's own."""
    from apps.metrics.models import Metric

    stored = {field.name for field in Metric._meta.concrete_fields}
    own = study.definition.get("figure", "mean_bounded_slowdown")
    return wanted if wanted in FIGURES and wanted in stored else own


def chosen_base(study: Study, wanted: str = "") -> str:
    """Return the base policy: the wanted one when the study plays it, else its own."""
    from apps.studies.definition import Definition

    definition = Definition.from_json(study.definition)
    return wanted if wanted in definition.policies else definition.base


def study_document(study: Study, *, figure: str = "", base: str = "") -> dict[str, Any]:
    """Return the document that `runstudy --json` prints."""
    figure, base = chosen_figure(study, figure), chosen_base(study, base)
    cells = study_figures(study, figure, base)
    counts = study.counts()
    return {
        "study": study.pk,
        "name": study.name,
        "status": study_status(counts),
        "runs": counts,
        "figure": figure,
        "base": base,
        "conclusion": study_sentences(study, cells, figure=figure, base=base),
        "cells": [
            {
                **{axis: getattr(cell.cell, axis) for axis in AXES},
                "offered_load": cell.offered_load,
                "cores": cell.cores,
                "gpus": cell.gpus,
                "best": cell.best,
                "friedman_p_value": _known(cell.friedman),
                "runs": {str(seed): run_id for seed, run_id in cell.run_ids.items()},
                "policies": [
                    dict(zip(COLUMNS[7:], _row(cell, one)[7:], strict=True)) for one in cell.standings.values()
                ],
            }
            for cell in cells
        ],
        "published": None if (beside := published(study)) is None else asdict(beside),
    }


def study_rows(cells: list[CellFigures]) -> list[tuple[Any, ...]]:
    """Return one row a cell and policy, in the order of `COLUMNS`, in stored units."""
    return [_row(cell, one) for cell in cells for one in cell.standings.values()]


def _row(cell: CellFigures, one: Standing) -> tuple[Any, ...]:
    difference = one.difference
    return (
        *(getattr(cell.cell, axis) for axis in AXES),
        cell.offered_load,
        cell.cores,
        cell.gpus,
        one.scheduler,
        _known(one.interval.mean),
        _known(one.interval.low),
        _known(one.interval.high),
        one.interval.count,
        _known(one.rank),
        _known(difference.interval.mean) if difference else None,
        _known(difference.interval.low) if difference else None,
        _known(difference.interval.high) if difference else None,
        _known(difference.p_value) if difference else None,
        _known(difference.adjusted) if difference else None,
        one.scheduler == cell.best,
    )


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def scale_for(cells: list[CellFigures], figure: str) -> Scale:
    """Return how one figure's numbers are written, the same in every cell."""
    return figure_scale(figure, [one.interval.mean for cell in cells for one in cell.standings.values()])


def with_reach(standing: Standing, scale: Scale) -> str:
    """Return a mean and its 95% interval, such as `12.3 [11.8, 12.9]`."""
    interval = standing.interval
    if not interval.is_bounded:
        return scale.text(interval.mean)
    return f"{scale.text(interval.mean)} [{scale.text(interval.low)}, {scale.text(interval.high)}]"


def varying_axes(cells: list[CellFigures]) -> list[str]:
    """Return the axes along which the cells differ, and the load always."""
    return [axis for axis in AXES if axis == "load_factor" or len({getattr(one.cell, axis) for one in cells}) > 1]


def fixed_places(cells: list[CellFigures], varying: list[str]) -> list[Any]:
    """Return where all cells lie on the axes that do not vary, without those that have no name."""
    return [place for axis in AXES if axis not in varying and (place := getattr(cells[0].cell, axis))] if cells else []


def policies_of(cells: list[CellFigures]) -> list[str]:
    """Return the policies of all cells, in the order in which they come."""
    return list(dict.fromkeys(name for cell in cells for name in cell.standings))


def markdown_table(study: Study, *, figure: str = "", base: str = "") -> str:
    """Return the study as Markdown: its conclusion and one row a cell with means and 95% intervals."""
    figure, base = chosen_figure(study, figure), chosen_base(study, base)
    cells = study_figures(study, figure, base)
    scale, names = scale_for(cells, figure), policies_of(cells)
    lines = [f"# {_escaped(study.name)}", "", *study_sentences(study, cells, figure=figure, base=base), ""]
    unit = f" ({scale.unit})" if scale.unit else ""
    lines += [f"{FIGURES[figure].label}{unit}: mean and 95% interval over seeds; best in bold.", ""]
    axes = [
        "workload",
        "load",
        "cluster",
        "estimates",
        *(["variant"] if any(one.cell.variant for one in cells) else []),
    ]
    lines.append("| " + " | ".join([*axes, "seeds", *map(_escaped, names)]) + " |")
    lines.append("|---" * (len(axes) + 1 + len(names)) + "|")
    for cell in cells:
        place = cell.cell
        texts = [_escaped(place.workload), f"{place.load_factor:g}", _escaped(place.cluster), place.estimates]
        texts += [_escaped(place.variant)] if "variant" in axes else []
        values = []
        for name in names:
            standing = cell.standings.get(name)
            text = "no data" if standing is None else with_reach(standing, scale)
            values.append(f"**{text}**" if name == cell.best else text)
        lines.append("| " + " | ".join([*texts, str(len(cell.run_ids)), *values]) + " |")
    if (beside := published(study)) is not None:
        lines += ["", *published_lines(beside)]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def print_study(study: Study, console: Console) -> None:
    """Print the conclusion and a table with one line a cell."""
    figure, base = chosen_figure(study), chosen_base(study)
    cells = study_figures(study, figure, base)
    scale, names = scale_for(cells, figure), policies_of(cells)
    unit = f" ({scale.unit})" if scale.unit else ""
    table = Table(
        title=f"Study {study.pk}: {study.name}. {FIGURES[figure].label}{unit}, mean and 95% interval",
        title_justify="left",
        box=SIMPLE_HEAD,
    )
    further = [axis for axis in ("estimates", "variant") if axis in varying_axes(cells)]
    for heading in ("workload", "load", "cluster", *further, "seeds"):
        table.add_column(heading, no_wrap=True)
    for name in names:
        table.add_column(name, justify="right", no_wrap=not console.is_terminal)
    for cell in cells:
        values = [
            Text(text, style="bold") if name == cell.best else text
            for name in names
            for text in [with_reach(cell.standings[name], scale) if name in cell.standings else ""]
        ]
        place = cell.cell
        axes = [place.workload, f"{place.load_factor:g}", place.cluster, *(getattr(place, axis) for axis in further)]
        table.add_row(*axes, str(len(cell.run_ids)), *values)
    console.print(table)
    for sentence in study_sentences(study, cells, figure=figure, base=base):
        console.print(sentence, highlight=False, soft_wrap=not console.is_terminal)
