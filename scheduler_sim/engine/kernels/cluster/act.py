"""What a policy does at one instant: walk the ready tasks in order and start what it may.

What is called `fgd`, `easy`, `listed`, `picking`, `reordered`, `planned` and `reserving` is True where the policy has
that part and None where it has not. Numba leaves branches on None out, so that a run compiles only what it plays:
`listed` is an order whose scores change, `picking` one that chooses again after each start, `reordered` EASY that
backfills in another one, `planned` a placement that plans, `reserving` conservative backfilling, `kept` that with
reservations that stay from instant to instant.
"""

from typing import NamedTuple

import numpy as np

from scheduler_sim.engine import inlined
from scheduler_sim.engine.codes import (
    CONSERVATIVE,
    DRF,
    EASY,
    FGD,
    LIST,
    MAX_MIN,
    MILLI,
    MIN_MIN,
    NONE,
    NOT_PLANNED,
    QUEUED,
    SUFFERAGE,
)
from scheduler_sim.engine.formulas import rigid_time_compiled
from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.cluster.choose import find
from scheduler_sim.engine.kernels.cluster.kept import act_kept
from scheduler_sim.engine.kernels.cluster.plan import best_option, book_option, is_planned, note_started
from scheduler_sim.engine.kernels.cluster.power import is_capped
from scheduler_sim.engine.kernels.cluster.queue import (
    NOTHING,
    dominant_share,
    fresh_stamp,
    sort_by_rank,
    sort_walk,
    tree_next,
)
from scheduler_sim.engine.kernels.cluster.racks import slowdown
from scheduler_sim.engine.kernels.cluster.reserve import act_conservative, delays_head, find_shadow
from scheduler_sim.engine.kernels.cluster.start import fetched, first_node, start, stretched
from scheduler_sim.engine.kernels.cluster.state import (
    BACKFILL,
    CAPPED,
    FREE_CPU,
    FREE_GPU,
    INDEXED,
    KIND,
    LISTED,
    NEWCOMERS,
    RELEASED,
    STRETCHED,
    TREE,
    WALKED,
    Sim,
)
from scheduler_sim.engine.problem import Problem

PICKING = (DRF, MIN_MIN, MAX_MIN, SUFFERAGE)
"""Orders that choose again after each start instead of walking a sorted queue."""


class Parts(NamedTuple):
    """The parts of a policy with which it walks its queue, see above."""

    fgd: bool | None
    easy: bool | None
    listed: bool | None
    picking: bool | None
    reordered: bool | None
    kept: bool | None = None


def parts_of(problem: Problem, *, in_tree: bool, kept: bool = False) -> tuple[Parts, bool | None, bool | None]:
    """Return the parts of a policy, whether it is `planned`, and whether it is `reserving`.

    Args:
        problem: what is played.
        in_tree: whether the queue stands in a tree, sorted once and for all.
        kept: whether reservations stay from instant to instant.
    """
    policy, scores = problem.policy, problem.scores
    picking = True if scores.kind in PICKING else None
    listed = True if picking is None and not in_tree else None
    if policy.placement.planned != NOT_PLANNED:
        return Parts(None, None, listed, picking, None), True, None
    fgd = True if policy.placement.code == FGD else None
    if policy.backfill.code == CONSERVATIVE:
        # Reservations are made in an order that is settled at the beginning of an instant.
        return Parts(fgd, None, listed or picking, None, None, True if kept else None), None, True
    easy = True if policy.backfill.code == EASY else None
    reordered = True if scores.backfill is not None else None
    return Parts(fgd, easy, listed, picking, reordered), None, None


@inner_kernel
def act(s: Sim, now: float, parts: Parts, planned: bool | None, reserving: bool | None) -> None:
    """Let a policy act once."""
    if planned is not None:
        act_planned(s, now, parts.listed, parts.picking)
    elif reserving is not None:
        act_reserving(s, now, parts.fgd, parts.listed, parts.kept)
    else:
        act_unplanned(s, now, parts)


@inner_kernel
def act_reserving(s: Sim, now: float, fgd: bool | None, listed: bool | None, kept: bool | None) -> None:
    """Let conservative backfilling act once."""
    if kept is not None:
        sort_by_rank(s, s.newcomers, s.counts[NEWCOMERS])
        act_kept(s, now)
    else:
        act_conservative(s, now, fgd, listed)


@inner_kernel
def most_free(s: Sim) -> tuple[int, int]:
    """Return bounds on the cores and GPUs, in thousandths, that any one node has left."""
    if not s.settings[INDEXED]:
        cpu = gpu = -1
        for node in range(len(s.live.cores)):
            if s.live.away[node] == 0:
                cpu = max(cpu, s.live.cores[node])
                gpu = max(gpu, s.live.devices[node])
        return cpu, gpu
    level = len(s.gpu_count) - 1
    while level >= 0 and s.gpu_count[level] == 0:
        level -= 1
    cpu = -1
    for word in range(len(s.block_cpu)):
        cpu = max(cpu, s.block_cpu[word])
    return cpu, level * MILLI + MILLI - 1


@inner_kernel
def completion(s: Sim, row: int, now: float, stamp: int, fgd: bool | None) -> tuple[float, float]:
    """Return the best completion time of a ready task and that of its second-best class of options."""
    t = s.tasks[row]
    if is_planned(t):
        option = best_option(s, row, now, stamp)
        return option[5], option[6]
    count = find(s, s.live, True, row, t.fixed, fgd)
    if count == 0:
        return np.inf, np.inf
    estimate = t.estimate * slowdown(s, count)
    longest = 0.0
    for piece in range(count):
        here = t.paces + s.node_group[s.piece_node[piece]]
        longest = max(longest, rigid_time_compiled(estimate, t.on_gpu, s.speeds[here, 0], s.speeds[here, 1]))
    if s.settings[STRETCHED]:
        longest = stretched(s, t, longest) + fetched(s, row, first_node(s, count))
    return now + longest, np.inf


@inner_kernel
def pick(s: Sim, now: float, walk_stamp: int, plan_stamp: int, fgd: bool | None) -> int:
    """Return the untried task that the order puts first now, -1 for none; ties go to the lower row."""
    kind = s.settings[KIND]
    best = -1
    best_score = np.inf
    for i in range(s.counts[LISTED]):
        row = s.listed[i]
        if s.tasks[row].tried == walk_stamp:
            continue
        if kind == DRF:
            value = dominant_share(s, s.tasks[row].user)
        else:
            first, second = completion(s, row, now, plan_stamp, fgd)
            value = first
            if kind == MAX_MIN:
                value = -first
            elif kind == SUFFERAGE:
                value = -(second - first) if second < np.inf else 0.0
        if best < 0 or value < best_score or (value == best_score and row < best):
            best = row
            best_score = value
    return best


@inner_kernel
def begin_walk(s: Sim, now: float, listed: bool | None) -> tuple[int, int]:
    """Sort what is walked, where the order changes, and return fresh stamps for the walk and for its plan."""
    if listed is not None:
        sort_walk(s, now)
    return fresh_stamp(s), fresh_stamp(s)


@inner_kernel
def next_task(
    s: Sim,
    now: float,
    cursor: int,
    cpu: int,
    gpu: int,
    walk_stamp: int,
    plan_stamp: int,
    fgd: bool | None,
    listed: bool | None,
    picking: bool | None,
) -> tuple[int, int]:
    """Return the next task of the walk and the cursor behind it, -1 for none."""
    if picking is not None:
        row = pick(s, now, walk_stamp, plan_stamp, fgd)
        if row >= 0:
            s.tasks[row].tried = walk_stamp
        return row, cursor + 1
    if listed is not None:
        if cursor >= s.counts[WALKED]:
            return -1, cursor
        return s.walk[cursor], cursor + 1
    rank = tree_next(s, cursor, cpu, gpu)
    if rank < 0:
        return -1, cursor
    return s.row_of_rank[rank], rank + 1


@inner_kernel
def act_unplanned(s: Sim, now: float, parts: Parts) -> None:
    """Let a policy without a plan act once: none, list or easy."""
    unchanged = s.settings[TREE] and not s.counts[RELEASED] and s.counts[NEWCOMERS] <= 64
    # Who waits for power is looked at again whenever something happens.
    unchanged = unchanged and not s.counts[CAPPED]
    s.counts[CAPPED] = 0
    if unchanged and s.settings[BACKFILL] <= LIST:
        act_on_newcomers(s, now, parts.fgd)
    else:
        act_in_order(s, now, parts.fgd, parts.easy, parts.listed, parts.picking, parts.reordered)


@inlined.kernel
def act_on_newcomers(s: Sim, now: float, fgd: bool | None) -> None:
    """Try only the tasks that became ready now: nothing was released, so what did not fit before does not fit now."""
    sort_by_rank(s, s.newcomers, s.counts[NEWCOMERS])
    none = s.settings[BACKFILL] == NONE
    others_wait = s.counts[QUEUED] > s.counts[NEWCOMERS]
    for i in range(s.counts[NEWCOMERS]):
        row = s.newcomers[i]
        t = s.tasks[row]
        if none and others_wait and t.rank > tree_next(s, 0, NOTHING - 1, NOTHING - 1):
            return
        count = find(s, s.live, True, row, t.fixed, fgd)
        if count > 0:
            if is_capped(s, row, t.fixed, count):
                return
            start(s, row, t.fixed, count, now)
        elif none:
            return


@inner_kernel
def act_in_order(
    s: Sim,
    now: float,
    fgd: bool | None,
    easy: bool | None,
    listed: bool | None,
    picking: bool | None,
    reordered: bool | None,
) -> None:
    """Walk the queue without a plan: none, list and easy."""
    backfill = s.settings[BACKFILL]
    walk_stamp, plan_stamp = begin_walk(s, now, listed)
    cursor = 0
    cpu = gpu = NOTHING - 1
    head = -1
    shadow = np.inf
    bounded = backfill == LIST
    while True:
        if bounded and s.settings[TREE]:
            cpu, gpu = most_free(s)
        row, cursor = next_task(s, now, cursor, cpu, gpu, walk_stamp, plan_stamp, fgd, listed, picking)
        if row < 0:
            return
        t = s.tasks[row]
        count = find(s, s.live, True, row, t.fixed, fgd)
        if count == 0:
            if backfill == NONE:
                return
            if easy is not None and head < 0:
                head = row
                shadow = find_shadow(s, head, now)
                bounded = True
                if reordered is not None:
                    backfill_reordered(s, now, head, shadow, fgd, listed, picking)
                    return
            continue
        if easy is not None and head >= 0 and shadow < np.inf and delays_head(s, row, count, now, head, shadow):
            continue
        if is_capped(s, row, t.fixed, count):
            return
        start(s, row, t.fixed, count, now)
        if picking is not None:
            note_started(s, row, plan_stamp)


@inner_kernel
def backfill_reordered(
    s: Sim, now: float, head: int, shadow: float, fgd: bool | None, listed: bool | None, picking: bool | None
) -> None:
    """Try what waits behind a head that does not fit, in the order of backfilling, ties by row."""
    rows = np.empty(s.counts[QUEUED], np.int64)
    size = 0
    if listed is not None or picking is not None:
        for i in range(s.counts[LISTED]):
            rows[i] = s.listed[i]
        size = s.counts[LISTED]
    else:
        cpu, gpu = most_free(s)
        rank = tree_next(s, 0, cpu, gpu)
        while rank >= 0:
            rows[size] = s.row_of_rank[rank]
            size += 1
            rank = tree_next(s, rank + 1, cpu, gpu)
    rows = np.sort(rows[:size])
    scores = np.empty(size)
    for i in range(size):
        row = rows[i]
        scores[i] = s.backfill_base[row] - s.backfill_slope[row] * (now - s.tasks[row].ready)
    sequence = np.argsort(scores, kind="mergesort")
    for i in range(size):
        row = rows[sequence[i]]
        if row == head:
            continue
        t = s.tasks[row]
        count = find(s, s.live, True, row, t.fixed, fgd)
        if count > 0 and not (shadow < np.inf and delays_head(s, row, count, now, head, shadow)):
            if is_capped(s, row, t.fixed, count):
                return
            start(s, row, t.fixed, count, now)


@inner_kernel
def act_planned(s: Sim, now: float, listed: bool | None, picking: bool | None) -> None:
    """Walk the queue with eft or oracle: each task takes its best option, or books it and waits.

    With none the first task that waits blocks; with easy only it books; with list and conservative all that wait do.
    """
    backfill = s.settings[BACKFILL]
    s.counts[CAPPED] = 0
    walk_stamp, plan_stamp = begin_walk(s, now, listed)
    cursor = 0
    waiting = False
    while s.counts[FREE_CPU] > 0 or s.counts[FREE_GPU] > 0:
        row, cursor = next_task(s, now, cursor, NOTHING - 1, NOTHING - 1, walk_stamp, plan_stamp, None, listed, picking)
        if row < 0:
            return
        t = s.tasks[row]
        if not is_planned(t):
            count = find(s, s.live, True, row, t.fixed, None)
            if count > 0:
                if is_capped(s, row, t.fixed, count):
                    return
                start(s, row, t.fixed, count, now)
                note_started(s, row, plan_stamp)
                continue
        else:
            _, fraction, node, begin, starts, _, _ = best_option(s, row, now, plan_stamp)
            if starts:
                put_on(s, row, fraction, node)
                if is_capped(s, row, fraction, 1):
                    return
                start(s, row, fraction, 1, now)
                note_started(s, row, plan_stamp)
                continue
            if node >= 0 and backfill != NONE and not (backfill == EASY and waiting):
                book_option(s, row, fraction, node, begin)
        if backfill == NONE:
            return
        waiting = True


@inner_kernel
def put_on(s: Sim, row: int, fraction: float, node: int) -> None:
    """Write the piece of a planned task: its lowest-numbered free devices on `node`."""
    t = s.tasks[row]
    mask = np.int64(0)
    if not t.hybrid or fraction > 0.0:
        free = s.live.free[node]
        for _ in range(t.gpu // MILLI):
            bit = free & -free
            mask |= bit
            free ^= bit
    s.piece_node[0] = node
    s.piece_mask[0] = mask
    s.piece_device[0] = -1
