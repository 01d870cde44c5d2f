"""What a part of a policy lets a person set in brackets: `easy(depth=100)`, and how the values are read and written."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Self, cast

from scheduler_sim.engine.clusters.overheads import Overhead
from scheduler_sim.engine.errors import InvalidPolicy, unknown_name

Value = float | int | str | tuple[float, ...] | Overhead | None


@dataclass(frozen=True)
class Parameter:
    """One declared parameter.

    Attributes:
        name: as typed before `=`.
        unit: of its value, empty for a plain number or a name.
        default: what holds when it is not given; None for what `rule` says.
        rule: one sentence for the help pages.
        expected: what a value must be, as the refusing sentence says it: `a number above 0`.
        read: turns the text into the value; raises ValueError for what is not `expected`.
    """

    name: str
    unit: str
    default: Value
    rule: str
    expected: str
    read: Callable[[str], Value] = field(repr=False, compare=False)


def show(value: Value) -> str:
    """Write a value as it is typed, in the shortest form that reads back as the same."""
    if isinstance(value, tuple):
        return "/".join(show(one) for one in value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def number(
    name: str, *, unit: str = "", default: float | None, rule: str, least: float = 0.0, above: bool = False
) -> Parameter:
    """Declare a finite number from `least` up, or `above` it."""

    def read(text: str) -> float:
        return _finite(text, least, above)

    expected = f"a number {'above' if above else 'from'} {show(least)}{'' if above else ' up'}"
    return Parameter(name, unit, default, rule, expected, read)


def whole(
    name: str, *, unit: str = "", default: int | None, rule: str, least: int = 1, most: int | None = None
) -> Parameter:
    """Declare a whole number from `least` up, or to `most`."""

    def read(text: str) -> int:
        value = int(text)
        if value < least or (most is not None and value > most):
            raise ValueError
        return value

    expected = f"a whole number from {least} {'up' if most is None else f'to {most}'}"
    return Parameter(name, unit, default, rule, expected, read)


def ascending(name: str, *, unit: str = "", default: tuple[float, ...], rule: str) -> Parameter:
    """Declare ascending numbers above 0 with `/` between them."""

    def read(text: str) -> tuple[float, ...]:
        values = tuple(_finite(part, 0.0, True) for part in text.split("/"))
        if any(later <= earlier for earlier, later in pairwise(values)):
            raise ValueError
        return values

    return Parameter(name, unit, default, rule, "ascending numbers above 0 with / between them", read)


def overhead(name: str, *, rule: str) -> Parameter:
    """Declare seconds, or seconds by devices, `1:7/8:30/60`; by default not given."""
    return Parameter(name, "s", None, rule, "seconds from 0 up, or steps such as 1:7/8:30/60", Overhead.read)


def choice(name: str, valid: Callable[[], list[str]], *, default: str | None, rule: str) -> Parameter:
    """Declare one of several names, which `valid` lists when a policy is read."""

    def read(text: str) -> str:
        if text not in valid():
            raise InvalidPolicy(unknown_name(name, text, valid()))
        return text

    return Parameter(name, "", default, rule, "one of the valid names", read)


def _finite(text: str, least: float, above: bool) -> float:
    value = float(text)
    if not math.isfinite(value) or value < least or (above and value == least):
        raise ValueError
    return value


@dataclass(frozen=True)
class Adjustable:
    """A part of a policy that may have parameters.

    Attributes:
        name: as registered.
        parameters: what can be set.
        values: what is set, as (name, value) in the order of `parameters`, without values that are the default.
    """

    name: str
    parameters: tuple[Parameter, ...] = field(default=(), kw_only=True)
    values: tuple[tuple[str, Value], ...] = field(default=(), kw_only=True)

    @property
    def text(self) -> str:
        """The part as it is typed, without defaults: `easy`, `easy(depth=100)`."""
        if not self.values:
            return self.name
        return f"{self.name}({','.join(f'{name}={show(value)}' for name, value in self.values)})"

    def value(self, name: str) -> Any:
        """Return what the parameter called `name` is set to, its default when it is not set."""
        given = dict(self.values)
        if name in given:
            return given[name]
        return next(one.default for one in self.parameters if one.name == name)

    def having(self, name: str) -> bool:
        """Tell whether the part has a parameter called `name`."""
        return any(one.name == name for one in self.parameters)

    def with_values(self, texts: dict[str, str]) -> Self:
        """Return the part with parameters set from their texts.

        Raises:
            InvalidPolicy: a parameter that the part does not have, or a value that it does not take.
        """
        names = [one.name for one in self.parameters]
        for name in texts:
            if not names:
                raise InvalidPolicy(f"{self.name} has no parameters; {name!r} was given.")
            if name not in names:
                raise InvalidPolicy(unknown_name(f"parameter of {self.name}", name, names))
        values = []
        for one in self.parameters:
            if one.name not in texts:
                continue
            try:
                value = one.read(texts[one.name])
            except InvalidPolicy:
                raise
            except ValueError:
                raise InvalidPolicy(f"{self.name}: {one.name} is {texts[one.name]!r}, not {one.expected}.") from None
            if value != one.default:
                values.append((one.name, value))
        # The parts are dataclasses, which this mixin is not.
        changed: Self = replace(cast(Any, self), values=tuple(values))
        return changed
