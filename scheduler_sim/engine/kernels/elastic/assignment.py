"""The best choice of a kind of device and a width for each of several tasks."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from scheduler_sim.engine.errors import EngineError
from scheduler_sim.engine.jit import counting_kernel
from scheduler_sim.engine.workloads.columns import BoolArray, FloatArray, IntArray

MARGIN = 1e-6
"""By how much the optimum of several kinds is missed at most, so that equals are told apart."""

SCALE = 1e4
"""What costs are multiplied with for HiGHS, which ends within 1e-6 of the optimum whatever that is."""


class NoAssignment(EngineError):
    """A programme of kinds and widths that was not solved."""


@dataclass(frozen=True, eq=False)
class Choice:
    """What may be chosen for m tasks, one entry each or none.

    Attributes:
        task: of each entry, from 0 up, ascending. kind, width, cost: of each entry.
        idle_cost: of each task that gets nothing, shape (m,). must: tasks that get something, shape (m,).
    """

    task: IntArray
    kind: IntArray
    width: IntArray
    cost: FloatArray
    idle_cost: FloatArray
    must: BoolArray

    def best(self, devices: IntArray) -> tuple[IntArray, IntArray]:
        """Return the kinds and widths of least cost that fit the devices of each kind, shape (m,) each.

        Raises:
            NoAssignment: several kinds, and their programme was not solved.
        """
        if len(devices) == 1:
            return np.zeros(len(self.idle_cost), np.int64), self.least(int(devices[0]))
        return self.by_programme(devices)

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

    def by_programme(self, devices: IntArray) -> tuple[IntArray, IntArray]:
        """Return the kinds and widths of least cost that fit, shape (m,) each, by HiGHS; widths are 0 for nothing.

        Tasks that may choose among the same are one class, x_ce of which get entry e:

            sum_ce x_ce (cost_ce - idle_c) is least; sum_e x_ce <= tasks of c, equal where all must get something;
            sum_ce x_ce width_e <= devices of the kind, for each kind.

        In a class, who came first gets what costs least. Between choices of equal cost small weights decide, by which
        the optimum is missed by less than `MARGIN`.

        Raises:
            NoAssignment: HiGHS does not solve it; the sentence says why.
        """
        kind, width = np.zeros((2, len(self.idle_cost)), np.int64)
        if not len(self.task):
            return kind, width
        members = self._classes()
        firsts = np.searchsorted(self.task, np.arange(len(self.idle_cost) + 1))
        entry = np.concatenate([np.arange(firsts[tasks[0]], firsts[tasks[0] + 1]) for tasks in members])
        group = np.repeat(np.arange(len(members)), [firsts[tasks[0] + 1] - firsts[tasks[0]] for tasks in members])
        count = np.array([len(tasks) for tasks in members], np.float64)
        must = self.must[[tasks[0] for tasks in members]]
        columns = np.arange(len(entry))
        each = sparse.csr_array((np.ones(len(entry)), (group, columns)), shape=(len(members), len(entry)))
        held = sparse.csr_array(
            (self.width[entry].astype(np.float64), (self.kind[entry], columns)), shape=(len(devices), len(entry))
        )
        # Parts of multiples of the golden ratio: sums of few of them differ.
        weight = columns * ((np.sqrt(5.0) - 1.0) / 2.0) % 1.0
        gain = self.cost[entry] - self.idle_cost[self.task[entry]]
        solved = milp(
            SCALE * (gain + weight * MARGIN / len(self.idle_cost)),
            integrality=np.ones(len(entry)),
            bounds=Bounds(0.0, count[group]),
            constraints=[LinearConstraint(each, must * count, count), LinearConstraint(held, -np.inf, devices)],
            options={"mip_rel_gap": 0.0, "presolve": False},
        )
        if solved.status or solved.x is None:
            raise NoAssignment(
                f"HiGHS finds no assignment of {len(self.idle_cost)} tasks to {len(devices)} kinds of device: "
                f"{solved.message}"
            )
        taken = np.round(solved.x).astype(np.int64)
        for number, tasks in enumerate(members):
            own = np.flatnonzero(group == number)
            own = own[np.argsort(self.cost[entry[own]], kind="stable")]
            given = entry[np.repeat(own, taken[own])]
            chosen = tasks[: len(given)]
            kind[chosen], width[chosen] = self.kind[given], self.width[given]
        return kind, width

    def _classes(self) -> list[IntArray]:
        """Return the tasks that may choose among the same, together and ascending."""
        found: dict[tuple[bytes, ...], list[int]] = {}
        firsts = np.searchsorted(self.task, np.arange(len(self.idle_cost) + 1))
        for task, (begin, end) in enumerate(pairwise(firsts.tolist())):
            own = slice(begin, end)
            standing = np.array([self.idle_cost[task], self.must[task]])
            key = tuple(column.tobytes() for column in (self.kind[own], self.width[own], self.cost[own], standing))
            found.setdefault(key, []).append(task)
        return [np.array(tasks) for tasks in found.values()]


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
