"""Tasks whose width changes, with the face of a kernel."""

from collections.abc import Callable

import numpy as np

from scheduler_sim.engine.cluster import NodeGroup
from scheduler_sim.engine.codes import ARRIVED, COMMON, FINISHED, QUEUED, RUNNING
from scheduler_sim.engine.columns import FloatArray, IntArray
from scheduler_sim.engine.contract import Attempts, Outcome
from scheduler_sim.engine.elasticity import Elasticity
from scheduler_sim.engine.errors import InvalidPolicy
from scheduler_sim.engine.formulas import rigid_time
from scheduler_sim.engine.kernels.attempts import attempts_of, history_of
from scheduler_sim.engine.kernels.base import BaseKernel
from scheduler_sim.engine.kernels.elastic.choices import Moment, pollux, sia
from scheduler_sim.engine.kernels.elastic.loop import play
from scheduler_sim.engine.kernels.elastic.state import (
    ACTIVE,
    EQUAL_SHARE,
    EVENTS,
    EXPAND_SHRINK,
    IN_ROUNDS,
    TO_DECIDE,
    WRITTEN,
    State,
)
from scheduler_sim.engine.kernels.structures.gang_buffer import GangBuffer
from scheduler_sim.engine.paces import Paces
from scheduler_sim.engine.policies import Order
from scheduler_sim.engine.problem import Problem
from scheduler_sim.engine.slices import admits
from scheduler_sim.engine.workload import Workload

RULES = {"equal_share": EQUAL_SHARE, "expand_shrink": EXPAND_SHRINK}


class ElasticKernel(BaseKernel):
    """A policy that settles how wide tasks are, at each arrival and end or in rounds.

    Raises:
        InvalidPolicy: the workload or the cluster has what it does not know.
    """

    def __init__(self, problem: Problem) -> None:
        workload, order = problem.workload, problem.policy.order
        group = _group(problem)
        per_node = group.gpus if workload.gpus.any() else group.cores
        devices = group.count * per_node
        numbers = np.arange(devices, dtype=np.int64)
        on_gpu, paces = workload.gpus > 0, Paces.of(workload, problem.cluster)
        if not paces.possible[paces.row, 0].all():
            raise InvalidPolicy(f"{order.name}: tasks have no rate on the GPUs of cluster {problem.cluster.name}.")
        self._workload, self._devices, self._per_node = workload, devices, per_node
        self._elastic = Elasticity.of(workload, devices=devices, per_node=per_node, options=problem.options)
        self._settle = _settling(order)
        self._state = State.of(
            arrival_time=workload.arrival_time,
            work=rigid_time(workload.runtime, on_gpu, group.cpu_speed, paces.on(0)),
            elastic=self._elastic,
            nodes=numbers // max(per_node, 1),
            numbers=numbers % max(per_node, 1) if on_gpu.any() else np.full(devices, -1),
            rule=RULES.get(order.name, IN_ROUNDS),
            round_time=order.value("round") if order.having("round") else np.inf,
        )
        self._ready = np.full(len(workload), np.nan)
        super().__init__(
            counts=np.zeros(COMMON, np.int64),
            clock=self._state.clock,
            advance=self._play,
            gangs=GangBuffer(self._state.gang_pieces, self._state.gang_counts),
        )

    def _play(self, until_time: float, max_events: int) -> None:
        state = self._state
        state.counts[EVENTS] = 0
        while play(state, until_time, max_events) == TO_DECIDE:
            rows = state.active[: state.counts[ACTIVE]].copy()
            tasks = state.tasks[rows]
            state.tasks["target"][rows] = self._settle(
                Moment(
                    rows=rows,
                    width=tasks["width"],
                    attempts=tasks["attempts"],
                    age_time=state.clock[0] - tasks["arrival"],
                    elastic=self._elastic,
                    devices=self._devices,
                    per_node=self._per_node,
                )
            )
        arrived = int(state.counts[ARRIVED])
        self._ready[:arrived] = self._workload.arrival_time[:arrived]
        self._counts[ARRIVED], self._counts[FINISHED] = arrived, state.counts[FINISHED]
        self._counts[RUNNING] = int((state.tasks["width"] > 0).sum())
        self._counts[QUEUED] = arrived - self._counts[RUNNING] - self._counts[FINISHED]

    @property
    def full(self) -> bool:
        """True when a buffer is to be drained before anything more is played."""
        return super().full or bool(self._state.counts[WRITTEN] > self._state.settings[1])

    def drain(self) -> Attempts:
        """Return the attempts written since the last call."""
        written = self._state.buffer[: self._state.counts[WRITTEN]].copy()
        self._state.counts[WRITTEN] = 0
        return attempts_of(written, self._workload, written["width"] / self._elastic.asked[written["row"]])

    def outcome(self) -> Outcome:
        """Return the present outcome; the arrays are views that later calls of `advance` change."""
        state, tasks, asked = self._state, self._state.tasks, self._elastic.asked
        whole = np.ones(len(self._workload))
        return Outcome(
            ready_time=self._ready,
            start_time=tasks["start"],
            finish_time=tasks["finish"],
            node=tasks["node"],
            device=tasks["device"],
            gpu_fraction=np.where(self._workload.gpus > 0, 1.0, 0.0),
            completion_order=state.order[: self.finished],
            history=history_of(
                tasks,
                held_part=np.divide(tasks["area"], tasks["held"] * asked, out=whole.copy(), where=tasks["held"] > 0),
                last_part=np.where(tasks["attempts"] > 0, tasks["last_width"] / asked, 1.0),
            ),
        )


def _settling(order: Order) -> Callable[[Moment], IntArray]:
    """Return what settles widths in the rounds of an order; where a rule does, nothing asks it."""
    if order.name in RULES:
        return lambda now: now.width
    p = order.value("p")
    if order.name == "pollux":
        return lambda now: pollux(now, p)
    idle = order.value("idle")
    return lambda now: sia(now, p, idle)


def _group(problem: Problem) -> NodeGroup:
    """Return the one kind of node that there is.

    Raises:
        InvalidPolicy: the workload or the cluster has what changing widths do not know; the sentence says what.
    """
    workload, cluster, options, name = problem.workload, problem.cluster, problem.options, problem.policy.name
    if problem.policy.placement.code != 0 or problem.policy.placement.values:
        raise InvalidPolicy(f"{name} chooses devices by itself and takes no @placement.")
    if len(cluster.groups) != 1:
        raise InvalidPolicy(
            f"{name} plays on nodes that are all alike; cluster {cluster.name} has {len(cluster.groups)} groups."
        )
    if cluster.topology is not None:
        raise InvalidPolicy(f"{name} does not know the racks of cluster {cluster.name}.")
    group = cluster.groups[0]
    if workload.hybrid.any() or workload.parents.count:
        raise InvalidPolicy(f"{name} plays neither split tasks nor dependencies between tasks.")
    if cluster.fails or options.failures or group.outages:
        raise InvalidPolicy(f"{name} plays neither failures nor outages of nodes.")
    if options.checkpoints is not None or options.kill_at_estimate:
        raise InvalidPolicy(f"{name} plays neither checkpoints nor limits: progress is kept.")
    _refuse_rows(workload, group, name)
    return group


def _refuse_rows(workload: Workload, group: NodeGroup, name: str) -> None:
    on_gpu = workload.gpus > 0
    if on_gpu.any() and not on_gpu.all():
        raise InvalidPolicy(f"{name}: all tasks must ask for GPUs, or none of them.")
    asked = np.where(on_gpu, workload.gpus, workload.cpus)
    if (asked != np.floor(asked)).any():
        raise InvalidPolicy(f"{name}: every task must ask for a whole number of GPUs, or of processors.")
    if not len(workload):
        return
    per_node = group.gpus if on_gpu.any() else group.cores
    if (asked > group.count * per_node).any():
        raise InvalidPolicy(f"{name}: tasks ask for more devices than there are.")
    wrong_type = np.array([not admits(text, group.gpu_type) for text in workload.gpu_type.names], bool)
    if (wrong_type[workload.gpu_type.codes] & on_gpu).any():
        raise InvalidPolicy(f"{name}: tasks ask for another type of GPU than {group.gpu_type or 'the one there is'}.")
    room: list[tuple[str, FloatArray, float | None]] = [("memory", workload.memory_mb, group.memory_mb)]
    if on_gpu.any():
        room.append(("cores", workload.cpus, float(group.cores)))
    for word, held, there in room:
        if there is not None and (held / asked > there / per_node).any():
            raise InvalidPolicy(f"{name}: tasks hold more {word} for each device than a node has for each.")
