"""The queue of ready tasks: a tree of least needs over static ranks, or a list for scores that change."""

import math
from typing import Any

import numpy as np

from scheduler_sim.engine import inlined
from scheduler_sim.engine.codes import CALLED, DRF, LEARNED, MILLI, MULTIFACTOR, QUEUED, RUNNING
from scheduler_sim.engine.jit import called_kernel, inner_kernel
from scheduler_sim.engine.kernels.calling import call_scores, set_state
from scheduler_sim.engine.kernels.cluster.state import (
    BY_TIE,
    FREE_CPU,
    FREE_GPU,
    KIND,
    LISTED,
    LONE,
    PENDING,
    STAMP,
    TREE,
    WALKED,
    Sim,
)
from scheduler_sim.engine.policies.scoring import blend, rate
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

NOTHING = 2**62
"""The need of an empty place of the tree: more than any bound."""

SHIFT = 4
FAN = 16


@called_kernel
def tree_insert(s: Sim, rank: int, cpu: int, gpu: int) -> None:
    """Add the task of `rank`, which needs at least this of some node."""
    for level in range(len(s.levels)):
        i = s.levels[level] + (rank >> (SHIFT * level))
        if s.tree_cpu[i] <= cpu and s.tree_gpu[i] <= gpu:
            return
        s.tree_cpu[i] = min(s.tree_cpu[i], cpu)
        s.tree_gpu[i] = min(s.tree_gpu[i], gpu)


@called_kernel
def tree_remove(s: Sim, rank: int) -> None:
    """Take the task of `rank` out."""
    i = s.levels[0] + rank
    gone_cpu = s.tree_cpu[i]
    gone_gpu = s.tree_gpu[i]
    s.tree_cpu[i] = NOTHING
    s.tree_gpu[i] = NOTHING
    for level in range(1, len(s.levels)):
        i = s.levels[level] + (rank >> (SHIFT * level))
        if s.tree_cpu[i] < gone_cpu and s.tree_gpu[i] < gone_gpu:
            return
        first = s.levels[level - 1] + ((rank >> (SHIFT * level)) << SHIFT)
        cpu = NOTHING
        gpu = NOTHING
        for j in range(first, first + FAN):
            cpu = min(cpu, s.tree_cpu[j])
            gpu = min(gpu, s.tree_gpu[j])
        s.tree_cpu[i] = cpu
        s.tree_gpu[i] = gpu


@called_kernel
def tree_clear(s: Sim, rank: int) -> None:
    """Take out the task of `rank`, the only one there is."""
    for level in range(len(s.levels)):
        i = s.levels[level] + (rank >> (SHIFT * level))
        s.tree_cpu[i] = NOTHING
        s.tree_gpu[i] = NOTHING


@inner_kernel
def plant(s: Sim, row: int) -> None:
    """Put a waiting task into the tree."""
    t = s.tasks[row]
    cpu = gpu = 0
    if not t.planned:
        cpu, gpu = smallest_need(t, t.fixed)
    tree_insert(s, t.rank, cpu, gpu)


@inlined.kernel
def plant_lone(s: Sim) -> None:
    """Put the only task that waits into the tree, if it is not there: many start before anybody looks for them."""
    if s.counts[LONE] > 0:
        plant(s, s.counts[LONE] - 1)
        s.counts[LONE] = 0


@called_kernel
def tree_next(s: Sim, rank: int, cpu: int, gpu: int) -> int:
    """Return the first rank from `rank` on whose needs lie within the bounds, -1 for none."""
    plant_lone(s)
    top = len(s.levels) - 1
    level = 0
    i = rank
    if i >= len(s.row_of_rank):
        return -1
    while True:
        base = s.levels[level]
        end = ((i >> SHIFT) + 1) << SHIFT
        while i < end and (s.tree_cpu[base + i] > cpu or s.tree_gpu[base + i] > gpu):
            i += 1
        if i < end:
            if level == 0:
                return i
            # The least needs of a block may belong to different tasks, so the descent can come back empty-handed.
            level -= 1
            i <<= SHIFT
            continue
        while level < top and i & (FAN - 1) == 0:
            level += 1
            i >>= SHIFT
        if level == top and i >= FAN:
            return -1


@inner_kernel
def smallest_need(t: Any, fraction: float) -> tuple[int, int]:
    """Return what every start of the task needs of one node at least: cores and GPUs in thousandths."""
    if t.hybrid:
        return (t.cpu if fraction < 1.0 else 0), (t.gpu if fraction > 0.0 else 0)
    if t.full_nodes > 0:
        return t.full_cpu, t.full_gpus * MILLI
    return t.cpu, t.gpu


@inlined.kernel
def enqueue(s: Sim, row: int) -> None:
    """Add a ready task."""
    t = s.tasks[row]
    s.counts[QUEUED] += 1
    if s.settings[TREE]:
        if s.counts[QUEUED] == 1:
            s.counts[LONE] = row + 1
        else:
            plant_lone(s)
            plant(s, row)
    else:
        t.place = s.counts[LISTED]
        s.listed[s.counts[LISTED]] = row
        s.counts[LISTED] += 1


@inlined.kernel
def dequeue(s: Sim, row: int) -> None:
    """Take a task out that starts."""
    t = s.tasks[row]
    s.counts[QUEUED] -= 1
    if s.counts[LONE] > 0:
        s.counts[LONE] = 0
    elif s.settings[TREE] and s.counts[QUEUED] == 0:
        tree_clear(s, t.rank)
    elif s.settings[TREE]:
        tree_remove(s, t.rank)
    else:
        s.counts[LISTED] -= 1
        last = s.listed[s.counts[LISTED]]
        s.listed[t.place] = last
        s.tasks[last].place = t.place


@inner_kernel
def learned_scores(s: Sim, now: float, rows: IntArray, scores: FloatArray) -> None:
    """Write the learned scores of `rows`, as `scoring` defines them.

    A task's processors are its GPUs, or its cores where it asks for none or there are none; the machine's are its GPUs,
    or its cores where it has none. Free devices are counted over all nodes.
    """
    size = len(rows)
    kind = 1 if s.floats[1] > 0.0 else 0
    work = 0.0
    for i in range(s.counts[PENDING]):
        if s.heap_codes[i] % 3 == 2:
            t = s.tasks[s.heap_codes[i] // 3]
            work += max(t.end - now, 0.0) * (t.gpu if kind == 1 else t.cpu)
    free = s.counts[FREE_GPU] if kind == 1 else s.counts[FREE_CPU]
    folded = np.empty(len(s.parameters))
    blend(s.parameters, free / s.floats[kind], size, work / s.floats[kind], folded)
    r, n, wait, excess = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    for i in range(size):
        t = s.tasks[rows[i]]
        r[i], n[i] = s.features[rows[i], 0], s.features[rows[i], 1]
        wait[i] = now - t.ready
        if t.gpu > 0 and kind == 1:
            excess[i] = (t.gpu - s.counts[FREE_GPU]) / s.floats[1]
        else:
            excess[i] = (t.cpu - s.counts[FREE_CPU]) / s.floats[0]
    rate(s.parameters, folded, r, n, wait, excess, size, scores)


@inner_kernel
def called_scores(s: Sim, now: float, rows: IntArray, scores: FloatArray) -> None:
    """Write the scores that a function of the user's gives to `rows`."""
    wait = np.empty(len(rows))
    for i in range(len(rows)):
        wait[i] = now - s.tasks[rows[i]].ready
    free_cores, free_gpus = s.counts[FREE_CPU] / MILLI, s.counts[FREE_GPU] / MILLI
    set_state(s.call_state, now, len(rows), s.counts[RUNNING], free_cores, free_gpus)
    call_scores(s.call_address, 0, len(rows), rows, wait, s.call_table, s.call_state, scores, s.call_at)


@inner_kernel
def dominant_share(s: Sim, user: int) -> float:
    """Return the user's largest share of the cluster's cores, GPUs and memory (totals stand in `floats`)."""
    share = 0.0
    if s.floats[0] > 0:
        share = max(share, s.user_cpu[user] / s.floats[0])
    if s.floats[1] > 0:
        share = max(share, s.user_gpu[user] / s.floats[1])
    if s.floats[2] > 0:
        share = max(share, s.user_memory[user] / s.floats[2])
    return share


@inner_kernel
def score(s: Sim, row: int, now: float) -> float:
    """Return the present score of a ready task; the completion times of min_min and its kin come from the plan."""
    t = s.tasks[row]
    kind = s.settings[KIND]
    wait = now - t.ready
    if kind == MULTIFACTOR:
        p = s.parameters
        total = s.user_charge[len(s.user_charge) - 1]
        fair = 1.0
        if total > 0.0:
            fair = math.exp2(-(s.user_charge[t.user] / total) * p[4])
        return float(t.base - p[0] * min(wait / p[1], 1.0) - p[2] * fair)
    if kind == DRF:
        return dominant_share(s, t.user)
    return float(t.base - t.slope * wait)


@inner_kernel
def by_tie(s: Sim, rows: IntArray) -> IntArray:
    """Return rows in the order that settles equal scores."""
    rows = np.sort(rows)
    if s.settings[BY_TIE]:
        ties = np.empty(len(rows), np.int64)
        for i in range(len(rows)):
            ties[i] = s.tasks[rows[i]].rank
        rows = rows[np.argsort(ties)]
    return rows


@inner_kernel
def sort_walk(s: Sim, now: float) -> None:
    """Sort the listed tasks by score, ties by row or by rank, into `walk`."""
    size = s.counts[LISTED]
    rows = by_tie(s, s.listed[:size])
    scores = np.empty(size)
    if s.settings[KIND] == LEARNED:
        learned_scores(s, now, rows, scores)
    elif s.settings[KIND] == CALLED:
        called_scores(s, now, rows, scores)
    else:
        for i in range(size):
            scores[i] = score(s, rows[i], now)
    sequence = np.argsort(scores, kind="mergesort")
    for i in range(size):
        s.walk[i] = rows[sequence[i]]
    s.counts[WALKED] = size


@called_kernel
def charge(s: Sim, row: int, now: float, amount: float) -> None:
    """Charge a user's decayed account; a later second weighs more, which is the same as older ones weighing less.

    The weights are powers of two on the time since `clock[2]`, moved by whole half-lives before they grow too large.
    """
    half_life = s.parameters[3]
    while (now - s.clock[2]) / half_life > 500.0:
        for user in range(len(s.user_charge)):
            s.user_charge[user] *= 2.0**-500
        s.clock[2] += 500.0 * half_life
    weighted = amount * math.exp2((now - s.clock[2]) / half_life)
    s.user_charge[s.tasks[row].user] += weighted
    s.user_charge[len(s.user_charge) - 1] += weighted


@inlined.kernel
def sort_by_rank(s: Sim, rows: IntArray, count: int) -> None:
    """Sort the first `count` of some rows of tasks by rank; they are few, or nearly sorted."""
    for i in range(1, count):
        row = rows[i]
        j = i
        while j > 0 and s.tasks[rows[j - 1]].rank > s.tasks[row].rank:
            rows[j] = rows[j - 1]
            j -= 1
        rows[j] = row


@inner_kernel
def fresh_stamp(s: Sim) -> int:
    """Return a number never given before."""
    s.counts[STAMP] += 1
    return int(s.counts[STAMP])
