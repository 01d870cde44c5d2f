"""GPU clusters shared in rounds, with the face of a kernel."""

from dataclasses import replace

import numpy as np

from scheduler_sim.engine.codes import ARRIVED, COMMON, FINISHED, QUEUED, RUNNING
from scheduler_sim.engine.contract import Attempts, Outcome, Pieces
from scheduler_sim.engine.errors import InvalidPolicy
from scheduler_sim.engine.kernels.attempts import attempts_of, history_of, refuse_others
from scheduler_sim.engine.kernels.base import BaseKernel, outcome_of
from scheduler_sim.engine.kernels.rounds import fifo
from scheduler_sim.engine.kernels.rounds.allocations import PROGRAMMES, Instant
from scheduler_sim.engine.kernels.rounds.kinds import Kinds, rates_beside
from scheduler_sim.engine.kernels.rounds.mechanism import Mechanism
from scheduler_sim.engine.kernels.rounds.packed import Packing
from scheduler_sim.engine.kernels.rounds.state import Jobs, Rules
from scheduler_sim.engine.policies.orders.rounds import KNOWING, PACKED
from scheduler_sim.engine.problem import Problem
from scheduler_sim.engine.workloads.columns import FloatArray

__all__ = ["PackedKernel", "RoundsKernel", "fifo"]


class RoundsKernel(BaseKernel):
    """The rounds of one policy.

    A task that runs in two rounds running on one kind keeps its GPUs, and its attempt goes on.

    Raises:
        InvalidPolicy: the workload or the cluster has what rounds do not know.
    """

    def __init__(self, problem: Problem) -> None:
        workload = problem.workload
        _refuse(problem)
        kinds = Kinds.of(workload, problem.cluster, problem.policy.name)
        nodes, devices = kinds.places()
        jobs = Jobs(
            arrival_time=workload.arrival_time,
            work=kinds.work,
            gpus=workload.gpus,
            weight=np.ones(len(workload)),
            rate=kinds.rate,
            known_work=kinds.known_work,
            overhead=problem.options.restart_overhead.seconds(workload.gpus),
            workers=kinds.workers,
            names=kinds.names,
            nodes=nodes,
            devices=devices,
            in_steps=kinds.in_steps,
        )
        self._mechanism = self._rounds(problem, jobs)
        self._workload = workload
        self._ready = np.full(len(workload), np.nan)
        super().__init__(counts=np.zeros(COMMON, np.int64), clock=self._mechanism.state.clock)

    def _rounds(self, problem: Problem, jobs: Jobs) -> Mechanism | Packing:
        order = problem.policy.order
        name = order.name
        knows = name.endswith(KNOWING)
        programme = PROGRAMMES[name] if name in PROGRAMMES else PROGRAMMES[name.removesuffix(KNOWING)]
        shares = programme.shares

        def settle(now: Instant) -> FloatArray:
            return shares(now if knows else now.agnostic())

        rules = Rules(knows, programme.in_turn, order.value("round"), order.value("reset"), problem.seed)
        return Mechanism(jobs, settle, rules)

    def _play(self, until_time: float, max_events: int) -> None:
        self._mechanism.advance(until_time, max_events)
        arrived = int(np.searchsorted(self._workload.arrival_time, self.clock, side="right"))
        self._ready[:arrived] = self._workload.arrival_time[:arrived]
        self._counts[ARRIVED] = arrived
        self._counts[FINISHED] = self._mechanism.state.counts[FINISHED]
        self._counts[RUNNING] = int((self._mechanism.state.tasks["kind"] >= 0).sum())
        self._counts[QUEUED] = arrived - self._counts[RUNNING] - self._counts[FINISHED]

    def drain(self) -> Attempts:
        """Return the attempts written since the last call."""
        return attempts_of(self._mechanism.drain(), self._workload)

    def drain_pieces(self) -> Pieces:
        """Return what jobs on several nodes held of each, of the spans that ended since the last call."""
        return self._mechanism.drain_pieces()

    def outcome(self) -> Outcome:
        """Return the present outcome; the arrays are views that later calls of `advance` change."""
        state = self._mechanism.state
        tasks = state.tasks
        return outcome_of(
            tasks,
            ready_time=self._ready,
            gpu_fraction=np.ones(len(self._workload)),
            order=state.order[: self.finished],
            history=history_of(tasks),
        )


class PackedKernel(RoundsKernel):
    """The rounds of a policy that lets two jobs share a GPU: each counts as holding half of what it asks for then."""

    def _rounds(self, problem: Problem, jobs: Jobs) -> Packing:
        order = problem.policy.order
        job_type, beside = rates_beside(problem.workload, jobs.names)
        return Packing(
            jobs,
            job_type,
            beside,
            order.name.removesuffix(PACKED),
            round_time=order.value("round"),
            least_reset_time=order.value("reset"),
        )

    def drain(self) -> Attempts:
        """Return the attempts written since the last call, which are all that have ended."""
        written = self._mechanism.drain()
        return attempts_of(written, self._workload, written["part"])

    def outcome(self) -> Outcome:
        """Return the present outcome; the arrays are views that later calls of `advance` change."""
        tasks, whole = self._mechanism.state.tasks, np.ones(len(self._workload))
        held_part = np.divide(tasks["area"], tasks["held"], out=whole, where=tasks["held"] > 0)
        found = super().outcome()
        return replace(found, history=history_of(tasks, held_part=held_part, last_part=tasks["part"].copy()))


def _refuse(problem: Problem) -> None:
    """Refuse what rounds do not know.

    Raises:
        InvalidPolicy: the sentence says what.
    """
    workload, cluster, name = problem.workload, problem.cluster, problem.policy.name
    if cluster.gpus == 0:
        raise InvalidPolicy(f"{name} shares out GPUs, of which cluster {cluster.name} has none.")
    if workload.hybrid.any() or (workload.gpus < 1).any():
        raise InvalidPolicy(
            f"{name} shares out whole GPUs: every task must ask for one or more, and none may be split."
        )
    if workload.parents.count:
        raise InvalidPolicy(f"{name} plays no dependencies between tasks.")
    refuse_others(problem, "the GPUs of a kind")
