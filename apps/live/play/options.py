"""What an option of a run is: its name, what it may be, and the one sentence that refuses anything else.

The options themselves are the fields of the classes in `run_options.py`, one annotated line each. Command, API, form,
study files, manifests, pages and the table in docs/configuration.md are derived from those lines, and every value is
read by `Option.read`, so that a wrong one is refused by the same sentence wherever it is written.

The classes are msgspec's: it reads the annotations, converts texts and checks types and bounds. Every command imports
it: in 15 to 30 ms where pydantic takes 400 ms, and its classes are made many times faster than dataclasses, so that no
command starts later than without it. It is one package that needs no others, and its bounds are those of JSON Schema.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import inspect

from apps.results.errors import InvalidField
from scheduler_sim import engine
from scheduler_sim.engine.errors import unknown_name

COMMAND, SITE, STUDY = "command", "site", "study"
"""Where an option is asked for: `runsimulation`, the API with the form of a new run, and the definition of a study."""

SWITCH_WORDS = dict.fromkeys(("true", "t", "yes", "y", "on", "1"), True) | dict.fromkeys(
    ("false", "f", "no", "n", "off", "0"), False
)
"""Texts that stand for yes and no."""

LONGEST_SHOWN = 120
"""Characters of a wrong value that its sentence repeats."""


class InvalidOption(InvalidField):
    """A value that an option cannot have, or a name that no option has."""


class About(msgspec.Struct, frozen=True):
    """What an option says of itself beside its type and its default; an annotation of its field.

    Attributes:
        label: what a form and a page call it.
        help: what it does, as commands, forms, the API and the docs say it.
        section: the heading under which commands and docs list it; empty for what nobody asks for.
        unit: of its values.
        metavar: what stands for its value in a command's usage.
        asked_as: the name that is asked for, where it differs from the stored one.
        also: other names that are read, too.
        spelled: words that are asked for, with the values for which they stand.
        is_file: the value is the content of a file, whose path a command is given.
        subject: what the sentence that refuses a value calls it, where that is not its name.
        asked_in: the places that ask for it.
        basic: a form shows it at once, and not among the advanced ones.
        words: values as a page says them.
        said: how a page says the other values, as a format, or what writes a text of them.
        suggestions: values that a form suggests, with what they mean.
        rule: what the value must be, where its type does not say it.
        check: reads on what has the right type; its EngineError is the sentence.
    """

    label: str
    help: str = ""
    section: str = ""
    unit: str = ""
    metavar: str = ""
    asked_as: str = ""
    also: tuple[str, ...] = ()
    spelled: Mapping[str, Any] = msgspec.field(default_factory=dict)
    is_file: bool = False
    subject: str = ""
    asked_in: tuple[str, ...] = (COMMAND, SITE, STUDY)
    basic: bool = False
    words: Mapping[Any, str] = msgspec.field(default_factory=dict)
    said: str | Callable[[Any], str] = ""
    suggestions: Mapping[str, str] = msgspec.field(default_factory=dict)
    rule: str = ""
    check: Callable[[Any], Any] | None = None


class Option(msgspec.Struct, frozen=True, dict=True):
    """One option, as its field declares it.

    Attributes:
        stored_as: the name of the field.
        annotation: its type.
        about: what it says of itself.
        default: its value where it is not given; `msgspec.NODEFAULT` where it must be.
    """

    stored_as: str
    annotation: Any
    about: About
    default: Any

    @property
    def name(self) -> str:
        """The name by which it is asked for."""
        return self.about.asked_as or self.stored_as

    @property
    def flag(self) -> str:
        """Its name in a command."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def is_required(self) -> bool:
        """Whether it has no default."""
        return self.default is msgspec.NODEFAULT

    @cached_property
    def _types(self) -> tuple[inspect.Type, ...]:
        whole = inspect.type_info(self.annotation)
        return whole.types if isinstance(whole, inspect.UnionType) else (whole,)

    @property
    def type(self) -> inspect.Type:
        """Its type, None left aside."""
        return next(one for one in self._types if not isinstance(one, inspect.NoneType))

    @property
    def is_nullable(self) -> bool:
        """Whether None is a value."""
        return any(isinstance(one, inspect.NoneType) for one in self._types)

    @property
    def is_switch(self) -> bool:
        """Whether it is yes or no."""
        return isinstance(self.type, inspect.BoolType) and not self.about.spelled

    @property
    def choices(self) -> tuple[str, ...]:
        """Its values, where they are few."""
        if self.about.spelled:
            return tuple(self.about.spelled)
        parts = (self._plain, *get_args(self._plain))
        return next((get_args(part) for part in parts if get_origin(part) is Literal), ())

    @property
    def _plain(self) -> Any:
        return get_args(self.annotation)[0]

    @property
    def asked_default(self) -> Any:
        """Its default as it would be asked for."""
        return self._spelling(self.default)

    def asked(self, value: Any) -> Any:
        """Return a value as a form asks for it: the word that stands for it, several with commas between them."""
        value = self._spelling(value)
        return ",".join(map(str, value)) if isinstance(value, list | tuple) else value

    @property
    def is_list(self) -> bool:
        """Whether it holds several values, which a text separates by commas."""
        return isinstance(self.type, inspect.VarTupleType | inspect.TupleType)

    @property
    def sentence(self) -> str:
        """What it does, as a sentence."""
        return f"{self.about.help[:1].upper()}{self.about.help[1:]}."

    @property
    def rule(self) -> str:
        """What its value must be, in words that follow "must be"."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        return self.about.rule or _rule(self.type)

    def read(self, given: Any) -> Any:
        """Return the value that was given as text, JSON or YAML.

        Raises:
            InvalidOption: it is none that the option can have.
        """
        value = given.strip() if isinstance(given, str) else given
        if isinstance(value, str):
            value = self.about.spelled.get(value, value)
        elif isinstance(self.type, inspect.StrType) and isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)
        if self.is_list and isinstance(value, str):
            value = [part.strip() for part in value.split(",")]
        if self.is_switch and isinstance(value, str):
            value = SWITCH_WORDS.get(value.lower(), value)
        try:
            value = msgspec.convert(value, self.annotation, strict=False)
        except msgspec.ValidationError:
            raise self._refusal(given) from None
        if isinstance(value, float) and not math.isfinite(value):
            raise self._refusal(given)
        if self.about.check is None or value is None:
            return value
        try:
            return self.about.check(value)
        except engine.EngineError as error:
            raise InvalidOption(str(error), self.name) from error

    def spelt(self, value: Any) -> str:
        """Return a value as a text that `read` reads as the same."""
        value = self._spelling(value)
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, list | tuple):
            return ",".join(map(self.spelt, value))
        return f"{value:.17g}" if isinstance(value, float) and value.is_integer() else str(value)

    def words(self, value: Any) -> str:
        """Return a value as a page says it."""
        value = self._spelling(value)
        if self.about.is_file and value:
            lines = value.count("\n") - 1
            return f"{lines:,} line{'' if lines == 1 else 's'}"
        if not isinstance(value, list | tuple | dict) and value in self.about.words:
            return self.about.words[value]
        if isinstance(value, bool):
            return "yes" if value else "no"
        said = self.about.said
        if not isinstance(said, str):
            return said(value)
        if isinstance(value, Mapping):
            return ", ".join(said.format(*one) for one in value.items()) or "none"
        if isinstance(value, list | tuple):
            return ", ".join(map(str, value))
        return said.format(value) if said else str(value)

    def _spelling(self, value: Any) -> Any:
        return next((word for word, meant in self.about.spelled.items() if meant is value), value)

    def _refusal(self, given: Any) -> InvalidOption:
        return InvalidOption(f"{self.about.subject or self.name} must be {self.rule}, not {_shown(given)}.", self.name)


def options_of(*classes: type[msgspec.Struct]) -> tuple[Option, ...]:
    """Return the options that the fields of these classes declare, in their order."""
    return tuple(
        Option(
            stored_as=declared.name,
            annotation=hint,
            about=about,
            default=declared.default,
        )
        for one in classes
        for declared, hint, about in _declared(one)
    )


def read_options(options: Iterable[Option], given: Mapping[str, Any]) -> dict[str, Any]:
    """Read what was given by the names that are asked for; return it by the names that are stored.

    Raises:
        InvalidOption: a name that none of the options has, or a value that its option cannot have.
    """
    options = tuple(options)
    known = {option.name: option for option in options}
    given = renamed(options, given)
    for name in given:
        if name not in known:
            raise unknown_option(name, known)
    return {known[name].stored_as: known[name].read(value) for name, value in given.items()}


def renamed(options: Iterable[Option], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was given by the names that are asked for, where it has another one that is read, too."""
    names = {also: option.name for option in options for also in option.about.also}
    return {names[name] if name in names and names[name] not in given else name: given[name] for name in given}


def unknown_option(name: str, known: Iterable[str]) -> InvalidOption:
    """Return the refusal of a name that no option has."""
    return InvalidOption(unknown_name("option", str(name), list(known)), name)


def _declared(one: type[msgspec.Struct]) -> Iterable[tuple[msgspec.structs.FieldInfo, Any, About]]:
    hints = get_type_hints(one, include_extras=True)
    for declared in msgspec.structs.fields(one):
        found = [part for part in getattr(hints[declared.name], "__metadata__", ()) if isinstance(part, About)]
        if found:
            yield declared, hints[declared.name], found[0]


def _rule(kind: inspect.Type) -> str:
    match kind:
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return f"a whole number{_range(kind)}"
        case inspect.FloatType():
            return f"a number{_range(kind)}"
        case inspect.TupleType():
            each = kind.item_types[0]
            bounds = _range(each) if isinstance(each, inspect.IntType | inspect.FloatType) else ""
            return f"{len(kind.item_types)} numbers{bounds} with commas between them"
        case inspect.StrType() if kind.max_length is not None:
            return f"a text of {kind.min_length or 0} to {kind.max_length} characters"
    return "a text"


def _range(kind: inspect.IntType | inspect.FloatType) -> str:
    least = f" from {_number(kind.ge)}" if kind.ge is not None else ""
    above = f" above {_number(kind.gt)}" if kind.gt is not None else ""
    most = f" to {_number(kind.le)}" if kind.le is not None else ""
    return least + above + (most if least else most.replace(" to ", " up to "))


def _number(bound: float) -> str:
    for power in (31, 63):
        if bound == 2**power - 1:
            return f"2**{power} - 1"
    return f"{int(bound):,}" if float(bound).is_integer() else f"{bound:g}"


def _shown(given: Any) -> str:
    if given is None or given == "":
        return "nothing"
    if isinstance(given, list | tuple):
        text = ",".join(map(str, given))
    else:
        text = given if isinstance(given, str) else json.dumps(given, default=str)
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."
