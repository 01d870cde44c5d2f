"""What has to be played again for one instant: in a thread of its own, for which a request waits a while at the most.

Kernels hold no lock of the interpreter, so that other requests go on; the first of a process may have to be compiled.
"""

import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, TypeVar

from cachetools import LRUCache

from scheduler_sim import engine
from scheduler_sim.engine.instant import NotExplained

Found = TypeVar("Found")

WAIT_SECONDS = 10.0
"""So long a request waits in all for what is played for it."""

LEAST_SECONDS = 0.05
"""So long it waits for what may be there already, once that is used up."""

KEPT = 8
"""So many runs on sites are kept as far as they were played again, by policy, and so many plans; what was asked for
longest ago goes."""

STILL_PLAYED = "What was decided here is found by playing again, which is still under way; look again in a moment."


class Patience:
    """How long is waited for what is played.

    Args:
        seconds: in all; None for as long as it takes.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds

    def wait(self, work: Callable[[], Found], key: tuple[Any, ...] | None = None) -> Found:
        """Return what `work` returns, which must read nothing from the database.

        Args:
            key: work of the same key is done once, and what it returned is kept a while; None: it is done anew.

        Raises:
            NotExplained: it is not done in time, but goes on.
        """
        began, asked = time.monotonic(), _player.submit(work) if key is None else _begun(key, work)
        try:
            return asked.result(None if self._seconds is None else max(self._seconds, LEAST_SECONDS))
        except (TimeoutError, CancelledError):
            # What has not begun is not wanted any more; another request may have found that before.
            asked.cancel()
            raise NotExplained(STILL_PLAYED) from None
        finally:
            if self._seconds is not None:
                self._seconds -= time.monotonic() - began


@dataclass
class Replay:
    """A run that is played again; `until` is called by the playing thread alone."""

    begin: Callable[[], engine.Simulation]
    _playing: engine.Simulation | None = field(default=None, init=False)

    def until(self, instant: float) -> engine.Simulation:
        """Return the run, played up to some instant that is not behind this one."""
        if self._playing is None or self._playing.clock > instant:
            self._playing = self.begin()
        return self._playing


def replay(key: tuple[Any, ...], make: Callable[[], Replay]) -> Replay:
    """Return what is kept of a run and a policy, and otherwise what `make` returns."""
    with _lock:
        found = _kept.get(key)
    if found is None:
        made = make()
        with _lock:
            found = _kept.setdefault(key, made)
    return found


def _begun(key: tuple[Any, ...], work: Callable[[], Any]) -> "Future[Any]":
    """Return the work of that key that goes on or has come to its end, and otherwise begin it."""
    with _lock:
        found = _plans.get(key)
        if found is None or found.cancelled() or (found.done() and found.exception() is not None):
            found = _plans[key] = _player.submit(work)
        return found


_player = ThreadPoolExecutor(1, thread_name_prefix="instants")
_kept: LRUCache[tuple[Any, ...], Replay] = LRUCache(KEPT)
_plans: "LRUCache[tuple[Any, ...], Future[Any]]" = LRUCache(KEPT)
_lock = Lock()
