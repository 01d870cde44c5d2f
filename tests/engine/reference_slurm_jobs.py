"""Jobs as a slow simulator of Slurm sees them, and the machine's amounts on each node."""

from collections import Counter
from dataclasses import dataclass, field
from math import ceil, inf, isnan, nan
from typing import Any

from scheduler_sim.engine.sites import Partition, Site
from scheduler_sim.engine.workloads.workload import Workload

AWAITED, PENDING, RUNNING, DONE = "awaited", "pending", "running", "done"
YEAR = 365 * 86_400

Share = tuple[int, int]
"""A node and the cores that a job has on it."""


@dataclass(eq=False)
class Job:
    """What one job asks for, and what has become of it; times are NaN as long as there is nothing to say.

    Attributes:
        tasks, cores_per_task, tasks_per_node, least_nodes, most_nodes: of what it asks for.
        wanted_nodes: the most that it says, which it is given where they are free.
        memory_per_core, memory_per_node: MB; 0 for none.
        candidates: nodes that have its features and its kind of GPU, as bits. suitable: those that have its features,
            and cores and memory enough for one task, whatever GPUs they have.
        limit: whole minutes, in seconds; by partition it may be less.
        submit: the second from which the queue counts it; a requeue sets it anew.
        priority: by partition.
        ends_by: the second at which its limit ends. kill_time: when it was told to stop.
        is_paused: suspended. left, ran: seconds that it is still to run, and those that its limit counts already.
        tried_in: the partition for whose nodes it is tried.
        nodes: those that it has while it runs, as bits.
        ahead: seconds of its limit for which no use has been counted yet.
        is_graced: told to give way, but not yet stopped. number: of its start, among all.
    """

    row: int
    submit: float
    runtime: float
    partitions: tuple[Partition, ...]
    account: str
    user: str
    qos: str
    tasks: int
    cores_per_task: int
    tasks_per_node: int
    least_nodes: int
    most_nodes: int
    wanted_nodes: int
    gpus_per_node: int
    memory_per_core: float
    memory_per_node: float
    exclusive: bool
    candidates: int
    suitable: int
    limit: float
    not_before: float
    cancel_time: float
    nice: int
    array: int
    array_limit: int
    needs_success: bool
    fails: bool
    requeueable: bool
    parents: set[int]
    reservation: str = ""
    state: str = AWAITED
    outcome: str = ""
    reason: str = ""
    priority: dict[str, int] = field(default_factory=dict)
    eligible: float = nan
    ready_at: float = nan
    start: float = nan
    first_start: float = nan
    end: float = nan
    ends_by: float = inf
    charged_to: float = nan
    preempted_for: float = -inf
    shares: list[Share] = field(default_factory=list)
    nodes: int = 0
    partition: Partition | None = None
    tried_in: Partition | None = None
    started_by: str = ""
    is_paused: bool = False
    is_graced: bool = False
    is_submitted: bool = False
    ahead: float = 0.0
    left: float = 0.0
    ran: float = 0.0
    number: int = 0
    attempts: list[tuple[float, float]] = field(default_factory=list)

    @property
    def cores(self) -> int:
        """Cores that it asks for."""
        return self.tasks * self.cores_per_task

    def holds(self) -> int:
        """Cores that it has while it runs."""
        return sum(cores for _, cores in self.shares)


class Machine:
    """Nodes with what is free on them; every choice looks at all of them."""

    def __init__(self, site: Site) -> None:
        self.site = site
        groups = [site.cluster.groups[g] for g in site.cluster.group_of_nodes().tolist()]
        extras = [site.nodes[g] for g in site.cluster.group_of_nodes().tolist()]
        self.count = len(groups)
        self.cores = [group.cores for group in groups]
        self.gpus = [group.gpus for group in groups]
        self.gpu_type = [group.gpu_type for group in groups]
        has_memory = site.is_memory_shared_out
        self.memory = [group.memory_mb if has_memory and group.memory_mb is not None else inf for group in groups]
        self.features = [set(extra.features) for extra in extras]
        self.weight = [extra.weight for extra in extras]
        self.all = (1 << self.count) - 1
        self.nodes_of = {one.name: sum(1 << node for node in site.numbers(one.hosts)) for one in site.partitions}


@dataclass
class Free:
    """What is free of each node, and the cores of it that the jobs of each partition have the use of."""

    cores: list[int]
    memory: list[float]
    gpus: list[int]
    used: Counter[tuple[str, int]] = field(default_factory=Counter)

    def copy(self) -> "Free":
        return Free(list(self.cores), list(self.memory), list(self.gpus), Counter(self.used))

    def take(self, job: Job, shares: list[Share], sign: int = 1) -> None:
        """Take what a job has of its nodes; with sign -1 give it back."""
        for node, cores in shares:
            self.cores[node] -= sign * cores
            self._count(job, node, sign * cores)
            self.memory[node] -= sign * (job.memory_per_node or job.memory_per_core * cores)
            self.gpus[node] -= sign * job.gpus_per_node

    def without_cores_of(self, jobs: "list[Job]") -> "Free":
        """Return what would be free if some jobs had no use of their cores, and all else that they have."""
        found = self.copy()
        for job in jobs:
            for node, cores in job.shares:
                found.cores[node] += cores
                found._count(job, node, -cores)
        return found

    def _count(self, job: Job, node: int, cores: int) -> None:
        assert job.partition is not None
        self.used[job.partition.name, node] += cores


def jobs_of(workload: Workload, site: Site, machine: Machine) -> list[Job]:
    """Return the jobs of a workload, by row; a workload without requests asks for cores, GPUs and memory only."""
    return [_job(workload, row, site, machine) for row in range(len(workload))]


def _job(w: Workload, row: int, site: Site, machine: Machine) -> Job:
    def asked(name: str, default: Any) -> Any:
        if w.requests is None:
            return default
        column = getattr(w.requests, name)
        if hasattr(column, "names"):
            return column.names[column.codes[row]]
        return column[row].item()

    by_name = {one.name: one for one in site.partitions}
    default = next((one for one in site.partitions if one.is_default), site.partitions[0])
    names = asked("partitions", "") or w.queue.names[w.queue.codes[row]]
    partitions = tuple(by_name[name] for name in names.split(",") if name in by_name) or (default,)
    first = partitions[0]
    nodes, most = asked("nodes", 0), asked("most_nodes", 0)
    per_task = max(asked("cores_per_task", 0), 1)
    per_node = asked("tasks_per_node", 0)
    cores = max(ceil(float(w.cpus[row])), 1)
    tasks = asked("tasks", 0) or per_node * nodes or max(nodes, ceil(cores / per_task))
    least = max(nodes, ceil(tasks / per_node) if per_node else 1, 1)
    wanted = max(most, least)
    most = most or (least if nodes else machine.count)
    if not nodes:
        most = max(min(most, tasks), least)
    gpus = ceil(asked("gpus_per_node", 0.0) or float(w.gpus[row]) / least)
    per_core, whole = asked("memory_mb_per_core", nan), asked("memory_mb_per_node", nan)
    if isnan(per_core) and isnan(whole):
        whole = float(w.memory_mb[row]) / least or nan
    if isnan(per_core) and isnan(whole):
        per_core = first.default_memory_mb_per_core or site.default_memory_mb_per_core or nan
        whole = first.default_memory_mb_per_node or site.default_memory_mb_per_node or nan
    exclusive = asked("exclusive", False) or any(one.exclusive for one in partitions)
    limit = float(w.duration_estimate[row]) if w.estimate_known[row] else 0.0
    if not w.estimate_known[row]:
        limit = first.default_time if first.default_time is not None else first.max_time or YEAR
    kinds = set(w.gpu_type.names[w.gpu_type.codes[row]].split("|")) - {""}
    candidates, suitable = _candidates(machine, asked("features", ""), gpus, kinds)
    for node in range(machine.count):
        fits = machine.cores[node] >= per_task * max(per_node, 1)
        fits = fits and not machine.memory[node] < max(
            0.0 if isnan(per_core) else per_core, 0.0 if isnan(whole) else whole
        )
        if not fits:
            suitable &= ~(1 << node)
    account, user = w.group.names[w.group.codes[row]], w.user.names[w.user.codes[row]]
    lower, upper = w.parents.offsets[row], w.parents.offsets[row + 1]
    return Job(
        row=row,
        submit=float(w.arrival_time[row]),
        runtime=float(w.runtime[row]),
        partitions=partitions,
        account=account,
        user=user,
        qos=asked("qos", "") or _default_qos(site, account, user),
        tasks=tasks,
        cores_per_task=per_task,
        tasks_per_node=per_node,
        least_nodes=least,
        most_nodes=most,
        wanted_nodes=wanted,
        gpus_per_node=gpus,
        memory_per_core=0.0 if isnan(per_core) or not site.is_memory_shared_out else per_core,
        memory_per_node=0.0 if isnan(whole) or not site.is_memory_shared_out else whole,
        exclusive=exclusive or site.placement == "nodes",
        candidates=candidates,
        suitable=suitable,
        limit=60.0 * max(ceil(limit / 60), 1),
        not_before=asked("eligible_time", nan),
        cancel_time=asked("cancel_time", nan),
        nice=asked("nice", 0),
        array=asked("array", 0),
        array_limit=asked("array_limit", 0),
        needs_success=asked("needs_success", False),
        fails=asked("fails", False),
        requeueable=asked("requeueable", True) and site.scheduling.requeues_jobs,
        parents=set(w.parents.rows[lower:upper].tolist()),
        reservation=asked("reservation", ""),
    )


def _default_qos(site: Site, account: str, user: str) -> str:
    """Return what a job without a QOS has: its user's in the account, the account's, that of those above."""
    by_name = {(one.name, one.user): one for one in site.accounts}
    entry = by_name.get((account, user)) or by_name.get((account, ""))
    while entry is not None:
        if entry.default_qos:
            return entry.default_qos
        above = entry.name if entry.user else entry.parent
        entry = by_name.get((above, ""))
    return "normal" if any(one.name == "normal" for one in site.qos) else ""


def _candidates(machine: Machine, features: str, gpus: int, kinds: set[str]) -> tuple[int, int]:
    """Return the nodes that have the features and GPUs, and those that have the features; `a&b` are both, `a|b` any."""
    found = featured = 0
    for node in range(machine.count):
        has = machine.features[node]
        if features and not any(set(words.split("&")) <= has for words in features.split("|")):
            continue
        featured |= 1 << node
        if not gpus or (machine.gpus[node] >= gpus and (not kinds or machine.gpu_type[node] in kinds)):
            found |= 1 << node
    return found, featured
