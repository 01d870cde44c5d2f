"""One policy of a run: its simulation, and which of its placements are stored already."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import numpy as np

from apps.live.play.configuration import RunConfiguration
from apps.live.play.preparation import Prepared
from apps.live.store.batches import TaskAttempts
from scheduler_sim import engine
from scheduler_sim.engine.contract import ENDINGS, REASONS, Attempts
from scheduler_sim.engine.crew import Each
from scheduler_sim.engine.gangs import GangLog
from scheduler_sim.engine.measuring.usage import energy_and_cost
from scheduler_sim.engine.sharing import Shared
from scheduler_sim.engine.simulation import set_up
from scheduler_sim.engine.stored_schedule import laid_out
from scheduler_sim.engine.workloads.columns import Rows
from scheduler_sim.engine.workloads.workload import IntArray


@dataclass
class Player:
    """A policy playing the run's workload.

    Attributes:
        scheduler: the policy's name, as stored.
        simulation: the engine's simulation.
        task_keys: shape (n,), primary keys of the tasks in the workload's order.
        gangs: what tasks on several nodes held, where that is to be kept.
        handed_over: how many placements, in completion order, the writer has been given or the database holds.
        took: processor seconds of the last step.
    """

    scheduler: str
    simulation: engine.Simulation
    task_keys: IntArray
    gangs: GangLog = field(default_factory=GangLog)
    handed_over: int = 0
    took: float = 0.0

    def __post_init__(self) -> None:
        self._turn = Lock()
        self._before = self._progress
        self._ended = 0  # Attempts of the simulation that were looked at.
        self._open = Attempts.none()  # Those among them whose tasks have not finished.
        self._taken = 0  # Finished tasks whose attempts are no longer among the open ones.

    def lay_out(self) -> None:
        """Keep of the simulation, which is over, what it says (see `laid_out`), and let go of what it played with.

        Live figures go on looking at starts and finishes where they are: records of a kernel that holds both stay.
        """
        self.simulation = laid_out(self.simulation)

    @property
    def pending(self) -> int:
        """How many finished tasks have not been handed over."""
        return max(0, self.simulation.finished - self.handed_over)

    def begin_step(self) -> None:
        """Note how far the simulation is, before a step is simulated part by part."""
        self.took, self._before = 0.0, self._progress

    def advance(self, *, until_time: float, max_events: int) -> None:
        """Simulate a part of a step, or all of it when it holds no more than `max_events` events.

        One thread at a time does so.
        """
        with self._turn:
            began = time.thread_time()
            self.simulation.advance(until_time=until_time, max_events=max_events)
            self.took += time.thread_time() - began

    @property
    def reached(self) -> bool:
        """Whether the last step was simulated to its end: it changed nothing, which is so only then."""
        return self.simulation.done or self._before == self._progress

    @property
    def _progress(self) -> tuple[float, int, int]:
        kernel = self.simulation.kernel
        return kernel.clock, kernel.finished, kernel.queued

    def take_rows(self) -> IntArray:
        """Return the finished rows that have not been handed over, and count them as handed over."""
        rows = self.simulation.outcome().completion_order[self.handed_over : self.simulation.finished]
        self.handed_over = max(self.handed_over, self.simulation.finished)
        return rows

    def take(self) -> tuple[Mapping[str, Any], TaskAttempts | None]:
        """Return what of the finished tasks has not been handed over, and count it as handed over.

        Returns:
            Their result columns, and their attempts; None under a policy whose tasks run once.
        """
        before = self.handed_over
        rows = self.take_rows()
        columns = self.columns(rows)
        if self.simulation.outcome().history is None:
            return columns, None
        # Of tasks that an earlier process stored the attempts are stored too.
        finished = self.simulation.outcome().completion_order[self._taken : self.simulation.finished]
        place = np.full(len(self.task_keys), -1)
        place[finished] = np.arange(len(finished)) - (before - self._taken)
        ended = np.zeros(len(self.task_keys), bool)
        ended[finished] = True
        self._taken = self.simulation.finished
        waiting = Attempts.joined([self._open, self.simulation.attempts_after(self._ended)])
        self._ended += len(waiting) - len(self._open)
        self._open = waiting[~ended[waiting.row]]
        those = waiting[(place[waiting.row] >= 0) & self.simulation.history().is_told_apart[waiting.row]]
        those = those[np.lexsort((those.number, place[those.row]))]
        counts = np.bincount(place[those.row], minlength=len(rows))
        return columns, TaskAttempts(counts, self.attempt_columns(those, self.task_keys))

    def attempts(self) -> Attempts:
        """Return the attempts of all finished tasks of which they say more than their results."""
        several = self.simulation.attempts()
        history = self.simulation.history()
        return several[history.is_told_apart[several.row] & (history.ending[several.row] >= 0)]

    @staticmethod
    def attempt_columns(attempts: Attempts, tasks: IntArray) -> Mapping[str, Any]:
        """Return attempts as columns of `Attempt`; `tasks` is what a task is called, by row of the workload."""
        return {
            "task_id": tasks[attempts.row],
            "number": attempts.number,
            "start_time": attempts.start_time,
            "end_time": attempts.end_time,
            "node": attempts.node,
            "device": attempts.device,
            "cpus": attempts.cpus,
            "gpus": attempts.gpus,
            "reason": np.array(REASONS)[attempts.reason],
        }

    def columns(self, rows: Rows) -> Mapping[str, Any]:
        """Return the result columns of finished `rows`, keyed as the fields of `SchedulerResult`."""
        outcome = self.simulation.outcome()
        start, finish = outcome.start_time[rows], outcome.finish_time[rows]
        energy, cost = energy_and_cost(self.simulation, rows)
        return {
            "task_id": self.task_keys[rows],
            "gpu_fraction": outcome.gpu_fraction[rows],
            "node": outcome.node[rows],
            "device": outcome.device[rows],
            "start_time": start,
            "finish_time": finish,
            "actual_time": finish - start,
            "wait_time": start - outcome.ready_time[rows],
            "energy_joules": energy,
            "cost_usd": cost,
            "model_version": self.simulation.policy.model_version,
            **self._history_columns(rows),
        }

    def _history_columns(self, rows: Rows) -> Mapping[str, Any]:
        """Return what the tasks went through; nothing where each runs once and completes, which needs no saying."""
        simulation = self.simulation
        if simulation.runs_plainly:
            return dict.fromkeys(("attempts", "service_time", "lost_time", "outcome"))
        history = simulation.history(rows)
        return {
            "attempts": history.attempts,
            "service_time": history.service_time,
            "lost_time": history.lost_time,
            "outcome": np.array(ENDINGS)[history.ending],
        }


def make_players(
    prepared: Prepared, configuration: RunConfiguration, *, stored: Mapping[str, int] | None = None, each: Each = map
) -> list[Player]:
    """Return a player for each policy.

    Args:
        stored: how many placements of each policy the database holds already; since the simulation is
            deterministic, a resumed run plays them again and hands over only what comes after.
        each: how the policies are gone through, one after the other or side by side.
    """
    options = configuration.engine_options(prepared.cluster)
    shared = Shared()

    def make(policy: engine.Policy) -> engine.Simulation:
        return engine.Simulation(
            workload=prepared.workload,
            cluster=prepared.cluster,
            policy=policy,
            seed=configuration.seed,
            options=options,
            predictor=prepared.predictor,
            site=prepared.site,
            signals=prepared.signals,
            shared=shared,
        )

    players = [
        Player(
            scheduler=simulation.policy.name,
            simulation=simulation,
            task_keys=prepared.task_keys,
            handed_over=int((stored or {}).get(simulation.policy.name, 0)),
        )
        for simulation in set_up(make, configuration.parsed_policies(), each=map if prepared.predictor else each)
    ]
    if configuration.keep != "summary":
        for player in players:
            player.simulation.on_pieces = player.gangs.add
    return players
