"""The event loop of one node for fractions that are settled before: the queue is a heap of ranks for each need.

What a task takes of the node is one of a few pairs of cores and GPUs. Devices only get fewer while tasks start, so that
the next task of a walk through the queue is the lowest rank among the first of every need that fits.
"""

import numpy as np

from scheduler_sim.engine.codes import ARRIVED, FINISH, FINISHED, QUEUED, RUNNING
from scheduler_sim.engine.jit import kernel
from scheduler_sim.engine.kernels.node import steps
from scheduler_sim.engine.kernels.node.state import (
    FREE_CORES,
    FREE_GPUS,
    PENDING,
    TURN,
    Family,
    Needs,
    Run,
    Tasks,
)
from scheduler_sim.engine.kernels.structures.bits import bits_in, lowest_bit
from scheduler_sim.engine.kernels.structures.heap import number_pop, number_push


@kernel
def advance_fixed(
    tasks: Tasks,
    family: Family,
    run: Run,
    needs: Needs,
    strict: bool,
    in_turn: bool,
    sequential: bool,
    until: float,
    max_events: int,
) -> None:
    """Play whole instants up to `until`, and none more after `max_events` arrivals and completions.

    Args:
        tasks, family, run, needs: see `node.state`.
        strict: the first task that does not fit blocks all behind it; otherwise it is skipped.
        in_turn: GPUs are taken in turn rather than lowest number first.
        sequential: of a split task the GPU side comes first, then the CPU side.
        until: seconds.
        max_events: how many events are enough.
    """
    offered, fraction, kind, rank, hybrid = tasks.offered, tasks.fraction, tasks.kind, tasks.rank, tasks.hybrid
    arrivals, waiting_for, child_offsets, children = family
    counts, clock, ready, start, finish, device, held, gone, order, event_times, event_codes, speeds, gpus_there = run
    need_cores, need_gpus, first, size, heap, row_of_rank = needs
    arrived, finished, queued, running = counts[ARRIVED], counts[FINISHED], counts[QUEUED], counts[RUNNING]
    pending, free_cores, free, turn = counts[PENDING], counts[FREE_CORES], counts[FREE_GPUS], counts[TURN]
    free_gpus = bits_in(free)
    enough = arrived + finished + min(max_events, 2**62)
    while steps.comes(arrived, arrivals, offered, pending, run, until, arrived + finished >= enough):
        now = clock[0]
        while pending > 0 and event_times[0] == now:
            row, gives_cores, gives_gpus, finishes = steps.pop_end(pending, event_times, event_codes, gone)
            pending -= 1
            if gives_cores:
                free_cores += need_cores[kind[row]]
            if gives_gpus:
                free |= held[row]
                free_gpus += need_gpus[kind[row]]
            if finishes:
                finished = steps.finish_task(row, now, finished, finish, order)
                running -= 1
                for child in children[child_offsets[row] : child_offsets[row + 1]]:
                    if steps.parent_ends(child, now, ready, waiting_for):
                        number_push(heap[first[kind[child]] :], size[kind[child]], rank[child])
                        size[kind[child]] += 1
                        queued += 1
        while arrived < len(arrivals) and offered[arrivals[arrived]] == now:
            row = arrivals[arrived]
            arrived += 1
            waiting_for[row] -= 1
            if waiting_for[row] == 0:
                number_push(heap[first[kind[row]] :], size[kind[row]], rank[row])
                size[kind[row]] += 1
                queued += 1
        while queued > 0:
            best = 2**62
            need = -1
            for k in range(len(size)):
                fits = need_cores[k] <= free_cores and need_gpus[k] <= free_gpus
                if size[k] > 0 and (strict or fits) and heap[first[k]] < best:
                    best = heap[first[k]]
                    need = k
            if need < 0 or need_cores[need] > free_cores or need_gpus[need] > free_gpus:
                break
            number_pop(heap[first[need] :], size[need])
            size[need] -= 1
            queued -= 1
            running += 1
            row = row_of_rank[best]
            mask = 0
            left = need_gpus[need]
            if left > 0:
                if in_turn:
                    mask = steps.lowest_devices(free & ~((np.int64(1) << turn) - 1), left)
                    wrapped = steps.lowest_devices(free & ~mask, left - bits_in(mask))
                    last = wrapped if wrapped != 0 else mask
                    mask |= wrapped
                    highest = 0
                    while last != 0:
                        highest = lowest_bit(last)
                        last &= last - 1
                    turn = (highest + 1) % gpus_there
                else:
                    mask = steps.lowest_devices(free, left)
                device[row] = lowest_bit(mask)
            free &= ~mask
            free_gpus -= left
            free_cores -= need_cores[need]
            held[row] = mask
            gone[row] = FINISH
            start[row] = now
            cpu_time, gpu_time = steps.lasts(row, fraction[row], tasks, speeds, sequential)
            split = hybrid[row] and 0.0 < fraction[row] < 1.0
            pending = steps.push_ends(row, now, split, cpu_time, gpu_time, pending, event_times, event_codes)
    counts[ARRIVED], counts[FINISHED], counts[QUEUED], counts[RUNNING] = arrived, finished, queued, running
    counts[PENDING], counts[FREE_CORES], counts[FREE_GPUS], counts[TURN] = pending, free_cores, free, turn
