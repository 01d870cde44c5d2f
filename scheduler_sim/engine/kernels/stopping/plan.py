"""Conservative backfilling on nodes where waiting tasks may stop running ones: a plan made anew, in order, each time.

Who is ahead is planned first, so that nobody behind can delay it. The plan is a list of spans: of a running task from
now to its expected end, or to the first instant at which those ahead need its place; of a waiting one from the earliest
time at which some nodes hold it through its length on the slowest group.
"""

import numpy as np

from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.cluster.choose import find
from scheduler_sim.engine.kernels.cluster.reserve import lessen, longest
from scheduler_sim.engine.kernels.cluster.start import piece_sides
from scheduler_sim.engine.kernels.cluster.state import CAPPED, DEPTH, DRAWN, OUTAGES, Sim, needs
from scheduler_sim.engine.kernels.cluster.view import copy_view
from scheduler_sim.engine.kernels.stopping.schedule import (
    carry_out,
    has_power,
    holds,
    in_one_order,
    keep_pieces,
    move_kept,
    move_running,
    power_of_found,
    power_of_running,
    still_free,
)
from scheduler_sim.engine.kernels.stopping.state import BEGUN, KEPT, POWER, SPANS, STOPPED, Life
from scheduler_sim.engine.kernels.structures.lists import append


@inner_kernel
def _take_span(s: Sim, h: Life, row: int) -> None:
    """Take what a span holds out of `plan`."""
    if h.lives[row].runs:
        move_running(s, s.plan, row, 1)
    else:
        move_kept(s, h, s.plan, row, 1)


@inner_kernel
def _give_span(s: Sim, h: Life, row: int) -> None:
    """Give what a span holds back to `plan`."""
    if h.lives[row].runs:
        move_running(s, s.plan, row, -1)
    else:
        move_kept(s, h, s.plan, row, -1)


@inner_kernel
def _narrow(s: Sim, h: Life, row: int) -> None:
    """Lower `window` to what `plan` has left where a span has begun."""
    if h.lives[row].runs:
        chunk = s.tasks[row].chunk
        while chunk >= 0:
            lessen(s, s.chunks[chunk].node)
            chunk = s.chunks[chunk].more
        return
    for piece in range(h.lives[row].kept):
        lessen(s, h.kept_node[h.lives[row].first_kept + piece])


@inner_kernel
def _plan_at(s: Sim, h: Life, time: float) -> None:
    """Let `plan` be the nodes at a time; `empty` is without what runs."""
    copy_view(s.plan, s.empty)
    for i in range(s.counts[OUTAGES], len(s.outage_times)):
        if s.outage_times[i] <= time:
            s.plan.away[s.outage_nodes[i]] += s.outage_signs[i]
    for i in range(h.counts[SPANS]):
        if h.span_begins[i] <= time < h.span_ends[i]:
            _take_span(s, h, h.span_rows[i])


@inner_kernel
def _hold(h: Life, row: int, begin: float, end: float) -> None:
    """Add a span to the plan."""
    if end <= begin:
        return
    i = h.counts[SPANS]
    h.span_rows[i], h.span_begins[i], h.span_ends[i] = row, begin, end
    h.counts[SPANS] = i + 1


@inner_kernel
def _until_needed(s: Sim, h: Life, row: int, now: float, end: float) -> float:
    """Return when the plan first needs the place of a running task, `end` if it does not before."""
    first = end
    for i in range(-1, h.counts[SPANS]):
        time = now if i < 0 else h.span_begins[i]
        if now <= time < first:
            _plan_at(s, h, time)
            if not still_free(s, s.plan, row):
                first = time
    return first


@inner_kernel
def _find_through(s: Sim, h: Life, row: int, begin: float, length: float, fgd: bool | None) -> int:
    """Find pieces that stay free from `begin` on for so long; return how many, 0 for none."""
    _plan_at(s, h, begin)
    copy_view(s.window, s.plan)
    spans, known = h.counts[SPANS], len(s.outage_times)
    times = np.empty(2 * spans + known)
    codes = np.empty(2 * spans + known, np.int64)
    size = 0
    for i in range(spans):
        for takes in range(2):
            time = h.span_begins[i] if takes else h.span_ends[i]
            # What ends before `begin`, or begins after what ends within, was not taken or is taken in its turn.
            if begin < time < begin + length:
                times[size], codes[size] = time, 2 * i + takes
                size += 1
    for i in range(s.counts[OUTAGES], known):
        if begin < s.outage_times[i] < begin + length:
            times[size], codes[size] = s.outage_times[i], 2 * (spans + i)
            size += 1
    sequence = np.argsort(codes[:size] % 2, kind="mergesort")
    sequence = sequence[np.argsort(times[:size][sequence], kind="mergesort")]
    for k in range(size):
        code = codes[sequence[k]]
        number = code // 2
        if number >= spans:
            s.plan.away[s.outage_nodes[number - spans]] += s.outage_signs[number - spans]
            lessen(s, s.outage_nodes[number - spans])
        elif code % 2:
            _take_span(s, h, h.span_rows[number])
            _narrow(s, h, h.span_rows[number])
        else:
            _give_span(s, h, h.span_rows[number])
    return find(s, s.window, False, row, s.tasks[row].fixed, fgd)


@inner_kernel
def _earliest(s: Sim, h: Life, row: int, now: float, fgd: bool | None) -> tuple[float, int]:
    """Return the earliest time at which some nodes hold a task through its length, and how many pieces were found."""
    spans, known = h.counts[SPANS], len(s.outage_times)
    times = np.empty(1 + spans + known)
    times[0] = now
    size = 1
    for i in range(spans):
        if h.span_ends[i] > now:
            times[size] = h.span_ends[i]
            size += 1
    for i in range(s.counts[OUTAGES], known):
        if s.outage_times[i] > now:
            times[size] = s.outage_times[i]
            size += 1
    times = np.sort(times[:size])
    length = longest(s, row)
    for i in range(size):
        if i > 0 and times[i] == times[i - 1]:
            continue
        count = _find_through(s, h, row, times[i], length, fgd)
        if count > 0:
            return times[i], count
    return np.inf, 0


@inner_kernel
def _kept_free(s: Sim, h: Life, row: int) -> bool:
    """Tell whether what was found for a task is really free: overdue tasks hold more than the plan says."""
    t, life = s.tasks[row], h.lives[row]
    for piece in range(life.kept):
        at = life.first_kept + piece
        cpu, _, share, memory = needs(t, t.fixed, piece)
        if not holds(s.beside, h.kept_node[at], cpu, memory, h.kept_mask[at], h.kept_device[at], share):
            return False
    return True


@inner_kernel
def build_by_plan(s: Sim, h: Life, now: float, fgd: bool | None) -> None:
    """Plan running and waiting tasks in one order; the first `depth` that go on waiting get places."""
    rows = in_one_order(s, h, now)
    h.counts[STOPPED] = h.counts[BEGUN] = h.counts[KEPT] = h.counts[SPANS] = s.counts[CAPPED] = 0
    h.counts[POWER] = s.counts[DRAWN]
    copy_view(s.empty, s.live)
    for i in range(len(rows)):
        if h.lives[rows[i]].runs:
            move_running(s, s.empty, rows[i], -1)
            h.counts[POWER] -= power_of_running(s, rows[i])
    copy_view(s.beside, s.empty)
    planned = 0
    for i in range(len(rows)):
        row = rows[i]
        t = s.tasks[row]
        if h.lives[row].runs:
            power = power_of_running(s, row)
            # Who runs goes on where the cap falls, and stops where somebody ahead begins and takes its power.
            if not still_free(s, s.beside, row) or (h.counts[BEGUN] > 0 and not has_power(s, h, power)):
                append(h.stopping, h.counts, STOPPED, row)
                continue
            move_running(s, s.beside, row, 1)
            h.counts[POWER] += power
            _hold(h, row, now, _until_needed(s, h, row, now, max(t.end, now)))
            continue
        if planned >= s.settings[DEPTH]:
            continue
        begin, count = _earliest(s, h, row, now, fgd)
        if count > 0:
            cpu, gpu = piece_sides(s, t, t.estimate, t.fixed, count)
            power = power_of_found(s, row, count)
            keep_pieces(s, h, row, count)
            _hold(h, row, begin, begin + max(cpu, gpu))
            if begin == now and not s.counts[CAPPED] and _kept_free(s, h, row):
                if has_power(s, h, power):
                    move_kept(s, h, s.beside, row, 1)
                    append(h.beginning, h.counts, BEGUN, row)
                    h.counts[POWER] += power
                    continue
                s.counts[CAPPED] = 1
        planned += 1
    carry_out(s, h, now)
