"""Drawing a policy's name with its colour and dash."""

import re

from django import template
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from scheduler_sim.display.appearance import appearance

register = template.Library()


@register.simple_tag
def swatch(scheduler: str) -> str:
    """Draw the policy's line."""
    look = appearance(scheduler)
    return format_html(
        '<svg class="swatch" viewBox="0 0 26 10" aria-hidden="true">'
        '<line x1="0" y1="5" x2="26" y2="5" class="stroke-{}" stroke-dasharray="{}"/></svg>',
        look.colour,
        look.dash_array,
    )


@register.simple_tag
def policy(scheduler: str, name: str = "") -> str:
    """Draw the policy's line and its name (or another), linked to its page."""
    return format_html(
        '<span class="policy">{}<a href="{}">{}</a></span>',
        swatch(scheduler),
        reverse("policy-detail", args=[scheduler]),
        name or scheduler,
    )


@register.filter
def breakable(scheduler: str) -> SafeString:
    """Let a long name break before its backfilling and its placement."""
    parts = re.split(r"(?=[+@])", scheduler)
    return format_html_join(mark_safe("<wbr>"), "{}", ((part,) for part in parts))


@register.simple_tag
def look(scheduler: str) -> str:
    """Return the attributes from which a live chart takes the policy's colour and dash."""
    return format_html('data-colour="{}" data-dash="{}"', *appearance(scheduler))
