"""Queues whose order changes with time: a kinetic tournament of scores that are linear in the wait.

The leaves are all tasks of the workload by slope (for backfilling by processors, then slope), and a node above says
which queued task below it is the best, and until when that one surely stays the best (Basch, Guibas & Hershberger, Data
structures for mobile data, SODA 1997). A node whose time has run out still bounds what lies below it: no score there
falls faster than the steepest slope. So it is decided anew only when it may hold the best task of the node above, and
since neighbours fall about equally fast, the bound is close. The order of the leaves is a matter of speed only.

Where a node is sure of its best task, that one is the best of all nodes between it and its leaf: who takes it out finds
every node that names it by climbing.

Times and bounds allow for the rounding of the scores, so that the order is that of the computed scores, ties included:
a computed score is off by less than 3 units of 2^-53 of its value and its base.
"""

from typing import NamedTuple

import numpy as np

from scheduler_sim.engine.jit import bare_kernel, kernel
from scheduler_sim.engine.kernels.structures.planned_ends import PlannedEnds, make_planned_ends
from scheduler_sim.engine.numerics.ordering import order_of
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

BASE, SLOPE, ARRIVAL, ROW, UNTIL, STEEPEST, CPUS, EXPECTED = range(8)
"""Columns of `KineticTree.nodes`, one line of the cache a node: the best task below, the last instant at which it
surely is, and of all queued tasks below no less than the greatest slope, the least processors and duration."""

SHIFT = 3
FAN = 1 << SHIFT
"""Children of a node."""

LOWEST_BIT = np.array([0] + [(mask & -mask).bit_length() - 1 for mask in range(1, 1 << FAN)])
"""Of each mask of children that is not 0, the first child."""

_ROUNDING = 16 * 2.0**-53


class KineticTree(NamedTuple):
    """The queue.

    Attributes:
        leaf_of: shape (n,), the node of each row.
        nodes: shape (nodes, 8), by columns; the children of node i are i * FAN + 1 and following.
        masks: of each node that is no leaf, which children have queued tasks below.
        floors: shape (FAN,), what no score below each child of the node in question is below.
        spread: twice the greatest absolute base.
        stack: nodes still to visit.
        plan: used by EASY.
    """

    leaf_of: IntArray
    nodes: FloatArray
    masks: IntArray
    floors: FloatArray
    spread: float
    stack: IntArray
    plan: PlannedEnds


def make_kinetic_tree(
    *,
    base: FloatArray,
    slope: FloatArray,
    by_slope: IntArray,
    arrival: FloatArray,
    cpus: IntArray,
    expected: FloatArray,
    by_cpus: bool,
    most_running: int,
) -> KineticTree:
    """Return the empty queue.

    Args:
        base, slope, arrival: shape (n,), the score is `base - slope * (now - arrival)`.
        by_slope: shape (n,), rows in the order of their slopes.
        cpus, expected: shape (n,), processors and seconds that the search asks for.
        by_cpus: whether tasks of one size lie side by side, which suits a search for what fits.
        most_running: how many tasks may run at a time.
    """
    n = len(base)
    inner, width = 1, FAN
    while width < n:
        inner += width
        width *= FAN
    # By size what fits are the first leaves, and among tasks of one size the short ones have neighbouring slopes.
    row_at = order_of(cpus, by_slope) if by_cpus else by_slope
    leaf_of = np.empty(n, np.int64)
    room = np.empty((inner + n + 1) * 8)
    aligned = -(room.ctypes.data // 8) % 8
    nodes = room[aligned : aligned + (inner + n) * 8].reshape(-1, 8)
    _plant(row_at, inner, base, slope, arrival, cpus, expected, nodes, leaf_of)
    return KineticTree(
        leaf_of=leaf_of,
        nodes=nodes,
        masks=np.zeros(inner, np.int64),
        floors=np.empty(FAN),
        spread=float(2.0 * np.abs(base).max(initial=0.0)),
        stack=np.empty(64 * FAN, np.int64),
        plan=make_planned_ends(most_running),
    )


@kernel
def _plant(
    row_at: IntArray,
    first: int,
    base: FloatArray,
    slope: FloatArray,
    arrival: FloatArray,
    cpus: IntArray,
    expected: FloatArray,
    nodes: FloatArray,
    leaf_of: IntArray,
) -> None:
    """Write the leaves from node `first` on, and which leaf is whose.

    Leaves are written in the order of the rows: one line of memory is looked for each, and not one a column.
    """
    for i in range(len(row_at)):
        leaf_of[row_at[i]] = first + i
    for row in range(len(leaf_of)):
        leaf = leaf_of[row]
        nodes[leaf, BASE] = base[row]
        nodes[leaf, SLOPE] = slope[row]
        nodes[leaf, STEEPEST] = slope[row]
        nodes[leaf, ARRIVAL] = arrival[row]
        nodes[leaf, ROW] = row
        nodes[leaf, UNTIL] = np.inf
        nodes[leaf, CPUS] = cpus[row]
        nodes[leaf, EXPECTED] = expected[row]


def told_of(
    tree: KineticTree, rows: IntArray, base: FloatArray, slope: FloatArray, expected: FloatArray
) -> KineticTree:
    """Write the columns of tasks that are yet to be queued into their leaves, and return the tree that holds them."""
    leaves = tree.leaf_of[rows]
    tree.nodes[leaves, BASE] = base[rows]
    tree.nodes[leaves, SLOPE] = tree.nodes[leaves, STEEPEST] = slope[rows]
    tree.nodes[leaves, EXPECTED] = expected[rows]
    return tree._replace(spread=max(tree.spread, float(2.0 * np.abs(base[rows]).max(initial=0.0))))


@bare_kernel
def score(now: float, node: int, nodes: FloatArray) -> float:
    """Return the score of a node's best task."""
    return float(nodes[node, BASE] - nodes[node, SLOPE] * (now - nodes[node, ARRIVAL]))


@bare_kernel
def floor_of(now: float, node: int, nodes: FloatArray, spread: float) -> float:
    """Return what no score below a node is below: its best one's while that is sure."""
    until = nodes[node, UNTIL]
    if until >= now:
        return score(now, node, nodes)
    value = score(until, node, nodes)
    fall = nodes[node, STEEPEST] * (now - until)
    return float(value - fall - _ROUNDING * (abs(value) + fall + spread))


@bare_kernel
def never_passes(other: int, winner: int, nodes: FloatArray) -> bool:
    """Tell whether a task stays behind because it is later, not steeper and not lower: rounding is monotone."""
    return bool(
        nodes[winner, ROW] < nodes[other, ROW]
        and nodes[winner, SLOPE] >= nodes[other, SLOPE]
        and nodes[winner, BASE] <= nodes[other, BASE]
    )


@bare_kernel
def lead_lasts(ahead: float, behind: float, slope: float, other_slope: float, spread: float) -> float:
    """Return for how many seconds a score `ahead` surely beats one `behind` that falls by `other_slope` at most."""
    room = (behind - ahead) - _ROUNDING * (abs(behind) + abs(ahead) + spread)
    if room <= 0.0:
        return 0.0
    rate = (other_slope - slope) + _ROUNDING * (other_slope + slope)
    if rate <= 0.0:
        return np.inf
    return float(room / rate)


@bare_kernel
def after(now: float, seconds: float) -> float:
    """Return the instant so many seconds later, or a little earlier than that."""
    if seconds == np.inf:
        return np.inf
    end = now + 0.999999999 * seconds
    return max(now, end - 4.5e-16 * abs(end))


@bare_kernel
def settle(now: float, start: int, nodes: FloatArray, masks: IntArray, floors: FloatArray, spread: float) -> None:
    """Decide a node, and before it those below that may hold its best task and are not sure."""
    node = start
    while True:
        first = (node << SHIFT) + 1
        best = -1
        lowest = np.inf
        sure = True
        left = masks[node]
        while left != 0:
            i = LOWEST_BIT[left]
            left &= left - 1
            child = first + i
            value = floor_of(now, child, nodes, spread)
            floors[i] = value
            if best >= 0 and (value > lowest or (value == lowest and not sure)):
                continue
            child_sure = nodes[child, UNTIL] >= now
            if best >= 0 and value == lowest and child_sure and nodes[child, ROW] > nodes[best, ROW]:
                continue
            best = child
            lowest = value
            sure = child_sure
        if not sure:
            node = best
            continue
        slope = nodes[best, SLOPE]
        lasts = nodes[best, UNTIL] - now
        steepest = nodes[best, STEEPEST]
        cpus = nodes[best, CPUS]
        expected = nodes[best, EXPECTED]
        left = masks[node]
        while left != 0:
            i = LOWEST_BIT[left]
            left &= left - 1
            child = first + i
            if child == best:
                continue
            steepest = max(steepest, nodes[child, STEEPEST])
            cpus = min(cpus, nodes[child, CPUS])
            expected = min(expected, nodes[child, EXPECTED])
            seconds = lead_lasts(lowest, floors[i], slope, nodes[child, STEEPEST], spread)
            if seconds < lasts and nodes[child, UNTIL] >= now:
                sure_for = nodes[child, UNTIL] - now
                if not never_passes(child, best, nodes):
                    sure_for = min(sure_for, lead_lasts(lowest, floors[i], slope, nodes[child, SLOPE], spread))
                seconds = max(seconds, sure_for)
            lasts = min(lasts, seconds)
        for column in range(UNTIL):
            nodes[node, column] = nodes[best, column]
        nodes[node, UNTIL] = after(now, lasts)
        nodes[node, STEEPEST] = steepest
        nodes[node, CPUS] = cpus
        nodes[node, EXPECTED] = expected
        if node == start:
            return
        node = (node - 1) >> SHIFT


@bare_kernel
def head_of(now: float, nodes: FloatArray, masks: IntArray, floors: FloatArray, spread: float) -> int:
    """Return the row of the queue's best task."""
    if nodes[0, UNTIL] < now:
        settle(now, 0, nodes, masks, floors, spread)
    return int(nodes[0, ROW])


@bare_kernel
def enter(now: float, leaf: int, nodes: FloatArray, masks: IntArray, floors: FloatArray, spread: float) -> None:
    """Queue a leaf's task."""
    value = score(now, leaf, nodes)
    certain = False
    child = leaf
    while child > 0:
        node = (child - 1) >> SHIFT
        before = masks[node]
        masks[node] = before | (1 << ((child - 1) & (FAN - 1)))
        leads_below = nodes[child, ROW] == nodes[leaf, ROW]
        child = node
        if before == 0:
            for column in range(8):
                nodes[node, column] = nodes[leaf, column]
            continue
        if certain and (
            nodes[leaf, STEEPEST] <= nodes[node, STEEPEST]
            and nodes[leaf, CPUS] >= nodes[node, CPUS]
            and nodes[leaf, EXPECTED] >= nodes[node, EXPECTED]
        ):
            return
        nodes[node, STEEPEST] = max(nodes[node, STEEPEST], nodes[leaf, STEEPEST])
        nodes[node, CPUS] = min(nodes[node, CPUS], nodes[leaf, CPUS])
        nodes[node, EXPECTED] = min(nodes[node, EXPECTED], nodes[leaf, EXPECTED])
        if certain:
            continue
        if nodes[node, UNTIL] < now:
            if value - _ROUNDING * (abs(value) + spread) < floor_of(now, node, nodes, spread):
                settle(now, node, nodes, masks, floors, spread)
            continue
        best = score(now, node, nodes)
        if value < best or (value == best and nodes[leaf, ROW] < nodes[node, ROW]):
            if not leads_below:
                settle(now, node, nodes, masks, floors, spread)
                continue
            seconds = np.inf
            if not never_passes(node, leaf, nodes):
                seconds = lead_lasts(value, best, nodes[leaf, SLOPE], nodes[node, SLOPE], spread)
            for column in range(UNTIL):
                nodes[node, column] = nodes[leaf, column]
        elif never_passes(leaf, node, nodes):
            # Whoever is better than the best here is better than the newcomer: nothing above changes by it.
            certain = True
            continue
        else:
            seconds = lead_lasts(best, value, nodes[node, SLOPE], nodes[leaf, SLOPE], spread)
            certain = seconds == np.inf
        nodes[node, UNTIL] = min(nodes[node, UNTIL], after(now, seconds))


@bare_kernel
def leave(now: float, leaf: int, nodes: FloatArray, masks: IntArray, floors: FloatArray, spread: float) -> None:
    """Take a leaf's task out of the queue."""
    empty = True
    child = leaf
    while child > 0:
        node = (child - 1) >> SHIFT
        if empty:
            masks[node] &= ~(1 << ((child - 1) & (FAN - 1)))
            empty = masks[node] == 0
        child = node
        if empty:
            continue
        if nodes[node, ROW] == nodes[leaf, ROW]:
            settle(now, node, nodes, masks, floors, spread)
            continue
        cpus = np.inf
        expected = np.inf
        left = masks[node]
        while left != 0:
            other = (node << SHIFT) + 1 + LOWEST_BIT[left]
            left &= left - 1
            cpus = min(cpus, nodes[other, CPUS])
            expected = min(expected, nodes[other, EXPECTED])
        if cpus == nodes[node, CPUS] and expected == nodes[node, EXPECTED]:
            return
        nodes[node, CPUS] = cpus
        nodes[node, EXPECTED] = expected


@bare_kernel
def may_start(now: float, node: int, free: int, shadow_time: float, extra: int, nodes: FloatArray) -> bool:
    """Tell whether a task, or one below a node, fits and ends by the shadow time or needs only extra processors."""
    cpus = nodes[node, CPUS]
    return bool(cpus <= free and (cpus <= extra or now + nodes[node, EXPECTED] <= shadow_time))


@bare_kernel
def find(
    now: float,
    free: int,
    shadow_time: float,
    extra: int,
    nodes: FloatArray,
    masks: IntArray,
    stack: IntArray,
    spread: float,
) -> int:
    """Return the leaf of the best task that may start, or -1."""
    stack[0] = 0
    top = 0
    found = -1
    lowest = np.inf
    while top >= 0:
        node = stack[top]
        top -= 1
        if found >= 0 and floor_of(now, node, nodes, spread) > lowest:
            continue
        left = masks[node]
        while left != 0:
            child = (node << SHIFT) + 1 + LOWEST_BIT[left]
            left &= left - 1
            if not may_start(now, child, free, shadow_time, extra, nodes):
                continue
            value = floor_of(now, child, nodes, spread)
            if found >= 0 and value > lowest:
                continue
            if child < len(masks):
                top += 1
                stack[top] = child
            elif found < 0 or value < lowest or nodes[child, ROW] < nodes[found, ROW]:
                found = child
                lowest = value
    return found
