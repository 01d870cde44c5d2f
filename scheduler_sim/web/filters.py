"""Filters that take what they say and nothing near it."""

import re
from datetime import UTC, datetime
from typing import Any

import django_filters
from django import forms
from django.core.exceptions import ValidationError
from django_filters.fields import IsoDateTimeField

_LARGEST = 2**63 - 1


class _IntegerField(forms.IntegerField):
    def to_python(self, value: Any) -> int | None:
        # Django's own takes 5.0, which a database then refuses where the parameter itself is used.
        if value not in self.empty_values and not re.fullmatch("-?[0-9]+", str(value)):
            raise ValidationError(self.error_messages["invalid"], code="invalid")
        return super().to_python(value)


class IntegerFilter(django_filters.NumberFilter):
    """A whole number that a database can hold."""

    # Any field of a form will do; the stubs have that of the base class.
    field_class = _IntegerField  # type: ignore[assignment]

    def get_max_validator(self) -> None:
        """Leave the bounds to the field."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, min_value=-_LARGEST, max_value=_LARGEST, **kwargs)


class KeyFilter(IntegerFilter):
    """The primary key of what a row belongs to: of a run, by `run`."""

    def __init__(self, owner: str) -> None:
        super().__init__(field_name=f"{owner}_id", help_text=f"Key of the {owner}.")


class _BooleanField(forms.Field):
    def to_python(self, value: Any) -> bool | None:
        if value in self.empty_values:
            return None
        if value not in ("true", "false"):
            raise ValidationError("This must be true or false.")
        return bool(value == "true")


class BooleanFilter(django_filters.Filter):
    """`true` or `false`."""

    field_class = _BooleanField


class _MomentField(IsoDateTimeField):
    def clean(self, value: Any) -> datetime | None:
        moment = super().clean(value)
        try:
            # PostgreSQL knows no offset of 16 hours or more, which the notation allows.
            return moment.astimezone(UTC) if moment else None
        except OverflowError:
            raise ValidationError("This moment lies outside the years 1 to 9999.") from None


class MomentFilter(django_filters.IsoDateTimeFilter):
    """A moment in ISO 8601, of any offset."""

    field_class = _MomentField


class NamedFilterSet(django_filters.FilterSet):
    """Which of the rows that have a name a list holds."""

    search = django_filters.CharFilter(field_name="name", lookup_expr="icontains", help_text="Part of the name.")
    name = django_filters.CharFilter()
