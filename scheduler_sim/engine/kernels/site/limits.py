"""Limits of QOS, accounts and users, counted as tasks start and end."""

from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.site.limit_table import AHEAD_BITS, JOBS_BIT, SUBMITTED_BIT, USED_BITS, WALL_BIT
from scheduler_sim.engine.kernels.site.reasons import ARRAY_LIMIT, NO_REASON
from scheduler_sim.engine.kernels.site.state import COUNTED, CPU, GPU, MEMORY, METERS, NODE, State
from scheduler_sim.engine.kernels.site.use import asked, count_ahead, over_ahead, over_used, over_wall


@inner_kernel
def over_count(s: State, entry: int) -> int:
    """Return why as many tasks as may run already do, or why those of the past ran as long as may be, 0 otherwise."""
    bound = s.entry_set[entry]
    for place in range(s.set_first[bound], s.set_first[bound + 1]):
        counter, checks = s.set_counters[place], s.set_checks[place]
        if checks & JOBS_BIT and s.counter_jobs[counter] >= s.counter_most_jobs[counter]:
            return int(s.counter_jobs_word[counter])
        if checks & WALL_BIT:
            reason = over_wall(s, entry, counter)
            if reason != NO_REASON:
                return int(reason)
    return NO_REASON


@inner_kernel
def over_submitted(s: State, row: int) -> int:
    """Return why a task that comes is refused, as many as may be there already are, 0 where it is not."""
    bound = s.entry_set[s.first_entry[row]]
    for place in range(s.set_first[bound], s.set_first[bound + 1]):
        counter = s.set_counters[place]
        if s.set_checks[place] & SUBMITTED_BIT and s.counter_submitted[counter] >= s.counter_most_submitted[counter]:
            return int(s.counter_submitted_word[counter])
    return NO_REASON


@inner_kernel
def count_submitted(s: State, row: int, sign: int) -> None:
    """Count a task that has come, or with sign -1 one that leaves for good, in all that bind it."""
    s.site_tasks[row].submitted += sign
    bound = s.entry_set[s.first_entry[row]]
    for place in range(s.set_first[bound], s.set_first[bound + 1]):
        s.counter_submitted[s.set_counters[place]] += sign


@inner_kernel
def over_array(s: State, row: int) -> int:
    """Return that as many tasks of its array run as may, 0 where they do not."""
    t = s.site_tasks[row]
    if t.array > 0 and t.array_limit > 0 and s.array_running[t.array] >= t.array_limit:
        return ARRAY_LIMIT
    return NO_REASON


@inner_kernel
def over_amount(s: State, entry: int, is_chosen: bool) -> int:
    """Return which limit an entry would exceed with the chosen nodes, or with what it asks for, 0 for none."""
    bound = s.entry_set[entry]
    k = s.kinds[s.entry_kind[entry]]
    for place in range(s.set_first[bound], s.set_first[bound + 1]):
        checks = s.set_checks[place]
        if checks & (USED_BITS ^ WALL_BIT):
            reason = over_used(s, entry, place, is_chosen)
            if reason != NO_REASON:
                return int(reason)
        counter = s.set_counters[place] * COUNTED
        for resource in range(COUNTED):
            if not (checks >> resource) & 1:
                continue
            most = s.counter_most[counter + resource]
            if s.counter_held[counter + resource] + asked(s, k, resource, is_chosen) > most:
                return int(s.counter_words[counter + resource])
        if checks & AHEAD_BITS:
            reason = over_ahead(s, entry, place, is_chosen)
            if reason != NO_REASON:
                return int(reason)
    return NO_REASON


@inner_kernel
def count_in(s: State, row: int, sign: int) -> None:
    """Count a task that starts, or with sign -1 one that ends, in all that bind it."""
    t = s.site_tasks[row]
    if t.array > 0:
        s.array_running[t.array] += sign
    bound = s.entry_set[t.entry]
    if s.set_first[bound] == s.set_first[bound + 1]:
        return
    if s.settings[METERS]:
        count_ahead(s, row, sign)
    cpu, nodes, memory, gpus = 0, 0, 0, 0
    piece = t.first_piece
    while piece >= 0:
        p = s.held_pieces[piece]
        nodes += 1
        cpu += p.cpu
        memory += p.memory
        gpus += p.gpus
        piece = p.next_of_task
    for place in range(s.set_first[bound], s.set_first[bound + 1]):
        counter = s.set_counters[place]
        if not s.counter_charges[counter]:
            continue
        s.counter_jobs[counter] += sign
        s.counter_held[counter * COUNTED + CPU] += sign * cpu
        s.counter_held[counter * COUNTED + NODE] += sign * nodes
        s.counter_held[counter * COUNTED + MEMORY] += sign * memory
        s.counter_held[counter * COUNTED + GPU] += sign * gpus
