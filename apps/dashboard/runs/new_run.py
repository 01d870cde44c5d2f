"""The form of a new run: its workload, cluster, name and policies, and every option."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, cast

from django import forms
from django.db import transaction

from apps.dashboard.runs.described import DescribedCluster, described_cluster
from apps.live.form_fields import OptionField, was_given
from apps.live.play.configuration import asked_in
from apps.live.play.options import SITE, About
from apps.live.play.race_options import RACE_ASKED
from apps.live.request import RunCreateSerializer
from apps.results.models import Run
from apps.tasks.models import Site, Workload
from apps.tasks.sites.reading import MOST_DESCRIBED_BYTES
from scheduler_sim import engine

MOST_WORKLOADS = 200
"""So many stored workloads are offered, beside the one that the address names."""

MOST_SITES = 200
"""So many stored sites are offered in their newest versions, beside the version that the address names."""

DESCRIBED_EXAMPLE = """name: mine
groups:
- {name: cpu, count: 16, cores: 64}
- {name: gpu, count: 2, cores: 64, gpus: 4}"""

FIRST_POLICIES = ["fcfs", "fcfs+easy", "sjf", "sjf+easy"]
"""Those that are ticked at first."""


@dataclass(frozen=True)
class Section:
    """Options that the form shows under one heading."""

    heading: str
    fields: list[forms.BoundField]


class RunForm(forms.Form):
    """A run as people ask for it; what they send is read as the API reads its requests."""

    workload = forms.Field(label="Workload", required=False, widget=forms.Select())
    cluster = forms.CharField(
        label="Cluster",
        required=False,
        initial="auto",
        widget=forms.TextInput(attrs={"list": "presets", "required": True}),
    )
    described = forms.CharField(
        label="A cluster of my own",
        required=False,
        strip=False,
        max_length=MOST_DESCRIBED_BYTES,
        widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "false", "placeholder": DESCRIBED_EXAMPLE}),
        help_text="In place of a preset: YAML or JSON, as a cluster file has it; a site is stored under its name.",
    )
    name = forms.CharField(
        label="Name", required=False, widget=forms.TextInput(attrs={"placeholder": "made up when left empty"})
    )
    policies = forms.Field(label="Policies", required=False, widget=forms.SelectMultiple, initial=FIRST_POLICIES)
    others = forms.CharField(label="Others, separated by commas", required=False)

    def __init__(self, *args: Any, **others: Any) -> None:
        super().__init__(*args, **{"auto_id": "%s", **others})
        for option in (*asked_in(SITE), *RACE_ASKED):
            if option.name not in self.fields:
                self.fields[option.name] = OptionField(option)
        self.fields["workload"].widget.choices = list(self._workloads())
        self.fields["site"].widget = forms.Select(choices=list(self._sites()))
        self._request: RunCreateSerializer | None = None
        self._described: DescribedCluster | None = None

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
        document["policies"] = [*(document.pop("policies", [])), *_names(document.pop("others", ""))]
        if document.get("continuous"):
            # The form has one chosen whether it is wanted or not.
            document.pop("workload", None)
        unknown = set(self.data) - set(self.fields) - {"csrfmiddlewaretoken"}
        document |= {name: self.data[name] for name in unknown}
        described = document.pop("described", "")
        if not described.strip():
            self._check(document)
        elif "site" in document or document.get("cluster", "auto") != "auto":
            self.add_error("described", "Give a preset, a site or a description, not two of them.")
        else:
            try:
                self._described = described_cluster(described)
                with self._described.tried() as given:
                    self._check(document | given)
            except engine.EngineError as error:
                self.add_error("described", str(error))
        return self.cleaned_data

    def _check(self, document: dict[str, Any]) -> None:
        self._request = RunCreateSerializer(data=document)
        if not self._request.is_valid():
            for asked, problems in self._request.errors.items():
                name = "described" if self._described is not None and asked in ("cluster", "site") else asked
                if name in self.fields:
                    self.add_error(name, list(map(str, problems)))
                else:
                    self.add_error(None, [f"{name}: {problem}" for problem in problems])

    def start(self, *, requested_by: Any) -> Run:
        """Store the run that the valid form describes and ask for its process.

        Raises:
            DomainError: the name is taken, or the models that it needs are not there.
        """
        if self._request is None:
            raise ValueError("Only a form that is valid starts a run.")
        with transaction.atomic():
            if self._described is not None:
                self._described.store()
            return self._request.start(requested_by=requested_by)

    def _options(self) -> list[forms.BoundField]:
        return [field for field in self if isinstance(field.field, OptionField)]

    def _headings(self) -> Iterator[str]:
        return iter(dict.fromkeys(_about(field).section for field in self._options()))

    def _workloads(self) -> Iterator[tuple[Any, str]]:
        stored = Workload.objects.defer("audit")
        offered = list(stored.offered()[:MOST_WORKLOADS])
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


def _about(bound: forms.BoundField) -> About:
    return cast(OptionField, bound.field).option.about


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]
