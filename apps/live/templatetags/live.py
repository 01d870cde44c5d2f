"""What the live parts of pages need."""

from django import template
from django.urls import reverse

register = template.Library()


@register.simple_tag
def socket(route: str, *arguments: object) -> str:
    """Return the path of a WebSocket by its route's name."""
    return reverse(route, urlconf="apps.live.wire.routing", args=arguments)
