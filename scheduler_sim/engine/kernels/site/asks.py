"""What tasks ask of a site's nodes, as whole numbers: one entry for each partition in which a task may run."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from scheduler_sim.engine.clusters.demand import KIB_PER_MB, in_units, task_kinds
from scheduler_sim.engine.clusters.paces import Paces
from scheduler_sim.engine.codes import MILLI
from scheduler_sim.engine.errors import InvalidWorkload
from scheduler_sim.engine.kernels.site.kinds import KIND, Builder
from scheduler_sim.engine.kernels.site.people import People, ancestry
from scheduler_sim.engine.kernels.site.reasons import CODES, NO_REASON
from scheduler_sim.engine.sites import Site
from scheduler_sim.engine.workloads.requests import Requests
from scheduler_sim.engine.workloads.workload import BoolArray, FloatArray, IntArray, Labels, Workload


@dataclass(frozen=True, eq=False)
class Asks:
    """What n tasks ask for.

    Attributes:
        kinds: shape (k,), records as `KIND` says.
        masks: shape (k, words): the nodes that could hold it. suits: those of its partition, features and size, with
            whatever GPUs. within: seconds of the longest time of the reservation that the task names, of those in which
            it fits on the nodes; -1 where it fits in none, infinite where it names none.
        first: shape (n + 1,): the entries of task i are `first[i]` to `first[i + 1]`, in the order of its partitions.
        kind, limit: of each entry: its kind, and the seconds for which it may run.
        reason: shape (n,), why a task without entries can never start, else 0.
        people: who the tasks belong to.
        dealt: grains on each node, see `KIND`.
    """

    kinds: Any
    masks: IntArray
    suits: IntArray
    within: FloatArray
    first: IntArray
    kind: IntArray
    limit: FloatArray
    reason: IntArray
    people: People
    dealt: IntArray


def asks(workload: Workload, site: Site, *, as_recorded: bool = False) -> Asks:
    """Work out what every task asks for, and which of them could never start on the empty site.

    Args:
        as_recorded: each task is for the nodes on which it really ran, where the site has them.

    Raises:
        InvalidWorkload: tasks that are not played on sites.
    """
    _refuse(workload)
    wanted = workload.requests if workload.requests is not None else Requests.blank(len(workload))
    people, rated = People.of(workload, wanted, site), _rated(workload, site)
    refused = _shut_out(workload, wanted, people, site)
    columns = {
        "cpus": in_units(workload.cpus, MILLI),
        "gpus": workload.gpus.astype(np.int64),
        "memory": in_units(workload.memory_mb, KIB_PER_MB),
        "nodes": wanted.nodes,
        "most": wanted.most_nodes,
        "tasks": wanted.tasks,
        "cores": wanted.cores_per_task,
        "per_node": wanted.tasks_per_node,
        "node_gpus": np.ceil(wanted.gpus_per_node).astype(np.int64),
        "core_memory": _kib(wanted.memory_mb_per_core),
        "node_memory": _kib(wanted.memory_mb_per_node),
        "exclusive": wanted.exclusive.astype(np.int64),
        "features": wanted.features.codes,
        "gpu_type": workload.gpu_type.codes,
        "rated": rated.codes,
        "partitions": wanted.partitions.codes,
        "queue": workload.queue.codes,
        "account": people.account.codes,
        "qos": people.qos,
        "reservation": wanted.reservation.codes,
        "refusal": np.where(people.refusal == NO_REASON, refused, people.refusal),
        "recorded_nodes": wanted.recorded_nodes.codes if as_recorded else np.zeros(len(workload), np.int64),
        "dealing": np.zeros(len(workload), np.int64),
    }
    builder = Builder(site)
    if as_recorded:
        # No two tasks on several nodes are alike, as far as their cores on each of these go.
        builder.dealings = builder.as_dealt(workload, wanted)
        columns["dealing"][list(builder.dealings)] = np.array(list(builder.dealings), np.int64) + 1
    of_task, rows, _ = task_kinds(*columns.values())
    entries: list[list[int]] = []
    refusals = np.zeros(len(rows), np.int64)
    texts = {
        "features": wanted.features.names,
        "gpu_type": workload.gpu_type.names,
        "rated": rated.names,
        "partitions": wanted.partitions.names,
        "queue": workload.queue.names,
        "account": people.account.names,
        "reservation": wanted.reservation.names,
        "recorded_nodes": wanted.recorded_nodes.names if as_recorded else ("",),
    }
    for number, row in enumerate(rows.tolist()):
        ask = {name: int(column[row]) for name, column in columns.items()}
        said = {name: names[ask[name]] for name, names in texts.items()}
        found, refusals[number] = builder.entries(ask, said)
        entries.append(found)
    return _expand(workload, site, entries, refusals, of_task, builder, people)


def given_times(workload: Workload, site: Site) -> tuple[BoolArray, BoolArray]:
    """Return which tasks state no estimate and get a time limit from every partition that takes them, and from some.

    Which partitions take a task is worked out only where those that it names differ, since that takes long.

    Args:
        workload: tasks that all fit the site.

    Returns:
        Shape (n,) each; no task is of both.

    Raises:
        InvalidWorkload: as `asks`.
    """
    wanted = workload.requests if workload.requests is not None else Requests.blank(len(workload))
    gives = np.array([one.unstated_time is not None for one in site.partitions], bool)
    of_task, rows, _ = task_kinds(wanted.partitions.codes, workload.queue.codes)
    named = [
        gives[list(site.partitions_asked(partitions or queue))]
        for partitions, queue in zip(
            wanted.partitions.take(rows).texts(), workload.queue.take(rows).texts(), strict=True
        )
    ]
    unknown = ~workload.estimate_known
    every = unknown & np.array([one.all() for one in named], bool)[of_task]
    some = unknown & np.array([one.any() for one in named], bool)[of_task] & ~every
    differing = np.flatnonzero(some)
    if len(differing):
        asked = asks(workload.take(differing), site)
        task = np.repeat(differing, np.diff(asked.first))
        given = gives[asked.kinds["part"][asked.kind]]
        taken = np.bincount(task, minlength=len(workload))
        giving = np.bincount(task[given], minlength=len(workload))
        every[differing] = ((giving > 0) & (giving == taken))[differing]
        some[differing] = ((giving > 0) & (giving < taken))[differing]
    return every, some


def _rated(workload: Workload, site: Site) -> Labels:
    """Return on which node groups the rates of each task let it run, as texts of 0 and 1; empty for on all."""
    paces = Paces.of(workload, site.cluster)
    texts = ["" if row.all() else "".join("01"[one] for one in row.tolist()) for row in paces.possible]
    names = sorted(set(texts))
    return Labels(codes=np.array([names.index(text) for text in texts], np.int64)[paces.row], names=tuple(names))


def _shut_out(workload: Workload, wanted: Requests, people: People, site: Site) -> IntArray:
    """Return why each task has no access to the reservation that it names, 0 where it has or names none.

    Its user and its account, or one above it, have to be among those that the reservation lists, at one of the times
    that it comes; `-ann` lists all others.
    """
    reasons = np.zeros(len(workload), np.int64)
    listed = {(one.name, one.user): one for one in site.accounts}
    for code, name in enumerate(wanted.reservation.names):
        asked = site.reservations_called(name)
        if not asked or any(not (one.users or one.accounts) for one in asked):
            continue
        for row in np.flatnonzero(wanted.reservation.codes == code).tolist():
            user = workload.user.names[workload.user.codes[row]]
            account = people.account.names[people.account.codes[row]]
            accounts = {account, *(one.name for one in ancestry(listed, account, ""))}
            if not any(_is_among(one.users, {user}) and _is_among(one.accounts, accounts) for one in asked):
                reasons[row] = CODES["Access denied to requested reservation"]
    return reasons


def _is_among(said: tuple[str, ...], names: set[str]) -> bool:
    """Tell whether a list allows some names: it says one, or, where it says `-name` alone, none of them so."""
    denied = {name.removeprefix("-") for name in said if name.startswith("-")}
    allowed = {name for name in said if not name.startswith("-")}
    return not denied & names and (not allowed or bool(allowed & names))


def _expand(
    workload: Workload,
    site: Site,
    entries: list[list[int]],
    refusals: IntArray,
    of_task: IntArray,
    builder: Builder,
    people: People,
) -> Asks:
    """Turn what distinct asks may use into the entries of each task."""
    counts = np.array([len(found) for found in entries], np.int64)
    starts = np.concatenate(([0], np.cumsum(counts)))
    flat = np.array([kind for found in entries for kind in found], np.int64)
    per_task = counts[of_task] if len(of_task) else np.zeros(0, np.int64)
    task = np.repeat(np.arange(len(workload)), per_task)
    first = np.concatenate(([0], np.cumsum(per_task))).astype(np.int64)
    kind = flat[starts[of_task[task]] + np.arange(len(task)) - first[task]] if len(task) else flat
    kinds = np.array(builder.kinds, KIND) if builder.kinds else np.zeros(0, KIND)
    part = kinds["part"][kind] if len(kind) else kind
    default = np.array([_first_of(one.unstated_time, np.nan) for one in site.partitions], np.float64)
    longest = np.array([_first_of(one.max_time, np.inf) for one in site.partitions], np.float64)
    estimate, known = workload.duration_estimate[task], workload.estimate_known[task]
    limit = np.where(known | np.isnan(default[part]), estimate, default[part])
    allowed = (limit <= longest[part]) | ~known
    kept = np.bincount(task[allowed], minlength=len(workload)).astype(np.int64)
    reason = refusals[of_task] if len(of_task) else np.zeros(0, np.int64)
    reason = np.where((reason == NO_REASON) & (kept == 0), CODES["PartitionTimeLimit"], reason)
    return Asks(
        kinds=kinds,
        masks=builder.words(builder.masks),
        suits=builder.words(builder.suits),
        within=np.array(builder.within, np.float64),
        first=np.concatenate(([0], np.cumsum(kept))).astype(np.int64),
        kind=kind[allowed],
        limit=limit[allowed],
        reason=reason,
        people=people,
        dealt=np.array(builder.dealt, np.int64),
    )


def _first_of(*values: float | None) -> float:
    return next(value for value in values if value is not None)


def _kib(megabytes: FloatArray) -> IntArray:
    """Return KiB, -1 where nothing is stated."""
    stated = ~np.isnan(megabytes)
    return np.where(stated, in_units(np.where(stated, megabytes, 0.0), KIB_PER_MB), -1)


def _refuse(workload: Workload) -> None:
    if workload.hybrid.any():
        raise InvalidWorkload("Hybrid tasks are not played on a site; play them on its cluster alone.")
    if (workload.gpus != np.floor(workload.gpus)).any():
        raise InvalidWorkload("Shares of a GPU are not played on a site; play them on its cluster alone.")
