"""A slow simulator of tasks that stop and go on, written from docs/model.md; the event core must agree with it exactly.

Nothing here is clever: every list is sorted anew at each instant, every running task is asked what it has done, and the
whole schedule is built from an empty cluster. Cores and GPUs are whole numbers.
"""

from math import ceil, floor, inf

READY, RUNNING, SUSPENDED, DONE = "ready", "running", "suspended", "done"

ENDS = {"finished": "completed", "timed_out": "timed_out", "failed": "failed"}


class Task:
    """What is known of one task."""

    def __init__(self, row, arrival, work, estimate, cpus, gpus, memory=0, base=0.0, slope=0.0, parents=()):
        self.row, self.arrival, self.work, self.estimate = row, arrival, work, estimate
        self.cpus, self.gpus, self.memory, self.base, self.slope = cpus, gpus, memory, base, slope
        self.parents = set(parents)
        self.size = gpus if gpus else cpus
        self.state, self.ready, self.tie = None, None, row
        self.left, self.estimate_left = work, estimate
        self.saved = False
        self.start = self.progress_from = self.finish = self.expected_end = None
        self.first_start = self.end = None
        self.attempts = self.requeues = self.failures = 0
        self.held_seconds = self.attained = self.executed = 0.0
        self.queue, self.waiting_since, self.slice_end = 0, None, None
        self.pieces = []
        self.outcome, self.service, self.since_begin = None, 0.0, 0.0


class Machine:
    """Nodes as (cores, GPUs); a piece of a task is (node, cores, set of GPUs)."""

    def __init__(self, nodes):
        self.nodes = nodes
        self.away = [0] * len(nodes)
        self.reset()

    def reset(self):
        self.cores = [0 if away else cores for (cores, _), away in zip(self.nodes, self.away, strict=True)]
        self.gpus = [set() if away else set(range(gpus)) for (_, gpus), away in zip(self.nodes, self.away, strict=True)]

    def take(self, pieces):
        for node, cores, gpus in pieces:
            self.cores[node] -= cores
            self.gpus[node] -= gpus

    def still_free(self, pieces):
        return all(self.cores[node] >= cores and gpus <= self.gpus[node] for node, cores, gpus in pieces)

    def place_on_nodes(self, task):
        """One node if one is large enough, else whole nodes and one further node for the rest; the lowest numbers."""
        by_gpus = task.gpus > 0
        largest = max(node[1] if by_gpus else node[0] for node in self.nodes)
        whole = task.gpus if by_gpus else task.cpus
        if whole <= largest:
            return self.first(task.cpus, task.gpus, set())
        full, rest = divmod(whole, largest)
        other = task.cpus if by_gpus else 0
        share, last = -(-other * largest // whole), -(-other * rest // whole)
        pieces = []
        for node, (cores, gpus) in enumerate(self.nodes):
            if len(pieces) == full:
                break
            if by_gpus and gpus == largest and len(self.gpus[node]) == largest and self.cores[node] >= share:
                pieces.append((node, share, set(range(gpus))))
            if not by_gpus and cores == largest and self.cores[node] == largest:
                pieces.append((node, largest, set()))
        if len(pieces) < full:
            return None
        if rest:
            behind = self.first(last if by_gpus else rest, rest if by_gpus else 0, {node for node, _, _ in pieces})
            if behind is None:
                return None
            pieces += behind
        return pieces

    def first(self, cores, gpus, taken):
        for node in range(len(self.nodes)):
            if node not in taken and self.cores[node] >= cores and len(self.gpus[node]) >= gpus:
                return [(node, cores, set(sorted(self.gpus[node])[:gpus]))]
        return None

    def spread(self, task):
        """Any free cores and GPUs, the lowest first, whichever nodes they are on."""
        if sum(self.cores) < task.cpus or sum(map(len, self.gpus)) < task.gpus:
            return None
        cores, gpus, pieces = task.cpus, task.gpus, []
        for node in range(len(self.nodes)):
            some, devices = min(cores, self.cores[node]), set(sorted(self.gpus[node])[:gpus])
            if some or devices:
                pieces.append((node, some, devices))
                cores, gpus = cores - some, gpus - len(devices)
        return pieces


class ReferenceCore:
    """One policy playing tasks whose attempts it writes down.

    Args:
        tasks: in canonical order. nodes: list of (cores, GPUs).
        discipline: `srtf`, `srsf`, `las`, `rr`, or `score` for base - slope * wait.
        backfill: of `score`. preemption: `none`, `suspend`, `checkpoint`, `requeue`.
        spread: nodes do not matter. in_place: who runs on does not move.
        overhead: function of the size to seconds. charge_first: whether the first start pays it.
        limit: `run`, `kill`, `requeue`. outages: list of (start, end, node), which kill.
        interval, write, read, growth: checkpoints; interval None for none.
    """

    def __init__(self, tasks, nodes, discipline="score", backfill="none", preemption="none", **options):
        self.tasks, self.machine = tasks, Machine(nodes)
        self.discipline, self.backfill, self.preemption = discipline, backfill, preemption
        self.preempts = discipline != "score" or preemption != "none"
        defaults = {
            "spread": False, "in_place": False, "overhead": lambda _: 0.0, "charge_first": False,
            "limits": (3250.0, 7200.0), "promote": None, "quantum": 60.0, "limit": "run", "max_requeues": 0,
            "outages": (), "requeue_at": "old", "max_failures": None, "depth": None,
            "interval": None, "write": 0.0, "read": 0.0, "growth": 1.0, "by_arrival": False, "speed": 1.0,
        }  # fmt: skip
        assert set(options) <= set(defaults), set(options) - set(defaults)
        for name, value in (defaults | options).items():
            setattr(self, name, value)
        self.attempts, self.list, self.queues = [], [], [[] for _ in range(len(self.limits) + 1)]
        self.completion, self.later = [], len(tasks)
        self.outage_events = sorted(
            [(start, 1, node) for start, _, node in self.outages] + [(end, 0, node) for _, end, node in self.outages]
        )

    # What an attempt does between its start and its end.

    def span(self, work):
        """Return the seconds that `work` takes with its checkpoints; none is written where the work ends."""
        if self.interval is None:
            return work
        seconds, done, interval = work, self.interval, self.interval
        while done < work:
            seconds += self.write
            interval = self.grown(interval)
            done += interval
        return seconds

    def grown(self, interval):
        return interval if self.growth == 1 else floor(interval * self.growth * 1000) / 1000

    def progress(self, task, now):
        """Return what was done in this attempt, and what of it lies in complete checkpoints."""
        elapsed = max(now - task.progress_from, 0.0)
        if self.interval is None:
            return min(elapsed, task.left), 0.0
        done = kept = 0.0
        interval = self.interval
        while True:
            if done + interval >= task.left:
                return min(done + elapsed, task.left), kept
            if elapsed < interval + self.write:
                return done + min(elapsed, interval), kept
            done, elapsed, interval = done + interval, elapsed - interval - self.write, self.grown(interval)
            kept = done

    def estimate_now(self, task):
        done = self.progress(task, self.now)[0] if task.state == RUNNING else 0.0
        return max(task.estimate_left - done, 0.0)

    # Verbs.

    def begin(self, task, pieces):
        seconds = self.overhead(task.size) if task.attempts or self.charge_first else 0.0
        if task.saved:
            seconds += self.read
        task.state, task.start, task.progress_from = RUNNING, self.now, self.now + seconds
        task.attempts += 1
        task.pieces = pieces
        work = task.left
        if self.limit != "run":
            work = min(work, task.estimate - task.since_begin)
        task.attempt_work = work
        task.finish = task.progress_from + self.span(work)
        task.expected_end = task.progress_from + self.span(task.estimate_left)
        task.slice_end = self.now + self.quantum
        if task.first_start is None:
            task.first_start = self.now

    def close(self, task, reason):
        """End the attempt and say what it did and what of that lies in checkpoints."""
        done, kept = self.progress(task, self.now)
        held = self.now - task.start
        task.held_seconds += held
        task.attained += held
        task.executed += held
        node, device = place_of(task.pieces)
        self.attempts.append((task.row, task.attempts, task.start, self.now, node, device, reason))
        task.state, task.finish, task.waiting_since = SUSPENDED, None, self.now
        return done, kept

    def stop(self, task, reason):
        done, kept = self.close(task, reason)
        if reason == "suspended":
            keep = done
            task.since_begin += done
        else:
            keep = kept
            task.since_begin = 0.0
            task.saved = task.saved or kept > 0
        task.left -= keep
        task.estimate_left = max(task.estimate_left - keep, 0.0)
        task.service += keep
        if reason == "requeued" and self.preemption == "requeue":
            task.left, task.estimate_left, task.service, task.saved = task.work, task.estimate, 0.0, False

    def finish(self, task, outcome):
        if task.state == RUNNING:
            done, _ = self.close(task, {v: k for k, v in ENDS.items()}[outcome])
            task.service += done
        task.state, task.end, task.outcome = DONE, self.now, outcome
        self.completion.append(task.row)
        self.drop(task)

    # The list of active tasks.

    def add(self, task):
        task.state, task.ready = READY, self.now
        task.waiting_since = self.now
        (self.queues[0] if self.discipline == "las" else self.list).append(task)

    def drop(self, task):
        (self.queues[task.queue] if self.discipline == "las" else self.list).remove(task)

    def put_back(self, tasks):
        """Put tasks that failed or timed out where they belong, in their order."""
        if self.discipline == "las":
            for task in tasks:
                self.drop(task)
            for task in reversed(tasks):
                queue = self.queues[task.queue]
                waiting = [i for i, other in enumerate(queue) if other.state != RUNNING]
                queue.insert(waiting[0] if waiting else len(queue), task)
        if self.requeue_at == "end":
            for task in sorted(tasks, key=lambda task: task.row):
                self.drop(task)
                (self.queues[task.queue] if self.discipline == "las" else self.list).append(task)
                task.ready, task.tie = self.now, self.later
                self.later += 1
                if self.by_arrival:
                    task.base = self.now

    def score(self, task):
        return task.base - task.slope * (self.now - task.ready)

    def in_order(self):
        if self.discipline == "las":
            return [task for queue in self.queues for task in queue]
        if self.discipline == "srtf":
            self.list.sort(key=self.estimate_now)
        elif self.discipline == "srsf":
            self.list.sort(key=lambda task: self.estimate_now(task) * task.size)
        elif self.discipline == "score":
            self.list.sort(key=lambda task: (self.score(task), task.tie))
        return list(self.list)

    # Events.

    def next_instant(self):
        times = [task.finish for task in self.tasks if task.state == RUNNING]
        times += [
            task.arrival for task in self.tasks if task.state is None and (task.arrival > self.now or not task.parents)
        ]
        if any(task.state != DONE for task in self.tasks):
            times += [event[0] for event in self.outage_events[:1]]
        if self.discipline == "las":
            times += [self.demotion(task) for task in self.tasks if task.state == RUNNING]
            if self.promote is not None:
                times += [self.promotion(task) for task in self.tasks if task.state == SUSPENDED]
        if self.discipline == "rr":
            times += [task.slice_end for task in self.tasks if task.state == RUNNING]
        return max(min(times, default=inf), self.now)

    def demotion(self, task):
        if task.queue >= len(self.limits):
            return inf
        return task.start + (ceil(self.limits[task.queue] / task.size) - task.attained)

    def promotion(self, task):
        if task.queue == 0 or task.executed == 0:
            return inf
        return task.waiting_since + self.promote * task.executed

    def play(self):
        """Play everything."""
        self.now = -inf
        while any(task.state != DONE for task in self.tasks):
            self.now = self.next_instant()
            assert self.now < inf, "nothing can go on"
            while True:
                self.apply()
                self.build()
                if not any(task.state == RUNNING and task.finish <= self.now for task in self.tasks):
                    break
        return self

    def apply(self):
        ended = [task for task in self.tasks if task.state == RUNNING and task.finish <= self.now]
        back = []
        for task in ended:
            if task.attempt_work >= task.left:
                self.finish(task, "completed")
            elif self.limit == "requeue" and task.requeues < self.max_requeues:
                task.requeues += 1
                self.stop(task, "timed_out")
                if not task.saved:
                    task.left, task.estimate_left, task.service = task.work, task.estimate, 0.0
                back.append(task)
            else:
                self.finish(task, "timed_out")
        while self.outage_events and self.outage_events[0][0] <= self.now:
            _, down, node = self.outage_events.pop(0)
            self.machine.away[node] += 1 if down else -1
            if down:
                hit = [t for t in self.tasks if t.state == RUNNING and any(piece[0] == node for piece in t.pieces)]
                for task in hit:
                    task.failures += 1
                    self.stop(task, "failed")
                    if self.max_failures is not None and task.failures >= self.max_failures:
                        self.finish(task, "failed")
                    else:
                        back.append(task)
        places = {id(task): place for place, task in enumerate(self.in_list())}
        self.put_back(sorted(back, key=lambda task: places[id(task)]))
        done = {task.row for task in self.tasks if task.state == DONE}
        for task in self.tasks:
            if task.state is None and task.arrival <= self.now and task.parents <= done:
                self.add(task)
        # Who waits for a parent that has ended has no arrival to come: it is taken above at the parent's end.
        for task in self.tasks:
            task.parents -= done
        if self.discipline == "las":
            self.demote()
        if self.discipline == "rr":
            for task in [task for task in self.list if task.state == RUNNING and task.slice_end <= self.now]:
                self.list.remove(task)
                self.list.append(task)
                task.slice_end = self.now + self.quantum

    def in_list(self):
        return [task for queue in self.queues for task in queue] if self.discipline == "las" else self.list

    def demote(self):
        if self.promote is not None:
            for task in [task for queue in self.queues[1:] for task in queue]:
                if task.state == SUSPENDED and self.promotion(task) <= self.now:
                    self.queues[task.queue].remove(task)
                    task.queue, task.attained, task.executed = 0, 0.0, 0.0
                    self.queues[0].append(task)
        moved = []
        for number, limit in enumerate(self.limits):
            for task in list(self.queues[number]):
                if task.state != RUNNING or task in moved:
                    continue
                seconds = task.attained + (self.now - task.start)
                if seconds * task.size >= limit or self.demotion(task) <= self.now:
                    self.queues[number].remove(task)
                    self.queues[number + 1].append(task)
                    task.queue = number + 1
                    moved.append(task)

    # The schedule.

    def build(self):
        machine = self.machine
        machine.reset()
        walk = self.in_order()
        if self.backfill == "conservative":
            return self.carry_out(walk, self.plan(walk))
        if not self.preempts:
            walk = [t for t in walk if t.state == RUNNING] + [t for t in walk if t.state != RUNNING]
        chosen, blocked = {}, False
        self.head_seen = None
        undecided = [task for task in walk if task.state == RUNNING]
        skip = self.discipline != "score" or self.backfill == "list"
        for place, task in enumerate(walk):
            if task.state == RUNNING:
                undecided.remove(task)
                pieces = self.again(task)
                if pieces is not None:
                    machine.take(pieces)
                    chosen[task.row] = pieces
                    if self.head_seen and task.expected_end > self.shadow:
                        self.extra -= task.cpus
                continue
            if blocked:
                continue
            pieces = self.place(task, undecided)
            if self.backfill == "easy" and self.head_seen:
                if pieces is None:
                    continue
                late = self.now + self.overhead_of(task) + self.span(task.estimate_left) > self.shadow
                if late and task.cpus > self.extra:
                    continue
                if late:
                    self.extra -= task.cpus
            elif pieces is None:
                if self.backfill == "easy":
                    self.head_seen = task
                    self.reserve(task, walk[:place], chosen)
                elif not skip:
                    blocked = True
                continue
            machine.take(pieces)
            chosen[task.row] = pieces
        if self.spread:
            self.settle(walk, chosen)
        return self.carry_out(walk, chosen)

    def plan(self, walk):
        """Plan all in order on a pool: who runs holds its processors up to the first conflict, others the earliest."""
        capacity = free = sum(self.machine.cores)
        held, planned, chosen = [], 0, {}

        def used(time):
            return sum(cpus for begin, end, cpus in held if begin <= time < end)

        def room(begin, length, cpus):
            points = [begin, *(first for first, _, _ in held if begin < first < begin + length)]
            return all(used(point) + cpus <= capacity for point in points)

        for task in walk:
            if task.state == RUNNING:
                if task.cpus > free:
                    continue
                free -= task.cpus
                chosen[task.row] = task.pieces
                end = max(task.expected_end, self.now)
                points = sorted({self.now, *(first for first, _, _ in held)})
                full = [point for point in points if self.now <= point < end and used(point) + task.cpus > capacity]
                held.append((self.now, min([end, *full]), task.cpus))
                continue
            if planned == self.depth:
                continue
            length = self.overhead_of(task) + self.span(task.estimate_left)
            times = sorted({self.now, *(end for _, end, _ in held if end > self.now)})
            begin = next((time for time in times if room(time, length, task.cpus)), inf)
            if begin < inf:
                held.append((begin, begin + length, task.cpus))
            if begin == self.now and task.cpus <= free:
                free -= task.cpus
                chosen[task.row] = [(0, task.cpus, set())]
            else:
                planned += 1
        return chosen

    def carry_out(self, walk, chosen):
        """Stop and start what the walk says."""
        for task in walk:
            if task.state == RUNNING and task.row not in chosen:
                assert self.preempts
                self.stop(task, "requeued" if self.preemption in ("requeue", "checkpoint") else "suspended")
        for task in walk:
            if task.row not in chosen:
                continue
            if task.state != RUNNING:
                self.begin(task, chosen[task.row])
            else:
                if place_of(task.pieces) != place_of(chosen[task.row]):
                    node, device = place_of(task.pieces)
                    self.attempts.append((task.row, task.attempts, task.start, self.now, node, device, "moved"))
                    self.move(task)
                task.pieces = chosen[task.row]
        if self.discipline == "las":
            for number, queue in enumerate(self.queues):
                self.queues[number] = [t for t in queue if t.state == RUNNING] + [
                    t for t in queue if t.state != RUNNING
                ]

    def move(self, task):
        """Go on elsewhere: a new attempt that pays nothing and keeps its course."""
        held = self.now - task.start
        task.held_seconds += held
        task.attained += held
        task.executed += held
        task.start = self.now
        task.attempts += 1

    def overhead_of(self, task):
        seconds = self.overhead(task.size) if task.attempts or self.charge_first else 0.0
        return seconds + (self.read if task.saved else 0.0)

    def again(self, task):
        """Return the pieces on which a running task goes on, None if it must stop."""
        if self.spread:
            return self.machine.spread(task)
        if self.in_place or not self.preempts:
            return task.pieces if self.machine.still_free(task.pieces) else None
        return self.machine.place_on_nodes(task)

    def place(self, task, undecided):
        if self.spread:
            return self.machine.spread(task)
        if not self.in_place:
            return self.machine.place_on_nodes(task)
        # Without stopping anybody if that can be, else stopping those behind it, the last first.
        cores, gpus = list(self.machine.cores), [set(free) for free in self.machine.gpus]
        pieces = None
        for last in range(len(undecided), -1, -1):
            for other in undecided[:last]:
                if self.machine.still_free(other.pieces):
                    self.machine.take(other.pieces)
            pieces = self.machine.place_on_nodes(task)
            self.machine.cores, self.machine.gpus = list(cores), [set(free) for free in gpus]
            if pieces is not None:
                break
        return pieces

    def settle(self, walk, chosen):
        """Give out cores and GPUs where only counts matter: who runs on keeps them, the others get the lowest."""
        self.machine.reset()
        for task in walk:
            if task.row in chosen and task.state == RUNNING:
                chosen[task.row] = task.pieces
                self.machine.take(task.pieces)
        for task in walk:
            if task.row in chosen and task.state != RUNNING:
                chosen[task.row] = self.machine.spread(task)
                self.machine.take(chosen[task.row])

    def reserve(self, head, ahead, chosen):
        """Find when the head fits by the expected ends of the tasks ahead that are chosen, and what is left then."""
        ends = []
        for task in ahead:
            if task.row in chosen:
                end = task.expected_end if task.state == RUNNING else None
                if end is None:
                    end = self.now + self.overhead_of(task) + self.span(task.estimate_left)
                ends.append((max(end, self.now), task.cpus))
        free = sum(self.machine.cores)
        shadow, released = inf, 0
        for shadow in sorted(end for end, _ in ends):
            released = sum(cpus for end, cpus in ends if end <= shadow)
            if free + released >= head.cpus:
                break
        self.shadow, self.extra = shadow, free + released - head.cpus


def place_of(pieces):
    """Return the lowest node and, on it, the lowest GPU, -1 for none."""
    node = min(node for node, _, _ in pieces)
    gpus = set().union(*(devices for number, _, devices in pieces if number == node))
    return node, min(gpus, default=-1)
