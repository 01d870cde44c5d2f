"""A slow simulator of one pool, written from the definitions; the kernel must agree with it exactly.

Nothing here is clever: the queue is sorted anew at each instant, and the plan of conservative backfilling is a
list of intervals that is searched from its beginning. docs/engine.md has the definitions in words.
"""

from dataclasses import dataclass, field
from math import inf
from typing import Any, Self

from scheduler_sim.engine import Simulation, Workload
from tests.engine.reference_regression import ReferenceRegression

STEPS = (1, 5, 15, 30, 60, 120, 300, 600, 1200, 3000, 6000)
"""Minutes that are added to a prediction which is outrun."""


@dataclass
class ReferencePool:
    """One pool of `processors` playing the task columns; all lists have one value a task, in canonical order."""

    processors: int
    arrival: list[float]
    duration: list[float]
    expected: list[float]
    cpus: list[int]
    base: list[float]
    slope: list[float]
    backfill: str
    depth: int | None = None
    user: list[str] = field(default_factory=list)
    backfill_base: list[float] | None = None
    backfill_slope: list[float] | None = None
    predictor: str | None = None
    by_prediction: bool = False
    predicted: dict[int, float] = field(default_factory=dict)
    finished_runs: dict[str, list[float]] = field(default_factory=dict)
    regression: ReferenceRegression = field(default_factory=ReferenceRegression)
    start: dict[int, float] = field(default_factory=dict)
    finish: dict[int, float] = field(default_factory=dict)
    queue: list[int] = field(default_factory=list)
    running: list[int] = field(default_factory=list)
    reservation: dict[int, float] = field(default_factory=dict)
    overrun: bool = False
    longest_queue: int = 0

    @classmethod
    def without_scores(cls, workload: Workload, processors: int, backfill: str, **more: Any) -> Self:
        """Return the simulator of a workload whose scores it works out by itself."""
        return cls(
            processors=processors,
            arrival=workload.arrival_time.tolist(),
            duration=workload.runtime.tolist(),
            expected=workload.duration_estimate.tolist(),
            cpus=workload.cpus.astype(int).tolist(),
            base=[0.0] * len(workload),
            slope=[0.0] * len(workload),
            backfill=backfill,
            **more,
        )

    def play(self) -> None:
        """Play everything; afterwards `start` and `finish` hold all tasks."""
        arriving = list(range(len(self.arrival)))
        now = -inf
        while True:
            instants = [self.finish[row] for row in self.running]
            if not self.overrun:
                instants += [time for time in self.reservation.values() if time > now]
            if arriving:
                instants.append(self.arrival[arriving[0]])
            if not instants:
                return
            now = min(instants)
            while True:
                ended = sorted((self.finish[row], row) for row in self.running if self.finish[row] <= now)
                self.running = [row for row in self.running if self.finish[row] > now]
                for time, row in ended if self.predictor else ():
                    self.finished_runs.setdefault(self.user[row], []).append(self.duration[row])
                    if self.predictor == "regression":
                        self.regression.finish(row, time, self.duration[row])
                while arriving and self.arrival[arriving[0]] <= now:
                    self.queue.append(arriving.pop(0))
                    if self.predictor:
                        self.predict(self.queue[-1], now)
                self.longest_queue = max(self.longest_queue, len(self.queue))
                getattr(self, f"act_{self.backfill}")(now)
                if all(self.finish[row] > now for row in self.running):
                    break

    def in_order(self, now: float) -> list[int]:
        """Return the queue by score, then arrival, then task_id."""
        return sorted(self.queue, key=lambda row: (self.score(row, now), row))

    def score(self, row: int, now: float) -> float:
        return self.base[row] - self.slope[row] * (now - self.arrival[row])

    def free(self) -> int:
        return self.processors - sum(self.cpus[row] for row in self.running)

    def fits(self, row: int) -> bool:
        return self.cpus[row] <= self.free()

    def begin(self, row: int, now: float) -> None:
        self.queue.remove(row)
        self.reservation.pop(row, None)
        self.start[row] = now
        self.finish[row] = now + self.duration[row]
        self.running.append(row)
        if self.predictor == "regression":
            self.regression.begin(row, self.user[row], now, self.cpus[row])

    def expected_end(self, row: int, now: float) -> float:
        """A task that runs past its estimate is expected to end now; a prediction is put off before that."""
        limit = self.start[row] + self.expected[row]
        if not self.predictor:
            return max(limit, now)
        ends = [self.start[row] + (self.predicted[row] + 60.0 * minutes) for minutes in (0, *STEPS)]
        return max(min([limit, *(end for end in ends if end > now)]), now)

    def told(self, row: int) -> float:
        """Return how long a task is expected to run."""
        return self.predicted[row] if self.predictor else self.expected[row]

    def predict(self, row: int, now: float) -> None:
        """Note what the regression says, or the mean of the user's last two finished runs, not above the estimate."""
        if self.predictor == "regression":
            told = row, self.user[row], now, self.cpus[row], self.expected[row]
            self.predicted[row] = self.regression.predict(*told)
            return
        runs = self.finished_runs.get(self.user[row], [])
        known = bool(self.user[row]) and len(runs) >= 2
        self.predicted[row] = min(self.expected[row], sum(runs[-2:]) / 2) if known else self.expected[row]

    def act_none(self, now: float) -> None:
        for row in self.in_order(now):
            if not self.fits(row):
                return
            self.begin(row, now)

    def act_list(self, now: float) -> None:
        for row in self.in_order(now):
            if self.fits(row):
                self.begin(row, now)

    def act_easy(self, now: float) -> None:
        waiting = self.in_order(now)
        while waiting and self.fits(waiting[0]):
            self.begin(waiting.pop(0), now)
        if not waiting:
            return
        head = waiting.pop(0)
        for shadow in sorted(self.expected_end(row, now) for row in self.running):
            released = sum(self.cpus[row] for row in self.running if self.expected_end(row, now) <= shadow)
            if self.free() + released >= self.cpus[head]:
                break
        extra = self.free() + released - self.cpus[head]
        if self.by_prediction:
            waiting.sort(key=lambda row: (self.predicted[row], row))
        elif self.backfill_base is not None and self.backfill_slope is not None:
            base, slope = self.backfill_base, self.backfill_slope
            waiting.sort(key=lambda row: (base[row] - slope[row] * (now - self.arrival[row]), row))
        for row in waiting:
            if not self.fits(row):
                continue
            if now + self.told(row) <= shadow:
                self.begin(row, now)
            elif self.cpus[row] <= extra:
                extra -= self.cpus[row]
                self.begin(row, now)

    def act_conservative(self, now: float) -> None:
        missed = any(time < now for time in self.reservation.values())
        chosen = self.in_order(now)[: self.depth]
        for row in [row for row in self.reservation if row not in chosen]:
            del self.reservation[row]
        holders = [row for row in chosen if row in self.reservation]
        self.overrun = any(self.start[row] + self.expected[row] <= now for row in self.running)
        if self.overrun or missed:
            self.reservation.clear()
            for row in holders:
                self.reserve(row, now)
        else:
            for row in holders:
                before = self.reservation.pop(row)
                self.reserve(row, now)
                self.reservation[row] = min(self.reservation[row], before)
        while True:
            for row in chosen:
                if row not in self.reservation:
                    self.reserve(row, now)
            due = [row for row in chosen if self.reservation[row] == now and self.fits(row)]
            for row in due:
                if self.fits(row):
                    self.begin(row, now)
            chosen = self.in_order(now)[: self.depth]
            if all(row in self.reservation for row in chosen):
                return

    def reserve(self, row: int, now: float) -> None:
        """Give the task the earliest time at which it fits through its estimate beside running and reserved ones."""
        held = [(now, self.expected_end(other, now), self.cpus[other]) for other in self.running]
        held += [(time, time + self.expected[other], self.cpus[other]) for other, time in self.reservation.items()]
        for begin in sorted({now, *(end for _, end, _ in held if end > now)}):
            points = [begin, *(first for first, _, _ in held if begin < first < begin + self.expected[row])]
            if all(
                sum(cpus for first, last, cpus in held if first <= point < last) + self.cpus[row] <= self.processors
                for point in points
            ):
                self.reservation[row] = begin
                return


def reference_for(simulation: Simulation) -> ReferencePool:
    """Return the reference of a simulation on a pool, not yet played."""
    workload, options = simulation.workload, simulation.options
    (group,) = simulation.cluster.groups
    scores = simulation.scores()
    other, flat = scores.backfill, [0.0] * len(workload)
    expected = (workload.duration_estimate / group.cpu_speed).tolist()
    duration = (workload.runtime / group.cpu_speed).tolist()
    if options.kill_at_estimate:
        duration = [min(pair) for pair in zip(duration, expected, strict=True)]
    return ReferencePool(
        processors=group.cores,
        arrival=workload.arrival_time.tolist(),
        duration=duration,
        expected=expected,
        cpus=[int(cpus) for cpus in workload.cpus],
        base=scores.base.tolist(),
        slope=flat if scores.slope is None else scores.slope.tolist(),
        backfill=simulation.policy.backfill.name,
        depth=options.conservative_depth,
        user=workload.user.texts().tolist(),
        backfill_base=None if other is None else other.base.tolist(),
        backfill_slope=None if other is None else flat if other.slope is None else other.slope.tolist(),
        predictor=simulation.policy.backfill.predictor,
        by_prediction=simulation.policy.backfill.predicts and other is not None,
    )
