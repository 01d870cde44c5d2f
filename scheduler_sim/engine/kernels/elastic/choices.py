"""Which width each task gets in a round: what Pollux and Sia optimise, over tasks that share devices of one kind.

Every task that is there has widths to choose among, each with a cost; the sum of the costs is least that fits the
devices. Where devices are alike and tasks lie on as few nodes as can be, widths are all that either of them searches.
"""

from dataclasses import dataclass

import numpy as np

from scheduler_sim.engine.columns import BoolArray, FloatArray, IntArray
from scheduler_sim.engine.elasticity import MALLEABLE, RIGID, Elasticity
from scheduler_sim.engine.jit import counting_kernel

IDLE_SPEEDUP = 1e-3
"""What Pollux takes for the speed-up of a task without devices, so that its mean is known."""

LEAST_FACTOR = 1e-3
"""Below this a restart factor does not fall, so that a task that restarted often may still go on."""

FURTHER_WIDTHS = 2
"""Sia lets a running task grow to so many times its width in a round."""


@dataclass(frozen=True, eq=False)
class Moment:
    """The m tasks that are there when widths are settled, in the order of their arrival.

    Attributes:
        rows: of the workload. width: shape (m,), devices held, 0 for none. attempts: begun so far, shape (m,).
        age_time: seconds since arrival, shape (m,).
        elastic: of the whole workload. devices: of the cluster. per_node: of each node.
    """

    rows: IntArray
    width: IntArray
    attempts: IntArray
    age_time: FloatArray
    elastic: Elasticity
    devices: int
    per_node: int

    def widths(self, place: int) -> IntArray:
        """Return what a task may be given beside nothing, ascending: its own width only where that is settled."""
        row, width = self.rows[place], self.width[place]
        kind = self.elastic.kind[row]
        if width and kind != MALLEABLE:
            return np.array([width])
        least = self.elastic.asked[row] if kind == RIGID else self.elastic.least[row]
        found = np.arange(least, self.elastic.most[row] + 1)
        usable: IntArray = found[self.elastic.rates[self.elastic.curve[row] + found] > 0]
        return usable

    def must_go_on(self, place: int) -> bool:
        """Tell whether a task cannot be stopped: it runs, and its width is settled."""
        return bool(self.width[place] and self.elastic.kind[self.rows[place]] != MALLEABLE)

    def rate(self, place: int, widths: IntArray) -> FloatArray:
        """Return the rates of a task on `widths`."""
        found: FloatArray = self.elastic.rates[self.elastic.curve[self.rows[place]] + widths]
        return found

    def restart_factor(self, place: int, widths: IntArray) -> FloatArray:
        """Return what changing to `widths` leaves of a task's speed: (T - R d) / (T + d), 1 where nothing changes.

        T is its age, R how often it changed and d what a change to such a width costs (Pollux, section 4.2.1; Sia,
        section 3.4).
        """
        pays = (widths != self.width[place]) & (self.attempts[place] > 0)
        age, cost = self.age_time[place], self.elastic.change_cost(self.rows[place], widths)
        pays &= cost > 0
        left = np.divide(age - (self.attempts[place] - 1) * cost, age + cost, out=np.ones(len(widths)), where=pays)
        return np.where(pays, np.maximum(left, LEAST_FACTOR), 1.0)


@dataclass(frozen=True, eq=False)
class Choice:
    """What may be chosen for m tasks, one entry each or none.

    Attributes:
        task: of each entry, from 0 up, ascending. width, cost: of each entry.
        idle_cost: of each task that gets nothing, shape (m,). must: tasks that get something, shape (m,).
    """

    task: IntArray
    width: IntArray
    cost: FloatArray
    idle_cost: FloatArray
    must: BoolArray

    def least(self, devices: int) -> IntArray:
        """Return the widths of least cost that fit, shape (m,), by dynamic programming over the devices.

        The choice is exact (a multiple-choice knapsack). Of equals the narrower width, for the later task first.
        """
        best = np.full(devices + 1, np.inf)
        best[0] = 0.0
        firsts = np.searchsorted(self.task, np.arange(len(self.idle_cost) + 1))
        taken = np.zeros((len(self.idle_cost), devices + 1), np.int64)
        _fill(best, taken, firsts, self.width, self.cost, np.where(self.must, np.inf, self.idle_cost))
        left = int(np.argmin(best))
        found = np.zeros(len(self.idle_cost), np.int64)
        for task in range(len(found) - 1, -1, -1):
            found[task] = taken[task, left]
            left -= found[task]
        return found


@counting_kernel
def _fill(
    best: FloatArray, taken: IntArray, firsts: IntArray, width: IntArray, cost: FloatArray, idle_cost: FloatArray
) -> None:
    """Fill the table of least costs: best[c] of the tasks so far on exactly c devices, and what the last one took."""
    before = best.copy()
    for task in range(len(idle_cost)):
        for used in range(len(best)):
            before[used] = best[used]
        for used in range(len(best)):
            lowest, chosen = before[used] + idle_cost[task], 0
            for entry in range(firsts[task], firsts[task + 1]):
                if width[entry] <= used:
                    found = before[used - width[entry]] + cost[entry]
                    if found < lowest:
                        lowest, chosen = found, width[entry]
            best[used], taken[task, used] = lowest, chosen


def power_cost(value: FloatArray | float, exponent: float) -> FloatArray:
    """Return what is least where a power mean is largest: -v^p, its logarithm for p = 0, v^p below."""
    values = np.asarray(value, np.float64)
    if exponent == 0.0:
        return -np.log(values)
    return values**exponent * (-1.0 if exponent > 0 else 1.0)


def pollux(now: Moment, p: float) -> IntArray:
    """Return the widths by which FITNESS_p is largest, shape (m,) (Pollux, OSDI 2021, equations 13 to 16).

    FITNESS_p = (1/m sum speedup^p)^(1/p); a task's speedup is its goodput over that in an equal share, by which its
    restart factor multiplies what is new. Pollux searches placements by a genetic algorithm; here the optimum over
    widths is found exactly.
    """
    tasks = len(now.rows)
    task, width, cost = [], [], []
    for place in range(tasks):
        widths = now.widths(place)
        row = now.rows[place]
        fair = min(max(now.devices // tasks, int(now.elastic.least[row])), int(now.elastic.most[row]))
        share = now.rate(place, np.array([fair]))[0] or 1.0
        speedup = np.maximum(now.rate(place, widths) / share * now.restart_factor(place, widths), 2 * IDLE_SPEEDUP)
        task.append(np.full(len(widths), place))
        width.append(widths)
        cost.append(power_cost(speedup, p))
    idle = np.full(tasks, float(power_cost(IDLE_SPEEDUP, p)))
    must = np.array([now.must_go_on(place) for place in range(tasks)])
    choice = Choice(np.concatenate(task), np.concatenate(width), np.concatenate(cost), idle, must)
    return choice.least(now.devices)


def sia(now: Moment, p: float, idle: float) -> IntArray:
    """Return the widths of Sia's assignment, shape (m,) (Sia, SOSP 2023, equation 1).

    Sia solves an integer programme; here the same optimum is found with its ties closed.
    """
    return sia_choice(now, p, idle).least(now.devices)


def sia_choice(now: Moment, p: float, idle: float) -> Choice:
    """Return what Sia chooses among: sum_j sum_w x_jw (r_jw G_jw)^p + idle (1 - sum_w x_jw) is least.

    G is goodput, normalised so that it is a task's least width on that width; r the restart factor. Widths are powers
    of two within a node and whole nodes above, a task's least, asked and most; malleable tasks begin with their least
    and at most double in a round.
    """
    tasks = len(now.rows)
    task, width, cost = [], [], []
    for place in range(tasks):
        row, held = now.rows[place], int(now.width[place])
        all_widths = now.widths(place)
        lowest = int(all_widths[0])
        base = float(now.rate(place, np.array([lowest]))[0]) / lowest
        widths = all_widths
        if not now.must_go_on(place):
            named = (now.elastic.least[row], now.elastic.asked[row], now.elastic.most[row], held)
            widths = all_widths[_is_configuration(all_widths, now.per_node) | np.isin(all_widths, named)]
            if now.elastic.kind[row] == MALLEABLE:
                widths = widths[widths <= (FURTHER_WIDTHS * held if held else lowest)]
        # What holds nothing has nothing to lose by a restart.
        factor = now.restart_factor(place, widths) if held else 1.0
        goodput = now.rate(place, widths) / base * factor
        task.append(np.full(len(widths), place))
        width.append(widths)
        cost.append(power_cost(goodput, p))
    must = np.array([now.must_go_on(place) for place in range(tasks)])
    return Choice(np.concatenate(task), np.concatenate(width), np.concatenate(cost), np.full(tasks, idle), must)


def _is_configuration(widths: IntArray, per_node: int) -> BoolArray:
    """Tell which widths are powers of two within a node, or whole nodes."""
    powers: BoolArray = (widths & (widths - 1)) == 0
    return np.where(widths <= per_node, powers, widths % per_node == 0)
