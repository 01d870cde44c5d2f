"""Which nodes a task gets: what each offers, now or once some of what runs has ended, and the choice among them.

A kind counts cores in *grains*: whole cores, or what one of its processes takes where that is no whole number of them.
A *cut* (time, row) stands for what runs having ended up to it: tasks whose limit ends before that time, and at that
time those up to that row. The cut (-infinity, -1) is now; infinity is the empty site. What must give way counts as
ended at any cut.
"""

from typing import Any

import numpy as np

from scheduler_sim.engine.clusters.demand import UNLIMITED
from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.site.offers import (
    asked_by,
    gpus_at,
    known_of,
    known_within,
    offer_at,
    offer_by_steps,
    plain_offer,
    step_all,
)
from scheduler_sim.engine.kernels.site.state import CHOSEN, LEVELS, LINEAR, ROOMS, WORDS, State
from scheduler_sim.engine.kernels.structures.bits import WORD, bits_in, lowest_bit

FAILED, STUCK, ENOUGH = range(3)
"""What came of taking nodes run by run."""

BITS_OF_NUMBER, MOST_GRAINS = 12, 1 << 32
"""Of the number of a run, and grains beyond which no two runs have."""

BITS_OF_RUN = BITS_OF_NUMBER + 33
"""Of its grains and its number together; before them stands its weight."""

USED = 1 << 62
"""In place of the weight of a run that nodes were taken from."""


@inner_kernel
def _gather_by_steps(s: State, kind: int, time: float, row: int, level: int) -> int:
    """List the nodes of `within_words` as `gather` does, of a kind that its partition binds not."""
    step_all(s)
    words, linear = s.settings[WORDS], s.settings[LINEAR] != 0
    k = s.kinds[kind]
    # Taken out of the state and the records first: what is written here would else let them be read for each node.
    asked, part = asked_by(k), k.part
    counts, ends, free = s.steps_of_node, s.step_ends, s.step_free
    nodes, offers, weights, weight_of = s.room_nodes, s.room_cores, s.room_weight, s.node_weight
    count, total, mask, level_masks, end_word = 0, 0, s.within_words, s.level_masks, s.part_end_word[part]
    for w in range(s.part_first_word[part], end_word):
        bits = mask[w]
        if level >= 0:
            bits &= level_masks[level * words + w]
        while bits != 0:
            node = w * 64 + lowest_bit(bits)
            bits &= bits - 1
            cores = offer_by_steps(s, asked, counts, ends, free, node, time, row)
            if cores < 0:
                cores = plain_offer(s, k, node, time, row)
            if cores > 0:
                nodes[count] = node
                offers[count] = cores
                weights[count] = 0 if linear else weight_of[node]
                count += 1
                total += cores
    s.counts[ROOMS] = count
    return total


@inner_kernel
def gather(s: State, kind: int, time: float, row: int, level: int) -> int:
    """List the nodes of `mask_words` that offer a kind something at a cut; return how many grains together.

    `level` limits them to the nodes of the least weights, -1 for all.
    """
    words, linear = s.settings[WORDS], s.settings[LINEAR]
    k = s.kinds[kind]
    known = known_of(s, kind, False)
    mask, known_times, known_rows = s.mask_words, s.known_times, s.known_rows
    if known >= 0:
        known_within(s, k.part, known, time)
        mask = s.within_words
        if k.most_cpu >= UNLIMITED:
            return _gather_by_steps(s, kind, time, row, level)
    nodes, offers, weights = s.room_nodes, s.room_cores, s.room_weight
    count, total = 0, 0
    for w in range(s.part_first_word[k.part], s.part_end_word[k.part]):
        bits = mask[w]
        if level >= 0:
            bits &= s.level_masks[level * words + w]
        while bits != 0:
            node = w * 64 + lowest_bit(bits)
            bits &= bits - 1
            if known >= 0 and known_times[known + node] == time and known_rows[known + node] > row:
                continue
            cores = offer_at(s, k, node, time, row)
            if cores > 0:
                nodes[count] = node
                offers[count] = cores
                weights[count] = 0 if linear else s.node_weight[node]
                count += 1
                total += cores
    s.counts[ROOMS] = count
    return total


@inner_kernel
def _find_runs(s: State, cores: int, nodes: int) -> tuple[int, int]:
    """Part the listed nodes into runs of consecutive nodes of equal weight; return how many, and the best of them."""
    listed, offers, weights = s.room_nodes, s.room_cores, s.room_weight
    first, sizes, sums, ranks = s.room_first, s.room_size, s.room_sum, s.room_rank
    # Where a run ends is not foreseen: no step is left out by whether it does.
    run, begin, total, weight, behind = -1, 0, 0, 0, -1
    for i in range(s.counts[ROOMS]):
        node = listed[i]
        is_new = (node != behind) | (weights[i] != weight)
        weight, behind = weights[i], node + 1
        run += is_new
        begin = i if is_new else begin
        total = offers[i] + (0 if is_new else total)
        first[run], sizes[run], sums[run], ranks[run] = begin, i + 1 - begin, total, weight << BITS_OF_RUN
    return run + 1, _best_run(s, run + 1, cores, nodes)


@inner_kernel
def _best_run(s: State, runs: int, cores: int, nodes: int) -> int:
    """Return the run to take from next, -1 for none: one of less weight, then the tightest that suffices.

    Of equal ones it is the first, of those that do not suffice the largest.
    """
    sums, sizes, ranks = s.room_sum, s.room_size, s.room_rank
    lowest, is_odd = np.int64(USED), False
    # Weight, grains and number are made one number, whose least is found in vectors.
    for r in range(runs):
        total = sums[r]
        is_odd |= ((total >= cores) & (sizes[r] < nodes)) | (total >= MOST_GRAINS)
        order = total if total >= cores else MOST_GRAINS - total
        lowest = min(lowest, ranks[r] + (order << BITS_OF_NUMBER) + r)
    if is_odd or runs >= 1 << BITS_OF_NUMBER:
        return _best_in_turn(s, runs, cores, nodes)
    return int(lowest & ((1 << BITS_OF_NUMBER) - 1)) if lowest < USED else -1


@inner_kernel
def _best_in_turn(s: State, runs: int, cores: int, nodes: int) -> int:
    """Return what `_best_run` does where runs with cores enough have too few nodes.

    The largest comes before all others that do not suffice, and before those that do, of those before it.
    """
    ranks, sums, sizes = s.room_rank, s.room_sum, s.room_size
    best, least, of_best, suffices = -1, 0, 0, False
    for r in range(runs):
        if ranks[r] >= USED:
            continue
        weight, total = ranks[r], sums[r]
        is_enough = total >= cores and sizes[r] >= nodes
        is_better = best < 0 or weight < least
        if best >= 0 and weight == least:
            is_better = (total < of_best or not suffices) if is_enough else total > of_best
        if is_better:
            best, least, of_best, suffices = r, weight, total, is_enough
    return best


@inner_kernel
def _tightest(s: State, first: int, size: int, cores: int) -> int:
    """Return the node of a run with the fewest cores that are enough, -1 for none."""
    best = -1
    for i in range(first, first + size):
        if s.room_cores[i] >= cores and (best < 0 or s.room_cores[i] < s.room_cores[best]):
            best = i
    return best


@inner_kernel
def _from_runs(s: State, k: Any) -> int:
    """Take nodes run by run; return whether they are ENOUGH.

    They are STUCK where all runs so far were too small for what was left, and the last has a node that offers too
    little. As none is larger, just these are taken again for as long as they are what they are.
    """
    linear = s.settings[LINEAR] != 0
    s.counts[CHOSEN] = 0
    if s.counts[ROOMS] < k.least:
        return FAILED
    grains, nodes, room, must = k.units * k.size, k.wanted, k.most, k.must
    spare, is_whole, most_taken = k.wanted - k.least, k.whole != 0, max(k.per_node, 1) * k.size
    listed, offers, chosen_nodes, chosen_units = s.room_nodes, s.room_cores, s.chosen_nodes, s.chosen_units
    chosen, failed = 0, STUCK
    runs, run = _find_runs(s, grains, nodes - spare)
    while run >= 0 and room > 0 and (nodes > 0 or grains > 0):
        s.room_rank[run] = USED
        first, size = s.room_first[run], s.room_size[run]
        if s.room_sum[run] >= grains:
            failed = FAILED
        if nodes <= 1 and not linear:
            single = _tightest(s, first, size, grains)
            if single >= 0:
                first, size = single, 1
        for i in range(first, first + size):
            if room <= 0 or (nodes <= 0 and grains <= 0):
                break
            offered = offers[i]
            if room == 1 and offered < grains and not linear:
                continue
            if offered < must:
                return failed
            taken = offered
            if not is_whole:
                taken = min(offered, max(grains - max(nodes - spare - 1, 0), most_taken))
            chosen_nodes[chosen] = listed[i]
            chosen_units[chosen] = taken
            chosen += 1
            grains -= taken
            nodes -= 1
            room -= 1
        run = _best_run(s, runs, grains, nodes - spare) if room > 0 and (nodes > 0 or grains > 0) else -1
    s.counts[CHOSEN] = chosen
    if grains > 0 or nodes > spare:
        return FAILED
    _deal(s, k)
    return ENOUGH


@inner_kernel
def _deal(s: State, k: Any) -> None:
    """Order the chosen nodes, and deal processes to them: each has one, the others go to the nodes in turn.

    A process lies on one node as long as there is room for it; at last processes have what there is.
    """
    count = s.counts[CHOSEN]
    for i in range(1, count):
        node, grains = s.chosen_nodes[i], s.chosen_units[i]
        j = i
        while j > 0 and s.chosen_nodes[j - 1] > node:
            s.chosen_nodes[j], s.chosen_units[j] = s.chosen_nodes[j - 1], s.chosen_units[j - 1]
            j -= 1
        s.chosen_nodes[j], s.chosen_units[j] = node, grains
    if k.whole:
        return
    if k.per_node > 0:
        for i in range(count):
            s.chosen_units[i] = k.per_node * k.size
        return
    total = 0
    for i in range(count):
        s.room_cores[i] = s.chosen_units[i]
        s.chosen_units[i] = min(k.size, s.room_cores[i])
        total += s.room_cores[i]
    if k.size == 1 and total == k.units:
        for i in range(count):
            s.chosen_units[i] = s.room_cores[i]
        return
    left = max(k.units - count, 0)
    crowded = False
    while left > 0:
        placed = False
        for i in range(count):
            free = s.room_cores[i] - s.chosen_units[i]
            if left > 0 and (free >= k.size or crowded):
                s.chosen_units[i] += min(k.size, free)
                left -= 1
                placed = True
        crowded = not placed


@inner_kernel
def _least_of_used(s: State, most: int) -> int:
    """Return what the node offers that offers least in the runs that were taken from, `most` at the most."""
    lowest, run, i = most, 0, 0
    while i < s.counts[ROOMS]:
        behind = i + s.room_size[run]
        if s.room_rank[run] >= USED:
            for j in range(i, behind):
                lowest = min(lowest, s.room_cores[j] + s.room_gpus[j])
        run += 1
        i = behind
    return int(lowest)


@inner_kernel
def _leave_out_least(s: State, k: Any, most: int, outcome: int) -> bool:
    """Take the nodes that offer least out of the list, as long as more than `least` are left; tell whether any went.

    Cores and GPUs count together; `room_gpus` says how many GPUs each has. After an outcome of STUCK those go at once
    that offer no more than a node which would be taken again, if enough are left.
    """
    listed, offers, weights, gpus = s.room_nodes, s.room_cores, s.room_weight, s.room_gpus
    smallest, count, least = most, s.counts[ROOMS], k.least
    for i in range(count):
        smallest = min(smallest, offers[i] + gpus[i])
    if smallest >= most:
        return False
    if outcome == STUCK:
        stuck, above = _least_of_used(s, most), 0
        for i in range(count):
            above += offers[i] + gpus[i] > stuck
        if stuck < most and above >= least:
            smallest = stuck
    kept, left = 0, count
    # Which ones go is not foreseen: no step is left out by whether it does.
    for i in range(count):
        goes = (left > least) & (offers[i] + gpus[i] <= smallest)
        listed[kept], offers[kept], weights[kept], gpus[kept] = listed[i], offers[i], weights[i], gpus[i]
        left -= goes
        kept += 1 - goes
    s.counts[ROOMS] = kept
    return True


@inner_kernel
def _as_dealt(s: State, k: Any) -> bool:
    """Take of each listed node what is known to be taken of it; return whether they all have so much."""
    if s.counts[ROOMS] < k.least:
        return False
    for i in range(k.least):
        if s.room_cores[i] < s.dealt_grains[k.dealt + i]:
            return False
        s.chosen_nodes[i] = s.room_nodes[i]
        s.chosen_units[i] = s.dealt_grains[k.dealt + i]
    s.counts[CHOSEN] = k.least
    return True


@inner_kernel
def _choose_cores(s: State, kind: int, time: float, row: int) -> bool:
    k = s.kinds[kind]
    total = gather(s, kind, time, row, -1)
    if k.dealt >= 0:
        return _as_dealt(s, k)
    if s.counts[ROOMS] < k.least or total < k.units * k.size:
        return False
    most, of_use = 0, 0
    for i in range(s.counts[ROOMS]):
        most = max(most, s.room_cores[i])
        of_use += s.room_cores[i] >= k.must
    if of_use < k.least:
        return False
    outcome = _from_runs(s, k)
    if outcome == ENOUGH:
        return True
    for i in range(s.counts[ROOMS]):
        s.room_gpus[i] = gpus_at(s, s.room_nodes[i], time, row) if k.each_gpus > 0 else 0
    # What failed is tried without the nodes that offer least.
    while s.counts[ROOMS] > k.least and _leave_out_least(s, k, most, outcome):
        outcome = _from_runs(s, k)
        if outcome == ENOUGH:
            return True
    return False


@inner_kernel
def _choose_whole(s: State, kind: int, time: float, row: int, level: int) -> bool:
    gather(s, kind, time, row, level)
    return _from_runs(s, s.kinds[kind]) == ENOUGH


@inner_kernel
def choose(s: State, kind: int, time: float, row: int, by_weight: bool) -> bool:
    """Choose nodes of `mask_words` for a kind at a cut; `by_weight` whole nodes of little weight go before others."""
    if not s.settings[LINEAR]:
        return _choose_cores(s, kind, time, row)
    level = 0 if by_weight else -1
    while not _choose_whole(s, kind, time, row, level):
        level += 1
        if not by_weight or level == s.settings[LEVELS]:
            return False
    return True


@inner_kernel
def enough(words: Any, count: int, least: int) -> bool:
    """Tell whether a set of nodes has so many."""
    found = 0
    for w in range(count):
        found += bits_in(words[w])
    return found >= least


@inner_kernel
def mark_chosen(s: State) -> None:
    """Write the chosen nodes as a set."""
    for w in range(s.settings[WORDS]):
        s.chosen_words[w] = 0
    word, bits = 0, 0
    for i in range(s.counts[CHOSEN]):
        node = s.chosen_nodes[i]
        if node // WORD != word:
            s.chosen_words[word] |= bits
            word, bits = node // WORD, 0
        bits |= 1 << (node % WORD)
    s.chosen_words[word] |= bits
