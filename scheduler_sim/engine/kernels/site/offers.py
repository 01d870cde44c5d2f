"""What nodes offer: how many grains of a kind, now or at a cut (see `match`), and from when on a node offers any."""

from typing import Any, NamedTuple

import numpy as np

from scheduler_sim.engine import inlined
from scheduler_sim.engine.clusters.demand import UNLIMITED
from scheduler_sim.engine.codes import MILLI
from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.site.kinds import ANY_NUMBER, WORD
from scheduler_sim.engine.kernels.site.state import LINEAR, LOGGED, NODES, STEPPED, UNDER, VICTIMS, WORDS, State
from scheduler_sim.engine.kernels.structures.bits import bits_in, bits_up_to
from scheduler_sim.engine.kernels.structures.vectors import FEW as STEPS
from scheduler_sim.engine.kernels.structures.vectors import few_up_to
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

STEP = 4
"""Numbers of a step: what is free of cores, of memory and of GPUs once something has ended, and the row of that."""

CORES_ALONE = 2
"""Of a piece whose task would be suspended: its cores count as free, and its memory and GPUs do not; 1 is all of it."""


@inlined.kernel
def _whole_cores(thousandths: int) -> int:
    """Divide by a thousand.

    A multiplication takes a third of the time, and LLVM makes `//` one with the division by what is not known before.
    """
    if 0 <= thousandths < 1 << 31:
        return (thousandths * 274_877_907) >> 38
    return thousandths // MILLI


@inlined.kernel
def offer_of(s: State, k: Any, each: int, node: int, cpu: int, memory: int, gpus: int, held: int) -> int:
    """Return how many grains a node with so much free offers a kind, 0 for fewer than `each`.

    `held` are cores of its partition's tasks.
    """
    if memory < k.each_memory or gpus < k.each_gpus:
        return 0
    if k.whole:
        if cpu < s.all_cpu[node] or gpus < s.all_gpus[node]:
            return 0
        if k.memory > 0 and memory < k.each_memory + cpu // k.grain * k.memory:
            return 0
        if s.settings[LINEAR]:
            return int(cpu // MILLI) if cpu // MILLI >= each else 0
    grains = ANY_NUMBER
    if k.grain > 0:
        grains = min(cpu, k.most_cpu - held)
        grains = _whole_cores(grains) if k.grain == MILLI else grains // k.grain
    if k.memory > 0 and not k.whole:
        room = memory - k.each_memory
        # To divide takes longer than to compare.
        if k.grain == 0 or grains * k.memory > room:
            grains = min(grains, room // k.memory)
    if k.gpu > 0:
        grains = min(grains, (gpus - k.each_gpus) // k.gpu)
    if k.memory > 0 and k.size > 1:
        # Only where memory goes by cores are they counted in whole processes.
        grains -= grains % k.size
    return int(grains) if grains >= each else 0


@inner_kernel
def offer_at(s: State, k: Any, node: int, time: float, row: int) -> int:
    """Return how many grains a node offers a kind at a cut."""
    cpu, memory, gpus = s.free_cpu[node], s.free_memory[node], s.free_gpus[node]
    piece = s.first_on_node[node]
    held = 0
    # Pieces come in the order of their ends: those behind the first that stays count only if they may yield or bind.
    all_count = s.counts[VICTIMS] + s.counts[UNDER] > 0 or k.most_cpu < UNLIMITED
    while piece >= 0:
        p = s.held_pieces[piece]
        if p.yields == CORES_ALONE:
            cpu += p.cpu
        elif p.yields or p.expected < time or (p.expected == time and p.task <= row):
            cpu += p.cpu
            memory += p.memory
            gpus += p.gpus
        else:
            if k.whole:
                return 0
            if not all_count:
                break
            if p.part == k.part:
                held += p.cpu
        piece = p.next_on_node
    return offer_of(s, k, k.each, node, cpu, memory, gpus, held)


@inner_kernel
def plain_offer(s: State, k: Any, node: int, time: float, row: int) -> int:
    """Return what `offer_at` does while nobody counts as having given way, of a kind that its partition binds not."""
    cpu, memory, gpus = s.free_cpu[node], s.free_memory[node], s.free_gpus[node]
    piece = s.first_on_node[node]
    while piece >= 0:
        p = s.held_pieces[piece]
        if p.expected > time or (p.expected == time and p.task > row):
            break
        cpu += p.cpu
        memory += p.memory
        gpus += p.gpus
        piece = p.next_on_node
    if k.whole and piece >= 0:
        return 0
    return offer_of(s, k, k.each, node, cpu, memory, gpus, 0)


@inner_kernel
def _step(s: State, node: int) -> None:
    """Write down what is free on a node after each end of what it holds, where there are not too many."""
    cpu, memory, gpus = s.free_cpu[node], s.free_memory[node], s.free_gpus[node]
    first, count, piece, free = node * STEPS, 0, s.first_on_node[node], s.step_free
    at = first * STEP
    free[at], free[at + 1], free[at + 2], free[at + 3] = cpu, memory, gpus, -1
    while piece >= 0 and count < STEPS - 1:
        p = s.held_pieces[piece]
        cpu += p.cpu
        memory += p.memory
        gpus += p.gpus
        s.step_ends[first + count] = p.expected
        count += 1
        at += STEP
        free[at], free[at + 1], free[at + 2], free[at + 3] = cpu, memory, gpus, p.task
        piece = p.next_on_node
    for i in range(count, STEPS):
        s.step_ends[first + i] = np.inf
    s.steps_of_node[node] = count if piece < 0 else -1


@inner_kernel
def step_all(s: State) -> None:
    """Bring up to date what is free on each node after each end."""
    nodes, logged = s.settings[NODES], s.counts[LOGGED]
    if logged - s.counts[STEPPED] > nodes:
        for node in range(nodes):
            _step(s, node)
    else:
        for i in range(s.counts[STEPPED], logged):
            _step(s, s.changed_nodes[i % len(s.changed_nodes)])
    s.counts[STEPPED] = logged


class Asked(NamedTuple):
    """What a kind asks of a node: its fields of these names, taken out of the records once for many nodes."""

    each: int
    each_memory: int
    each_gpus: int
    whole: int
    memory: int
    grain: int
    most_cpu: int
    gpu: int
    size: int


@inlined.kernel
def asked_by(k: Any) -> Asked:
    """Return what a kind asks of a node."""
    return Asked(k.each, k.each_memory, k.each_gpus, k.whole, k.memory, k.grain, k.most_cpu, k.gpu, k.size)


@inlined.kernel
def offer_by_steps(
    s: State, k: Asked, counts: IntArray, ends: FloatArray, free: IntArray, node: int, time: float, row: int
) -> int:
    """Return what `plain_offer` does without a look at what the node holds, -1 where that must be looked at.

    `counts`, `ends` and `free` are `steps_of_node`, `step_ends` and `step_free` after `step_all`.
    """
    count, first = counts[node], node * STEPS
    if count < 0:
        return -1
    ended = min(bits_in(few_up_to(ends, first, time)), count)
    at = (first + ended) * STEP
    # Of what ends at the very instant of a cut the row counts.
    while ended > 0 and ends[first + ended - 1] == time and free[at + 3] > row:
        ended -= 1
        at -= STEP
    if k.whole and ended < count:
        return 0
    return offer_of(s, k, k.each, node, free[at], free[at + 1], free[at + 2], 0)


@inner_kernel
def gpus_at(s: State, node: int, time: float, row: int) -> int:
    """Return how many GPUs of a node are free at a cut."""
    gpus = s.free_gpus[node]
    piece = s.first_on_node[node]
    while piece >= 0:
        p = s.held_pieces[piece]
        ends = p.expected < time or (p.expected == time and p.task <= row)
        if p.yields != CORES_ALONE and (p.yields or ends):
            gpus += p.gpus
        piece = p.next_on_node
    return int(gpus)


@inner_kernel
def ready_cut(s: State, k: Any, each: int, node: int) -> tuple[float, int]:
    """Return the cut at which a node first offers a kind `each` grains; infinity for never."""
    cpu, memory, gpus = s.free_cpu[node], s.free_memory[node], s.free_gpus[node]
    held = 0
    yields = s.counts[VICTIMS] + s.counts[UNDER] > 0
    piece = s.first_on_node[node] if yields or k.most_cpu < UNLIMITED else -1
    while piece >= 0:
        p = s.held_pieces[piece]
        if p.yields:
            cpu += p.cpu
            if p.yields != CORES_ALONE:
                memory += p.memory
                gpus += p.gpus
        elif p.part == k.part:
            held += p.cpu
        piece = p.next_on_node
    piece = s.first_on_node[node]
    time, row = -np.inf, -1
    while True:
        if offer_of(s, k, each, node, cpu, memory, gpus, held) > 0:
            return time, row
        while piece >= 0 and s.held_pieces[piece].yields:
            piece = s.held_pieces[piece].next_on_node
        if piece < 0:
            return np.inf, -1
        p = s.held_pieces[piece]
        cpu += p.cpu
        memory += p.memory
        gpus += p.gpus
        if p.part == k.part:
            held -= p.cpu
        time, row = p.expected, p.task
        piece = p.next_on_node


@inner_kernel
def _learn(s: State, k: Any, each: int, place: int, node: int) -> None:
    """Find out from when on a node offers a kind `each` grains."""
    word, bit = place * s.settings[WORDS] + node // 64, 1 << (node % 64)
    at = place * s.settings[WORDS] * WORD + node
    s.known_times[at], s.known_rows[at] = ready_cut(s, k, each, node)
    if s.known_times[at] == -np.inf:
        s.known_masks[word] |= bit
    else:
        s.known_masks[word] &= ~bit


@inner_kernel
def known_place(s: State, kind: int, must: bool) -> int:
    """Return the place at which it is known when each node first offers a kind anything, brought up to date.

    With `must` what a node must offer in order to be chosen. Nodes are among them on which the kind may not run.
    """
    k = s.kinds[kind]
    offer, each = (k.must_offer, k.must) if must else (k.offer, k.each)
    nodes, logged = s.settings[NODES], s.counts[LOGGED]
    # To divide takes longer than to compare.
    place = offer if offer < len(s.known_offer) else offer % len(s.known_offer)
    if s.known_offer[place] != offer or logged - s.known_upto[place] > nodes:
        s.known_offer[place] = offer
        for node in range(nodes):
            _learn(s, k, each, place, node)
    else:
        for i in range(s.known_upto[place], logged):
            _learn(s, k, each, place, s.changed_nodes[i % len(s.changed_nodes)])
    s.known_upto[place] = logged
    return int(place)


@inner_kernel
def known_of(s: State, kind: int, must: bool) -> int:
    """Return where in `known_times` the cuts lie at which nodes first offer a kind anything, brought up to date.

    -1 while tasks are counted as having given way.
    """
    if s.counts[VICTIMS] + s.counts[UNDER] > 0:
        return -1
    return int(known_place(s, kind, must) * s.settings[WORDS] * WORD)


@inner_kernel
def known_within(s: State, part: int, known: int, time: float) -> None:
    """Write to `within_words` which nodes of `mask_words` in a partition are known to offer by a time.

    `known` is from `known_of`.
    """
    mask, within, times = s.mask_words, s.within_words, s.known_times
    for w in range(s.settings[WORDS]):
        within[w] = 0
    for w in range(s.part_first_word[part], s.part_end_word[part]):
        if mask[w] != 0:
            within[w] = mask[w] & bits_up_to(times, known + w * WORD, time)


@inner_kernel
def offering_now(s: State, kind: int) -> int:
    """Return how many nodes offer a kind now what one must in order to be chosen."""
    words, count, part = s.settings[WORDS], 0, s.kinds[kind].part
    known = known_place(s, kind, True) * words
    for w in range(s.part_first_word[part], s.part_end_word[part]):
        count += bits_in(s.known_masks[known + w] & s.kind_masks[kind * words + w])
    return count
