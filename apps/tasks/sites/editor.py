"""The editor of a site: a form of rows and a text that is a site, and a site that is such a form.

What has a meaning and what not is the engine's matter: its sentence is said at the field that it is about.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, fields
from itertools import count
from typing import Any

import msgspec
import yaml
from django import forms
from django.forms import BaseFormSet, formset_factory

from apps.tasks.models import Site
from scheduler_sim.engine import EngineError, sites
from scheduler_sim.engine.clusters.cluster import NodeGroup

MOST_FIELDS = 900
"""A site with more fields in rows is edited as a text: forms are read up to 1,000 fields."""

MOST_ROWS = 125
"""A form that says it has more rows made it up: each sends eight fields or more."""

MOST_TEXT = 2**20

_OTHERS = "others"
_PATH = re.compile(r"(groups|partitions)\[(\d+)\](?:\.(\w+))?")
_GROUP_DEFAULTS: dict[str, Any] = {one.name: one.default for one in fields(NodeGroup) if one.default is not MISSING}
_GROUP_DEFAULTS |= {"outages": []}
"""As they stand in a description."""


def _text(label: str, size: int, **attributes: str) -> forms.CharField:
    return forms.CharField(label=label, required=False, widget=forms.TextInput({"size": size, **attributes}))


def _number(label: str, size: int = 7) -> forms.CharField:
    return _text(label, size, inputmode="decimal")


class Row(forms.Form):
    """An entry of a part of the description: a field for each of its main values, and a text for the others."""

    entry = ""
    lists: frozenset[str] = frozenset()

    def __init__(self, *args: Any, **others: Any) -> None:
        super().__init__(*args, **others)
        number = (self.prefix or "").rpartition("-")[2]
        for field in self.fields.values():
            which = int(number) + 1 if number.isdecimal() else ""
            field.widget.attrs["aria-label"] = f"{field.label}, {self.entry} {which}"

    def document(self) -> dict[str, Any]:
        """Return the entry as it is described; what is empty is left out.

        Raises:
            InvalidCluster: the text of the other values is none.
        """
        found: dict[str, Any] = {}
        for name, value in self.cleaned_data.items():
            if name in self.lists and value:
                found[name] = [word.strip() for word in value.split(",") if word.strip()]
            elif name not in (_OTHERS, "was") and value not in ("", False):
                found[name] = _typed(value) if name not in ("name", "hosts", "gpu_type") else value
        others = self.cleaned_data[_OTHERS]
        return found | (sites.read_document(others, name="The text")[0] if others else {})


class GroupRow(Row):
    """A node group."""

    entry = "node group"
    lists = frozenset({"features"})

    name = _text("Group", 10)
    count = forms.CharField(
        label="Nodes", required=False, widget=forms.NumberInput({"min": 1, "max": 1_000_000, "class": "count"})
    )
    hosts = _text("Hosts", 16)
    cores = _number("Cores each", 5)
    gpus = _number("GPUs each", 4)
    gpu_type = _text("GPU type", 8)
    memory_mb = _number("Memory each (MB)", 8)
    features = _text("Features", 14)
    weight = _number("Weight", 4)
    others = _text("Others", 16, placeholder="{cpu_busy_watts: 5}", spellcheck="false")
    was = forms.CharField(required=False, widget=forms.HiddenInput)


class PartitionRow(Row):
    """A partition."""

    entry = "partition"

    name = _text("Partition", 10)
    hosts = _text("Hosts", 20, placeholder="ALL")
    is_default = forms.BooleanField(label="Default", required=False)
    state = forms.ChoiceField(
        label="State", required=False, choices=[(state, state) for state in ("up", "down", "drain", "inactive")]
    )
    max_time = _number("Longest run time (s)", 9)
    default_time = _number("Time where none is asked for (s)", 9)
    tier = _number("Tier", 4)
    priority = _number("Priority", 6)
    others = _text("Others", 20, placeholder="{max_nodes: 4}", spellcheck="false")


class Sheet(forms.Form):
    """What stands beside the rows."""

    name = forms.CharField(label="Store as", max_length=Site.NAME_LENGTH)
    rest = forms.CharField(
        label="Everything else, as YAML",
        required=False,
        strip=False,
        max_length=MOST_TEXT,
        widget=forms.Textarea({"rows": 16, "spellcheck": "false", "class": "code"}),
        help_text="QOS, accounts, limits, reservations, outages and the scheduler; docs/sites.md has every key.",
    )
    newest = forms.IntegerField(widget=forms.HiddenInput)
    """The newest version when the editor was opened: what somebody else stores meanwhile is not passed over."""

    def __init__(self, *args: Any, **others: Any) -> None:
        super().__init__(*args, **{"auto_id": "%s", **others})


Groups = formset_factory(GroupRow, extra=0, max_num=MOST_ROWS, absolute_max=MOST_ROWS)
Partitions = formset_factory(PartitionRow, extra=0, max_num=MOST_ROWS, absolute_max=MOST_ROWS)

Change = Callable[[sites.Site], sites.Site]


class SiteEditor:
    """The form: `sheet`, `groups` and `partitions`; `site` is what it says once it is valid.

    Attributes:
        fault: what is wrong and belongs to no field.
    """

    def __init__(self, sheet: Sheet, groups: "BaseFormSet[Any]", partitions: "BaseFormSet[Any]") -> None:
        self.sheet = sheet
        self.groups = groups
        self.partitions = partitions
        self.site: sites.Site | None = None
        self.fault = ""
        self._line_of: sites.LineOf = lambda _: None

    @classmethod
    def of(cls, site: sites.Site, *, name: str, newest: int) -> "SiteEditor":
        """Return the form that says a site."""
        document = site.as_json()
        del document["name"]
        described = zip(site.cluster.groups, site.nodes, document["groups"], strict=True)
        groups = [_initial(GroupRow, _without_defaults(entry), group, nodes) for group, nodes, entry in described]
        partitions = [
            _initial(PartitionRow, entry, one)
            for one, entry in zip(site.partitions, document["partitions"], strict=True)
        ]
        if len(groups) * len(GroupRow.base_fields) + len(partitions) * len(PartitionRow.base_fields) > MOST_FIELDS:
            # The number of nodes follows from their names, which alone are then edited.
            without = [_without_defaults(entry) for entry in document["groups"]]
            document["groups"] = [{key: entry[key] for key in entry if key != "count"} for entry in without]
            groups, partitions = [], []
        else:
            del document["groups"], document["partitions"]
        rest = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100) if document else ""
        return cls(
            Sheet(initial={"name": name, "rest": rest, "newest": newest}),
            Groups(initial=groups, prefix="groups", auto_id="%s"),
            Partitions(initial=partitions, prefix="partitions", auto_id="%s"),
        )

    @classmethod
    def sent(cls, data: Mapping[str, Any]) -> "SiteEditor":
        """Return the form that was sent, read."""
        rows = [
            kind(data, prefix=part, auto_id="%s") for kind, part in ((Groups, "groups"), (Partitions, "partitions"))
        ]
        editor = cls(Sheet(data), *rows)
        # Each of them says its own faults.
        if all([editor.sheet.is_valid(), editor.groups.is_valid(), editor.partitions.is_valid()]):
            editor._read()
        elif not any((*editor.sheet.errors, *filter(None, editor.groups.errors + editor.partitions.errors))):
            editor.fault = " ".join((*editor.groups.non_form_errors(), *editor.partitions.non_form_errors()))
        return editor

    @property
    def is_valid(self) -> bool:
        """Whether it is a site."""
        return self.site is not None

    @property
    def problems(self) -> list[tuple[str, str, str]]:
        """What is wrong: the id of the field, what it is called, and the sentence."""
        found = []
        for form in (*self.groups, *self.partitions, self.sheet):
            for bound in form:
                label = bound.field.widget.attrs.get("aria-label", bound.label)
                found += [(bound.id_for_label, label, problem) for problem in bound.errors]
        return found

    def changed(self, change: Change) -> "SiteEditor":
        """Return the form after a change of the site, or this one with the reason why there is none."""
        if self.site is None:
            return self
        try:
            changed = change(self.site)
            changed.check()
        except EngineError as error:
            self.fault = str(error)
            return self
        data = self.sheet.cleaned_data
        editor = SiteEditor.of(changed, name=data["name"], newest=data["newest"])
        editor.site = changed
        return editor

    def _read(self) -> None:
        try:
            self.site = self._counted(sites.Site.from_json(self._document()))
        except _SaidError:
            pass
        except sites.InvalidSite as error:
            self._blame(error.path, str(error).removeprefix(f"{error.path}: "))
        except EngineError as error:
            self.fault = str(error)

    def _document(self) -> dict[str, Any]:
        document: dict[str, Any] = {"name": self.sheet.cleaned_data["name"]}
        rest = self.sheet.cleaned_data["rest"]
        if rest.strip():
            with _said_at(self.sheet, "rest"):
                stated, self._line_of = sites.read_document(rest, name="The text")
            document = stated | document
        for part, rows in (("groups", self.groups), ("partitions", self.partitions)):
            if part in document and rows.forms:
                raise sites.InvalidSite(f"The {part} stand in the rows above already.", part)
            if rows.forms:
                document[part] = []
            for row in rows.forms:
                with _said_at(row, _OTHERS):
                    document[part].append(row.document())
        for row, group in zip(self.groups.forms, document.get("groups", []), strict=False):
            # The number of nodes follows from their names, and where those stayed their names follow from it.
            if group.get("hosts") and group["hosts"] == row.cleaned_data["was"]:
                group.pop("count", None)
        return document

    def _counted(self, site: sites.Site) -> sites.Site:
        for row, group in zip(self.groups.forms, site.cluster.groups, strict=False):
            count = row.cleaned_data["count"]
            if count and _typed(count) != group.count:
                with _said_at(row, "count"):
                    wanted = _typed(count)
                    if not isinstance(wanted, int):
                        raise sites.InvalidSite(f"{count} is not a whole number.", "")
                    site = sites.with_group_count(site, group.name, wanted)
        return site

    def _blame(self, path: str, sentence: str) -> None:
        """Say a sentence at the field that a path of the description is about."""
        found = _PATH.match(path)
        rows = {"groups": self.groups, "partitions": self.partitions}
        if found is not None and int(found[2]) < len(rows[found[1]].forms):
            row = rows[found[1]].forms[int(found[2])]
            otherwise = _OTHERS if found[3] or "unknown" in sentence else "name"
            row.add_error(found[3] if found[3] in row.fields else otherwise, sentence)
            return
        line = self._line_of(path)
        self.sheet.add_error("rest", f"Line {line}: {sentence}" if line else sentence)


def change_asked(what: str, number: str) -> Change | None:
    """Return what a button of the form does to the site; None where it changes nothing.

    Args:
        what: its word.
        number: of the row that it belongs to, from 0.
    """
    row = int(number) if number.isascii() and number.isdecimal() and len(number) < 5 else 0
    of_groups: Mapping[str, Callable[[sites.Site, NodeGroup], sites.Site]] = {
        "more": lambda site, group: sites.with_group_count(site, group.name, group.count + 1),
        "fewer": lambda site, group: sites.with_group_count(site, group.name, group.count - 1),
        "again": lambda site, group: sites.with_group_again(site, group.name),
        "remove": lambda site, group: sites.without_group(site, group.name),
    }
    if what in of_groups:
        return lambda site: of_groups[what](site, site.cluster.groups[min(row, len(site.cluster.groups) - 1)])
    others: Mapping[str, Change] = {
        "add": sites.with_another_group,
        "add-partition": _with_partition,
        "remove-partition": lambda site: _with_partitions(site, [one for at, one in _numbered(site) if at != row]),
    }
    return others.get(what)


def focused(editor: SiteEditor, what: str, number: str) -> str:
    """Return the id of the field at which somebody goes on after a button was pressed; empty for none."""
    if editor.problems:
        return editor.problems[0][0]
    rows = editor.partitions if "partition" in what else editor.groups
    last = len(rows.forms) - 1
    if what not in ("more", "fewer", "again", "remove", "add", "add-partition", "remove-partition") or last < 0:
        return ""
    row = min(int(number), last) if number.isascii() and number.isdecimal() and len(number) < 5 else last
    row = last if what.startswith("add") else min(row + (what == "again"), last)
    return f"{rows.prefix}-{row}-{'count' if what in ('more', 'fewer') else 'name'}"


def _numbered(site: sites.Site) -> list[tuple[int, sites.Partition]]:
    return list(enumerate(site.partitions))


def _with_partitions(site: sites.Site, partitions: Iterable[sites.Partition]) -> sites.Site:
    # The last one that goes leaves the one of all nodes that a site without partitions has.
    kept = tuple(partitions) or (sites.Partition(name="all", is_default=True),)
    return msgspec.structs.replace(site, partitions=kept)


def _with_partition(site: sites.Site) -> sites.Site:
    taken = {one.name for one in site.partitions}
    name = next(free for number in count(1) if (free := f"new{number}") not in taken)
    return _with_partitions(site, [*site.partitions, sites.Partition(name=name)])


class _SaidError(Exception):
    """A field says already what is wrong."""


@contextmanager
def _said_at(form: forms.Form, field: str) -> Iterator[None]:
    try:
        yield
    except EngineError as error:
        form.add_error(field, str(error))
        raise _SaidError from error


def _initial(row: type[Row], entry: Mapping[str, Any], *of: Any) -> dict[str, Any]:
    """Return what the fields of a row show of an entry: its main values from its objects, the others as a text."""
    shown: dict[str, Any] = {"was": entry.get("hosts", "")}
    for name in row.base_fields:
        value = next((getattr(one, name) for one in of if hasattr(one, name)), None)
        if isinstance(value, tuple):
            shown[name] = ", ".join(value)
        elif value is not None:
            shown[name] = f"{value:.12g}" if isinstance(value, float) else value
    if others := {name: value for name, value in entry.items() if name not in row.base_fields}:
        shown[_OTHERS] = yaml.safe_dump(others, default_flow_style=True, sort_keys=False, width=10**9).strip()
    return shown


def _without_defaults(group: Mapping[str, Any]) -> dict[str, Any]:
    unset = object()
    return {name: value for name, value in group.items() if _GROUP_DEFAULTS.get(name, unset) != value}


def _typed(value: Any) -> Any:
    """Return a number that was typed, and what is none as it is: the engine says what should stand there."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        return int(text)
    try:
        return float(text) if re.fullmatch(r"[+-]?[0-9.]{1,30}(e[+-]?[0-9]{1,3})?", text, re.IGNORECASE) else value
    except ValueError:
        return value
