"""Units that a table's columns may be in, as `--map arrival_time=submitted@ms` names them.

A unit is kept as a multiplier and a divisor, both whole, so that 1,500 ms are exactly 1.5 s.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from scheduler_sim.engine.errors import InvalidTrace, unknown_name
from scheduler_sim.engine.workloads.workload import FloatArray

Scale = tuple[int, int]

TIME: dict[str, Scale] = {
    "ns": (1, 10**9),
    "us": (1, 10**6),
    "ms": (1, 10**3),
    "s": (1, 1),
    "min": (60, 1),
    "h": (3600, 1),
    "d": (86_400, 1),
}
"""Units of time, in seconds."""

MEMORY: dict[str, Scale] = {
    "B": (1, 1024**2),
    "KiB": (1, 1024),
    "MiB": (1, 1),
    "GiB": (1024, 1),
    "TiB": (1024**2, 1),
    "PiB": (1024**3, 1),
    "KB": (1, 1000),
    "MB": (1, 1),
    "GB": (1000, 1),
    "TB": (1000**2, 1),
    "PB": (1000**3, 1),
}
"""Units of memory, in MB; a MiB counts as a MB."""

COUNT: dict[str, Scale] = {"milli": (1, 1000), "percent": (1, 100)}
"""Parts of a core, of a GPU or of the whole."""

_ALIASES: dict[str, str] = {
    "nanosecond": "ns",
    "microsecond": "us",
    "µs": "us",
    "millisecond": "ms",
    "sec": "s",
    "second": "s",
    "minute": "min",
    "hr": "h",
    "hour": "h",
    "day": "d",
    "byte": "B",
    # Slurm writes one letter for powers of 1,024.
    "k": "KiB",
    "m": "MiB",
    "g": "GiB",
    "t": "TiB",
    "p": "PiB",
    "%": "percent",
}

_KINDS: dict[str, tuple[str, Mapping[str, Scale]]] = {
    "time": ("time", TIME),
    "memory": ("memory", MEMORY),
    "count": ("a count", COUNT),
}
KIND_OF_COLUMN: dict[str, str] = {
    **dict.fromkeys(
        (
            "arrival_time",
            "deadline_time",
            "recorded_start_time",
            "finish_time",
            "eligible_time",
            "cancel_time",
            "runtime",
            "duration_estimate",
            "predicted_duration",
            "resize_time",
            "think_time",
        ),
        "time",
    ),
    **dict.fromkeys(("memory_mb", "memory_mb_per_core", "memory_mb_per_node"), "memory"),
    **dict.fromkeys(("cpus", "gpus", "gpus_per_node", "compute_intensity"), "count"),
}
"""What the units of a workload's column measure; a column that is not here takes none."""

_QUANTITY = re.compile(r"(\d+\.?\d*|\.\d+)\s*([A-Za-zµ%]+)")


def unit_scale(column: str, unit: str) -> Scale:
    """Return multiplier and divisor from `unit` to the unit of a workload's column.

    Raises:
        InvalidTrace: the column takes no unit, or not this one; the sentence names those it takes.
    """
    kind = KIND_OF_COLUMN.get(column)
    if kind is None:
        raise InvalidTrace(f"{column} takes no unit, and so not {unit!r}.")
    found = _find(kind, unit)
    if found is None:
        title, known = _KINDS[kind]
        raise InvalidTrace(f"There is no unit of {title} called {unit!r} for {column}; known are {', '.join(known)}.")
    return found


def scaled(values: FloatArray, scale: Scale | None) -> FloatArray:
    """Turn numbers into the column's own unit."""
    if scale is None or scale == (1, 1):
        return values
    multiplier, divisor = scale
    with np.errstate(over="ignore"):
        return values * float(multiplier) / float(divisor)


def quantity(column: str, text: str) -> float | None:
    """Read a number that names its own unit, such as `16G` or `90 min`; None for any other text."""
    match = _QUANTITY.fullmatch(text)
    kind = KIND_OF_COLUMN.get(column)
    if match is None or kind is None:
        return None
    scale = _find(kind, match.group(2))
    return None if scale is None else float(match.group(1)) * scale[0] / scale[1]


@cache
def _find(kind: str, unit: str) -> Scale | None:
    known = {name.lower(): scale for name, scale in _KINDS[kind][1].items()}
    name = unit.strip().lower()
    # A plural (secs, hours), which `ms` is not.
    for spelling in (name, name.removesuffix("s")) if len(name) > 3 else (name,):
        for candidate in (spelling, _ALIASES.get(spelling, "").lower()):
            if candidate in known:
                return known[candidate]
    return None


def named_columns(mapping: Mapping[str, str] | None) -> set[str]:
    """Return the columns of a table that a mapping may name, `COLUMN@UNIT` taken either way."""
    given = (mapping or {}).values()
    return {*given, *(name.rpartition("@")[0].strip() for name in given)}


def split_unit(wanted: str, given: str, table: str, present: Sequence[str]) -> tuple[str, Scale | None]:
    """Return the column of a table that `COLUMN` or `COLUMN@UNIT` names, and the unit's scale.

    Raises:
        InvalidTrace: no such column, or a unit that the workload's column `wanted` does not take.
    """
    if given in present:
        return given, None
    column, at, unit = given.rpartition("@")
    if not at or column.strip() not in present:
        raise InvalidTrace(unknown_name(f"column of {table}", column.strip() if at else given, list(present)))
    return column.strip(), unit_scale(wanted, unit)
