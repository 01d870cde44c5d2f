"""Queues whose order changes with time: a kinetic tournament of scores that are linear in the wait.

Each node of a binary tree knows the best task below it and until when that task surely stays the best
(Basch, Guibas & Hershberger, Data structures for mobile data, SODA 1997). A look at the queue renews only
the nodes whose time has run out. The certificates allow for the rounding of the scores, so that the order is that of
the computed scores, ties included.
"""

from typing import NamedTuple

import numpy as np

from scheduler_sim.engine.jit import kernel
from scheduler_sim.engine.workload import FloatArray, IntArray

CAPACITY = 0
SPARES = 1
"""Places in `KineticTree.shape`: leaves, and how many of them are empty."""

SMALLEST = 64
_NO_TASK = 2**62
_ROUNDING = 8 * 2.0**-52


class KineticTree(NamedTuple):
    """The queue. Node 1 is the root, the children of node i are 2 i and 2 i + 1, the leaves hold slots.

    Attributes:
        shape: see above.
        slot_of: shape (n,), of queued rows.
        rows, base, slope, arrival: of each slot; row -1 for an empty one.
        spare: the empty slots, a stack.
        best: of each node, the slot of its best task, -1 for none.
        expiry: of each node, the last instant at which `best` is sure.
        low_cpus, low_expected: of each node, the least of its tasks.
        stack: nodes still to visit.
        shadow: shape (1,), the blocked head's shadow time.
        plan_times, plan_rows: the running tasks by expected end, see `planned_ends`; used by EASY.
    """

    shape: IntArray
    slot_of: IntArray
    rows: IntArray
    base: FloatArray
    slope: FloatArray
    arrival: FloatArray
    spare: IntArray
    best: IntArray
    expiry: FloatArray
    low_cpus: IntArray
    low_expected: FloatArray
    stack: IntArray
    shadow: FloatArray
    plan_times: FloatArray
    plan_rows: IntArray


def make_kinetic_tree(length: int, most_running: int) -> KineticTree:
    """Return the empty queue of `length` tasks."""
    most = SMALLEST
    while most < length:
        most *= 2
    tree = KineticTree(
        shape=np.array([SMALLEST, SMALLEST]),
        slot_of=np.empty(length, np.int64),
        rows=np.empty(most, np.int64),
        base=np.empty(most),
        slope=np.empty(most),
        arrival=np.empty(most),
        spare=np.empty(most, np.int64),
        best=np.empty(2 * most, np.int64),
        expiry=np.empty(2 * most),
        low_cpus=np.empty(2 * most, np.int64),
        low_expected=np.empty(2 * most),
        stack=np.empty(256, np.int64),
        shadow=np.zeros(1),
        plan_times=np.empty(most_running),
        plan_rows=np.empty(most_running, np.int64),
    )
    tree.rows[:SMALLEST] = -1
    tree.spare[:SMALLEST] = np.arange(SMALLEST)[::-1]
    tree.best[: 2 * SMALLEST] = -1
    tree.expiry[: 2 * SMALLEST] = np.inf
    tree.low_cpus[: 2 * SMALLEST] = _NO_TASK
    tree.low_expected[: 2 * SMALLEST] = np.inf
    return tree


@kernel
def score(now: float, slot: int, base: FloatArray, slope: FloatArray, arrival: FloatArray) -> float:
    """Return the score of a queued task."""
    return float(base[slot] - slope[slot] * (now - arrival[slot]))


@kernel
def pull(
    now: float,
    node: int,
    rows: IntArray,
    base: FloatArray,
    slope: FloatArray,
    arrival: FloatArray,
    best: IntArray,
    expiry: FloatArray,
    low_cpus: IntArray,
    low_expected: FloatArray,
) -> None:
    """Decide a node from its children.

    A winner that leads by g stays ahead for x seconds while g - (A2 - A1) x >= r (V + (A1 + A2) x), where A1 and A2
    are the slopes of winner and loser, V bounds the values and r the relative error of a computed score. A task that
    is not later, not flatter and not above the other stays ahead for ever, because rounding is monotone.
    """
    left = 2 * node
    right = left + 1
    low_cpus[node] = min(low_cpus[left], low_cpus[right])
    low_expected[node] = min(low_expected[left], low_expected[right])
    expiry[node] = min(expiry[left], expiry[right])
    winner = best[left]
    loser = best[right]
    if winner < 0 or loser < 0:
        best[node] = max(winner, loser)
        return
    ahead = score(now, winner, base, slope, arrival)
    behind = score(now, loser, base, slope, arrival)
    if behind < ahead or (behind == ahead and rows[loser] < rows[winner]):
        winner, loser = loser, winner
        ahead, behind = behind, ahead
    best[node] = winner
    if slope[winner] >= slope[loser] and base[winner] <= base[loser] and rows[winner] < rows[loser]:
        return
    size = abs(ahead) + abs(behind) + abs(base[winner]) + abs(base[loser])
    room = (behind - ahead) - _ROUNDING * size
    if room <= 0.0:
        expiry[node] = min(expiry[node], now)
        return
    rate = (slope[loser] - slope[winner]) + _ROUNDING * (slope[loser] + slope[winner])
    if rate > 0.0:
        end = now + 0.999999999 * (room / rate)
        expiry[node] = min(expiry[node], max(now, end - 4.5e-16 * abs(end)))


@kernel
def renew(
    now: float,
    rows: IntArray,
    base: FloatArray,
    slope: FloatArray,
    arrival: FloatArray,
    best: IntArray,
    expiry: FloatArray,
    low_cpus: IntArray,
    low_expected: FloatArray,
    stack: IntArray,
) -> None:
    """Decide anew the nodes that are no longer sure, children first."""
    stack[0] = 1
    top = 0
    while top >= 0:
        node = stack[top]
        if node < 0:
            pull(now, -node, rows, base, slope, arrival, best, expiry, low_cpus, low_expected)
            top -= 1
        elif expiry[node] >= now:
            top -= 1
        else:
            stack[top] = -node
            stack[top + 1] = 2 * node
            stack[top + 2] = 2 * node + 1
            top += 2


@kernel
def remove(
    now: float,
    slot: int,
    shape: IntArray,
    rows: IntArray,
    base: FloatArray,
    slope: FloatArray,
    arrival: FloatArray,
    spare: IntArray,
    best: IntArray,
    expiry: FloatArray,
    low_cpus: IntArray,
    low_expected: FloatArray,
) -> None:
    """Take a task out of the queue."""
    rows[slot] = -1
    spare[shape[SPARES]] = slot
    shape[SPARES] += 1
    node = shape[CAPACITY] + slot
    best[node] = -1
    low_cpus[node] = _NO_TASK
    low_expected[node] = np.inf
    while node > 1:
        node >>= 1
        pull(now, node, rows, base, slope, arrival, best, expiry, low_cpus, low_expected)


@kernel
def resize(
    now: float,
    capacity: int,
    shape: IntArray,
    cpus: IntArray,
    expected: FloatArray,
    slot_of: IntArray,
    rows: IntArray,
    base: FloatArray,
    slope: FloatArray,
    arrival: FloatArray,
    spare: IntArray,
    best: IntArray,
    expiry: FloatArray,
    low_cpus: IntArray,
    low_expected: FloatArray,
) -> None:
    """Close the gaps between the slots and build a tree of `capacity` leaves."""
    used = 0
    for slot in range(shape[CAPACITY]):
        row = rows[slot]
        if row >= 0:
            rows[used] = row
            base[used] = base[slot]
            slope[used] = slope[slot]
            arrival[used] = arrival[slot]
            slot_of[row] = used
            used += 1
    for slot in range(capacity):
        leaf = capacity + slot
        expiry[leaf] = np.inf
        if slot < used:
            best[leaf] = slot
            low_cpus[leaf] = cpus[rows[slot]]
            low_expected[leaf] = expected[rows[slot]]
        else:
            rows[slot] = -1
            best[leaf] = -1
            low_cpus[leaf] = _NO_TASK
            low_expected[leaf] = np.inf
            spare[capacity - 1 - slot] = slot
    shape[CAPACITY] = capacity
    shape[SPARES] = capacity - used
    for node in range(capacity - 1, 0, -1):
        pull(now, node, rows, base, slope, arrival, best, expiry, low_cpus, low_expected)


@kernel
def find(
    now: float,
    free: int,
    shadow_time: float,
    extra: int,
    capacity: int,
    rows: IntArray,
    base: FloatArray,
    slope: FloatArray,
    arrival: FloatArray,
    best: IntArray,
    low_cpus: IntArray,
    low_expected: FloatArray,
    stack: IntArray,
) -> int:
    """Return the slot of the best task that fits and ends by the shadow time or needs only extra processors, or -1.

    All nodes must be sure at `now`. A node's best score bounds what lies below it.
    """
    found = -1
    lowest = 0.0
    stack[0] = 1
    top = 0
    while top >= 0:
        node = stack[top]
        top -= 1
        slot = best[node]
        if slot < 0 or low_cpus[node] > free:
            continue
        if low_cpus[node] > extra and now + low_expected[node] > shadow_time:
            continue
        value = score(now, slot, base, slope, arrival)
        if found >= 0 and (value > lowest or (value == lowest and rows[slot] > rows[found])):
            continue
        leaf = capacity + slot
        if low_cpus[leaf] <= free and (low_cpus[leaf] <= extra or now + low_expected[leaf] <= shadow_time):
            found = slot
            lowest = value
        elif node < capacity:
            # The side of the best task lies on top, so that a good bound is found early.
            left = 2 * node
            other = left if best[left] != slot else left + 1
            stack[top + 1] = other
            stack[top + 2] = other ^ 1
            top += 2
    return found
