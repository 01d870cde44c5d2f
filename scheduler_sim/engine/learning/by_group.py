"""Who gains and who loses by what was learned: figures of tasks it had not seen, by groups of users and of tasks."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from scheduler_sim.engine.workloads.workload import BoolArray, FloatArray, Workload

PARTS = 4
"""So many groups there are of each kind, fewer where there are fewer users or values."""


@dataclass(frozen=True, eq=False)
class Group:
    """Some of n tasks.

    Attributes:
        kind: what they are grouped by. name: says which these are. rows: shape (n,).
    """

    kind: str
    name: str
    rows: BoolArray


def groups_of(workload: Workload) -> list[Group]:
    """Return groups of tasks by how many their users submitted, by run time and by processors.

    No user is named. Users without a name are no users, and no groups are made of one.
    """
    size = np.where(workload.gpus > 0, workload.gpus, workload.cpus)
    return [
        *_by_activity(workload),
        *quarters("run time", workload.runtime, "s"),
        *quarters("processors or GPUs", size, ""),
    ]


def _by_activity(workload: Workload) -> list[Group]:
    codes, names = workload.user.codes, workload.user.names
    tasks = np.bincount(codes, minlength=len(names))
    if "" in names:
        tasks[names.index("")] = 0
    ranked = np.argsort(-tasks, kind="stable")
    ranked = ranked[: int((tasks > 0).sum())]
    if len(ranked) < 2:
        return []
    groups, before = [], 0
    for users in np.array_split(ranked, min(PARTS, len(ranked))):
        first, last = before + 1, before + len(users)
        name = f"user {first} by activity" if first == last else f"users {first} to {last} by activity"
        groups.append(Group("users", name, np.isin(codes, users)))
        before = last
    return groups


def quarters(kind: str, values: FloatArray, unit: str) -> list[Group]:
    """Return groups of tasks by the quartiles of a value of theirs; equal values are in one group, none is empty."""
    if not len(values):
        return []
    cuts = np.unique(np.quantile(values, [0.25, 0.5, 0.75], method="lower"))
    place = np.searchsorted(cuts, values)
    behind = f" {unit}" if unit else ""
    # So many digits that no two cuts are written alike; 17 tell all numbers apart.
    written = next(
        found for found in (_written(cuts, digits) for digits in range(6, 18)) if len(set(found)) == len(cuts)
    )
    names = [
        f"up to {written[0]}{behind}",
        *(f"above {low} to {high}{behind}" for low, high in pairwise(written)),
        f"above {written[-1]}{behind}",
    ]
    groups = [Group(kind, name, place == number) for number, name in enumerate(names) if (place == number).any()]
    return groups if len(groups) > 1 else []


def _written(values: FloatArray, digits: int) -> list[str]:
    return [f"{value:,.{digits}g}" for value in values.tolist()]


def by_group(groups: Sequence[Group], learned: FloatArray, other: FloatArray) -> list[dict[str, Any]]:
    """Return the mean of both figures, shape (n,) each, in every group; tasks without one of them do not count."""
    known = ~(np.isnan(learned) | np.isnan(other))
    found = []
    for group in groups:
        rows = group.rows & known
        if rows.any():
            means = {"learned": float(learned[rows].mean()), "other": float(other[rows].mean())}
            found.append({"kind": group.kind, "name": group.name, "tasks": int(rows.sum()), **means})
    return found
