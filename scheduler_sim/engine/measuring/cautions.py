"""What must be known to read figures, as sentences for people."""

from collections.abc import Sequence

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.measuring.recording import overfull
from scheduler_sim.engine.policies import Policy
from scheduler_sim.engine.sites import Site
from scheduler_sim.engine.workloads.workload import IntArray, Workload

TASKS_NAMED = 5
"""Of tasks that do not fit the first so many are named."""


def told_without_estimates(workload: Workload, policies: Sequence[Policy]) -> tuple[list[str], str] | None:
    """Return which policies use estimates that nobody stated, and what to say of it; None where there are none."""
    names = [policy.name for policy in policies if policy.uses_estimates and not policy.clairvoyant]
    unknown = int((~workload.estimate_known).sum())
    if not names or not unknown:
        return None
    who = ", ".join(names)
    if workload.perfect_estimates:
        return names, f"Perfect estimates are assumed: no task states one, and {who} use the true run times."
    return names, (
        f"{unknown:,} of {len(workload):,} tasks state no estimate; {who} are told the largest one of their queue, or "
        "of the workload."
    )


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
