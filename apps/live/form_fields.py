"""The options of a run as fields of forms."""

from typing import Any

from django import forms
from msgspec import inspect

from apps.live.play.options import InvalidOption, Option


class OptionField(forms.Field):
    """A field whose option reads what is typed; left empty it is None, and the option has its default.

    Attributes:
        option: what it is of.
        suggestions_id: of the list of values that the page suggests, empty without any.
    """

    def __init__(self, option: Option, **others: Any) -> None:
        self.option = option
        self.suggestions_id = f"{option.name}-suggestions" if option.about.suggestions else ""
        if option.choices and others.get("initial") is None:
            others["initial"] = option.asked_default
        super().__init__(
            label=option.about.label,
            help_text=option.sentence,
            required=False,
            widget=self._widget_of(option),
            **others,
        )

    def clean(self, value: Any) -> Any:
        """Return the option's value, None where nothing was typed.

        Raises:
            ValidationError: the option's own sentence.
        """
        if value in (None, "", False):
            return None
        try:
            return self.option.read(value)
        except InvalidOption as error:
            raise forms.ValidationError(str(error)) from None

    def _widget_of(self, option: Option) -> forms.Widget:
        if option.is_switch:
            return forms.CheckboxInput()
        if option.about.is_file:
            return forms.Textarea(attrs={"rows": 4, "placeholder": option.words(option.default)})
        if option.choices:
            nothing = [("", option.words(None))] if option.is_nullable else []
            return forms.Select(choices=[*nothing, *((choice, option.words(choice)) for choice in option.choices)])
        attributes = {"placeholder": option.about.metavar if option.is_required else option.words(option.default)}
        if isinstance(option.type, inspect.IntType):
            attributes["inputmode"] = "numeric"
        if isinstance(option.type, inspect.FloatType):
            attributes["inputmode"] = "decimal"
        if self.suggestions_id:
            attributes["list"] = self.suggestions_id
        return forms.TextInput(attrs=attributes)


def was_given(field: forms.BoundField) -> bool:
    """Tell whether a form holds another value for an option than a fresh one, or a wrong one."""
    return bool(field.errors) or (field.value() or None) != field.field.initial
