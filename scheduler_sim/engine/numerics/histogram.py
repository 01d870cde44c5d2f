"""Histograms over fixed logarithmic bins: they merge by addition, and percentiles are read from the sum."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

BINS = 512
SMALLEST = 1e-3
LARGEST = 1e9
"""Bin 0 holds what lies below `SMALLEST` (zero above all), the last bin what lies above `LARGEST`."""

EDGES = np.geomspace(SMALLEST, LARGEST, BINS - 1)
"""Bin i holds the values from `EDGES[i - 1]` up to, but without, `EDGES[i]`."""


@dataclass(frozen=True, eq=False)
class LogHistogram:
    """Counts of values in 512 bins, each 5.6% wider than the one before.

    Attributes:
        counts: shape (512,), int64.
    """

    counts: IntArray

    @classmethod
    def of(cls, values: FloatArray) -> Self:
        """Count n values; those that are not known (NaN) are left out."""
        return cls.of_sorted(np.sort(values))

    @classmethod
    def of_sorted(cls, values: FloatArray) -> Self:
        """Count n values that ascend; those that are not known (NaN) come last, and are left out."""
        known = len(values) - int(np.isnan(values).sum())
        below = np.searchsorted(values[:known], EDGES, side="left")
        return cls(counts=np.diff(below, prepend=0, append=known).astype(np.int64))

    def __add__(self, other: "LogHistogram") -> "LogHistogram":
        return LogHistogram(counts=self.counts + other.counts)

    @property
    def total(self) -> int:
        """How many values were counted."""
        return int(self.counts.sum())

    def percentile(self, percent: float) -> float:
        """Return the value below which `percent` of the values lie, at most half a bin (2.8%) off; NaN when empty.

        Within a bin the values are taken to lie evenly on the logarithmic scale.
        """
        if self.total == 0:
            return float("nan")
        wanted = percent / 100 * self.total
        reached = np.cumsum(self.counts)
        bin_ = int(np.searchsorted(reached, wanted, side="left"))
        while self.counts[bin_] == 0:  # Percent 0 falls on leading empty bins.
            bin_ += 1
        if bin_ == 0:
            return 0.0
        if bin_ == BINS - 1:
            return LARGEST
        part = (wanted - (reached[bin_] - self.counts[bin_])) / self.counts[bin_]
        return float(EDGES[bin_ - 1] * (EDGES[bin_] / EDGES[bin_ - 1]) ** max(0.0, part))

    def as_json(self) -> dict[str, Any]:
        """Return the bins that hold something, as `from_json` takes them back."""
        held = np.flatnonzero(self.counts)
        return {"bins": held.tolist(), "counts": self.counts[held].tolist()}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Read what `as_json` made."""
        counts = np.zeros(BINS, np.int64)
        counts[np.asarray(document["bins"], np.int64)] = document["counts"]
        return cls(counts=counts)
