"""What a cluster's electricity is like over time: the kinds of series, their units, and all of one cluster together."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from scheduler_sim.engine.errors import InvalidParameter, unknown_name
from scheduler_sim.engine.series.steps import StepSeries
from scheduler_sim.engine.workloads.columns import FloatArray

JOULES_PER_KWH = 3_600_000.0
GRAMS_PER_KG = 1000.0
_KG_PER_POUND = 0.45359237
_ROUNDED = 1e-9
"""How far a value may lie below the least one by what the change of its unit rounds."""


@dataclass(frozen=True)
class Kind:
    """One kind of series.

    Attributes:
        name: as typed. label: as people call it.
        unit: in which values are kept.
        units: what one of another unit is in `unit`. zeros: what its zero is there, where that is not 0.
        least: the lowest value that has a meaning, None for any.
        sign: of the unit, as people see it behind a value; the unit itself where it is not given.
    """

    name: str
    label: str
    unit: str
    units: Mapping[str, float]
    least: float | None = 0.0
    zeros: Mapping[str, float] = field(default_factory=dict)
    sign: str | None = None

    @property
    def shown_unit(self) -> str:
        """What stands behind a value for people; empty for a plain number."""
        return self.unit if self.sign is None else self.sign

    def scale(self, unit: str) -> tuple[float, float]:
        """Return what one of another unit is in `unit`, and what its zero is."""
        return self.units[unit], self.zeros.get(unit, 0.0)

    def taken(self, values: FloatArray, unit: str) -> FloatArray:
        """Return values of another unit in `unit`; one that rounding alone puts below the least is the least."""
        factor, zero = self.scale(unit)
        found = values * factor + zero
        if self.least is None:
            return found
        return np.where((found < self.least) & (found >= self.least - _ROUNDED), self.least, found)


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "carbon",
            "Carbon intensity",
            "g/kWh",
            {"g/kWh": 1.0, "kg/kWh": 1000.0, "kg/MWh": 1.0, "t/MWh": 1000.0, "lb/MWh": _KG_PER_POUND},
        ),
        # Prices on exchanges fall below nothing.
        Kind("price", "Price of electricity", "USD/kWh", {"USD/kWh": 1.0, "USD/MWh": 0.001}, None),
        Kind("pue", "PUE", "number", {"number": 1.0}, 1.0, sign=""),
        Kind(
            "temperature",
            "Outside temperature",
            "C",
            {"C": 1.0, "F": 5 / 9, "K": 1.0},
            -273.15,
            {"F": -160 / 9, "K": -273.15},
            "°C",
        ),
        Kind("power_cap", "Power cap", "W", {"W": 1.0, "kW": 1000.0, "MW": 1_000_000.0}),
    )
}

SIGNALS = ("average", "marginal")
"""What a carbon intensity tells of: the mix of all plants, or the plants that would serve one kWh more."""


def kind_named(name: str) -> Kind:
    """Return a kind of series.

    Raises:
        InvalidParameter: there is none of that name.
    """
    if name not in KINDS:
        raise InvalidParameter(unknown_name("kind of series", name, list(KINDS)))
    return KINDS[name]


@dataclass(frozen=True, eq=False)
class Signals:
    """The series of one cluster on the clock of a workload, by kind; a kind without one is not known.

    Attributes:
        signal: of the carbon intensity, one of `SIGNALS`; empty where its file does not say.
    """

    by_kind: Mapping[str, StepSeries] = field(default_factory=dict)
    signal: str = ""

    def __post_init__(self) -> None:
        for name, series in self.by_kind.items():
            least = kind_named(name).least
            if least is not None and (series.values < least).any():
                raise InvalidParameter(f"A series of {name} falls below {least:g}.")

    def get(self, kind: str) -> StepSeries | None:
        """Return the series of a kind, None where it is not known."""
        return self.by_kind.get(kind)

    def factors(self, kind: str) -> tuple[StepSeries, ...]:
        """Return what energy is weighed by for a figure of `kind` (carbon or price): that series, and the PUE's.

        None at all where the series of `kind` is not known: neither is the figure.
        """
        if kind not in self.by_kind:
            return ()
        return (self.by_kind[kind], *((self.by_kind["pue"],) if "pue" in self.by_kind else ()))
