"""Answers kept until the data behind them changes: last results, leaderboard, run summaries, comparative history.

Every key carries the generation of its scope, a counter in the database that is moved in the very transaction that
changes the data. So an old answer is never found again, whichever process wrote, whether the cache is Redis or the
memory of each process, and also when Redis was away while the data changed. Reading the counter is one look-up by
primary key; what is saved is the query and the serialising.
"""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from django.conf import settings
from django.core.cache import cache
from django.dispatch import receiver

from apps.metrics.models import CacheGeneration
from apps.metrics.prometheus import CACHE_REQUESTS
from apps.results.signals import rows_changed

Answer = TypeVar("Answer")

KEPT_SECONDS = 3600
"""Answers of past generations are forgotten after this time; they cannot be found any more anyway."""

_ALL = "all"


def remember(
    kind: str, compute: Callable[[], Answer], *, run_id: int | None = None, parameters: tuple[object, ...] = ()
) -> Answer:
    """Return the kept answer, or compute, keep and return it.

    When Redis is down every look is a miss and the answer comes from the database (the settings make django-redis
    log that instead of raising).

    Args:
        kind: `latest`, `leaderboard`, `runs`, `history` or another name; also the label of the hit counter.
        compute: makes the answer from the database: plain lists, dicts, texts, bytes and numbers, never None.
        run_id: the run it tells of; without one it tells of all runs and is outdated by a change of any.
        parameters: what else the answer depends on.
    """
    scope = _ALL if run_id is None else _scope(run_id)
    key = ":".join(["answer", _release(), kind, scope, str(CacheGeneration.objects.of(scope)), *map(str, parameters)])
    answer: Any = cache.get(key)
    CACHE_REQUESTS.labels(kind=kind, outcome="miss" if answer is None else "hit").inc()
    if answer is None:
        answer = compute()
        cache.set(key, answer, timeout=KEPT_SECONDS)
    return answer


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
