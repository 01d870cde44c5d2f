"""Where rate limits are counted: in Redis, with one question a request."""

from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django_redis.cache import RedisCache, omit_exception
from django_redis.exceptions import ConnectionInterrupted
from redis import RedisError

# A counter lives as long as its window of time, from the moment it begins.
_COUNT = """
local count = redis.call('INCRBY', KEYS[1], ARGV[1])
if count == tonumber(ARGV[1]) then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
return count
"""


class CountersCache(RedisCache):
    """Counters as django-ratelimit uses them: it adds one, and where there is one already asks it for one more.

    Nearly always there is one already, and each question costs a request as much as all of a probe. So `add` here
    counts in either case, and `incr`, which django-ratelimit calls right behind it, returns what the count came to.
    Django gives each thread a cache of its own, so no other request comes between the two.
    """

    _count: int | None = None

    @omit_exception
    def add(self, key: str, value: int, timeout: int = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Count `value` more, and return whether the counter is new; None when Redis is away."""
        self._count = None
        client = self.client.get_client()
        try:
            self._count = client.eval(_COUNT, 1, self.make_key(key, version), value, timeout)
        except RedisError as error:
            raise ConnectionInterrupted(connection=client) from error
        return self._count == value

    def incr(self, *_args: Any, **_options: Any) -> int | None:
        """Return what the counter came to when it was added; None when Redis is away."""
        return self._count
