"""Where rate limits are counted: in Redis, with one question a request; in each process while Redis is away."""

import logging
from time import monotonic
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.locmem import LocMemCache
from django_redis.cache import RedisCache
from django_redis.exceptions import ConnectionInterrupted
from redis import RedisError

logger = logging.getLogger(__name__)

COUNTERS_KEPT = 100_000
"""Counters that one process keeps in its memory: so many clients cannot push each other's out within a window."""

ASK_AGAIN_SECONDS = 5.0
"""How long Redis is left alone after it has not answered: each question could take as long as its timeout."""

# A counter lives as long as its window of time, from the moment it begins.
_COUNT = """
local count = redis.call('INCRBY', KEYS[1], ARGV[1])
if count == tonumber(ARGV[1]) then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
return count
"""


_COUNT_LESS = """
if redis.call('EXISTS', KEYS[1]) == 1 then return redis.call('DECRBY', KEYS[1], ARGV[1]) end
return 0
"""


class CountersCache(RedisCache):
    """Counters as django-ratelimit uses them: it adds one, and where there is one already asks it for one more.

    Nearly always there is one already, and each question costs a request as much as all of a probe. So `add` here
    counts in either case, and `incr`, which django-ratelimit calls right behind it, returns what the count came to.
    Django gives each thread a cache of its own, so no other request comes between the two.

    A limit holds without Redis, too: the process then counts alone, so that the limits of several processes add up.
    """

    _count: int | None = None
    _away_until = 0.0

    def add(self, key: str, value: int, timeout: int = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Count `value` more, and return whether the counter is new."""
        full_key = self.make_key(key, version)
        count = self._asked(_COUNT, full_key, value, timeout)
        self._count = _count_here(str(full_key), value, timeout) if count is None else count
        return self._count == value

    def incr(self, *_args: Any, **_options: Any) -> int | None:
        """Return what the counter came to when it was added."""
        return self._count

    def decr(self, key: str, delta: int = 1, version: int | None = None) -> int:
        """Count `delta` less, and return what that comes to; 0 where Redis has no such counter.

        Raises:
            ValueError: this process counts alone, and has no such counter.
        """
        full_key = self.make_key(key, version)
        count = self._asked(_COUNT_LESS, full_key, delta)
        return _here.decr(str(full_key), delta) if count is None else count

    def _asked(self, script: str, *arguments: Any) -> int | None:
        """Return what Redis answers to a script about one key, None while it is away."""
        if monotonic() < CountersCache._away_until:
            return None
        try:
            count: int = self.client.get_client().eval(script, 1, *arguments)
        except (RedisError, ConnectionInterrupted, OSError) as error:
            CountersCache._away_until = monotonic() + ASK_AGAIN_SECONDS
            logger.error("Redis does not answer, so each process counts requests on its own: %s", error)
            return None
        return count

    def clear(self) -> None:
        """Forget every counter, this process's own among them, and that Redis did not answer."""
        _here.clear()
        CountersCache._away_until = 0.0
        super().clear()


_here = LocMemCache("limits of this process", {"OPTIONS": {"MAX_ENTRIES": COUNTERS_KEPT}})


def _count_here(key: str, value: int, timeout: int) -> int:
    while not _here.add(key, value, timeout):
        try:
            return _here.incr(key, value)
        except ValueError:
            # Its window ended between the two.
            continue
    return value
