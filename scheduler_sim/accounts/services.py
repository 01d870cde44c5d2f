"""Making and deleting API tokens, and letting old entries of the audit log go."""

import hashlib
import secrets
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from scheduler_sim.accounts import audit
from scheduler_sim.accounts.models import ApiToken, AuditEntry

KEY_BYTES = 20

MOST_TOKENS = 50
"""Tokens that one user may have."""


class TooManyTokens(Exception):
    """A user has as many tokens as may be."""


def digest_of(key: str) -> str:
    """Return what is stored of a key. A key is drawn at random, so it cannot be guessed from its plain hash."""
    return hashlib.sha256(key.encode()).hexdigest()


@transaction.atomic
def token_create(*, user: User, name: str, scope: str, expires_at: datetime | None = None) -> tuple[ApiToken, str]:
    """Store a new token and return it with its key, which cannot be had again.

    Args:
        expires_at: None for never.

    Raises:
        TooManyTokens: the user has `MOST_TOKENS`.
    """
    if user.api_tokens.count() >= MOST_TOKENS:
        raise TooManyTokens(f"{user.get_username()} has {MOST_TOKENS} tokens; delete one first.")
    key = secrets.token_hex(KEY_BYTES)
    token = ApiToken.objects.create(
        user=user, name=name, scope=scope, digest=digest_of(key), beginning=key[:6], expires_at=expires_at
    )
    audit.record(audit.Action.CREATE, "token", token, called=f"{token} of {user.get_username()}")
    return token, key


@transaction.atomic
def token_delete(*, token: ApiToken) -> None:
    """Delete a token: its key is refused from then on, and live connections opened with it are closed."""
    token.delete()


def audit_older_than(age: timedelta) -> QuerySet[AuditEntry]:
    """Return the entries of the audit log that are older."""
    return AuditEntry.objects.filter(happened_at__lt=timezone.now() - age)


def audit_delete(*, entries: QuerySet[AuditEntry]) -> int:
    """Delete entries of the audit log, record that, and return how many went."""
    with transaction.atomic():
        deleted = entries.delete()[0]
        audit.record(audit.Action.DELETE, "audit log", called=f"{deleted} entries")
    return deleted
