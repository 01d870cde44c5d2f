"""A slow simulator of nodes, written from docs/model.md; the node kernel must agree with it exactly.

Nothing here is clever: every node is looked at for every choice, the queue is sorted anew at each instant, and plans
are lists that are rebuilt. Amounts are whole numbers: thousandths of cores and of GPUs, KiB of memory.
"""

import copy
from math import ceil, exp2, inf, log, log1p, sqrt

from scheduler_sim.engine import Simulation
from scheduler_sim.engine.policies.order import DRF, LEARNED, MAX_MIN, MIN_MIN, MULTIFACTOR, SUFFERAGE
from scheduler_sim.engine.policies.placement import (
    BEST_FIT,
    EARLIEST_FINISH,
    FGD,
    FIRST_FIT,
    NOT_PLANNED,
    RANDOM_NODE,
    WORST_FIT,
)


def units(value, unit):
    return ceil(max(value * unit - 1e-6, 0))


class Node:
    """What one node has left: thousandths of cores, KiB, thousandths of each device."""

    def __init__(self, number, group_number, group):
        self.number, self.group_number, self.group = number, group_number, group
        self.cpu = self.all_cpu = group.cores * 1000
        self.memory = inf if group.memory_mb is None else int(group.memory_mb * 1024)
        self.devices = [1000] * group.gpus
        self.away = 0

    def whole(self):
        return [d for d, left in enumerate(self.devices) if left == 1000]

    def parted(self, share):
        return [d for d, left in enumerate(self.devices) if share <= left < 1000]

    def fits(self, cpu, gpu, memory):
        if self.away or self.cpu < cpu or self.memory < memory:
            return False
        need = gpu // 1000 + (1 if gpu % 1000 and not self.parted(gpu % 1000) else 0)
        return len(self.whole()) >= need

    def take(self, cpu, memory, parts, sign=1):
        self.cpu -= sign * cpu
        self.memory -= sign * memory
        for device, amount in parts.items():
            self.devices[device] -= sign * amount


class ReferenceNodes:
    """One policy playing one workload; `start`, `finish`, `node`, `device` and `fraction` are lists by row."""

    def __init__(self, simulation: Simulation):
        self.sim, self.w = simulation, simulation.workload
        n = len(self.w)
        policy = simulation.policy
        self.rule, self.planned = policy.placement.code, policy.placement.planned
        self.in_turn, self.backfill = policy.placement.in_turn, policy.backfill.name
        self.scores, self.choices = simulation.scores(), simulation.choices()
        self.sequential = simulation.options.split_model == "sequential"
        self.nodes = []
        for g, group in enumerate(simulation.cluster.groups):
            self.nodes += [Node(len(self.nodes) + i, g, group) for i in range(group.count)]
        self.turn = [0] * len(self.nodes)
        types = self.w.gpu_type.texts()
        self.types = [{t for t in text.split("|") if t} for text in types]
        self.cpu = [units(v, 1000) for v in self.w.cpus.tolist()]
        self.gpu = [units(v, 1000) for v in self.w.gpus.tolist()]
        self.mem = [units(v, 1024) for v in self.w.memory_mb.tolist()]
        est = self.w.duration_estimate.tolist()
        self.runtime = self.w.runtime.tolist()
        if simulation.options.kill_at_estimate:
            self.runtime = [min(pair) for pair in zip(self.runtime, est, strict=True)]
        self.estimate = self.runtime if policy.placement.name == "oracle" else est
        self.fixed = [self.settle(row) for row in range(n)]
        self.start, self.finish = [None] * n, [None] * n
        self.node, self.device, self.fraction = [-1] * n, [-1] * n, [None] * n
        self.ready = self.w.arrival_time.tolist()
        self.held, self.ends = {}, {}
        self.events, self.queue = [], []
        self.reserved, self.overran = {}, False
        depth = simulation.options.conservative_depth
        self.depth = n if depth is None else depth
        self.charged, self.charged_in_all = {}, 0.0
        self.classes = self.make_classes() if self.rule == FGD else []
        self.pick_scores = self.scores.kind in (DRF, MIN_MIN, MAX_MIN, SUFFERAGE)

    # What a task may use.

    def allowed(self, row, node, gpu):
        group = None if self.choices.group is None else int(self.choices.group[row])
        if group is not None and group >= 0:
            return node.group_number == group
        return not gpu or (node.group.gpus > 0 and (not self.types[row] or node.group.gpu_type in self.types[row]))

    def could_run(self, row, cpu, gpu):
        empty = [Node(n.number, n.group_number, n.group) for n in self.nodes]
        typed = [
            n for n in empty if not gpu or (n.devices and (not self.types[row] or n.group.gpu_type in self.types[row]))
        ]
        return any(n.fits(cpu, gpu, self.mem[row]) for n in typed)

    def sides_possible(self, row):
        cpu, gpu = self.cpu[row], self.gpu[row]
        return (
            cpu > 0 and self.could_run(row, cpu, 0),
            gpu > 0 and self.could_run(row, 0, gpu),
            cpu > 0 and gpu > 0 and self.could_run(row, cpu, gpu),
        )

    def settle(self, row):
        if not self.w.hybrid[row]:
            return 1.0 if self.gpu[row] else 0.0
        on_cpu, on_gpu, both = self.sides_possible(row)
        f = float(self.choices.fraction[row])
        if f > 0 and not on_gpu:
            f = 0.0
        if f < 1 and not on_cpu:
            f = 1.0
        if 0 < f < 1 and not both:
            f = 1.0 if f >= 0.5 else 0.0
        return f

    def is_gang(self, row):
        return (not self.w.hybrid[row] and len(self.pieces_needed(row, 0.0)) > 1) or self.full_count(row) > 0

    def full_count(self, row):
        return sum(1 for piece in self.pieces_needed(row, 0.0) if piece[3]) if not self.w.hybrid[row] else 0

    def pieces_needed(self, row, f):
        """Return (cpu, gpu, memory, takes a whole node) of every piece."""
        cpu, gpu, mem = self.cpu[row], self.gpu[row], self.mem[row]
        if self.w.hybrid[row]:
            return [(cpu if f < 1 else 0, gpu if f > 0 else 0, mem, False)]
        if gpu:
            most = max((n.group.gpus for n in self.nodes if self.allowed_type(row, n)), default=0) * 1000
            unit, whole = most, gpu
        else:
            unit, whole = max(n.all_cpu for n in self.nodes), cpu
        if whole <= unit:
            return [(cpu, gpu, mem, False)]
        count, rest = divmod(whole, unit)

        def share(amount, part):
            return -(-amount * part // whole)

        pieces = [(share(cpu, unit), unit if gpu else 0, share(mem, unit), True)] * count
        if rest:
            pieces.append((share(cpu, rest), rest if gpu else 0, share(mem, rest), False))
        return pieces

    def allowed_type(self, row, node):
        return node.group.gpus > 0 and (not self.types[row] or node.group.gpu_type in self.types[row])

    # Choice of nodes and devices.

    def find(self, row, f, nodes):
        """Return the pieces (node number, cpu, memory, {device: thousandths}) of a start, or None."""
        found, used, last = [], set(), -1
        for cpu, gpu, mem, whole in self.pieces_needed(row, f):
            if whole:
                fit = [
                    n
                    for n in nodes
                    if n.number > last
                    and not n.away
                    and n.cpu >= cpu
                    and n.memory >= mem
                    and (
                        self.allowed_type(row, n) and len(n.devices) * 1000 == gpu and len(n.whole()) * 1000 == gpu
                        if gpu
                        else n.all_cpu == cpu
                    )
                ]
                if not fit:
                    return None
                last = fit[0].number
                used.add(last)
                found.append((last, cpu, mem, dict.fromkeys(fit[0].whole(), 1000) if gpu else {}))
                continue
            fit = [n for n in nodes if n.number not in used and self.allowed(row, n, gpu) and n.fits(cpu, gpu, mem)]
            if not fit:
                return None
            node = self.choose(row, fit, cpu, gpu)
            found.append((node.number, cpu, mem, self.devices_of(node, cpu, gpu)))
        return found

    def choose(self, row, fit, cpu, gpu):
        def room(n):
            return sum(n.devices) // 1000 if gpu else min(n.cpu // 1000, 1023)

        if self.rule == FIRST_FIT:
            return fit[0]
        if self.rule == BEST_FIT:
            return min(fit, key=lambda n: (room(n), n.number))
        if self.rule == WORST_FIT:
            return min(fit, key=lambda n: (-room(n), n.number))
        if self.rule == RANDOM_NODE:
            return fit[min(int(self.choices.draw[row] * len(fit)), len(fit) - 1)]
        return max(fit, key=lambda n: (self.loss(n) - self.best_loss(n, cpu, gpu)[0], -n.number))

    def devices_of(self, node, cpu, gpu):
        free = node.whole()
        turn = self.turn[node.number]
        if self.in_turn:
            free = [d for d in free if d >= turn] + [d for d in free if d < turn]
        parts = dict.fromkeys(free[: gpu // 1000], 1000)
        if gpu % 1000:
            if self.rule == FGD:
                device = self.best_loss(node, cpu, gpu)[1]
            elif node.parted(gpu % 1000):
                device = min(node.parted(gpu % 1000), key=lambda d: (node.devices[d], d))
            else:
                device = free[gpu // 1000]
            parts[device] = gpu % 1000
        return parts

    def make_classes(self):
        counts = {}
        for row in range(len(self.w)):
            f = self.fixed[row]
            cpu = 0 if self.w.hybrid[row] and f == 1 else self.cpu[row]
            gpu = 0 if self.w.hybrid[row] and f == 0 else self.gpu[row]
            key = (cpu, gpu, self.w.gpu_type.codes[row] if gpu else -1, self.mem[row])
            count, _ = counts.get(key, (0, row))
            counts[key] = (count + 1, row)
        return [(count, key[0], key[1], row) for key, (count, row) in counts.items()]

    def loss(self, node):
        total = 0
        for count, cpu, gpu, row in self.classes:
            need = max(gpu // 1000, 1)
            usable = len([d for d in node.devices if d >= (1000 if gpu >= 1000 else gpu % 1000)])
            if gpu == 0:
                usable = len([d for d in node.devices if d > 0])
            typed = not gpu or self.allowed_type(row, node)
            if gpu == 0:
                lost = sum(node.devices) if node.cpu < cpu else 0
            elif usable < need or node.cpu < cpu or not typed:
                lost = sum(node.devices)
            elif gpu >= 1000:
                lost = sum(d for d in node.devices if d < 1000)
            else:
                lost = sum(d for d in node.devices if d < gpu)
            total += count * lost
        return total

    def best_loss(self, node, cpu, gpu):
        whole = node.whole()[: gpu // 1000]
        options = [None]
        if gpu % 1000:
            options = [d for d, left in enumerate(node.devices) if d not in whole and left >= gpu % 1000]
        best = None
        for device in options:
            trial = copy.deepcopy(node)
            parts = dict.fromkeys(whole, 1000)
            if device is not None:
                parts[device] = gpu % 1000
            trial.take(cpu, 0, parts)
            loss = self.loss(trial)
            if best is None or loss < best[0]:
                best = (loss, device)
        return best

    # Time.

    def sides(self, row, runtime, f, group):
        if not self.w.hybrid[row]:
            length = runtime / (group.gpu_speed if self.gpu[row] else group.cpu_speed)
            return length, length
        cpu = (1 - f) * (runtime / group.cpu_speed)
        intensity, memory = float(self.w.compute_intensity[row]), float(self.w.memory_mb[row])
        gpu = f * (runtime / (group.gpu_speed * (1 + 3 * intensity)) + memory / group.bandwidth_mb_per_second)
        return (gpu + cpu, gpu + cpu) if self.sequential else (cpu, gpu)

    def lengths(self, row, runtime, f, pieces):
        both = [self.sides(row, runtime, f, self.nodes[number].group) for number, *_ in pieces]
        return max(cpu for cpu, _ in both), max(gpu for _, gpu in both)

    def begin(self, row, f, pieces, now):
        self.queue.remove(row)
        cpu, gpu = self.lengths(row, self.runtime[row], f, pieces)
        cpu_hope, gpu_hope = self.lengths(row, self.estimate[row], f, pieces)
        self.start[row], self.fraction[row] = now, f
        self.ends[row] = (now + cpu_hope, now + gpu_hope, now + max(cpu_hope, gpu_hope))
        self.held[row] = [[number, c, m, dict(parts)] for number, c, m, parts in pieces]
        for number, c, m, parts in pieces:
            self.nodes[number].take(c, m, parts)
            if self.in_turn and parts:
                turn = self.turn[number]
                last = max(parts, key=lambda d: (d < turn, d))
                self.turn[number] = (last + 1) % len(self.nodes[number].devices)
        self.node[row], parts = min((number, sorted(parts)) for number, _, _, parts in pieces)
        self.device[row] = parts[0] if parts else -1
        if self.w.hybrid[row] and 0 < f < 1 and cpu != gpu:
            self.events.append((now + min(cpu, gpu), row, "cpu" if cpu < gpu else "gpu"))
        self.events.append((now + max(cpu, gpu), row, "end"))

    def give(self, row, part, nodes, held):
        for piece in held:
            node = nodes[piece[0]]
            if part in ("cpu", "end"):
                node.cpu += piece[1]
                piece[1] = 0
            if part in ("gpu", "end"):
                node.take(0, 0, piece[3], sign=-1)
                piece[3] = {}
            if part == "end":
                node.memory += piece[2]
                piece[2] = 0

    def play(self):
        n = len(self.w)
        parents = [
            set(self.w.parents.rows[self.w.parents.offsets[i] : self.w.parents.offsets[i + 1]].tolist())
            for i in range(n)
        ]
        arrival = self.w.arrival_time.tolist()
        offered = arrival
        if self.scores.not_before is not None:
            offered = [max(pair) for pair in zip(arrival, self.scores.not_before.tolist(), strict=True)]
        waiting = set(range(n))
        self.outages = []
        for g, group in enumerate(self.sim.cluster.groups):
            mine = [node for node in self.nodes if node.group_number == g]
            for outage in group.outages:
                for node in mine[len(mine) - outage.nodes :]:
                    self.outages += [(outage.start_time, node.number, 1), (outage.end_time, node.number, -1)]
        while any(end is None for end in self.finish):
            times = [time for time, *_ in self.events] + [time for time, *_ in self.outages]
            times += [offered[row] for row in waiting if offered[row] > getattr(self, "now", -inf)]
            if self.backfill == "conservative" and not self.overran:
                times += [time for time, *_ in self.reserved.values() if time > getattr(self, "now", -inf)]
            now = self.now = min(times)
            # Both sides of a task may end at one instant; its own end comes last.
            ending = [event for event in self.events if event[0] == now]
            for event in sorted(ending, key=lambda event: (event[1], event[2] == "end")):
                self.events.remove(event)
                _, row, part = event
                self.give(row, part, self.nodes, self.held[row])
                if part == "end":
                    del self.held[row]
                    self.finish[row] = now
                    self.charge(row, now)
            for event in [event for event in self.outages if event[0] == now]:
                self.outages.remove(event)
                self.nodes[event[1]].away += event[2]
            for row in sorted(waiting):
                done = all(self.finish[parent] is not None for parent in parents[row])
                if offered[row] <= now and done:
                    waiting.remove(row)
                    self.ready[row] = max([arrival[row], *(self.finish[parent] for parent in parents[row])])
                    self.queue.append(row)
            if self.planned != NOT_PLANNED:
                self.act_planned(now)
            elif self.backfill == "conservative":
                self.act_conservative(now)
            else:
                self.act_unplanned(now)
        return self

    # What the policy does.

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

    def learned_scores(self, now):
        """Return the sum of A[i, j] * x[i] * z[j], or of the net's units, as `learning/scoring.py` defines them."""
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
            if self.gpu[row]:
                # A split task may ask for GPUs where there are none.
                excess = (self.gpu[row] - free_gpus) / (cluster.gpus * 1000) if cluster.gpus else inf
            else:
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

    def act_unplanned(self, now):
        self.plans = {}
        head = shadow = None
        for row in self.in_order(now):
            pieces = self.find(row, self.fixed[row], self.nodes)
            if pieces is None:
                if self.backfill == "none":
                    return
                if self.backfill == "easy" and head is None:
                    head, (shadow, self.later) = row, self.find_shadow(row, now)
                continue
            if head is not None and shadow < inf:
                trial = copy.deepcopy(self.later)
                cpu, gpu = self.lengths(row, self.estimate[row], self.fixed[row], pieces)
                for number, c, m, parts in pieces:
                    trial[number].take(
                        c if now + cpu > shadow else 0,
                        m if now + max(cpu, gpu) > shadow else 0,
                        parts if now + gpu > shadow else {},
                    )
                if not self.could_start(head, trial):
                    continue
                self.later = trial
            self.begin(row, self.fixed[row], pieces, now)
            self.note_start(row)

    def could_start(self, row, nodes):
        rule, self.rule = self.rule, FIRST_FIT
        found = self.find(row, self.fixed[row], nodes)
        self.rule = rule
        return found is not None

    def find_shadow(self, head, now):
        nodes, held = copy.deepcopy(self.nodes), copy.deepcopy(self.held)
        events = [(time, node, sign) for time, node, sign in self.outages]
        for row, (cpu, gpu, end) in ((row, self.ends[row]) for row in held):
            events += [(max(cpu, now), row, "cpu"), (max(gpu, now), row, "gpu"), (max(end, now), row, "end")]
        for time in sorted({event[0] for event in events}):
            for event in events:
                if event[0] == time and isinstance(event[2], int):
                    nodes[event[1]].away += event[2]
                elif event[0] == time:
                    self.give(event[1], event[2], nodes, held[event[1]])
            if self.could_start(head, nodes):
                return time, nodes
        return inf, nodes

    # Conservative: every queued task holds pieces of nodes from some time on.

    def act_conservative(self, now):
        walk = self.settled_order(now)[: self.depth]
        self.reserved = {row: kept for row, kept in self.reserved.items() if row in walk}
        missed = any(time < now for time, *_ in self.reserved.values())
        self.overran = any(self.ends[row][2] <= now for row in self.held)
        if missed or self.overran:
            again = [row for row in walk if row in self.reserved]
            self.reserved = {}
            for row in again:
                self.reserve(row, now, inf)
        else:
            for row in walk:
                if row in self.reserved:
                    self.reserve(row, now, self.reserved[row][0])
        while True:
            for row in walk:
                if row not in self.reserved:
                    self.reserve(row, now, inf)
            due = [row for row in walk if self.reserved[row][0] == now]
            started = False
            for row in due:
                pieces = self.reserved[row][2]
                if self.really_free(pieces):
                    del self.reserved[row]
                    self.begin(row, self.fixed[row], pieces, now)
                    started = True
            if not started or self.depth >= len(self.w):
                return
            walk = self.settled_order(now)[: self.depth]
            if all(row in self.reserved for row in walk):
                return

    def really_free(self, pieces):
        return all(
            not self.nodes[number].away
            and self.nodes[number].cpu >= cpu
            and self.nodes[number].memory >= mem
            and all(self.nodes[number].devices[device] >= amount for device, amount in parts.items())
            for number, cpu, mem, parts in pieces
        )

    def reserve(self, row, now, latest):
        """Hold the first pieces that stay free through the task's length, not later than `latest`."""
        length = max(max(self.sides(row, self.estimate[row], self.fixed[row], g)) for g in self.sim.cluster.groups)
        changes = self.planned_changes(row, now)
        for begin in sorted({now, *(time for time, gives, _ in changes if gives and time > now)}):
            if begin > latest:
                return
            nodes = self.state_after(changes, lambda time, at=begin: time <= at)
            least = copy.deepcopy(nodes)
            later = sorted({time for time, *_ in changes if begin < time < begin + length})
            for time in later:
                for node, other in zip(least, self.state_after(changes, lambda when, at=time: when <= at), strict=True):
                    node.cpu, node.memory = min(node.cpu, other.cpu), min(node.memory, other.memory)
                    node.away = max(node.away, other.away)
                    node.devices = [min(pair) for pair in zip(node.devices, other.devices, strict=True)]
            pieces = self.find(row, self.fixed[row], least)
            if pieces is not None:
                self.reserved[row] = (begin, self.lengths(row, self.estimate[row], self.fixed[row], pieces), pieces)
                return
        if latest == inf:
            self.reserved[row] = (inf, (0.0, 0.0), [])

    def planned_changes(self, row, now):
        """Return (time, gives back, change of the nodes) of what runs, of others' reservations and of outages."""
        changes = []

        def change(time, pieces, part, sign):
            def apply(nodes):
                for number, cpu, mem, parts in pieces:
                    nodes[number].take(
                        cpu if part == 0 else 0, mem if part == 2 else 0, parts if part == 1 else {}, sign=sign
                    )

            changes.append((time, sign < 0, apply))

        for other, held in self.held.items():
            cpu, gpu, end = (max(time, now) for time in self.ends[other])
            for part, time in enumerate((cpu, gpu, end)):
                change(time, held, part, -1)
        for other, (begin, (cpu, gpu), pieces) in self.reserved.items():
            if other != row and begin < inf:
                for part, length in enumerate((cpu, gpu, max(cpu, gpu))):
                    if length > 0:
                        change(begin, pieces, part, 1)
                        change(begin + length, pieces, part, -1)
        for time, number, sign in self.outages:

            def away(nodes, number=number, sign=sign):
                nodes[number].away += sign

            changes.append((time, True, away))
        return changes

    def state_after(self, changes, applies):
        nodes = copy.deepcopy(self.nodes)
        for time, _, apply in changes:
            if applies(time):
                apply(nodes)
        return nodes

    # Plans of eft and oracle: lists of (time, amount), the first entry being what is free now.

    def plan_of(self, node, now):
        if node.number not in self.plans:
            cores, gpus, memory = [[now, node.cpu]], [[now, len(node.whole())]], [[now, node.memory]]
            latest = {}
            for row, held in self.held.items():
                cpu_end, gpu_end, end = (max(time, now) for time in self.ends[row])
                for number, cpu, mem, parts in held:
                    if number == node.number:
                        cores.append([cpu_end, cpu])
                        memory.append([end, mem])
                        gpus += [[gpu_end, 1] for amount in parts.values() if amount == 1000]
                        for device, amount in parts.items():
                            if amount < 1000:
                                latest[device] = max(latest.get(device, now), gpu_end)
            gpus += [[time, 1] for time in latest.values()]
            lists = (cores, gpus, memory)
            self.plans[node.number] = [items[:1] + sorted(items[1:]) for items in lists]
        return self.plans[node.number]

    @staticmethod
    def available(items, need):
        total = 0
        if need == 0:
            return -inf
        for time, amount in items:
            total += amount
            if total >= need:
                return time
        return inf

    def is_planned(self, row):
        return self.full_count(row) == 0 and self.gpu[row] % 1000 == 0

    def options(self, row, now):
        """Yield (finish, fraction, node number, start, lists, needs) of every option of a task."""
        hybrid = self.w.hybrid[row]
        possible = self.sides_possible(row) if hybrid else None
        for node in self.nodes:
            if node.away:
                continue
            lists = self.plan_of(node, now)
            fractions = [self.fixed[row]]
            if hybrid and self.planned == EARLIEST_FINISH:
                fractions = [k / 10 for k in range(11)]
            elif hybrid and self.planned != NOT_PLANNED:
                alone = self.estimate[row] / node.group.cpu_speed
                offloaded = self.sides(row, self.estimate[row], 1.0, node.group)[1]
                exact = alone / (alone + offloaded) if alone + offloaded > 0 else 0.0
                fractions = [0.0, 1.0] if self.sequential else [0.0, exact, 1.0]
            for f in fractions:
                on_cpu, on_gpu = (f < 1, f > 0) if hybrid else (self.cpu[row] > 0, self.gpu[row] > 0)
                if hybrid and not all(
                    ok for ok, used in zip(possible, (on_cpu, on_gpu, on_cpu and on_gpu), strict=True) if used
                ):
                    continue
                if not self.allowed(row, node, on_gpu):
                    continue
                needs = (self.cpu[row] if on_cpu else 0, self.gpu[row] // 1000 if on_gpu else 0, self.mem[row])
                begin = max(now, *(self.available(items, need) for items, need in zip(lists, needs, strict=True)))
                if begin < inf:
                    finish = begin + max(self.sides(row, self.estimate[row], f, node.group))
                    yield finish, f, node.number, begin, lists, needs

    def completion(self, row, now):
        if not self.is_planned(row):
            pieces = self.find(row, self.fixed[row], self.nodes)
            if pieces is None:
                return inf, inf
            return now + max(self.lengths(row, self.estimate[row], self.fixed[row], pieces)), inf
        best = {}
        for finish, f, number, *_ in self.options(row, now):
            uses_gpu = f > 0 if self.w.hybrid[row] else self.gpu[row] > 0
            best[number, uses_gpu] = min(best.get((number, uses_gpu), inf), finish)
        first, second = [*sorted(best.values()), inf, inf][:2]
        return first, second

    def note_start(self, row):
        cpu_end, gpu_end, end = self.ends[row]
        for number, cpu, mem, parts in self.held[row]:
            if number in self.plans:
                devices = sum(self.nodes[number].devices[d] == 1000 - amount for d, amount in parts.items())
                for items, need, time in zip(
                    self.plans[number], (cpu, devices, mem), (cpu_end, gpu_end, end), strict=True
                ):
                    items[0][1] = max(items[0][1] - need, 0)
                    if need:
                        items[1:] = sorted([*items[1:], [time, need]])

    def book(self, row, f, node, begin, lists, needs):
        cpu, gpu = self.sides(row, self.estimate[row], f, self.nodes[node].group)
        for items, need, length in zip(lists, needs, (cpu, gpu, max(cpu, gpu)), strict=True):
            left = need
            for entry in reversed(items[1:]):
                if entry[0] <= begin:
                    taken = min(left, entry[1])
                    entry[1] -= taken
                    left -= taken
            items[0][1] = max(items[0][1] - left, 0)
            if need:
                items[1:] = sorted([entry for entry in [*items[1:], [begin + length, need]] if entry[1] > 0])

    def act_planned(self, now):
        self.plans = {}
        waiting = False
        for row in self.in_order(now):
            if not self.is_planned(row):
                pieces = self.find(row, self.fixed[row], self.nodes)
                if pieces is not None:
                    self.begin(row, self.fixed[row], pieces, now)
                    self.note_start(row)
                    continue
            else:
                best = min(self.options(row, now), key=lambda option: option[:3], default=None)
                if best is not None:
                    _, f, number, begin, lists, needs = best
                    if begin == now and all(items[0][1] >= need for items, need in zip(lists, needs, strict=True)):
                        free = self.nodes[number].whole()[: needs[1]]
                        self.begin(row, f, [(number, needs[0], needs[2], dict.fromkeys(free, 1000))], now)
                        self.note_start(row)
                        continue
                    if self.backfill != "none" and not (self.backfill == "easy" and waiting):
                        self.book(row, f, number, begin, lists, needs)
            if self.backfill == "none":
                return
            waiting = True
