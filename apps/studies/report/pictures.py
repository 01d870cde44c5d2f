"""Charts as pictures that stand inside a report, drawn by matplotlib.

Imported only where a picture is drawn: matplotlib takes a good part of a second to load.
"""

import math
from collections.abc import Sequence
from typing import TypeGuard

from django.utils.safestring import SafeString, mark_safe
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from scheduler_sim.display.appearance import DASH_ARRAYS
from scheduler_sim.display.charts import Chart, Series
from scheduler_sim.display.drawing import as_file, axes_on
from scheduler_sim.display.formatting import Scale
from scheduler_sim.display.stylesheets import light_colours

INCHES = (8.0, 3.6)
MOST_MARKS = 12
"""So many different places along the horizontal axis are each named; of more, matplotlib chooses."""


def line_picture(chart: Chart, scale: Scale) -> SafeString | None:
    """Return a line chart with its bands as SVG, its vertical axis in the unit of `scale`; None where nothing is known.

    A missing value is a gap in its line.
    """
    if not any(_known(value) for one in chart.series for value in one.y):
        return None
    colours = light_colours()
    figure, axes = axes_on(INCHES)
    for one in chart.series:
        _draw(axes, one, scale, colours[f"policy-{one.colour or 0}"])
    places = sorted({float(x) for one in chart.series for x in one.x})
    if len(places) <= MOST_MARKS:
        axes.set_xticks(places, [f"{place:g}" for place in places])
    if chart.y.scale == "log":
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(_plain_number)
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.set_ylim(bottom=0)
    axes.set_xlabel(chart.x.label, color=colours["muted"])
    unit = f" ({scale.unit})" if scale.unit else ""
    axes.set_ylabel(f"{chart.y.label}{unit}{', logarithmic' if chart.y.scale == 'log' else ''}", color=colours["muted"])
    axes.grid(axis="y", color=colours["line"], linewidth=0.8)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, labelcolor=colours["ink"], handlelength=3)
    return _inline(figure)


def _draw(axes: Axes, one: Series, scale: Scale, colour: str) -> None:
    dash = tuple(float(part) for part in DASH_ARRAYS[one.dash].split())
    # Dashes are stored in pixels of a screen, of which four make three points.
    style = (0, tuple(0.75 * part for part in dash)) if dash else "solid"
    axes.plot(one.x, _scaled(one.y, scale), color=colour, linewidth=1.6, linestyle=style, label=one.name)
    if one.low and one.high:
        axes.fill_between(
            one.x, _scaled(one.low, scale), _scaled(one.high, scale), color=colour, alpha=0.15, linewidth=0
        )


def _scaled(values: Sequence[float | None], scale: Scale) -> list[float]:
    return [value / scale.divisor if _known(value) else math.nan for value in values]


def _known(value: float | None) -> TypeGuard[float]:
    return value is not None and not math.isnan(value)


def _plain_number(value: float, _position: float) -> str:
    return f"{value:,g}"


def _inline(figure: Figure) -> SafeString:
    """Return the figure as an element of a page: without the head of a file."""
    svg = as_file(figure, "svg").decode()
    # matplotlib escapes the texts it is given.
    return mark_safe(svg[svg.index("<svg") :])  # noqa: S308
