"""What one process has seen for how long, by its own clock that never steps."""

import time
from collections.abc import Callable, Hashable


class Watch:
    """Remembers since when something has been seen without a break.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._now = clock
        self._since: dict[Hashable, float] = {}
        self._seen: set[Hashable] = set()

    def seen_for(self, what: Hashable) -> float:
        """Note that `what` is so at this look, and return for how many seconds it has been at every look."""
        now = self._now()
        self._seen.add(what)
        return now - self._since.setdefault(what, now)

    def end_of_look(self) -> None:
        """Forget what was not seen at this look."""
        self._since = {what: since for what, since in self._since.items() if what in self._seen}
        self._seen = set()
