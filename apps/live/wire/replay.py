"""A finished run played again from its stored placements, at a chosen speed.

The stored rows take the place of the simulation, and the same `Race` that shows a run while it is simulated builds
the snapshots.
"""

import asyncio
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from time import monotonic
from typing import Any, Self

import numpy as np
from django.db import connection

from apps.live.play.configuration import RunConfiguration
from apps.live.play.preparation import Prepared, prepare
from apps.live.wire import messages
from apps.live.wire.outbox import Frame, Outbox
from apps.live.wire.snapshots import Race, devices_of
from apps.results.errors import DomainError
from apps.results.models import Attempt, Run, SchedulerResult
from scheduler_sim import engine
from scheduler_sim.engine.contract import History, Outcome, UnderWay
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

SECONDS_UNASKED = 30.0
"""How long a replay takes when the client names no speed."""

FRAMES_A_SECOND = 10

LARGEST = 500_000
"""Placements of a run that a server process will hold in memory for one viewer."""

MOST_AT_ONCE = 4
"""Replays that one server process plays at a time."""

_COLUMNS = ("task_id", "start_time", "finish_time", "wait_time", "node", "device", "gpu_fraction")
_HISTORY = ("attempts", "service_time", "lost_time")


class ReplayRefused(DomainError):
    """The run cannot be played again now; the sentence says why."""


@dataclass(frozen=True)
class Request:
    """What a client asked for.

    Attributes:
        speed: simulated seconds a wall second; None for the whole in half a minute.
        from_time: simulated time to start at; None for the first arrival.
    """

    speed: float | None
    from_time: float | None

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> Self:
        """Read a client message.

        Raises:
            ValueError: a speed that is not above 0, or anything but numbers.
        """
        speed, from_time = _number(message, "speed"), _number(message, "from_time")
        if speed is not None and speed <= 0:
            raise ValueError(f"The speed of a replay must be above 0, not {speed:g}.")
        return cls(speed=speed, from_time=from_time)


def _number(message: dict[str, Any], key: str) -> float | None:
    value = message.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or abs(value) > 1e15:
        raise ValueError(f"The {key} of a replay must be a number.")
    return float(value)


Spans = tuple[IntArray, FloatArray, FloatArray, FloatArray]
"""Attempts: rows of the workload, starts, ends, and the parts held of the devices that the tasks ask for."""


class StoredSimulation:
    """Stored placements behind the face of a simulation: moving the clock uncovers them."""

    def __init__(
        self,
        workload: engine.Workload,
        cluster: engine.Cluster,
        outcome: Outcome,
        options: engine.Options,
        attempts: Spans,
    ) -> None:
        self.workload, self.cluster, self.options = workload, cluster, options
        self.clock = -math.inf
        self._outcome = outcome
        self._ready = np.sort(outcome.ready_time)
        several = np.zeros(len(outcome.start_time), bool)
        several[attempts[0]] = True
        self._attempts, self._several = attempts, several
        self._start = np.sort(np.concatenate((outcome.start_time[~several], attempts[1])))
        self._end = np.sort(np.concatenate((outcome.finish_time[~several], attempts[2])))
        self._finish = outcome.finish_time[outcome.completion_order]

    @property
    def kernel(self) -> "StoredSimulation":
        """Itself: it has the figures of a kernel."""
        return self

    @property
    def finished(self) -> int:
        """How many tasks have finished by the clock."""
        return self._reached(self._finish)

    @property
    def running(self) -> int:
        """How many tasks hold devices."""
        return self._reached(self._start) - self._reached(self._end)

    @property
    def queued(self) -> int:
        """How many tasks are ready and wait, to start or to go on."""
        return self._reached(self._ready) - self.finished - self.running

    def _reached(self, times: FloatArray) -> int:
        return int(np.searchsorted(times, self.clock, side="right"))

    def under_way(self) -> UnderWay | None:
        """Return what `Simulation.under_way` does, by the clock."""
        outcome = self._outcome
        if outcome.history is None:
            return None
        held = np.where(self._several, 0.0, np.maximum(self.clock - outcome.start_time, 0.0))
        area, now = held.copy(), np.where(self._several, 0.0, 1.0)
        row, start, end, part = self._attempts
        lasted = np.clip(self.clock, start, np.maximum(end, start)) - start
        np.add.at(held, row, lasted)
        np.add.at(area, row, lasted * part)
        going_on = (start <= self.clock) & (end > self.clock)
        now[row[going_on]] = part[going_on]
        rows = np.flatnonzero((outcome.start_time <= self.clock) & (outcome.finish_time > self.clock))
        mean_part = np.divide(area[rows], held[rows], out=np.ones(len(rows)), where=held[rows] > 0)
        return UnderWay(rows, held[rows], mean_part, now[rows])

    def outcome(self) -> Outcome:
        """Return all placements, also those after the clock."""
        return self._outcome


@dataclass
class StoredPlayer:
    """One policy of a replay, as `snapshots.Race` reads it."""

    scheduler: str
    simulation: StoredSimulation


class Film:
    """A finished run, loaded to be played once from front to back.

    Raises:
        ReplayRefused: the run is not finished, or holds no placements or too many.
    """

    def __init__(self, run: Run) -> None:
        _check(run)
        configuration = RunConfiguration.from_json(run.configuration)
        cluster = engine.Cluster.from_json(run.cluster)
        prepared = prepare(workload=run.workload, cluster=cluster, configuration=configuration)
        options = configuration.engine_options(cluster)
        self.run, self.workload, self.cluster = run, prepared.workload, prepared.cluster
        told = {policy.name: _as_told(prepared, policy, configuration) for policy in configuration.parsed_policies()}
        self.players = [
            StoredPlayer(
                name,
                StoredSimulation(
                    told[name], cluster, _outcome(run, name, prepared), options, _spans(run, name, prepared)
                ),
            )
            for name in run.policies
        ]
        self.clock_time = self.first_time = float(prepared.workload.arrival_time[0])
        self.last_time = max(float(player.simulation.outcome().finish_time.max()) for player in self.players)
        self._race = Race(self)

    def at(self, clock_time: float, speed: float) -> messages.Snapshot:
        """Return the snapshot at an instant that is not before the last one asked for."""
        self.clock_time = clock_time
        for player in self.players:
            player.simulation.clock = clock_time
        snapshot = self._race.snapshot(self._race.mark(urgent=False))
        return {
            **snapshot,
            "clock_time": clock_time,
            "eta_seconds": (self.last_time - clock_time) / speed,
            "replay": True,
            "speed": speed,
        }


def _as_told(prepared: Prepared, policy: engine.Policy, configuration: RunConfiguration) -> engine.Workload:
    """Return the workload with the estimates that the policy was told."""
    options = configuration.engine_options(prepared.cluster)
    if prepared.predictor is None or not options.kill_at_estimate:
        return prepared.workload
    # Where tasks end at what was predicted of them, energy depends on it, and only playing tells what that was.
    simulation = engine.Simulation(
        prepared.workload,
        prepared.cluster,
        policy,
        seed=configuration.seed,
        options=options,
        predictor=prepared.predictor,
        site=prepared.site,
        signals=prepared.signals,
    )
    simulation.advance()
    return simulation.workload


def _check(run: Run) -> None:
    if run.status != Run.Status.FINISHED:
        raise ReplayRefused(f"Run {run.name} is {run.status}; only a finished run can be played again.")
    if not run.rows_written:
        raise ReplayRefused(f"Run {run.name} kept no placements, so there is nothing to play again.")
    if run.rows_written > LARGEST:
        raise ReplayRefused(
            f"Run {run.name} has {run.rows_written:,} placements; up to {LARGEST:,} can be played again."
        )


def _outcome(run: Run, scheduler: str, prepared: Prepared) -> Outcome:
    """Read one policy's placements in the order of the workload's rows."""
    table = SchedulerResult.objects.of_policy(run, scheduler, [(name, np.float64) for name in (*_COLUMNS, *_HISTORY)])
    order = _in_order(table["task_id"], prepared, run)
    columns = [table[name][order] for name in table.dtype.names]
    key, start, finish, wait, node, device, fraction, attempts, service, lost = columns
    return Outcome(
        ready_time=start - wait,
        start_time=start.copy(),
        finish_time=finish.copy(),
        node=node.astype(np.int64),
        device=device.astype(np.int64),
        gpu_fraction=fraction.copy(),
        completion_order=np.lexsort((np.arange(len(key)), finish)),
        history=None if np.isnan(attempts).any() else _history(start, attempts, service, service + lost),
    )


def _history(start: FloatArray, attempts: FloatArray, service: FloatArray, held: FloatArray) -> History:
    ended = np.zeros(len(start), np.int64)
    return History(attempts.astype(np.int64), service.copy(), held, start.copy(), ended)


def _spans(run: Run, scheduler: str, prepared: Prepared) -> Spans:
    """Read one policy's attempts."""
    names = ("task_id", "start_time", "end_time", "cpus", "gpus")
    table = Attempt.objects.of_policy(run, scheduler, [(name, np.float64) for name in names])
    by_key = np.argsort(prepared.task_keys)
    found = np.searchsorted(prepared.task_keys, table["task_id"], sorter=by_key)
    rows_of = by_key[found]
    asked = devices_of(prepared.workload)[rows_of]
    held = np.where(prepared.workload.gpus[rows_of] > 0, table["gpus"], table["cpus"])
    part = np.divide(held, asked, out=np.ones(len(asked)), where=asked > 0)
    return rows_of, table["start_time"].copy(), table["end_time"].copy(), part


def _in_order(keys: FloatArray, prepared: Prepared, run: Run) -> IntArray:
    """Return the permutation that puts placements with these task keys into the workload's order."""
    by_key, of_workload = np.argsort(keys), np.argsort(prepared.task_keys)
    if not np.array_equal(keys[by_key], prepared.task_keys[of_workload]):
        raise ReplayRefused(f"The placements of run {run.name} are not those of its tasks.")
    order = np.empty(len(keys), np.int64)
    order[of_workload] = by_key
    return order


_playing = 0


async def play(
    run_id: int, asked: Request, outbox: Outbox, sequence: "count[int]", refuse: Callable[[str], None]
) -> bool:
    """Load a run and offer its snapshots in step with the wall clock; return False after a refusal.

    Args:
        sequence: numbers of the frames.
        refuse: called with the reason.
    """
    global _playing  # noqa: PLW0603
    if _playing >= MOST_AT_ONCE:
        refuse(f"This server already plays {_playing} replays; try again later.")
        return False
    _playing += 1
    try:
        film = await asyncio.to_thread(_load, run_id)
        for clock_time, speed, last in _steps(film, asked):
            began = monotonic()
            snapshot = await asyncio.to_thread(film.at, clock_time, speed)
            message = {**snapshot, "interrupted": False, "via": messages.via()}
            outbox.offer(Frame.of(message, next(sequence), urgent=last))
            await asyncio.sleep(max(0.0, 1 / FRAMES_A_SECOND - (monotonic() - began)))
    except DomainError as error:
        refuse(str(error))
        return False
    finally:
        _playing -= 1
    return True


def _steps(film: Film, asked: Request) -> Iterator[tuple[float, float, bool]]:
    """Yield the instant to show now, the speed, and whether it is the last one."""
    span = film.last_time - film.first_time
    speed = asked.speed or max(span / SECONDS_UNASKED, 1e-9)
    from_time = film.first_time if asked.from_time is None else asked.from_time
    from_time = min(max(from_time, film.first_time), film.last_time)
    yield from_time, speed, False
    began = monotonic()  # Only now, because the first snapshot takes longer than the others.
    while (clock_time := from_time + speed * (monotonic() - began)) < film.last_time:
        yield clock_time, speed, False
    yield film.last_time, speed, True


def _load(run_id: int) -> Film:
    """Read a run in a thread of its own, and give that thread's connection back."""
    try:
        return Film(Run.objects.get(pk=run_id))
    except Run.DoesNotExist:
        raise ReplayRefused(f"There is no run {run_id}.") from None
    finally:
        connection.close()
