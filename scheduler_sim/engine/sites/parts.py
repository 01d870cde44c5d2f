"""The parts of a site; the words and meanings are Slurm's, times are seconds and memory is megabytes."""

from collections.abc import Iterator
from itertools import cycle
from math import floor, inf
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Seconds = Annotated[float, Meta(ge=0, extra={"unit": "s"})]
Span = Annotated[float, Meta(ge=60, extra={"unit": "s"})]
Megabytes = Annotated[float, Meta(ge=0, extra={"unit": "MB"})]
Count = Annotated[int, Meta(ge=0)]
Amount = Annotated[float, Meta(ge=0)]
Weight = Annotated[int, Meta(ge=0)]
PreemptMode = Literal["off", "cancel", "requeue", "suspend", "gang"]
Resources = dict[str, Amount]
"""Amounts by resource: cpu, node, mem (MB), gres/gpu, gres/gpu:TYPE ..."""

INACCURACY = 0.001
"""Seconds by which sums and differences of instants may be off."""


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be had at once, by all together or by one job, user or account; None and {} limit nothing.

    Attributes:
        all_resources: of all jobs that run, under what the limits belong to.
        all_jobs: that run.
        all_submitted: that run and wait.
        all_resource_seconds: resources x seconds that all jobs may have used, decayed as usage is.
        all_running_resource_seconds: resources x what is left of the time limits of what runs.
        all_time: seconds that all jobs may have run.
        job_resources: of one job.
        job_node_resources: of one job on one node.
        job_resource_seconds: resources x time limit of one job.
        job_time: time limit of one job.
        job_least_resources: what one job must ask for.
        user_resources: of the jobs of one user that run.
        user_jobs: of one user that run.
        user_submitted: of one user that run and wait.
        account_resources: of the jobs of one account that run.
        account_jobs: of one account that run.
        account_submitted: of one account that run and wait.
    """

    all_resources: Resources = {}
    all_jobs: Count | None = None
    all_submitted: Count | None = None
    all_resource_seconds: Resources = {}
    all_running_resource_seconds: Resources = {}
    all_time: Seconds | None = None
    job_resources: Resources = {}
    job_node_resources: Resources = {}
    job_resource_seconds: Resources = {}
    job_time: Seconds | None = None
    job_least_resources: Resources = {}
    user_resources: Resources = {}
    user_jobs: Count | None = None
    user_submitted: Count | None = None
    account_resources: Resources = {}
    account_jobs: Count | None = None
    account_submitted: Count | None = None


class Nodes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a site knows of a node group beside what a cluster knows.

    Attributes:
        hosts: the names of its nodes, as a host list.
        features: what a job may ask for by name.
        weight: nodes of the least weight are given first.
        gres: generic resources of one node beside its GPUs, by name.
    """

    hosts: str
    features: tuple[str, ...] = ()
    weight: Weight = 1
    gres: Resources = {}


class Partition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A set of nodes with rules of its own.

    Attributes:
        name: what it is called.
        hosts: its nodes as a host list; ALL for every node.
        is_default: where jobs go that name none.
        state: up runs and takes jobs, down takes them, drain runs what it has, inactive does neither.
        tier: partitions of a higher tier are considered first.
        priority: what the partition adds to a job's priority, beside the largest one of the site.
        max_time: the longest time limit of a job.
        default_time: the time limit of a job that states none; max_time where it is not given.
        max_nodes: at most of one job.
        min_nodes: at least of one job.
        max_cores_per_node: cores of one node that jobs of this partition may hold.
        exclusive: a job has its nodes for itself.
        oversubscribe: how many jobs may share one core.
        default_memory_mb_per_core: for a job that asks for none.
        default_memory_mb_per_node: for a job that asks for none.
        max_memory_mb_per_core: at most of one job.
        max_memory_mb_per_node: at most of one job.
        qos: the name of a quality of service whose limits hold for the partition as a whole.
        allowed_accounts: names; all where it is not given.
        denied_accounts: names.
        allowed_qos: names; all where it is not given.
        denied_qos: names.
        preempt_mode: what happens to jobs of this partition that must give way; the site's where it is not given.
        grace_time: seconds between being told to give way and having to.
    """

    name: str
    hosts: str = "ALL"
    is_default: bool = False
    state: Literal["up", "down", "drain", "inactive"] = "up"
    tier: Count = 1
    priority: Count = 1
    max_time: Seconds | None = None
    default_time: Seconds | None = None
    max_nodes: Count | None = None
    min_nodes: Count = 0
    max_cores_per_node: Count | None = None
    exclusive: bool = False
    oversubscribe: Count = 1
    default_memory_mb_per_core: Megabytes | None = None
    default_memory_mb_per_node: Megabytes | None = None
    max_memory_mb_per_core: Megabytes | None = None
    max_memory_mb_per_node: Megabytes | None = None
    qos: str = ""
    allowed_accounts: tuple[str, ...] | None = None
    denied_accounts: tuple[str, ...] = ()
    allowed_qos: tuple[str, ...] | None = None
    denied_qos: tuple[str, ...] = ()
    preempt_mode: PreemptMode | None = None
    grace_time: Seconds = 0.0

    @property
    def unstated_time(self) -> float | None:
        """The time limit in seconds of a job that states none, None where the partition gives it none."""
        return self.max_time if self.default_time is None else self.default_time


class Qos(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A quality of service.

    Attributes:
        name: what it is called.
        priority: what it adds to a job's priority, beside the largest one of the site.
        preempts: names of those whose jobs must give way to its own.
        preempt_mode: what happens to its own jobs that must give way; the site's where it is not given.
        grace_time: seconds between being told to give way and having to.
        exempt_time: seconds of running for which its jobs need not give way; the site's where it is not given.
        usage_factor: how much of what its jobs use counts as usage.
        flags: Slurm's, as DenyOnLimit or NoReserve.
        limits: what its jobs may have.
    """

    name: str
    priority: Count = 0
    preempts: tuple[str, ...] = ()
    preempt_mode: PreemptMode | None = None
    grace_time: Seconds = 0.0
    exempt_time: Seconds | None = None
    usage_factor: Amount = 1.0
    flags: tuple[str, ...] = ()
    limits: Limits = Limits()


class Account(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account, or with `user` what one user has in it (Slurm's association).

    Attributes:
        name: of the account.
        parent: the account above it; empty for the root. Of a user it is not said: it is the account itself.
        user: whose it is; empty for the account itself.
        partition: the one that it is for; empty for all.
        shares: of its siblings' total; "parent" makes it one of its parent's siblings.
        default_qos: the QOS of jobs that name none.
        qos: the names that its jobs may name; the account's above where it is not given.
        limits: what its jobs may have.
    """

    name: str
    parent: str = ""
    user: str = ""
    partition: str = ""
    shares: Count | Literal["parent"] = 1
    default_qos: str = ""
    qos: tuple[str, ...] = ()
    limits: Limits = Limits()


class Reservation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nodes that are kept for some people for a while.

    Attributes:
        name: what it is called.
        start_time: on the workload's clock.
        end_time: on the workload's clock.
        hosts: its nodes as a host list; ALL for every node.
        users: who may use it; `-ann` for all but ann.
        accounts: whose users may use it; `-physics` for all but these.
        partition: whose nodes, and whose jobs; empty for any.
        flags: Slurm's, as MAINT or IGNORE_JOBS.
        repeat_times: seconds from one start to the next, in turn and without end; one of 86,400 is every day.
        called: what jobs name, its name where it is empty; those that are called alike are one that comes again, and
            jobs wait for the next of them.
    """

    name: str
    start_time: float
    end_time: float
    hosts: str = "ALL"
    users: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    partition: str = ""
    flags: tuple[str, ...] = ()
    repeat_times: tuple[Span, ...] = ()
    called: str = ""

    @property
    def asked_as(self) -> str:
        """What jobs name."""
        return self.called or self.name

    def spans(self, until: float, since: float = -inf) -> Iterator[tuple[float, float]]:
        """Yield when it begins and ends, the first time and again while it begins before `until`.

        Args:
            since: turns of `repeat_times` that are over by then are left out, all but the last of them.
        """
        begin, end = self.start_time, self.end_time
        turn = sum(self.repeat_times)
        if turn and since > end:
            over = floor((since - end) / turn) * turn if since < inf else 0.0
            begin, end = begin + over, end + over
        yield begin, end
        for gap in cycle(self.repeat_times):
            begin, end = begin + gap, end + gap
            if begin >= until:
                return
            yield begin, end


class Outage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nodes that are away for a while; those of a group's own outages are the highest numbered ones of it.

    Attributes:
        hosts: which nodes, as a host list; ALL for every node.
        start_time: on the workload's clock.
        end_time: on the workload's clock; they do not come back where it is not given.
        kill: what runs there ends as at a failure; else it finishes.
        reason: why, in somebody's words.
    """

    hosts: str
    start_time: float
    end_time: float | None = None
    kill: bool = False
    reason: str = ""


class Priority(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the priority of a job comes about; factors are from 0 to 1, and each is multiplied by its weight.

    Attributes:
        kind: basic takes jobs in the order of their submission.
        max_age_time: seconds of waiting after which the age factor is 1.
        favor_small: the size factor is larger for smaller jobs.
        decay_half_life_time: seconds after which usage counts half; 0 never forgets.
        calculation_period_time: seconds between two calculations of usage and priorities.
        fair_share: the algorithm; fair_tree ranks users, classic is 2**(-usage / share / damping).
        damping: of classic.
        age_weight: of the time that a job has waited.
        fair_share_weight: of what its user has used beside the shares.
        job_size_weight: of the cores and nodes that it asks for.
        partition_weight: of its partition.
        qos_weight: of its QOS.
        association_weight: of its user's account.
        resource_weights: of each resource that it asks for, beside what its partition has.
        flags: Slurm's, as ACCRUE_ALWAYS.
    """

    kind: Literal["basic", "multifactor"] = "basic"
    age_weight: Weight = 0
    fair_share_weight: Weight = 0
    job_size_weight: Weight = 0
    partition_weight: Weight = 0
    qos_weight: Weight = 0
    association_weight: Weight = 0
    resource_weights: Resources = {}
    max_age_time: Seconds = 7 * 86_400.0
    favor_small: bool = False
    decay_half_life_time: Seconds = 7 * 86_400.0
    calculation_period_time: Seconds = 300.0
    fair_share: Literal["fair_tree", "classic"] = "fair_tree"
    damping: Annotated[float, Meta(gt=0)] = 1.0
    flags: tuple[str, ...] = ()

    @property
    def weighs(self) -> bool:
        """True where some factor that is played has a weight."""
        weights = (
            self.age_weight,
            self.fair_share_weight,
            self.job_size_weight,
            self.partition_weight,
            self.qos_weight,
        )
        return any(weights) or any(self.resource_weights.values())


class Scheduling(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the scheduler looks, at how much, and how far ahead.

    Attributes:
        backfill: whether it plans beyond the first job that cannot start.
        main_interval_time: seconds between two looks of the main loop without an event.
        main_least_interval_time: seconds at least between two looks.
        submission_delay_time: how long a submission may wait for others before it is looked at.
        main_depth: jobs that the main loop looks at after an event.
        backfill_interval_time: seconds between two passes.
        backfill_window_time: seconds that a pass looks ahead.
        backfill_resolution_time: seconds to which the plans of a pass are rounded.
        backfill_depth: jobs that one pass tries.
        backfill_depth_per_user: of one user.
        backfill_depth_per_partition: of one partition.
        backfill_depth_per_account: of one user in one account.
        backfill_starts: jobs that one pass starts.
        backfill_continues: a pass goes on after it has let others work.
        backfill_least_priority_reserved: jobs below this priority start where they can and reserve nothing.
        backfill_longest_time: seconds that one pass may take.
        kill_invalid_dependency: a job whose parent failed is cancelled.
        requeues_jobs: what gave way, or whose node failed, runs again where its submission does not forbid it.
        requeue_delay_time: seconds until a requeued job may start again.
        limit_check_interval_time: seconds between two looks for jobs over their limit.
        over_limit_time: seconds that a job may overrun.
        kill_wait_time: seconds between the two signals to a job that has overrun.
        preempts_youngest_first: among equals the job that started last gives way.
        others: parameters that were read and have no effect here, as they were written.
    """

    backfill: bool = True
    main_interval_time: Seconds = 60.0
    main_least_interval_time: Seconds = 0.000002
    submission_delay_time: Seconds = 3.0
    main_depth: Count = 100
    backfill_interval_time: Seconds = 30.0
    backfill_window_time: Seconds = 86_400.0
    backfill_resolution_time: Seconds = 60.0
    backfill_depth: Count = 500
    backfill_depth_per_user: Count | None = None
    backfill_depth_per_partition: Count | None = None
    backfill_depth_per_account: Count | None = None
    backfill_starts: Count | None = None
    backfill_continues: bool = False
    backfill_least_priority_reserved: Count | None = None
    backfill_longest_time: Seconds | None = None
    kill_invalid_dependency: bool = False
    requeues_jobs: bool = True
    requeue_delay_time: Seconds = 121.0
    limit_check_interval_time: Seconds = 30.0
    over_limit_time: Seconds = 0.0
    kill_wait_time: Seconds = 30.0
    preempts_youngest_first: bool = False
    others: tuple[str, ...] = ()


class Preemption(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who gives way to whom.

    Attributes:
        kind: nobody, jobs of partitions of a lower tier, or those of the QOS that a QOS names.
        mode: what happens to them.
        exempt_time: seconds of running for which a job need not give way.
    """

    kind: Literal["none", "partition", "qos"] = "none"
    mode: PreemptMode = "off"
    exempt_time: Seconds = 0.0
