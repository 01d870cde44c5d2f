"""The pictures in reports: the page's colours, gaps that stay gaps, and the same bytes each time."""

import math
import re
from collections.abc import Sequence
from typing import get_args

import pytest

from apps.studies.grid import Cell
from apps.studies.report.charts import study_charts
from apps.studies.report.figures import CellFigures, Standing
from apps.studies.report.pictures import line_picture, paper_picture
from scheduler_sim.display.charts import AXIS_UNITS, Axis, Chart, Series
from scheduler_sim.display.formatting import Scale, scale_of
from scheduler_sim.display.stylesheets import light_colours, stylesheet
from scheduler_sim.engine.measuring.figures import Quantity
from scheduler_sim.engine.numerics.statistics import Interval

pytestmark = pytest.mark.own_data

HOURS = Scale("h", 3600.0, 1)


def chart(*series: Series, scale: str = "linear") -> Chart:
    axes = (Axis("Load factor", scale="free"), Axis("Mean wait", "s", scale))
    return Chart("load-1", "line", "Mean wait against load", "fcfs is best.", *axes, series)


def line(y: Sequence[float | None], low: list[float] | None = None, high: list[float] | None = None) -> Series:
    return Series("fcfs+easy", [0.7, 1.0, 1.3, 1.6, 1.9], y, 6, 1, low=low, high=high)


def picture_of(chart: Chart) -> str:
    picture = line_picture(chart, HOURS)
    assert picture is not None
    return picture


def drawn(picture: str) -> list[str]:
    """Return the paths in the colour of the series that are lines, not bands."""
    colour = light_colours()["policy-6"]
    return re.findall(rf'<path d="([^"]*)"[^>]*style="fill: none[^"]*stroke: {colour}', picture)


def test_a_line_is_drawn_in_the_colour_and_dash_of_its_policy():
    picture = picture_of(chart(line([3600.0] * 5)))
    assert len(drawn(picture)) >= 1
    assert "stroke-dasharray: 5.25,3" in picture


def test_a_missing_value_breaks_its_line():
    whole, *_ = drawn(picture_of(chart(line([1.0, 2.0, 3.0, 4.0, 5.0]))))
    broken, *_ = drawn(picture_of(chart(line([1.0, 2.0, None, 4.0, 5.0]))))
    assert (whole.count("M"), broken.count("M")) == (1, 2)


def test_the_axis_says_its_unit_and_whether_it_is_logarithmic():
    picture = picture_of(chart(line([3600.0, 7200.0, 36000.0, 72000.0, 720000.0]), scale="log"))
    assert "Mean wait (h), logarithmic" in picture
    assert {"1", "10", "100"} <= set(re.findall(r"<text[^>]*>([^<]*)</text>", picture))


def marks_of(picture: str) -> list[float]:
    """Return the numbers written along the axes."""
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", picture)
    return [
        float(text.replace("\N{MINUS SIGN}", "-")) for text in texts if re.fullmatch(r"\N{MINUS SIGN}?[\d.]+", text)
    ]


def test_an_axis_begins_at_zero_unless_values_lie_below_it():
    places = {0.7, 1.0, 1.3, 1.6, 1.9}
    assert min(set(marks_of(picture_of(chart(line([9 * 3600.0] * 5))))) - places) == 0
    below = set(marks_of(picture_of(chart(line([-9 * 3600.0, -8 * 3600.0, None, -9 * 3600.0, -9 * 3600.0]))))) - places
    assert min(below) <= -8
    assert max(below) >= 0


@pytest.mark.parametrize("quantity", get_args(Quantity))
def test_a_figure_for_a_paper_says_the_unit_of_what_is_along_its_axis(quantity: str) -> None:
    axes = (Axis("Load factor", scale="free"), Axis("Figure", AXIS_UNITS.get(quantity, "")))
    drawing = paper_picture(Chart("a", "line", "", "", *axes, [line([5.0] * 5)]), "single", "svg").decode()
    unit = scale_of(quantity, [5.0]).unit
    assert f">Figure{f' ({unit})' if unit else ''}<" in drawing


def test_a_studys_chart_keeps_what_lies_below_zero() -> None:
    means = {0.8: -2.0, 1.0: 1.5, 1.2: 80.0}
    cells = [
        CellFigures(
            Cell("w", load, "c", "trace"),
            {"fcfs": Standing("fcfs", Interval(mean, mean - 1, mean + 1, 2), None, 1.0)},
            "fcfs",
            math.nan,
        )
        for load, mean in means.items()
    ]
    (signed,) = study_charts(cells, "electricity_usd").values()
    assert (signed.y.unit, signed.y.scale) == ("usd", "linear")
    assert (signed.series[0].y, signed.series[0].low) == ([-2.0, 1.5, 80.0], [-3.0, 0.5, 79.0])
    (other,) = study_charts(cells, "carbon_kg").values()
    assert other.y.unit == "kg"
    assert other.series[0].low == [0.0, 0.5, 79.0]


def test_a_band_lies_beneath_its_line():
    low, high = [1.0] * 5, [5.0] * 5
    assert "PolyCollection" in picture_of(chart(line([3.0] * 5, low=low, high=high)))
    assert "PolyCollection" not in picture_of(chart(line([3.0] * 5)))


def test_the_same_chart_is_the_same_picture():
    assert line_picture(chart(line([1.0] * 5)), HOURS) == line_picture(chart(line([1.0] * 5)), HOURS)


def test_nothing_known_gives_no_picture():
    assert line_picture(chart(line([None, float("nan"), None, None, None])), HOURS) is None
    assert line_picture(chart(), HOURS) is None


def test_a_name_is_text_in_the_picture():
    odd = Series("<script>&", [1.0, 2.0], [1.0, 2.0], 0, 0)
    picture = picture_of(chart(odd))
    assert "<script>" not in picture
    assert "&lt;script&gt;&amp;" in picture


def test_every_policy_has_its_colour_on_paper():
    assert {f"policy-{number}" for number in range(12)} < set(light_colours())


def test_a_style_sheet_that_does_not_exist_is_an_error():
    with pytest.raises(FileNotFoundError, match=r"missing\.css"):
        stylesheet("missing.css")
