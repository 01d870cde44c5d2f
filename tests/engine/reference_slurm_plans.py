"""Passes of the backfill loop in a slow simulator of Slurm: every waiting job is planned, on whole named nodes."""

from collections import Counter
from dataclasses import dataclass
from math import floor, inf

from scheduler_sim.engine.sites import Partition
from tests.engine.reference_slurm_jobs import RUNNING, Free, Job, Share
from tests.engine.reference_slurm_starts import Starts

LARGEST_TRIES = 100_000


@dataclass
class Slot:
    """A span of time and the nodes that no plan has taken in it, as bits."""

    begin: float
    end: float
    nodes: int


class Plans(Starts):
    """One pass, and what it needs to know of the future."""

    def backfill(self, now: float) -> None:
        """Plan the queue in its order; what can start does."""
        rules = self.site.scheduling
        second = floor(now)
        unit = max(int(rules.backfill_resolution_time), 1)
        self.window_end = (second + rules.backfill_window_time) // unit * unit
        self.slots = [Slot(second // unit * unit, self.window_end, self.up)]
        self.planned_free_node = False
        tried = started = 0
        rejected: set[tuple[int, str]] = set()
        plans_of_array: dict[int, int] = {}
        counted: Counter[tuple[str, str]] = Counter()
        for job, partition in self.queue_order():
            if tried >= rules.backfill_depth:
                break
            if job.state == RUNNING or job in self.preempting:
                continue
            job.tried_in = partition
            if job.array and ((job.array, partition.name) in rejected or plans_of_array.get(job.array, 0) >= 20):
                continue
            rejected.add((job.array, partition.name))
            if self.is_throttled(job):
                job.reason = "JobArrayTaskLimit"
                continue
            if reason := self.accounting.blocked_by_count(job, partition):
                job.reason = reason
                continue
            keys = [
                (rules.backfill_depth_per_partition, "partition", partition.name),
                (rules.backfill_depth_per_account, "account", f"{job.account} {job.user}"),
                (rules.backfill_depth_per_user, "user", job.user),
            ]
            if any(most is not None and counted[kind, name] >= most for most, kind, name in keys):
                continue
            counted.update((kind, name) for _, kind, name in keys)
            tried += 1
            least = rules.backfill_least_priority_reserved
            only_now = least is not None and job.priority[partition.name] < least
            outcome = self._plan(job, partition, now, unit, only_now=only_now)
            if outcome != "none":
                rejected.discard((job.array, partition.name))
            if outcome == "started":
                started += 1
                if rules.backfill_starts is not None and started >= rules.backfill_starts:
                    break
            if outcome == "planned":
                plans_of_array[job.array] = plans_of_array.get(job.array, 0) + 1
        self.has_changed |= self.planned_free_node

    def _plan(self, job: Job, partition: Partition, now: float, unit: int, *, only_now: bool) -> str:
        rules = self.site.scheduling
        second = floor(now)
        limit = self.limit_of(job, partition)
        later = float(second)
        for _ in range(LARGEST_TRIES):
            begin, later = later, 0.0
            allowed, begin, overlaps = self.unreserved(begin, limit, partition, job)
            own = self.reserved.get(job.reservation)
            if own is not None and begin < own.begin:
                later = own.begin
            end = max(begin, second) + limit
            available = usable = allowed & self.machine.nodes_of[partition.name]
            for number, slot in enumerate(self.slots):
                following = self.slots[number + 1] if number + 1 < len(self.slots) else None
                if slot.end <= begin:
                    continue
                if following is not None and not later:
                    has_more = usable & following.nodes & ~(available & slot.nodes)
                    later = slot.end if has_more else 0.0
                if slot.begin > end:
                    break
                available &= slot.nodes
            if overlaps:
                ends = [one.end for one in self.reserved.values() if one.end >= begin]
                over = -(-floor(min(ends)) // unit) * unit + 1 if ends else inf
                if over < self.window_end and (not later or over < later):
                    later = over
            found = None
            if available.bit_count() >= job.least_nodes:
                found = self.will_run(job, partition, available & job.suitable, now, only_now=only_now)
            if found is None:
                if later and not only_now:
                    continue
                return "none"
            start, shares = found
            start = max(start, begin)
            if start <= second:
                outcome = self.try_start(job, partition, available, now, "backfill")
                if outcome == "started":
                    self._hold_whole_nodes(job, unit)
                    return "started"
                if outcome == "limited":
                    return "none"
                later = 0.0
            elif only_now:
                return "none"
            if later and start > later:
                continue
            if start > second + rules.backfill_window_time:
                return "none"
            first, last = start // unit * unit, (start + limit) // unit * unit
            nodes = sum(1 << node for node, _ in shares)
            if start > second and self._is_taken(nodes, first, last):
                later = start
                continue
            cores = sum(amount for _, amount in shares)
            if reason := self.accounting.blocked_by_amount(job, partition, cores, len(shares)):
                job.reason = reason
                return "none"
            self._reserve(first, last, nodes, unit)
            self.planned_free_node |= any(self.free.cores[node] for node, _ in shares)
            return "planned"
        raise AssertionError("A plan never came to an end.")

    def _is_taken(self, nodes: int, first: float, last: float) -> bool:
        return any(slot.end > first and slot.begin < last and nodes & ~slot.nodes for slot in self.slots)

    def _hold_whole_nodes(self, job: Job, unit: int) -> None:
        if job.exclusive and self.preempt_mode(job) == "off":
            self._reserve(0, job.ends_by // unit * unit, job.nodes, unit)

    def _reserve(self, first: float, last: float, nodes: int, unit: int) -> None:
        """Take nodes out of the slots from `first` to `last`; then at most one pair of like neighbours becomes one."""
        slots = self.slots
        first = max(first, slots[0].begin)
        last = max(last, first + unit)
        before, place = 0, len(slots)
        for number, slot in enumerate(slots):
            if slot.end > first:
                slots.insert(number + 1, Slot(first, slot.end, slot.nodes))
                slot.end = first
            if slot.end == first:
                place = number + 1
                break
            before = number
        while place < len(slots):
            slot = slots[place]
            if last < slot.end:
                slots.insert(place + 1, Slot(last, slot.end, slot.nodes))
                slot.end = last
            slot.nodes &= ~nodes
            place += 1
            if slot.end == last:
                break
        after = place if place < len(slots) else len(slots) - 1
        for number in range(before, after):
            if slots[number].nodes == slots[number + 1].nodes:
                slots[number].end = slots.pop(number + 1).end
                break

    def will_run(
        self, job: Job, partition: Partition, allowed: int, now: float, *, only_now: bool
    ) -> tuple[float, list[Share]] | None:
        """Return when and where a job could start if what runs ran as long as its limit, without any plans."""
        second = float(floor(now))
        if shares := self.choice.choose(job, allowed, self.free, by_weight=False):
            return second, shares
        under = self.suspendable(job, partition)
        future = self.free.without_cores_of(under)
        victims = self.preemptable(job)
        for victim in victims:
            future.take(victim, victim.shares, -1)
        if (victims or under) and (shares := self.choice.choose(job, allowed, future, by_weight=False)):
            return second, shares
        if only_now:
            return None
        ends = [one for one in self.accounting.running() if one not in victims and one not in under]
        ends.sort(key=lambda one: (one.ends_by, one.row))
        if self.choice.gives_nodes:
            return self._one_by_one(job, allowed, future, ends, second)
        return self._in_groups(job, allowed, future, ends, second)

    def _one_by_one(
        self, job: Job, allowed: int, future: Free, ends: list[Job], second: float
    ) -> tuple[float, list[Share]] | None:
        for one in ends:
            future.take(one, one.shares, -1)
            if not one.nodes & allowed:
                continue
            if shares := self.choice.choose(job, allowed, future, by_weight=False):
                return (one.ends_by if one.ends_by > second else second + 1), shares
        return None

    def _in_groups(
        self, job: Job, allowed: int, future: Free, ends: list[Job], second: float
    ) -> tuple[float, list[Share]] | None:
        """Let what ends within a window end together; the window doubles after every test."""
        window, barrier, place = 30, 0.0, 0
        while place < len(ends):
            last: Job | None = None
            while place < len(ends):
                one = ends[place]
                place += 1
                if one.nodes & allowed:
                    if not barrier:
                        barrier = one.ends_by + 30 - (one.ends_by + self.epoch) % 30
                    last = one
                    future.take(one, one.shares, -1)
                    if place < len(ends) and ends[place].ends_by > barrier + window:
                        break
            if last is None:
                return None
            window *= 2
            while place < len(ends) and ends[place].ends_by > barrier + window:
                window *= 2
            if shares := self.choice.choose(job, allowed, future, by_weight=False):
                if last.ends_by > second:
                    return last.ends_by, shares
                return max(last.ends_by + self.site.scheduling.kill_wait_time, second + 1), shares
        return None
