"""Writing step series, and finding those that a run names."""

import re
import zlib
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np
from django.db import IntegrityError, transaction

from apps.tasks.errors import SeriesError
from apps.tasks.models import Series
from scheduler_sim.accounts import audit

if TYPE_CHECKING:
    # Every command that asks for options loads this, and reading files takes packages that it would wait for.
    from scheduler_sim.engine.series.reading import ReadSeries

MOST_NAMED = 8
_NAME = re.compile(r"[\w. -]+")


@transaction.atomic
def series_store(*, read: "ReadSeries", name: str, origin: str = "") -> tuple[Series, bool]:
    """Store a series; return it, and False where the very same is stored already, under whatever name.

    Raises:
        SeriesError: a name that cannot be one, or that another series has.
    """
    if not _NAME.fullmatch(name) or name != name.strip() or len(name) > Series.NAME_LENGTH:
        raise SeriesError(
            f"The name of a series is made of letters, digits, spaces and . _ - alone, at most {Series.NAME_LENGTH} of "
            f"them, not {name[:120]!r}."
        )
    values = np.stack((read.steps.times, read.steps.values)).astype("<f8").tobytes()
    told = f"{read.kind.name} {read.kind.unit} {read.signal} {read.is_dated} {read.steps.end!r} "
    digest = sha256(told.encode() + values).hexdigest()
    same = Series.objects.filter(digest=digest).first()
    if same is not None:
        return same, False
    if Series.objects.filter(name=name).exists():
        raise SeriesError(f"There is another series called {name!r} already; choose another name.")
    try:
        with transaction.atomic():
            stored = Series.objects.create(
                name=name,
                kind=read.kind.name,
                unit=read.kind.unit,
                signal=read.signal,
                is_dated=read.is_dated,
                begin=read.steps.begin,
                end=read.steps.end,
                value_count=len(read.steps.times),
                packed=zlib.compress(values),
                digest=digest,
                audit=read.audit,
                origin=origin[:255],
            )
    except IntegrityError as error:
        raise SeriesError(f"Somebody else has stored series {name!r} at this moment; try again.") from error
    audit.record(audit.Action.CREATE, "series", stored)
    return stored, True


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
