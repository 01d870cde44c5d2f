"""Numbers as people read them: one unit and one number of decimals for a whole column."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from scheduler_sim.engine.measuring.figures import FIGURES

NO_DATA = "no data"

SMALL = 0.1
"""Columns whose middle value is below it get more than two decimals."""

_UNITS = {
    "seconds": (("s", 1.0), ("min", 60.0), ("h", 3600.0), ("d", 86_400.0)),
    "joules": (("J", 1.0), ("kJ", 1e3), ("kWh", 3.6e6), ("MWh", 3.6e9)),
    "per_second": (("a day", 1 / 86_400), ("an hour", 1 / 3600), ("a minute", 1 / 60), ("a second", 1.0)),
    "dollars": (("$", 1.0),),
    "kilograms": (("g", 0.001), ("kg", 1.0), ("t", 1000.0)),
    "share": (("%", 0.01),),
    "count": (("", 1.0),),
    "ratio": (("", 1.0),),
}


@dataclass(frozen=True)
class Scale:
    """How the numbers of one column are written: divided by `divisor`, with `decimals`, in `unit`."""

    unit: str
    divisor: float
    decimals: int

    def text(self, value: float | None) -> str:
        """Return the number without its unit, `no data` for None and NaN."""
        if value is None or math.isnan(value):
            return NO_DATA
        return f"{value / self.divisor:,.{self.decimals}f}"

    def with_unit(self, value: float | None) -> str:
        """Return the number with its unit."""
        text = self.text(value)
        if text == NO_DATA or not self.unit:
            return text
        if self.unit == "$":
            return f"${text}"
        return f"{text}{'' if self.unit == '%' else ' '}{self.unit}"


def scale_of(quantity: str, values: Iterable[float | None]) -> Scale:
    """Choose the largest unit in which the middle value is at least 1, and decimals for about three digits."""
    known = sorted(abs(value) for value in values if value is not None and not math.isnan(value) and value != 0)
    middle = known[len(known) // 2] if known else 0.0
    units = _UNITS[quantity]
    unit, divisor = next(((name, size) for name, size in reversed(units) if middle >= 2 * size), units[0])
    if quantity == "count":
        return Scale(unit, divisor, 0)
    if quantity == "share":
        return Scale(unit, divisor, 1)
    if not known:
        return Scale(unit, divisor, 0)
    least = known[0] / divisor
    if middle / divisor < SMALL:
        # Two significant digits of the middle value.
        return Scale(unit, divisor, min(6, 1 - math.floor(math.log10(middle / divisor))))
    decimals = 0 if least >= 1000 else 1 if least >= 10 else 2
    return Scale(unit, divisor, decimals)


def figure_scale(name: str, values: Iterable[float | None]) -> Scale:
    """Return the scale of a figure's column by the figure's name."""
    return scale_of(FIGURES[name].quantity, values)


def quantity(kind: str, value: float | None) -> str:
    """Return one number in the unit that suits it, such as `13.5 min` or `2.30 kWh`."""
    return scale_of(kind, [value]).with_unit(value)


def duration(seconds: float | None) -> str:
    """Return a duration in the unit that suits it: `48.2 s`, `13.5 min`, `5.10 h`, `12.4 d`."""
    return quantity("seconds", seconds)


def about(text: str) -> str:
    """Mark a written number as an approximation; `about` in static/js/charts/numbers.js does the same."""
    return text if text == NO_DATA else f"≈ {text}"


def roughly(seconds: float) -> str:
    """Return a duration without decimals, as one says how long something will take: `40 s`, `2 min`, `3 h`."""
    unit, size = next((name, size) for name, size in reversed(_UNITS["seconds"]) if seconds >= 1.5 * size or size == 1)
    return f"{seconds / size:,.0f} {unit}"


def percent_done(share: float) -> int:
    """Return progress in whole percent, rounded down: 100 is said of what is finished and of nothing else.

    `percentDone` in static/js/charts/numbers.js rounds alike.
    """
    # A share such as 0.29 lies a little below itself as a binary number.
    return 100 if share >= 1 else max(0, min(99, math.floor(share * 100 + 1e-6)))


def percent_change(value: float | None, base: float | None) -> str:
    """Return how far `value` is from `base`: `-63%`, `+4.2%`, and `×12` or `÷12` from ten times on.

    No share tells how far anything is from nothing, or from less, as a cost at negative prices is.
    """
    if value is None or base is None or base <= 0:
        return NO_DATA
    ratio = value / base
    if ratio >= 10:
        return f"×{ratio:,.0f}"
    if 0 < ratio <= 0.1:
        return f"÷{1 / ratio:,.0f}"
    change = (ratio - 1) * 100
    if abs(change) < 0.05:
        return "0%"
    return f"{change:+.1f}%" if abs(change) < 10 else f"{change:+.0f}%"


def change_in_words(value: float, base: float, *, more: str = "higher", less: str = "lower") -> str:
    """Return how far `value` is from `base`, both above zero, as a sentence says it: `63% lower`."""
    ratio = value / base
    if ratio >= 2:
        return f"{ratio:,.1f} times {more}" if ratio < 10 else f"{ratio:,.0f} times {more}"
    if ratio <= 0.1:
        return f"{1 / ratio:,.0f} times {less}"
    return f"{abs(ratio - 1):.0%} {more if ratio > 1 else less}"


def listing(words: Iterable[str]) -> str:
    """Return words as a sentence holds them: `a`, `a and b`, `a, b and c`."""
    words = list(words)
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
