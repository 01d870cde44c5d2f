"""The state of a site at one instant, ready to be played on: what runs is on its nodes, what waits is in its order."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import msgspec
import numpy as np

from scheduler_sim.engine.clusters.cluster import NodeGroup
from scheduler_sim.engine.clusters.hosts import expand_hosts, fold_hosts
from scheduler_sim.engine.errors import InvalidCluster
from scheduler_sim.engine.kernels.site.never import never_starts
from scheduler_sim.engine.sites import Site
from scheduler_sim.engine.traces.slurm_queue import workload_of_queue
from scheduler_sim.engine.traces.slurm_snapshots import QueuedJob
from scheduler_sim.engine.workloads.beginning import begin_at
from scheduler_sim.engine.workloads.columns import FloatArray, IntArray, Labels
from scheduler_sim.engine.workloads.requests import TEXTS, Requests
from scheduler_sim.engine.workloads.workload import Workload

_JOB = re.compile(r"\d+(?:_\d+)?")
_NEVER = ("DependencyNeverSatisfied", "BadConstraints")
"""What squeue says of jobs that will not start as they are."""

_OUTCOMES = ("recorded_nodes", "eligible_time", "cancel_time", "fails", "array", "array_limit", "needs_success")
"""Requests that are not taken from accounting: it knows how things ended, and the queue knows better."""

_OWN = "runs-"
"""Nodes that a running task holds have a feature of this name and its number, which it alone asks for."""


def wanted(workload: Workload) -> Requests:
    """Return what tasks ask for, nothing where the workload says nothing."""
    return Requests.blank(len(workload)) if workload.requests is None else workload.requests


@dataclass(frozen=True, eq=False)
class Present:
    """The tasks of one instant.

    Attributes:
        workload: what runs, then what waits, in the order in which Slurm would consider it. Tasks that run arrived
            when they started, others arrive at `now`.
        site: with nodes told apart by who runs on them.
        now: the instant on the workload's clock. zero_at: time 0 of it in seconds since 1970.
        running: how many tasks run.
        priorities: shape (n,), as squeue printed them, 0 where it did not. waited: shape (n,), seconds since they came.
        ending: rows of tasks that have ended and do not hold their nodes for much longer.
        never: why tasks that wait can never start, by job, in Slurm's words.
        held: jobs that wait for somebody to release them, or for such a job.
        moved: running jobs whose nodes are not known or not the site's; they hold such as suit them.
        left_out: jobs that are neither, or that run as the site as described could not let them.
    """

    workload: Workload
    site: Site
    now: float
    zero_at: float
    running: int
    priorities: FloatArray
    waited: FloatArray
    ending: IntArray
    never: Mapping[str, str]
    held: tuple[str, ...]
    moved: tuple[str, ...]
    left_out: tuple[str, ...]


def present(
    jobs: Sequence[QueuedJob], site: Site, *, at: float | None, zero_at: float | None, asked: Workload | None
) -> Present:
    """Return the state that a queue tells of.

    Args:
        jobs: as `read_queue` returns them.
        at: when they were printed, in seconds since 1970; None to tell it by what runs.
        zero_at: time 0 of the workload's clock, in seconds since 1970; None for the queue's own.
        asked: tasks, among which those of the queue are found by their external_id; what they asked for is taken
            from there, since squeue does not tell all of it.

    Raises:
        InvalidTrace: nothing that runs or waits, or nothing that tells the instant.
    """
    state = workload_of_queue(jobs, at=at)
    zero = float(np.floor(state.zero_at)) if zero_at is None else zero_at
    shift, now = state.zero_at - zero, state.now + state.zero_at - zero
    by_name = {job.job: job for job in jobs}
    held = _with_dependent(state.held, jobs)
    workload = state.workload
    kept = np.array([name not in held for name in workload.external_id.tolist()], bool)
    workload = _as_asked(workload.take(np.flatnonzero(kept)), asked)
    requests = wanted(workload)
    running = ~np.isnan(workload.recorded_start_time)
    priorities = np.array([by_name[name].priority or 0.0 for name in workload.external_id.tolist()])
    order = np.lexsort((workload.task_id, workload.arrival_time, -priorities))
    number = np.empty(len(workload), np.int64)
    number[order] = np.arange(1, len(workload) + 1)
    start = workload.recorded_start_time + shift
    names = workload.external_id.tolist()
    came = dict(zip(names, (workload.arrival_time + shift).tolist(), strict=True))
    hosts = [by_name[name].hosts if runs else "" for name, runs in zip(names, running.tolist(), strict=True)]
    told = _told_apart(site, hosts)
    workload = replace(
        workload,
        task_id=number,
        arrival_time=workload.arrival_time + shift,
        recorded_start_time=np.where(running, np.minimum(start, now - 1e-3), np.nan),
        # How long they really run is drawn later; up to now they have not ended.
        runtime=np.where(running, np.maximum(now - start, 0.0) + 1.0, workload.runtime),
        requests=replace(requests, eligible_time=requests.eligible_time + shift),
    )
    workload, moved, gone = _on_their_nodes(workload, told, running)
    never = {
        name: by_name[name].reason
        for name, runs in zip(
            workload.external_id.tolist(), (~np.isnan(workload.recorded_start_time)).tolist(), strict=True
        )
        if not runs and by_name[name].reason in _NEVER
    }
    impossible = never_starts(workload, told.site)
    for row, reason in zip(impossible.rows.tolist(), impossible.reasons, strict=True):
        never.setdefault(str(workload.external_id[row]), reason)
    never |= _behind(workload, never)
    workload = workload.take(np.flatnonzero([name not in never for name in workload.external_id.tolist()]))
    begun = begin_at(workload, now, ever_started=False)
    names = begun.workload.external_id.tolist()
    return Present(
        workload=begun.workload,
        site=told.site,
        now=now,
        zero_at=zero,
        running=begun.running,
        priorities=np.array([by_name[name].priority or 0.0 for name in names], np.float64),
        waited=now - np.array([came[name] for name in names], np.float64),
        ending=np.flatnonzero([by_name[name].state == "COMPLETING" for name in names]),
        never=never,
        held=held,
        moved=moved,
        left_out=tuple(sorted({*state.left_out, *gone})),
    )


def _with_dependent(held: Sequence[str], jobs: Sequence[QueuedJob]) -> tuple[str, ...]:
    """Return the held jobs and those that wait for one of them."""
    found = set(held)
    arrays = {job.job: str(job.array) for job in jobs if job.array}
    while True:
        names = found | {arrays[name] for name in found if name in arrays}
        more = {
            job.job
            for job in jobs
            if job.state == "PENDING" and job.job not in found and names & set(_JOB.findall(job.dependency))
        }
        if not more:
            return tuple(sorted(found))
        found |= more


def _as_asked(workload: Workload, asked: Workload | None) -> Workload:
    """Return tasks with what they asked for when they were submitted, where that is known."""
    if asked is None or asked.requests is None or workload.requests is None:
        return workload
    row_of = {name: row for row, name in enumerate(asked.external_id.tolist()) if name}
    there = np.array([row_of.get(name, -1) for name in workload.external_id.tolist()], np.int64)
    known = there >= 0
    if not known.any():
        return workload

    def merged(own: Labels, other: Labels) -> Labels:
        return Labels.from_texts(np.where(known, other.texts()[there], own.texts()))

    columns: dict[str, Any] = {}
    for name, column in workload.requests.columns().items():
        if name in _OUTCOMES:
            continue
        other = getattr(asked.requests, name)
        columns[name] = merged(column, other) if name in TEXTS else np.where(known, other[there], column)
    return replace(
        workload,
        cpus=np.where(known, asked.cpus[there], workload.cpus),
        gpus=np.where(known, asked.gpus[there], workload.gpus),
        gpu_type=merged(workload.gpu_type, asked.gpu_type),
        memory_mb=np.where(known, asked.memory_mb[there], workload.memory_mb),
        requests=replace(workload.requests, **columns),
    )


@dataclass(frozen=True, eq=False)
class _Told:
    """A site whose nodes have features for what runs on them; `features` names that of each task, empty for none."""

    site: Site
    features: list[str]
    nodes: list[int]


def _told_apart(site: Site, hosts: Sequence[str]) -> _Told:
    """Give the nodes of each running task a feature of its own; `hosts` are host lists, empty for what waits."""
    extra: dict[int, list[str]] = {}
    features, counts = [], []
    for row, text in enumerate(hosts):
        try:
            numbers = site.numbers(text) if text else ()
        except InvalidCluster:
            # A node that the description lacks: the task cannot be held there.
            numbers = ()
        features.append(f"{_OWN}{row}" if numbers else "")
        counts.append(len(numbers))
        for node in numbers:
            extra.setdefault(node, []).append(features[-1])
    groups, nodes, first = [], [], 0
    for group, rest in zip(site.cluster.groups, site.nodes, strict=True):
        names = expand_hosts(rest.hosts)
        begin = 0
        for end in range(1, group.count + 1):
            if end < group.count and extra.get(first + end) == extra.get(first + begin):
                continue
            groups.append(_cut(group, begin, end))
            own = extra.get(first + begin, [])
            nodes.append(
                msgspec.structs.replace(rest, hosts=fold_hosts(names[begin:end]), features=(*rest.features, *own))
            )
            begin = end
        first += group.count
    cluster = replace(site.cluster, groups=tuple(groups))
    return _Told(msgspec.structs.replace(site, cluster=cluster, nodes=tuple(nodes)), features, counts)


def _cut(group: NodeGroup, begin: int, end: int) -> NodeGroup:
    """Return some neighbouring nodes of a group as one, with the outages of theirs."""
    outages = []
    for outage in group.outages:
        # The highest numbered nodes are those that go away.
        away = min(end - begin, end - (group.count - outage.nodes))
        if away > 0:
            outages.append(replace(outage, nodes=away))
    return replace(group, count=end - begin, outages=tuple(outages))


def _on_their_nodes(workload: Workload, told: _Told, running: np.ndarray) -> tuple[Workload, tuple[str, ...], set[str]]:
    """Let tasks that run ask for their nodes, in the first way that the site's rules take.

    Returns:
        The tasks, the jobs whose nodes could not be kept, and those that run but could not by these rules.
    """
    requests = wanted(workload)
    rows = np.flatnonzero(running)
    nodes = np.array(told.nodes, np.int64)
    pinned = running & (nodes > 0)
    features = np.where(pinned, np.array(told.features, object), requests.features.texts())
    partitions = np.where(running, "", requests.partitions.texts())
    kept = replace(
        requests,
        features=Labels.from_texts(features),
        partitions=Labels.from_texts(partitions),
        nodes=np.where(pinned, nodes, requests.nodes),
        most_nodes=np.where(pinned, nodes, requests.most_nodes),
    )
    plain = Requests.blank(len(workload))
    simple: dict[str, Any] = {
        field.name: np.where(running, getattr(plain, field.name), getattr(kept, field.name))
        for field in fields(Requests)
        if field.name in ("tasks_per_node", "memory_mb_per_core", "memory_mb_per_node", "gpus_per_node")
    }
    tasks = np.where(running, np.maximum(workload.cpus, nodes), kept.tasks).astype(np.int64)
    cores = np.where(running, 1, kept.cores_per_task)
    anywhere = Labels.from_texts(np.where(running, "", kept.features.texts()))
    loose: dict[str, Any] = {
        "nodes": np.where(running, 0, kept.nodes),
        "most_nodes": np.where(running, 0, kept.most_nodes),
    }
    ways = (
        kept,
        replace(kept, **simple, tasks=tasks, cores_per_task=cores),
        replace(kept, **simple, **loose, tasks=tasks, cores_per_task=cores, features=anywhere),
    )
    chosen = np.zeros(len(workload), np.int64)
    left = rows
    for way in range(len(ways)):
        if not len(left):
            break
        chosen[left] = way
        refused = never_starts(replace(workload.take(left), requests=ways[way].take(left)), told.site).rows
        left = left[refused]
    moved = tuple(workload.external_id[rows[(chosen[rows] == 2) | ~pinned[rows]]].tolist())
    gone = set(workload.external_id[left].tolist())
    columns: dict[str, Any] = {}
    for name in kept.columns():
        of_ways = [getattr(way, name) for way in ways]
        if name in TEXTS:
            texts = np.choose(chosen, [one.texts() for one in of_ways])
            columns[name] = Labels.from_texts(texts)
        else:
            columns[name] = np.choose(chosen, of_ways)
    workload = replace(workload, requests=Requests(**columns))
    return workload.take(np.setdiff1d(np.arange(len(workload)), left)), moved, gone


def _behind(workload: Workload, never: Mapping[str, str]) -> dict[str, str]:
    """Return the tasks that wait for one that never starts, with what Slurm says of such."""
    names = workload.external_id.tolist()
    stuck = np.array([name in never for name in names], bool)
    children = np.repeat(np.arange(len(names)), np.diff(workload.parents.offsets))
    while True:
        more = np.zeros(len(names), bool)
        more[children[stuck[workload.parents.rows]]] = True
        if not (more & ~stuck).any():
            return {
                name: "Dependency"
                for name, is_stuck in zip(names, stuck.tolist(), strict=True)
                if is_stuck and name not in never
            }
        stuck |= more
