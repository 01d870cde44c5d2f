"""Tasks that can never start on a site: found before anything runs, with the reason, then refused or left out."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from scheduler_sim.engine.errors import InvalidParameter, OversizedTasks
from scheduler_sim.engine.kernels.site.asks import asks
from scheduler_sim.engine.kernels.site.hopeless import never_reasons
from scheduler_sim.engine.kernels.site.reasons import WORDS
from scheduler_sim.engine.sites import Site
from scheduler_sim.engine.workloads.workload import IntArray, Workload

NAMED = 5
"""Of the tasks that can never start so many are named."""


@dataclass(frozen=True, eq=False)
class NeverStarting:
    """The tasks of a workload that can never start on a site, shape (k,) each.

    Attributes:
        rows: of the workload, ascending. task_id: their numbers.
        reasons: why each waits for ever, in Slurm's words.
    """

    rows: IntArray
    task_id: IntArray
    reasons: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def words(self) -> str:
        """How many there are of each reason, and which tasks come first, as the end of a sentence."""
        counted = ", ".join(f"{reason} {count:,}" for reason, count in Counter(self.reasons).most_common())
        first = ", ".join(
            f"task {number} ({reason})"
            for number, reason in zip(self.task_id[:NAMED].tolist(), self.reasons[:NAMED], strict=True)
        )
        return f"by reason: {counted}; the first: {first}"


def never_starts(workload: Workload, site: Site) -> NeverStarting:
    """Return the tasks that could not start even on the empty site, whoever else is there.

    Raises:
        InvalidWorkload: tasks that are not played on sites.
    """
    reason = never_reasons(workload, site, asks(workload, site))
    rows = np.flatnonzero(reason)
    return NeverStarting(rows, workload.task_id[rows], tuple(WORDS[code] for code in reason[rows].tolist()))


def fit_to_site(workload: Workload, site: Site, *, on_oversize: str) -> tuple[Workload, IntArray, NeverStarting]:
    """Return tasks that can all start on a site, their row numbers in `workload`, and those that were left out.

    Args:
        on_oversize: `fail` refuses tasks that can never start, `drop` leaves them out, and their children no longer
            wait for them.

    Raises:
        OversizedTasks: `fail` was asked for and there are some.
        InvalidParameter: `clamp` was asked for.
        InvalidWorkload: tasks that are not played on sites.
    """
    refuse_clamping(site.name, on_oversize)
    never = never_starts(workload, site)
    everything = np.arange(len(workload), dtype=np.int64)
    if not len(never):
        return workload, everything, never
    if on_oversize == "fail":
        raise OversizedTasks(
            f"{len(never):,} of {len(workload):,} tasks can never start on site {site.name}, {never.words}. Leave them "
            "out with on_oversize drop, or change the site.",
            count=len(never),
            task_ids=tuple(never.task_id[:NAMED].tolist()),
        )
    kept = np.setdiff1d(everything, never.rows)
    return workload.take(kept), kept, never


def refuse_clamping(site_name: str, on_oversize: str) -> None:
    """Refuse to cut tasks to size on a site.

    Raises:
        InvalidParameter: that was asked for.
    """
    if on_oversize == "clamp":
        raise InvalidParameter(
            f"On site {site_name} tasks are not cut to size: what keeps them from starting may be a partition, an "
            "account or a feature. Leave them out (drop) or refuse them (fail)."
        )
