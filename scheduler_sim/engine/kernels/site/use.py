"""What limits count of use: resource-minutes that have been used, and those that what runs may use yet.

What is used is counted whenever usage is calculated and when a task ends, decayed as usage is (resource_limits,
PriorityDecayHalfLife). Minutes are whole ones, rounded down.
"""

from typing import Any

import numpy as np

from scheduler_sim.engine.clusters.demand import KIB_PER_MB
from scheduler_sim.engine.codes import MILLI
from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.site.limit_table import AHEAD, USED
from scheduler_sim.engine.kernels.site.reasons import NO_REASON
from scheduler_sim.engine.kernels.site.state import (
    CHARGES,
    CHOSEN,
    COUNTED,
    CPU,
    MEMORY,
    METERED,
    NODE,
    SAFE,
    WALL,
    State,
)
from scheduler_sim.engine.units import SECONDS_PER_MINUTE
from scheduler_sim.engine.workloads.workload import FloatArray

ENDLESS = 2.0**45
"""Seconds of a limit of a task that has none, whose multiples are finite and exact."""


@inner_kernel
def of_qos(values: FloatArray, qos: int) -> float:
    """Return what is said of a QOS, the last one of tasks without."""
    return float(values[qos] if qos >= 0 else values[len(values) - 1])


@inner_kernel
def asked(s: State, k: Any, resource: int, is_chosen: bool) -> int:
    """Return how much of a resource a kind takes: of the chosen nodes, else as it asks."""
    nodes, cpu = k.least, k.units * k.size * k.grain
    if is_chosen:
        nodes, cpu = s.counts[CHOSEN], 0
        for i in range(nodes):
            cpu += s.all_cpu[s.chosen_nodes[i]] if k.whole else s.chosen_units[i] * k.grain
    if resource == CPU:
        return int(cpu)
    if resource == NODE:
        return int(nodes)
    if resource == MEMORY:
        return int(nodes * k.each_memory + (cpu // k.grain * k.memory if k.grain > 0 else 0))
    return int(nodes * k.each_gpus + k.units * k.gpu)


@inner_kernel
def _minutes(s: State, entry: int) -> float:
    """Return the limit of an entry in minutes, as limits on use see it (UsageFactorSafe)."""
    minutes, qos = s.entry_limit[entry] / SECONDS_PER_MINUTE, s.site_tasks[s.entry_task[entry]].qos
    factor = of_qos(s.qos_limit_factor, qos)
    return float(minutes if factor == 1.0 else np.floor(minutes * factor))


@inner_kernel
def _unit(resource: int) -> float:
    """Return how much one of a resource counts, of which use is counted."""
    if resource == CPU:
        return float(MILLI)
    return float(KIB_PER_MB) if resource == MEMORY else 1.0


@inner_kernel
def _whole_minutes(s: State, entry: int, seconds: float) -> float:
    """Return resource-seconds in whole resource-minutes; none count for tasks of a QOS whose use does not count."""
    if of_qos(s.qos_usage, s.site_tasks[s.entry_task[entry]].qos) == 0.0:
        return 0.0
    return float(np.floor(seconds / SECONDS_PER_MINUTE))


@inner_kernel
def over_wall(s: State, entry: int, counter: int) -> int:
    """Return that those that a counter binds have run for as long as they may together, or might have."""
    at = counter * METERED + WALL
    ran, most = np.floor(s.counter_used[at] / SECONDS_PER_MINUTE), s.counter_most_used[at]
    if ran >= most or (s.settings[SAFE] and ran + _minutes(s, entry) > most):
        return int(s.counter_used_words[at])
    return NO_REASON


@inner_kernel
def over_used(s: State, entry: int, place: int, is_chosen: bool) -> int:
    """Return that as much has been used as may; on a site that is safe, that more would be if all ran to its limit."""
    k, counter, checks = s.kinds[s.entry_kind[entry]], s.set_counters[place], s.set_checks[place]
    for resource in range(COUNTED):
        if not (checks >> USED + resource) & 1:
            continue
        most = s.counter_most_used[counter * METERED + resource]
        wanted = asked(s, k, resource, is_chosen) / _unit(resource) * _minutes(s, entry)
        used = _whole_minutes(s, entry, s.counter_used[counter * METERED + resource])
        ahead = _whole_minutes(s, entry, s.counter_ahead[counter * COUNTED + resource])
        is_over = wanted > 0.0 and used >= most
        if s.settings[SAFE]:
            is_over = is_over or wanted > most or (wanted > 0.0 and wanted + ahead > most - used)
        if is_over:
            return int(s.counter_used_words[counter * METERED + resource])
    return NO_REASON


@inner_kernel
def over_ahead(s: State, entry: int, place: int, is_chosen: bool) -> int:
    """Return that an entry, with what runs, might use more yet than may be."""
    k, counter, checks = s.kinds[s.entry_kind[entry]], s.set_counters[place], s.set_checks[place]
    for resource in range(COUNTED):
        if not (checks >> AHEAD + resource) & 1:
            continue
        wanted = asked(s, k, resource, is_chosen) / _unit(resource) * _minutes(s, entry)
        ahead = _whole_minutes(s, entry, s.counter_ahead[counter * COUNTED + resource])
        if wanted > 0.0 and wanted + ahead > s.counter_most_ahead[counter * COUNTED + resource]:
            return int(s.counter_ahead_words[counter * COUNTED + resource])
    return NO_REASON


@inner_kernel
def _held(s: State, row: int, resource: int) -> float:
    """Return how much of a resource a running task has: cores, nodes, MB or GPUs."""
    held = 0
    piece = s.site_tasks[row].first_piece
    while piece >= 0:
        p = s.held_pieces[piece]
        if resource == CPU:
            held += p.cpu
        elif resource == NODE:
            held += 1
        elif resource == MEMORY:
            held += p.memory
        else:
            held += p.gpus
        piece = p.next_of_task
    return held / _unit(resource)


@inner_kernel
def count_ahead(s: State, row: int, sign: int) -> None:
    """Count what a task that starts may use until its limit in all that bind it, or take back what is left of it."""
    t = s.site_tasks[row]
    if sign > 0:
        t.ahead = min(np.floor(s.entry_limit[t.entry] * of_qos(s.qos_usage, t.qos)), ENDLESS)
    bound = s.entry_set[t.entry]
    for place in range(s.set_first[bound], s.set_first[bound + 1]):
        counter = s.set_counters[place]
        for resource in range(COUNTED):
            if s.counter_charges[counter]:
                s.counter_ahead[counter * COUNTED + resource] += sign * _held(s, row, resource) * t.ahead


@inner_kernel
def meter(s: State, row: int, seconds: float) -> None:
    """Count what a running task has used in a while in all that bind it; as much less may it use yet."""
    t = s.site_tasks[row]
    factor = of_qos(s.qos_usage, t.qos)
    less = min(np.floor(seconds * factor), t.ahead)
    t.ahead -= less
    bound = s.entry_set[t.entry]
    for place in range(s.set_first[bound], s.set_first[bound + 1]):
        counter = s.set_counters[place]
        if not s.counter_charges[counter]:
            continue
        decayed = seconds * s.counter_decay[counter] ** seconds * factor
        s.counter_used[counter * METERED + WALL] += decayed
        for resource in range(COUNTED):
            held = _held(s, row, resource)
            s.counter_used[counter * METERED + resource] += held * decayed
            s.counter_ahead[counter * COUNTED + resource] -= held * less


@inner_kernel
def forget_use(s: State, seconds: float) -> None:
    """Let what was used count for less after a while."""
    for counter in range(len(s.counter_decay)):
        factor = s.counter_decay[counter] ** seconds
        for place in range(counter * METERED, (counter + 1) * METERED):
            s.counter_used[place] *= factor


@inner_kernel
def is_spent(s: State, row: int) -> bool:
    """Tell whether as much has been used as may by those that bind a running task, so that it has to stop."""
    bound = s.entry_set[s.site_tasks[row].entry]
    for place in range(s.set_first[bound], s.set_first[bound + 1]):
        counter, checks = s.set_counters[place], s.set_checks[place] >> USED
        if not s.counter_stops[counter]:
            continue
        for resource in range(METERED):
            used, most = s.counter_used[counter * METERED + resource], s.counter_most_used[counter * METERED + resource]
            is_full = (checks >> resource) & 1 and np.floor(used / SECONDS_PER_MINUTE) >= most
            if is_full and (resource == WALL or _held(s, row, resource) > 0.0):
                return True
    return False


@inner_kernel
def use_is_forgotten(s: State) -> bool:
    """Tell whether what was used, and is limited, counts for less as time goes by."""
    for at in range(len(s.counter_used)):
        is_limited = s.counter_decay[at // METERED] < 1.0 and s.counter_most_used[at] < np.inf
        if is_limited and s.counter_used[at] >= SECONDS_PER_MINUTE:
            return bool(s.settings[CHARGES])
    return False
