"""The event loop of one node for placements that choose the fraction by the expected finish, `eft` and `oracle`.

The plan has two lists, of cores and of GPUs, of (time, amount): first what is free now, then what is expected back.
What runs is kept in lists of the same kind from instant to instant, so that a plan begins as a copy. Where nothing came
back since the last instant, the bookings of those that wait still hold and only newcomers are looked at.
"""

import numpy as np

from scheduler_sim.engine.jit import inner_kernel, kernel
from scheduler_sim.engine.kernels.heap import heap_pop, heap_push
from scheduler_sim.engine.kernels.nodes_state import bits_in, lowest_bit
from scheduler_sim.engine.kernels.rank_set import add_rank, drop_rank, next_rank
from scheduler_sim.engine.kernels.single_state import (
    ARRIVED,
    CORE_ENTRIES,
    CPU_SIDE,
    FINISH,
    FINISHED,
    FREE_CORES,
    FREE_GPUS,
    GPU_ENTRIES,
    GPU_SIDE,
    HIGHEST,
    KEPT,
    ON_CORES,
    ON_GPUS,
    PENDING,
    QUEUED,
    RUNNING,
    STARTED,
    Family,
    Plan,
    Run,
    Tasks,
    finish_task,
    lengths,
    lowest_devices,
)
from scheduler_sim.engine.policies.placement import EARLIEST_FINISH, ORACLE
from scheduler_sim.engine.workload import FloatArray, IntArray

NONE, LIST, EASY, CONSERVATIVE = range(4)

CORES_USABLE, GPUS_USABLE, BOTH_USABLE = 1, 2, 4

TENTHS = np.arange(11) / 10.0
"""The fractions that `eft` tries."""


@inner_kernel
def add_release(times: FloatArray, amounts: IntArray, size: int, time: float, amount: int) -> int:
    """Add a release behind others of the same time and return the new size; a full list forgets it."""
    if amount == 0 or size == len(times):
        return size
    i = size
    while i > 1 and times[i - 1] > time:
        times[i] = times[i - 1]
        amounts[i] = amounts[i - 1]
        i -= 1
    times[i] = time
    amounts[i] = amount
    return size + 1


@inner_kernel
def free_at(times: FloatArray, amounts: IntArray, size: int, need: int) -> float:
    """Return when `need` is expected to be free, infinity for never."""
    if need == 0:
        return -np.inf
    total = np.int64(0)
    for i in range(size):
        total += amounts[i]
        if total >= need:
            return float(times[i])
    return np.inf


@inner_kernel
def book(times: FloatArray, amounts: IntArray, size: int, need: int, begin: float, finish: float) -> int:
    """Take `need` from the latest entries not later than `begin`, expect it back at `finish`; returns the new size."""
    left = need
    i = size - 1
    while i > 0 and times[i] > begin:
        i -= 1
    while left > 0 and i > 0:
        taken = min(left, amounts[i])
        left -= taken
        amounts[i] -= taken
        if amounts[i] == 0:
            for j in range(i, size - 1):
                times[j] = times[j + 1]
                amounts[j] = amounts[j + 1]
            size -= 1
        i -= 1
    amounts[0] = max(amounts[0] - left, 0)
    return add_release(times, amounts, size, finish, need)


@inner_kernel
def expect(times: FloatArray, amounts: IntArray, rows: IntArray, size: int, time: float, amount: int, row: int) -> int:
    """Add what a starting task holds to the list of what runs, before others of the same time."""
    if amount == 0:
        return size
    i = size
    while i > 0 and times[i - 1] >= time:
        times[i] = times[i - 1]
        amounts[i] = amounts[i - 1]
        rows[i] = rows[i - 1]
        i -= 1
    times[i] = time
    amounts[i] = amount
    rows[i] = row
    return size + 1


@inner_kernel
def forget(times: FloatArray, amounts: IntArray, rows: IntArray, size: int, row: int) -> int:
    """Take a task out of the list of what runs, where it may be, and return the new size."""
    i = 0
    while i < size and rows[i] != row:
        i += 1
    if i == size:
        return size
    for j in range(i, size - 1):
        times[j] = times[j + 1]
        amounts[j] = amounts[j + 1]
        rows[j] = rows[j + 1]
    return size - 1


@inner_kernel
def begin_plan(
    now: float,
    free: int,
    began: IntArray,
    run_times: FloatArray,
    run_amounts: IntArray,
    run_rows: IntArray,
    running: int,
    times: FloatArray,
    amounts: IntArray,
) -> int:
    """Fill a list of the plan from what is free and what runs, and return its size.

    Overdue tasks end now; those that end at the same time stand with the last to start first.
    """
    times[0] = now
    amounts[0] = free
    overdue = 0
    while overdue < running and run_times[overdue] <= now:
        overdue += 1
    for i in range(overdue):
        # The overdue are few: their places are counted rather than sorted.
        place = 1
        for k in range(overdue):
            if began[run_rows[k]] > began[run_rows[i]]:
                place += 1
        times[place] = now
        amounts[place] = run_amounts[i]
    for i in range(overdue, running):
        times[i + 1] = run_times[i]
        amounts[i + 1] = run_amounts[i]
    return running + 1


@inner_kernel
def best_option(
    now: float,
    cores_at: float,
    gpus_at: float,
    cores_left: bool,
    gpus_left: bool,
    estimate: float,
    settled: float,
    intensity: float,
    memory_mb: float,
    holds: int,
    usable: int,
    hybrid: bool,
    on_gpu: bool,
    speeds: FloatArray,
    planned: int,
    sequential: bool,
) -> tuple[float, float, bool]:
    """Return the fraction of the option that finishes first, its start, and whether it can start now.

    Of equals the lower fraction is taken; the start is infinity where there is no option.

    Args:
        now: seconds.
        cores_at, gpus_at: when what it asks for is expected to be free.
        cores_left, gpus_left: what it asks for is free now and not booked.
        estimate, settled, intensity, memory_mb, usable, hybrid, on_gpu: of the task, see `Tasks`.
        holds: bits for cores (1) and GPUs (2) of a rigid task.
        speeds: see `Run`.
        planned, sequential: see `advance_planned`.
    """
    if not hybrid:
        begin = now
        starts = True
        if holds & 1:
            begin = max(begin, cores_at)
            starts = cores_left
        if holds & 2:
            begin = max(begin, gpus_at)
            starts = starts and gpus_left
        return settled, begin, starts and begin == now
    cpu, _ = lengths(estimate, 0.0, intensity, memory_mb, True, on_gpu, speeds[0], speeds[1], speeds[2], False)
    _, gpu = lengths(estimate, 1.0, intensity, memory_mb, True, on_gpu, speeds[0], speeds[1], speeds[2], False)
    best_finish = best_fraction = best_begin = np.inf
    if usable & CORES_USABLE:
        best_begin = max(now, cores_at)
        best_finish = best_begin + cpu
        best_fraction = 0.0
    begin = max(now, cores_at, gpus_at)
    if usable & BOTH_USABLE and begin < np.inf:
        if planned == EARLIEST_FINISH:
            for k in range(1, 10):
                cpu_side = (1.0 - TENTHS[k]) * cpu
                gpu_side = TENTHS[k] * gpu
                finish = begin + (gpu_side + cpu_side if sequential else max(cpu_side, gpu_side))
                if finish < best_finish:
                    best_finish = finish
                    best_fraction = TENTHS[k]
                    best_begin = begin
        elif not (planned == ORACLE and sequential):
            fraction = settled
            if planned == ORACLE:
                fraction = cpu / (cpu + gpu) if cpu + gpu > 0.0 else 0.0
            if 0.0 < fraction < 1.0:
                cpu_side = (1.0 - fraction) * cpu
                gpu_side = fraction * gpu
                finish = begin + (gpu_side + cpu_side if sequential else max(cpu_side, gpu_side))
                if finish < best_finish:
                    best_finish = finish
                    best_fraction = fraction
                    best_begin = begin
    if usable & GPUS_USABLE:
        begin = max(now, gpus_at)
        if begin + gpu < best_finish:
            best_fraction = 1.0
            best_begin = begin
    if best_fraction == np.inf:
        return settled, np.inf, False
    starts = best_begin == now and (best_fraction == 1.0 or cores_left) and (best_fraction == 0.0 or gpus_left)
    return best_fraction, best_begin, starts


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
        tasks, family, run, plan: see `single_state`.
        backfill: with none the first task that waits blocks, with easy only it books, else all that wait do.
        planned: which fractions are tried, a code of `policies.placement`.
        sequential: of a split task the GPU side comes first, then the CPU side.
        until: seconds.
        max_events: how many events are enough.
    """
    offered, runtime, estimate, intensity, memory_mb, settled, cores, gpus, _, rank_of, hybrid, on_gpu, usable = tasks
    arrivals, waiting_for, child_offsets, children = family
    counts, clock, ready, start, finish, device, held, gone, order, event_times, event_codes, speeds, _ = run
    words, starts_at, row_of_rank, fraction_of, held_cores, began, cores_plan, gpus_plan, cores_run, gpus_run = plan
    core_times, core_amounts = cores_plan.times, cores_plan.amounts
    gpu_times, gpu_amounts = gpus_plan.times, gpus_plan.amounts
    core_ends, cores_back, core_rows = cores_run.times, cores_run.amounts, cores_run.rows
    gpu_ends, gpus_back, gpu_rows = gpus_run.times, gpus_run.amounts, gpus_run.rows
    arrived, finished, queued, running = counts[ARRIVED], counts[FINISHED], counts[QUEUED], counts[RUNNING]
    pending, free_cores, free = counts[PENDING], counts[FREE_CORES], counts[FREE_GPUS]
    highest, kept, sequence = counts[HIGHEST], counts[KEPT], counts[STARTED]
    core_size, gpu_size = counts[CORE_ENTRIES], counts[GPU_ENTRIES]
    on_cores, on_gpus = counts[ON_CORES], counts[ON_GPUS]
    enough = arrived + finished + max_events if max_events < 2**60 else 2**62
    reached = clock[0]
    while True:
        now = np.inf
        if pending > 0:
            now = event_times[0]
        if arrived < len(arrivals):
            now = min(now, offered[arrivals[arrived]])
        if now > until or now == np.inf:
            if now < np.inf:
                clock[1] = until
            break
        if arrived + finished >= enough and now > reached:
            break
        reached = now
        newcomers = 0
        lowest = 2**62
        highest_before = highest
        while pending > 0 and event_times[0] == now:
            code = event_codes[0]
            heap_pop(event_times, event_codes, pending)
            pending -= 1
            kept = 0
            row = code // 3
            part = code - 3 * row
            if part != GPU_SIDE and gone[row] != CPU_SIDE:
                free_cores += held_cores[row]
                on_cores = forget(core_ends, cores_back, core_rows, on_cores, row)
            if part != CPU_SIDE and gone[row] != GPU_SIDE:
                free |= held[row]
                on_gpus = forget(gpu_ends, gpus_back, gpu_rows, on_gpus, row)
            gone[row] = part
            if part == FINISH:
                finish_task(row, now, finished, finish, order)
                finished += 1
                running -= 1
                for edge in range(child_offsets[row], child_offsets[row + 1]):
                    child = children[edge]
                    ready[child] = max(ready[child], now)
                    waiting_for[child] -= 1
                    if waiting_for[child] == 0:
                        add_rank(words, starts_at, rank_of[child])
                        queued += 1
                        highest = max(highest, rank_of[child])
        while arrived < len(arrivals) and offered[arrivals[arrived]] == now:
            row = arrivals[arrived]
            arrived += 1
            waiting_for[row] -= 1
            if waiting_for[row] == 0:
                add_rank(words, starts_at, rank_of[row])
                queued += 1
                newcomers += 1
                lowest = min(lowest, rank_of[row])
                highest = max(highest, rank_of[row])
        if queued == 0 or (free_cores == 0 and free == 0):
            kept = 0
            continue
        cursor = 0
        waiting = False
        booked = False
        overdue = (on_cores > 0 and core_ends[0] <= now) or (on_gpus > 0 and gpu_ends[0] <= now)
        room = min(len(core_times) - core_size, len(gpu_times) - gpu_size)
        if kept and lowest > highest_before and not overdue and newcomers <= room:
            cursor = lowest
            waiting = queued > newcomers
            booked = waiting
            core_times[0] = gpu_times[0] = now
            if newcomers == 0 or (waiting and backfill == NONE):
                continue
        else:
            core_size = begin_plan(
                now, free_cores, began, core_ends, cores_back, core_rows, on_cores, core_times, core_amounts
            )
            gpu_size = begin_plan(
                now, bits_in(free), began, gpu_ends, gpus_back, gpu_rows, on_gpus, gpu_times, gpu_amounts
            )
        kept = 1
        while True:
            if free_cores == 0 and free == 0:
                kept = 0
                break
            rank = next_rank(words, starts_at, cursor)
            if rank < 0:
                break
            cursor = rank + 1
            row = row_of_rank[rank]
            need = gpus[row] // 1000
            fraction, begin, starts = best_option(
                now,
                free_at(core_times, core_amounts, core_size, cores[row]),
                free_at(gpu_times, gpu_amounts, gpu_size, need),
                core_amounts[0] >= cores[row],
                gpu_amounts[0] >= need,
                estimate[row],
                settled[row],
                intensity[row],
                memory_mb[row],
                (1 if cores[row] > 0 else 0) + (2 if need > 0 else 0),
                usable[row],
                hybrid[row],
                on_gpu[row],
                speeds,
                planned,
                sequential,
            )
            takes_cores = cores[row] if not hybrid[row] or fraction < 1.0 else 0
            takes_gpus = need if not hybrid[row] or fraction > 0.0 else 0
            if not starts:
                if begin < np.inf and backfill != NONE and not (backfill == EASY and waiting):
                    cpu_time, gpu_time = lengths(
                        estimate[row],
                        fraction,
                        intensity[row],
                        memory_mb[row],
                        hybrid[row],
                        on_gpu[row],
                        speeds[0],
                        speeds[1],
                        speeds[2],
                        sequential,
                    )
                    core_size = book(core_times, core_amounts, core_size, takes_cores, begin, begin + cpu_time)
                    gpu_size = book(gpu_times, gpu_amounts, gpu_size, takes_gpus, begin, begin + gpu_time)
                    booked = True
                if begin <= now:
                    kept = 0
                if backfill == NONE:
                    break
                waiting = True
                continue
            if booked:
                # Made before this start, the bookings would be made of other releases next time.
                kept = 0
            drop_rank(words, starts_at, rank)
            queued -= 1
            running += 1
            mask = lowest_devices(free, takes_gpus)
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
            cpu_time, gpu_time = lengths(
                estimate[row],
                fraction,
                intensity[row],
                memory_mb[row],
                hybrid[row],
                on_gpu[row],
                speeds[0],
                speeds[1],
                speeds[2],
                sequential,
            )
            on_cores = expect(core_ends, cores_back, core_rows, on_cores, now + cpu_time, takes_cores, row)
            on_gpus = expect(gpu_ends, gpus_back, gpu_rows, on_gpus, now + gpu_time, takes_gpus, row)
            core_amounts[0] = max(core_amounts[0] - takes_cores, 0)
            core_size = add_release(core_times, core_amounts, core_size, now + cpu_time, takes_cores)
            gpu_amounts[0] = max(gpu_amounts[0] - takes_gpus, 0)
            gpu_size = add_release(gpu_times, gpu_amounts, gpu_size, now + gpu_time, takes_gpus)
            if runtime[row] != estimate[row]:
                cpu_time, gpu_time = lengths(
                    runtime[row],
                    fraction,
                    intensity[row],
                    memory_mb[row],
                    hybrid[row],
                    on_gpu[row],
                    speeds[0],
                    speeds[1],
                    speeds[2],
                    sequential,
                )
            if hybrid[row] and fraction > 0.0 and fraction < 1.0 and cpu_time != gpu_time:
                early = 3 * row + (CPU_SIDE if cpu_time < gpu_time else GPU_SIDE)
                heap_push(event_times, event_codes, pending, now + min(cpu_time, gpu_time), early)
                pending += 1
            heap_push(event_times, event_codes, pending, now + max(cpu_time, gpu_time), 3 * row + FINISH)
            pending += 1
    clock[0] = reached
    counts[ARRIVED], counts[FINISHED], counts[QUEUED], counts[RUNNING] = arrived, finished, queued, running
    counts[PENDING], counts[FREE_CORES], counts[FREE_GPUS] = pending, free_cores, free
    counts[HIGHEST], counts[KEPT], counts[STARTED] = highest, kept, sequence
    counts[CORE_ENTRIES], counts[GPU_ENTRIES] = core_size, gpu_size
    counts[ON_CORES], counts[ON_GPUS] = on_cores, on_gpus
