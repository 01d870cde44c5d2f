"""The slow simulator of a pool in a closed loop: tasks come their think time after another one has ended."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import inf

from scheduler_sim.engine import Simulation, Workload
from tests.engine.reference_pool import ReferencePool, reference_for


@dataclass
class ReferenceLoop(ReferencePool):
    """`follows` holds the row that each task waits for, None for none; `scored` gives the base of one that comes."""

    follows: list[int | None] = field(default_factory=list)
    think: list[float] = field(default_factory=list)
    scored: Callable[[int, float], float] = lambda _row, _instant: 0.0

    def play(self) -> None:
        """Play everything; afterwards `start`, `finish` and `arrival` hold all tasks."""
        coming = [row for row in range(len(self.arrival)) if self.follows[row] is None]
        waiting = [row for row in range(len(self.arrival)) if self.follows[row] is not None]
        now = -inf
        while True:
            instants = [self.finish[row] for row in self.running] + [self.arrival[row] for row in coming]
            if not self.overrun:
                instants += [time for time in self.reservation.values() if time > now]
            if not instants:
                return
            now = min(instants)
            while True:
                self.running = [row for row in self.running if self.finish[row] > now]
                for row in sorted(coming, key=lambda row: (self.arrival[row], row)):
                    if self.arrival[row] <= now:
                        coming.remove(row)
                        self.queue.append(row)
                getattr(self, f"act_{self.backfill}")(now)
                if any(self.finish[row] <= now for row in self.running):
                    continue
                # Nothing else happens at this instant: who thought about what has ended by now is known.
                for row in list(waiting):
                    ended = self.finish.get(self.follows[row], inf)  # type: ignore[arg-type]
                    if ended <= now:
                        waiting.remove(row)
                        coming.append(row)
                        self.arrival[row] = ended + self.think[row]
                        self.base[row] = self.scored(row, self.arrival[row])
                if not any(self.arrival[row] <= now for row in coming):
                    break


def reference_loop(simulation: Simulation, stated: Workload) -> ReferenceLoop:
    """Return the reference of a simulation in a closed loop that was not played yet.

    Args:
        stated: the workload as it was given.
    """
    plain, cluster, policy = reference_for(simulation), simulation.cluster, simulation.policy
    assert stated.requests is not None
    place = {number: row for row, number in enumerate(stated.task_id.tolist())}

    def scored(row: int, instant: float) -> float:
        arrival = stated.arrival_time.copy()
        arrival[row] = instant
        return float(Simulation(replace(stated, arrival_time=arrival), cluster, policy).scores().base[row])

    follows: list[int | None] = []
    for row, number in enumerate(stated.requests.follows.tolist()):
        other = place.get(number)
        follows.append(other if other is not None and other < row else None)
    return ReferenceLoop(
        **{name: getattr(plain, name) for name in ("processors", "duration", "expected", "cpus", "slope", "backfill")},
        arrival=stated.arrival_time.tolist(),
        base=list(plain.base),
        depth=plain.depth,
        user=plain.user,
        backfill_base=plain.backfill_base,
        backfill_slope=plain.backfill_slope,
        follows=follows,
        think=stated.requests.think_time.tolist(),
        scored=scored,
    )
