"""The log of who did what: the one place that writes it.

Services call `record` where the deed is done, in its transaction where it has one, so that what cannot be recorded is
not done. Who it is, is known from the request under way (`middleware.audited`, `acting`); where there is none it is a
command, and whoever the operating system says runs it.
"""

import contextlib
import os
import pwd
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models import Model
from django.db.models.signals import post_delete
from django.http import HttpRequest

from scheduler_sim import logs
from scheduler_sim.accounts.models import AuditEntry
from scheduler_sim.columnar.turnstile import first_in_line
from scheduler_sim.texts import storable

Action = AuditEntry.Action

_request: ContextVar[HttpRequest | None] = ContextVar("audited_request", default=None)
_is_part: ContextVar[bool] = ContextVar("part_of_an_audited_action", default=False)


@contextlib.contextmanager
def acting(request: HttpRequest) -> Iterator[None]:
    """Let what is recorded in the block be done by the user and the token of `request`."""
    before = _request.set(request)
    try:
        yield
    finally:
        _request.reset(before)


@contextlib.contextmanager
def parts() -> Iterator[None]:
    """Record nothing in the block: what is done there is part of something that is recorded itself."""
    before = _is_part.set(True)
    try:
        yield
    finally:
        _is_part.reset(before)


def record(action: str, kind: str = "", subject: Model | None = None, *, called: str = "", **who: Any) -> None:
    """Write down that somebody did something.

    Args:
        kind: of what it was done to, such as `run`.
        subject: its row.
        called: its name; the row's own when left out.
        who: columns of the entry that are known better than from the request.
    """
    if _is_part.get():
        return
    called = called or str(getattr(subject, "name", ""))
    entry = AuditEntry(
        action=action,
        kind=kind,
        subject_id=None if subject is None else subject.pk,
        subject=storable(called)[:255],
        request_id=logs.request_id.get(),
        **{**_who(), **who},
    )
    entry.name = storable(entry.name)[:150]
    # A transaction that is under way has the database already, and must not wait for whoever waits for that.
    with contextlib.nullcontext() if connection.in_atomic_block else first_in_line():
        entry.save(force_insert=True)


def record_deletions(model: type[Model], kind: str) -> None:
    """Record from now on whenever a row of `model` is deleted, wherever that is done."""

    def deleted(instance: Model, origin: Any = None, **_: Any) -> None:
        # With users may go whoever deletes them, together with tokens; an entry cannot point to a row that is gone.
        users_go = issubclass(getattr(origin, "model", type(origin)), get_user_model())
        gone = {"user_id": None} if users_go else {}
        record(Action.DELETE, kind, instance, called=str(getattr(instance, "name", instance)), **gone)

    post_delete.connect(deleted, sender=model, weak=False, dispatch_uid=f"audit of {kind}")


def _who() -> dict[str, Any]:
    request = _request.get()
    if request is None:
        return {"source": AuditEntry.Source.COMMAND, "name": _account()}
    user: Any = getattr(request, "user", None)
    is_known = bool(user) and user.is_authenticated
    return {
        "source": AuditEntry.Source.SITE,
        "user_id": user.pk if is_known else None,
        "name": user.get_username() if is_known else "",
        "token": getattr(getattr(request, "auth", None), "name", ""),
        "address": str(request.META.get("REMOTE_ADDR") or "")[:45],
    }


def _account() -> str:
    """Return the name of the account that runs this process; variables of the environment may say anything."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
