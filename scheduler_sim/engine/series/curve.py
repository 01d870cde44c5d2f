"""PUE by outside temperature: points of a piecewise linear curve, which make a series of PUE of one of temperature."""

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.finite import is_finite_number
from scheduler_sim.engine.series.steps import StepSeries

MOST_POINTS = 50


@dataclass(frozen=True)
class PueCurve:
    """A PUE for every temperature: linear between two points, and that of the first or last one beyond them.

    Attributes:
        points: temperature in degrees Celsius, ascending, and the PUE there, 1 or more.

    Raises:
        InvalidParameter: none or too many points, temperatures that do not ascend, or a PUE below 1.
    """

    points: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.points) <= MOST_POINTS:
            raise InvalidParameter(f"pue_by_temperature has {len(self.points)} points, not 1 to {MOST_POINTS}.")
        for at, (degrees, pue) in enumerate(self.points):
            if not (math.isfinite(degrees) and 1.0 <= pue < math.inf):
                raise InvalidParameter(
                    f"pue_by_temperature: at {degrees:g} C the PUE is {pue:g}, not a number from 1 up."
                )
            if at and degrees <= self.points[at - 1][0]:
                raise InvalidParameter(f"pue_by_temperature: {degrees:g} C does not lie above the point before it.")

    @classmethod
    def of_pairs(cls, pairs: Any) -> Self:
        """Read points as a description holds them: [[10, 1.1], [25, 1.3]].

        Raises:
            InvalidParameter: they are no such list, or as above.
        """
        if not isinstance(pairs, list | tuple) or not all(_is_pair(pair) for pair in pairs):
            raise InvalidParameter(
                "pue_by_temperature is a list of pairs of a temperature in C and a PUE, as [[10, 1.1], [25, 1.3]]."
            )
        return cls(tuple((float(degrees), float(pue)) for degrees, pue in pairs))

    @classmethod
    def read(cls, text: str) -> Self:
        """Read points as an option holds them: 10:1.1/25:1.3.

        Raises:
            InvalidParameter: they are not so written, or as above.
        """
        try:
            pairs = [[float(number) for number in part.split(":")] for part in text.split("/")]
        except ValueError:
            pairs = [[]]
        if any(len(pair) != 2 for pair in pairs):
            raise InvalidParameter(
                f"pue_by_temperature is written as 10:1.1/25:1.3, degrees Celsius:PUE, not {text!r}."
            )
        return cls.of_pairs(pairs)

    def in_words(self) -> str:
        """Return the points for people: `1.1 at 10 °C, 1.3 at 25 °C`."""
        return ", ".join(f"{pue:g} at {degrees:g} °C" for degrees, pue in self.points)

    def as_text(self) -> str:
        """Return what `read` takes back, with all digits."""
        return "/".join(f"{float(degrees)!r}:{float(pue)!r}" for degrees, pue in self.points)

    def of(self, temperature: StepSeries) -> StepSeries:
        """Return the PUE over time: each step of the temperature, in degrees Celsius, as the curve says."""
        degrees, pue = (np.array(column, np.float64) for column in zip(*self.points, strict=True))
        values = np.interp(temperature.values, degrees, pue)
        return StepSeries(temperature.times, values, temperature.end, temperature.beyond)


def _is_pair(pair: Any) -> bool:
    return (
        isinstance(pair, list | tuple)
        and len(pair) == 2
        and all(isinstance(one, float) or is_finite_number(one) for one in pair)
    )
