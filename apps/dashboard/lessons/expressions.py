"""Figures of a run as lessons write them: `mean_wait_time(fcfs)`, `start_time(fcfs+easy, task 4)`, and sums of them."""

import ast
import math
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from apps.metrics.models import GroupMetric, Metric
from apps.results.errors import DomainError
from apps.results.models import Run, SchedulerResult
from apps.tasks.models import Task
from scheduler_sim.display.formatting import NO_DATA, quantity
from scheduler_sim.engine.measuring.figures import FIGURES


class InvalidExpression(DomainError):
    """A text that names no figure, or reckons with figures in a way that has no meaning."""


LARGEST = 1e15
"""No number of an expression is larger."""

OF_TASKS = ("start_time", "finish_time", "wait_time", "actual_time")
"""Figures of one task; instants are seconds on the workload's clock."""


def _columns(model: Any) -> tuple[str, ...]:
    return tuple(field.name for field in model._meta.concrete_fields if field.name in FIGURES)


OF_RUNS = _columns(Metric)
OF_USERS = tuple(name for name in _columns(GroupMetric) if name != "difference")

_TERM = re.compile(r"([a-z][a-z0-9_]*)\(")
_SELECTOR = re.compile(r"task ([0-9]{1,15})|user (\S.{0,198})")
_COMPARED: Mapping[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: math.isclose,
}
_RECKONED: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@dataclass(frozen=True)
class Term:
    """One figure under one policy: of the whole run, of one task, or of the tasks of one user.

    Attributes:
        policy: empty where a table has the figure of every policy.
    """

    figure: str
    policy: str = ""
    task: int | None = None
    user: str = ""

    def __post_init__(self) -> None:
        known = OF_TASKS if self.task is not None else OF_USERS if self.user else OF_RUNS
        if self.figure not in known:
            whose = "a task" if self.task is not None else "a user" if self.user else "a run"
            raise InvalidExpression(f"There is no figure {self.figure!r} of {whose}. Figures: {', '.join(known)}.")

    @classmethod
    def column(cls, text: str) -> "Term":
        """Read a figure that a table has of every policy: `mean_wait_time`, `wait_time(task 3)`.

        Raises:
            InvalidExpression: it is none.
        """
        name, _, rest = text.strip().partition("(")
        if not rest:
            return cls(name)
        return cls(name.strip(), **_selected(rest.removesuffix(")"))) if rest.endswith(")") else _refuse(text)

    def under(self, policy: str) -> "Term":
        """Return the figure under a policy."""
        return replace(self, policy=policy)

    @property
    def label(self) -> str:
        """What a table calls it."""
        whose = f"task {self.task}" if self.task is not None else self.user
        name = {"start_time": "Start", "finish_time": "Finish", "wait_time": "Wait"}.get(self.figure)
        name = name or FIGURES[self.figure].label
        return f"{name}, {whose}" if whose else name

    @property
    def quantity(self) -> str:
        """What kind of number it is."""
        return "seconds" if self.figure in OF_TASKS else FIGURES[self.figure].quantity


@dataclass(frozen=True)
class Value:
    """What an expression comes to; None where the run has no such figure."""

    number: float | None
    quantity: str = "ratio"

    def __str__(self) -> str:
        return NO_DATA if self.number is None else quantity(self.quantity, self.number)


Figures = Mapping[Term, float | None]


@dataclass(frozen=True)
class Expression:
    """A text that reckons with figures of a run."""

    text: str
    terms: tuple[Term, ...]
    tree: ast.expr

    @classmethod
    def read(cls, text: str) -> "Expression":
        """Read a sum of figures and numbers.

        Raises:
            InvalidExpression: it has no meaning.
        """
        terms: list[Term] = []
        plain = "".join(_plain(text, terms))
        try:
            tree = ast.parse(plain.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            _refuse(text)
        found = cls(text, tuple(terms), tree)
        # Reckoned once with ones, which finds what has no meaning whatever the run says.
        found._value(tree, dict.fromkeys(terms, 1.0))
        return found

    @property
    def is_claim(self) -> bool:
        """Whether it compares two sides."""
        return isinstance(self.tree, ast.Compare)

    def value(self, figures: Figures) -> Value:
        """Return what it comes to."""
        return self._value(self.tree, figures)

    def holds(self, figures: Figures) -> bool:
        """Tell whether a claim is true; one about figures that there are not is not."""
        if not isinstance(self.tree, ast.Compare):
            return False
        sides = [self._value(one, figures).number for one in (self.tree.left, *self.tree.comparators)]
        return all(
            low is not None and high is not None and _COMPARED[type(how)](low, high)
            for low, how, high in zip(sides, self.tree.ops, sides[1:], strict=False)
        )

    def in_figures(self, figures: Figures) -> str:
        """Return the text with what each of its figures is."""
        said = [f"{_written(term)} is {Value(figures[term], term.quantity)}" for term in dict.fromkeys(self.terms)]
        return f"{self.text} ({', '.join(said)})"

    def _value(self, node: ast.expr, figures: Figures) -> Value:
        match node:
            case ast.Name(id=name) if name.startswith("t") and name[1:].isdigit():
                term = self.terms[int(name[1:])]
                return Value(figures[term], term.quantity)
            case ast.Constant(value=int() | float() as number) if abs(number) <= LARGEST:
                return Value(float(number))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                value = self._value(operand, figures)
                return Value(None if value.number is None else -value.number, value.quantity)
            case ast.BinOp(left=left, op=how, right=right) if type(how) in _RECKONED:
                return self._reckoned(how, self._value(left, figures), self._value(right, figures))
            case ast.Compare(ops=ops) if node is self.tree and all(type(how) in _COMPARED for how in ops):
                return self._compared(node, figures)
        return _refuse(self.text)

    def _compared(self, node: ast.Compare, figures: Figures) -> Value:
        """Return the first side of a comparison whose sides are of one quantity, numbers being of any."""
        sides = (node.left, *node.comparators)
        values = [self._value(side, figures) for side in sides]
        kinds = {value.quantity for value, side in zip(values, sides, strict=True) if not _is_number(side)}
        return values[0] if len(kinds) == 1 else _refuse(self.text)

    def _reckoned(self, how: ast.operator, left: Value, right: Value) -> Value:
        """Return a sum, difference, product or ratio of two values, of a quantity that has a meaning."""
        alike = left.quantity == right.quantity
        match how:
            case ast.Div() if alike:
                kind = "ratio"
            case ast.Mult() if left.quantity == "ratio":
                kind = right.quantity
            case ast.Mult() | ast.Div() if right.quantity == "ratio":
                kind = left.quantity
            case ast.Add() | ast.Sub() if alike:
                kind = left.quantity
            case _:
                return _refuse(self.text)
        if left.number is None or right.number is None or (isinstance(how, ast.Div) and right.number == 0):
            return Value(None, kind)
        return Value(_RECKONED[type(how)](left.number, right.number), kind)


def read_figures(run: Run, terms: Iterable[Term]) -> Figures:
    """Return what a run has stored of each term, in at most three queries."""
    terms = set(terms)
    found: dict[Term, float | None] = dict.fromkeys(terms)
    totals = {row.scheduler: row for row in Metric.objects.leaderboard(run)}
    users = {term.user for term in terms if term.user}
    numbers = {term.task for term in terms if term.task is not None}
    groups: dict[Any, Any] = {}
    if users:
        rows = GroupMetric.objects.filter(run=run, grouped_by=GroupMetric.GroupedBy.USER, name__in=users)
        groups = {(row.scheduler, row.name): row for row in rows.filter(merged_count=0)}
    results: dict[Any, Any] = {}
    if numbers:
        tasks = Task.objects.filter(workload=run.workload_id, task_id__in=numbers)
        called = dict(tasks.values_list("pk", "task_id"))
        placed = SchedulerResult.objects.of_keys(run, list(called))
        results = {(row.scheduler, called[row.task_id]): row for row in placed}
    for term in terms:
        row = totals.get(term.policy)
        if term.task is not None:
            row = results.get((term.policy, term.task))
        elif term.user:
            row = groups.get((term.policy, term.user))
        value = getattr(row, term.figure, None)
        found[term] = None if value is None else float(value)
    return found


def _plain(text: str, terms: list[Term]) -> Iterator[str]:
    """Yield the text with a name of Python's for each of its figures, which are added to `terms`."""
    end = 0
    while found := _TERM.search(text, end):
        yield _without_names(text[end : found.start()], text)
        end = _closing(text, found.end())
        policy, selector = _parted(text[found.end() : end - 1])
        if not policy:
            _refuse(text)
        yield f" t{len(terms)} "
        terms.append(Term(found[1], policy, **_selected(selector)))
    yield _without_names(text[end:], text)


def _without_names(piece: str, text: str) -> str:
    """Return what stands beside figures: numbers and signs alone."""
    return _refuse(text) if re.search(r"[a-z_]", piece, re.IGNORECASE) else piece


def _closing(text: str, start: int) -> int:
    """Return where the bracket ends that opens before `start`."""
    depth = 1
    for place in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if depth == 0:
            return place + 1
    return _refuse(text)


def _parted(text: str) -> tuple[str, str]:
    """Part a policy, whose parameters have commas of their own, from what stands behind it."""
    depth = 0
    for place, sign in enumerate(text):
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if sign == "," and depth == 0:
            return text[:place].strip(), text[place + 1 :].strip()
    return text.strip(), ""


def _selected(selector: str) -> dict[str, Any]:
    if not selector:
        return {}
    found = _SELECTOR.fullmatch(selector.strip())
    if found is None:
        raise InvalidExpression(f"{selector!r} is neither `task` and a number nor `user` and a name.")
    return {"task": int(found[1])} if found[1] else {"user": found[2]}


def _written(term: Term) -> str:
    whose = f", task {term.task}" if term.task is not None else f", user {term.user}" if term.user else ""
    return f"{term.figure}({term.policy}{whose})"


def _is_number(node: ast.expr) -> bool:
    return not any(isinstance(part, ast.Name) for part in ast.walk(node))


def _refuse(text: str) -> Any:
    raise InvalidExpression(
        f"{text!r} has no meaning: write figures as mean_wait_time(fcfs) or start_time(fcfs, task 3), with numbers, "
        "+ - * / and, in what is expected, one of < <= > >= == between them."
    )
