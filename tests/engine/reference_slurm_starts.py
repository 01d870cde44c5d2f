"""The queue and the start of jobs in a slow simulator of Slurm: passes of the main loop, and who gives way."""

from dataclasses import dataclass
from math import floor, inf

from scheduler_sim.engine.sites import Partition, Reservation, Site
from scheduler_sim.engine.workloads.workload import Workload
from tests.engine.gang_cases import Span
from tests.engine.reference_slurm_jobs import PENDING, RUNNING, YEAR, Free, Job, Machine, Share, jobs_of
from tests.engine.reference_slurm_limits import Accounting
from tests.engine.reference_slurm_nodes import Choice

RELEASE_TIME = 0.1
"""Seconds between telling a running job to stop and having its resources back."""


@dataclass
class Reserved:
    """One time of a reservation, and its nodes as bits."""

    begin: float
    end: float
    of: Reservation
    nodes: int


class Starts:
    """What waits, what runs, and how a job comes to run."""

    def __init__(self, workload: Workload, site: Site, *, epoch: float = 0.0) -> None:
        self.site = site
        self.epoch = epoch
        self.machine = Machine(site)
        self.jobs = jobs_of(workload, site, self.machine)
        self.gangs: list[Span] = []
        self.accounting = Accounting(site, self.machine, self.jobs)
        self.choice = Choice(self.machine)
        self.free = Free(list(self.machine.cores), list(self.machine.memory), list(self.machine.gpus))
        self.preempting: set[Job] = set()
        self.has_changed = True
        self.away = [0] * self.machine.count
        self.up = self.machine.all
        self.stopping: list[tuple[float, Job, str]] = []
        self.starts = 0
        last = max((job.submit for job in self.jobs), default=0.0)
        self.spans: dict[str, list[Reserved]] = {}
        for one in site.reservations:
            nodes = sum(1 << node for node in site.numbers(one.hosts))
            for begin, end in one.spans(last + YEAR):
                self.spans.setdefault(one.called or one.name, []).append(Reserved(begin, end, one, nodes))
        self.reserve(-inf)

    def reserve(self, now: float) -> None:
        """Let each reservation be what it is now, or will be next."""
        self.reserved = {
            name: next((one for one in sorted(spans, key=lambda one: one.begin) if one.end > now), spans[-1])
            for name, spans in self.spans.items()
        }

    def queue_order(self) -> list[tuple[Job, Partition]]:
        """Return what waits with each of its partitions, in the order in which it is considered."""
        waiting = [(job, partition) for job in self.jobs if job.state == PENDING for partition in job.partitions]
        waiting.sort(
            key=lambda pair: (
                not self.preempts_any(pair[0]),
                -pair[1].tier,
                -pair[0].priority[pair[1].name],
                floor(pair[0].submit),
                pair[0].row,
            )
        )
        return waiting

    def preempts_any(self, job: Job) -> bool:
        """Tell whether a job's QOS makes others give way: those are considered before all that they may displace."""
        if self.site.preemption.kind != "qos":
            return False
        qos = self.accounting.qos.get(job.qos)
        return qos is not None and bool(qos.preempts)

    def limit_of(self, job: Job, partition: Partition) -> float:
        longest = partition.max_time
        return job.limit if longest is None else min(job.limit, longest)

    def is_throttled(self, job: Job) -> bool:
        if not job.array_limit:
            return False
        return sum(one.array == job.array for one in self.accounting.running()) >= job.array_limit

    def unreserved(self, begin: float, limit: float, partition: Partition, job: Job) -> tuple[int, float, bool]:
        """Return the nodes that others have not reserved from `begin` on, the begin itself, and whether some are.

        Where maintenance takes all nodes of the partition the begin moves behind it. A job in a reservation has no
        others than those of it, and none where it would not lie within.
        """
        mine = self.machine.nodes_of[partition.name]
        for _ in range(10):
            allowed, overlaps, moved = self.machine.all, False, False
            for name, one in self.reserved.items():
                if name == job.reservation:
                    allowed &= one.nodes if begin >= one.begin and begin + limit <= one.end else 0
                    continue
                if one.begin >= begin + limit or one.end <= begin:
                    continue
                if "MAINT" in one.of.flags and not mine & ~one.nodes:
                    begin, moved = one.end, True
                    break
                allowed &= ~one.nodes
                overlaps |= bool(one.nodes & mine)
            if not moved:
                return allowed, begin, overlaps
        return 0, begin, True

    def main_pass(self, now: float, *, is_full: bool) -> None:
        """Start what can start in the queue's order; a job that cannot leaves its partition's nodes to nobody."""
        available = self.up
        failed: set[str] = set()
        rejected: set[tuple[int, str]] = set()
        depth = 0
        for job, partition in self.queue_order():
            if job.state == RUNNING or job in self.preempting:
                continue
            job.tried_in = partition
            if job.array:
                if (job.array, partition.name) in rejected:
                    continue
                rejected.add((job.array, partition.name))
                if self.is_throttled(job):
                    job.reason = "JobArrayTaskLimit"
                    continue
            if not is_full and depth > self.site.scheduling.main_depth:
                break
            depth += 1
            if partition.name in failed:
                if job.reason in {"", "Resources"}:
                    job.reason = "Priority"
                self.has_changed = True
                continue
            if reason := self.accounting.blocked_by_count(job, partition):
                job.reason = reason
                continue
            mine = self.machine.nodes_of[partition.name]
            if (available & mine).bit_count() < job.least_nodes:
                job.reason = "Resources"
                outcome = "busy"
            else:
                outcome = self.try_start(job, partition, available & mine, now, "main")
            if outcome == "started":
                rejected.discard((job.array, partition.name))
            if outcome == "busy":
                failed.add(partition.name)
                available &= ~mine

    def try_start(self, job: Job, partition: Partition, allowed: int, now: float, by: str) -> str:
        """Start a job on `allowed` nodes if it can.

        Returns `started`; `limited` where a limit stops it; `never` where these nodes could not hold it even if they
        were empty; `busy` where it has to wait for them, or for jobs that it has told to give way.
        """
        limit = self.limit_of(job, partition)
        unreserved, begin, overlaps = self.unreserved(floor(now), limit, partition, job)
        if begin > floor(now):
            job.reason = "ReqNodeNotAvail"
            return "never"
        own = self.reserved.get(job.reservation)
        if own is not None and (begin < own.begin or begin + limit > own.end):
            job.reason = "Reservation"
            return "never"
        allowed &= unreserved
        victims: list[Job] = []
        shares = self.choice.choose(job, allowed, self.free, by_weight=True)
        if shares is None:
            shares = self.choose_over(job, partition, allowed)
        if shares is None:
            shares, victims = self.choose_by_preemption(job, partition, allowed)
        cores = sum(amount for _, amount in shares) if shares else job.cores
        nodes = len(shares) if shares else job.least_nodes
        if reason := self.accounting.blocked_by_amount(job, partition, cores, nodes):
            job.reason = reason
            return "limited"
        if shares is not None and victims:
            if now - job.preempted_for > self.site.scheduling.kill_wait_time + 30:
                job.preempted_for = floor(now)
                self.preempting.add(job)
                for victim in victims:
                    self.ask_to_go(victim, now)
            shares = None
        if shares is None:
            if not self.choice.could_ever(job, allowed):
                job.reason = "Reservation" if overlaps else "ReqNodeNotAvail"
                return "never"
            job.reason = "Resources"
            return "busy"
        self.start(job, partition, shares, now, by)
        return "started"

    def start(self, job: Job, partition: Partition, shares: list[Share], now: float, by: str) -> None:
        job.state, job.start, job.started_by, job.partition, job.shares = RUNNING, now, by, partition, shares
        job.nodes = sum(1 << node for node, _ in shares)
        job.first_start = min(job.first_start, now) if job.first_start == job.first_start else now
        job.ends_by = floor(now) + self.limit_of(job, partition)
        job.charged_to = floor(now)
        job.reason = ""
        job.is_paused = job.is_graced = False
        job.left, job.ran, job.number = job.runtime, 0.0, self.starts
        self.starts += 1
        job.preempted_for = -inf
        self.free.take(job, shares)
        self.accounting.use.begin(job, self.limit_of(job, partition))
        self.accounting.active[job.row] = job
        self.has_changed = True

    def preempt_mode(self, job: Job) -> str:
        """Return what happens to a job that must give way; `off` where nobody may displace any."""
        if self.site.preemption.kind == "none":
            return "off"
        mode = None
        if self.site.preemption.kind == "qos":
            qos = self.accounting.qos.get(job.qos)
            mode = qos.preempt_mode if qos else None
        elif job.partition is not None:
            mode = job.partition.preempt_mode
        return mode or self.site.preemption.mode

    def preemptable(self, job: Job) -> list[Job]:
        """Return what runs and must give way to a job, in the order in which it is asked to."""
        kind = self.site.preemption.kind
        if kind == "none":
            return []
        mine = 0
        for partition in job.partitions:
            mine |= self.machine.nodes_of[partition.name]
        found = []
        for one in self.accounting.running():
            other = self.accounting.qos.get(one.qos)
            if kind == "qos":
                qos = self.accounting.qos.get(job.qos)
                gives_way = qos is not None and one.qos in qos.preempts
            else:
                gives_way = one.partition is not None and one.partition.tier < max(p.tier for p in job.partitions)
            exempt = other.exempt_time if other and other.exempt_time is not None else self.site.preemption.exempt_time
            is_exempt = self.now < one.start + exempt
            is_exempt |= one.is_paused
            if gives_way and not is_exempt and self.preempt_mode(one) in {"requeue", "cancel"} and one.nodes & mine:
                found.append(one)
        if self.site.scheduling.preempts_youngest_first:
            found.sort(key=lambda one: (-floor(one.start), one.row))
        else:
            found.sort(key=lambda one: (self._rank(one), len(one.shares), one.row))
        return [one for one in found if not any(one is other for _, other, _ in self.stopping)]

    now = 0.0

    def suspendable(self, job: Job, partition: Partition) -> list[Job]:
        """Return what runs or is suspended already and has no use of its cores once a job of a partition needs them."""
        found: list[Job] = []
        if self.site.preemption.kind == "none" or partition.exclusive:
            return found
        qos = self.accounting.qos.get(job.qos)
        for one in self.accounting.running():
            assert one.partition is not None
            gives_way = one.partition.tier < partition.tier
            if self.site.preemption.kind == "qos":
                gives_way = qos is not None and one.qos in qos.preempts
            if gives_way and not one.partition.exclusive and self.preempt_mode(one) == "suspend":
                found.append(one)
        return [one for one in found if not any(one is other for _, other, _ in self.stopping)]

    def choose_over(self, job: Job, partition: Partition, allowed: int) -> list[Share] | None:
        """Return the nodes that a job has if others are suspended; those of the highest tiers are spared first."""
        under = self.suspendable(job, partition)
        if not under:
            return None
        shares = self.choice.choose(job, allowed, self.free.without_cores_of(under), by_weight=True)
        if shares is None or self.site.preemption.kind == "qos":
            return shares
        for other in sorted(self.site.partitions, key=lambda one: -one.tier):
            left = [one for one in under if one.partition is not other]
            if len(left) == len(under):
                continue
            fewer = self.choice.choose(job, allowed, self.free.without_cores_of(left), by_weight=True)
            if fewer is None:
                break
            shares, under = fewer, left
        return shares

    def ask_to_go(self, job: Job, now: float) -> None:
        """Stop a job, or let it go on for its grace time, at whose end it is stopped when it is asked again."""
        if job.is_graced:
            if floor(now) >= job.ends_by:
                self.tell_to_stop(job, now, "preempted")
            return
        assert job.partition is not None
        grace = job.partition.grace_time
        if self.site.preemption.kind == "qos":
            grace = self.accounting.qos[job.qos].grace_time
        if not grace:
            self.tell_to_stop(job, now, "preempted")
            return
        job.is_graced = True
        job.ends_by = min(job.ends_by, floor(now) + grace)
        self.has_changed = True

    def _rank(self, job: Job) -> int:
        if self.site.preemption.kind == "qos":
            qos = self.accounting.qos.get(job.qos)
            return qos.priority if qos else 0
        return job.partition.tier if job.partition else 0

    def choose_by_preemption(
        self, job: Job, partition: Partition, allowed: int
    ) -> tuple[list[Share] | None, list[Job]]:
        """Return the nodes that a job would have if others gave way, and who they are.

        They are taken away one by one until it fits. Then the last one is moved to the front, the others by how many of
        the chosen nodes they have, and all is tried again, twice.
        """
        order = self.preemptable(job)
        total = len(order)
        for attempt in range(3):
            future = self.free.without_cores_of(self.suspendable(job, partition))
            shares = None
            taken = 0
            for one in order:
                future.take(one, one.shares, -1)
                taken += 1
                shares = self.choice.choose(job, allowed, future, by_weight=False)
                if shares is not None:
                    break
            if shares is None:
                return None, []
            nodes = sum(1 << node for node, _ in shares)
            if attempt == 2 or total <= attempt + 1:
                return shares, [one for one in order[:taken] if one.nodes & nodes]
            last, before, after = order[taken - 1], order[: taken - 1], order[taken:]
            before.sort(key=lambda one: -(one.nodes & nodes).bit_count())
            useful = [one for one in before if one.nodes & nodes]
            order = [last, *useful, *[one for one in before if not one.nodes & nodes], *after]
        raise AssertionError("The third attempt returns.")

    def tell_to_stop(self, job: Job, now: float, why: str) -> None:
        if not any(one is job for _, one, _ in self.stopping):
            self.stopping.append((now + RELEASE_TIME, job, why))
