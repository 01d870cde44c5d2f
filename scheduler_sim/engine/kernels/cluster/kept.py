"""Conservative backfilling whose reservations stay from instant to instant, and are placed again only where that can
change them.

Under first_fit a reservation that is lifted comes back to its place unless some node has gained room, since a task
ended before it was expected to or a reservation moved, or somebody came to its own node since (`disturb`). Where
neither is so, only newcomers are placed, and what is due starts; else those are placed again that could begin earlier,
or on a lower node, on one that gained room since they were placed, which `movers.py` finds without looking at others.

Played so are rigid tasks in an order that does not change, on nodes without outages, sleep or a power cap, and gangs of
whole nodes; `reserve.py` plans everything else anew.
"""

from typing import Any

import numpy as np

from scheduler_sim.engine.clusters.demand import Demands
from scheduler_sim.engine.codes import FIRST_FIT
from scheduler_sim.engine.jit import called_kernel, inner_kernel
from scheduler_sim.engine.kernels.cluster.movers import next_to_move, note_place, room_to_move
from scheduler_sim.engine.kernels.cluster.queue import NOTHING, sort_by_rank, tree_next
from scheduler_sim.engine.kernels.cluster.reserve import longest, pieces_free
from scheduler_sim.engine.kernels.cluster.search import (
    LENGTHS,
    OUTDATED,
    UNKNOWN,
    find_gang,
    find_one,
    is_looked_at,
)
from scheduler_sim.engine.kernels.cluster.start import fetched, first_node, piece_sides, start
from scheduler_sim.engine.kernels.cluster.state import (
    BOOKED,
    DISTURBED,
    DUES,
    GAINS,
    HOPES,
    NEWCOMERS,
    OVERRUN,
    Sim,
    pieces_of,
)
from scheduler_sim.engine.kernels.structures.heap import heap_pop, heap_push
from scheduler_sim.engine.kernels.structures.rank_set import add_rank, drop_rank, next_rank
from scheduler_sim.engine.problem import Problem


def keeps_reservations(problem: Problem, asked: Demands) -> bool:
    """Tell whether reservations may stay from instant to instant."""
    cluster, placement = problem.cluster, problem.policy.placement
    rest = (asked.full_nodes > 0) & ((asked.last_cpu > 0) | (asked.last_gpu > 0))
    return (
        placement.code == FIRST_FIT
        and not placement.in_turn
        and problem.options.conservative_depth is None
        and problem.cap is None
        and not cluster.sleeps
        and not any(group.outages for group in cluster.groups)
        and not problem.workload.hybrid.any()
        and not rest.any()
    )


def room_for(n: int, nodes: int, tasks: Any, reserved: int, on_one_node: int) -> dict[str, Any]:
    """Return room for what is known of the plan of `n` tasks."""
    kinds = LENGTHS * (int(tasks["fgd_kind"].max(initial=-1)) + 1) if n else 0
    pieces = reserved if n else 0
    return {
        "plan_first": np.full(nodes if n else 0, -1, np.int64),
        **{f"plan_{what}": np.full(pieces, -1, np.int64) for what in ("after", "before", "row")},
        "soonest": np.full((kinds, nodes), -np.inf),
        "ahead_times": np.zeros(2 * n + on_one_node + 1),
        "ahead_codes": np.zeros(2 * n + on_one_node + 1, np.int64),
        "book_times": np.zeros(2 * n + 1),
        "book_rows": np.zeros(2 * n + 1, np.int64),
        "hope_times": np.zeros(n + 1),
        "hope_rows": np.zeros(n + 1, np.int64),
        "due_rows": np.zeros(3 * n + 1, np.int64),
        "disturbed": np.zeros(n, np.int64),
        **room_to_move(n, nodes, tasks),
    }


@inner_kernel
def gain(s: Sim, node: int, begin: float, rank: int) -> None:
    """Note that a node has more room in the plan from `begin` on.

    `soonest` says too much of it until its next to move was looked for.

    Args:
        rank: who moved away, before whom others look at it at the next instant only; 0 where a task ended.
    """
    if not s.gained[node]:
        s.gained[node] = 1
        s.gain_from[node] = begin
        s.gains[s.counts[GAINS]] = node
        s.counts[GAINS] += 1
    s.gain_from[node] = min(s.gain_from[node], begin)
    s.gain_until[node] = NOTHING
    s.gain_again[node] = rank
    s.gain_next[node] = rank
    s.gain_free[node] = -1
    s.step_state[node] = UNKNOWN


@called_kernel
def note_end(s: Sim, row: int, now: float) -> None:
    """Note that a task ends that may not have been expected to."""
    if s.tasks[row].end > now:
        chunk = s.tasks[row].chunk
        while chunk >= 0:
            gain(s, s.chunks[chunk].node, now, 0)
            chunk = s.chunks[chunk].more


@called_kernel
def next_reserved(s: Sim) -> float:
    """Return the earliest reservation still ahead, infinity for none; those due at the present instant are noted."""
    while s.counts[BOOKED] > 0:
        time, row = s.book_times[0], s.book_rows[0]
        if s.reserved_time[row] == time:
            if time > s.clock[0]:
                return float(time)
            s.due_rows[s.counts[DUES]] = row
            s.counts[DUES] += 1
        heap_pop(s.book_times, s.book_rows, s.counts[BOOKED])
        s.counts[BOOKED] -= 1
    return np.inf


@inner_kernel
def link(s: Sim, row: int) -> None:
    """Write the reserved pieces of a task into the plans of their nodes."""
    for piece in range(pieces_of(s.tasks[row])):
        at = s.reserved_first[row] + piece
        node = s.reserved_node[at]
        s.plan_row[at] = row
        s.plan_before[at] = -1
        s.plan_after[at] = s.plan_first[node]
        if s.plan_first[node] >= 0:
            s.plan_before[s.plan_first[node]] = at
        s.plan_first[node] = at


@inner_kernel
def unlink(s: Sim, row: int) -> None:
    """Take the reserved pieces of a task out of the plans of their nodes."""
    for piece in range(pieces_of(s.tasks[row])):
        at = s.reserved_first[row] + piece
        if s.plan_before[at] >= 0:
            s.plan_after[s.plan_before[at]] = s.plan_after[at]
        else:
            s.plan_first[s.reserved_node[at]] = s.plan_after[at]
        if s.plan_after[at] >= 0:
            s.plan_before[s.plan_after[at]] = s.plan_before[at]


@inner_kernel
def mark_disturbed(s: Sim, row: int, disturbed: bool) -> None:
    """Note whether a reservation might not come back to its place, were it lifted."""
    if disturbed and not s.disturbed[row]:
        add_rank(s.disturbed_words, s.disturbed_starts, s.tasks[row].rank)
    elif s.disturbed[row] and not disturbed:
        drop_rank(s.disturbed_words, s.disturbed_starts, s.tasks[row].rank)
    s.disturbed[row] = disturbed


@inner_kernel
def disturb(s: Sim, row: int) -> None:
    """Note whose reservations might not come back to their places, were they lifted, because `row` is on their nodes.

    A place must be free for as long as the task takes at the longest, and is held for as long as it takes there: others
    may come behind that, or to the place of a task of no length. A part of a GPU goes to the GPU that has least left.
    """
    begin = s.reserved_time[row]
    end = begin + s.reserved_from[2 * row]
    if end == begin:
        return
    for piece in range(pieces_of(s.tasks[row])):
        at = s.reserved_first[row] + piece
        other_at = s.plan_first[s.reserved_node[at]]
        while other_at >= 0:
            other = s.plan_row[other_at]
            time, held, needed = s.reserved_time[other], s.reserved_from[2 * other], s.reserved_from[2 * other + 1]
            if other != row and begin <= time + needed and end > time:
                behind = end > time + held and (held < needed or held == 0.0)
                if behind or (s.reserved_device[at] >= 0 and s.reserved_device[other_at] >= 0):
                    mark_disturbed(s, other, True)
                    s.counts[DISTURBED] = 1
            other_at = s.plan_after[other_at]


@inner_kernel
def book(s: Sim, row: int) -> None:
    """Expect the instant of a reservation."""
    if s.counts[BOOKED] == len(s.book_rows):
        # Most were given up: those that hold are written anew.
        s.counts[BOOKED] = 0
        rank = tree_next(s, 0, NOTHING - 1, NOTHING - 1)
        while rank >= 0:
            other = s.row_of_rank[rank]
            if other != row and s.reserved_time[other] < np.inf:
                heap_push(s.book_times, s.book_rows, s.counts[BOOKED], s.reserved_time[other], other)
                s.counts[BOOKED] += 1
            rank = tree_next(s, rank + 1, NOTHING - 1, NOTHING - 1)
    heap_push(s.book_times, s.book_rows, s.counts[BOOKED], s.reserved_time[row], row)
    s.counts[BOOKED] += 1


@inner_kernel
def place(s: Sim, row: int, now: float, lifted: bool, looks: int) -> None:
    """Give a task the earliest time at which some nodes hold it through its expected length.

    Args:
        lifted: it has a reservation, which is given up for one that is no later.
        looks: how many nodes `looked` holds, to which alone a task on one node may go; -1 for all.
    """
    t = s.tasks[row]
    count = pieces_of(t)
    latest = np.inf
    first = s.reserved_first[row]
    if lifted:
        latest = s.reserved_time[row]
        unlink(s, row)
    mark_disturbed(s, row, False)
    own = s.reserved_node[first] if lifted else -1
    gang = count > 1 or t.full_nodes > 0
    time = find_gang(s, row, now, latest) if gang else find_one(s, row, now, latest, own, looks)
    if time == np.inf and lifted:
        link(s, row)
        if gang or is_looked_at(s, looks, own):
            # Whatever gains room may hold it better than a place that is not wholly its own.
            mark_disturbed(s, row, True)
        return
    moved = lifted and time != latest
    for piece in range(count):
        at = first + piece
        moved = moved or (lifted and s.reserved_node[at] != s.piece_node[piece])
        moved = moved or (lifted and s.reserved_mask[at] != s.piece_mask[piece])
        moved = moved or (lifted and s.reserved_device[at] != s.piece_device[piece])
    if moved:
        for piece in range(count):
            gain(s, s.reserved_node[first + piece], latest, t.rank)
    s.reserved_time[row] = time
    length = longest(s, row)
    note_place(s, row, time, length)
    if time == np.inf:
        return
    seconds, _ = piece_sides(s, t, t.estimate, t.fixed, count)
    s.reserved_from[2 * row] = seconds + fetched(s, row, first_node(s, count))
    s.reserved_from[2 * row + 1] = length
    for piece in range(count):
        s.reserved_node[first + piece] = s.piece_node[piece]
        s.reserved_mask[first + piece] = s.piece_mask[piece]
        s.reserved_device[first + piece] = s.piece_device[piece]
    link(s, row)
    if moved or not lifted:
        for piece in range(count):
            s.step_state[s.piece_node[piece]] = min(s.step_state[s.piece_node[piece]], OUTDATED)
        disturb(s, row)
        book(s, row)


@inner_kernel
def overruns(s: Sim, now: float) -> bool:
    """Tell whether something runs that was expected to have ended."""
    while s.counts[HOPES] > 0 and s.hope_times[0] <= now:
        if np.isnan(s.tasks[s.hope_rows[0]].finish):
            return True
        heap_pop(s.hope_times, s.hope_rows, s.counts[HOPES])
        s.counts[HOPES] -= 1
    return False


@inner_kernel
def place_anew(s: Sim, now: float) -> None:
    """Lift all reservations together, and place them in the order of the queue."""
    s.counts[BOOKED] = s.counts[DISTURBED] = s.counts[GAINS] = 0
    for node in range(len(s.plan_first)):
        s.plan_first[node] = -1
        s.gained[node] = 0
        s.step_state[node] = UNKNOWN
        for kind in range(len(s.soonest)):
            s.soonest[kind, node] = -np.inf
    for again in (False, True):
        rank = tree_next(s, 0, NOTHING - 1, NOTHING - 1)
        while rank >= 0:
            row = s.row_of_rank[rank]
            if not np.isnan(s.reserved_time[row]) and again:
                place(s, row, now, False, -1)
            elif not np.isnan(s.reserved_time[row]):
                # Not there for those before it.
                s.reserved_time[row] = np.inf
            rank = tree_next(s, rank + 1, NOTHING - 1, NOTHING - 1)


@inner_kernel
def place_again(s: Sim, now: float) -> None:
    """Lift and place again, each alone and in the order of the queue, the reservations that may move.

    Who leaves a node gives it room for those behind, and at the next instant for those before.
    """
    s.counts[DISTURBED] = 0
    for i in range(s.counts[GAINS]):
        node = s.gains[i]
        s.gain_free[node] = -1
        s.gain_next[node] = next_to_move(s, node, now, 0)
    rank = 0
    while True:
        disturbed = next_rank(s.disturbed_words, s.disturbed_starts, rank)
        first = disturbed if disturbed >= 0 else NOTHING
        for i in range(s.counts[GAINS]):
            first = min(first, s.gain_next[s.gains[i]])
        if first == NOTHING:
            break
        looks = -1
        if first != disturbed:
            looks = 0
            for i in range(s.counts[GAINS]):
                if s.gain_next[s.gains[i]] == first:
                    s.looked[looks] = s.gains[i]
                    looks += 1
        row = s.row_of_rank[first]
        place(s, row, now, s.reserved_time[row] < np.inf, looks)
        rank = first + 1
        for i in range(s.counts[GAINS]):
            node = s.gains[i]
            if s.gain_next[node] == first:
                s.gain_next[node] = next_to_move(s, node, now, rank)
    size = 0
    for i in range(s.counts[GAINS]):
        node = s.gains[i]
        s.gain_until[node] = s.gain_again[node]
        s.gain_again[node] = 0
        if s.gain_until[node] > 0:
            s.gains[size] = node
            size += 1
        else:
            s.gained[node] = 0
    s.counts[GAINS] = size


@inner_kernel
def act_kept(s: Sim, now: float) -> None:
    """Act as `act_conservative` does, where reservations are kept."""
    missed = False
    for i in range(s.counts[DUES]):
        missed = missed or s.reserved_time[s.due_rows[i]] < now
    while not missed and s.counts[BOOKED] > 0 and s.book_times[0] < now:
        missed = s.reserved_time[s.book_rows[0]] == s.book_times[0]
        heap_pop(s.book_times, s.book_rows, s.counts[BOOKED])
        s.counts[BOOKED] -= 1
    overran = overruns(s, now)
    s.counts[OVERRUN] = overran
    if missed or overran:
        s.counts[DUES] = 0
        place_anew(s, now)
    elif s.counts[GAINS] > 0 or s.counts[DISTURBED]:
        place_again(s, now)
    for i in range(s.counts[NEWCOMERS]):
        place(s, s.newcomers[i], now, False, -1)
    next_reserved(s)
    dues = s.counts[DUES]
    s.counts[DUES] = 0
    # Those that are due start in the order of the queue.
    sort_by_rank(s, s.due_rows, dues)
    for i in range(dues):
        row = s.due_rows[i]
        if s.reserved_time[row] != now or (i > 0 and s.due_rows[i - 1] == row):
            continue
        t: Any = s.tasks[row]
        if pieces_free(s, row):
            unlink(s, row)
            s.reserved_time[row] = np.nan
            note_place(s, row, -np.inf, np.inf)
            mark_disturbed(s, row, False)
            start(s, row, t.fixed, pieces_of(t), now)
            heap_push(s.hope_times, s.hope_rows, s.counts[HOPES], t.end, row)
            s.counts[HOPES] += 1
        else:
            s.due_rows[s.counts[DUES]] = row
            s.counts[DUES] += 1
