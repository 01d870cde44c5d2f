"""Lessons on pages that are not theirs."""

from django import template

from apps.dashboard.lessons import stored
from apps.dashboard.lessons.document import Lesson

register = template.Library()


@register.simple_tag
def lessons_with(policy: str) -> list[Lesson]:
    """Return the lessons that play a policy."""
    return stored.lessons_with(policy)
