"""A plain event loop that asks a Python class, at every instant at which something happens, what to start."""

import heapq
import operator
from bisect import bisect_left
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from scheduler_sim.engine.clusters.demand import KIB_PER_MB, UNLIMITED, Demands, NodeGroups, demands, refuse_oversized
from scheduler_sim.engine.clusters.paces import Paces
from scheduler_sim.engine.clusters.transfers import Transfers
from scheduler_sim.engine.codes import ARRIVED, COMMON, FINISHED, MILLI, QUEUED, RUNNING
from scheduler_sim.engine.contract import Outcome
from scheduler_sim.engine.errors import InvalidPolicy, InvalidWorkload
from scheduler_sim.engine.formulas import played_runtime, rigid_time
from scheduler_sim.engine.kernels.base import BaseKernel
from scheduler_sim.engine.kernels.decided.state import State
from scheduler_sim.engine.policies.asking import asking
from scheduler_sim.engine.policies.program import ProgramFault
from scheduler_sim.engine.problem import Problem
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

GPUS = 1
SHOWN_FREE = ("free_cores", "free_gpus", "free_memory_mb")
RESOURCES = ("cores", "GPUs", "MB of memory")
UNITS = (MILLI, 1, KIB_PER_MB)


class DecidedKernel(BaseKernel):
    """Tasks that one node holds, run once each, started by a class of the user's.

    Raises:
        InvalidPolicy: tasks may stop and go on, nodes are away, or estimates come late.
        InvalidWorkload: tasks that may be split, need several nodes, or a part of a GPU.
        OversizedTasks: tasks that the empty cluster could not start.
    """

    def __init__(self, problem: Problem) -> None:
        self._workload, self._order = problem.workload, problem.policy.order
        cluster, n = problem.cluster, len(problem.workload)
        asked = demands(problem.workload, cluster)
        refuse_oversized(problem.workload, cluster, asked)
        self._refuse(problem, asked)
        self._group_of = cluster.group_of_nodes()
        self._need = np.stack([asked.cpu, asked.gpu // MILLI, asked.memory])
        groups = NodeGroups.of(cluster)
        self._free = np.stack([groups.cpu, groups.gpus, groups.memory])[:, self._group_of]
        self._idle = [list(range(group.gpus)) for group in cluster.groups for _ in range(group.count)]
        self._held: dict[int, list[int]] = {}
        self._duration, self._expected = durations(problem)
        self._transfers = Transfers.of(problem.workload, cluster)
        self._outcome = Outcome(
            ready_time=np.full(n, np.nan),
            start_time=np.full(n, np.nan),
            finish_time=np.full(n, np.nan),
            node=np.full(n, -1),
            device=np.full(n, -1),
            gpu_fraction=(problem.workload.gpus > 0).astype(np.float64),
            completion_order=np.zeros(n, np.int64),
        )
        self._parents_left = np.diff(problem.workload.parents.offsets)
        self._child_offsets, self._children = problem.workload.parents.children()
        self._queue: list[int] = []
        self._running: dict[int, None] = {}
        self._ends: list[tuple[float, int]] = []
        # Who needs no GPU may use every node: a kind of its own behind those of GPUs.
        admitted = np.vstack([asked.allowed, np.ones(len(cluster.groups), bool)])[:, self._group_of]
        admission = np.where(asked.gpu > 0, asked.kinds.codes, len(asked.allowed))
        self._told = _told(problem)
        blank = {"O": "", "i": -1, "f": np.nan}
        self._arrays: dict[str, npt.NDArray[Any]] = {
            name: np.full(n, blank[values.dtype.kind], values.dtype) for name, values in self._told.items()
        }
        self._arrays |= {
            # Copies: nothing that the class is shown is what the outcome is read from.
            "ready_time": np.full(n, np.nan),
            "start_time": np.full(n, np.nan),
            "node": np.full(n, -1),
            "expected_end_time": np.full(n, np.nan),
            **{name: np.zeros(len(self._group_of)) for name in SHOWN_FREE},
        }
        self._state = State(self._arrays, self._fits, self._admitting)
        self._admitted, self._admission = admitted, admission
        for node in range(len(self._group_of)):
            self._show_free(node)
        self._decider = self._guarded(problem.policy.order.decides or _Nobody)
        clock = np.full(2, problem.workload.arrival_time[0] if n else 0.0)
        super().__init__(counts=np.zeros(COMMON, np.int64), clock=clock)

    def _refuse(self, problem: Problem, asked: Demands) -> None:
        name, cluster = self._order.name, problem.cluster
        if problem.policy.name != problem.policy.order.text:
            raise InvalidPolicy(f"{name} decides by itself; it takes neither +backfill nor @placement nor ~preemption.")
        if problem.options.interrupts or cluster.fails or any(group.outages for group in cluster.groups):
            raise InvalidPolicy(f"{name} plays tasks that run once, on nodes that stay.")
        if problem.late:
            raise InvalidPolicy(f"{name} is told estimates as tasks arrive; they cannot be predicted inside the run.")
        if problem.workload.hybrid.any() or (asked.full_nodes > 0).any() or (asked.gpu % MILLI).any():
            raise InvalidWorkload(f"{name} plays tasks that one node holds, with whole GPUs and not split.")

    def outcome(self) -> Outcome:
        """Return the present outcome; the arrays are views that later calls of `advance` change."""
        columns = vars(self._outcome) | {"completion_order": self._outcome.completion_order[: self.finished]}
        return Outcome(**columns)

    def _play(self, until_time: float, max_events: int) -> None:
        """Play; who decides and can be closed is closed at the end, and where it is refused."""
        close = getattr(self._decider, "close", lambda: None)
        try:
            self._play_instants(until_time, max_events)
        except BaseException:
            with suppress(Exception, SystemExit):
                close()
            raise
        if self.finished == len(self._workload):
            self._guarded(close)

    def _play_instants(self, until: float, events: int) -> None:
        counts, arrival = self._counts, self._workload.arrival_time
        done = 0
        while done < events:
            arrived = int(counts[ARRIVED])
            now = min(arrival[arrived] if arrived < len(arrival) else np.inf, self._next())
            if now > until or now == np.inf:
                self._clock[1] = max(self._clock[1], until if until < np.inf else self._clock[0])
                self._refuse_waiting(now)
                return
            self._clock[0] = now
            done += self._end(now)
            while arrived < len(arrival) and arrival[arrived] <= now:
                self._arrive(arrived, now)
                arrived += 1
                done += 1
            counts[ARRIVED] = arrived
            self._settle(now)
            # What takes no time ends at once, and its place is free for others.
            while self._queue and self._decide(now):
                if not (self._ends and self._ends[0][0] <= now):
                    break
                done += self._end(now)
            counts[QUEUED], counts[RUNNING] = len(self._queue), len(self._running)

    def _next(self) -> float:
        """Return when something happens next beside arrivals, infinity for never."""
        return self._ends[0][0] if self._ends else np.inf

    def _settle(self, now: float) -> None:
        """Take in what has arrived and ended by now, before anything is decided."""

    def _arrive(self, row: int, now: float) -> None:
        for name, values in self._told.items():
            self._arrays[name][row] = values[row]
        if not self._parents_left[row]:
            self._join(row, now)

    def _join(self, row: int, now: float) -> None:
        self._outcome.ready_time[row] = self._arrays["ready_time"][row] = now
        self._queue.append(row)
        if len(self._queue) > 1 and self._queue[-2] > row:
            self._queue.sort()

    def _end(self, now: float) -> int:
        ended = 0
        while self._ends and self._ends[0][0] <= now:
            _, row = heapq.heappop(self._ends)
            node = int(self._outcome.node[row])
            self._free[:, node] += self._need[:, row]
            self._show_free(node)
            self._idle[node] = sorted(self._idle[node] + self._held.pop(row, []))
            del self._running[row]
            self._arrays["expected_end_time"][row] = np.nan
            self._outcome.completion_order[self._counts[FINISHED]] = row
            self._counts[FINISHED] += 1
            ended += 1
            for child in self._children[self._child_offsets[row] : self._child_offsets[row + 1]].tolist():
                self._parents_left[child] -= 1
                if not self._parents_left[child] and child < self._counts[ARRIVED]:
                    self._join(child, now)
        return ended

    def _decide(self, now: float) -> bool:
        """Ask what starts now, and start it; tell whether anything did."""
        state = self._state
        state.time = now
        state.queue = _fixed(self._queue)
        state.running = _fixed(self._running)
        # One more than wait is enough to show that what is returned has no end.
        most = len(self._queue) + 1

        def asked() -> list[Any]:
            found = self._decider.decide(state)
            return [] if found is None else list(islice(found, most))

        chosen = self._guarded(asked)
        for one in chosen:
            self._begin(one, now)
        return bool(chosen)

    def _guarded(self, call: Callable[[], Any]) -> Any:
        """Return what the user's code returns; what it raises is said in one sentence."""
        try:
            with asking(self._when):
                return call()
        except ProgramFault:
            raise
        except (Exception, SystemExit) as error:
            raise InvalidPolicy(
                f"{self._order.name} fails {self._when()}: {type(error).__name__}: {error}".rstrip(".") + "."
            ) from error

    def _when(self) -> str:
        return self._state.when() if hasattr(self._state, "queue") else "when it is made"

    def _show_free(self, node: int) -> None:
        for resource, name in enumerate(SHOWN_FREE):
            free = self._free[resource, node]
            self._arrays[name][node] = np.inf if free > UNLIMITED // 2 else free / UNITS[resource]

    def _begin(self, start: Any, now: float) -> None:
        """Start a task.

        Raises:
            InvalidPolicy: no such task waits, or the node does not hold it.
        """
        name, is_pair = self._order.name, isinstance(start, tuple | list)
        try:
            row, node = (operator.index(part) for part in start) if is_pair else (operator.index(start), -1)
        except (TypeError, ValueError):
            raise InvalidPolicy(
                f"{name} returns {start!r} at {now:,.15g} s, where a row or a pair of row and node was expected."
            ) from None
        place = bisect_left(self._queue, row)
        if self._queue[place : place + 1] != [row]:
            known = 0 <= row < len(self._workload)
            which = f"task {self._workload.task_id[row]}" if known else f"row {row}"
            raise InvalidPolicy(f"{name} starts {which} at {now:,.15g} s, which does not wait then.")
        task = f"task {self._workload.task_id[row]} at {now:,.15g} s"
        if not is_pair:
            fitting = self._fits(row)
            if not len(fitting):
                raise InvalidPolicy(f"{name} starts {task}, which no node can hold then.")
            node = int(fitting[0])
        if not 0 <= node < len(self._group_of):
            raise InvalidPolicy(
                f"{name} starts {task} on node {node}; nodes are numbered to {len(self._group_of) - 1}."
            )
        lacking = np.flatnonzero(self._free[:, node] < self._need[:, row])
        if len(lacking):
            resource = int(lacking[0])
            free, needed = (values[resource] / UNITS[resource] for values in (self._free[:, node], self._need[:, row]))
            raise InvalidPolicy(
                f"{name} starts {task} on node {node}, where {free:,.15g} {RESOURCES[resource]} are free; it needs "
                f"{needed:,.15g}."
            )
        if not self._admitted[self._admission[row], node]:
            raise InvalidPolicy(f"{name} starts {task} on node {node}, which has no GPU that it may use.")
        self._run(row, node, now)

    def _fits(self, row: int) -> IntArray:
        """Return the nodes that hold a task now, in the whole units in which it is counted."""
        holds = (self._free >= self._need[:, row, None]).all(axis=0)
        return np.flatnonzero(holds & self._admitted[self._admission[row]])

    def _admitting(self, row: int) -> IntArray:
        return np.flatnonzero(self._admitted[self._admission[row]])

    def _run(self, row: int, node: int, now: float) -> None:
        del self._queue[bisect_left(self._queue, row)]
        self._free[:, node] -= self._need[:, row]
        self._show_free(node)
        taken = int(self._need[GPUS, row])
        outcome = self._outcome
        outcome.node[row] = self._arrays["node"][row] = node
        if taken:
            self._held[row], self._idle[node] = self._idle[node][:taken], self._idle[node][taken:]
            outcome.device[row] = self._held[row][0]
        group, late = self._group_of[node], self._fetched(row, node)
        outcome.start_time[row] = self._arrays["start_time"][row] = now
        outcome.finish_time[row] = now + late + self._duration[row, group]
        self._arrays["expected_end_time"][row] = now + late + self._expected[row, group]
        self._running[row] = None
        heapq.heappush(self._ends, (float(outcome.finish_time[row]), row))

    def _fetched(self, row: int, node: int) -> float:
        """Return how long data is under way to a task that starts on `node`, which holds its devices meanwhile."""
        if self._transfers is None:
            return 0.0
        parents, here = self._workload.parents, self._group_of[node]
        return max(
            (
                self._transfers.seconds(edge, self._group_of[source], here)
                for edge in range(parents.offsets[row], parents.offsets[row + 1])
                if (source := self._outcome.node[parents.rows[edge]]) != node
            ),
            default=0.0,
        )

    def _refuse_waiting(self, then: float) -> None:
        """Refuse to wait for what never comes.

        Raises:
            InvalidPolicy: tasks wait, and nothing runs or will arrive.
        """
        if self._queue and then == np.inf:
            first = self._workload.task_id[self._queue[0]]
            raise InvalidPolicy(
                f"{self._order.name} never ends: at {self._clock[0]:,.15g} s nothing runs or will arrive, and "
                f"it starts none of {len(self._queue):,} waiting tasks, first task {first}."
            )


class _Nobody:
    """Starts nothing: stands in where an order has nothing that decides."""

    def decide(self, state: State) -> tuple[int, ...]:
        """Return no task."""
        return ()


def _fixed(rows: Iterable[int]) -> IntArray:
    found = np.fromiter(rows, np.int64)
    found.flags.writeable = False
    return found


def durations(problem: Problem) -> tuple[FloatArray, FloatArray]:
    """Return how long each task takes on each node group, really and as estimated, shape (n, groups)."""
    workload, cluster = problem.workload, problem.cluster
    paces, on_gpu = Paces.of(workload, cluster), workload.gpus > 0
    real = played_runtime(workload, kill_at_estimate=problem.options.kill_at_estimate)
    really, expected = (
        np.stack(
            [
                rigid_time(seconds, on_gpu, group.cpu_speed, paces.on(number))
                for number, group in enumerate(cluster.groups)
            ],
            axis=1,
        )
        for seconds in (real, workload.duration_estimate)
    )
    return really, expected


def _told(problem: Problem) -> dict[str, npt.NDArray[Any]]:
    """Return what is told of each task when it arrives, shape (n,)."""
    workload = problem.workload
    runtime = workload.runtime if problem.policy.clairvoyant else np.full(len(workload), np.nan)
    return {
        "task_id": workload.task_id,
        "arrival_time": workload.arrival_time,
        "estimate": workload.duration_estimate,
        "cpus": workload.cpus,
        "gpus": workload.gpus,
        "memory_mb": workload.memory_mb,
        "user": workload.user.texts(),
        "group": workload.group.texts(),
        "partition": workload.queue.texts(),
        "runtime": runtime,
    }
