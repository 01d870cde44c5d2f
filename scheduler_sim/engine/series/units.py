"""Units that names of columns tell, as in `Price (EUR/MWhe)` or `carbon_intensity_kg_per_kwh`."""

import re
from collections.abc import Mapping

from scheduler_sim.engine.series.signals import Kind


def _by_word(words: Mapping[str, str]) -> dict[str, str]:
    return {word: unit for unit, all_of_it in words.items() for word in all_of_it.split()}


_ENERGY = _by_word({"Wh": "wh whe", "kWh": "kwh kwhe", "MWh": "mwh mwhe", "GWh": "gwh gwhe"})
_MASS = _by_word(
    {"mg": "mg", "g": "g gram grams", "kg": "kg kgs kilograms", "t": "t ton tons tonne tonnes", "lb": "lb lbs pounds"}
)
_CODES = "CHF SEK NOK DKK PLN CZK HUF RON CNY INR KRW AUD NZD CAD"
_MONEY = _by_word(
    {
        "USD": "usd dollars $",
        "EUR": "eur euro euros €",
        "GBP": "gbp £",
        "JPY": "jpy ¥",
        "cent": "cent cents ct ¢ pence",
        **{code: code.casefold() for code in _CODES.split()},
    }
)
_POWER = _by_word({"W": "w watt watts", "kW": "kw kilowatts", "MW": "mw megawatts", "GW": "gw"})
_TEMPERATURE = _by_word({"C": "c celsius", "F": "f fahrenheit", "K": "k kelvin"})
_PARTS: dict[str, tuple[Mapping[str, str], ...]] = {
    "carbon": (_MASS, _ENERGY),
    "price": (_MONEY, _ENERGY),
    "power_cap": (_POWER,),
    "temperature": (_TEMPERATURE,),
}
"""The words of the parts of a kind's units, in their order."""
_TIME = _by_word(
    {
        "days": "d day days",
        "hours": "h hr hrs hour hours",
        "minutes": "min mins minute minutes",
        "milliseconds": "ms msec millis milliseconds",
        "microseconds": "us µs microseconds",
        "nanoseconds": "ns nanoseconds",
    }
)
_SECONDS = {"days": 86_400.0, "hours": 3600.0, "minutes": 60.0}
_SECONDS |= {"milliseconds": 1e-3, "microseconds": 1e-6, "nanoseconds": 1e-9}
_USUAL = {"carbon": (2.0, 2500.0), "price": (-5.0, 5.0), "pue": (1.0, 4.0), "temperature": (-60.0, 60.0)}
"""Between what means lie, in the kind's own unit, that electricity and machine rooms really have."""
_CARBON_DIOXIDE = re.compile(r"co[2₂][ -]?(?:eq?)?(?![^\W\d_])")
_TIME_UNIT = re.compile(r"^([^\W\d_]+)$|(?<!\d)_([^\W\d_]+)$|[(\[]\s*([^\W\d_]+)\s*[)\]]")
"""Where a name of a column of times tells a unit: alone, at the end behind `_`, or alone in brackets. Other words are
places (`US/Pacific`) and lengths of steps (`5 min`)."""
_WORD = re.compile(r"[^\W\d_]+|[$€£¥¢]")


def other_unit(kind: Kind, unit: str, column: str) -> str:
    """Return the unit that a column's name tells where values in `unit` are not of it, empty where it tells no other.

    A part that the name does not tell, as the energy in `price_eur`, is not compared.
    """
    words = _WORD.findall(_CARBON_DIOXIDE.sub(" ", column.casefold()))
    named = [[part[word] for word in words if word in part] for part in _PARTS.get(kind.name, ())]
    for same in kind.units:
        parts = same.split("/")
        if kind.scale(same) == kind.scale(unit) and all(
            not told or part in told for part, told in zip(parts, named, strict=False)
        ):
            return ""
    return "/".join(told[0] for told in named if told)


def time_unit(column: str) -> tuple[str, float]:
    """Return what the name of a column of times says that numbers in it count, and its seconds; empty for seconds."""
    words = (found[found.lastindex or 0] for found in _TIME_UNIT.finditer(column.strip().casefold()))
    told = next((_TIME[word] for word in words if word in _TIME), "")
    return told, _SECONDS.get(told, 1.0)


def unusual_mean(kind: Kind, mean: float) -> str:
    """Return a sentence where the mean of a series, in the kind's own unit, looks like one of another unit."""
    least, most = _USUAL.get(kind.name, (mean, mean))
    if least <= mean <= most or mean == 0:
        return ""
    unit = f" {kind.shown_unit}" if kind.shown_unit else ""
    side, bound = ("below", least) if mean < least else ("above", most)
    return f"The mean of {mean:,.4g}{unit} lies {side} {bound:,.4g}, which looks like another unit."
