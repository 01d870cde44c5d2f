"""Answers kept until the data behind them changes: last results, leaderboard, comparative history.

Every key carries the generation of its scope, a counter in the database that is moved in the very transaction that
changes the data. So an old answer is never found again, whichever process wrote, whether the cache is Redis or the
memory of each process, and also when Redis was away while the data changed. Reading the counter is one look-up by
primary key; what is saved is the query and the serialising. And because what stands under a key never changes, each
process also keeps the answers asked last in its own memory, nearer than Redis.
"""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from django.conf import settings
from django.core.cache import cache, caches
from django.dispatch import receiver
from django.utils.http import quote_etag

from apps.metrics.models import CacheGeneration
from apps.metrics.prometheus import CACHE_REQUESTS
from apps.results.signals import rows_changed

KEPT_SECONDS = 3600
"""Answers of past generations are forgotten after this time; they cannot be found any more anyway."""

NEAR_BYTES = 2**18
"""The largest answer that a process keeps in its own memory; the settings say how many."""

_ALL = "all"


class Answer(NamedTuple):
    """A rendered answer, and the ETag that only another one has."""

    document: bytes
    etag: str


def remember(
    kind: str, compute: Callable[[], bytes], *, run_id: int | None = None, parameters: tuple[object, ...] = ()
) -> Answer:
    """Return the kept answer, or compute, keep and return it.

    When Redis is down every look there is a miss and the answer comes from the database (the settings make
    django-redis log that instead of raising).

    Args:
        kind: `latest`, `leaderboard`, `history` or another name; also the label of the hit counter.
        compute: makes the answer from the database.
        run_id: the run it tells of; without one it tells of all runs and is outdated by a change of any.
        parameters: what else the answer depends on.
    """
    scope = _ALL if run_id is None else _scope(run_id)
    key = ":".join(["answer", _release(), kind, scope, str(CacheGeneration.objects.of(scope)), *map(str, parameters)])
    near, outcome = caches["near"], "hit"
    document = near.get(key)
    if document is None:
        document = cache.get(key)
        if document is None:
            outcome = "miss"
            document = compute()
            cache.set(key, document, timeout=KEPT_SECONDS)
        if len(document) <= NEAR_BYTES:
            near.set(key, document, timeout=KEPT_SECONDS)
    CACHE_REQUESTS.labels(kind=kind, outcome=outcome).inc()
    return Answer(document, quote_etag(hashlib.sha256(key.encode()).hexdigest()[:32]))


@receiver(rows_changed)
def forget(*, run_id: int, **_others: object) -> None:
    """Make the answers about a run, and those about all runs, outdated."""
    # The scope of all runs comes last: its row is shared by every writer, and the lock on it lasts until the commit.
    CacheGeneration.objects.bump([_scope(run_id), _ALL])


def _scope(run_id: int) -> str:
    return f"run:{run_id}"


@lru_cache(maxsize=1)
def _release() -> str:
    """Return a digest of the code, so that a new release never finds answers in the form of the one before."""
    digest = hashlib.sha256()
    for path in sorted(Path(settings.BASE_DIR, "apps").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:8]
