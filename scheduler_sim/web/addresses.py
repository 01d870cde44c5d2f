"""Addresses that several pages have alike."""

from collections.abc import Callable
from typing import Any

from django.urls import URLPattern, URLResolver, include, path

View = Callable[..., Any]
Addresses = list[URLPattern | URLResolver]


def rows_of(
    name: str, every: View, new: View, one: View | Addresses, *, making: str = "new", key: str = "<int:pk>"
) -> Addresses:
    """Return where rows are listed, where one is made, and where one is shown, below their common address.

    Args:
        name: of what they are; the addresses are called NAME-list, NAME-`making` and NAME-detail.
        one: the view that shows a row, or all addresses below it.
        making: the last part of the address where one is made.
        key: what tells a row in an address.
    """
    return [
        path("", every, name=f"{name}-list"),
        path(f"{making}/", new, name=f"{name}-{making}"),
        path(f"{key}/", include(one)) if isinstance(one, list) else path(f"{key}/", one, name=f"{name}-detail"),
    ]


def charted(page: str, shown: View, all_charts: View, one_chart: View, *, name: str = "") -> Addresses:
    """Return where a page is, and where its charts are read, below their common address.

    Args:
        page: what it is; the addresses of charts are called PAGE-charts and PAGE-chart.
        all_charts: the view that hands out all of them.
        one_chart: the view that hands out one as a table.
        name: of the page's address, where that is not `page`.
    """
    return [
        path("", shown, name=name or page),
        path("charts.json", all_charts, name=f"{page}-charts"),
        path("charts/<slug:key>.<table:kind>", one_chart, name=f"{page}-chart"),
    ]
