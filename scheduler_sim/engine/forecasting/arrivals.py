"""Tasks that may come later, drawn from those that came before.

Whole blocks of the past are played again, so that bursts stay bursts: the block bootstrap of Kuensch (Ann. Stat. 17(3),
1989). Where the past is longer than a few days, a block comes from the same time of another day.
"""

import numpy as np

from scheduler_sim.engine.workloads.columns import FloatArray, IntArray

LONGEST_BLOCK = 3600.0
LEAST_BLOCKS = 8
"""A block lasts an hour, less where the past is short: it then holds that many blocks."""

LONGEST_PAST = 28 * 86_400.0
"""What lies further back is not drawn from."""

DAYS = 3
"""With so many days of past, blocks keep their time of day."""

_DAY = 86_400.0


class Arrivals:
    """The submissions up to one instant, to draw later ones from."""

    def __init__(self, times: FloatArray, now: float) -> None:
        """Learn from submissions at n `times` on any clock, ascending, none after `now`."""
        self._now = now
        self._times = times
        first = float(times[0]) if len(times) else now
        self._past = min(now - first, LONGEST_PAST)
        self._block = min(LONGEST_BLOCK, self._past / LEAST_BLOCKS)

    def draw(self, generator: np.random.Generator, until: float) -> tuple[IntArray, FloatArray]:
        """Return which of the n tasks come again up to an instant, and when, in the order of these times."""
        rows, times = [], []
        begin = self._now
        while begin < until and self._block > 0.0:
            source = self._source(generator, begin)
            first, last = np.searchsorted(self._times, (source, min(source + self._block, self._now)))
            chosen = np.arange(first, last)
            again = self._times[chosen] - source + begin
            kept = again <= until
            rows.append(chosen[kept])
            times.append(again[kept])
            begin += self._block
        if not rows:
            return np.zeros(0, np.int64), np.zeros(0)
        return np.concatenate(rows).astype(np.int64), np.concatenate(times)

    def _source(self, generator: np.random.Generator, begin: float) -> float:
        """Return where in the past the block that is played again from `begin` on lies."""
        earliest, latest = self._now - self._past, self._now - self._block
        if self._past >= DAYS * _DAY:
            first = int(np.ceil((begin - latest) / _DAY))
            last = int(np.floor((begin - earliest) / _DAY))
            if first <= last:
                return begin - _DAY * float(generator.integers(max(first, 1), max(last, 1) + 1))
        return earliest + float(generator.random()) * (latest - earliest)
