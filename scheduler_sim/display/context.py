"""What every page knows."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest

THEMES = ("light", "dark")

NAVIGATION = (
    ("/runs/", "Runs"),
    ("/studies/", "Studies"),
    ("/workloads/", "Workloads"),
    ("/policies/", "Policies"),
    ("/training/", "Training"),
    ("/help/metrics/", "Figures"),
)


def page(request: HttpRequest) -> dict[str, Any]:
    """Return the chosen theme (empty: after the system), the navigation, and whether charts can be drawn."""
    theme = request.COOKIES.get("theme", "")
    return {
        "theme": theme if theme in THEMES else "",
        "charts_installed": settings.CHARTS_INSTALLED,
        "navigation": [
            {"href": href, "label": label, "current": request.path.startswith(href)} for href, label in NAVIGATION
        ],
    }
