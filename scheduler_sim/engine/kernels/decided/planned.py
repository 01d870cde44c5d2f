"""Tasks that follow a plan: settled when they arrive, node by node in its order, whatever really happens."""

import heapq

import numpy as np

from scheduler_sim.engine.kernels.decided.insertion import plan_tasks
from scheduler_sim.engine.kernels.decided.kernel import DecidedKernel
from scheduler_sim.engine.problem import Problem
from scheduler_sim.engine.workloads.columns import BoolArray, FloatArray, IntArray

_ALIKE = 1e-9
"""Part of the highest rank by which two ranks must differ to count as different: they are sums of the same lengths."""


class PlanKernel(DecidedKernel):
    """Plans by insertion (`insertion.plan_tasks`), and does what was planned.

    At each instant at which tasks arrive, what has not begun of the plan is brought up to date: tasks stay on their
    nodes and in their order there, and their times follow from what has happened. Then the new ones are planned, of
    those whose parents are planned the highest rank first; a task whose parent arrives later is planned with it. On
    every node tasks begin in the order of the plan, each as soon as its data is there and the node holds it: data
    moves once it exists and its task is planned, and no device is held meanwhile. Tasks of no length take no place in
    the plan, and wait for one when they are to begin.

    Errors as of `DecidedKernel`.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        workload, scores = problem.workload, problem.scores
        n, groups = self._duration.shape
        highest = float(np.abs(scores.base).max(initial=0.0)) or 1.0
        self._rank = np.round(scores.base / (highest * _ALIKE)).tolist()
        self._ahead = np.zeros((n, groups)) if scores.ahead is None else scores.ahead
        self._capacity = self._free.copy()
        first_of = np.searchsorted(self._group_of, np.arange(groups))
        self._may: BoolArray = self._admitted[:, first_of][self._admission]
        self._mb, self._latency, self._per_mb = np.zeros(workload.parents.count), *np.zeros((2, groups, groups))
        if self._transfers is not None:
            links = self._transfers
            self._mb, self._latency, self._per_mb = links.mb, links.latency, links.per_mb
        self._parents = workload.parents
        self._asked_at: FloatArray = np.full(n, np.nan)
        self._planned_node: IntArray = np.full(n, -1)
        self._planned_start: FloatArray = np.full(n, np.nan)
        self._lines: dict[int, list[int]] = {}
        self._turn: dict[int, int] = {}
        self._new: list[int] = []
        self._joined: list[int] = []
        self._data_at: dict[int, float] = {}
        self._coming: list[float] = []

    def _next(self) -> float:
        return min(super()._next(), self._coming[0] if self._coming else np.inf)

    def _arrive(self, row: int, now: float) -> None:
        super()._arrive(row, now)
        self._new.append(row)

    def _join(self, row: int, now: float) -> None:
        super()._join(row, now)
        self._joined.append(row)

    def _fetched(self, row: int, node: int) -> float:
        return 0.0

    def _settle(self, now: float) -> None:
        while self._coming and self._coming[0] <= now:
            heapq.heappop(self._coming)
        rows = self._in_turn() if self._new else []
        if rows:
            self._plan(rows, now)

    def _in_turn(self) -> list[int]:
        """Return the new tasks whose parents are planned, or are before them in the list, highest rank first."""
        offsets, parents = self._parents.offsets, self._parents.rows
        left = {row: int((self._planned_node[parents[offsets[row] : offsets[row + 1]]] < 0).sum()) for row in self._new}
        ready = [(self._rank[row], row) for row, count in left.items() if not count]
        heapq.heapify(ready)
        found = []
        while ready:
            _, row = heapq.heappop(ready)
            found.append(row)
            for child in self._children[self._child_offsets[row] : self._child_offsets[row + 1]].tolist():
                if child in left:
                    left[child] -= 1
                    if not left[child]:
                        heapq.heappush(ready, (self._rank[child], child))
        chosen = set(found)
        self._new = [row for row in self._new if row not in chosen]
        return found

    def _plan(self, rows: list[int], now: float) -> None:
        """Bring the plan of what has not begun up to date, and plan `rows` behind it."""
        start = self._planned_start
        old = [row for line in self._lines.values() for row in line]
        # Of one start on one node, the order that they have there; a parent never begins after its child.
        old.sort(key=lambda row: (start[row], self._turn[row]))
        self._asked_at[rows] = now
        expected = self._outcome.finish_time.copy()
        running = np.fromiter(self._running, np.int64)
        expected[running] = np.maximum(self._arrays["expected_end_time"][running], now)
        node = np.where(self._outcome.node >= 0, self._outcome.node, self._planned_node)
        planned = np.array(old + rows, np.int64)
        plan_tasks(
            planned,
            np.arange(len(planned)) < len(old),
            running,
            now,
            self._expected,
            self._ahead,
            self._need,
            self._capacity,
            self._group_of,
            self._may,
            self._parents.offsets,
            self._parents.rows,
            self._mb,
            self._latency,
            self._per_mb,
            self._asked_at,
            node,
            start,
            expected,
        )
        self._planned_node = node
        self._turn = {row: turn for turn, row in enumerate(planned.tolist())}
        self._lines = {}
        for row in sorted(self._turn, key=lambda row: (start[row], self._turn[row])):
            self._lines.setdefault(int(node[row]), []).append(row)

    def _decide(self, now: float) -> bool:
        for row in self._joined:
            self._data_at[row] = self._comes(row)
            if self._data_at[row] > now:
                heapq.heappush(self._coming, self._data_at[row])
        self._joined.clear()
        began = False
        for node in sorted(self._lines):
            line, done = self._lines[node], 0
            while done < len(line) and self._data_at.get(line[done], np.inf) <= now:
                row = line[done]
                if (self._free[:, node] < self._need[:, row]).any():
                    break
                self._run(row, node, now)
                del self._data_at[row]
                done += 1
            if done:
                began = True
                del line[:done]
                if not line:
                    del self._lines[node]
        return began

    def _comes(self, row: int) -> float:
        """Return when the data of a planned task, whose parents have ended, is on its node."""
        here, latest = int(self._planned_node[row]), 0.0
        for edge in range(self._parents.offsets[row], self._parents.offsets[row + 1]):
            parent = self._parents.rows[edge]
            there = int(self._outcome.node[parent])
            ended = float(self._outcome.finish_time[parent])
            if self._transfers is not None and there != here and self._mb[edge] > 0:
                groups = self._group_of[there], self._group_of[here]
                ended = max(ended, float(self._asked_at[row])) + self._transfers.seconds(edge, *groups)
            latest = max(latest, ended)
        return latest
