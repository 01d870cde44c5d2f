"""Priorities and limits in a slow simulator of Slurm, counted anew from what runs at every question."""

from collections.abc import Callable
from math import floor

import numpy as np

from scheduler_sim.engine.sites import Account, Limits, Partition, Qos, ShareTree, Site, classic, fair_tree
from tests.engine.reference_slurm_jobs import Job, Machine
from tests.engine.reference_slurm_use import Binding, Use

_COUNTED = {"cpu": "Cpu", "node": "Node", "mem": "Memory", "gres/gpu": "GRES"}


class Accounting:
    """Who may have how much, and what each has used."""

    def __init__(self, site: Site, machine: Machine, jobs: list[Job]) -> None:
        self.site = site
        self.machine = machine
        self.jobs = jobs
        self.qos = {one.name: one for one in site.qos}
        self.holds_limits = bool({"limits", "safe"} & set(site.enforces))
        self.tree = ShareTree.of(site.accounts)
        self.entry = {name: number for number, name in enumerate(self.tree.names)}
        self.usage = np.zeros(len(self.tree.names))
        self.factors = np.zeros(len(self.tree.names))
        half = site.priority.decay_half_life_time
        self.decay = 1 - 0.693 / half if half else 1.0
        self.calculated = -np.inf
        self.active: dict[int, Job] = {}
        self.chains = [self._chain(job) for job in jobs]
        self.use = Use(site, self._bindings, lambda job: self._amounts(job, job.holds(), len(job.shares)))
        if self.tree.is_user.any():
            self._rank()

    def _rank(self) -> None:
        if self.site.priority.fair_share == "classic":
            self.factors = classic(self.tree, self.usage, damping=self.site.priority.damping)
        else:
            self.factors = fair_tree(self.tree, self.usage)

    def prioritise(self, job: Job, now: float) -> None:
        """Set a job's priority in each of its partitions: whole numbers, at least 1."""
        rules = self.site.priority
        if rules.kind == "basic":
            job.priority = dict.fromkeys((one.name for one in job.partitions), -job.row)
            return
        waited = max(floor(now) - floor(job.eligible), 0)
        age = min(waited / rules.max_age_time, 1.0) if rules.max_age_time else 1.0
        entry = self.entry.get((job.account, job.user))
        share = float(self.factors[entry]) if entry is not None else 0.0
        cores, nodes = self.site.cluster.cores, self.machine.count
        least = job.least_nodes
        if rules.favor_small:
            size = ((nodes - least) / nodes + (cores - job.cores) / cores) / 2
        else:
            size = (least / nodes + job.cores / cores) / 2
        size = min(max(size, 0.0), 1.0)
        largest_qos = max((one.priority for one in self.site.qos), default=0)
        qos = self.qos.get(job.qos)
        rank = qos.priority / largest_qos if qos and largest_qos else 0.0
        largest = max((one.priority for one in self.site.partitions), default=0)
        for partition in job.partitions:
            part = partition.priority / largest if largest else 0.0
            value = (
                rules.age_weight * age
                + rules.fair_share_weight * share
                + rules.job_size_weight * size
                + rules.partition_weight * part
                + rules.qos_weight * rank
                - job.nice
            )
            job.priority[partition.name] = int(max(value, 1))

    def charge(self, job: Job, now: float) -> None:
        """Add what a running job has used since it was last charged, as decayed as Slurm does."""
        if job.is_paused:
            return
        seconds = max(floor(now) - job.charged_to, 0)
        job.charged_to = floor(now)
        self.use.charge(job, seconds)
        qos = self.qos.get(job.qos)
        factor = qos.usage_factor if qos else 1.0
        entry = self.entry.get((job.account, job.user))
        if entry is not None:
            self.usage[entry] += job.holds() * seconds * self.decay**seconds * factor

    def calculate(self, now: float) -> None:
        """Let usage decay, charge what runs, rank the users and set all priorities anew."""
        if self.calculated > -np.inf:
            self.usage *= self.decay ** (floor(now) - self.calculated)
            self.use.forget(floor(now) - self.calculated)
        for job in self.running():
            self.charge(job, now)
        self.calculated = floor(now)
        self._rank()

    def refused(self, job: Job) -> str:
        """Return why as many jobs have come and not ended as may, so that one that comes is refused, or nothing."""
        if not self.holds_limits:
            return ""
        there = [one for one in self.jobs if one.is_submitted]
        reasons = (
            *("QOSGrpSubmitJobsLimit", "MaxSubmitJobsPerAccount", "QOSMaxSubmitJobPerUserLimit"),
            *("AssocGrpSubmitJobsLimit", "AssocMaxSubmitJobLimit"),
        )
        return self._over_count(
            job,
            job.partitions[0],
            "submitted",
            there,
            lambda one, qos: any(of is qos for of in self._qos_of(one, one.partitions[0])),
            reasons,
        )

    def _over_count(
        self,
        job: Job,
        partition: Partition,
        what: str,
        those: list[Job],
        is_under: Callable[[Job, Qos], bool],
        reasons: tuple[str, ...],
    ) -> str:
        """Return why as many jobs as may are `those`, or an empty text.

        Args:
            is_under: whether a QOS binds one of them.
            reasons: that a QOS binds all, those of an account and of a user, that an account does, and a user in it.
        """
        stated: set[str] = set()
        for qos in self._qos_of(job, partition):
            for who, reason in zip(("all", "account", "user"), reasons[:3], strict=True):
                kind = f"{who}_{what}"
                limit = getattr(qos.limits, kind)
                if limit is None or kind in stated:
                    continue
                stated.add(kind)
                mine = [one for one in those if is_under(one, qos)]
                if who != "all":
                    mine = [one for one in mine if getattr(one, who) == getattr(job, who)]
                if len(mine) >= limit:
                    return reason
        own = sum((one.account, one.user) == (job.account, job.user) for one in those)
        for level, entry in enumerate(self.chains[job.row]):
            limit = getattr(entry.limits, f"all_{what}")
            if limit is not None and f"all_{what}" not in stated:
                belonging = sum(self._belongs(one, entry) for one in those)
                if belonging >= limit:
                    return reasons[3]
            if level == 0 and self._is_own_full(job, own, what, stated):
                return reasons[4]
        return ""

    def _is_own_full(self, job: Job, own: int, what: str, stated: set[str]) -> bool:
        """Tell whether a user has as many jobs in an account as the nearest limit allows that no QOS stands for."""
        if {f"user_{what}", f"account_{what}"} & stated:
            return False
        limits = [getattr(entry.limits, f"user_{what}") for entry in self.chains[job.row]]
        limit = next((one for one in limits if one is not None), None)
        return limit is not None and own >= limit

    def running(self) -> list[Job]:
        return [self.active[row] for row in sorted(self.active)]

    def _bindings(self, job: Job, partition: Partition | None = None) -> list[Binding]:
        """Return what binds a job that runs, or would in a partition, in the order of the check."""
        place = partition or job.partition or job.partitions[0]
        found: list[Binding] = [(("qos", one.name), one.limits) for one in self._qos_of(job, place)]
        return found + [(("account", one.name, one.user), one.limits) for one in self.chains[job.row]]

    def blocked_by_count(self, job: Job, partition: Partition) -> str:
        """Return why as many jobs as may run already do, or an empty text."""
        if not self.holds_limits:
            return ""
        reasons = (
            *("QOSGrpJobsLimit", "MaxJobsPerAccount", "QOSMaxJobsPerUserLimit"),
            *("AssocGrpJobsLimit", "AssocMaxJobsLimit"),
        )
        if reason := self._over_count(job, partition, "jobs", self.running(), self._is_under, reasons):
            return reason
        return self.use.blocked_by_wall(job, self._bindings(job, partition), self._limit_in(job, partition))

    def blocked_by_amount(self, job: Job, partition: Partition, cores: int, nodes: int) -> str:
        """Return why a job that gets so much exceeds a limit, or an empty text."""
        if not self.holds_limits:
            return ""
        running = self.running()
        asks = self._amounts(job, cores, nodes)
        # What the QOS of the partition limits, that of the job does not; and what either limits, no account does.
        stated: set[tuple[str, str]] = set()

        def exceeded(kind: str, limits: Limits, jobs: list[Job]) -> str:
            limit = {key: most for key, most in getattr(limits, kind).items() if (kind, key) not in stated}
            stated.update((kind, key) for key in limit)
            return self._exceeded(limit, asks, jobs)

        for qos in self._qos_of(job, partition):
            mine = [one for one in running if self._is_under(one, qos)]
            for prefix, suffix, kind, jobs in (
                ("QOSGrp", "Limit", "all_resources", mine),
                ("QOSMax", "PerJobLimit", "job_resources", []),
                ("Max", "PerAccount", "account_resources", [one for one in mine if one.account == job.account]),
                ("QOSMax", "PerUserLimit", "user_resources", [one for one in mine if one.user == job.user]),
            ):
                if name := exceeded(kind, qos.limits, jobs):
                    return f"{prefix}{name}{suffix}"
        of_qos = set(stated)
        for entry in self.chains[job.row]:
            if entry.limits.all_resources:
                mine = [one for one in running if self._belongs(one, entry)]
                stated -= {pair for pair in stated if pair[0] == "all_resources"} - of_qos
                if name := exceeded("all_resources", entry.limits, mine):
                    return f"AssocGrp{name}Limit"
            # A user has the nearest of what is said for one job.
            if name := exceeded("job_resources", entry.limits, []):
                return f"AssocMax{name}PerJobLimit"
        limit = self._limit_in(job, partition)
        return self.use.blocked(job, self._bindings(job, partition), running, asks, limit)

    def _limit_in(self, job: Job, partition: Partition) -> float:
        return job.limit if partition.max_time is None else min(job.limit, partition.max_time)

    def _exceeded(self, limit: dict[str, float], asks: dict[str, float], jobs: list[Job]) -> str:
        for resource, name in _COUNTED.items():
            if resource not in limit:
                continue
            used = sum(self._amounts(one, one.holds(), len(one.shares))[resource] for one in jobs)
            if asks[resource] + used > limit[resource]:
                return name
        return ""

    def _amounts(self, job: Job, cores: int, nodes: int) -> dict[str, float]:
        memory = job.memory_per_node * nodes or job.memory_per_core * cores
        return {"cpu": cores, "node": nodes, "mem": memory, "gres/gpu": job.gpus_per_node * nodes}

    def _qos_of(self, job: Job, partition: Partition) -> list[Qos]:
        names = [partition.qos] if partition.qos in self.qos else []
        names += [job.qos] if job.qos in self.qos and job.qos not in names else []
        return [self.qos[name] for name in names]

    def _is_under(self, job: Job, qos: Qos) -> bool:
        return job.qos == qos.name or (job.partition is not None and job.partition.qos == qos.name)

    def _chain(self, job: Job) -> list[Account]:
        """Return the user's entry and the accounts above it."""
        by_name = {(one.name, one.user): one for one in self.site.accounts if not one.partition}
        chain = []
        entry = by_name.get((job.account, job.user)) or by_name.get((job.account, ""))
        while entry is not None:
            chain.append(entry)
            entry = by_name.get((entry.name if entry.user else entry.parent, ""))
        return chain

    def _belongs(self, job: Job, entry: Account) -> bool:
        return any(entry is one for one in self.chains[job.row])
