"""How early a planned task could begin at best, kept for kinds of tasks: a search for its place may set in there.

Tasks are of one kind when they ask for about as many processors and are expected to run about as long. Each asks for no
fewer than the kind's processors and no less than its seconds. So when those are not free at once at any time before
some instant, no task of the kind can begin before it. The instant holds until a plan gains room: then it falls to where
the kind would just meet the gain.

What is said of a kind leaves out what a task itself holds in the plan: with its own place given back, it may reach into
that. A search for a task that stands at `time` must therefore look at all beginnings from `time` less the kind's
seconds.
"""

from math import frexp
from typing import NamedTuple

import numpy as np

from scheduler_sim.engine.jit import bare_kernel
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

GROUPS = 16
"""Kinds by processors, at most; each holds about as many tasks."""

LENGTHS = 48
"""Kinds by length: below a second, and from each power of two on."""

SLACK = 1e-15
"""Of a time: how far a difference may be off by rounding, with room to spare."""


class Frontier(NamedTuple):
    """How early a task of a kind could begin at best.

    Attributes:
        used: shape (2,), the shortest and the longest kind seen so far.
        group_of: shape (n,), the group of a task.
        cpus: shape (groups,), processors that no task of a group asks for fewer of.
        seconds: shape (LENGTHS,), that no task of a kind is expected to run less.
        time: shape (LENGTHS, groups), seconds.
    """

    used: IntArray
    group_of: IntArray
    cpus: IntArray
    seconds: FloatArray
    time: FloatArray


def make_frontier(cpus: IntArray) -> Frontier:
    """Return the frontier of an empty plan, for tasks that ask for so many processors, shape (n,)."""
    shares = np.linspace(0.0, 1.0, GROUPS, endpoint=False)
    smallest = np.unique(np.quantile(cpus, shares, method="lower")) if len(cpus) else np.zeros(1, np.int64)
    return Frontier(
        used=np.array([LENGTHS, -1]),
        group_of=np.searchsorted(smallest, cpus, side="right") - 1,
        cpus=smallest.astype(np.int64),
        seconds=np.concatenate([[0.0], 2.0 ** np.arange(LENGTHS - 1)]),
        time=np.full((LENGTHS, len(smallest)), -np.inf),
    )


@bare_kernel
def kind_of(length: float, frontier: Frontier) -> int:
    """Return the kind of tasks that are expected to run for `length` seconds."""
    kind = 0
    if length >= 1.0:
        kind = LENGTHS - 1 if length == np.inf else min(frexp(length)[1], LENGTHS - 1)
    used = frontier.used
    used[0] = min(used[0], kind)
    used[1] = max(used[1], kind)
    return kind


@bare_kernel
def gain(time: float, frontier: Frontier) -> None:
    """Note that a plan has gained room from `time` on."""
    for kind in range(frontier.used[0], frontier.used[1] + 1):
        seconds = frontier.seconds[kind]
        earliest_time = time - seconds - SLACK * (abs(time) + seconds)
        for group in range(len(frontier.cpus)):
            frontier.time[kind, group] = min(frontier.time[kind, group], earliest_time)


@bare_kernel
def forget(frontier: Frontier) -> None:
    """Note that nothing is known of a plan."""
    frontier.time[:] = -np.inf


@bare_kernel
def begin_at(kind: int, group: int, time: float, frontier: Frontier) -> float:
    """Return from when on a task that stands at `time` is to be searched an earlier place for."""
    seconds = frontier.seconds[kind]
    return float(min(frontier.time[kind, group], time - seconds - SLACK * (abs(time) + seconds)))
