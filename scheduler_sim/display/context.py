"""What every page knows."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

THEMES = ("light", "dark")

NAVIGATION = (
    ("run-list", "Runs"),
    ("study-list", "Studies"),
    ("workload-list", "Workloads"),
    ("site-list", "Sites"),
    ("policy-list", "Policies"),
    ("training", "Training"),
    ("lesson-list", "Lessons"),
    ("help-metrics", "Figures"),
)


CHART_MODULES = (
    "echarts/echarts.esm.min.mjs",
    *(f"js/{name}.js" for name in ("charts/charts", "files", "charts/options", "charts/numbers", "charts/colours")),
)
"""What a page with charts loads, in this order."""


def page(request: HttpRequest) -> dict[str, Any]:
    """Return the chosen theme (empty: after the system), the navigation, and whether charts can be drawn."""
    theme = request.COOKIES.get("theme", "")
    return {
        "theme": theme if theme in THEMES else "",
        "charts_installed": settings.CHARTS_INSTALLED,
        "chart_modules": CHART_MODULES,
        "navigation": [
            {"href": href, "label": label, "current": request.path.startswith(href)}
            for href, label in ((reverse(route), label) for route, label in NAVIGATION)
        ],
    }
