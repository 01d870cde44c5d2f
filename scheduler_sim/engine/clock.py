"""Durations and datetimes as people and programs write them."""

import datetime as dt
import re
import zoneinfo

from scheduler_sim.engine.errors import InvalidParameter

_SLURM = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+(?:\.\d*)?))?")
_MINUTES = re.compile(r"(\d+):(\d\d(?:\.\d*)?)")
_DAYS = re.compile(r"(\d+) days?(?:,? \+?(\d+):(\d\d):(\d\d(?:\.\d*)?))?")
_ISO = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
_SLASHES = re.compile(r"(\d{4})/(\d\d?)/(\d\d?)(.*)")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_NAIVE_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001  (compared with texts that name no zone)


def clock_seconds(text: str) -> float | None:
    """Read a duration: `D-HH:MM:SS`, `D-HH:MM`, `D-HH`, `HH:MM:SS`, `MM:SS`, `N days HH:MM:SS` or ISO 8601.

    Seconds may have a fraction. A text of another form, and one whose minutes or seconds exceed 59 behind a
    larger part, is None. Two parts are minutes and seconds, as Slurm reads them.
    """
    if match := _MINUTES.fullmatch(text):
        return _sum(0, 0, *match.groups())
    if (match := _SLURM.fullmatch(text)) and (match.group(1) or match.group(4)):
        return _sum(*match.groups())
    if match := _DAYS.fullmatch(text):
        return _sum(*match.groups())
    if (match := _ISO.fullmatch(text)) and any(match.groups()):
        days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
        return days * 86_400 + hours * 3600 + minutes * 60 + seconds
    return None


def has_two_parts(text: str) -> bool:
    """Tell `02:03`, which another reader may take for hours and minutes."""
    return _MINUTES.fullmatch(text) is not None


def microseconds(text: str) -> tuple[float, bool] | None:
    """Read a datetime as microseconds since 1970, and whether it names its zone; None for another text.

    ISO 8601 in all its forms, with slashes for the hyphens, or with UTC, GMT or Z behind it. Without a zone it is
    taken as UTC.
    """
    if text.endswith((" UTC", " GMT")):
        text = text[:-4] + "+00:00"
    if "/" in text and (match := _SLASHES.fullmatch(text)):
        year, month, day, rest = match.groups()
        text = f"{year}-{month:0>2}-{day:0>2}{rest}"
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    zoned = moment.tzinfo is not None
    since = moment - (_EPOCH if zoned else _NAIVE_EPOCH)
    return (since.days * 86_400 + since.seconds) * 1e6 + since.microseconds, zoned


class LocalClock:
    """What the clocks of a zone show.

    Raises:
        InvalidParameter: a zone that there is not.
    """

    def __init__(self, zone: str) -> None:
        try:
            self.zone = zoneinfo.ZoneInfo(zone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise InvalidParameter(f"{zone!r} is no time zone that is known here, as Europe/Amsterdam is.") from None

    def __str__(self) -> str:
        return str(self.zone)

    def seconds(self, shown: float, *, again: bool = False) -> float | None:
        """Return the seconds since 1970 at which clocks show a time, given as if it were UTC; None if they skip it.

        Args:
            again: of one that they show twice, the second time.

        Raises:
            OverflowError: it is outside the years 1 to 9999, in the zone or in UTC.
        """
        local = _NAIVE_EPOCH + dt.timedelta(seconds=shown)
        moment = local.replace(tzinfo=self.zone, fold=int(again)).astimezone(dt.UTC)
        is_shown = moment.astimezone(self.zone).replace(tzinfo=None, fold=0) == local
        return (moment - _EPOCH).total_seconds() if is_shown else None


def _sum(days: str | int | None, hours: str | int | None, minutes: str | None, seconds: str | None) -> float | None:
    rest = (float(minutes or 0), float(seconds or 0))
    if ((hours or days) and max(rest) >= 60) or rest[1] >= 60:
        return None
    return float(days or 0) * 86_400 + float(hours or 0) * 3600 + rest[0] * 60 + rest[1]
