"""What the engine raises when it is given something it cannot simulate."""

import difflib
from collections.abc import Collection
from itertools import islice


class EngineError(ValueError):
    """A fault in the input, said in one plain sentence that can be shown to a person."""


class InvalidWorkload(EngineError):
    """A workload whose columns contradict each other or hold values that have no meaning."""


class InvalidTrace(EngineError):
    """A trace file that cannot be read, or that holds nothing usable."""


class LargerTrace(InvalidTrace):
    """A file that holds more bytes, unpacked, than are taken."""


class InvalidParameter(EngineError):
    """A generator's or an estimate model's parameter that is unknown or out of range."""


class InvalidCluster(EngineError):
    """A cluster description that is incomplete or contradictory."""


class InvalidPolicy(EngineError):
    """A policy text that names no registered order, backfill or placement."""


class OversizedTasks(EngineError):
    """Tasks that could never start on the cluster, even when it is empty.

    Attributes:
        count: how many tasks do not fit.
        task_ids: the first few of their numbers, for the message.
    """

    def __init__(self, message: str, *, count: int, task_ids: tuple[int, ...]) -> None:
        super().__init__(message)
        self.count = count
        self.task_ids = task_ids


class InvalidSite(InvalidCluster):
    """A value of a description that has no meaning.

    Attributes:
        path: where it stands, as `partitions[0].tier`.
    """

    def __init__(self, sentence: str, path: str) -> None:
        super().__init__(sentence)
        self.path = path


def unknown_name(kind: str, name: str, valid: list[str]) -> str:
    """Return the sentence that refuses `name`, with the nearest valid one and the whole list."""
    nearest = difflib.get_close_matches(name, valid, n=1)
    hint = f" Did you mean {nearest[0]}?" if nearest else ""
    return f"There is no {kind} called {name!r}.{hint} Valid names: {', '.join(valid)}."


def listed(names: Collection[str], most: int = 30) -> str:
    """Return names that a file gave itself for a sentence: so many of them, long ones cut."""
    shown = [name if len(name) <= 60 else f"{name[:60]}..." for name in islice(names, most)]
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return f"{', '.join(shown)}{more}"
