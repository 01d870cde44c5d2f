"""The regression that predicts run times, in plain Python: one list of terms a task, no state but the history.

What a user has done is worked out anew from the tasks that finished and run, wherever it is asked for.
"""

from dataclasses import dataclass, field
from math import cos, log, log1p, pi, sin, sqrt


@dataclass
class ReferenceRegression:
    """Predicts seconds below which a quarter of the tasks like this one are expected to end."""

    finished: list[tuple[str, float, int, float]] = field(default_factory=list)
    running: dict[int, tuple[str, float, int]] = field(default_factory=dict)
    terms: dict[int, list[float]] = field(default_factory=dict)
    weights: list[float] = field(default_factory=list)
    largest: list[float] = field(default_factory=list)
    squares: list[float] = field(default_factory=list)
    norm: float = 0.0
    started: list[tuple[str, float]] = field(default_factory=list)

    def predict(self, row: int, user: str, now: float, cpus: int, estimate: float) -> float:
        """Return the seconds expected of a task that arrives, and remember what it looked like."""
        features = self.features(user, now, cpus, estimate)
        pairs = [a * b for i, a in enumerate(features) for b in features[i:]]
        self.terms[row] = [1.0, *features, *pairs]
        if not self.finished:
            return estimate
        return min(estimate, max(1.0, 3600.0 * self.hours(self.terms[row])))

    def features(self, user: str, now: float, cpus: int, estimate: float) -> list[float]:
        past = [(seconds, held, end) for name, seconds, held, end in self.finished if name == user]
        runs = [seconds for seconds, _, _ in past]
        last = runs[-1] if runs else estimate
        before = runs[-2] if len(runs) > 1 else last
        third = runs[-3] if len(runs) > 2 else before
        mean = added(runs) / len(runs) if runs else estimate
        mean_cpus = added([held for _, held, _ in past]) / len(past) if past else float(cpus)
        present = [(start, held) for name, start, held in self.running.values() if name == user]
        for_now = max(len(present) * now - self.starts(user), 0.0)
        day, week = 2.0 * pi * (now % 86400.0) / 86400.0, 2.0 * pi * (now % 604800.0) / 604800.0
        return [
            *(log1p(value) for value in (estimate, last, before, third, (last + before) / 2.0)),
            log1p((last + before + third) / 3.0),
            log1p(mean),
            log(cpus),
            log(mean_cpus),
            log(cpus) - log(mean_cpus),
            float(len(present)),
            log1p(for_now),
            float(sum(held for _, held in present)),
            log1p(now - past[-1][2]) if past else 0.0,
            cos(day),
            sin(day),
            cos(week),
            sin(week),
        ]

    def starts(self, user: str) -> float:
        """Return the sum of the starts of what a user runs; each is added as it begins and taken off as it ends."""
        total = 0.0
        for name, change in self.started:
            total += change if name == user else 0.0
        return total

    def begin(self, row: int, user: str, now: float, cpus: int) -> None:
        self.running[row] = (user, now, cpus)
        self.started.append((user, now))

    def hours(self, terms: list[float]) -> float:
        return added([weight * term for weight, term in zip(self.weights, terms, strict=True)])

    def finish(self, row: int, now: float, seconds: float) -> None:
        """Learn from a task: one step of the normalised adaptive gradient along the pinball loss."""
        user, start, cpus = self.running.pop(row)
        self.started.append((user, -start))
        self.finished.append((user, seconds, cpus, now))
        terms = self.terms[row]
        if not self.weights:
            self.weights, self.largest, self.squares = ([0.0] * len(terms) for _ in range(3))
        for i, term in enumerate(terms):
            if abs(term) > self.largest[i]:
                self.weights[i] *= self.largest[i] / abs(term) if self.largest[i] else 1.0
                self.largest[i] = abs(term)
            self.norm += abs(term) * abs(term) / (self.largest[i] * self.largest[i]) if term else 0.0
        over = self.hours(terms) >= seconds / 3600.0
        weight = log(max(seconds * cpus, 2.0))
        slope = weight * 0.75 if over else -weight * 0.25
        step = 0.1 * sqrt(len(self.finished) / self.norm)
        for i, term in enumerate(terms):
            gradient = slope * term
            if gradient:
                self.squares[i] += gradient * gradient
                self.weights[i] -= step * gradient / (self.largest[i] * sqrt(self.squares[i]))


def added(values: list[float] | list[int]) -> float:
    """Return the sum, from the first to the last, rounded at each step (`sum` is more exact than that)."""
    total = 0.0
    for value in values:
        total += value
    return total
