"""What pictures drawn by matplotlib have in common.

Imported only where a picture is drawn: matplotlib takes a good part of a second to load.
"""

import io
from typing import Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scheduler_sim.display.stylesheets import light_colours

# Texts stay texts, also with dollars in them, and the names inside the picture are the same each time.
mpl.rcParams.update(
    {
        "svg.fonttype": "none",
        "svg.hashsalt": "scheduler-sim",
        "pdf.fonttype": 42,
        "lines.scale_dashes": False,
        "text.parse_math": False,
    }
)

CONTENT_TYPES = {"svg": "image/svg+xml", "pdf": "application/pdf"}


def axes_on(inches: tuple[float, float]) -> tuple[Figure, Axes]:
    """Return a figure of so many inches and its axes, in the colours of the page: few lines, nothing around."""
    figure = Figure(figsize=inches, layout="constrained")
    return figure, bared(figure.subplots())


def bared(axes: Axes) -> Axes:
    """Return axes in the colours of the page: few lines, nothing around."""
    colours = light_colours()
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(colours["line-strong"])
    axes.tick_params(colors=colours["muted"], length=0, which="both")
    return axes


def as_file(figure: Figure, kind: Literal["svg", "pdf"]) -> bytes:
    """Return the figure as a file that says nothing of when it was made, so that the same figure is the same file."""
    if kind == "svg":
        nothing: dict[str, str | None] = {"Date": None, "Creator": None, "Format": None, "Type": None}
    else:
        nothing = {"CreationDate": None, "Creator": None, "Producer": None}
    file = io.BytesIO()
    figure.savefig(file, format=kind, metadata=nothing)
    return file.getvalue()
