"""What the database's connections see, and whether PostgreSQL lets in as many as this machine's processes may need."""

import logging
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core import checks
from django.db import DatabaseError, connection

from scheduler_sim.columnar.statements import answered
from scheduler_sim.engine.crew import cores

logger = logging.getLogger(__name__)

OF_A_RUN = 6
"""A run reads, stores over two connections, publishes, keeps its lock and sweeps."""


def needed() -> int:
    """Return how many connections one server process, its jobs and the workers of one study may have open."""
    pool: dict[str, Any] = settings.DATABASES["default"].get("OPTIONS", {}).get("pool") or {}
    of_server = int(pool.get("max_size", settings.DATABASE_POOL_SIZE))
    return of_server + OF_A_RUN * (settings.JOB_PROCESSES + cores())


def too_few() -> str:
    """Return a sentence when PostgreSQL's limit is lower than what may be needed, empty when all is well.

    Raises:
        django.db.DatabaseError: the database does not answer.
    """
    if connection.vendor != "postgresql":
        return ""
    allowed: int = answered(
        connection,
        "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int",
    )
    if allowed >= needed():
        return ""
    return (
        f"PostgreSQL lets in {allowed} connections, and this server with its {settings.JOB_PROCESSES} jobs and the "
        f"workers of a study may need {needed()}: raise max_connections, or lower JOB_PROCESSES or DATABASE_POOL_SIZE."
    )


def warn_of_too_few() -> None:
    """Say at the start of a server what would otherwise be found out when it is busy."""
    try:
        if sentence := too_few():
            logger.warning(sentence)
    except DatabaseError as error:
        logger.warning("The limit of connections could not be asked for: %s", error)
    finally:
        connection.close()


@checks.register(checks.Tags.database)
def check_connections(databases: Sequence[str] | None = None, **_others: Any) -> list[checks.Warning]:
    """Warn in `manage.py check --database default`, and whenever the database is migrated."""
    if not databases:
        return []
    sentence = too_few()
    return [checks.Warning(sentence, id="background.W001")] if sentence else []


def redis_faults() -> tuple[type[Exception], ...]:
    """Return what is raised where Redis cannot be reached; for the `except` of a `try`, which asks only then.

    Its client takes a tenth of a second to import, which those without Redis need not wait for.
    """
    from redis.exceptions import RedisError

    return RedisError, OSError, TimeoutError
