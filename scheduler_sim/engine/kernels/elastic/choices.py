"""Which width each task gets in a round, and of which kind of device: what Pollux and Sia optimise.

Every task that is there has widths to choose among, each with a cost; the sum of the costs is least that fits the
devices. Where those of a kind are alike and tasks lie on as few nodes as can be, kinds and widths are all that either
of them searches.
"""

from dataclasses import dataclass

import numpy as np

from scheduler_sim.engine.elasticity import MALLEABLE, RIGID
from scheduler_sim.engine.kernels.elastic.assignment import Choice
from scheduler_sim.engine.kernels.elastic.kinds import Kinds
from scheduler_sim.engine.workloads.columns import BoolArray, FloatArray, IntArray

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
        rows: of the workload. width: shape (m,), devices held, 0 for none. kind: of what they hold, or last held,
            shape (m,). attempts: begun so far, shape (m,). age_time: seconds since arrival, shape (m,).
        kinds: of the cluster, and how all tasks of the workload are on each.
    """

    rows: IntArray
    width: IntArray
    kind: IntArray
    attempts: IntArray
    age_time: FloatArray
    kinds: Kinds

    def widths(self, place: int, kind: int = 0) -> IntArray:
        """Return what a task may be given of a kind, ascending: what it holds only, where that is settled."""
        row, width, elastic = self.rows[place], self.width[place], self.kinds.of_kind[kind]
        if self.must_go_on(place):
            return np.array([width] if self.kind[place] == kind else [], np.int64)
        if not self.kinds.pace[row, kind]:
            return np.zeros(0, np.int64)
        least = elastic.asked[row] if elastic.kind[row] == RIGID else elastic.least[row]
        found = np.arange(least, min(elastic.most[row], self.kinds.devices[kind]) + 1)
        usable: IntArray = found[elastic.rates[elastic.curve[row] + found] > 0]
        return usable

    def must_go_on(self, place: int) -> bool:
        """Tell whether a task cannot be stopped: it runs, and its width is settled."""
        return bool(self.width[place] and self.kinds.of_kind[0].kind[self.rows[place]] != MALLEABLE)

    def rate(self, place: int, widths: IntArray, kind: int = 0) -> FloatArray:
        """Return the rates of a task on `widths` of a kind."""
        row, elastic = self.rows[place], self.kinds.of_kind[kind]
        found: FloatArray = elastic.rates[elastic.curve[row] + widths] * self.kinds.pace[row, kind]
        return found

    def restart_factor(self, place: int, widths: IntArray, kind: int = 0) -> FloatArray:
        """Return what changing to `widths` of a kind leaves of a task's speed: (T - R d) / (T + d), 1 without change.

        T is its age, R how often it changed and d what a change to such a width costs (Pollux, section 4.2.1; Sia,
        section 3.4).
        """
        pays = ((widths != self.width[place]) | (kind != self.kind[place])) & (self.attempts[place] > 0)
        age, cost = self.age_time[place], self.kinds.of_kind[kind].change_cost(self.rows[place], widths)
        pays &= cost > 0
        left = np.divide(age - (self.attempts[place] - 1) * cost, age + cost, out=np.ones(len(widths)), where=pays)
        return np.where(pays, np.maximum(left, LEAST_FACTOR), 1.0)


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
    tasks, devices, elastic = len(now.rows), int(now.kinds.devices[0]), now.kinds.of_kind[0]
    task, width, cost = [], [], []
    for place in range(tasks):
        widths = now.widths(place)
        row = now.rows[place]
        fair = min(max(devices // tasks, int(elastic.least[row])), int(elastic.most[row]))
        share = now.rate(place, np.array([fair]))[0] or 1.0
        speedup = np.maximum(now.rate(place, widths) / share * now.restart_factor(place, widths), 2 * IDLE_SPEEDUP)
        task.append(np.full(len(widths), place))
        width.append(widths)
        cost.append(power_cost(speedup, p))
    idle = np.full(tasks, float(power_cost(IDLE_SPEEDUP, p)))
    must = np.array([now.must_go_on(place) for place in range(tasks)])
    whole = np.concatenate(task)
    choice = Choice(whole, np.zeros(len(whole), np.int64), np.concatenate(width), np.concatenate(cost), idle, must)
    return choice.least(devices)


def sia(now: Moment, p: float, idle: float) -> tuple[IntArray, IntArray]:
    """Return kinds and widths of Sia's assignment, shape (m,) each (Sia, SOSP 2023, equation 1).

    Sia solves an integer programme; with one kind of device the same optimum is found by dynamic programming.
    """
    return sia_choice(now, p, idle).best(now.kinds.devices)


def sia_choice(now: Moment, p: float, idle: float) -> Choice:
    """Return what Sia chooses among: sum_j sum_c x_jc (r_jc G_jc)^p + idle (1 - sum_c x_jc) is least.

    A configuration c is a width of a kind. G is goodput, normalised so that it is a task's least width on that width of
    the kind on which it is slowest for each device; r the restart factor. Widths are powers of two within a node and
    whole nodes above, a task's least, asked and most; malleable tasks begin with their least and at most double in a
    round, whatever the kind.
    """
    tasks = len(now.rows)
    columns: list[tuple[IntArray, IntArray, IntArray, FloatArray]] = []
    for place in range(tasks):
        held = int(now.width[place])
        offers = [(kind, widths) for kind in range(len(now.kinds.devices)) if len(widths := now.widths(place, kind))]
        base = min(float(now.rate(place, widths[:1], kind)[0]) / int(widths[0]) for kind, widths in offers)
        for kind, every in offers:
            widths = every if now.must_go_on(place) else _configurations(now, place, kind, every)
            # What holds nothing has nothing to lose by a restart.
            factor = now.restart_factor(place, widths, kind) if held else 1.0
            goodput = now.rate(place, widths, kind) / base * factor
            count = len(widths)
            columns.append((np.full(count, place), np.full(count, kind), widths, power_cost(goodput, p)))
    must = np.array([now.must_go_on(place) for place in range(tasks)])
    task, kinds, width, cost = (np.concatenate(column) for column in zip(*columns, strict=True))
    return Choice(task, kinds, width, cost, np.full(tasks, idle), must)


def _configurations(now: Moment, place: int, kind: int, widths: IntArray) -> IntArray:
    """Return which of its widths of a kind Sia offers a task."""
    row, held, elastic = now.rows[place], int(now.width[place]), now.kinds.of_kind[kind]
    named = (elastic.least[row], elastic.asked[row], elastic.most[row], held)
    offered = widths[_is_configuration(widths, int(now.kinds.per_node[kind])) | np.isin(widths, named)]
    if elastic.kind[row] != MALLEABLE:
        return offered
    found: IntArray = offered[offered <= (FURTHER_WIDTHS * held if held else widths[0])]
    return found


def _is_configuration(widths: IntArray, per_node: int) -> BoolArray:
    """Tell which widths are powers of two within a node, or whole nodes."""
    powers: BoolArray = (widths & (widths - 1)) == 0
    return np.where(widths <= per_node, powers, widths % per_node == 0)
