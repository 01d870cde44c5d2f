"""Instants one after another, as the page plays them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from apps.dashboard.instants.asked import Asked
from apps.dashboard.instants.panel import Clock, Panel, panel
from apps.live.instants.instant import MOST_READ, InstantReader

MOST_FRAMES = 12
"""At most so many instants are in one document."""


@dataclass(frozen=True)
class Frame:
    """An instant under each policy that is looked at.

    Attributes:
        time: seconds; clock: the same as the page writes it.
        previous_time, next_time: the nearest events under any of the policies, None where there is none.
    """

    time: float
    clock: str
    panels: list[Panel]
    previous_time: float | None
    next_time: float | None

    def as_json(self) -> dict[str, Any]:
        """Return what the browser shows it from."""
        return {**vars(self), "panels": [one.as_json() for one in self.panels]}


def frames(
    asked: Asked, readers: list[InstantReader], clock: Clock, *, step: float = 0.0, most: int = 1, until: float = 0.0
) -> Iterator[Frame]:
    """Yield at most `most` instants from the one that is asked for on; fewer once `MOST_READ` tasks were read.

    Args:
        readers: of the policies that are asked for.
        step: seconds between two; 0 for one instant after another at which something happens under any policy.
        until: no step goes beyond; the last lies there.

    Raises:
        InvalidField, RunStateError, EngineError: as `run_instant` does.
    """
    time = asked.time
    for _ in range(most):
        panels = [panel(reader.at(time), asked, clock) for reader in readers]
        before = [one.previous_time for one in panels if one.previous_time is not None]
        after = [one.next_time for one in panels if one.next_time is not None]
        found = Frame(time, clock(time), panels, max(before, default=None), min(after, default=None))
        yield found
        following = min(time + step, until) if step > 0 else found.next_time
        if following is None or following <= time or sum(reader.tasks_read for reader in readers) > MOST_READ:
            return
        time = following
