"""How wide tasks are, by rules that look at who is there and at nothing else: equal shares, and expanding into holes.

Both walk the queue in the order of arrival and stop at the first task that finds no room. Rigid and moldable tasks keep
the width with which they started.
"""

from typing import Any

from scheduler_sim.engine.elasticity import MALLEABLE, RIGID
from scheduler_sim.engine.jit import counting_kernel
from scheduler_sim.engine.kernels.elastic.state import ACTIVE, State


@counting_kernel
def share_equally(s: State) -> None:
    """Settle targets: who fits with its least width runs, and who may be wider is as wide as the others."""
    active, free = s.counts[ACTIVE], len(s.nodes)
    for place in range(active):
        task = s.tasks[s.active[place]]
        task.target = 0
        if task.width > 0:
            task.target = task.least if task.bends == MALLEABLE else task.width
            free -= task.target
    for place in range(active):
        task = s.tasks[s.active[place]]
        if task.width == 0:
            if task.least > free:
                break
            task.target = task.least
            free -= task.least
    _grow(s, free)


@counting_kernel
def expand_and_shrink(s: State) -> None:
    """Settle targets: the head starts on what others hold beyond what they asked for, up to what it asks for itself.

    Where that is less than its least width, they go down to their own least widths, as far as it needs. What is left
    over is filled.
    """
    active, free = s.counts[ACTIVE], len(s.nodes)
    for place in range(active):
        task = s.tasks[s.active[place]]
        task.target = task.width
        free -= task.width
    for place in range(active):
        head = s.tasks[s.active[place]]
        if head.width > 0:
            continue
        spare = 0
        for other in range(active):
            task = s.tasks[s.active[other]]
            spare += max(task.target - _floor(task, False), 0)
        if free + spare < head.least:
            break
        free += _shrink(s, head.asked - free, True)
        free += _shrink(s, head.least - free, False)
        head.target = min(head.asked, free)
        free -= head.target
    _grow(s, free)


@counting_kernel
def _grow(s: State, free: int) -> None:
    """Give free devices one by one to the narrowest that may grow, to the earlier one where several are as narrow."""
    while free > 0:
        lowest = -1
        for place in range(s.counts[ACTIVE]):
            task = s.tasks[s.active[place]]
            if _may_grow(task) and (lowest < 0 or task.target < lowest):
                lowest = task.target
        if lowest < 0:
            return
        for place in range(s.counts[ACTIVE]):
            task = s.tasks[s.active[place]]
            if free > 0 and _may_grow(task) and task.target == lowest:
                task.target += 1
                free -= 1


@counting_kernel
def _may_grow(task: Any) -> bool:
    """Tell whether a task that is to run may be wider: a malleable one, or one that starts and is not rigid."""
    starts = task.width == 0 and task.bends != RIGID
    return bool(0 < task.target < task.most and (task.bends == MALLEABLE or starts))


@counting_kernel
def _floor(task: Any, as_asked: bool) -> int:
    """Return down to which width a task may shrink."""
    if task.bends != MALLEABLE:
        return int(task.target)
    return int(task.asked if as_asked else task.least)


@counting_kernel
def _shrink(s: State, needed: int, as_asked: bool) -> int:
    """Take devices one by one from the widest, from the later task where several are as wide; return how many."""
    taken = 0
    while taken < needed:
        highest = 0
        for place in range(s.counts[ACTIVE]):
            task = s.tasks[s.active[place]]
            if task.target > _floor(task, as_asked):
                highest = max(highest, task.target)
        if highest == 0:
            break
        for place in range(s.counts[ACTIVE] - 1, -1, -1):
            task = s.tasks[s.active[place]]
            if taken < needed and task.target == highest and task.target > _floor(task, as_asked):
                task.target -= 1
                taken += 1
    return taken
