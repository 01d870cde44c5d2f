"""Who waits: a heap for each class of alike demands with a tree over the heads, or one sorted list.

Tasks that do not fit while a schedule is built do not fit later in it either, as what is free only shrinks. So the
next one to try is the first by (key, tie) of the classes that still fit: no task that cannot start is looked at.
"""

from scheduler_sim.engine.codes import QUEUED
from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.core.state import HEAPS, LEAVES, POOL, WHERE, Core
from scheduler_sim.engine.workloads.workload import IntArray


@inner_kernel
def before(s: Core, one: int, other: int) -> bool:
    """Tell whether row `one` comes before row `other`."""
    a, b = s.jobs[one], s.jobs[other]
    return bool(a.key < b.key or (a.key == b.key and a.tie < b.tie))


@inner_kernel
def _better(s: Core, one: int, other: int) -> int:
    """Return the row that comes first; -1 stands for none."""
    if one < 0:
        return other
    if other < 0 or before(s, one, other):
        return one
    return other


@inner_kernel
def _new_head(s: Core, kind: int) -> None:
    """Note that another task is the first of its class."""
    if s.settings[WHERE] != POOL:
        return
    i = s.settings[LEAVES] + kind
    s.best[i] = s.queue_rows[s.class_from[kind]] if s.class_count[kind] > 0 else -1
    i >>= 1
    while i >= 1:
        s.best[i] = _better(s, s.best[2 * i], s.best[2 * i + 1])
        i >>= 1


@inner_kernel
def _sink(s: Core, kind: int, place: int, row: int) -> None:
    """Put `row` where it belongs at or below `place` of its class."""
    first, size = s.class_from[kind], s.class_count[kind]
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and before(s, s.queue_rows[first + child + 1], s.queue_rows[first + child]):
            child += 1
        below = s.queue_rows[first + child]
        if not before(s, below, row):
            break
        s.queue_rows[first + place] = below
        s.jobs[below].place = place
        place = child
    s.queue_rows[first + place] = row
    s.jobs[row].place = place


@inner_kernel
def _rise(s: Core, kind: int, place: int, row: int) -> int:
    """Put `row` where it belongs at or above `place` of its class and return where that is."""
    first = s.class_from[kind]
    while place > 0:
        above = s.queue_rows[first + ((place - 1) >> 1)]
        if not before(s, row, above):
            break
        s.queue_rows[first + place] = above
        s.jobs[above].place = place
        place = (place - 1) >> 1
    s.queue_rows[first + place] = row
    s.jobs[row].place = place
    return place


@inner_kernel
def push(s: Core, row: int) -> None:
    """Let a task wait; its key and tie are settled."""
    s.counts[QUEUED] += 1
    if not s.settings[HEAPS]:
        _insert(s, row)
        return
    kind = s.jobs[row].kind
    size = s.class_count[kind]
    s.class_count[kind] = size + 1
    if _rise(s, kind, size, row) == 0:
        _new_head(s, kind)


@inner_kernel
def take_out(s: Core, row: int) -> None:
    """Take a task out of the heap of its class."""
    s.counts[QUEUED] -= 1
    kind = s.jobs[row].kind
    size = s.class_count[kind] - 1
    s.class_count[kind] = size
    place = s.jobs[row].place
    last = s.queue_rows[s.class_from[kind] + size]
    if last != row and _rise(s, kind, place, last) == place:
        _sink(s, kind, place, last)
    if place == 0:
        _new_head(s, kind)


@inner_kernel
def first_of(s: Core, classes: int) -> int:
    """Return the first row of the classes below `classes` of a pool, -1 for none."""
    best = -1
    low, high = s.settings[LEAVES], s.settings[LEAVES] + classes
    while low < high:
        if low & 1:
            best = _better(s, best, s.best[low])
            low += 1
        if high & 1:
            high -= 1
            best = _better(s, best, s.best[high])
        low >>= 1
        high >>= 1
    return best


@inner_kernel
def first_open(s: Core) -> int:
    """Return the first row of the classes that are not shut, -1 for none."""
    best = -1
    for kind in range(len(s.class_count)):
        if s.class_count[kind] > 0 and not s.class_shut[kind]:
            best = _better(s, best, s.queue_rows[s.class_from[kind]])
    return best


@inner_kernel
def _insert(s: Core, row: int) -> None:
    """Put a task into the sorted list, which holds one less than QUEUED says."""
    low, high = 0, s.counts[QUEUED] - 1
    while low < high:
        middle = (low + high) >> 1
        if before(s, s.waiting[middle], row):
            low = middle + 1
        else:
            high = middle
    for i in range(s.counts[QUEUED] - 1, low, -1):
        s.waiting[i] = s.waiting[i - 1]
    s.waiting[low] = row


@inner_kernel
def sort_rows(s: Core, rows: IntArray, size: int) -> None:
    """Sort `size` rows that are nearly in order by (key, tie)."""
    for i in range(1, size):
        row = rows[i]
        j = i
        while j > 0 and before(s, row, rows[j - 1]):
            rows[j] = rows[j - 1]
            j -= 1
        rows[j] = row
