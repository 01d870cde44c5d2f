"""The form of a what-if: steppers for nodes and load, the policies with their parameters, and the other options."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, cast

from django import forms

from apps.live.form_fields import OptionField
from apps.live.play.cluster_changes import nodes_text
from apps.live.play.configuration import RUN_OPTIONS, RunConfiguration
from apps.live.play.options import Option
from apps.live.play.sites import played_site
from apps.live.what_if.question import CHANGEABLE, NotAsked, Question, question
from apps.results.errors import InvalidField
from apps.results.models import Run
from scheduler_sim import engine
from scheduler_sim.engine.policies.parameter import Adjustable, Parameter, show
from scheduler_sim.engine.policies.policy import Policy, parse_policies, parse_policy
from scheduler_sim.engine.whatif import parse_changes

MOST_STEPPERS = 30
"""Of clusters with more node groups nodes are changed by writing `GROUP=N`."""

NAMED = "nodes-named"
NODES, PARTS = ("add_nodes", "drop_nodes"), ("order", "backfill", "placement", "preemption")
AT_ONCE = ("scale_load", "limit", "on_limit", "estimates")
"""Options that are not folded, beside nodes and policies."""

STEPS = {"scale_load": "0.1"}
"""By how much the buttons beside an option change it."""


class ChangeField(OptionField):
    """An option that stays as in the run where nothing is typed."""

    def __init__(self, option: Option, as_it_is: str, counts_from: Any, **others: Any) -> None:
        super().__init__(option, **others)
        self.initial = None
        unchanged = f"as in the run: {as_it_is}"
        if option.is_switch:
            self.widget = forms.Select(choices=[("", unchanged), ("true", "yes"), ("false", "no")])
        elif option.choices:
            choices = [(choice, option.words(choice)) for choice in option.choices]
            self.widget = forms.Select(choices=[("", unchanged), *choices])
        else:
            self.widget.attrs["placeholder"] = unchanged
        # What the buttons beside it count by, and from.
        self.step, self.counts_from = STEPS.get(option.name, ""), counts_from

    def clean(self, value: Any) -> str:
        """Return what was typed; the question reads it, and blames it by its name."""
        return str(value or "").strip()


@dataclass(frozen=True)
class Stepper:
    """Nodes of one group or partition: how many there are, and the field of how many more or fewer there would be."""

    name: str
    kind: str
    there: int
    field: forms.BoundField


@dataclass(frozen=True)
class PolicyFields:
    """One policy: the field of its text, and those of its parameters, unfolded where one is changed."""

    text: str
    field: forms.BoundField
    parameters: list[forms.BoundField]
    is_unfolded: bool


@dataclass(frozen=True)
class Section:
    """Options that are folded, under one heading."""

    heading: str
    fields: list[forms.BoundField]


class WhatIfForm(forms.Form):
    """What is changed of a run.

    Args:
        run: the run.
        changes: as an address holds them; shown where the form was not sent.
    """

    def __init__(self, data: Any, *, run: Run, changes: Mapping[str, str]) -> None:
        super().__init__(data, auto_id="%s")
        self.run, self.changes = run, changes
        self.asked: Question | None = None
        self._groups = list(_groups(run))[: MOST_STEPPERS + 1]
        self._policies = [parse_policy_or_none(text) for text in self._texts]
        self._add_steppers()
        self._add_policies()
        document = RunConfiguration.from_json(run.configuration)
        known = {option.stored_as for option in RUN_OPTIONS}
        for option in CHANGEABLE:
            if option.name == "policies" or (option.name in NODES and self.has_steppers):
                continue
            as_it_is = getattr(document, option.stored_as) if option.stored_as in known else None
            self.fields[option.name] = ChangeField(option, option.words(as_it_is), as_it_is)
            self.initial[option.name] = changes.get(option.name, "")

    @property
    def has_steppers(self) -> bool:
        """Whether there are few enough groups for a stepper each."""
        return len(self._groups) <= MOST_STEPPERS

    @property
    def steppers(self) -> list[Stepper]:
        """The steppers of nodes."""
        if not self.has_steppers:
            return []
        return [
            Stepper(name, kind, there, self[f"nodes-{number}"])
            for number, (name, kind, there) in enumerate(self._groups)
        ]

    @property
    def named(self) -> forms.BoundField | None:
        """The field of nodes dropped by name, None where nodes have no names."""
        return self[NAMED] if NAMED in self.fields else None

    @property
    def policies(self) -> list[PolicyFields]:
        """The policies."""
        return [
            PolicyFields(
                text,
                self[f"policy-{number}"],
                fields := [self[_parameter_name(number, part, one)] for part, one in _parameters(policy)],
                is_unfolded=any(field.data not in (None, field.initial) for field in fields)
                or (text not in self.run.policies and any(field.initial for field in fields)),
            )
            for number, (text, policy) in enumerate(zip(self._texts, self._policies, strict=True))
        ]

    @property
    def basic_fields(self) -> list[forms.BoundField]:
        """The options that are shown at once."""
        return [self[name] for name in AT_ONCE]

    @property
    def advanced_sections(self) -> list[Section]:
        """The options that are folded, by their headings."""
        folded = [field for field in self if isinstance(field.field, ChangeField) and field.name not in AT_ONCE]
        headings = list(dict.fromkeys(_section(field) for field in folded))
        folded.sort(key=lambda field: headings.index(_section(field)))
        return [Section(heading, list(fields)) for heading, fields in groupby(folded, _section)]

    @property
    def is_unfolded(self) -> bool:
        """Whether something is changed among the options that are folded."""
        return any(field.value() or field.errors for section in self.advanced_sections for field in section.fields)

    def clean(self) -> dict[str, Any]:
        """Bring what was typed into the form of an address, and ask it; what means nothing is said at its field."""
        given = {name: value for name, value in self.cleaned_data.items() if isinstance(self.fields[name], ChangeField)}
        try:
            given |= self._nodes_given()
            given["policies"] = ",".join(self._policies_given())
            self.asked = question(self.run, given)
        except InvalidField as error:
            self.add_error(self._field_of(error.field), str(error))
        except engine.EngineError as error:
            self.add_error("policy-0", str(error))
        except NotAsked as error:
            self.add_error(None, str(error))
        return self.cleaned_data

    @property
    def _texts(self) -> list[str]:
        """The policies in the order of the run; those that an address holds."""
        written = self.changes.get("policies", "")
        try:
            return [policy.name for policy in parse_policies(written)] if written else list(self.run.policies)
        except engine.EngineError:
            return list(self.run.policies)

    def _add_steppers(self) -> None:
        if not self.has_steppers:
            return
        moved = _numbers(self.changes)
        for number, (name, kind, _) in enumerate(self._groups):
            field = forms.IntegerField(
                label=f"{name}, {kind}: nodes more or fewer",
                required=False,
                min_value=-1_000_000,
                max_value=1_000_000,
                widget=forms.NumberInput(attrs={"step": 1, "placeholder": "0"}),
            )
            self.fields[f"nodes-{number}"] = field
            self.initial[f"nodes-{number}"] = moved.get(name)
        if self.run.site_id is not None:
            self.fields[NAMED] = forms.CharField(
                label="Nodes dropped by name",
                help_text="Host lists such as n[01-04], with commas between them.",
                required=False,
            )
            self.initial[NAMED] = ",".join(_named(self.changes))

    def _add_policies(self) -> None:
        for number, (text, policy) in enumerate(zip(self._texts, self._policies, strict=True)):
            self.fields[f"policy-{number}"] = forms.CharField(label=f"Policy {number + 1}", required=False)
            self.initial[f"policy-{number}"] = text
            for part, one in _parameters(policy):
                field = forms.CharField(
                    label=f"{part.name}: {one.name.replace('_', ' ')}",
                    help_text=one.rule,
                    required=False,
                    widget=forms.TextInput(
                        attrs={"placeholder": "by its rule" if one.default is None else show(one.default)}
                    ),
                )
                name = _parameter_name(number, part, one)
                self.fields[name] = field
                self.initial[name] = show(dict(part.values)[one.name]) if one.name in dict(part.values) else ""

    def _nodes_given(self) -> dict[str, str | None]:
        if not self.has_steppers:
            return {}
        named = [part for part in [self.cleaned_data.get(NAMED, "").strip()] if part]
        numbers = {
            name: self.cleaned_data.get(f"nodes-{number}") or 0 for number, (name, _, _) in enumerate(self._groups)
        }
        return {
            "add_nodes": nodes_text({name: number for name, number in numbers.items() if number > 0}),
            "drop_nodes": nodes_text({name: -number for name, number in numbers.items() if number < 0}, named),
        }

    def _policies_given(self) -> Iterator[str]:
        """Yield the policies; one whose text was changed is as it was typed, another has the parameters typed."""
        for number, (text, policy) in enumerate(zip(self._texts, self._policies, strict=True)):
            typed = self.cleaned_data.get(f"policy-{number}", "").strip()
            if typed != text or policy is None:
                if typed:
                    yield typed
                continue
            parts: dict[str, Any] = {name: self._part_given(number, getattr(policy, name)) for name in PARTS}
            yield replace(policy, **parts).name

    def _part_given(self, number: int, part: Adjustable) -> Adjustable:
        names = {one.name: _parameter_name(number, part, one) for one in part.parameters}
        typed = {name: self.cleaned_data.get(field, "").strip() for name, field in names.items()}
        return part.with_values({name: text for name, text in typed.items() if text})

    def _field_of(self, option: str) -> str | None:
        """Return the field to blame for an option."""
        if option in NODES and self.has_steppers:
            return next(
                (name for name in self.fields if name.startswith("nodes-") and self.cleaned_data.get(name)), None
            )
        if option == "policies":
            return "policy-0"
        return option if option in self.fields else None


def _groups(run: Run) -> Iterator[tuple[str, str, int]]:
    """Yield what nodes can be added to: its name, what it is, and how many nodes, or processors of a pool, it has."""
    site = played_site(RunConfiguration.from_json(run.configuration)) if run.site_id else None
    cluster = site.cluster if site is not None else engine.Cluster.from_json(run.cluster)
    names = set()
    for group in cluster.groups:
        if group.part_of in names:
            continue
        names.add(group.part_of or group.name)
        yield (
            group.part_of or group.name,
            "processors" if cluster.is_pool else "node group",
            group.cores if cluster.is_pool else group.count,
        )
    for partition in site.partitions if site is not None else ():
        if partition.name not in names:
            yield partition.name, "partition", len(site.numbers(partition.hosts)) if site is not None else 0


def _numbers(changes: Mapping[str, str]) -> dict[str, int]:
    """Return how many nodes an address adds (above 0) or drops, by group or partition."""
    return {
        name: sign * number
        for option, sign in zip(NODES, (1, -1), strict=True)
        for name, number in _parsed(changes.get(option)).items()
        if number is not None
    }


def _named(changes: Mapping[str, str]) -> list[str]:
    """Return the nodes that an address drops by their names."""
    return [name for name, number in _parsed(changes.get("drop_nodes")).items() if number is None]


def _parsed(text: str | None) -> dict[str, int | None]:
    try:
        return parse_changes(text, by_name=True) if text else {}
    except engine.EngineError:
        # The question says what is wrong with it.
        return {}


def parse_policy_or_none(text: str) -> Policy | None:
    """Return a policy, None for one that is not there any more, whose text can still be changed."""
    try:
        return parse_policy(text)
    except engine.EngineError:
        return None


def _parameters(policy: Policy | None) -> Iterator[tuple[Adjustable, Parameter]]:
    for name in PARTS if policy is not None else ():
        part: Adjustable = getattr(policy, name)
        for one in part.parameters:
            yield part, one


def _parameter_name(number: int, part: Adjustable, one: Parameter) -> str:
    return f"policy-{number}-{part.name}-{one.name}"


def _section(field: forms.BoundField) -> str:
    return cast(ChangeField, field.field).option.about.section
