"""In which order the slow simulator tries ready tasks: the queue is sorted anew at each instant."""

from math import exp2, inf, log, log1p, sqrt

from scheduler_sim.engine.codes import DRF, LEARNED, MAX_MIN, MIN_MIN, MULTIFACTOR


class Orders:
    """The scores of ready tasks."""

    def in_order(self, now):
        """Yield the ready tasks in the policy's order, choosing again after each where the order says so."""
        if not self.pick_scores:
            yield from self.settled_order(now)
            return
        tried = set()
        while True:
            left = [row for row in self.queue if row not in tried]
            if not left:
                return
            row = min(left, key=lambda row: (self.pick_score(row, now), row))
            tried.add(row)
            yield row

    def settled_order(self, now):
        """Return the ready tasks in the order of their scores at this moment."""
        if self.scores.kind == LEARNED:
            scores = self.learned_scores(now)
            return sorted(self.queue, key=lambda row: (scores[row], row))
        if self.scores.kind == DRF:
            return sorted(self.queue, key=lambda row: (self.pick_score(row, now), row))
        return sorted(self.queue, key=lambda row: (self.score(row, now), row))

    def backfilling_order(self, head, now):
        """Return what waits behind `head` by the scores of the order of backfilling."""
        other = self.scores.backfill

        def score(row):
            slope = 0.0 if other.slope is None else other.slope[row]
            return other.base[row] - slope * (now - self.ready[row])

        return sorted((row for row in self.queue if row != head), key=lambda row: (score(row), row))

    def learned_scores(self, now):
        """Return the sum of A[i, j] * x[i] * z[j], or of the net's units, as `policies/scoring.py` defines them."""
        cluster, parameters = self.sim.cluster, self.scores.parameters.tolist()
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
        scores = {}
        for row in self.queue:
            r, n = self.scores.features[row].tolist()
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

    def score(self, row, now):
        base, wait = float(self.scores.base[row]), now - self.ready[row]
        if self.scores.kind != MULTIFACTOR:
            return base if self.scores.slope is None else base - float(self.scores.slope[row]) * wait
        age_weight, longest_age, share_weight, _, users = self.scores.parameters.tolist()
        fair = 1.0
        if self.charged_in_all > 0:
            fair = exp2(-(self.charged.get(self.w.user.codes[row], 0.0) / self.charged_in_all) * users)
        return base - age_weight * min(wait / longest_age, 1.0) - share_weight * fair

    def charge(self, row, now):
        if self.scores.kind == MULTIFACTOR:
            amount = (now - self.start[row]) * (self.gpu[row] or self.cpu[row]) / 1000
            weighted = amount * exp2((now - float(self.w.arrival_time[0])) / self.scores.parameters[3])
            user = self.w.user.codes[row]
            self.charged[user] = self.charged.get(user, 0.0) + weighted
            self.charged_in_all += weighted

    def pick_score(self, row, now):
        if self.scores.kind == DRF:
            return self.dominant_share(self.w.user.codes[row])
        first, second = self.completion(row, now)
        if self.scores.kind == MIN_MIN:
            return first
        if self.scores.kind == MAX_MIN:
            return -first
        return -(second - first) if second < inf else 0.0

    def dominant_share(self, user):
        mine = [piece for row, held in self.held.items() if self.w.user.codes[row] == user for piece in held]
        cluster = self.sim.cluster
        shares = [0.0]
        if cluster.cores:
            shares.append(sum(cpu for _, cpu, _, _ in mine) / (cluster.cores * 1000))
        if cluster.gpus:
            shares.append(sum(sum(parts.values()) for *_, parts in mine) / (cluster.gpus * 1000))
        if all(group.memory_mb is not None for group in cluster.groups):
            total = sum(int(group.memory_mb * 1024) * group.count for group in cluster.groups)
            shares.append(sum(mem for _, _, mem, _ in mine) / total)
        return max(shares)
