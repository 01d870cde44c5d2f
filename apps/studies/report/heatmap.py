"""A study's grid as a table whose colours say which policy is how much better than the base."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from apps.studies.report.figures import CellFigures, Standing
from apps.studies.report.tables import scale_for, varying_axes, with_reach
from scheduler_sim.display.formatting import percent_change
from scheduler_sim.engine.measuring.figures import FIGURES

EVEN, STEPS = 5, 5


@dataclass(frozen=True)
class HeatCell:
    """One policy in one cell: text, colour step (0 worst, 5 as the base, 10 best) and how sure the difference is."""

    standing: Standing | None
    text: str
    step: int
    change: str
    mark: str
    title: str
    is_best: bool


@dataclass(frozen=True)
class HeatRow:
    """One cell of the grid with its policies; `places` are where it lies on the axes that vary, the load aside."""

    figures: CellFigures
    places: Sequence[str]
    cells: Sequence[HeatCell]


def heatmap(cells: list[CellFigures], names: Sequence[str], base: str, figure: str) -> list[HeatRow]:
    """Return one row a cell of the grid with one coloured entry a policy."""
    scale = scale_for(cells, figure)
    axes = [axis for axis in varying_axes(cells) if axis != "load_factor"]
    rows = []
    for one in cells:
        against = one.standings.get(base)
        entries = []
        for name in names:
            standing = one.standings.get(name)
            if standing is None:
                entries.append(HeatCell(None, "no data", EVEN, "", "", "", is_best=False))
                continue
            difference = standing.difference
            mean, of_base = standing.interval.mean, against.interval.mean if against else math.nan
            entries.append(
                HeatCell(
                    standing=standing,
                    text=scale.text(mean),
                    step=_step(mean, of_base, higher_is_better=FIGURES[figure].better == "higher"),
                    change="" if name == base or math.isnan(of_base) else percent_change(mean, of_base),
                    mark="*" if difference is not None and difference.is_clear else "",
                    title=f"{name}: {with_reach(standing, scale)} {scale.unit}, mean rank {standing.rank:.2f}"
                    + (
                        ""
                        if difference is None or math.isnan(difference.adjusted)
                        else f", p = {difference.adjusted:.3g}"
                    ),
                    is_best=name == one.best,
                )
            )
        rows.append(HeatRow(one, [getattr(one.cell, axis) or "as in all" for axis in axes], entries))
    return rows


def _step(mean: float, base: float, *, higher_is_better: bool) -> int:
    """Return the colour step: a factor of two from the base is three steps, ten times is all of them."""
    if math.isnan(mean) or math.isnan(base) or mean <= 0 or base <= 0:
        return EVEN
    better = math.log10(mean / base) if higher_is_better else math.log10(base / mean)
    return EVEN + max(-STEPS, min(STEPS, round(math.copysign(math.sqrt(abs(better)), better) * STEPS)))
