"""When a task could start on a set of nodes, as what runs there ends at its time limits."""

import numpy as np

from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.site.hold import place_in_run
from scheduler_sim.engine.kernels.site.kinds import WORD
from scheduler_sim.engine.kernels.site.match import choose
from scheduler_sim.engine.kernels.site.offers import known_of, known_place, ready_cut
from scheduler_sim.engine.kernels.site.recall import (
    LATER,
    UNSURE,
    as_few_as_before,
    is_about,
    is_fresh,
    nodes_hold,
    place_of,
    recall,
    remember,
    remember_later,
)
from scheduler_sim.engine.kernels.site.state import (
    EPOCH,
    GROUPED,
    KILL_WAIT,
    NOBODY,
    PREEMPTION,
    RUN,
    UNDER,
    VICTIMS,
    WORDS,
    State,
)
from scheduler_sim.engine.kernels.structures.bits import bits_up_to, lowest_bit
from scheduler_sim.engine.kernels.structures.select import FEW, begin_least, keep_least, keep_time, select

WINDOW = 30.0
"""Seconds within which ends of running jobs are taken together, doubled after each look (Slurm's cons_tres)."""

LAST = float(np.finfo(np.float64).max)
"""The last instant that is not never."""


@inner_kernel
def _earliest_cut(s: State, kind: int, until: float) -> tuple[float, int]:
    """Return the cut at which `least` nodes of `mask_words` offer a kind what they must; infinity if after `until`."""
    k = s.kinds[kind]
    known, least, size = known_of(s, kind, True), k.least, 0
    mask, known_times, known_rows = s.mask_words, s.known_times, s.known_rows
    ready_times, ready_rows = s.ready_times, s.ready_rows
    # Once there are enough nodes no others count but those that offer as early as the last of these.
    latest = min(until, LAST)
    for w in range(s.part_first_word[k.part], s.part_end_word[k.part]):
        bits = mask[w]
        if known >= 0 and bits != 0:
            bits &= bits_up_to(known_times, known + w * WORD, latest)
        while bits != 0:
            node = w * 64 + lowest_bit(bits)
            bits &= bits - 1
            if known >= 0:
                time, row = known_times[known + node], known_rows[known + node]
            else:
                time, row = ready_cut(s, k, k.must, node)
            if time <= until and time < np.inf:
                size = keep_least(ready_times, ready_rows, size, least, time, row)
        if size == least <= FEW:
            latest = ready_times[least - 1]
            if latest == -np.inf:
                break
    if size < least:
        return np.inf, -1
    if least > FEW:
        select(ready_times, ready_rows, size, least - 1)
    return float(ready_times[least - 1]), int(ready_rows[least - 1])


@inner_kernel
def _earliest_time(s: State, kind: int, until: float) -> float:
    """Return the time of `_earliest_cut` where nobody counts as having given way."""
    k = s.kinds[kind]
    known, least, size = known_place(s, kind, True) * s.settings[WORDS] * WORD, k.least, 0
    mask, times, ready = s.mask_words, s.known_times, s.ready_times
    latest = min(until, LAST)
    begin_least(ready, least)
    for w in range(s.part_first_word[k.part], s.part_end_word[k.part]):
        bits = mask[w]
        if bits != 0:
            bits &= bits_up_to(times, known + w * WORD, latest)
        while bits != 0:
            size = keep_time(ready, size, least, times[known + w * WORD + lowest_bit(bits)])
            bits &= bits - 1
        if size == least <= FEW:
            latest = ready[least - 1]
            if latest == -np.inf:
                break
    if size < least:
        return np.inf
    if least > FEW:
        select(ready, s.ready_rows, size, least - 1)
    return float(ready[least - 1])


@inner_kernel
def _next_overlap(s: State, place: int, behind: int) -> int:
    """Return the first place from `place` on of a running task that holds a node of `suit_words`, `behind` for none.

    Tasks that give way do not count.
    """
    nodes, sets, suit, words = s.run_nodes, s.run_sets, s.suit_words, s.settings[WORDS]
    is_listed, known = s.counts[VICTIMS] + s.counts[UNDER] == 0, len(s.spare_sets)
    while place < behind:
        node = nodes[place]
        number = -1 - node
        if is_listed and node >= 0:
            if (suit[node >> 6] >> (node & 63)) & 1:
                return place
        elif is_listed and number < known:
            common = 0
            for w in range(words):
                common |= sets[number * words + w] & suit[w]
            if common != 0:
                return place
        elif _overlaps(s, place):
            return place
        place += 1
    return behind


@inner_kernel
def _overlaps(s: State, place: int) -> bool:
    """Tell whether a running task that does not give way holds a node of `suit_words`, piece by piece."""
    piece = s.site_tasks[s.run_tasks[place]].first_piece
    if s.held_pieces[piece].yields:
        return False
    while piece >= 0:
        node = s.held_pieces[piece].node
        if (s.suit_words[node // 64] >> (node % 64)) & 1:
            return True
        piece = s.held_pieces[piece].next_of_task
    return False


@inner_kernel
def _stays(s: State, place: int) -> bool:
    """Tell whether a running task does not give way, by its place among those: the others end in no group."""
    if s.counts[VICTIMS] + s.counts[UNDER] == 0:
        return True
    return bool(s.held_pieces[s.site_tasks[s.run_tasks[place]].first_piece].yields == 0)


@inner_kernel
def _grouped(s: State, kind: int, earliest: float, until: float, chooses: bool) -> tuple[float, int, int]:
    """Return the first group's cut at which nodes can be chosen, as Slurm groups ends, and how often it was tried.

    The nodes are chosen; unless it `chooses` it is the first cut at which that would be tried.

    The first group reaches 30 s beyond the first end rounded up to half minutes, the others twice as far each; where
    the last one within it holds none of the nodes, up to the next that does. Nothing can be chosen before `earliest`,
    and nothing is looked for after `until`.
    """
    epoch, running = s.reals[EPOCH], s.counts[RUN]
    first = _next_overlap(s, 0, running)
    tries = 0
    if first == running:
        return np.inf, -1, tries
    begin = (np.floor((s.run_ends[first] + epoch) / WINDOW) + 1.0) * WINDOW - epoch
    window = WINDOW
    # Where a group begins depends on the end of the window before alone: those that end before `earliest` are left out.
    while begin + 2.0 * window < earliest:
        window *= 2.0
    while first < running:
        behind = max(place_in_run(s, first, begin + window, len(s.site_tasks)), first + 1)
        last = behind - 1
        while not _stays(s, last):
            last -= 1
        if _next_overlap(s, last, behind) == behind:
            last = _next_overlap(s, behind, running)
            if last == running:
                # Nothing more is let go: the last one before counts, if there is one.
                last = behind - 1
                while last >= first and _next_overlap(s, last, last + 1) > last:
                    last -= 1
                if last < first:
                    return np.inf, -1, tries
                behind = running
            else:
                behind = last + 1
        first = behind
        window *= 2.0
        while first < running and not _stays(s, first):
            first += 1
        while first < running and s.run_ends[first] > begin + window:
            window *= 2.0
        if s.run_ends[last] > until:
            return np.inf, -1, tries
        if s.run_ends[last] < earliest:
            continue
        tries += 1
        if not chooses or choose(s, kind, s.run_ends[last], s.run_tasks[last], False):
            return float(s.run_ends[last]), int(s.run_tasks[last]), tries
    return np.inf, -1, tries


@inner_kernel
def _searched(s: State, kind: int) -> tuple[float, int]:
    """Return the first end of what runs at which nodes can be chosen; they are."""
    first, last = 0, s.counts[RUN]
    rows = len(s.site_tasks)
    while first < last:
        middle = (first + last) // 2
        if choose(s, kind, s.run_ends[middle], rows, False):
            last = middle
        else:
            first = middle + 1
    while first < s.counts[RUN]:
        if choose(s, kind, s.run_ends[first], rows, False):
            return float(s.run_ends[first]), rows
        first += 1
    return np.inf, -1


@inner_kernel
def _first_cut(s: State, kind: int, until: float, only_now: bool) -> tuple[float, int, float]:
    """Return the first cut at which nodes of `mask_words` can be chosen for a kind; they are.

    Its row is `UNSURE` unless it was the first choice that was made, or `LATER` where none was; behind it stands when
    as many nodes as must be first offer anything. Minus infinity is now, infinity never, or not up to `until`, or not
    now where `only_now` counts.
    """
    if s.settings[GROUPED] and s.counts[VICTIMS] + s.counts[UNDER] == 0:
        # Of the cut only whether it is now is asked here.
        time, row = _earliest_time(s, kind, until), -1
    else:
        time, row = _earliest_cut(s, kind, until)
    earliest = time
    if time == np.inf:
        return np.inf, LATER, earliest
    if time == -np.inf and choose(s, kind, time, row, False):
        return time, row, earliest
    if only_now:
        return np.inf, UNSURE, earliest
    if s.settings[GROUPED]:
        time, row, tries = _grouped(s, kind, time, until, True)
        if tries == 0 and earliest > 0.0:
            return np.inf, LATER, earliest
        is_first = tries == 1 and earliest > -np.inf
        return time, row if is_first and time < np.inf else UNSURE, earliest
    if not s.kinds[kind].counts_nodes:
        time, row = _searched(s, kind)
    elif not choose(s, kind, time, row, False):
        return np.inf, UNSURE, earliest
    return time, UNSURE, earliest


@inner_kernel
def _holds_still(s: State, place: int, kind: int) -> bool:
    """Tell whether an answer is what it would be today, after changes of nodes that it does not rest on.

    The nodes offer the same up to its cut, and that is still the first at which the kind is tried.
    """
    if s.settings[PREEMPTION] != NOBODY or s.answer_row[place] == UNSURE:
        return False
    if s.answer_row[place] == LATER:
        if not as_few_as_before(s, place, kind):
            return False
        earliest = s.answer_earliest[place]
        return bool(earliest == np.inf or _grouped(s, kind, earliest, s.answer_until[place], False)[0] == np.inf)
    if not nodes_hold(s, place, kind):
        return False
    if s.answer_time[place] == -np.inf:
        return True
    time, row, _ = _grouped(s, kind, s.answer_earliest[place], s.answer_time[place], False)
    return bool(time == s.answer_time[place] and row == s.answer_row[place])


@inner_kernel
def will_run(s: State, kind: int, now: float, until: float, only_now: bool) -> float:
    """Return when a kind could start on `mask_words`, `now` at the earliest; the nodes are then chosen.

    Infinity where it could not even when nothing ran, or not up to `until`, or `only_now` counts.
    """
    # Where ends are grouped an answer is as good for any other instant up to which one is looked for.
    if s.settings[GROUPED] and s.counts[VICTIMS] + s.counts[UNDER] == 0 and not only_now:
        place = place_of(s, kind)
        is_known = is_about(s, place, kind)
        is_known = is_known and (s.answer_time[place] < np.inf or s.answer_until[place] >= until)
        if is_known and not is_fresh(s, place):
            is_known = _holds_still(s, place, kind)
        if is_known:
            time = recall(s, place)
            if time > until:
                return np.inf
        else:
            time, row, earliest = _first_cut(s, kind, until, only_now)
            if row == LATER:
                remember_later(s, place, kind, until, earliest)
            else:
                remember(s, place, kind, until, time, row, earliest)
    else:
        time, row, earliest = _first_cut(s, kind, until, only_now)
    if time == -np.inf:
        return now
    if time <= now:
        wait = s.reals[KILL_WAIT] if s.settings[GROUPED] else 0.0
        return max(time + wait, now + 1.0)
    return time
