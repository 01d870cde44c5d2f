"""Tags and filters that every page uses."""

from datetime import datetime
from typing import Any

from django import template
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from scheduler_sim.display import formatting
from scheduler_sim.engine.measuring.figures import FIGURES

register = template.Library()

_NO_DATA = mark_safe(f'<span class="no-data">{formatting.NO_DATA}</span>')  # noqa: S308


def _missing(value: object) -> bool:
    """Tell whether there is nothing to write; templates hand on an empty text where an object on the way is None."""
    return value is None or value == ""


@register.filter
def duration(seconds: float | None) -> str:
    """Write seconds in the unit that suits them."""
    return _NO_DATA if _missing(seconds) else formatting.duration(seconds)


@register.filter
def quantity(value: float | None, kind: str) -> str:
    """Write one number of a kind (`seconds`, `joules`, `share`, ...) in the unit that suits it."""
    return _NO_DATA if _missing(value) else formatting.quantity(kind, value)


@register.filter
def whole(value: float | None) -> str:
    """Write a count with thousands separated."""
    return _NO_DATA if _missing(value) else f"{value:,.0f}"


@register.filter
def significant(value: float | None) -> str:
    """Write a number with four significant digits."""
    return _NO_DATA if _missing(value) else f"{value:,.4g}"


@register.filter(expects_localtime=True)
def moment(value: datetime | None) -> str:
    """Write a date and a time of the day, to the minute; nothing where there is none."""
    return date_format(value, "j M Y H:i") if value else ""


@register.filter
def or_no_data(value: Any) -> Any:
    """Say `no data` where there is none."""
    return _NO_DATA if _missing(value) else value


@register.simple_tag
def scaled(value: float | None, scale: formatting.Scale) -> str:
    """Write a number as its column does."""
    text = formatting.NO_DATA if value is None or _missing(value) else scale.text(value)
    return _NO_DATA if text == formatting.NO_DATA else text


@register.simple_tag
def figure_head(name: str, unit: str = "", label: str = "") -> SafeString:
    """Return a column's label (the figure's own unless another is given), linked to its definition, with the unit."""
    figure = FIGURES[name]
    words = label or figure.label
    head = format_html('<a href="{}#{}" title="{}">{}</a>', reverse("help-metrics"), name, figure.definition, words)
    return head if not unit else format_html("{}<br>{}", head, unit)


@register.simple_tag
def meter(share: float | None, label: str = "") -> str:
    """Draw a thin bar filled to `share` (0 to 1); `label` is read to people who cannot see it."""
    if share is None:
        return ""
    width = round(max(0.0, min(1.0, share)) * 100, 1)
    role = format_html('role="img" aria-label="{}"', label) if label else mark_safe('aria-hidden="true"')
    return format_html(
        '<svg class="meter" viewBox="0 0 100 4" preserveAspectRatio="none" {}>'
        '<rect class="track" width="100" height="4" rx="1"/>'
        '<rect class="fill-bar" width="{}" height="4" rx="1"/></svg>',
        role,
        width,
    )


@register.simple_tag(takes_context=True)
def sort_link(context: dict[str, Any], key: str, label: str) -> str:
    """Draw the arrow that sorts by a column, the other way round on the second click."""
    now = context["sort"]
    query = context["request"].GET.copy()
    query["sort"] = f"-{key}" if now == key else key
    query.pop("page", None)
    arrow = "▲" if now == key else "▼" if now == f"-{key}" else "↕"
    return format_html('<a class="sort" href="?{}" aria-label="Sort by {}">{}</a>', query.urlencode(), label, arrow)


@register.simple_tag(takes_context=True)
def sort_state(context: dict[str, Any], key: str) -> str:
    """Return the attribute that tells how a column is sorted, empty when it is not."""
    directions = {key: "ascending", f"-{key}": "descending"}
    direction = directions.get(context["sort"])
    return format_html('aria-sort="{}"', direction) if direction else ""
