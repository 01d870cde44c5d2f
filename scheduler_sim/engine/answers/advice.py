"""What to write into Slurm's configuration so that a cluster schedules by a policy, and what Slurm cannot be told.

Slurm's words are those of https://slurm.schedmd.com/slurm.conf.html, sched_config.html and priority_multifactor.html
(22.05 to 24.11).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from scheduler_sim.engine.codes import CONSERVATIVE, EASY, LIST, NONE
from scheduler_sim.engine.policies import Policy
from scheduler_sim.engine.policies.backfill import Backfill
from scheduler_sim.engine.policies.orders.multifactor import (
    AGE_WEIGHT,
    FAIR_SHARE_WEIGHT,
    HALF_LIFE,
    LONGEST_AGE,
    QUEUE_WEIGHT,
    SIZE_WEIGHT,
    queue_factor,
    with_weights,
)
from scheduler_sim.engine.policies.parameter import show
from scheduler_sim.engine.policies.placement import DEFAULT_PLACEMENT
from scheduler_sim.engine.policies.preemption import RUN_ON
from scheduler_sim.engine.sites import Lines, Priority, Scheduling, Site, differing_lines
from scheduler_sim.engine.sites.slurm_settings import OVERRIDES, overridden

ONLY_FIRST = "bf_job_part_count_reserve=1"
"""The backfill loop keeps a place for the first job of each partition alone, as EASY does for the head of the queue."""

NOBODY_RESERVES = 4_294_967_294
"""A priority that no job reaches: below `bf_min_prio_reserve` a job reserves nothing."""

_RESERVING = ("bf_job_part_count_reserve", "bf_min_prio_reserve")


@dataclass
class Advice:
    """What brings a policy and a change of the site about.

    Attributes:
        site: as it is to be configured.
        lines: what must be written to make the configured one so.
        unexpressed: sentences about what Slurm cannot be told; with one of them the lines bring about something else
            than what was played.
        remarks: sentences about what to look after.
    """

    site: Site
    lines: Lines = field(default_factory=Lines)
    unexpressed: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """True where the lines bring about what was played."""
        return not self.unexpressed

    @property
    def is_empty(self) -> bool:
        """True where nothing is to be written."""
        return not self.lines.conf and not self.lines.commands


def advise(policy: Policy, *, configured: Site, changed: Site | None = None, is_known: bool = True) -> Advice:
    """Return what makes a configured site schedule by a policy.

    Args:
        configured: the site as it is.
        changed: as it was played, with nodes more or fewer; None where it was played as it is.
        is_known: the configured site's settings are those of a real one. Without, the lines that the policy needs are
            written whether they differ from what `configured` says or not.
    """
    advice = Advice(changed or configured)
    always: set[str] = set()
    if policy.order.needs_site:
        _as_overridden(advice, policy)
    else:
        always |= _ordered(advice, policy, is_known=is_known)
        always |= _backfilled(advice, policy.backfill)
        _placed(advice, policy)
        if is_known and len({one.tier for one in advice.site.partitions}) > 1:
            advice.remarks.append(
                "Slurm goes on looking at partitions of a higher PriorityTier first; the policy was played without "
                "tiers."
            )
        if advice.is_whole:
            advice.remarks.append(
                "Slurm acts when its loops come round (sched_interval, bf_interval) and looks at so many jobs "
                "(default_queue_depth, bf_max_job_test); the policy was played at every event and on the whole queue."
            )
    advice.lines = differing_lines(configured, advice.site, always=frozenset() if is_known else frozenset(always))
    _about_nodes(advice, configured)
    if not is_known:
        advice.remarks.append(
            "It was played on a cluster and not on a site: partitions, limits and other settings of the real one are "
            "not known. Import its configuration as a site to see what they make of it."
        )
    return advice


def _as_overridden(advice: Advice, policy: Policy) -> None:
    texts = {name: show(value) for name, value in policy.order.values if name in OVERRIDES}
    advice.site = overridden(advice.site, texts)
    chance = [name for name, _ in policy.order.values if name not in OVERRIDES and name != "epoch"]
    if chance:
        advice.remarks.append(
            f"Nothing sets {', '.join(chance)}: when Slurm's loops first look is the chance of its start."
        )


def _ordered(advice: Advice, policy: Policy, *, is_known: bool) -> set[str]:
    """Bring the order about, or say that it cannot be; return the settings that it needs."""
    order = policy.order
    if order.name == "fcfs":
        advice.site = _with(advice.site, "priority", kind="basic")
        return {"PriorityType"}
    if order.name == "multifactor":
        return _as_site_weighs(advice) if is_known else _multifactor(advice)
    if order.clairvoyant:
        why = "it looks at run times that nobody knows beforehand"
    elif order.goes_by:
        held = "holds tasks back and stops them" if order.stops else "holds tasks back"
        why = (
            f"it {held} by a series of {order.goes_by}, which Slurm does not read; a job_submit plugin of one's own "
            "could say when jobs may begin"
        )
    elif order.preempts or order.stops:
        why = "it stops and shares out by its own rule, which Slurm does not have"
    elif order.uses_estimates:
        why = (
            "Slurm's priority has no factor for the time limit; a job_submit or site_factor plugin of one's own could "
            "bring one in"
        )
    else:
        why = "Slurm's priority has no such factor; a job_submit or site_factor plugin of one's own could bring one in"
    advice.unexpressed.append(
        f"The order {order.text} ({order.formula}): {why}. The order of the queue stays as it is."
    )
    return set()


def _as_site_weighs(advice: Advice) -> set[str]:
    advice.site = _with(with_weights(advice.site), "priority", kind="multifactor")
    return {"PriorityType"}


def _multifactor(advice: Advice) -> set[str]:
    factors = {one.name: round(2 * queue_factor(one.name)) for one in advice.site.partitions}
    largest = max(factors.values(), default=1)
    advice.site = msgspec.structs.replace(
        advice.site,
        priority=Priority(
            kind="multifactor",
            age_weight=round(AGE_WEIGHT),
            job_size_weight=round(SIZE_WEIGHT),
            fair_share_weight=round(FAIR_SHARE_WEIGHT),
            # Slurm divides by the largest factor of all partitions.
            partition_weight=round(QUEUE_WEIGHT * largest / 2),
            max_age_time=LONGEST_AGE,
            decay_half_life_time=HALF_LIFE,
            fair_share="classic",
            flags=("NO_FAIR_TREE",),
        ),
        partitions=tuple(msgspec.structs.replace(one, priority=factors[one.name]) for one in advice.site.partitions),
    )
    advice.remarks.append(
        "The policy was played with equal shares for all users; Slurm takes those of sacctmgr (Fairshare), and all "
        "users of one account share what it has."
    )
    return {"PriorityType", "PriorityFlags", "PriorityMaxAge", "PriorityDecayHalfLife"} | {
        f"PriorityWeight{name}" for name in ("Age", "JobSize", "Fairshare", "Partition")
    }


def _backfilled(advice: Advice, backfill: Backfill) -> set[str]:
    """Bring the backfill about, or say what of it cannot be; return the settings that it needs."""
    _BACKFILLS[backfill.code](advice, backfill)
    if backfill.order is not None:
        advice.unexpressed.append(
            f"{backfill.text}: Slurm tries what may pass in the order of the queue, not by {backfill.order}."
        )
    if backfill.predicts:
        advice.unexpressed.append(f"{backfill.text}: Slurm plans by time limits and predicts nothing.")
    return {"SchedulerType", "SchedulerParameters"}


def _strictly(advice: Advice, _: Backfill) -> None:
    advice.site = _with(advice.site, "scheduling", backfill=False)


def _skipping(advice: Advice, _: Backfill) -> None:
    _reserving(advice, backfill_least_priority_reserved=NOBODY_RESERVES)


def _easy(advice: Advice, _: Backfill) -> None:
    _reserving(advice, others=(ONLY_FIRST,))
    _as_far_as_limits(advice)
    advice.remarks.append(
        f"{ONLY_FIRST} keeps a place for the first job of each partition; the policy kept one for the first job of "
        "those that share nodes. The simulated slurm plans all jobs and does not know this parameter."
    )


def _conservative(advice: Advice, backfill: Backfill) -> None:
    depth = backfill.value("depth")
    _reserving(advice, **({} if depth is None else {"backfill_depth": depth}))
    _as_far_as_limits(advice)


_BACKFILLS: Mapping[int, Callable[[Advice, Backfill], None]] = {
    NONE: _strictly,
    LIST: _skipping,
    EASY: _easy,
    CONSERVATIVE: _conservative,
}


def _reserving(advice: Advice, *, others: tuple[str, ...] = (), **values: Any) -> None:
    """Let the backfill loop run and reserve as told, and no longer as it was told before."""
    kept = [word for word in advice.site.scheduling.others if word.partition("=")[0] not in _RESERVING]
    told = {"backfill": True, "backfill_least_priority_reserved": None, "others": (*kept, *others)} | values
    advice.site = _with(advice.site, "scheduling", **told)


def _as_far_as_limits(advice: Advice) -> None:
    """Let plans reach as far as the longest time limit, which Slurm asks for and the policy does."""
    limits = [one.max_time for one in advice.site.partitions]
    known = [limit for limit in limits if limit is not None]
    longest = max(known, default=0.0)
    if longest > advice.site.scheduling.backfill_window_time:
        advice.site = _with(advice.site, "scheduling", backfill_window_time=longest)
    if len(known) < len(limits):
        advice.remarks.append("Some partition has no MaxTime: let bf_window reach as far as the longest limit in use.")


def _placed(advice: Advice, policy: Policy) -> None:
    if policy.placement.text != DEFAULT_PLACEMENT:
        near = _NEAR.get(policy.placement.name, "Slurm takes the nodes of the least Weight that suffice")
        advice.unexpressed.append(f"The placement {policy.placement.text}: {near}.")
    if policy.preemption != RUN_ON:
        advice.unexpressed.append(
            f"Preemption by the order of the queue (~{policy.preemption.text}): Slurm lets jobs give way by partition "
            "(PriorityTier) or by QOS (Preempt) only."
        )


_NEAR = {
    "worst_fit": "LLN=YES of a partition, which takes the least loaded nodes, comes nearest",
    "best_fit": "Slurm takes of the nodes of the least Weight the tightest run that suffices, which comes near",
}


def _about_nodes(advice: Advice, configured: Site) -> None:
    before, after = set(configured.hosts), set(advice.site.hosts)
    if after - before:
        what = ["sockets and cores of a socket", "the address"]
        if any(group.gpus for group in advice.site.cluster.groups):
            what.append("their lines in gres.conf")
        advice.remarks.append(
            f"Add to the lines of new nodes what is not known here: {', '.join(what)}. Before Slurm 23.11 slurmctld "
            "and slurmd are restarted after nodes are added or taken out; scontrol reconfigure does for the rest."
        )
    elif before - after:
        advice.remarks.append("Drain the nodes first (scontrol update NodeName=... State=DRAIN).")
    if any(line.startswith("PartitionName=") for line in advice.lines.conf):
        advice.remarks.append(
            "Keep what the lines of the partitions say of things that decide nothing of who starts when (AllowGroups, "
            "Hidden, TRESBillingWeights)."
        )


def _with(site: Site, room: str, **values: Any) -> Site:
    part: Priority | Scheduling = getattr(site, room)
    return msgspec.structs.replace(site, **{room: msgspec.structs.replace(part, **values)})
