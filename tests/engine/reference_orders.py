"""In which order the slow simulator tries ready tasks: the queue is sorted anew at each instant."""

from collections.abc import Iterator
from math import exp2, inf, log, log1p, sqrt

from scheduler_sim.engine import Simulation
from scheduler_sim.engine.codes import DRF, LEARNED, MAX_MIN, MIN_MIN, MULTIFACTOR, SUFFERAGE
from tests.engine.reference_plans import Plans


class Orders(Plans):
    """The scores of ready tasks."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation)
        self.scores = simulation.scores()
        self.parameters: list[float] = [] if self.scores.parameters is None else self.scores.parameters.tolist()
        self.pick_scores = self.scores.kind in (DRF, MIN_MIN, MAX_MIN, SUFFERAGE)
        self.users: list[int] = self.w.user.codes.tolist()
        self.charged: dict[int, float] = {}
        self.charged_in_all = 0.0

    def in_order(self, now: float) -> Iterator[int]:
        """Yield the ready tasks in the policy's order, choosing again after each where the order says so."""
        if not self.pick_scores:
            yield from self.settled_order(now)
            return
        tried: set[int] = set()
        while True:
            left = [row for row in self.queue if row not in tried]
            if not left:
                return
            row = min(left, key=lambda row: (self.pick_score(row, now), row))
            tried.add(row)
            yield row

    def settled_order(self, now: float) -> list[int]:
        """Return the ready tasks in the order of their scores at this moment."""
        if self.scores.kind == LEARNED:
            scores = self.learned_scores(now)
            return sorted(self.queue, key=lambda row: (scores[row], row))
        if self.scores.kind == DRF:
            return sorted(self.queue, key=lambda row: (self.pick_score(row, now), row))
        return sorted(self.queue, key=lambda row: (self.score(row, now), row))

    def backfilling_order(self, head: int, now: float) -> list[int]:
        """Return what waits behind `head` by the scores of the order of backfilling."""
        other = self.scores.backfill
        assert other is not None
        base, slope = other.base, other.slope

        def score(row: int) -> float:
            return float(base[row] - (0.0 if slope is None else slope[row]) * (now - self.ready[row]))

        return sorted((row for row in self.queue if row != head), key=lambda row: (score(row), row))

    def learned_scores(self, now: float) -> dict[int, float]:
        """Return the sum of A[i, j] * x[i] * z[j], or of the net's units, as `policies/scoring.py` defines them."""
        cluster, parameters, features = self.sim.cluster, self.parameters, self.scores.features
        assert features is not None
        whole = cluster.gpus or cluster.cores
        ahead = sum(
            max(self.ends[row][2] - now, 0.0) * (self.gpu[row] if cluster.gpus else self.cpu[row]) for row in self.held
        )
        free_cores, free_gpus = sum(n.cpu for n in self.nodes), sum(sum(n.devices) for n in self.nodes)
        z = [
            1.0,
            (free_gpus if cluster.gpus else free_cores) / (whole * 1000),
            log(max(len(self.queue), 1)) / 5,
            log1p(ahead / (whole * 1000)) / 10,
        ]
        scores: dict[int, float] = {}
        for row in self.queue:
            r, n = features[row].tolist()
            w = sqrt(sqrt(sqrt(now - self.ready[row]))) / 2.5 - 1
            if self.gpu[row] and cluster.gpus:
                excess = (self.gpu[row] - free_gpus) / (cluster.gpus * 1000)
            else:
                # A split task that asks for GPUs where there are none runs on cores.
                excess = (self.cpu[row] - free_cores) / (cluster.cores * 1000)
            fits, excess = float(excess <= 0), max(excess, 0.0)
            if parameters[0] == 0:
                x = [r, n, r * n, r * r, n * n, w, r * w, n * w, fits, excess]
                folded = [sum(parameters[2 + 4 * i + j] * z[j] for j in range(4)) for i in range(10)]
                scores[row] = sum(weight * value for weight, value in zip(folded, x, strict=True) if value)
                continue
            scores[row] = 0.0
            for unit in range(int(parameters[1])):
                weights = parameters[2 + 10 * unit : 12 + 10 * unit]
                inputs = [r, n, w, fits, excess, *z[1:], 1.0]
                value = sum(weight * value for weight, value in zip(weights[:9], inputs, strict=True))
                scores[row] += max(value, 0.0) * weights[9]
        return scores

    def score(self, row: int, now: float) -> float:
        base, wait = float(self.scores.base[row]), now - self.ready[row]
        if self.scores.kind != MULTIFACTOR:
            return base if self.scores.slope is None else base - float(self.scores.slope[row]) * wait
        age_weight, longest_age, share_weight, _, users = self.parameters
        fair = 1.0
        if self.charged_in_all > 0:
            fair = exp2(-(self.charged.get(self.users[row], 0.0) / self.charged_in_all) * users)
        return base - age_weight * min(wait / longest_age, 1.0) - share_weight * fair

    def charge(self, row: int, now: float) -> None:
        if self.scores.kind == MULTIFACTOR:
            amount = (now - self.start[row]) * (self.gpu[row] or self.cpu[row]) / 1000
            weighted = amount * exp2((now - float(self.w.arrival_time[0])) / self.parameters[3])
            user = self.users[row]
            self.charged[user] = self.charged.get(user, 0.0) + weighted
            self.charged_in_all += weighted

    def pick_score(self, row: int, now: float) -> float:
        if self.scores.kind == DRF:
            return self.dominant_share(self.users[row])
        first, second = self.completion(row, now)
        if self.scores.kind == MIN_MIN:
            return first
        if self.scores.kind == MAX_MIN:
            return -first
        return -(second - first) if second < inf else 0.0

    def dominant_share(self, user: int) -> float:
        mine = [piece for row, held in self.held.items() if self.users[row] == user for piece in held]
        cluster = self.sim.cluster
        shares = [0.0]
        if cluster.cores:
            shares.append(sum(piece.cpu for piece in mine) / (cluster.cores * 1000))
        if cluster.gpus:
            shares.append(sum(sum(piece.parts.values()) for piece in mine) / (cluster.gpus * 1000))
        memories = [(group.memory_mb, group.count) for group in cluster.groups]
        known = [int(memory * 1024) * count for memory, count in memories if memory is not None]
        if len(known) == len(memories):
            shares.append(sum(piece.memory for piece in mine) / sum(known))
        return max(shares)
