"""Writing sites."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import IntegrityError, transaction

from apps.tasks.errors import SiteError
from apps.tasks.models import Site
from scheduler_sim.accounts import audit
from scheduler_sim.columnar.digests import json_digest
from scheduler_sim.engine import sites
from scheduler_sim.engine.storable import unstorable

RESERVED_NAMES = frozenset(("compare", "edit", "upload"))
"""Last parts of the addresses of pages of sites."""


def site_name_check(name: str) -> None:
    """Check what a site is to be called.

    Raises:
        SiteError: too long, not printable, or the address of another page.
    """
    if len(name) > Site.NAME_LENGTH:
        raise SiteError(f"The name of a site has at most {Site.NAME_LENGTH} characters, not {len(name)}.")
    if not name.isprintable() or not name.strip():
        raise SiteError("The name of a site needs characters that can be read, and no others.")
    if name.strip("/").rpartition("/")[2] in RESERVED_NAMES:
        raise SiteError(f"A site cannot be called {name}: that is the address of another page.")


def texts_check(description: Mapping[str, Any]) -> None:
    """Check that the texts of a description can be stored and shown.

    Raises:
        SiteError: NUL or half of a surrogate pair in one of them.
    """
    if unstorable(description):
        raise SiteError("The site holds a character that cannot be stored: NUL, or half of a surrogate pair.")


@transaction.atomic
def site_delete(*, site: Site) -> None:
    """Delete a version that no run was played on.

    Raises:
        SiteError: runs were played on it; the sentence counts them and names the newest.
    """
    runs = site.runs.order_by("-pk")
    if (newest := runs.first()) is not None:
        others = runs.count() - 1
        more = f" and {others:,} others" if others > 1 else " and one other" if others else ""
        raise SiteError(f"{site} cannot be deleted: run {newest.name}{more} was played on it. Delete the runs first.")
    audit.record(audit.Action.DELETE, "site", site, called=str(site))
    site.delete()


@transaction.atomic
def site_store(
    *, site: sites.Site, notes: Iterable[sites.Note] = (), origin: str = "", name: str = ""
) -> tuple[Site, bool]:
    """Store a site as the next version of its name; return it, and False where the newest version is the same already.

    Args:
        notes: what of its files has no effect.
        origin: the files it was read from.
        name: to store it under; its own when empty.

    Raises:
        SiteError: a name that cannot be one, a text that no database can hold, or somebody else stores a version at
            this very moment.
    """
    name = name or site.name
    site_name_check(name)
    description = {**site.as_json(), "name": name}
    texts_check(description)
    digest = json_digest(description)
    newest = Site.objects.select_for_update().newest(name)
    if newest is not None and newest.digest == digest:
        return newest, False
    try:
        with transaction.atomic():
            stored = Site.objects.create(
                name=name,
                version=newest.version + 1 if newest is not None else 1,
                description=description,
                digest=digest,
                notes=[vars(note) for note in notes],
                origin=origin[:255],
            )
    except IntegrityError as error:
        raise SiteError(f"Somebody else has stored site {name} at this moment; try again.") from error
    audit.record(audit.Action.CREATE, "site", stored, called=str(stored))
    return stored, True
