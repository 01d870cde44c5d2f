"""What a run shows of itself while it goes on, built from the runner's own arrays.

It is done in two halves. `Race.mark` copies, in the runner's thread, the few numbers that the next step would change
and the rows that finished since the last mark. `Race.snapshot` does the rest, in any one thread and while the
simulation goes on: a task that has finished never changes again, and those that start later start after the mark.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from apps.live.wire import messages
from apps.results.models import Run
from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.contract import Progress, UnderWay
from scheduler_sim.engine.measuring import tally
from scheduler_sim.engine.measuring.usage import Played, Used, holdings, total
from scheduler_sim.engine.policies.order import changes_widths
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray, Workload

ETA_FROM_PROGRESS = 0.002
"""Below this part of the work the pace so far says nothing about the rest."""


@dataclass(frozen=True, eq=False)
class PolicyMark:
    """One policy at the instant of a mark.

    Attributes:
        clock_time: seconds up to which all its events are applied, or its last finish once it is done.
        rows: the rows that finished since the last mark.
        latest: the placements among them that finished last, in the order of their finish.
        under_way: of a policy whose tasks may stop and go on, those that have begun and not ended.
    """

    clock_time: float
    running: int
    queued: int
    rows: IntArray
    latest: list[messages.Placement]
    under_way: UnderWay | None


@dataclass(frozen=True, eq=False)
class Mark:
    """A run at one instant; every mark must be given to `Race.snapshot`, in order.

    Attributes:
        clock_time: simulated seconds that all policies have reached; None when the run failed before it began.
        active_seconds: wall seconds since the start, without pauses.
        urgent: something beside the figures changed.
    """

    clock_time: float | None
    status: str
    error: str
    policies: list[PolicyMark]
    active_seconds: float
    urgent: bool


class Shown(Played, Protocol):
    """A simulation, or stored placements behind the face of one."""

    @property
    def kernel(self) -> Progress:
        """Its figures at the moment."""

    def under_way(self) -> UnderWay | None:
        """Tasks that have begun and not ended; None where each runs once."""


class Player(Protocol):
    """A policy that plays, or is played again; `scheduler` is its name, as stored."""

    scheduler: str

    @property
    def simulation(self) -> Shown:
        """What it does."""


class Playing(Protocol):
    """A run that is played, or played again: what `Race` reads of it.

    Attributes:
        run: its row.
        workload, cluster: the tasks that each of its policies plays, and on what.
        clock_time: the simulated time that all of them have reached.
    """

    run: Run
    workload: Workload
    cluster: Cluster
    clock_time: float

    @property
    def players(self) -> Sequence[Player]:
        """Its policies."""


class Race:
    """The figures so far of all policies of one run.

    Args:
        runner: with its workload and players prepared, or without any when it failed before that.
    """

    def __init__(self, runner: Playing) -> None:
        self._runner = runner
        self._run = runner.run
        self._players: list[Player] = list(runner.players)
        self._began = time.monotonic()
        self._paused_since: float | None = None
        self._paused_seconds = 0.0
        self._marked = [0] * len(self._players)
        self._placements: list[messages.Placement] = []
        self._retraining: messages.Retraining | None = None
        self._energy_joules = np.zeros(len(self._players))
        self._cost_usd = np.zeros(len(self._players))
        self._core_seconds = np.zeros(len(self._players))
        self._gpu_seconds = np.zeros(len(self._players))
        if not self._players:
            return
        self._finish = [player.simulation.outcome().finish_time for player in self._players]
        self._tallies = [
            tally.Tally(
                arrival=player.simulation.workload.arrival_time,
                start=player.simulation.outcome().start_time,
                finish=finish,
                by_arrival=not player.simulation.options.closed_loop,
            )
            for player, finish in zip(self._players, self._finish, strict=True)
        ]
        self._wins = tally.WinTally.of(policies=len(self._players), tasks=len(runner.workload))

    def retrained(self, fit: messages.Fit) -> None:
        """Show a retraining from the next snapshot on; may be called from any thread."""
        self._retraining = {**fit, "clock_time": self._runner.clock_time}

    def status_changed(self) -> None:
        """Stop or start the watch that the remaining time is reckoned by."""
        now = time.monotonic()
        if self._run.status == Run.Status.PAUSED:
            self._paused_since = now
        elif self._paused_since is not None:
            self._paused_seconds += now - self._paused_since
            self._paused_since = None

    def mark(self, *, urgent: bool) -> Mark:
        """Note where the run stands, in the runner's thread and between two steps."""
        until = self._paused_since if self._paused_since is not None else time.monotonic()
        return Mark(
            clock_time=self._runner.clock_time if self._players else None,
            status=self._run.status,
            error=self._run.error,
            policies=[self._mark_policy(number, player) for number, player in enumerate(self._players)],
            active_seconds=until - self._began - self._paused_seconds,
            urgent=urgent,
        )

    def _mark_policy(self, number: int, player: Player) -> PolicyMark:
        kernel = player.simulation.kernel
        outcome = player.simulation.outcome()
        done = kernel.finished == len(player.simulation.workload)
        rows = outcome.completion_order[self._marked[number] : kernel.finished].copy()
        self._marked[number] = kernel.finished
        return PolicyMark(
            # Of a policy that is done the span that its utilisation is reckoned over ends with its last task.
            clock_time=float(outcome.finish_time[outcome.completion_order[-1]]) if done else kernel.clock,
            running=kernel.running,
            queued=kernel.queued,
            rows=rows,
            under_way=player.simulation.under_way(),
            latest=[
                {
                    "scheduler": player.scheduler,
                    "task_id": int(self._runner.workload.task_id[row]),
                    "node": int(outcome.node[row]),
                    "device": int(outcome.device[row]),
                    "gpu_fraction": float(outcome.gpu_fraction[row]),
                    "start_time": float(outcome.start_time[row]),
                    "finish_time": float(outcome.finish_time[row]),
                }
                for row in rows[-messages.PLACEMENTS_SHOWN :]
            ],
        )

    def snapshot(self, mark: Mark) -> messages.Snapshot:
        """Bring the figures up to a mark, and return the message that shows them."""
        for number, policy in enumerate(mark.policies):
            self._add(number, policy)
        finished = sum(self._finished(number) for number in range(len(mark.policies)))
        of_all = len(mark.policies) * len(self._runner.workload) if mark.policies else 0
        progress = finished / of_all if of_all else 0.0
        done = of_all > 0 and finished == of_all
        return {
            "type": "snapshot",
            "version": messages.VERSION,
            "run": self._run.pk,
            "name": self._run.name,
            "status": mark.status,
            "error": mark.error,
            "published_at": time.time(),
            "clock_time": max(policy.clock_time for policy in mark.policies) if done else mark.clock_time,
            "progress": progress,
            "eta_seconds": self._eta(mark, progress),
            "policies": [self._policy(number, policy) for number, policy in enumerate(mark.policies)],
            "placements": self._placements,
            "retraining": self._retraining,
            "replay": False,
            "speed": None,
        }

    def _add(self, number: int, policy: PolicyMark) -> None:
        if not len(policy.rows):
            return
        self._tallies[number].add(policy.rows)
        self._wins.add(number, policy.rows, self._finish[number])
        simulation = self._players[number].simulation
        used = Used.of(simulation, policy.rows)
        self._energy_joules[number] += used.joules
        self._cost_usd[number] += used.usd
        self._core_seconds[number] += used.core_seconds
        self._gpu_seconds[number] += used.gpu_seconds
        shown = sorted([*self._placements, *policy.latest], key=lambda placement: placement["finish_time"])
        self._placements = shown[-messages.PLACEMENTS_SHOWN :]

    def _finished(self, number: int) -> int:
        return self._tallies[number].finished

    def _policy(self, number: int, mark: PolicyMark) -> messages.PolicyProgress:
        counted = self._tallies[number]
        workload, cluster = self._runner.workload, self._runner.cluster
        core_seconds, gpu_seconds = self._busy_of_running(number, mark)
        span = mark.clock_time - float(workload.arrival_time[0])
        return {
            "scheduler": self._players[number].scheduler,
            "total": len(workload),
            "finished": counted.finished,
            "running": mark.running,
            "queue_length": mark.queued,
            "mean_job_completion_time": messages.number(counted.mean_job_completion_time),
            "p95_job_completion_time": messages.number(counted.completion_time_percentile(95)),
            "cpu_utilisation": _share(self._core_seconds[number] + core_seconds, cluster.cores * span),
            "gpu_utilisation": _share(self._gpu_seconds[number] + gpu_seconds, cluster.gpus * span),
            "energy_joules": float(self._energy_joules[number]) if cluster.states_watts else None,
            "cost_usd": float(self._cost_usd[number]) if cluster.states_prices else None,
            "wins": int(self._wins.wins[number]),
            "mean_width": self._mean_width(number, mark),
        }

    def _busy_of_running(self, number: int, mark: PolicyMark) -> tuple[float, float]:
        """Return core-seconds and GPU-seconds that tasks which have not ended have been busy for up to the mark."""
        clock_time = mark.clock_time
        if mark.under_way is not None:
            # No split task stops and goes on: they are busy on all that they hold.
            rows, seconds, mean_part, _ = mark.under_way
            workload = self._runner.workload
            return total(workload.cpus[rows] * mean_part, seconds), total(workload.gpus[rows] * mean_part, seconds)
        rows = self._tallies[number].running_at(clock_time)
        if not len(rows):
            return 0.0, 0.0
        simulation = self._players[number].simulation
        held = holdings(simulation, rows)
        elapsed = clock_time - simulation.outcome().start_time[rows]
        # Of a split task whose sides run one after the other, the GPU's comes first.
        one_by_one = simulation.workload.hybrid[rows] & (simulation.options.split_model == "sequential")
        on_cores = np.clip(np.where(one_by_one, elapsed - held.gpu_busy, elapsed), 0.0, held.cpu_busy)
        return total(held.cores, on_cores), total(held.gpus, np.minimum(elapsed, held.gpu_busy))

    def _mean_width(self, number: int, mark: PolicyMark) -> float | None:
        """Return the devices that a running task holds on average; None where nobody runs, and of fixed widths."""
        if mark.under_way is None or not changes_widths(self._players[number].scheduler):
            return None
        rows, part = mark.under_way.rows, mark.under_way.part
        width = (devices_of(self._runner.workload)[rows] * part)[part > 0]
        return float(width.mean()) if len(width) else None

    def _eta(self, mark: Mark, progress: float) -> float | None:
        if mark.status != Run.Status.RUNNING or progress < ETA_FROM_PROGRESS:
            return None
        return mark.active_seconds * (1 - progress) / progress


def devices_of(workload: Workload) -> FloatArray:
    """Return the GPUs that each task asks for, processors where it asks for none, shape (n,)."""
    return np.where(workload.gpus > 0, workload.gpus, workload.cpus)


def _share(part: float, whole: float) -> float | None:
    return float(part / whole) if whole > 0 else None
