"""A lesson as a YAML text, whose faults are named with their line and key; docs/lessons.md has every key."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from io import BytesIO
from typing import Annotated, Any, NoReturn

import msgspec
import yaml
from msgspec import Meta

from apps.dashboard.lessons.expressions import Expression, Figures, InvalidExpression, Term
from apps.live.play.configuration import RunConfiguration, asked_in, configured
from apps.live.play.options import SITE, InvalidOption, read_options
from apps.results.errors import DomainError
from scheduler_sim import engine
from scheduler_sim.columnar.digests import json_digest
from scheduler_sim.engine.clusters.presets import PRESET, PRESETS, load_cluster
from scheduler_sim.engine.sites.documents import LineOf, read_document


class InvalidLesson(DomainError):
    """A lesson that cannot be read, or that its own run refutes."""


MOST_TASKS = 200
"""A lesson of more tasks is seen by nobody on one picture."""

LARGEST = 100_000
"""A lesson's text has at most so many characters."""

TAKEN = ("install",)
"""Names that no lesson can have, as they are those of pages beside it."""

NOT_HERE = ("policies", "site", "rate", "cores", "keep", "limit")
"""Options of a run that a lesson says otherwise, or cannot have."""

Name = Annotated[str, Meta(pattern="^[a-z][a-z0-9-]{0,49}$")]
Line = Annotated[str, Meta(min_length=1, max_length=200)]
Words = Annotated[str, Meta(min_length=1, max_length=5_000)]

_PLACEHOLDER = re.compile(r"\{([^{}]{1,500})\}")


class Choice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An answer to choose.

    Attributes:
        why: what is said to whoever chose it: of the right one the explanation, of a wrong one a hint.
    """

    text: Line
    why: Words
    right: bool = False


class Show(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to look in the run.

    Attributes:
        at: seconds on the workload's clock.
        policies: one or two, that lie one above the other.
        task: whom to follow; None for nobody.
    """

    at: Annotated[float, Meta(ge=0)]
    policies: Annotated[tuple[str, ...], Meta(min_length=1, max_length=2)]
    task: int | None = None


class Lesson(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """A question, tasks and policies whose run answers it, and what the run must show.

    Attributes:
        order: its place on the list; equals are sorted by their title.
        text, after, next: what is read before the question, after the answer, and what to try then. After the answer
            `{mean_wait_time(fcfs)}` stands for what the run has stored.
        cluster: a preset or a description.
        options: of the run, by the names that the API has.
        tasks: a table as csv, at most `MOST_TASKS` of them.
        figures: columns of the table of policies.
        expect: claims that the stored run is held to when the lesson is installed.
    """

    name: Name
    title: Annotated[str, Meta(min_length=1, max_length=80)]
    summary: Line
    order: Annotated[int, Meta(ge=0, le=1_000)] = 100
    text: Words
    question: Line
    choices: Annotated[tuple[Choice, ...], Meta(min_length=2, max_length=6)]
    cluster: str | dict[str, Any]
    options: dict[str, Any] = {}
    policies: Annotated[tuple[str, ...], Meta(min_length=1, max_length=6)]
    tasks: Annotated[str, Meta(min_length=1, max_length=50_000)]
    figures: Annotated[tuple[str, ...], Meta(min_length=1, max_length=6)]
    expect: Annotated[tuple[Line, ...], Meta(min_length=1, max_length=20)]
    show: Show
    after: Words = ""
    next: Annotated[tuple[Line, ...], Meta(max_length=6)] = ()

    @cached_property
    def columns(self) -> tuple[Term, ...]:
        """The figures of the table of policies."""
        return tuple(map(Term.column, self.figures))

    @cached_property
    def claims(self) -> tuple[Expression, ...]:
        """What the stored run is held to."""
        return tuple(map(Expression.read, self.expect))

    @cached_property
    def terms(self) -> frozenset[Term]:
        """All figures that it speaks of."""
        told = [Expression.read(text) for words in self._told for text in _PLACEHOLDER.findall(words)]
        listed = [column.under(policy) for column in self.columns for policy in self.policies]
        return frozenset([*listed, *(term for one in (*self.claims, *told) for term in one.terms)])

    @property
    def _told(self) -> tuple[str, ...]:
        return (self.after, *(choice.why for choice in self.choices if choice.right))

    def said(self, words: str, figures: Figures) -> str:
        """Return a text with the run's figures in it."""
        return _PLACEHOLDER.sub(lambda found: str(Expression.read(found[1]).value(figures)), words)

    @property
    def played_on(self) -> engine.Cluster:
        """The cluster.

        Raises:
            InvalidCluster: there is no such preset, or the description has no meaning.
        """
        if not isinstance(self.cluster, str):
            return engine.Cluster.from_json({"name": self.name, **self.cluster})
        if not PRESET.fullmatch(self.cluster):
            raise engine.InvalidCluster(f"There is no cluster preset {self.cluster!r}. Presets: {', '.join(PRESETS)}.")
        return load_cluster(self.cluster)

    @property
    def configuration(self) -> RunConfiguration:
        """What its run is asked for.

        Raises:
            InvalidOption: an option, or a policy, that there is not.
        """
        known = tuple(option for option in asked_in(SITE) if option.name not in NOT_HERE)
        policies = read_options([one for one in asked_in(SITE) if one.name == "policies"], {"policies": self.policies})
        return configured({**policies, **read_options(known, self.options)})[0]

    @property
    def digest(self) -> str:
        """Of all that it says."""
        return json_digest(self.as_json())

    @property
    def file(self) -> BytesIO:
        """Its tasks as a file of csv."""
        return BytesIO(self.tasks.encode())

    def as_json(self) -> dict[str, Any]:
        """Return the document that `from_json` takes back."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Lesson":
        """Return a lesson of a document that was checked before.

        Raises:
            InvalidLesson: it is of another form.
        """
        try:
            return msgspec.convert(document, cls)
        except msgspec.ValidationError as error:
            raise InvalidLesson(f"The stored lesson is of another form: {error}.") from error


def read_lesson(text: str, *, name: str) -> Lesson:
    """Return the lesson that a YAML text holds.

    Args:
        name: what sentences call the text.

    Raises:
        InvalidLesson: what is wrong, with its line and key where they can be told.
    """
    if len(text) > LARGEST:
        raise InvalidLesson(f"{name} has {len(text):,} characters, where a lesson has at most {LARGEST:,}.")
    try:
        document, line_of = read_document(text, name=name)
    except engine.EngineError as error:
        raise InvalidLesson(str(error)) from error
    blame = _Blame(name, line_of)
    try:
        lesson = msgspec.convert(document, Lesson)
    except msgspec.ValidationError as error:
        sentence, _, place = str(error).partition(" - at ")
        path = place.strip("`").removeprefix("$")
        if unknown := re.fullmatch(r"Object contains unknown field `(.+)`", sentence):
            path += f".{unknown[1]}"
        blame.refuse(_plainly(sentence), path.removeprefix("."))
    _check(lesson, blame)
    return lesson


def write_lesson(document: Mapping[str, Any]) -> str:
    """Return a lesson's document as YAML, texts of several lines as such."""
    return yaml.dump(dict(document), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


class _Dumper(yaml.SafeDumper):
    pass


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


class _Blame:
    """Says where in a file stands what is refused."""

    def __init__(self, name: str, line_of: LineOf) -> None:
        self._name, self._line_of = name, line_of

    def refuse(self, sentence: str, path: str) -> NoReturn:
        """Raise a refusal of what stands at `path`."""
        line = self._line_of(path)
        place = f"{self._name}, line {line}" if line else self._name
        raise InvalidLesson(f"{place}: {path}: {sentence}" if path else f"{place}: {sentence}")

    @contextmanager
    def at(self, path: str) -> Iterator[None]:
        """Refuse in the same words what is refused in the block."""
        try:
            yield
        except InvalidOption as error:
            self.refuse(str(error), "policies" if error.field == "policies" else f"{path}.{error.field}")
        except (InvalidExpression, engine.EngineError) as error:
            self.refuse(str(error), path)


def _check(lesson: Lesson, blame: _Blame) -> None:
    """Refuse what the types do not tell.

    Raises:
        InvalidLesson: of the first part that has no meaning.
    """
    if lesson.name in TAKEN:
        blame.refuse(f"{lesson.name} is the name of a page; take another one.", "name")
    if sum(choice.right for choice in lesson.choices) != 1:
        blame.refuse("Exactly one choice must be right.", "choices")
    for name in lesson.options:
        if name in NOT_HERE:
            blame.refuse(f"A lesson cannot ask for {name} here.", f"options.{name}")
    with blame.at("cluster"):
        _ = lesson.played_on
    _check_policies(lesson, blame)
    for number, text in enumerate(lesson.figures):
        with blame.at(f"figures[{number}]"):
            Term.column(text)
    for number, text in enumerate(lesson.expect):
        with blame.at(f"expect[{number}]"):
            claim = Expression.read(text)
        if not claim.is_claim:
            blame.refuse(f"{text!r} compares nothing.", f"expect[{number}]")
        _check_terms(claim, lesson, blame, f"expect[{number}]")
    told = [("after", lesson.after)]
    told += [(f"choices[{at}].why", choice.why) for at, choice in enumerate(lesson.choices) if choice.right]
    for path, words in told:
        for text in _PLACEHOLDER.findall(words):
            with blame.at(path):
                figure = Expression.read(text)
            _check_terms(figure, lesson, blame, path)


def _check_policies(lesson: Lesson, blame: _Blame) -> None:
    with blame.at("options"):
        written = lesson.configuration.policies
    for given, policy in zip(lesson.policies, written, strict=True):
        if given != policy:
            blame.refuse(f"Write {given} as {policy}, the name that runs give it.", "policies")
    for policy in lesson.show.policies:
        if policy not in lesson.policies:
            blame.refuse(f"{policy} is none of the lesson's policies.", "show.policies")


def _check_terms(found: Expression, lesson: Lesson, blame: _Blame, path: str) -> None:
    for term in found.terms:
        if term.policy not in lesson.policies:
            blame.refuse(f"{term.policy} in {found.text!r} is none of the lesson's policies.", path)


def _plainly(sentence: str) -> str:
    """Return a sentence of msgspec's as one of ours."""
    for pattern, words in _SENTENCES:
        if found := re.fullmatch(pattern, sentence):
            return words.format(*found.groups())
    return f"{sentence}."


_SENTENCES = (
    (r"Object missing required field `(.+)`", "The key {} is missing."),
    (r"Object contains unknown field `(.+)`", "There is no key {} here; docs/lessons.md has all."),
    (r"Expected `str` matching regex .+", "It must be lower-case letters, digits and hyphens, at most 50."),
    (r"Expected `(.+)`, got `(.+)`", "It must be {}, not {}."),
    (r"Expected `(.+)` of (.+)", "It must be {} of {}."),
    (r"Expected `(.+)` (.+)", "It must be {} {}."),
)
