"""Writing step series, and finding those that a run names."""

import re
import zlib
from base64 import b64decode, b64encode
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
from django.core.exceptions import ValidationError
from django.db import DataError, IntegrityError, transaction

from apps.tasks.errors import SeriesError
from apps.tasks.models import Series
from scheduler_sim.accounts import audit
from scheduler_sim.engine.series import SIGNALS, Signals, StepSeries, kind_named

if TYPE_CHECKING:
    # Every command that asks for options loads this, and reading files takes packages that it would wait for.
    from scheduler_sim.engine.series.reading import ReadSeries

MOST_NAMED = 8
MOST_VALUES = 1_000_000
_DIGESTED = ("kind", "unit", "signal", "is_dated", "begin", "end", "value_count")
_NAME = re.compile(r"[\w. -]+")


def series_store(*, read: "ReadSeries", name: str, origin: str = "") -> tuple[Series, bool]:
    """Store a series; return it, and False where the very same is stored already, under whatever name.

    Raises:
        SeriesError: a name that cannot be one, or that another series has.
    """
    _check_name(name)
    steps = read.steps
    values = np.stack((steps.times, steps.values)).astype("<f8").tobytes()
    described = Series(
        name=name,
        kind=read.kind.name,
        unit=read.kind.unit,
        signal=read.signal,
        is_dated=read.is_dated,
        begin=steps.begin,
        end=steps.end,
        value_count=len(steps.times),
        packed=zlib.compress(values),
        audit=read.audit,
        origin=origin[:255],
    )
    described.digest = _digest(described, values)
    return _save(described)


def _check_name(name: object) -> None:
    """Refuse what cannot be the name of a series.

    Raises:
        SeriesError: it cannot.
    """
    fits = isinstance(name, str) and _NAME.fullmatch(name) and name == name.strip() and len(name) <= Series.NAME_LENGTH
    if not fits:
        raise SeriesError(
            f"The name of a series is made of letters, digits, spaces and . _ - alone, at most {Series.NAME_LENGTH} of "
            f"them, not {str(name)[:120]!r}."
        )


def _save(described: Series, *, anew: str = "") -> tuple[Series, bool]:
    """Store a series that is ready, and False where it is stored already; nothing else is done while others wait.

    Args:
        anew: the name that it takes where another series has its own; empty: that is refused.

    Raises:
        SeriesError: the name is taken, or was taken at this moment, or the database does not take the series.
    """
    try:
        with transaction.atomic():
            same = Series.objects.filter(digest=described.digest).defer("packed").first()
            if same is not None:
                return same, False
            if Series.objects.filter(name=described.name).exists():
                if not anew:
                    raise SeriesError(
                        f"There is another series called {described.name!r} already; choose another name."
                    )
                described.name = anew
            described.save(force_insert=True)
            audit.record(audit.Action.CREATE, "series", described)
    except IntegrityError as error:
        raise SeriesError(f"Somebody else has stored series {described.name!r} at this moment; try again.") from error
    except DataError as error:
        raise SeriesError(f"The database does not take series {described.name!r}: {error}.") from error
    return described, True


def _digest(described: Series, values: bytes) -> str:
    told = [getattr(described, name) for name in _DIGESTED]
    return sha256(repr(told).encode() + values).hexdigest()


def series_document(one: Series) -> dict[str, Any]:
    """Return a series as JSON, from which `series_restore` stores it elsewhere."""
    told = {name: getattr(one, name) for name in ("name", *_DIGESTED, "digest", "audit", "origin")}
    return {**told, "packed": b64encode(one.packed).decode()}


def series_restore(document: dict[str, Any]) -> Series:
    """Store what `series_document` told of, where the very same is not stored yet; under another name if that is taken.

    Raises:
        SeriesError: it has no meaning, or is not what its digest says.
    """
    try:
        same = Series.objects.filter(digest=str(document["digest"])).defer("packed").first()
        if same is not None:
            return same
        _check_name(document["name"])
        values = _unpacked(b64decode(document["packed"], validate=True))
        times, numbers = np.frombuffer(values, "<f8").reshape(2, -1)
        steps = StepSeries(times, numbers, float(document["end"]))
        Signals({document["kind"]: steps})
        described = Series(
            **{name: document[name] for name in ("name", *_DIGESTED, "digest", "audit", "origin")},
            packed=zlib.compress(values),
        )
        # Makes each value what the database would give back, which is what the digest is of.
        described.clean_fields(exclude=("audit",))
        told = (described.begin, described.value_count, described.unit)
        matches = (
            described.digest == _digest(described, values)
            and told == (steps.begin, len(times), kind_named(described.kind).unit)
            and described.signal in ("", *SIGNALS)
            and isinstance(described.audit, dict)
        )
    except ValidationError as error:
        raise SeriesError(f"What is told of a series has no meaning: {' '.join(error.messages)}") from error
    except (KeyError, TypeError, ValueError, OverflowError, zlib.error) as error:
        raise SeriesError(f"What is told of a series has no meaning: {str(error).rstrip('.')}.") from error
    if not matches:
        raise SeriesError(f"Series {described.name!r} is not what its digest says.")
    return _save(described, anew=f"{described.name[: Series.NAME_LENGTH - 13]} {described.digest[:12]}")[0]


def _unpacked(packed: bytes) -> bytes:
    """Expand values, as many as a file may hold at most.

    Raises:
        ValueError: there are more.
    """
    expander = zlib.decompressobj()
    values = expander.decompress(packed, 16 * MOST_VALUES)
    if expander.unconsumed_tail or not expander.eof:
        raise ValueError("it is cut off, or holds more values than are read")
    return values


def series_named(text: str) -> list[Series]:
    """Return the stored series of a text with commas between their names.

    Raises:
        SeriesError: one that is not stored, two of a kind, or more than anybody needs.
    """
    names = [part.strip() for part in text.split(",") if part.strip()]
    if len(names) > MOST_NAMED:
        raise SeriesError(f"{len(names)} series are named, where one of each kind is the most.")
    found: dict[str, Series] = {}
    for name in names:
        one = Series.objects.referred(name)
        if one.kind in found:
            raise SeriesError(f"{found[one.kind]} and {one} are both series of {one.kind}; a run takes one of a kind.")
        found[one.kind] = one
    return list(found.values())


def series_references(text: str) -> str:
    """Return a text of names as one that says which series these are for all time, by their digests."""
    return ",".join(one.reference for one in series_named(text)) if text else text
