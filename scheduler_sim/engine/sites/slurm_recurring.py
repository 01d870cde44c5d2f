"""Reservations of Slurm that come again, and flags of them by which more happens than is played.

Source: `_advance_resv_time` of slurmctld, src/slurmctld/reservation.c (22.05 to 26.05): a span that is over is followed
by one an hour, a day or a week later; of WEEKDAY and WEEKEND the day on which it is over says how many days later.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType

from scheduler_sim.engine.sites.reading import Place
from scheduler_sim.engine.units import SECONDS_PER_DAY, SECONDS_PER_HOUR

_SATURDAY, _SUNDAY = 5, 6

_GAPS: Mapping[str, float] = MappingProxyType(
    {"HOURLY": SECONDS_PER_HOUR, "DAILY": SECONDS_PER_DAY, "WEEKLY": 7 * SECONDS_PER_DAY}
)

_NOT_PLAYED: Mapping[str, str] = MappingProxyType(
    {
        "FLEX": "jobs that name it stay within its nodes and span here",
        "MAGNETIC": "jobs that do not name it do not come into it here",
        "PURGE_COMP": "it lasts until its end here, also without jobs",
        "REPLACE": "its nodes stay the same here",
        "REPLACE_DOWN": "its nodes stay the same here",
    }
)


def repeats(flags: Iterable[str], end: float) -> tuple[float, list[float]]:
    """Return by how much the first span is to be put off, and the seconds from each start to the next, in turn.

    A first span on a day on which it never comes again is one that is put off: it is not played.

    Args:
        end: of the first span, in seconds since 1970 as the cluster's clocks show them.
    """
    known = {flag.upper() for flag in flags}
    for flag, gap in _GAPS.items():
        if flag in known:
            return 0.0, [gap]
    if not known & {"WEEKDAY", "WEEKEND"}:
        return 0.0, []
    days = _weekday if "WEEKDAY" in known else _weekend
    seen: list[int] = []
    day = datetime.fromtimestamp(end, UTC).weekday()
    gaps: list[float] = []
    while day not in seen:
        seen.append(day)
        gaps.append(days(day) * SECONDS_PER_DAY)
        day = (day + days(day)) % 7
    before = seen.index(day)
    return sum(gaps[:before]), gaps[before:]


def floats(place: Place, name: str, flags: Iterable[str]) -> bool:
    """Tell whether a reservation stays ahead of what time it is, and say that it is left out."""
    if not any(flag.upper() == "TIME_FLOAT" for flag in flags):
        return False
    place.note(name, "floats ahead of what time it is, and never begins: left out")
    return True


def note_flags(place: Place, name: str, flags: Iterable[str]) -> None:
    """Say of a reservation which of its flags do less here than in Slurm."""
    for flag in flags:
        if reason := _NOT_PLAYED.get(flag.partition("=")[0].upper()):
            place.note(f"{name} Flags={flag}", reason)


def _weekday(day: int) -> int:
    return 3 if day == _SATURDAY - 1 else 2 if day == _SATURDAY else 1


def _weekend(day: int) -> int:
    return 6 if day == _SUNDAY else 1 if day == _SATURDAY else _SATURDAY - day
