"""The form of a new run: its workload, cluster, name and policies, and every option."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, cast

from django import forms

from apps.live.form_fields import OptionField, was_given
from apps.live.play.configuration import asked_in
from apps.live.play.options import SITE, About
from apps.live.request import RunCreateSerializer
from apps.results.models import Run
from apps.tasks.models import Site, Workload

MOST_WORKLOADS = 200
"""So many stored workloads are offered, beside the one that the address names."""

MOST_SITES = 200
"""So many stored sites are offered in their newest versions, beside the version that the address names."""

FIRST_POLICIES = ["fcfs", "fcfs+easy", "sjf", "sjf+easy"]
"""Those that are ticked at first."""


@dataclass(frozen=True)
class Section:
    """Options that the form shows under one heading."""

    heading: str
    fields: list[forms.BoundField]


class RunForm(forms.Form):
    """A run as people ask for it; what they send is read as the API reads its requests."""

    workload = forms.Field(label="Workload", required=False, widget=forms.Select(attrs={"required": True}))
    cluster = forms.CharField(
        label="Cluster",
        required=False,
        initial="auto",
        widget=forms.TextInput(attrs={"list": "presets", "required": True}),
    )
    name = forms.CharField(
        label="Name", required=False, widget=forms.TextInput(attrs={"placeholder": "made up when left empty"})
    )
    policies = forms.Field(label="Policies", required=False, widget=forms.SelectMultiple, initial=FIRST_POLICIES)
    others = forms.CharField(label="Others, separated by commas", required=False)

    def __init__(self, *args: Any, **others: Any) -> None:
        super().__init__(*args, **{"auto_id": "%s", **others})
        for option in asked_in(SITE):
            if option.name not in self.fields:
                self.fields[option.name] = OptionField(option)
        self.fields["workload"].widget.choices = list(self._workloads())
        self.fields["site"].widget = forms.Select(choices=list(self._sites()))
        self._request: RunCreateSerializer | None = None

    @property
    def chosen_policies(self) -> list[str]:
        """The policies that are ticked or written, in that order."""
        return [*(self["policies"].value() or []), *_names(self["others"].value())]

    @property
    def basic_fields(self) -> list[forms.BoundField]:
        """The options that are shown at once."""
        return [one for one in self._options() if _about(one).basic]

    @property
    def advanced_sections(self) -> list[Section]:
        """The options that are folded, by their headings."""
        folded = [one for one in self._options() if not _about(one).basic]
        folded.sort(key=lambda one: list(self._headings()).index(_about(one).section))
        return [Section(heading, list(fields)) for heading, fields in groupby(folded, lambda one: _about(one).section)]

    @property
    def is_unfolded(self) -> bool:
        """Whether something was given among the options that are folded."""
        return any(was_given(field) for section in self.advanced_sections for field in section.fields)

    def clean(self) -> dict[str, Any]:
        """Read the whole as the API's request; what has no meaning is said at its field."""
        document = {name: value for name, value in self.cleaned_data.items() if value not in (None, "", [])}
        if str(document.get("cluster", "")).lstrip().startswith("{"):
            document["cluster"] = _described(document["cluster"])
        document["policies"] = [*(document.pop("policies", [])), *_names(document.pop("others", ""))]
        unknown = set(self.data) - set(self.fields) - {"csrfmiddlewaretoken"}
        self._request = RunCreateSerializer(data=document | {name: self.data[name] for name in unknown})
        if not self._request.is_valid():
            for name, problems in self._request.errors.items():
                if name in self.fields:
                    self.add_error(name, list(map(str, problems)))
                else:
                    self.add_error(None, [f"{name}: {problem}" for problem in problems])
        return self.cleaned_data

    def start(self, *, requested_by: Any) -> Run:
        """Store the run that the valid form describes and ask for its process.

        Raises:
            DomainError: the name is taken, or the models that it needs are not there.
        """
        if self._request is None:
            raise ValueError("Only a form that is valid starts a run.")
        return self._request.start(requested_by=requested_by)

    def _options(self) -> list[forms.BoundField]:
        return [field for field in self if isinstance(field.field, OptionField)]

    def _headings(self) -> Iterator[str]:
        return iter(dict.fromkeys(_about(field).section for field in self._options()))

    def _workloads(self) -> Iterator[tuple[Any, str]]:
        stored = Workload.objects.defer("audit").order_by("-pk")
        offered = list(stored[:MOST_WORKLOADS])
        wanted = str(self["workload"].value() or "")
        if wanted.isascii() and wanted.isdecimal() and len(wanted) < 19:
            offered += stored.filter(pk=wanted).exclude(pk__in=[one.pk for one in offered])
        for one in offered:
            yield one.pk, f"{one.name} ({one.task_count:,} tasks)"
        if not offered:
            yield "", "there is none yet: upload one first"

    def _sites(self) -> Iterator[tuple[str, str]]:
        yield "", cast(OptionField, self.fields["site"]).option.words(None)
        newest = list(Site.objects.newest_of_each()[:MOST_SITES])
        wanted = str(self["site"].value() or "")
        offered = {one.reference: str(one) for one in newest}
        if wanted and wanted not in offered:
            offered[wanted] = wanted
        yield from offered.items()


def _described(text: str) -> Any:
    """Return a cluster that is written out; what is no JSON stays a text, which names no cluster."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _about(bound: forms.BoundField) -> About:
    return cast(OptionField, bound.field).option.about


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]
