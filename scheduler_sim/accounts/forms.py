"""What somebody says of a new token."""

from datetime import datetime, timedelta

from django import forms
from django.utils import timezone

from scheduler_sim.accounts.models import ApiToken

LIFETIMES = ((7, "a week"), (30, "30 days"), (90, "90 days"), (365, "a year"), (0, "for ever"))


class TokenForm(forms.Form):
    """A token's name, scope and how long it is valid."""

    name = forms.CharField(max_length=100, help_text="What it is for.")
    scope = forms.ChoiceField(
        choices=ApiToken.Scope,
        initial=ApiToken.Scope.READ,
        help_text="Control: start, stop, upload and delete as you may.",
    )
    days = forms.TypedChoiceField(choices=LIFETIMES, coerce=int, initial=90, label="Valid for")

    def expires_at(self) -> datetime | None:
        """Return when it ends, None for never."""
        days = self.cleaned_data["days"]
        return timezone.now() + timedelta(days=days) if days else None
