"""Charts as pictures that stand inside a report or a paper, drawn by matplotlib.

Imported only where a picture is drawn: matplotlib takes a good part of a second to load.
"""

import math
import textwrap
from collections.abc import Sequence
from typing import Literal, TypeGuard

import matplotlib as mpl
from django.utils.safestring import SafeString, mark_safe
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from scheduler_sim.display.appearance import DASH_ARRAYS
from scheduler_sim.display.charts import AXIS_UNITS, PAPER_WIDTHS, Axis, Chart, Series
from scheduler_sim.display.drawing import as_file, axes_on
from scheduler_sim.display.formatting import Scale, scale_of
from scheduler_sim.display.stylesheets import light_colours

INCHES = (8.0, 3.6)
MOST_MARKS = 12
"""So many different places along the horizontal axis are each named; of more, matplotlib chooses."""

LETTERS = {"single": 24, "double": 48}
"""Characters of a name in one line."""

POINTS = 8
"""Size of the letters on paper."""

_QUANTITIES = {"": "ratio", **{unit: quantity for quantity, unit in AXIS_UNITS.items()}}


def line_picture(chart: Chart, scale: Scale) -> SafeString | None:
    """Return a line chart with its bands as SVG, its vertical axis in the unit of `scale`; None where nothing is known.

    A missing value is a gap in its line.
    """
    if not any(_known(value) for one in chart.series for value in one.y):
        return None
    figure, axes = axes_on(INCHES)
    colours = light_colours()
    for one in chart.series:
        _line(axes, one, _AS_IT_IS, scale)
    _places(axes, chart)
    _vertical(axes, chart.y, scale)
    axes.set_xlabel(chart.x.label, color=colours["muted"])
    figure.legend(loc="outside lower center", ncols=4, frameon=False, labelcolor=colours["ink"], handlelength=3)
    return _inline(figure)


def paper_picture(chart: Chart, width: str, kind: Literal["svg", "pdf"]) -> bytes:
    """Return a chart of kind `line`, `interval` or `scatter` as a file for a paper, its letters as large as there.

    Args:
        width: one of `PAPER_WIDTHS`.
    """
    columns = {"single": 2, "double": 4}[width]
    with mpl.rc_context({"font.size": POINTS, "axes.labelsize": POINTS}):
        names = [_wrapped(one.name, width) for one in chart.series]
        has_legend = chart.kind == "line"
        rows = math.ceil(len(names) / columns) * max((name.count("\n") + 1 for name in names), default=1)
        height = 2.2 + (0.16 * rows if has_legend else 0)
        if chart.kind == "interval":
            height = 0.8 + 0.22 * sum(name.count("\n") + 1 for name in names)
        figure, axes = axes_on((PAPER_WIDTHS[width], min(height, 9.0)))
        {"line": _draw_lines, "interval": _draw_intervals, "scatter": _draw_points}[chart.kind](axes, chart, names)
        if has_legend and names:
            figure.legend(
                loc="outside lower center",
                ncols=columns,
                frameon=False,
                labelcolor=light_colours()["ink"],
                handlelength=2.5,
                fontsize=POINTS - 1,
            )
        return as_file(figure, kind)


def _draw_lines(axes: Axes, chart: Chart, names: Sequence[str]) -> None:
    x = _scale(chart.x, [value for one in chart.series for value in one.x])
    y = _scale(chart.y, [value for one in chart.series for value in one.y])
    for one, name in zip(chart.series, names, strict=True):
        _line(axes, one, x, y, name)
    if chart.x.scale == "log":
        _logarithmic(axes, "x")
    else:
        _places(axes, chart)
    _vertical(axes, chart.y, y)
    axes.set_xlabel(_label(chart.x, x), color=light_colours()["muted"])


def _draw_intervals(axes: Axes, chart: Chart, names: Sequence[str]) -> None:
    colours = light_colours()
    scale = _scale(chart.x, [value for one in chart.series for value in one.x])
    for row, one in enumerate(chart.series):
        low, middle, high = _scaled(one.x, scale)
        colour = colours[f"policy-{one.colour or 0}"]
        axes.plot([low, high], [row, row], color=colour, linewidth=1.4, solid_capstyle="butt")
        axes.plot([middle], [row], marker="o", markersize=3.5, color=colour, linestyle="none")
    axes.set_yticks(range(len(chart.series)), names)
    axes.set_ylim(len(chart.series) - 0.5, -0.5)
    if chart.x.scale == "log":
        _logarithmic(axes, "x")
    axes.grid(axis="x", color=colours["line"], linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel(_label(chart.x, scale), color=colours["muted"])


def _draw_points(axes: Axes, chart: Chart, _names: Sequence[str]) -> None:
    colours = light_colours()
    x = _scale(chart.x, [value for one in chart.series for value in one.x])
    y = _scale(chart.y, [value for one in chart.series for value in one.y])
    for one in chart.series:
        colour = colours[f"policy-{one.colour or 0}"]
        axes.plot(_scaled(one.x, x), _scaled(one.y, y), ".", color=colour, markersize=2, markeredgewidth=0, alpha=0.6)
    known = [value for one in chart.series for value in (*one.x, *one.y) if _known(value) and value > 0]
    if known:
        ends = [min(known), max(known)]
        axes.plot(_scaled(ends, x), _scaled(ends, y), color=colours["muted"], linewidth=0.8)
        _logarithmic(axes, "x")
        _logarithmic(axes, "y")
    axes.set_xlabel(_label(chart.x, x), color=colours["muted"])
    axes.set_ylabel(_label(chart.y, y), color=colours["muted"])


def _line(axes: Axes, one: Series, x: Scale, y: Scale, name: str = "") -> None:
    colour = light_colours()[f"policy-{one.colour or 0}"]
    dash = tuple(float(part) for part in DASH_ARRAYS[one.dash].split())
    # Dashes are stored in pixels of a screen, of which four make three points.
    style = (0, tuple(0.75 * part for part in dash)) if dash else "solid"
    places = _scaled(one.x, x)
    axes.plot(places, _scaled(one.y, y), color=colour, linewidth=1.6, linestyle=style, label=name or one.name)
    if one.low and one.high:
        axes.fill_between(places, _scaled(one.low, y), _scaled(one.high, y), color=colour, alpha=0.15, linewidth=0)


def _places(axes: Axes, chart: Chart) -> None:
    places = sorted({float(x) for one in chart.series for x in one.x})
    if len(places) <= MOST_MARKS:
        axes.set_xticks(places, [f"{place:g}" for place in places])


def _vertical(axes: Axes, axis: Axis, scale: Scale) -> None:
    colours = light_colours()
    if axis.scale == "log":
        _logarithmic(axes, "y")
    else:
        low, high = axes.get_ylim()
        axes.set_ylim(0 if axes.dataLim.y0 >= 0 else low, max(0, high))
    axes.set_ylabel(_label(axis, scale), color=colours["muted"])
    axes.grid(axis="y", color=colours["line"], linewidth=0.8)


def _logarithmic(axes: Axes, which: Literal["x", "y"]) -> None:
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = sorted(axis.get_view_interval())
    decades = math.log10(high / low) if low > 0 else math.inf
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 3.5 else (1.0,)))
    axis.set_major_formatter(_plain_number)
    axis.set_minor_locator(NullLocator())


_AS_IT_IS = Scale("", 1.0, 2)


def _scale(axis: Axis, values: Sequence[float | None]) -> Scale:
    return scale_of(_QUANTITIES[axis.unit], values)


def _label(axis: Axis, scale: Scale) -> str:
    unit = f" ({scale.unit})" if scale.unit else ""
    return f"{axis.label}{unit}{', logarithmic' if axis.scale == 'log' else ''}"


def _wrapped(name: str, width: str) -> str:
    return "\n".join(textwrap.wrap(name, LETTERS[width], break_on_hyphens=False)) or name


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
