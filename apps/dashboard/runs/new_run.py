"""The form of a new run: its workload, cluster, policies and name, and every option."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.forms.utils import ErrorList

from apps.live.form_fields import OptionField
from apps.live.play.configuration import asked_in
from apps.live.play.options import SITE
from apps.live.request import RunCreateSerializer
from apps.results.models import Run
from apps.tasks.models import Workload
from scheduler_sim.engine.presets import PRESETS

MOST_WORKLOADS = 200
"""So many stored workloads are offered."""

FIRST_POLICIES = ("fcfs", "fcfs+easy", "sjf", "sjf+easy")
"""Those that are ticked at first."""


@dataclass(frozen=True)
class Section:
    """Options that a form shows under one heading."""

    heading: str
    fields: list[forms.BoundField]


class RunForm(forms.Form):
    """A run as people ask for it; what they send is read as the API's own request."""

    workload = forms.ChoiceField(label="Workload")
    cluster = forms.CharField(label="Cluster", initial="auto", widget=forms.TextInput(attrs={"list": "presets"}))
    name = forms.CharField(
        label="Name",
        max_length=200,
        required=False,
        widget=forms.TextInput(attrs={"placeholder": "made up when left empty"}),
    )
    policies = forms.Field(label="Policies", widget=forms.SelectMultiple, required=False)
    others = forms.CharField(label="Others, separated by commas", required=False)

    def __init__(self, *args: Any, **others: Any) -> None:
        super().__init__(*args, auto_id="%s", **others)
        stored = Workload.objects.defer("audit").order_by("-pk")[:MOST_WORKLOADS]
        self.fields["workload"].choices = [(one.pk, f"{one.name} ({one.task_count:,} tasks)") for one in stored] or [
            ("", "there is none yet: upload one first")
        ]
        for option in asked_in(SITE):
            if option.name not in self.fields:
                self.fields[option.name] = OptionField(option)
