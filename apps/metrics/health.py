"""Whether the process is alive, and whether what it needs answers."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import Error as DatabaseFault
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from scheduler_sim.background.connections import redis_faults
from scheduler_sim.columnar.statements import answered

if TYPE_CHECKING:
    from redis import Redis

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 2.0
"""How long a part may take to answer before it counts as not answering."""

# A part that hangs must not hold up the answer, so each is asked in a thread that can be left waiting.
_askers = ThreadPoolExecutor(max_workers=4, thread_name_prefix="ready")


@require_safe
@never_cache
def health(request: HttpRequest) -> JsonResponse:  # noqa: ARG001
    """Answer 200 as long as the process can answer at all; nothing else is asked."""
    return JsonResponse({"status": "alive"})


@require_safe
@never_cache
def ready(request: HttpRequest) -> JsonResponse:  # noqa: ARG001
    """Say whether the database and Redis answer, and after how many milliseconds.

    503 when the database does not. Without Redis the site works on, so that is "degraded" and still 200.
    """
    started = time.perf_counter()
    database = _askers.submit(_timed, _ask_database)
    redis = _askers.submit(_timed, _ask_redis) if settings.REDIS_URL else None
    checks = {
        "database": {"engine": connection.vendor, **_outcome("database", database, started, (DatabaseFault, OSError))},
        "redis": ({"status": "not configured"} if redis is None else _outcome("redis", redis, started, redis_faults())),
    }
    if checks["database"]["status"] != "ok":
        status = "unavailable"
    elif checks["redis"]["status"] == "failing":
        status = "degraded"
    else:
        status = "ready"
    return JsonResponse({"status": status, "checks": checks}, status=503 if status == "unavailable" else 200)


def _timed(ask: Callable[[], None]) -> float:
    begin = time.perf_counter()
    ask()
    return round((time.perf_counter() - begin) * 1000, 2)


def _outcome(name: str, asked: "Future[float]", started: float, faults: tuple[type[Exception], ...]) -> dict[str, Any]:
    left = max(0.0, PATIENCE_SECONDS - (time.perf_counter() - started))
    try:
        return {"status": "ok", "latency_ms": asked.result(timeout=left)}
    except FutureTimeout:
        logger.error("The %s has not answered within %s s.", name, PATIENCE_SECONDS)
        return {"status": "failing", "detail": f"no answer within {PATIENCE_SECONDS:g} s"}
    except faults:
        # Who asks is not known, so the reason goes to the log and not into the answer.
        logger.exception("The %s does not answer.", name)
        return {"status": "failing", "detail": "no connection"}


def _ask_database() -> None:
    try:
        answered(connection, "SELECT 1")
    finally:
        # This thread's own connection: back to the pool, or closed.
        connection.close()


@lru_cache(maxsize=1)
def _redis() -> "Redis":
    from redis import Redis

    return Redis.from_url(settings.REDIS_URL, socket_connect_timeout=PATIENCE_SECONDS, socket_timeout=PATIENCE_SECONDS)


def _ask_redis() -> None:
    _redis().ping()
