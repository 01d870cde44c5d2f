"""Who gives way to a task that does not fit, and how."""

import numpy as np

from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.site.events import expect
from scheduler_sim.engine.kernels.site.hold import move_end
from scheduler_sim.engine.kernels.site.match import choose, mark_chosen
from scheduler_sim.engine.kernels.site.offers import CORES_ALONE
from scheduler_sim.engine.kernels.site.state import (
    BY_PARTITION,
    BY_QOS,
    CHANGED,
    GIVES_WAY,
    KILL_WAIT,
    NO_MODE,
    NOBODY,
    PASS,
    PREEMPTION,
    RUN,
    RUNS,
    SUSPENDING,
    SUSPENDS,
    UNDER,
    VICTIMS,
    WORDS,
    YOUNGEST_FIRST,
    State,
)
from scheduler_sim.engine.kernels.site.use import of_qos

RELEASE_TIME = 0.1
"""Seconds between telling a task to stop and having what it holds back (measured)."""

TRIES = 3
"""How often the order of those that would give way is tried (Slurm's preempt_reorder_count of 1, and the plan's)."""


@inner_kernel
def tell_to_stop(s: State, row: int, now: float, overran: bool) -> None:
    """Tell a running task to stop; what it holds is free a little later."""
    t = s.site_tasks[row]
    if t.give_way < np.inf:
        return
    t.give_way = now + RELEASE_TIME
    t.overran = overran
    expect(s, t.give_way, row, GIVES_WAY)
    s.counts[CHANGED] = 1


@inner_kernel
def ask_to_go(s: State, row: int, now: float) -> None:
    """Have a running task give way: at once, or at the end of a while in which it goes on (GraceTime).

    Where that is over it stops when it is asked again, by the one that needs its nodes or by the look at limits.
    """
    t = s.site_tasks[row]
    if t.graced:
        if np.floor(now) >= t.expected:
            tell_to_stop(s, row, now, False)
        return
    grace = s.part_grace[s.kinds[s.entry_kind[t.entry]].part]
    if s.settings[PREEMPTION] == BY_QOS:
        grace = of_qos(s.qos_grace, t.qos)
    if grace == 0.0:
        tell_to_stop(s, row, now, False)
        return
    t.graced = 1
    s.counts[CHANGED] = 1
    if np.floor(now) + grace < t.expected:
        move_end(s, row, np.floor(now) + grace)


@inner_kernel
def mode_of(s: State, row: int) -> int:
    """Return what happens to a running task that must give way."""
    t = s.site_tasks[row]
    if s.settings[PREEMPTION] == NOBODY:
        return NO_MODE
    if s.settings[PREEMPTION] == BY_QOS:
        return int(s.qos_mode[t.qos]) if t.qos >= 0 else int(s.qos_mode[len(s.qos_mode) - 1])
    return int(s.part_mode[s.kinds[s.entry_kind[t.entry]].part])


@inner_kernel
def _tier(s: State, row: int) -> int:
    """Return the highest tier of the partitions of a task."""
    tier = 0
    for entry in range(s.first_entry[row], s.first_entry[row + 1]):
        tier = max(tier, s.part_tier[s.kinds[s.entry_kind[entry]].part])
    return int(tier)


@inner_kernel
def _on_nodes_of(s: State, row: int, other: int) -> bool:
    """Tell whether a running task holds a node of one of another task's partitions."""
    words = s.settings[WORDS]
    piece = s.site_tasks[row].first_piece
    while piece >= 0:
        node = s.held_pieces[piece].node
        for entry in range(s.first_entry[other], s.first_entry[other + 1]):
            part = s.kinds[s.entry_kind[entry]].part
            if (s.part_masks[part * words + node // 64] >> (node % 64)) & 1:
                return True
        piece = s.held_pieces[piece].next_of_task
    return False


@inner_kernel
def _goes_first(s: State, one: int, other: int) -> bool:
    """Tell whether one task is asked to give way before another."""
    a, b = s.site_tasks[one], s.site_tasks[other]
    if s.settings[YOUNGEST_FIRST]:
        if np.floor(a.begun) != np.floor(b.begun):
            return bool(np.floor(a.begun) > np.floor(b.begun))
        return one < other
    if s.settings[PREEMPTION] == BY_QOS:
        last = len(s.qos_rank) - 1
        rank = s.qos_rank[a.qos if a.qos >= 0 else last]
        rank_b = s.qos_rank[b.qos if b.qos >= 0 else last]
    else:
        rank = s.part_tier[s.kinds[s.entry_kind[a.entry]].part]
        rank_b = s.part_tier[s.kinds[s.entry_kind[b.entry]].part]
    if rank != rank_b:
        return bool(rank < rank_b)
    nodes, nodes_b = _nodes_held(s, one), _nodes_held(s, other)
    if nodes != nodes_b:
        return bool(nodes < nodes_b)
    return one < other


@inner_kernel
def _nodes_held(s: State, row: int) -> int:
    count = 0
    piece = s.site_tasks[row].first_piece
    while piece >= 0:
        count += 1
        piece = s.held_pieces[piece].next_of_task
    return count


@inner_kernel
def list_victims(s: State, row: int, now: float) -> None:
    """List the running tasks that must give way to one, in the order in which they are asked to."""
    s.counts[VICTIMS] = 0
    if s.settings[PREEMPTION] == NOBODY:
        return
    t = s.site_tasks[row]
    many = len(s.qos_rank)
    if s.settings[PREEMPTION] == BY_QOS and (t.qos < 0 or not s.qos_preempts[t.qos * many + many - 1]):
        return
    for i in range(s.counts[RUN]):
        other = s.run_tasks[i]
        v = s.site_tasks[other]
        if s.settings[PREEMPTION] == BY_QOS:
            gives_way = v.qos >= 0 and s.qos_preempts[t.qos * many + v.qos]
        else:
            gives_way = s.part_tier[s.kinds[s.entry_kind[v.entry]].part] < _tier(s, row)
        if not gives_way or v.state != RUNS or v.give_way < np.inf or now < v.begun + of_qos(s.qos_exempt, v.qos):
            continue
        mode = mode_of(s, other)
        if mode in (NO_MODE, SUSPENDS) or not _on_nodes_of(s, other, row):
            continue
        j = s.counts[VICTIMS]
        while j > 0 and _goes_first(s, other, s.victim_rows[j - 1]):
            s.victim_rows[j] = s.victim_rows[j - 1]
            j -= 1
        s.victim_rows[j] = other
        s.counts[VICTIMS] += 1


@inner_kernel
def could_displace(s: State, row: int) -> bool:
    """Tell whether there may be tasks that must give way to one."""
    if s.settings[PREEMPTION] != BY_QOS:
        return bool(s.settings[PREEMPTION] != NOBODY)
    many = len(s.qos_rank)
    qos = s.site_tasks[row].qos
    return bool(qos >= 0 and s.qos_preempts[qos * many + many - 1])


@inner_kernel
def let_yield(s: State, row: int, yields: int) -> None:
    """Count what a running task holds as free, or no longer."""
    piece = s.site_tasks[row].first_piece
    while piece >= 0:
        s.held_pieces[piece].yields = yields
        piece = s.held_pieces[piece].next_of_task


@inner_kernel
def all_yield(s: State, yields: int) -> None:
    """Count what all listed tasks hold as free, or no longer."""
    for i in range(s.counts[VICTIMS]):
        let_yield(s, s.victim_rows[i], yields)


@inner_kernel
def list_under(s: State, kind: int, row: int) -> None:
    """List the tasks that would be suspended for one of a kind, running or suspended already; their cores are free."""
    s.counts[UNDER] = 0
    part = s.kinds[kind].part
    if not s.settings[SUSPENDING] or not s.part_overlays[part] or not could_displace(s, row):
        return
    many, qos = len(s.qos_rank), s.site_tasks[row].qos
    for i in range(s.counts[RUN]):
        other = s.run_tasks[i]
        v = s.site_tasks[other]
        below = s.kinds[s.entry_kind[v.entry]].part
        if s.settings[PREEMPTION] == BY_QOS:
            gives_way = v.qos >= 0 and s.qos_preempts[qos * many + v.qos]
        else:
            gives_way = s.part_tier[below] < s.part_tier[part]
        if gives_way and s.part_overlays[below] and v.give_way == np.inf and mode_of(s, other) == SUSPENDS:
            s.under_rows[s.counts[UNDER]] = other
            s.counts[UNDER] += 1
            let_yield(s, other, CORES_ALONE)


@inner_kernel
def forget_under(s: State) -> None:
    """Count the cores of those who would be suspended as theirs again."""
    for i in range(s.counts[UNDER]):
        let_yield(s, s.under_rows[i], 0)
    s.counts[UNDER] = 0


@inner_kernel
def _next_lower(s: State, part: int) -> int:
    """Return the partition that follows one in the order of tiers, the highest first, -1 for none."""
    best = -1
    for other in range(len(s.part_tier)):
        follows = s.part_tier[other] < s.part_tier[part] or (s.part_tier[other] == s.part_tier[part] and other > part)
        if follows and (best < 0 or s.part_tier[other] > s.part_tier[best]):
            best = other
    return best


@inner_kernel
def _spare_partition(s: State, part: int, yields: int) -> int:
    """Let the cores of a partition's listed tasks count as free or not; return how many tasks these are."""
    count = 0
    for i in range(s.counts[UNDER]):
        other = s.under_rows[i]
        if s.kinds[s.entry_kind[s.site_tasks[other].entry]].part == part:
            let_yield(s, other, yields)
            count += 1
    return count


@inner_kernel
def choose_over(s: State, kind: int, row: int) -> bool:
    """Choose nodes whose cores others use that would be suspended.

    By partitions, those of the highest tiers go on if it fits without their cores, then those of the next, and so on.
    """
    list_under(s, kind, row)
    fits = s.counts[UNDER] > 0 and choose(s, kind, -np.inf, -1, True)
    part = s.kinds[kind].part
    while fits and s.settings[PREEMPTION] == BY_PARTITION:
        part = _next_lower(s, part)
        if part < 0:
            break
        if _spare_partition(s, part, 0) > 0 and not choose(s, kind, -np.inf, -1, True):
            _spare_partition(s, part, CORES_ALONE)
            choose(s, kind, -np.inf, -1, True)
            break
    forget_under(s)
    return bool(fits)


@inner_kernel
def _overlap(s: State, row: int) -> int:
    """Return how many of the chosen nodes a running task holds."""
    count = 0
    piece = s.site_tasks[row].first_piece
    while piece >= 0:
        node = s.held_pieces[piece].node
        count += (s.chosen_words[node // 64] >> (node % 64)) & 1
        piece = s.held_pieces[piece].next_of_task
    return int(count)


@inner_kernel
def _reorder(s: State, taken: int) -> None:
    """Ask the last one that was needed first, and the others by how many of the chosen nodes they hold."""
    last = s.victim_rows[taken - 1]
    for i in range(taken - 1):
        s.victim_overlap[i] = _overlap(s, s.victim_rows[i])
    for i in range(1, taken - 1):
        row, overlap = s.victim_rows[i], s.victim_overlap[i]
        j = i
        while j > 0 and s.victim_overlap[j - 1] < overlap:
            s.victim_rows[j], s.victim_overlap[j] = s.victim_rows[j - 1], s.victim_overlap[j - 1]
            j -= 1
        s.victim_rows[j], s.victim_overlap[j] = row, overlap
    for i in range(taken - 1, 0, -1):
        s.victim_rows[i] = s.victim_rows[i - 1]
    s.victim_rows[0] = last


@inner_kernel
def choose_by_preemption(s: State, kind: int, row: int, now: float) -> bool:
    """Choose nodes that are free once others stop; the list is left with those that must.

    They are taken away one by one until it fits; then in another order, as `TRIES` says.
    """
    list_victims(s, row, now)
    if s.counts[VICTIMS] > 0:
        list_under(s, kind, row)
    found = _choose_without_victims(s, kind)
    forget_under(s)
    return found


@inner_kernel
def _choose_without_victims(s: State, kind: int) -> bool:
    for attempt in range(TRIES):
        taken, fits = 0, False
        while taken < s.counts[VICTIMS] and not fits:
            let_yield(s, s.victim_rows[taken], 1)
            taken += 1
            fits = choose(s, kind, -np.inf, -1, False)
        all_yield(s, 0)
        if not fits:
            s.counts[VICTIMS] = 0
            return False
        mark_chosen(s)
        if attempt == TRIES - 1 or s.counts[VICTIMS] <= attempt + 1:
            kept = 0
            for i in range(taken):
                if _overlap(s, s.victim_rows[i]) > 0:
                    s.victim_rows[kept] = s.victim_rows[i]
                    kept += 1
            s.counts[VICTIMS] = kept
            return True
        _reorder(s, taken)
    return False


@inner_kernel
def displace(s: State, row: int, now: float) -> None:
    """Tell the listed tasks to give way, unless the task has only just had others told."""
    t = s.site_tasks[row]
    if now - t.preempted_at <= s.reals[KILL_WAIT] + 30.0:
        return
    t.preempted_at = np.floor(now)
    t.preempting = s.counts[PASS]
    for i in range(s.counts[VICTIMS]):
        ask_to_go(s, s.victim_rows[i], now)
