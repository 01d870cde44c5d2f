"""What several simulations of one workload have in common, worked out by the first that needs it."""

from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, TypeVar

T = TypeVar("T")


class Shared:
    """Values that nobody changes, by key, for as long as anybody plays.

    Simulations that share one play the same tasks on the same cluster with the same seed and options; policies may
    differ. Whoever asks for what another thread is working out waits for it.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._values: dict[Hashable, _Value] = {}

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the value of `key`, which `make` works out when it is asked for first; what it raises is not kept."""
        with self._lock:
            value = self._values.setdefault(key, _Value())
        with value.lock:
            if not value.is_made:
                value.made, value.is_made = make(), True
            made: T = value.made
        return made

    def once_of(self, name: Hashable, source: Any, make: Callable[[], T]) -> T:
        """Return what `make` works out of `source` alone, which is told by its identity and kept with the value."""
        made: T = self.once((name, id(source)), lambda: (source, make()))[1]
        return made


class _Value:
    def __init__(self) -> None:
        self.lock = Lock()
        self.is_made = False
        self.made: Any = None
