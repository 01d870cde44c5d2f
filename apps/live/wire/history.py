"""What a race came to so far, in few points, for whoever comes late.

The runner keeps it and stores it beside its snapshots. It never holds more points than a chart shows: when it is full
every second one goes, and from then on they are taken half as often, so that a race of days is stored no more often
than its picture changes.
"""

import time
from typing import Any

from apps.live.models import RaceHistory
from apps.live.wire import messages

MOST_POINTS = 240
FIRST_INTERVAL = 0.5
"""Seconds between two points at first, by the clock on the wall."""


class History:
    """The points of one race, at most `MOST_POINTS`."""

    def __init__(self) -> None:
        self._interval = FIRST_INTERVAL
        self._taken_at = float("-inf")
        self._points: list[tuple[float, list[messages.PolicyProgress]]] = []

    def take(self, snapshot: messages.Snapshot, *, now: float | None = None) -> bool:
        """Take a snapshot as a point if it is time for one; tell whether it was taken.

        Args:
            now: seconds of any clock that only goes forward; by default the process' own.
        """
        now = time.monotonic() if now is None else now
        clock_time = snapshot["clock_time"]
        if clock_time is None or now - self._taken_at < self._interval:
            return False
        if self._points and clock_time <= self._points[-1][0]:
            return False
        if len(self._points) == MOST_POINTS:
            del self._points[1::2]
            self._interval *= 2
        self._taken_at = now
        self._points.append((clock_time, snapshot["policies"]))
        return True

    def document(self) -> dict[str, Any]:
        """Return what is stored: the clock at each point, and each policy's figures there, to six digits."""
        policies = self._points[0][1] if self._points else []
        return {
            "clock_time": [clock_time for clock_time, _ in self._points],
            "policies": [
                {"scheduler": one["scheduler"]}
                | {name: [_short(point[number][name]) for _, point in self._points] for name in messages.HISTORY}
                for number, one in enumerate(policies)
            ],
        }


def read_history(run_id: int) -> messages.HistoryMessage | None:
    """Return the message that tells what a race came to so far, None where nothing of it is stored."""
    stored = RaceHistory.objects.filter(run=run_id).values_list("points", flat=True).first()
    return messages.history(run_id, stored) if stored else None


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
