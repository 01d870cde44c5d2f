"""When nodes go and come back."""

from typing import Any, NamedTuple

import numpy as np

from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray


class Outages(NamedTuple):
    """The beginnings and ends of outages, in the order of their times.

    Attributes:
        outage_times: seconds.
        outage_nodes: which node.
        outage_signs: 1 where it goes, -1 where it comes back.
    """

    outage_times: FloatArray
    outage_nodes: IntArray
    outage_signs: IntArray

    @classmethod
    def none(cls) -> "Outages":
        """Return that no node ever goes."""
        return cls(np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64))


@inner_kernel
def next_outage(s: Any, taken: int) -> float:
    """Return when a node goes or comes back next, infinity for never.

    Args:
        s: has the columns of `Outages`, and `counts`.
        taken: where the counts say how many of them have been taken.
    """
    i = s.counts[taken]
    return float(s.outage_times[i]) if i < len(s.outage_times) else np.inf


@inner_kernel
def take_outage(s: Any, taken: int) -> tuple[int, int]:
    """Take the next one and return its node and its sign; arguments as of `next_outage`."""
    i = s.counts[taken]
    s.counts[taken] = i + 1
    return int(s.outage_nodes[i]), int(s.outage_signs[i])
