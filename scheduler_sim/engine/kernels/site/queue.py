"""The queue of a site: the entries of the tasks that wait, the largest key first and equal ones by their numbers."""

import numpy as np

from scheduler_sim.engine.codes import QUEUED
from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.site.state import (
    BY_FACTORS,
    CHANGED_ORDER,
    QUEUE,
    SLOPED,
    UNSORTED,
    WAITING,
    State,
)
from scheduler_sim.engine.kernels.structures.radix import order_codes, sort_by_codes, sort_codes
from scheduler_sim.engine.workloads.workload import IntArray

BITS_OF_CODE = 62
"""Of which a key and the number of an entry are made together."""


@inner_kernel
def _goes_before(s: State, one: int, other: int) -> bool:
    """Tell whether an entry stands before another: by its key, the second of its submission, and its number."""
    if s.entry_key[one] != s.entry_key[other]:
        return bool(s.entry_key[one] > s.entry_key[other])
    if s.entry_submit[one] != s.entry_submit[other]:
        return bool(s.entry_submit[one] < s.entry_submit[other])
    return one < other


@inner_kernel
def _place(s: State, entry: int) -> int:
    """Return where an entry belongs in the sorted queue."""
    first, last = 0, s.counts[QUEUE]
    while first < last:
        middle = (first + last) // 2
        if _goes_before(s, s.queue_entries[middle], entry):
            first = middle + 1
        else:
            last = middle
    return first


@inner_kernel
def add(s: State, row: int) -> None:
    """Queue a task whose keys are known."""
    s.site_tasks[row].state = WAITING
    s.counts[QUEUED] += 1
    for entry in range(s.first_entry[row], s.first_entry[row + 1]):
        s.entry_settled[entry] = 0
        if s.settings[SLOPED] or s.counts[UNSORTED]:
            s.queue_entries[s.counts[QUEUE]] = entry
            s.counts[UNSORTED] = 1
        else:
            place = _place(s, entry)
            for i in range(s.counts[QUEUE], place, -1):
                s.queue_entries[i] = s.queue_entries[i - 1]
            s.queue_entries[place] = entry
        s.counts[QUEUE] += 1


@inner_kernel
def tidy(s: State) -> None:
    """Leave out entries of tasks that wait no more."""
    kept = 0
    for i in range(s.counts[QUEUE]):
        entry = s.queue_entries[i]
        if s.site_tasks[s.entry_task[entry]].state == WAITING:
            s.queue_entries[kept] = entry
            kept += 1
    s.counts[QUEUE] = kept


@inner_kernel
def _sort_whole(s: State, entries: IntArray, codes: IntArray) -> bool:
    """Put entries in order whose keys are whole numbers; tell whether there was room for a key beside a number."""
    keys, size = s.entry_key, len(entries)
    least, largest = np.inf, -np.inf
    for i in range(size):
        key = keys[entries[i]]
        least, largest = min(least, key), max(largest, key)
    bits = 1
    while len(keys) >> bits > 0:
        bits += 1
    if largest - least >= 1 << (BITS_OF_CODE - bits):
        return False
    for i in range(size):
        codes[i] = (np.int64(largest - keys[entries[i]]) << bits) | entries[i]
    sort_codes(codes, bits)
    for i in range(size):
        entries[i] = codes[i] & ((1 << bits) - 1)
    return True


@inner_kernel
def sort(s: State) -> None:
    """Put the queue in order after keys have changed."""
    size = s.counts[QUEUE]
    entries = s.queue_entries[:size]
    codes = entries.copy()
    s.counts[UNSORTED] = 0
    if s.settings[BY_FACTORS] and not s.counts[CHANGED_ORDER] and _sort_whole(s, entries, codes):
        return
    sort_by_codes(codes, entries)
    keys = np.empty(size)
    if s.counts[CHANGED_ORDER]:
        for i in range(size):
            keys[i] = s.entry_submit[entries[i]]
        order_codes(keys, codes)
        sort_by_codes(codes, entries)
    for i in range(size):
        keys[i] = -s.entry_key[entries[i]]
    order_codes(keys, codes)
    sort_by_codes(codes, entries)


@inner_kernel
def slide(s: State, now: float) -> None:
    """Give every entry the key that it has now, where keys rise as tasks wait, and sort."""
    for i in range(s.counts[QUEUE]):
        entry = s.queue_entries[i]
        waited = now - s.site_tasks[s.entry_task[entry]].ready
        s.entry_key[entry] = s.entry_fixed_key[entry] + s.entry_slope[entry] * waited
    sort(s)
