"""How one policy's schedule looks beside its averages: waits by task size, and the fractions it chose."""

from typing import Any

import numpy as np

from scheduler_sim.engine.contract import Outcome
from scheduler_sim.engine.workloads.workload import BoolArray, Workload

SIZE_BINS_PER_DECADE = 4
FRACTION_BINS = 20
"""Equal bins over 0 to 1; the last one holds 1 itself."""


def wait_by_size(workload: Workload, outcome: Outcome, scored: BoolArray | None = None) -> list[dict[str, Any]]:
    """Return the mean wait of finished tasks by size, in bins of a quarter of a decade.

    The run time is the size of a task whose size is not known; tasks of size 0 have no logarithm and are left out.

    Returns:
        for each bin that holds a task: `from` and `to` (the workload's unit of size), `count`, `mean_wait_time`.
    """
    every_size = np.where(np.isnan(workload.size), workload.runtime, workload.size)
    chosen = ~np.isnan(outcome.finish_time) & (every_size > 0)
    if scored is not None:
        chosen &= scored
    size = every_size[chosen]
    wait = outcome.start_time[chosen] - outcome.ready_time[chosen]
    bins, bin_ = np.unique(np.floor(np.log10(size) * SIZE_BINS_PER_DECADE).astype(np.int64), return_inverse=True)
    count = np.bincount(bin_, minlength=len(bins))
    total = np.bincount(bin_, weights=wait, minlength=len(bins))
    return [
        {
            "from": float(10.0 ** (number / SIZE_BINS_PER_DECADE)),
            "to": float(10.0 ** ((number + 1) / SIZE_BINS_PER_DECADE)),
            "count": int(held),
            "mean_wait_time": float(waited / held),
        }
        for number, held, waited in zip(bins.tolist(), count.tolist(), total.tolist(), strict=True)
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
