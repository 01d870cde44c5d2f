"""Addresses that several pages have alike."""

from collections.abc import Callable
from typing import Any

from django.urls import URLPattern, path


def charts_of(page: str, all_charts: Callable[..., Any], one_chart: Callable[..., Any]) -> list[URLPattern]:
    """Return where the charts of a page are read, below its address.

    Args:
        page: its name; the two addresses are called PAGE-charts and PAGE-chart.
        all_charts: the view that hands out all of them.
        one_chart: the view that hands out one as a table.
    """
    return [
        path("charts.json", all_charts, name=f"{page}-charts"),
        path("charts/<slug:key>.<table:kind>", one_chart, name=f"{page}-chart"),
    ]
