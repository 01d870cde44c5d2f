"""How one policy's schedule looks beside its averages: waits by task size, and the fractions it chose."""

from typing import Any

import numpy as np

from scheduler_sim.engine.contract import Outcome
from scheduler_sim.engine.workloads.workload import BoolArray, FloatArray, IntArray, Workload

SIZE_BINS_PER_DECADE = 4
NO_BIN = np.iinfo(np.int64).min
"""Stands for the bin of a size that has no finite logarithm."""
FRACTION_BINS = 20
"""Equal bins over 0 to 1; the last one holds 1 itself."""


def size_bins(workload: Workload) -> IntArray:
    """Return the bin of each task's size, a quarter of a decade each, shape (n,); `NO_BIN` for a size without one.

    The run time is the size of a task whose size is not known; sizes of 0 and without end have no bin.
    """
    size = np.where(np.isnan(workload.size), workload.runtime, workload.size)
    bins = np.full(len(size), NO_BIN)
    sized = np.isfinite(size) & (size > 0)
    bins[sized] = np.floor(np.log10(size[sized]) * SIZE_BINS_PER_DECADE)
    return bins


def wait_by_size(wait: FloatArray, bins: IntArray) -> list[dict[str, Any]]:
    """Return the mean wait of tasks by size.

    Args:
        wait: shape (m,), of finished tasks, seconds. bins: shape (m,), of each (see `size_bins`).

    Returns:
        for each bin that holds a task: `from` and `to` (the workload's unit of size), `count`, `mean_wait_time`.
    """
    sized = bins != NO_BIN
    if not sized.all():
        wait, bins = wait[sized], bins[sized]
    if not len(bins):
        return []
    lowest = int(bins.min())
    count = np.bincount(bins - lowest)
    total = np.bincount(bins - lowest, weights=wait)
    return [
        {
            "from": float(10.0 ** ((lowest + place) / SIZE_BINS_PER_DECADE)),
            "to": float(10.0 ** ((lowest + place + 1) / SIZE_BINS_PER_DECADE)),
            "count": int(count[place]),
            "mean_wait_time": float(total[place] / count[place]),
        }
        for place in np.flatnonzero(count).tolist()
    ]


def fraction_counts(workload: Workload, outcome: Outcome, scored: BoolArray | None = None) -> list[int]:
    """Return how many finished split tasks fall in each of 20 bins of gpu_fraction; empty when there is none."""
    chosen = ~np.isnan(outcome.finish_time) & workload.hybrid
    if scored is not None:
        chosen &= scored
    if not chosen.any():
        return []
    bins = np.minimum((outcome.gpu_fraction[chosen] * FRACTION_BINS + 1e-9).astype(np.int64), FRACTION_BINS - 1)
    counts: list[int] = np.bincount(bins, minlength=FRACTION_BINS).tolist()
    return counts
