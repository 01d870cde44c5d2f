"""GPU clusters shared in rounds, with the face of a kernel."""

from dataclasses import dataclass

import numpy as np

from scheduler_sim.engine.codes import ARRIVED, COMMON, FINISHED, QUEUED, RUNNING
from scheduler_sim.engine.columns import BoolArray, FloatArray, IntArray
from scheduler_sim.engine.contract import ENDINGS, REASONS, Attempts, History, Outcome
from scheduler_sim.engine.errors import InvalidPolicy
from scheduler_sim.engine.kernels.base import BaseKernel
from scheduler_sim.engine.kernels.rounds import fifo
from scheduler_sim.engine.kernels.rounds.allocations import PROGRAMMES, Instant
from scheduler_sim.engine.kernels.rounds.kinds import Kinds
from scheduler_sim.engine.kernels.rounds.mechanism import Jobs, Mechanism, Round
from scheduler_sim.engine.policies.orders.rounds import KNOWING
from scheduler_sim.engine.problem import Problem

__all__ = ["RoundsKernel", "fifo"]

FINISHED_REASON, STOPPED, MOVED = (REASONS.index(name) for name in ("finished", "suspended", "moved"))
COMPLETED = ENDINGS.index("completed")


@dataclass
class _Lease:
    """The GPUs that a task has at present, and since when."""

    kind: int
    places: IntArray
    begun: float
    until: float


class RoundsKernel(BaseKernel):
    """The rounds of one policy.

    A task that runs in two rounds running on one kind keeps its GPUs, and its attempt goes on.

    Raises:
        InvalidPolicy: the workload or the cluster has what rounds do not know.
    """

    def __init__(self, problem: Problem) -> None:
        workload, policy = problem.workload, problem.policy
        _refuse(problem)
        kinds = Kinds.of(workload, problem.cluster, policy.name)
        name = policy.order.name
        knows = name.endswith(KNOWING)
        programme = PROGRAMMES[name] if name in PROGRAMMES else PROGRAMMES[name.removesuffix(KNOWING)]
        shares = programme.shares

        def settle(now: Instant) -> FloatArray:
            return shares(now if knows else now.agnostic())

        gpus = workload.gpus
        parameters = policy.order
        self._kinds = kinds
        self._jobs = Jobs(
            arrival_time=workload.arrival_time,
            work=kinds.work,
            gpus=gpus,
            weight=np.ones(len(workload)),
            rate=kinds.rate,
            known_work=kinds.known_work,
            overhead=problem.options.restart_overhead.seconds(gpus),
            workers=kinds.workers,
            names=kinds.names,
            in_steps=kinds.in_steps,
        )
        self._mechanism = Mechanism(
            self._jobs,
            settle,
            knows_kinds=knows,
            in_turn=programme.in_turn,
            round_time=parameters.value("round"),
            least_reset_time=parameters.value("reset"),
            seed=problem.seed,
        )
        n = len(workload)
        self._workload = workload
        self._start, self._finish = np.full(n, np.nan), np.full(n, np.nan)
        self._ready, self._begun = np.full(n, np.nan), np.full(n, np.nan)
        self._node, self._device = np.zeros(n, np.int64), np.full(n, -1, np.int64)
        self._attempts, self._ending = np.zeros(n, np.int64), np.full(n, -1, np.int64)
        self._service, self._held = np.zeros(n), np.zeros(n)
        self._order = np.zeros(n, np.int64)
        self._free = [np.arange(count - 1, -1, -1).tolist() for count in kinds.workers.astype(int).tolist()]
        self._leases: dict[int, _Lease] = {}
        self._upcoming: Round | None = None
        self._playing = Round.empty()
        self._ends: list[tuple[float, int]] = []
        self._written: list[tuple[int, int, float, float, int, int, int]] = []
        first = float(workload.arrival_time[0]) if n else 0.0
        super().__init__(counts=np.zeros(COMMON, np.int64), clock=np.full(2, first), advance=self._play)

    def _play(self, until_time: float, max_events: int) -> None:
        done = 0
        while done < max_events:
            instant = self._next_start()
            if self._ends and self._ends[0][0] <= instant:
                instant = self._ends[0][0]
                if instant > until_time:
                    break
                while self._ends and self._ends[0][0] == instant:
                    self._end(*self._ends.pop(0))
                    done += 1
            elif instant > until_time or self._upcoming is None:
                break
            else:
                self._begin(self._upcoming)
                self._upcoming = None
                done += 1
            self._clock[0] = instant
        else:
            until_time = self._clock[0]
        if until_time < np.inf:
            self._clock[1] = max(self._clock[1], until_time)
        self._count()

    def _next_start(self) -> float:
        """Return when the next round begins, infinity for none; what it does is then in `_upcoming`."""
        if self._upcoming is None and np.isfinite(self._mechanism.next_start):
            self._upcoming = self._mechanism.play()
        return np.inf if self._upcoming is None else self._upcoming.start_time

    def _begin(self, played: Round) -> None:
        """Hand GPUs out for a round, and take back those of who does not go on with the same ones."""
        now = played.start_time
        self._credit(~self._playing.finished)
        kind_of = dict(zip(played.rows.tolist(), played.kind.tolist(), strict=True))
        for row in [row for row, lease in self._leases.items() if kind_of.get(row) != lease.kind]:
            lease = self._leases.pop(row)
            moved = row in kind_of and lease.until == now
            self._close(row, lease, lease.until, MOVED if moved else STOPPED)
            self._finish[row] = np.nan
        ends = played.end_time_of.tolist()
        for place, row in enumerate(played.rows.tolist()):
            if row not in self._leases:
                kind = kind_of[row]
                count = int(self._jobs.gpus[row])
                places = np.sort([self._free[kind].pop() for _ in range(count)])
                self._leases[row] = _Lease(kind, places, now, now)
                self._attempts[row] += 1
                self._begun[row] = now
                self._node[row], self._device[row] = self._kinds.node_and_device(kind, int(places[0]))
                if self._attempts[row] == 1:
                    self._start[row] = now
            self._leases[row].until = ends[place]
        self._playing = played
        speed = self._jobs.rate[played.rows, played.kind]
        self._finish[played.rows] = played.end_time_of + self._mechanism.left[played.rows] / speed
        finished = np.flatnonzero(played.finished)
        self._ends = sorted((ends[place], int(played.rows[place])) for place in finished.tolist())

    def _end(self, instant: float, row: int) -> None:
        lease = self._leases.pop(row)
        self._credit(self._playing.rows == row)
        self._close(row, lease, instant, FINISHED_REASON)
        self._service[row] = min(self._service[row], self._held[row])
        self._ending[row] = COMPLETED
        self._finish[row] = instant
        self._order[self._counts[FINISHED]] = row
        self._counts[FINISHED] += 1

    def _credit(self, places: BoolArray) -> None:
        """Count what tasks did in the round that ends."""
        self._service[self._playing.rows[places]] += self._playing.done_time[places]

    def _close(self, row: int, lease: _Lease, instant: float, reason: int) -> None:
        self._held[row] += instant - lease.begun
        self._free[lease.kind].extend(lease.places.tolist())
        self._free[lease.kind].sort(reverse=True)
        number = int(self._attempts[row])
        if reason != FINISHED_REASON or number > 1:
            entry = (row, number, lease.begun, instant, int(self._node[row]), int(self._device[row]), reason)
            self._written.append(entry)

    def _count(self) -> None:
        arrived = int(np.searchsorted(self._jobs.arrival_time, self.clock, side="right"))
        self._ready[:arrived] = self._jobs.arrival_time[:arrived]
        self._counts[ARRIVED] = arrived
        self._counts[RUNNING] = len(self._leases)
        self._counts[QUEUED] = arrived - len(self._leases) - self._counts[FINISHED]

    def drain(self) -> Attempts:
        """Return the attempts written since the last call."""
        if not self._written:
            return Attempts.none()
        row, number, start, end, node, device, reason = (
            np.array(column) for column in zip(*self._written, strict=True)
        )
        self._written.clear()
        return Attempts(
            row=row,
            number=number,
            start_time=start,
            end_time=end,
            node=node,
            device=device,
            cpus=self._workload.cpus[row],
            gpus=self._workload.gpus[row],
            reason=reason,
        )

    def outcome(self) -> Outcome:
        """Return the present outcome; the arrays are views that later calls of `advance` change."""
        return Outcome(
            ready_time=self._ready,
            start_time=self._start,
            finish_time=self._finish,
            node=self._node,
            device=self._device,
            gpu_fraction=np.ones(len(self._workload)),
            completion_order=self._order[: self.finished],
            history=History(
                attempts=self._attempts,
                service_time=self._service,
                held_time=self._held,
                begun_time=self._begun,
                ending=self._ending,
            ),
        )


def _refuse(problem: Problem) -> None:
    """Refuse what rounds do not know.

    Raises:
        InvalidPolicy: the sentence says what.
    """
    workload, cluster, options, name = problem.workload, problem.cluster, problem.options, problem.policy.name
    if problem.policy.placement.code != 0 or problem.policy.placement.values:
        raise InvalidPolicy(f"{name}: rounds choose the GPUs of a kind by themselves and take no @placement.")
    if cluster.gpus == 0:
        raise InvalidPolicy(f"{name} shares out GPUs, of which cluster {cluster.name} has none.")
    if workload.hybrid.any() or (workload.gpus < 1).any():
        raise InvalidPolicy(
            f"{name} shares out whole GPUs: every task must ask for one or more, and none may be split."
        )
    if workload.parents.count:
        raise InvalidPolicy(f"{name} plays no dependencies between tasks.")
    if cluster.fails or options.failures or any(group.outages for group in cluster.groups):
        raise InvalidPolicy(f"{name} plays neither failures nor outages of nodes.")
    if options.checkpoints is not None or options.kill_at_estimate:
        raise InvalidPolicy(f"{name} plays neither checkpoints nor limits: in rounds, progress is kept.")
