"""The form that describes a study in the browser, and its sheet of texts read as a definition."""

import json
import re
from collections.abc import Iterator
from typing import Any, cast

from django import forms

from apps.live.form_fields import OptionField, was_given
from apps.live.play.configuration import asked_in
from apps.live.play.options import SITE, STUDY, InvalidOption
from apps.results.models import Study
from apps.studies.definition import DEFAULT_FIGURE, FIXED_DEFAULTS, Definition, read_part
from apps.studies.sources import InvalidStudy
from apps.tasks.models import Workload
from scheduler_sim import engine
from scheduler_sim.engine.clusters.presets import PRESET, PRESETS
from scheduler_sim.engine.generators import GENERATORS
from scheduler_sim.engine.measuring.figures import FIGURES
from scheduler_sim.engine.policies.grammar import split_outside

MOST_RUNS = 10_000
"""A larger grid is started with `runstudy`, by somebody who watches the machine."""

MOST_TASKS = 1_000_000
"""A larger workload is generated or imported first, and then chosen."""

MOST_WORKLOADS = 200
"""So many stored workloads are offered."""

_NUMBER = forms.TextInput(attrs={"inputmode": "numeric"})
_FIELD_OF_PART = {"workloads": "workloads", "sequential": "relative_width"}
_CHANGE = re.compile(r"([+-])([^\s=+]+)=([0-9]{1,9})")


def _like(example: str) -> forms.TextInput:
    """Return a field for a text that shows an example, or what holds where it stays empty."""
    return forms.TextInput(attrs={"placeholder": example})


class StudyForm(forms.Form):
    """A study as people type it; `definition` holds what came of it once the form is valid."""

    name = forms.CharField(label="Name", max_length=200, help_text="Must be new.")
    workloads = forms.ModelMultipleChoiceField(
        Workload.objects.none(),
        label="Stored workloads",
        required=False,
        help_text="Their tasks are the same for every seed. Several with Ctrl or Cmd.",
        widget=forms.SelectMultiple(attrs={"size": 6}),
    )
    generate = forms.ChoiceField(
        label="And a generator", required=False, help_text="Every seed makes tasks of its own."
    )
    tasks = forms.IntegerField(
        label="Its tasks", min_value=1, max_value=MOST_TASKS, required=False, initial=1_000, widget=_NUMBER
    )
    parameters = forms.CharField(
        label="Its parameters", required=False, help_text="NAME=NUMBER, separated by commas; defaults when left empty."
    )
    load_factors = forms.CharField(
        label="Load factors",
        initial="1",
        help_text="Arrivals so many times as dense, separated by commas: 0.8, 1, 1.2.",
    )
    clusters = forms.CharField(
        label="Clusters",
        initial="auto",
        help_text="Presets separated by commas; with changes: hpc-256 +processors=64, dgx-4 -dgx=1, "
        "dgx-4 failures=exponential(mean_hours=500,repair_hours=4). Stored sites: site:NAME, site:NAME +batch=4.",
    )
    policies = forms.Field(label="Policies", widget=forms.SelectMultiple, required=False)
    others = forms.CharField(
        label="Others, separated by commas",
        required=False,
        widget=_like("wfp3+easy@best_fit, recorded"),
    )
    base = forms.CharField(
        label="Compared with",
        required=False,
        widget=_like("the first policy"),
        help_text="The policy from which differences are taken.",
    )
    estimates = forms.CharField(
        label="Estimates",
        initial="trace",
        help_text="What policies are told of durations: trace, exact, factor:F, uniform:F, tsafrir, predicted:MODEL.",
    )
    seeds = forms.CharField(
        label="Seeds", initial="5", help_text="How many, or which: 5 for 1 to 5, or 3, 7, 11. One gives no interval."
    )
    figure = forms.ChoiceField(label="Figure shown first", initial=DEFAULT_FIGURE)
    relative_width = forms.FloatField(
        label="Half width wanted",
        required=False,
        widget=_like("play all seeds"),
        help_text="A part of the mean, such as 0.05. Then the seeds are 1, 2, ... until every interval is so narrow.",
    )
    minimum = forms.IntegerField(label="At least so many seeds", required=False, initial=5, widget=_NUMBER)
    maximum = forms.IntegerField(label="At most so many seeds", required=False, initial=100, widget=_NUMBER)

    def __init__(self, *args: Any, figures: tuple[str, ...], **others: Any) -> None:
        super().__init__(*args, **others)
        stored = Workload.objects.defer("audit").order_by("-pk")
        workloads = cast(forms.ModelMultipleChoiceField, self.fields["workloads"])
        workloads.queryset = stored
        offered = stored.offered()[:MOST_WORKLOADS]
        workloads.choices = [(one.pk, f"{one.name} ({one.task_count:,} tasks)") for one in offered]
        cast(forms.ChoiceField, self.fields["generate"]).choices = [
            ("", "none"),
            *((name, name) for name in sorted(GENERATORS)),
        ]
        for option in asked_in(STUDY):
            self.fields[option.name] = OptionField(option, initial=FIXED_DEFAULTS.get(option.name))
        cast(forms.ChoiceField, self.fields["figure"]).choices = [(name, FIGURES[name].label) for name in figures]
        self.definition: Definition | None = None

    @property
    def basic_options(self) -> list[forms.BoundField]:
        """The options of all runs that are shown at once."""
        return [self[option.name] for option in asked_in(STUDY) if option.about.basic]

    @property
    def advanced_options(self) -> list[forms.BoundField]:
        """The options of all runs that are folded."""
        return [self[option.name] for option in asked_in(STUDY) if not option.about.basic]

    @property
    def is_unfolded(self) -> bool:
        """Whether something was given among the options that are folded."""
        return any(was_given(field) for field in self.advanced_options)

    @property
    def chosen_policies(self) -> list[str]:
        """The policies that are ticked or written, in that order."""
        ticked = self["policies"].value() or []
        return [*ticked, *_pieces(str(self["others"].value() or ""))]

    @property
    def digest(self) -> str:
        """The valid definition as one text, by which a study is recognised as the one that was counted."""
        return "" if self.definition is None else json.dumps(self.definition.document, sort_keys=True)

    def clean_name(self) -> str:
        """Refuse the name of a study that exists: starting it would give that one another definition."""
        name: str = self.cleaned_data["name"]
        if Study.objects.filter(name=name).exists():
            raise forms.ValidationError("There is a study of that name already; choose another.")
        return name

    def clean_parameters(self) -> dict[str, float]:
        """Read NAME=NUMBER separated by commas; the model checks names and bounds."""
        given = dict(_assignment(text) for text in _pieces(self.cleaned_data["parameters"]))
        if model := self.cleaned_data.get("generate"):
            try:
                GENERATORS[model].parse(given)
            except engine.EngineError as error:
                raise forms.ValidationError(str(error)) from None
        return given

    def clean_load_factors(self) -> list[float]:
        """Read numbers separated by commas."""
        factor = next(option for option in asked_in(SITE) if option.stored_as == "load_factor")
        try:
            return [factor.read(text) for text in _pieces(self.cleaned_data["load_factors"])]
        except InvalidOption as error:
            raise forms.ValidationError(str(error)) from None

    def clean_seeds(self) -> int | list[int]:
        """Read a number of seeds, or the seeds themselves separated by commas."""
        texts = _pieces(self.cleaned_data["seeds"])
        if not all(text.isascii() and text.isdecimal() and len(text) < 20 for text in texts):
            raise forms.ValidationError("Seeds are whole numbers: how many, or which, separated by commas.")
        return int(texts[0]) if len(texts) == 1 else [int(text) for text in texts]

    def clean_clusters(self) -> list[Any]:
        """Read presets separated by commas, each with what is changed of it."""
        try:
            texts = split_outside(self.cleaned_data["clusters"].replace("\n", ","), ",")
        except engine.EngineError as error:
            raise forms.ValidationError(str(error)) from None
        return [_cluster(text) for text in texts if text.strip()]

    def clean(self) -> dict[str, Any]:
        """Read the whole as a definition; every part without meaning is said at its field."""
        document = self._document()
        for part in ("workloads", "load_factors", "clusters", "policies", "estimates", "seeds", "sequential"):
            field = _FIELD_OF_PART.get(part, part)
            if part not in document or field in self.errors:
                continue
            try:
                read_part(part, document[part])
            except InvalidStudy as error:
                self.add_error(field, str(error))
        if not self.errors:
            try:
                self.definition = Definition.from_json(document)
            except (InvalidStudy, engine.EngineError) as error:
                field = getattr(error, "part", "")
                self.add_error(field if field in self.fields else None, str(error))
            else:
                if self.definition.run_count > MOST_RUNS:
                    self.definition = None
                    self.add_error(
                        None, f"The grid has more than {MOST_RUNS:,} runs; play it with manage.py runstudy FILE."
                    )
        return self.cleaned_data

    def _document(self) -> dict[str, Any]:
        """Return the definition as a file would hold it; what was left empty is not in it."""
        sent = self.cleaned_data
        document = {
            "name": sent.get("name"),
            "workloads": list(self._sources()),
            "load_factors": sent.get("load_factors"),
            "clusters": sent.get("clusters"),
            "policies": [*(sent.get("policies") or []), *_pieces(sent.get("others", ""))],
            "estimates": _pieces(sent.get("estimates", "")),
            "seeds": sent.get("seeds"),
            **{key: sent.get(key) for key in ("base", "figure")},
            **{
                option.name: sent.get(option.name)
                for option in asked_in(STUDY)
                if sent.get(option.name) != FIXED_DEFAULTS.get(option.name, option.default)
            },
        }
        if sent.get("relative_width") is not None:
            wanted = {key: sent.get(key) for key in ("figure", "relative_width", "minimum", "maximum")}
            document["sequential"] = {key: value for key, value in wanted.items() if value is not None}
            # The rule says how many seeds.
            del document["seeds"]
        return {key: value for key, value in document.items() if key == "workloads" or value not in (None, "")}

    def _sources(self) -> Iterator[dict[str, Any]]:
        for workload in self.cleaned_data.get("workloads") or ():
            yield {"stored": workload.name}
        if model := self.cleaned_data.get("generate"):
            given = self.cleaned_data.get("parameters")
            tasks = {"tasks": self.cleaned_data["tasks"]} if self.cleaned_data.get("tasks") else {}
            yield {"generate": model, **tasks, **({"parameters": given} if given else {})}


def _pieces(text: str) -> list[str]:
    return [piece.strip() for piece in re.split(r"[,\n]", text) if piece.strip()]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise forms.ValidationError(f"{text!r} is not a number.") from None


def _assignment(text: str) -> tuple[str, float]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise forms.ValidationError(f"Parameters are written NAME=NUMBER, not {text!r}.")
    number = _number(value.strip())
    return name.strip(), int(number) if number.is_integer() else number


def _cluster(text: str) -> Any:
    """Read `hpc-256`, `dgx-4 +dgx=1` or `site:NAME +batch=4`: a preset or a stored site with changes.

    Never a file, which would be one of the server's.
    """
    name, *changes = text.split()
    if name.startswith("site:"):
        return _changed({"site": name.removeprefix("site:")}, text, changes)
    if not PRESET.fullmatch(name):
        raise forms.ValidationError(f"There is no cluster preset {name!r}. Presets: {', '.join(PRESETS)}.")
    if not changes:
        return name
    return _changed({"cluster": name}, text, changes)


def _changed(cluster: dict[str, Any], text: str, changes: list[str]) -> dict[str, Any]:
    """Add the changes that are written behind the name of a cluster."""
    for change in changes:
        option, _, value = change.partition("=")
        if option in ("failures", "outages"):
            # The cluster that fails stands beside the one that does not.
            cluster |= {option: value, "label": text.strip()}
            continue
        read = _CHANGE.fullmatch(change)
        if read is None:
            raise forms.ValidationError(
                f"A change is written +GROUP=N, -GROUP=N, failures=MODEL or outages=kill, not {change!r}."
            )
        cluster.setdefault("add_nodes" if read[1] == "+" else "drop_nodes", {})[read[2]] = int(read[3])
    return cluster
