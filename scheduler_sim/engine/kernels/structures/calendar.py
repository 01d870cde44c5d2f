"""Events that lie far ahead, by spans of time, so that a heap holds only those of the next span.

With thousands of events a heap of all of them is what an event waits for: a way of a dozen places, each of which says
where the next one is. Here an event that is not of the present span lies in the list of its own span, one that lies
behind all spans in a list of those, and a span's list goes into the heap when the heap is empty. Which event comes
first, and which of equal times, is the heap's alone to say.

Where no span is left, those behind all are spread over twice their mean time to come, so that at least half of them
find a span: an event is moved twice on average, however times lie. Spans that hold many cost what the heap costs.
Infinite times lie behind all spans as long as finite ones do too, and then leave everything to the heap.
(R. Brown, Calendar queues: a fast O(1) priority queue implementation for the simulation event set problem, CACM 31(10),
1988; W. T. Tang, R. S. M. Goh and I. L.-J. Thng, Ladder queue, ACM TOMACS 15(3), 2005.)
"""

from typing import Any, NamedTuple

import numpy as np

from scheduler_sim.engine import inlined
from scheduler_sim.engine.indexes import never_negative
from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.structures.bits import lowest_bit
from scheduler_sim.engine.kernels.structures.heap import heap_pop, heap_push
from scheduler_sim.engine.kernels.structures.prefetch import prefetch
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

never_negative(__name__)

EVENT = np.dtype([("time", "f8"), ("code", "i8"), ("next", "i8")])
"""An event that lies ahead, and the next of its span or of the places that are free, -1 for none."""

LATER, SPARE, SPAN, COUNTS = range(4)
"""Places in the counts: events here and not in the heap, the first free place, the span that is in the heap."""

BEGIN, SCALE, REALS = range(3)
"""Places in the reals: when the first span begins, and how many there are in a second."""

FEWEST, MOST = 64, 4096
"""Spans at least and at most, a multiple of 64."""

SHORTEST = 1e-9
"""Seconds that all spans have together at least."""


class Calendar(NamedTuple):
    """Events that lie ahead.

    Attributes:
        later: the events.
        span_first: the first event of each span, and behind those that of the events behind all of them.
        span_words: a bit for each span that has events.
        calendar: counts, see above.
        calendar_reals: see above.
    """

    later: Any
    span_first: IntArray
    span_words: IntArray
    calendar: IntArray
    calendar_reals: FloatArray

    @classmethod
    def of(cls, most: int) -> "Calendar":
        """Return an empty calendar for up to `most` events, 0 for one that leaves all of them to the heap."""
        spans = min(max(1 << (most // 2).bit_length(), FEWEST), MOST) if most else 0
        later = np.zeros(most, EVENT)
        later["next"] = np.arange(1, most + 1)
        # The first event that comes lies behind all spans, so that they are made for it.
        reals = np.array([-np.inf, 1.0] if most else [0.0, 0.0])
        first, words = np.full(spans + 1, -1, np.int64), np.zeros(spans // 64, np.int64)
        return cls(later, first, words, np.zeros(COUNTS, np.int64), reals)


@inlined.kernel
def in_heap(s: Any, pending: int) -> int:
    """Return how many of the `pending` events lie in the heap."""
    return int(pending - s.calendar[LATER])


@inlined.kernel
def add_event(s: Any, pending: int, time: float, code: int) -> None:
    """Add an event to the `pending` ones.

    `s` has the columns of a `Calendar`, `heap_times`, `heap_codes` and `tasks`; a third of a code is the row of a task.
    """
    spans = (time - s.calendar_reals[BEGIN]) * s.calendar_reals[SCALE]
    # Where spans begin at infinity, or there are none, those to an infinite time are no number: the heap has all.
    if not spans >= s.calendar[SPAN] + 1:
        heap_push(s.heap_times, s.heap_codes, in_heap(s, pending), time, code)
        return
    place = s.calendar[SPARE]
    event = s.later[place]
    s.calendar[SPARE] = event.next
    s.calendar[LATER] += 1
    event.time = time
    event.code = code
    _put(s, place, spans)
    if s.calendar[LATER] == pending + 1:
        next_span(s)


@inlined.kernel
def take_event(s: Any, pending: int) -> None:
    """Take away the first of the `pending` events; read it at index 0 of the heap before."""
    size = in_heap(s, pending)
    heap_pop(s.heap_times, s.heap_codes, size)
    if size == 1 and s.calendar[LATER] > 0:
        next_span(s)


@inlined.kernel
def _put(s: Any, place: int, spans: float) -> None:
    """Put an event into the list of its span, `spans` behind the beginning."""
    last = len(s.span_first) - 1
    span = last
    if spans < last:
        span = int(spans)
        s.span_words[span >> 6] |= np.int64(1) << (span & 63)
    s.later[place].next = s.span_first[span]
    s.span_first[span] = place


@inner_kernel
def next_span(s: Any) -> None:
    """Put the events of the next span that has any into the heap, which is empty, and ask for their tasks."""
    span = _next_with_events(s)
    if span < 0:
        _spread(s)
        span = _next_with_events(s)
    place = s.span_first[span]
    s.span_first[span] = -1
    s.span_words[span >> 6] &= ~(np.int64(1) << (span & 63))
    s.calendar[SPAN] = span
    size = 0
    while place >= 0:
        event = s.later[place]
        prefetch(s.tasks, event.code // 3, 0)
        heap_push(s.heap_times, s.heap_codes, size, event.time, event.code)
        size += 1
        following = event.next
        event.next = s.calendar[SPARE]
        s.calendar[SPARE] = place
        place = following
    s.calendar[LATER] -= size
    span = _next_with_events(s)
    if span >= 0:
        # Most spans hold one event, so that to ask when one begins is late.
        prefetch(s.tasks, s.later[s.span_first[span]].code // 3, 0)


@inner_kernel
def _next_with_events(s: Any) -> int:
    """Return the next span that has events, -1 for none; those before the present one have none."""
    for word in range(max(s.calendar[SPAN], 0) >> 6, len(s.span_words)):
        if s.span_words[word] != 0:
            return int((word << 6) + lowest_bit(s.span_words[word]))
    return -1


@inner_kernel
def _spread(s: Any) -> None:
    """Make spans anew for the events behind all of them; the earliest lies in the first."""
    last = len(s.span_first) - 1
    place = s.span_first[last]
    s.span_first[last] = -1
    begin = s.later[place].time
    at = place
    finite = 0
    while at >= 0:
        begin = min(begin, s.later[at].time)
        finite += int(s.later[at].time < np.inf)
        at = s.later[at].next
    ahead = 0.0
    at = place
    while at >= 0:
        if s.later[at].time < np.inf:
            ahead += s.later[at].time - begin
        at = s.later[at].next
    s.calendar_reals[BEGIN] = begin
    s.calendar_reals[SCALE] = last / max(2.0 * ahead / max(finite, 1), SHORTEST)
    s.calendar[SPAN] = -1
    while place >= 0:
        following = s.later[place].next
        time = s.later[place].time
        # Infinity less infinity is no number.
        _put(s, place, (time - begin) * s.calendar_reals[SCALE] if time > begin else 0.0)
        place = following
