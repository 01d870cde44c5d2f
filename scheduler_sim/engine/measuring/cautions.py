"""What must be known to read figures, as sentences for people."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.measuring.recording import overfull
from scheduler_sim.engine.policies import Policy
from scheduler_sim.engine.sites import Site
from scheduler_sim.engine.workloads.workload import IntArray, Workload

TASKS_NAMED = 5
"""Of tasks that do not fit the first so many are named."""


@dataclass(frozen=True)
class Unstated:
    """What policies are told of the tasks that state no estimate.

    Attributes:
        kind: `perfect_estimates` where some use the true run times, `unknown_estimates` where some use the largest
            estimates of others, `partition_estimates` where all use what a site's partitions give.
        policies: names of those that use estimates. text: the sentences for people.
    """

    kind: str
    policies: list[str]
    text: str


def told_without_estimates(workload: Workload, policies: Sequence[Policy], site: Site | None = None) -> Unstated | None:
    """Return which policies use estimates that nobody stated, and what they are told; None where there are none.

    Args:
        site: on which the tasks are played, all of which fit it. Plans there are made with the time limit that a
            partition gives to a task without one; orders see what they see elsewhere.
    """
    using = [policy for policy in policies if policy.uses_estimates and not policy.clairvoyant]
    unknown = int((~workload.estimate_known).sum())
    if not using or not unknown:
        return None
    names = [policy.name for policy in using]
    planning = [one for one in using if plans_by_estimates(one)]
    ordering = [one.name for one in using if orders_by_estimates(one)]
    every, some = _given_times(workload, site) if site is not None and planning else (0, 0)
    counted = f"{unknown:,} of {len(workload):,} tasks state no estimate"
    if workload.perfect_estimates:
        kind, told = "perfect_estimates", "the true run times"
        opening = "Perfect estimates are assumed: no task states one"
    else:
        kind, told, opening = "unknown_estimates", "the largest one of their queue, or of the workload", counted
    if site is None or not (every or some):
        who = ", ".join(names)
        does = f", and {who} use" if workload.perfect_estimates else f"; {who} are told"
        return Unstated(kind, names, f"{opening}{does} {told}.")
    if every == unknown and not ordering:
        kind, opening = "partition_estimates", counted
    plans = f"{_planning(planning, site)} {_planned_with(unknown, every, some, told)}"
    if ordering:
        plans = f"{', '.join(ordering)} order them by {told}, and {plans}"
    return Unstated(kind, names, f"{opening}; {plans}.")


def partitions_tell(policy: Policy, site: Site | None) -> bool:
    """Tell whether what a policy is told of a task without an estimate is left to its partitions, if they give a time.

    What one orders by, too, it is told as elsewhere.
    """
    if site is None or not plans_by_estimates(policy) or orders_by_estimates(policy):
        return False
    return any(one.unstated_time is not None for one in site.partitions)


def _planning(policies: Sequence[Policy], site: Site) -> str:
    """Return which policies do what with the time limits of tasks: a site's scheduler may be told to plan nothing."""
    checking = [one.name for one in policies if one.order.needs_site and not site.scheduling.backfill]
    planning = [one.name for one in policies if one.name not in checking]
    does = [f"{', '.join(planning)} plan"] if planning else []
    return ", and ".join(does + ([f"{', '.join(checking)} check reservations and limits"] if checking else []))


def _planned_with(unknown: int, every: int, some: int, told: str) -> str:
    """Return for how many tasks without an estimate a partition's time is taken: all of theirs give one, or some."""
    time = "the default or largest time of their partitions"
    if every == unknown:
        return f"with {time}"
    parts = [f"with {time} for {every:,} of them"] if every else []
    if some:
        which = f"that in some partitions and {told}" if every else f"{time} in some of these and {told}"
        parts.append(f"with {which} in the others for {some:,}{'' if every else ' of them'}")
    if rest := unknown - every - some:
        parts.append(f"with {told} for the other {rest:,}")
    return ", and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def plans_by_estimates(policy: Policy) -> bool:
    """Tell whether a policy plans with estimates, for which a site's partitions may give a time instead."""
    return policy.order.needs_site or policy.backfill.uses_estimates


def orders_by_estimates(policy: Policy) -> bool:
    """Tell whether a policy looks at estimates beside its plans; a site's own scheduler orders by its priorities."""
    return policy.placement.uses_estimates or (policy.order.uses_estimates and not policy.order.needs_site)


def _given_times(workload: Workload, site: Site) -> tuple[int, int]:
    """Return how many tasks get a time limit that they do not state from all of their partitions, and from some."""
    if all(one.unstated_time is None for one in site.partitions):
        return 0, 0
    from scheduler_sim.engine.kernels.site.asks import given_times

    every, some = given_times(workload, site)
    return int(every.sum()), int(some.sum())


def impossible_starts(tasks: Workload, played: Workload, rows: IntArray, ground: Cluster | Site) -> str | None:
    """Return what to say where a cluster or site could not have held what a log tells; None where it could.

    Args:
        played: those of `tasks` that are played, at `rows`.
    """
    if np.isnan(played.recorded_start_time).all():
        return None
    sentences = []
    left = np.ones(len(tasks), bool)
    left[rows] = False
    left &= ~np.isnan(tasks.recorded_start_time)
    if left.any():
        verbs = ("does", "is") if left.sum() == 1 else ("do", "are")
        what = f"{int(left.sum()):,} of the tasks that really ran {verbs[0]} not fit it empty and {verbs[1]} left out."
        sentences.append(what)
    found = overfull(played, ground)
    if found:
        first = found[0]
        late = np.unique(np.concatenate([one.rows for one in found]))
        late = late[np.argsort(played.recorded_start_time[late], kind="stable")]
        named = tasks_named(played.task_id[late].tolist())
        holds = f"{first.held:,.6g} {first.resource}{f' {first.where}' if first.where else ''}"
        sentences.append(
            f"At {first.time:,.0f} s tasks hold {holds}, and there are {first.there:,.6g}; {len(late):,} of "
            f"{len(played):,} tasks start while too much is held, the first {named}."
        )
    if not sentences:
        return None
    return f"What the log records does not fit {ground.name}. {' '.join(sentences)}"


def tasks_named(numbers: Sequence[int]) -> str:
    """Return the first of some tasks in words, as in `tasks 3, 4 and 9`."""
    shown = [str(number) for number in numbers[:TASKS_NAMED]]
    if len(shown) == 1:
        return f"task {shown[0]}"
    return f"tasks {', '.join(shown[:-1])} and {shown[-1]}"
