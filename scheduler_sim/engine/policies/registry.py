"""Where policies' parts are found by name."""

from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from scheduler_sim.engine.errors import InvalidPolicy, unknown_name


class Named(Protocol):
    """Anything that can be registered."""

    @property
    def name(self) -> str:
        """The name it is found by."""


Entry = TypeVar("Entry", bound=Named)
Function = TypeVar("Function", bound=Callable[..., object])


class Registry(Generic[Entry]):
    """Entries of one kind by name, in the order in which they were registered."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry] = {}

    def register(self, entry: Entry) -> Entry:
        """Add `entry` and return it; a name can be taken once."""
        if entry.name in self._entries:
            raise RuntimeError(f"The {self.kind} {entry.name} is registered twice.")
        self._entries[entry.name] = entry
        return entry

    def replace(self, entry: Entry) -> None:
        """Add `entry`, in place of one of the same name where there is one."""
        self._entries[entry.name] = entry

    def remove(self, name: str) -> None:
        """Take an entry out; errors as of looking it up."""
        del self._entries[self[name].name]

    def adding(self, make: Callable[[Function], Entry]) -> Callable[[Function], Function]:
        """Return a decorator that registers the entry which `make` makes of the decorated function."""

        def add(function: Function) -> Function:
            self.register(make(function))
            return function

        return add

    def __getitem__(self, name: str) -> Entry:
        """Return the entry called `name`.

        Raises:
            InvalidPolicy: there is none; the message lists the valid names and the nearest match.
        """
        try:
            return self._entries[name]
        except KeyError:
            raise InvalidPolicy(unknown_name(self.kind, name, list(self._entries))) from None

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def names(self) -> list[str]:
        """Return the registered names."""
        return list(self._entries)
