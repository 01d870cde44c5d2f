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


def page(request: HttpRequest) -> dict[str, Any]:
    """Return the chosen theme (empty: after the system), the navigation, and whether charts can be drawn."""
    theme = request.COOKIES.get("theme", "")
    return {
        "theme": theme if theme in THEMES else "",
        "charts_installed": settings.CHARTS_INSTALLED,
        "navigation": [
            {"href": href, "label": label, "current": request.path.startswith(href)}
            for href, label in ((reverse(route), label) for route, label in NAVIGATION)
        ],
    }
