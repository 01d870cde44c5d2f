"""What a policy decided at one instant, in the words of the time machine."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from scheduler_sim.engine.errors import EngineError
from scheduler_sim.engine.workloads.workload import IntArray

STARTS = ("started", "backfilled", "resumed", "resized")
"""Verdicts of tasks that start."""


class NotExplained(EngineError):
    """What a policy decided cannot be told exactly; the sentence says why."""


class OrderNotKnown(NotExplained):
    """The order in which tasks were tried is not known; the sentence says why."""


class NotKnownFarEnough(NotExplained):
    """A plan depends on waits from before the schedule is known; more of it might explain it."""


class Decision(NamedTuple):
    """What was decided of one task that was ready; a tuple, since of a deep queue there are some ten thousand.

    Attributes:
        row: of the workload.
        score: by which it was tried, the lowest first; NaN where that is not known.
        verdict: `started`; `backfilled`, started ahead of the head; `resources`, too little is free; `blocked`, the
            head of the queue waits and nothing may pass it; `delays`, it would delay the head's reservation;
            `planned`, its reservation lies later; `held`, the policy does not offer it before a time; `cleaner`, not
            before electricity is cleaner; `later`, what the placement expects to end it first is not free yet;
            `resumed`, it goes on; `resized`, on more or fewer devices; `preempted`, it had to stop; `widths`, the
            policy gives it none of what is free; `round`, others share out the GPUs of this round;
            `passed_over`, the class that decides did not start it. On a site: `priority`, others come before it;
            `limit`, the site's rules hold it back; `unseen`, no pass of the scheduler has come to it since it may
            start.
        free: processors free in all when it was tried, whole ones; None where a site's rules say what a task holds.
        delay: seconds by which it would delay the head, of `delays`; NaN for others, and where the placement draws or
            weighs the node that it would take.
        planned_time: when it is to start by its own reservation, or is offered; NaN without one.
        free_gpus: GPUs free in all then.
        lacks: of `resources`, what is too little: `cores`, `gpus` or `memory` of any one node, `nodes` for a gang that
            finds too few whole ones, and `together` where no one node has all that it needs of them at once.
        reason: that of Slurm, on a site.
    """

    row: int
    score: float
    verdict: str
    free: int | None
    delay: float = np.nan
    planned_time: float = np.nan
    free_gpus: float = 0.0
    lacks: tuple[str, ...] = ()
    reason: str = ""

    @property
    def starts(self) -> bool:
        """True when it starts at the instant."""
        return self.verdict in STARTS


@dataclass(frozen=True)
class Decisions:
    """What a policy did at one instant.

    Attributes:
        time: seconds; when the policy acted last, where it does nothing at the instant itself.
        decisions: of every task that was ready, in the order in which they were tried.
        head: row of the first task that did not fit, -1 where all started or there is none.
        shadow_time: when the head is to start by the estimates, NaN where nothing is reserved for it.
        extra: processors that it leaves over then, of a pool.
        note: why the order is not known in which they were tried, empty where it is: `free` is then what was left when
            the policy had acted, and nobody is called the head.
    """

    time: float
    decisions: tuple[Decision, ...]
    head: int = -1
    shadow_time: float = np.nan
    extra: int = 0
    note: str = ""

    @property
    def started(self) -> IntArray:
        """Rows that start, ascending."""
        return np.array(sorted(one.row for one in self.decisions if one.starts), np.int64)
