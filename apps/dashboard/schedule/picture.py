"""The Gantt chart as a picture for papers, drawn by matplotlib on the server.

Imported only where a picture is drawn: matplotlib takes a good part of a second to load.
"""

from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from apps.dashboard.schedule.gantt import Gantt
from apps.dashboard.schedule.strips import Strip
from scheduler_sim.display.appearance import COLOURS
from scheduler_sim.display.drawing import as_file, bared
from scheduler_sim.display.formatting import scale_of
from scheduler_sim.display.stylesheets import light_colours

INCHES_WIDE = 7.0
INCHES_A_LANE = 0.22
INCHES_A_STRIP = 0.75
FILLED = 0.86
"""Of a lane's height."""

HATCHES = {"outage": "///", "failure": "xxx", "reservation": "..."}
LETTER_POINTS = 3.6
"""How wide a figure of a label is, at 6 points."""


def gantt_picture(chart: Gantt, kind: Literal["svg", "pdf"]) -> bytes:
    """Return the chart as a file, as wide as a page of two columns."""
    lanes = max(len(chart.lanes), 1)
    height = 3.6 if chart.processors else min(max(1.4 + INCHES_A_LANE * lanes, 2.4), 9.0)
    figure = Figure(figsize=(INCHES_WIDE, height + INCHES_A_STRIP * len(chart.strips)), layout="constrained")
    every = figure.subplots(
        1 + len(chart.strips),
        squeeze=False,
        sharex=True,
        height_ratios=[height, *[INCHES_A_STRIP] * len(chart.strips)],
    )[:, 0]
    axes = bared(every[0])
    colours = light_colours()
    scale = scale_of("seconds", [chart.window_to - chart.first])
    _frame(chart, axes, scale.divisor)
    for strip, below in zip(chart.strips, every[1:], strict=True):
        _strip(chart, strip, bared(below), scale.divisor)
    axes.tick_params(labelbottom=not chart.strips)
    every[-1].set_xlabel(f"Time after the first start ({scale.unit}), {chart.scheduler}", color=colours["muted"])
    legend = _areas(chart, axes, scale.divisor)
    legend += _shades(chart, axes, scale.divisor) if chart.level == "shades" else _tasks(chart, axes, scale.divisor)
    if legend:
        figure.legend(
            handles=legend, loc="outside lower center", ncols=4, frameon=False, fontsize=7, labelcolor=colours["ink"]
        )
    return as_file(figure, kind)


def _strip(chart: Gantt, strip: Strip, axes: Axes, divisor: float) -> None:
    """Draw a series under the schedule, on the same axis of time; of a power cap also what was drawn."""
    colours = light_colours()
    axes.grid(axis="x", color=colours["line"], linewidth=0.6)
    axes.set_axisbelow(True)
    lines = (
        (strip.times, strip.values, colours["better-fill"], "dashed" if strip.drawn else "solid"),
        (strip.drawn_times, strip.drawn, colours["worse-fill"], "solid"),
    )
    for times, values, colour, style in lines:
        if not values:
            continue
        heights = [float("nan") if value is None else value for value in values]
        axes.stairs(
            heights, [(time - chart.first) / divisor for time in times], baseline=None, color=colour, linestyle=style
        )
    axes.set_title(strip.title, fontsize=7, loc="left", color=colours["muted"])
    axes.tick_params(axis="y", labelsize=7)
    axes.locator_params(axis="y", nbins=3)


def _frame(chart: Gantt, axes: Axes, divisor: float) -> None:
    colours = light_colours()
    axes.set_xlim((chart.window_from - chart.first) / divisor, (chart.window_to - chart.first) / divisor)
    axes.grid(axis="x", color=colours["line"], linewidth=0.6)
    axes.set_axisbelow(True)
    if chart.processors:
        axes.set_ylim(0, chart.processors)
        axes.set_ylabel("Processors", color=colours["muted"])
        return
    axes.set_ylim(len(chart.lanes) - 0.5, -0.5)
    axes.set_yticks(range(len(chart.lanes)), chart.lanes, fontsize=7)


def _areas(chart: Gantt, axes: Axes, divisor: float) -> list[Patch]:
    """Hatch what was not there, and return what the legend says of it."""
    for lane, begin, end, kind, _ in chart.areas:
        left = (begin - chart.first) / divisor
        area = Rectangle((left, lane - 0.5), (end - begin) / divisor, 1.0)
        axes.add_patch(area)
        _hatched(area, kind)
    kinds = sorted({area[3] for area in chart.areas})
    return [_hatched(Patch(label=kind), kind) for kind in kinds]


def _hatched(patch: Patch, kind: str) -> Patch:
    colours = light_colours()
    patch.set(hatch=HATCHES[kind], facecolor=colours["sunken"], edgecolor=colours["line-strong"], linewidth=0)
    return patch


def _shades(chart: Gantt, axes: Axes, divisor: float) -> list[Patch]:
    colour = light_colours()["better-fill"]
    most = max((item[3] for item in chart.items), default=1.0)
    for lane, begin, end, amount in chart.items:
        left = (begin - chart.first) / divisor
        # How much of a lane is in use, its height tells better than a shade; lanes count downwards.
        height = FILLED * min(1.0, amount) if chart.unit == "use" else FILLED
        shade = Rectangle((left, lane + FILLED / 2 - height), (end - begin) / divisor, height, linewidth=0)
        shade.set(facecolor=colour, alpha=0.8 if chart.unit == "use" else 0.12 + 0.88 * amount / most)
        axes.add_patch(shade)
    words = f"at most {most:.3g} tasks at a time"
    if chart.unit != "tasks":
        words = f"at most {most:.0%} {'of the cores' if chart.unit == 'share' else 'in use'}"
    return [Patch(facecolor=colour, linewidth=0, label=words)]


def _tasks(chart: Gantt, axes: Axes, divisor: float) -> list[Patch]:
    colours = _class_colours(chart)
    points = 72 * INCHES_WIDE / ((chart.window_to - chart.window_from) or 1.0)
    for item in chart.items:
        bar = _bar(chart, item, divisor)
        colour, alpha = colours[item[11]]
        bar.set(facecolor=colour, alpha=alpha, edgecolor="white", linewidth=0.3)
        if item[10]:
            bar.set_hatch("////")
        axes.add_patch(bar)
        label = str(item[5])
        seen = min(item[4], chart.window_to) - max(item[3], chart.window_from)
        if seen * points > LETTER_POINTS * (len(label) + 1) and _is_high(chart, item):
            middle = (max(item[3], chart.window_from) + seen / 2 - chart.first) / divisor
            axes.text(
                middle, bar.get_y() + bar.get_height() / 2, label, fontsize=6, ha="center", va="center", clip_on=True
            )
    return [
        Patch(facecolor=colour, alpha=alpha, linewidth=0, label=name)
        for name, (colour, alpha) in zip(chart.colours, colours, strict=False)
    ]


def _bar(chart: Gantt, item: list[Any], divisor: float) -> Rectangle:
    lane, low, high, start, finish = item[:5]
    bottom, height = (
        (low, high - low) if chart.processors else (lane - FILLED / 2 + low * FILLED, (high - low) * FILLED)
    )
    return Rectangle(((start - chart.first) / divisor, bottom), (finish - start) / divisor, height)


def _is_high(chart: Gantt, item: list[Any]) -> bool:
    """Tell whether a label of 6 points fits into the height of a bar."""
    share = item[2] - item[1]
    return bool(share * 72 * (3.0 / chart.processors if chart.processors else INCHES_A_LANE * FILLED) > 6.5)


def _class_colours(chart: Gantt) -> list[tuple[str, float]]:
    """Return the colour and the opacity of each class."""
    colours = light_colours()
    if chart.colours_rise:
        count = len(chart.colours)
        return [(colours["worse-fill"], 0.15 + 0.85 * number / (count - 1)) for number in range(count)]
    return [(colours[f"policy-{number}"], 0.85) for number in range(COLOURS)]
