"""One policy of a run: its simulation, and which of its placements are stored already."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scheduler_sim import engine
from scheduler_sim.engine.contract import Predictor
from scheduler_sim.engine.usage import energy_and_cost
from scheduler_sim.engine.workload import IntArray


@dataclass
class Player:
    """A policy playing the run's workload.

    Attributes:
        scheduler: the policy's name, as stored.
        simulation: the engine's simulation.
        task_keys: shape (n,), primary keys of the tasks in the workload's order.
        handed_over: how many placements, in completion order, the writer has been given or the database holds.
        reached: the last step was simulated to its end.
    """

    scheduler: str
    simulation: engine.Simulation
    task_keys: IntArray
    handed_over: int = 0
    reached: bool = True

    @property
    def done(self) -> bool:
        """True when every task has finished."""
        return self.simulation.done

    @property
    def pending(self) -> int:
        """How many finished tasks have not been handed over."""
        return max(0, self.simulation.finished - self.handed_over)

    def advance(self, *, until_time: float, max_events: int) -> None:
        """Simulate a step, or a part of it when it holds more than `max_events` events."""
        kernel = self.simulation.kernel
        before = (kernel.clock, kernel.finished, kernel.queued)
        self.simulation.advance(until_time=until_time, max_events=max_events)
        # A call that finds no event up to `until_time` changes nothing: only then is the step's end reached.
        self.reached = self.done or before == (kernel.clock, kernel.finished, kernel.queued)

    def take_rows(self) -> IntArray:
        """Return the finished rows that have not been handed over, and count them as handed over."""
        rows = self.simulation.outcome().completion_order[self.handed_over : self.simulation.finished]
        self.handed_over = max(self.handed_over, self.simulation.finished)
        return rows

    def columns(self, rows: IntArray) -> Mapping[str, Any]:
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
        }


def make_players(
    *,
    workload: engine.Workload,
    task_keys: IntArray,
    cluster: engine.Cluster,
    policies: list[engine.Policy],
    seed: int,
    options: engine.Options,
    stored: Mapping[str, int],
    predictor: Predictor | None = None,
) -> list[Player]:
    """Return a player for each policy.

    Args:
        stored: how many placements of each policy the database holds already; since the simulation is
            deterministic, a resumed run plays them again and hands over only what comes after.
        predictor: tells the run times as tasks arrive, each policy by what has finished under it.
    """
    return [
        Player(
            scheduler=policy.name,
            simulation=engine.Simulation(
                workload=workload, cluster=cluster, policy=policy, seed=seed, options=options, predictor=predictor
            ),
            task_keys=task_keys,
            handed_over=int(stored.get(policy.name, 0)),
        )
        for policy in policies
    ]
