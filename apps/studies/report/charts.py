"""The charts of a study: one figure against load and against the size of the cluster, with 95% bands."""

import math
from collections.abc import Callable, Sequence

from apps.studies.grid import Cell
from apps.studies.report.figures import CellFigures
from apps.studies.report.tables import policies_of, scale_for, with_reach
from apps.studies.report.words import place_in_words
from scheduler_sim.display.appearance import appearance
from scheduler_sim.display.charts import AXIS_UNITS, Axis, Chart, Series, TextTable
from scheduler_sim.engine.measuring.figures import FIGURES

DECADES_FOR_LOG = 1.5
"""From means so many powers of ten apart on, the vertical axis is logarithmic: else one policy hides the others."""


def study_charts(cells: Sequence[CellFigures], figure: str) -> dict[str, Chart]:
    """Return the charts by key: one for each way through the grid along which more than one cell lies."""
    charts = []
    for number, group in enumerate(
        _along(cells, lambda cell: (cell.workload, cell.cluster, cell.estimates, cell.variant)), start=1
    ):
        if len(group) > 1:
            charts.append(
                _line(
                    f"load-{number}",
                    "load",
                    Axis("Load factor", scale="free"),
                    group,
                    cells,
                    figure,
                    lambda one: one.cell.load_factor,
                )
            )
    for number, group in enumerate(
        _along(cells, lambda cell: (cell.workload, cell.load_factor, cell.estimates, cell.variant)), start=1
    ):
        if len({_size(one)[1] for one in group}) > 1:
            axis = Axis(f"{_size(group[0])[0]} of the cluster", scale="free")
            charts.append(
                _line(f"size-{number}", "cluster size", axis, group, cells, figure, lambda one: float(_size(one)[1]))
            )
    return {chart.key: chart for chart in charts}


def _along(cells: Sequence[CellFigures], key: Callable[[Cell], tuple[object, ...]]) -> list[list[CellFigures]]:
    groups: dict[tuple[object, ...], list[CellFigures]] = {}
    for one in cells:
        groups.setdefault(key(one.cell), []).append(one)
    return list(groups.values())


def _size(one: CellFigures) -> tuple[str, int]:
    """Return what a cluster's size is counted in, and the size."""
    return ("GPUs", one.gpus) if one.gpus else ("Cores", one.cores)


def _line(
    key: str,
    against: str,
    axis: Axis,
    group: Sequence[CellFigures],
    cells: Sequence[CellFigures],
    figure: str,
    position: Callable[[CellFigures], float],
) -> Chart:
    group = sorted(group, key=position)
    x = [position(one) for one in group]
    scale = scale_for(list(cells), figure)
    every = [one.interval.mean for cell in group for one in cell.standings.values()]
    means = [mean for mean in every if mean > 0]
    is_log = (
        bool(means)
        and all(mean >= 0 for mean in every if not math.isnan(mean))
        and math.log10(max(means) / min(means)) >= DECADES_FOR_LOG
    )
    # Below zero few figures lie, and below this no logarithm; a band may reach there when there are few seeds.
    least = min(means) / 10 if is_log else min(0.0, FIGURES[figure].possible[0])
    series, columns = [], []
    for name in policies_of(list(group)):
        standings = [one.standings.get(name) for one in group]
        intervals = [None if one is None or math.isnan(one.interval.mean) else one.interval for one in standings]
        look = appearance(name)
        series.append(
            Series(
                name,
                x,
                [None if one is None else one.mean for one in intervals],
                look.colour,
                look.dash,
                low=[None if one is None or math.isnan(one.low) else max(least, one.low) for one in intervals],
                high=[None if one is None or math.isnan(one.high) else one.high for one in intervals],
            )
        )
        columns.append(["no data" if one is None else with_reach(one, scale) for one in standings])
    quantity = FIGURES[figure].quantity
    fixed = [one for one in cells if one.cell == group[0].cell] or [group[0]]
    where = _where(fixed[0], group, cells)
    return Chart(
        key=key,
        kind="line",
        title=f"{FIGURES[figure].label} against {against}{where}",
        finding=_finding(group, against),
        x=axis,
        y=Axis(FIGURES[figure].label, AXIS_UNITS.get(quantity, ""), "log" if is_log else "linear"),
        series=series,
        table=TextTable(
            (axis.label, *(one.name for one in series)),
            [(f"{value:g}", *(column[row] for column in columns)) for row, value in enumerate(x)],
        ),
    )


def _where(one: CellFigures, group: Sequence[CellFigures], cells: Sequence[CellFigures]) -> str:
    """Return what is the same along the line and differs between the charts."""
    inside = {(other.cell.load_factor, other.cell.cluster) for other in group}
    by_load = len({load for load, _ in inside}) > 1
    others = [other for other in cells if by_load or other.cell.cluster == one.cell.cluster]
    if by_load:
        others = [other for other in cells if other.cell.load_factor == one.cell.load_factor]
    text = place_in_words(one.cell, [other.cell for other in others])
    return f", {text}" if text else ""


def _finding(group: Sequence[CellFigures], against: str) -> str:
    best = list(dict.fromkeys(one.best for one in group if one.best))
    bands = _reach_in_words(group, "Bands")
    if not best:
        return bands
    if len(best) == 1:
        return f"{best[0]} is best throughout. {bands}"
    first, last = group[0].best, group[-1].best
    text = f"{first} is best at the lowest {against}, {last} at the highest." if first != last else ""
    return f"{text or 'The best policy changes along the way.'} {bands}"


def cell_charts(cells: Sequence[CellFigures], figure: str) -> dict[str, Chart]:
    """Return one chart a cell by key: every policy's mean and 95% interval, for grids along which nothing is drawn."""
    every = [one.cell for one in cells]
    charts = {}
    for number, one in enumerate(cells, start=1):
        where = place_in_words(one.cell, every)
        title = f"{FIGURES[figure].label}{f', {where}' if where else ''}"
        series = []
        for name, standing in one.standings.items():
            interval = standing.interval
            if math.isnan(interval.mean):
                continue
            ends = [interval.mean if math.isnan(end) else end for end in (interval.low, interval.high)]
            look = appearance(name)
            series.append(Series(name, [ends[0], interval.mean, ends[1]], [name] * 3, look.colour, look.dash))
        axis = Axis(FIGURES[figure].label, AXIS_UNITS.get(FIGURES[figure].quantity, ""), "free")
        bars = _reach_in_words([one], "Bars")
        finding = f"{one.best} is best. {bars}" if one.best else bars
        charts[f"cell-{number}"] = Chart(
            f"cell-{number}", "interval", title, finding, axis, Axis("Policy", "", "category"), series
        )
    return charts


def _reach_in_words(group: Sequence[CellFigures], drawn: str) -> str:
    """Return what intervals are of, which are `drawn` as bars or bands, or why there is none."""
    seeds = min(len(one.run_ids) for one in group)
    if seeds < 2:
        return "One seed gives no interval."
    if all(one.is_alike for one in group):
        return f"All {seeds} seeds give the same, so that there is no interval."
    return f"{drawn} are 95% intervals over {seeds} seeds."
