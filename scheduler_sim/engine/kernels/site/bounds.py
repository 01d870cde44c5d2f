"""When the plan of a task can begin at the earliest, found node by node, so that a pass leaves out what is in vain.

A task begins on nodes that offer it something by then and are promised to nobody as long as it runs. Promises and
starts only take away within a pass: no plan of the same kind and limit begins earlier later on in it.
"""

import numpy as np

from scheduler_sim.engine import inlined
from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.site.kinds import WORD
from scheduler_sim.engine.kernels.site.offers import known_place
from scheduler_sim.engine.kernels.site.state import LEAST_LIMIT, LISTED, NODES, RESOLUTION, SLOTS, WORDS, State
from scheduler_sim.engine.kernels.structures.bits import bits_in, bits_up_to, lowest_bit
from scheduler_sim.engine.kernels.structures.select import FEW, begin_least, keep_time, select
from scheduler_sim.engine.kernels.structures.vectors import bits_that_fit


@inner_kernel
def forget_promises(s: State) -> None:
    """Begin a plan in which nothing is promised."""
    s.counts[LISTED] = 0
    for w in range(s.settings[WORDS]):
        s.promise_words[w] = 0
    for node in range(s.settings[NODES]):
        s.promise_first[node] = -1


@inner_kernel
def list_promise(s: State, begin: float, end: float) -> None:
    """Note that the nodes of `chosen_words` are promised from `begin` to `end`.

    Where there is no room bounds are less tight. `promise_head` is when a node is first promised, `promise_until` when
    it is promised to nobody after that for as long as the shortest task may run, and `promise_after` the first promise
    behind that.
    """
    heads, promises, listed, room = s.promise_first, s.node_promises, s.counts[LISTED], len(s.node_promises)
    shortest, step = s.reals[LEAST_LIMIT], s.reals[RESOLUTION]
    for w in range(s.settings[WORDS]):
        bits = s.chosen_words[w]
        if bits == 0:
            continue
        while bits != 0 and listed < room:
            node = w * WORD + lowest_bit(bits)
            bits &= bits - 1
            s.promise_words[w] |= 1 << (node % WORD)
            p = promises[listed]
            p.begin, p.end = begin, end
            before, after = -1, heads[node]
            while after >= 0 and promises[after].begin <= begin:
                before, after = after, promises[after].behind
            p.behind = after
            if before < 0:
                heads[node] = listed
            else:
                promises[before].behind = listed
            listed += 1
            if before >= 0 and begin + step >= s.promise_until[node] + shortest:
                behind = s.promise_after[node]
                if behind < 0 or promises[behind].begin > begin:
                    s.promise_after[node] = listed - 1
                continue
            p = promises[heads[node]]
            s.promise_head[node] = p.begin
            until, after = p.end, p.behind
            while after >= 0 and promises[after].begin + step < until + shortest:
                until, after = max(until, promises[after].end), promises[after].behind
            s.promise_until[node], s.promise_after[node] = until, after
    s.counts[LISTED] = listed


@inner_kernel
def free_for(s: State, kind: int, end: float) -> bool:
    """Tell whether enough nodes offer a kind something now and are promised to nobody up to `end`."""
    words, least, part = s.settings[WORDS], s.kinds[kind].least, s.kinds[kind].part
    known = known_place(s, kind, True) * words
    for w in range(s.part_first_word[part], s.part_end_word[part]):
        bits = s.known_masks[known + w] & s.kind_masks[kind * words + w] & s.up_words[w]
        least -= bits_in(bits & ~s.promise_words[w])
        bits &= s.promise_words[w]
        if bits != 0:
            least -= bits_in(bits & ~bits_up_to(s.promise_head, w * WORD, end))
        if least <= 0:
            return True
    return False


@inlined.kernel
def _fit_before(s: State, known: int, w: int, begin: float, limit: float) -> int:
    """Return as bits which promised nodes of a word are of use before they are first promised."""
    step = s.reals[RESOLUTION]
    return int(bits_that_fit(s.known_times, known + w * WORD, s.promise_head, w * WORD, begin, limit, step))


@inlined.kernel
def _begin_after(s: State, node: int, time: float, limit: float, last: float) -> float:
    """Return from when on a node is of use that is not before it is first promised; some instant after `last` for then.

    No task fits between two promises up to `promise_until`.
    """
    promises, step, promise = s.node_promises, s.reals[RESOLUTION], s.promise_after[node]
    time = max(time, s.promise_until[node])
    while promise >= 0 and time <= last:
        p = promises[promise]
        if p.end > time:
            # Promises begin in whole steps: a plan that ends within the step before is not in their way.
            if p.begin + step >= time + limit:
                break
            time = p.end
        promise = p.behind
    return time


@inner_kernel
def eased_begin(s: State, entry: int, begin: float, bound: float) -> float:
    """Return from when on an eased node (see `former`) is of use to an entry, `bound` where none is before.

    It is the first of them unless the entry needs several nodes.
    """
    is_single = s.kinds[s.entry_kind[entry]].least == 1
    words, kind, limit = s.settings[WORDS], s.entry_kind[entry], s.entry_limit[entry]
    known, part = known_place(s, kind, True) * words * WORD, s.kinds[kind].part
    for w in range(s.part_first_word[part], s.part_end_word[part]):
        bits = s.eased_words[w] & s.kind_masks[kind * words + w] & s.up_words[w]
        before = -1
        if bits != 0:
            before = ~s.promise_words[w] | _fit_before(s, known, w, begin, limit)
            bits &= before | bits_up_to(s.promise_until, w * WORD, bound)
        while bits != 0:
            node = w * 64 + lowest_bit(bits)
            bits &= bits - 1
            time = max(s.known_times[known + node], begin)
            if not (before >> (node % WORD)) & 1:
                time = _begin_after(s, node, time, limit, bound)
            if time < bound:
                bound = time
                if bound <= begin or not is_single:
                    return float(bound)
    return float(bound)


@inner_kernel
def earliest_begin(s: State, entry: int, begin: float, latest: float) -> float:
    """Return an instant from `begin` on before which no plan of an entry begins, infinity where it is after `latest`.

    It is the first by which as many nodes as the entry needs have each been of use to it.
    """
    words = s.settings[WORDS]
    kind, limit = s.entry_kind[entry], s.entry_limit[entry]
    known, least = known_place(s, kind, True) * words * WORD, s.kinds[kind].least
    # Once there are enough nodes no others count but those that are of use as early as the last of these.
    size, last = 0, latest
    begin_least(s.ready_times, least)
    kind_masks, up, known_times, ready = s.kind_masks, s.up_words, s.known_times, s.ready_times
    rows, promised, until = s.ready_rows, s.promise_words, s.promise_until
    part = s.kinds[kind].part
    first_word, end_word = s.part_first_word[part], s.part_end_word[part]
    # Nodes that are promised to nobody come first: of the others the lists are then walked for few.
    for w in range(first_word, end_word):
        bits = kind_masks[kind * words + w] & up[w] & ~promised[w]
        if bits != 0:
            bits &= bits_up_to(known_times, known + w * WORD, last)
        while bits != 0:
            node = w * 64 + lowest_bit(bits)
            bits &= bits - 1
            time = max(known_times[known + node], begin)
            size = keep_time(ready, size, least, time)
            if size == least <= FEW:
                last = ready[least - 1]
        if last == begin and size == least <= FEW:
            return begin
    for w in range(first_word, end_word):
        bits = kind_masks[kind * words + w] & up[w] & promised[w]
        if bits != 0:
            bits &= bits_up_to(known_times, known + w * WORD, last)
        if bits == 0:
            continue
        before = bits & _fit_before(s, known, w, begin, limit)
        bits &= ~before
        while before != 0:
            node = w * 64 + lowest_bit(before)
            before &= before - 1
            size = keep_time(ready, size, least, max(known_times[known + node], begin))
        if size == least <= FEW:
            last = ready[least - 1]
        if bits != 0:
            bits &= bits_up_to(until, w * WORD, last)
        while bits != 0:
            node = w * 64 + lowest_bit(bits)
            bits &= bits - 1
            time = _begin_after(s, node, max(known_times[known + node], begin), limit, last)
            if time <= last:
                size = keep_time(ready, size, least, time)
                if size == least <= FEW:
                    last = ready[least - 1]
        if last == begin and size == least <= FEW:
            return begin
    bound = np.inf
    if size >= least:
        if least > FEW:
            select(ready, rows, size, least - 1)
        bound = ready[least - 1]
    return float(bound)


@inner_kernel
def skip_to(s: State, part: int, begin: float, limit: float, bound: float, slot: int) -> float:
    """Return the last instant from `begin` on at which a plan is looked for in order to begin at `bound` or later.

    After one instant the next is that at which the plan has more nodes of the partition. Where none follows in reach
    the search ends, as in `plan.keep_promises`. `slot` is the one that holds `begin`.
    """
    words = s.settings[WORDS]
    masks, place, times, members, own = s.slot_masks, s.slot_place, s.slot_times, s.part_masks, part * words
    slots, end = s.counts[SLOTS], begin + limit
    while slot + 1 < slots:
        at, behind = place[slot] * words, place[slot + 1] * words
        gained = 0
        for w in range(words):
            gained |= masks[behind + w] & members[own + w] & ~masks[at + w]
        if gained != 0:
            if times[slot + 1] >= bound:
                return begin
            begin = times[slot + 1]
            end = begin + limit
        elif times[slot] > end:
            return begin
        slot += 1
    return begin
