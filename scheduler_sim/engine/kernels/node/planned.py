"""The event loop of one node for placements that choose the fraction by the expected finish, `eft` and `oracle`.

The plan knows what is free now and, for cores and for GPUs, what is expected back (`releases`). A task that waits has
booked what it needs from some time on. The plan lasts from instant to instant: while what runs ends when it was
expected to, a task would choose again what it has booked, so that only tasks without a booking are looked at.
Otherwise, and where one of these would, a plan is made anew from what is free and what runs:

- something ended at another time, or should have ended;
- a task became ready that comes before one with a booking;
- a task started, behind one that has booked, and ends before that booking begins: it leaves other releases to it;
- a task of no length has booked: what it gives back comes in a further round of the instant in which it starts;
- the lists might become full: more wait and run than they have room for.
"""

import numpy as np

from scheduler_sim.engine.codes import (
    ARRIVED,
    EASY,
    FINISH,
    FINISHED,
    MILLI,
    NONE,
    QUEUED,
    RUNNING,
)
from scheduler_sim.engine.jit import kernel
from scheduler_sim.engine.kernels.node import steps
from scheduler_sim.engine.kernels.node.option import best_option
from scheduler_sim.engine.kernels.node.state import (
    BOOKED,
    CORE_ENTRIES,
    CORES_LEFT,
    FREE_CORES,
    FREE_GPUS,
    GPU_ENTRIES,
    GPUS_LEFT,
    KEPT,
    LOOKED_AT,
    ON_CORES,
    ON_GPUS,
    PENDING,
    STARTED,
    Family,
    Plan,
    Run,
    Tasks,
)
from scheduler_sim.engine.kernels.structures.bits import bits_in, lowest_bit
from scheduler_sim.engine.kernels.structures.rank_set import add_rank, drop_rank, next_rank
from scheduler_sim.engine.kernels.structures.releases import add_release, begin_plan, book, expect, forget, free_at

NEVER = 2**62
"""Higher than any rank."""


@kernel
def advance_planned(
    tasks: Tasks,
    family: Family,
    run: Run,
    plan: Plan,
    backfill: int,
    planned: int,
    sequential: bool,
    until: float,
    max_events: int,
) -> None:
    """Play whole instants up to `until`, and none more after `max_events` arrivals and completions.

    Args:
        tasks, family, run, plan: see `node.state`.
        backfill: with none the first task that waits blocks, with easy only it books, else all that wait do.
        planned: which fractions are tried, a code of `policies.placement`.
        sequential: of a split task the GPU side comes first, then the CPU side.
        until: seconds.
        max_events: how many events are enough.
    """
    offered, runtime, estimate, intensity, memory_mb, settled, cores, gpus, _, rank_of, hybrid, on_gpu, usable = tasks
    arrivals, waiting_for, child_offsets, children = family
    counts, clock, ready, start, finish, device, held, gone, order, event_times, event_codes, speeds, _ = run
    words, starts_at, row_of_rank, fraction_of, held_cores, began, bookings = plan[:7]
    booked_rank, booked_begin, booked_fraction, booked_cpu, booked_gpu, latest = bookings
    core_times, core_amounts = plan.planned_cores.times, plan.planned_cores.amounts
    gpu_times, gpu_amounts = plan.planned_gpus.times, plan.planned_gpus.amounts
    core_ends, cores_back, core_rows = plan.running_cores
    gpu_ends, gpus_back, gpu_rows = plan.running_gpus
    arrived, finished, queued, running = counts[ARRIVED], counts[FINISHED], counts[QUEUED], counts[RUNNING]
    pending, free_cores, free = counts[PENDING], counts[FREE_CORES], counts[FREE_GPUS]
    kept, sequence, booked, looked_at = counts[KEPT], counts[STARTED], counts[BOOKED], counts[LOOKED_AT]
    core_size, gpu_size = counts[CORE_ENTRIES], counts[GPU_ENTRIES]
    cores_left, gpus_left = counts[CORES_LEFT], counts[GPUS_LEFT]
    on_cores, on_gpus = counts[ON_CORES], counts[ON_GPUS]
    due, last_on_cores, last_on_gpus = latest[0], latest[1], latest[2]
    enough = arrived + finished + min(max_events, 2**62)
    while steps.comes(arrived, arrivals, offered, pending, run, until, arrived + finished >= enough):
        now = clock[0]
        before = queued
        lowest = NEVER
        released = pending > 0 and event_times[0] == now
        while pending > 0 and event_times[0] == now:
            row, gives_cores, gives_gpus, finishes = steps.pop_end(pending, event_times, event_codes, gone)
            pending -= 1
            if gives_cores and held_cores[row] > 0:
                free_cores += held_cores[row]
                if forget(core_ends, cores_back, core_rows, on_cores, row) != now:
                    kept = 0
                on_cores -= 1
            if gives_gpus and held[row] != 0:
                free |= held[row]
                if forget(gpu_ends, gpus_back, gpu_rows, on_gpus, row) != now:
                    kept = 0
                on_gpus -= 1
            if finishes:
                finished = steps.finish_task(row, now, finished, finish, order)
                running -= 1
                for child in children[child_offsets[row] : child_offsets[row + 1]]:
                    if steps.parent_ends(child, now, ready, waiting_for):
                        add_rank(words, starts_at, rank_of[child])
                        queued += 1
                        lowest = min(lowest, rank_of[child])
        while arrived < len(arrivals) and offered[arrivals[arrived]] == now:
            row = arrivals[arrived]
            arrived += 1
            waiting_for[row] -= 1
            if waiting_for[row] == 0:
                add_rank(words, starts_at, rank_of[row])
                queued += 1
                lowest = min(lowest, rank_of[row])
        if booked > 0 and lowest < booked_rank[booked - 1]:
            kept = 0
        if backfill == NONE and kept and not released and before > 0 and lowest >= looked_at:
            continue
        looked_at = min(looked_at, lowest)
        if queued == 0 or (free_cores == 0 and free == 0):
            continue
        overdue = (on_cores > 0 and core_ends[on_cores - 1] <= now) or (on_gpus > 0 and gpu_ends[on_gpus - 1] <= now)
        going = 0
        if kept and not overdue and due >= now and queued + max(on_cores, on_gpus) <= len(core_times):
            while core_size > 0 and core_times[core_size - 1] <= now:
                core_size -= 1
                cores_left += core_amounts[core_size]
            while gpu_size > 0 and gpu_times[gpu_size - 1] <= now:
                gpu_size -= 1
                gpus_left += gpu_amounts[gpu_size]
            cursor = looked_at
            if released:
                cursor = booked_rank[booked - 1] + 1 if booked > 0 else 0
            unplanned = queued - booked
            if due == now:
                going = booked
        else:
            cores_left = free_cores
            core_size = on_cores
            begin_plan(now, began, core_ends, cores_back, core_rows, on_cores, core_times, core_amounts)
            gpus_left = bits_in(free)
            gpu_size = on_gpus
            begin_plan(now, began, gpu_ends, gpus_back, gpu_rows, on_gpus, gpu_times, gpu_amounts)
            cursor = 0
            unplanned = queued
            booked = 0
        kept = 1
        if going > 0 or booked == 0:
            booked = 0
            due = np.inf
            last_on_cores = last_on_gpus = -np.inf
        passed = False
        place = 0
        while True:
            if place < going:
                rank, begin, fraction = booked_rank[place], booked_begin[place], booked_fraction[place]
                cpu_time, gpu_time = booked_cpu[place], booked_gpu[place]
                place += 1
                row = row_of_rank[rank]
                takes_cores = cores[row] if not hybrid[row] or fraction < 1.0 else 0
                takes_gpus = gpus[row] // MILLI if not hybrid[row] or fraction > 0.0 else 0
                starts = begin == now
            else:
                if unplanned == 0 or (free_cores == 0 and free == 0):
                    break
                rank = next_rank(words, starts_at, cursor)
                if rank < 0:
                    break
                cursor = rank + 1
                unplanned -= 1
                row = row_of_rank[rank]
                need = gpus[row] // MILLI
                cores_at = gpus_at = now
                if cores[row] > cores_left:
                    cores_at = free_at(core_times, core_amounts, core_size, cores_left, cores[row])
                if need > gpus_left:
                    gpus_at = free_at(gpu_times, gpu_amounts, gpu_size, gpus_left, need)
                if hybrid[row]:
                    fraction, begin, cpu_time, gpu_time = best_option(
                        cores_at,
                        gpus_at,
                        estimate[row],
                        settled[row],
                        intensity[row],
                        memory_mb[row],
                        usable[row],
                        speeds,
                        planned,
                        sequential,
                    )
                else:
                    fraction = settled[row]
                    begin = max(cores_at, gpus_at)
                    cpu_time = gpu_time = estimate[row] / (speeds[1] if on_gpu[row] else speeds[0])
                takes_cores = cores[row] if not hybrid[row] or fraction < 1.0 else 0
                takes_gpus = need if not hybrid[row] or fraction > 0.0 else 0
                starts = begin == now and takes_cores <= cores_left and takes_gpus <= gpus_left
                if starts:
                    cores_left -= takes_cores
                    gpus_left -= takes_gpus
                    core_size = add_release(core_times, core_amounts, core_size, now + cpu_time, takes_cores)
                    gpu_size = add_release(gpu_times, gpu_amounts, gpu_size, now + gpu_time, takes_gpus)
                else:
                    if begin <= now or begin == np.inf:
                        kept = 0
                    if backfill == NONE:
                        break
                    if begin == np.inf or (backfill == EASY and booked > 0):
                        continue
                    core_size, cores_left = book(
                        core_times, core_amounts, core_size, cores_left, takes_cores, begin, begin + cpu_time
                    )
                    gpu_size, gpus_left = book(
                        gpu_times, gpu_amounts, gpu_size, gpus_left, takes_gpus, begin, begin + gpu_time
                    )
            if not starts:
                booked_rank[booked], booked_begin[booked], booked_fraction[booked] = rank, begin, fraction
                booked_cpu[booked], booked_gpu[booked] = cpu_time, gpu_time
                booked += 1
                due = min(due, begin)
                if takes_cores > 0:
                    last_on_cores = max(last_on_cores, begin)
                    if begin + cpu_time == begin:
                        kept = 0
                if takes_gpus > 0:
                    last_on_gpus = max(last_on_gpus, begin)
                    if begin + gpu_time == begin:
                        kept = 0
                continue
            if booked > 0 and backfill == EASY:
                # It may have taken what others, who have not booked, had chosen to wait for.
                passed = True
            if takes_cores > 0 and now + cpu_time <= last_on_cores:
                kept = 0
            if takes_gpus > 0 and now + gpu_time <= last_on_gpus:
                kept = 0
            drop_rank(words, starts_at, rank)
            queued -= 1
            running += 1
            mask = steps.lowest_devices(free, takes_gpus)
            if mask != 0:
                device[row] = lowest_bit(mask)
            free &= ~mask
            free_cores -= takes_cores
            held[row] = mask
            held_cores[row] = takes_cores
            gone[row] = FINISH
            start[row] = now
            fraction_of[row] = fraction
            began[row] = sequence
            sequence += 1
            on_cores = expect(core_ends, cores_back, core_rows, on_cores, now + cpu_time, takes_cores, row)
            on_gpus = expect(gpu_ends, gpus_back, gpu_rows, on_gpus, now + gpu_time, takes_gpus, row)
            if runtime[row] != estimate[row]:
                cpu_time, gpu_time = steps.lasts(row, fraction, tasks, speeds, sequential)
            split = hybrid[row] and 0.0 < fraction < 1.0
            pending = steps.push_ends(row, now, split, cpu_time, gpu_time, pending, event_times, event_codes)
        looked_at = booked_rank[booked - 1] + 1 if passed else cursor
    counts[ARRIVED], counts[FINISHED], counts[QUEUED], counts[RUNNING] = arrived, finished, queued, running
    counts[PENDING], counts[FREE_CORES], counts[FREE_GPUS] = pending, free_cores, free
    counts[KEPT], counts[STARTED], counts[BOOKED], counts[LOOKED_AT] = kept, sequence, booked, looked_at
    counts[CORE_ENTRIES], counts[GPU_ENTRIES] = core_size, gpu_size
    counts[CORES_LEFT], counts[GPUS_LEFT] = cores_left, gpus_left
    counts[ON_CORES], counts[ON_GPUS] = on_cores, on_gpus
    latest[0], latest[1], latest[2] = due, last_on_cores, last_on_gpus
