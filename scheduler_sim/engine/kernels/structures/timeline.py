"""What an attempt does between its start and its end: work, and checkpoints after each interval of it."""

from math import floor

import numpy as np

from scheduler_sim.engine.jit import bare_kernel
from scheduler_sim.engine.workloads.workload import FloatArray

INTERVAL, WRITE, GROWTH = range(3)
"""Places in a vector of checkpoints: seconds of work before the first one, infinity for none; seconds that each takes;
how much longer the next interval is."""

MILLISECONDS = 1000.0
"""An interval that grows is cut to whole milliseconds."""


@bare_kernel
def grown(interval: float, growth: float) -> float:
    """Return the interval that comes after one of this length."""
    if growth == 1.0:
        return interval
    return floor(interval * growth * MILLISECONDS) / MILLISECONDS


@bare_kernel
def whole_intervals(work: float, interval: float) -> int:
    """Return how many intervals of one length end before `work` is done; none is written where it ends."""
    count = floor(work / interval)
    while count > 0 and count * interval >= work:
        count -= 1
    return count


@bare_kernel
def span(checkpoints: FloatArray, work: float) -> float:
    """Return the seconds that `work` seconds of progress take with the checkpoints between them."""
    if checkpoints[INTERVAL] == np.inf:
        return work
    interval, write, growth = checkpoints[INTERVAL], checkpoints[WRITE], checkpoints[GROWTH]
    if growth == 1.0:
        return float(work + whole_intervals(work, interval) * write)
    seconds, done = work, interval
    while done < work:
        seconds += write
        interval = grown(interval, growth)
        done += interval
    return seconds


@bare_kernel
def progress(checkpoints: FloatArray, elapsed: float, left: float) -> tuple[float, float]:
    """Return the progress after `elapsed` seconds of an attempt with `left` to do, and what of it is in checkpoints."""
    if elapsed <= 0.0:
        return 0.0, 0.0
    if checkpoints[INTERVAL] == np.inf:
        return min(elapsed, left), 0.0
    interval, write, growth = checkpoints[INTERVAL], checkpoints[WRITE], checkpoints[GROWTH]
    done = 0.0
    if growth == 1.0:
        cycle = interval + write
        count = floor(elapsed / cycle)
        while count > 0 and count * cycle > elapsed:
            count -= 1
        count = min(count, whole_intervals(left, interval))
        done = count * interval
        rest = elapsed - count * cycle
        if done + interval >= left:
            return min(done + rest, left), done
        return done + min(rest, interval), done
    while True:
        if done + interval >= left:
            return min(done + elapsed, left), done
        if elapsed < interval + write:
            return done + min(elapsed, interval), done
        done += interval
        elapsed -= interval + write
        interval = grown(interval, growth)
