"""Constraints of tables, all named alike: after the app, the class and what they say."""

from django.db.models import CheckConstraint, Q, UniqueConstraint

_OF_CLASS = "%(app_label)s_%(class)s_"


def unique(*fields: str, called: str, where: Q | None = None) -> UniqueConstraint:
    """Return that no two rows, of those `where` holds if it is given, have the same in all these fields."""
    return UniqueConstraint(fields=fields, condition=where, name=_OF_CLASS + called)


def check(condition: Q, *, called: str) -> CheckConstraint:
    """Return that a condition holds of every row."""
    return CheckConstraint(condition=condition, name=_OF_CLASS + called)
