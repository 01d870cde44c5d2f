"""What tasks on nodes do: begin, stop, end; and the writing down of attempts."""

import numpy as np

from scheduler_sim.engine.codes import CPU_SIDE, FINISH, MILLI
from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.cluster.loop import free_children
from scheduler_sim.engine.kernels.cluster.queue import enqueue
from scheduler_sim.engine.kernels.cluster.start import finish, give_all, tell_pieces, worked
from scheduler_sim.engine.kernels.cluster.state import LIFTED, PENDING, SLEEPS, STRIDE, Sim
from scheduler_sim.engine.kernels.core.state import (
    BY_ARRIVAL,
    CHARGE_FIRST,
    COST,
    FROM_START,
    ON_LIMIT,
    ON_RUN,
    REQUEUED,
    RUN_ON,
    SUSPENDED,
    TO_END,
    ending_of,
)
from scheduler_sim.engine.kernels.stopping.state import BACK, CLAIRVOYANT, EVENTS, LATER, WRITTEN, Life
from scheduler_sim.engine.kernels.structures.attempt_buffer import write_attempt
from scheduler_sim.engine.kernels.structures.heap import heap_push, heap_remove
from scheduler_sim.engine.kernels.structures.lists import append
from scheduler_sim.engine.kernels.structures.timeline import progress
from scheduler_sim.engine.workloads.workload import IntArray

AWAKE = CPU_SIDE
"""The code of an event at which all nodes of a task that is not split are awake."""


@inner_kernel
def prepare(s: Sim, h: Life, row: int) -> None:
    """Say what the next attempt of a task does, what it is expected to do, and what its start costs."""
    t, life = s.tasks[row], h.lives[row]
    t.runtime = life.work_left
    if h.settings[ON_LIMIT] != ON_RUN:
        t.runtime = min(t.runtime, life.limit - life.since_begin)
    t.estimate = t.runtime if h.settings[CLAIRVOYANT] else life.estimate_left
    t.overhead = life.restart if life.attempts > 0 or h.settings[CHARGE_FIRST] else 0.0
    if life.saved:
        t.overhead += h.read[0]
    t.node = -1
    t.device = -1
    t.paces %= s.settings[STRIDE]


@inner_kernel
def begin(s: Sim, h: Life, row: int, end: float) -> None:
    """Write down that a task has begun, once its nodes are awake; it ends at `end` if nothing stops it."""
    t, life = s.tasks[row], h.lives[row]
    life.runs = 1
    life.awaited = life.doomed = 0
    life.attempts += 1
    life.begun = t.start
    life.progress_from = t.start + t.overhead
    life.finish = end
    if life.attempts == 1:
        life.start = t.start
        life.ready = t.ready
    life.node, life.device = t.node, t.device
    life.attempt_work = t.runtime
    chunk = t.chunk
    factor = s.crossing[t.crossed]
    life.length = 0.0
    while chunk >= 0:
        c = s.chunks[chunk]
        cpu, gpu = worked(s, t, t.runtime * factor, t.fraction, s.node_group[c.node])
        life.length = max(life.length, cpu, gpu)
        chunk = c.more
    life.held_cores, life.held_gpus = t.cpu / MILLI, t.gpu / MILLI
    if t.hybrid:
        if t.fraction >= 1.0:
            life.held_cores = 0.0
        if t.fraction <= 0.0:
            life.held_gpus = 0.0
        life.pace = t.runtime / life.length if life.length > 0.0 else 1.0
    else:
        pace = np.inf
        chunk = t.chunk
        while chunk >= 0:
            c = s.chunks[chunk]
            pace = min(pace, s.speeds[t.paces + s.node_group[c.node], 1 if t.on_gpu else 0])
            chunk = c.more
        life.pace = pace / factor


@inner_kernel
def note_begun(s: Sim, h: Life, now: float) -> None:
    """Write down which tasks the policy has started now."""
    for i in range(s.counts[PENDING]):
        code = s.heap_codes[i]
        if code % 3 == FINISH and not h.lives[code // 3].runs:
            begin(s, h, code // 3, s.heap_times[i])
    if s.settings[SLEEPS] and h.settings[COST] != RUN_ON:
        for row in waking(s, now):
            await_nodes(s, h, row)


@inner_kernel
def waking(s: Sim, now: float) -> IntArray:
    """Return the tasks that have nodes of which some still wake, in no order."""
    rows = np.empty(s.counts[PENDING], np.int64)
    size = 0
    for i in range(s.counts[PENDING]):
        code = s.heap_codes[i]
        if code % 3 == FINISH and s.tasks[code // 3].start > now:
            rows[size] = code // 3
            size += 1
    return rows[:size]


@inner_kernel
def await_nodes(s: Sim, h: Life, row: int) -> None:
    """Let something happen when all nodes of a task are awake; nothing stops it before."""
    if not h.lives[row].awaited:
        h.lives[row].awaited = 1
        heap_push(s.heap_times, s.heap_codes, s.counts[PENDING], s.tasks[row].start, 3 * row + AWAKE)
        s.counts[PENDING] += 1


@inner_kernel
def book(s: Sim, h: Life, row: int, now: float) -> None:
    """Count what an attempt that ends held, where it was."""
    life = h.lives[row]
    life.runs = 0
    held = now - life.begun
    group = s.node_group[life.node]
    life.held += held
    life.joules += held * (life.held_cores * h.core_watts[group] + life.held_gpus * h.gpu_watts[group])
    life.usd += held * (life.held_cores * h.core_price[group] + life.held_gpus * h.gpu_price[group])


@inner_kernel
def forget_ends(s: Sim, row: int) -> None:
    """Take the expected ends of a task out of the heap of events."""
    i = 0
    while i < s.counts[PENDING]:
        if s.heap_codes[i] // 3 == row:
            heap_remove(s.heap_times, s.heap_codes, s.counts[PENDING], i)
            s.counts[PENDING] -= 1
            # What moved here may have come from behind and rise before this place.
            i = 0
        else:
            i += 1


@inner_kernel
def stop(s: Sim, h: Life, row: int, now: float, reason: int, told: bool) -> None:
    """Stop a running task; it keeps what the reason leaves it, and is to be queued by `put_back`.

    The attempt is written if it is `told`: the only attempt of a task that ends with it is not.
    """
    life = h.lives[row]
    if told:
        write_attempt(h, WRITTEN, row, life, now, reason)
    tell_pieces(s, row, life.begun, now)
    give_all(s, row, now)
    forget_ends(s, row)
    book(s, h, row, now)
    life.finish = np.nan
    seconds, kept = progress(s.checkpoints, now - life.progress_from, life.length)
    if reason == SUSPENDED:
        kept = seconds
        life.since_begin += kept * life.pace
    else:
        life.since_begin = 0.0
        if kept > 0.0:
            life.saved = 1
    if reason == REQUEUED and h.settings[COST] == FROM_START:
        start_over(h, row)
        life.saved = 0
    else:
        life.work_left -= kept * life.pace
        life.estimate_left = max(life.estimate_left - kept * life.pace, 0.0)
        life.service += kept
    s.counts[LIFTED] = 1
    append(h.back, h.counts, BACK, row)


@inner_kernel
def start_over(h: Life, row: int) -> None:
    """Let a task do all of its work again."""
    life = h.lives[row]
    life.work_left = life.work
    life.estimate_left = life.estimate
    life.service = 0.0


@inner_kernel
def leave(s: Sim, h: Life, row: int, now: float, reason: int) -> None:
    """Let a task that does not run leave for good."""
    life = h.lives[row]
    life.finish = now
    life.ending = ending_of(reason)
    finish(s, row, now)
    free_children(s, row, now)


@inner_kernel
def end(s: Sim, h: Life, row: int, now: float, reason: int) -> None:
    """Let a running task end for good, out of an attempt that did all it was to do."""
    life = h.lives[row]
    if life.attempts > 1:
        write_attempt(h, WRITTEN, row, life, now, reason)
    tell_pieces(s, row, life.begun, now)
    give_all(s, row, now)
    book(s, h, row, now)
    life.service += life.length
    leave(s, h, row, now, reason)


@inner_kernel
def put_back(s: Sim, h: Life, now: float, fails: bool) -> None:
    """Queue the tasks that were stopped, in the order of their rows; `fails` where not the policy stopped them.

    Those that may not run for now are withheld.
    """
    size = h.counts[BACK]
    rows = np.sort(h.back[:size])
    for i in range(size):
        row = rows[i]
        t = s.tasks[row]
        prepare(s, h, row)
        if fails and h.settings[TO_END]:
            t.rank = h.counts[LATER]
            h.counts[LATER] += 1
            t.ready = now
            if h.settings[BY_ARRIVAL]:
                t.base = now
        if h.lives[row].shut:
            h.lives[row].withheld = 1
        else:
            enqueue(s, row)
    h.counts[BACK] = 0
    h.counts[EVENTS] += size
