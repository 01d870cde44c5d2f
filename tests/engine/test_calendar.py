"""Events that lie ahead, by spans of time, beside a heap of all of them."""

import heapq
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from scheduler_sim.engine.jit import counting_kernel
from scheduler_sim.engine.kernels.structures.calendar import Calendar, add_event, take_event
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray


class Queue(NamedTuple):
    """What the steps of a calendar look at."""

    later: Any
    span_first: IntArray
    span_words: IntArray
    calendar: IntArray
    calendar_reals: FloatArray
    heap_times: FloatArray
    heap_codes: IntArray
    tasks: IntArray


@counting_kernel
def play(s: Queue, aheads: FloatArray, codes: IntArray, times: FloatArray, found: IntArray) -> None:
    """Add an event that lies so far ahead, or take the first where that is -1 and write down which it is."""
    pending, now = 0, 0.0
    for step in range(len(aheads)):
        if aheads[step] >= 0:
            add_event(s, pending, now + aheads[step], codes[step])
            pending += 1
        else:
            times[step], found[step] = s.heap_times[0], s.heap_codes[0]
            now = times[step] if times[step] < np.inf else now
            take_event(s, pending)
            pending -= 1


AHEAD: dict[str, Callable[[FloatArray], FloatArray]] = {
    "far and near": lambda draws: 10.0 ** (20 * draws - 8),
    "equal": lambda draws: np.floor(4 * draws),
    "at once": lambda draws: 0 * draws,
    "infinite, too": lambda draws: np.where(draws < 0.3, np.inf, np.floor(9 * draws)),
    "infinite": lambda draws: np.inf + draws,
}


@pytest.mark.parametrize("ahead", AHEAD)
@pytest.mark.parametrize("most", [3, 400])
def test_events_come_out_as_a_heap_gives_them(ahead: str, most: int) -> None:
    # The queue fills up and empties some four times, so that the places of `most` events are used again.
    generator = np.random.default_rng(0)
    steps = 16 * most
    drawn, codes, aheads = AHEAD[ahead](generator.random(steps)), generator.permutation(steps), np.full(steps, -1.0)
    pending: list[tuple[float, int]] = []
    expected: list[tuple[float, int]] = []
    now = 0.0
    for step in range(steps):
        likely = 0.8 if step // (2 * most) % 2 == 0 else 0.2
        if not pending or (len(pending) < most and generator.random() < likely):
            aheads[step] = drawn[step]
            heapq.heappush(pending, (now + drawn[step], int(codes[step])))
        else:
            expected.append(heapq.heappop(pending))
            now = expected[-1][0] if expected[-1][0] < np.inf else now
    times, found = np.zeros(steps), np.zeros(steps, np.int64)
    queue = Queue(*Calendar.of(most), np.zeros(most), np.zeros(most, np.int64), np.zeros(steps, np.int64))
    play(queue, aheads, codes, times, found)
    taken = aheads < 0
    assert list(zip(times[taken].tolist(), found[taken].tolist(), strict=True)) == expected
