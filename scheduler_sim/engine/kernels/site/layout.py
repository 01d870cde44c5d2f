"""From a workload, a site and a policy to the arrays of a simulation that has not begun."""

from typing import Any

import numpy as np

from scheduler_sim.engine.codes import MILLI
from scheduler_sim.engine.demand import NodeGroups
from scheduler_sim.engine.errors import OversizedTasks
from scheduler_sim.engine.kernels.attempts import buffer_columns, buffer_for
from scheduler_sim.engine.kernels.site import state
from scheduler_sim.engine.kernels.site.asks import Asks, as_words
from scheduler_sim.engine.kernels.site.keys import fixed_keys, leads
from scheduler_sim.engine.kernels.site.rules import Rules, site_of
from scheduler_sim.engine.kernels.site.state import PIECE, TASK, State
from scheduler_sim.engine.problem import Problem
from scheduler_sim.engine.requests import Requests
from scheduler_sim.engine.sites import Site, fair_tree
from scheduler_sim.engine.units import SECONDS_PER_HOUR
from scheduler_sim.engine.workload import FloatArray, IntArray, Workload


def lay_out(problem: Problem, rules: Rules, asked: Asks) -> State:
    """Return the arrays of a simulation that has not begun.

    Raises:
        OversizedTasks: tasks that could never start.
    """
    workload, site = problem.workload, rules.site
    n = len(workload)
    _refuse_never(workload, site, asked)
    wanted = workload.requests if workload.requests is not None else Requests.blank(n)
    tasks = _tasks(problem, wanted, asked)
    entry_task = np.repeat(np.arange(n), np.diff(asked.first)).astype(np.int64)
    groups, group = NodeGroups.of(site.cluster), site.cluster.group_of_nodes()
    nodes, parts = len(group), len(site.partitions)
    cpu, memory, gpus = groups.cpu[group], groups.memory[group], groups.gpus[group]
    weights = np.array([one.weight for one in site.nodes], np.int64)[group]
    levels = np.array([weights <= weight for weight in np.unique(weights)], bool)
    part_masks = as_words(np.array([_members(site, one.hosts) for one in site.partitions], bool))
    words = part_masks.shape[1]
    settings, reals = rules.settings.copy(), rules.reals.copy()
    settings[state.WORDS], settings[state.NODES], settings[state.LEVELS] = words, nodes, len(levels)
    counts, clock = np.zeros(state.FIELDS, np.int64), np.full(state.CLOCKS, -np.inf)
    clock[state.NEXT_PASS], clock[state.NEXT_DECAY] = rules.first_pass, rules.first_decay
    begin = float(np.floor(workload.arrival_time[0])) if n else 0.0
    clock[state.NOW] = clock[state.REACHED] = -np.inf
    clock[state.LAST_LOOK] = clock[state.LAST_FULL] = begin - 1.0
    pieces = _most_pieces(asked, cpu, gpus)
    counts[state.SPARE] = pieces
    promises = 2 * int(min(settings[state.PLAN_DEPTH], len(entry_task))) + 4
    if not rules.is_slurm and settings[state.BACKFILL] < 2:
        promises = 4
    timer_times, timer_codes = _timers(tasks, site)
    child_first, child_rows = workload.parents.children()
    shut_masks = as_words(np.array([_members(site, one.hosts) for one in site.reservations], bool).reshape(-1, nodes))
    length, room = buffer_for(min(n, pieces))
    settings[state.ROOM] = room
    queued = len(entry_task)

    def rows(size: int) -> IntArray:
        return np.zeros(size, np.int64)

    def of_reservations(name: str) -> FloatArray:
        return np.array([getattr(one, name) for one in site.reservations], np.float64)

    tree = asked.people.tree
    return State(
        site_tasks=tasks,
        kinds=asked.kinds,
        held_pieces=np.zeros(pieces, PIECE),
        counts=counts,
        settings=settings,
        reals=reals,
        clock=clock,
        kind_masks=asked.masks.ravel().copy(),
        level_masks=as_words(levels).ravel(),
        node_weight=weights,
        part_masks=part_masks.ravel(),
        entry_task=entry_task,
        entry_kind=asked.kind,
        entry_limit=np.ceil(asked.limit / 60.0) * 60.0 if rules.is_slurm else asked.limit.copy(),
        entry_key=np.zeros(queued),
        entry_fixed_key=fixed_keys(problem, rules, asked, entry_task, wanted),
        entry_slope=rows(0).astype(float) if problem.scores.slope is None else problem.scores.slope[entry_task],
        entry_lead=leads(rules, asked, entry_task),
        entry_set=rows(queued),
        fair_factors=np.nan_to_num(fair_tree(tree, np.zeros(len(tree.names)))) if tree.is_user.any() else np.zeros(1),
        first_entry=asked.first,
        queue_entries=rows(queued + 1),
        child_first=child_first,
        child_rows=child_rows,
        heap_times=np.zeros(2 * n + 16),
        heap_codes=rows(2 * n + 16),
        timer_times=timer_times,
        timer_codes=timer_codes,
        completed_rows=rows(n),
        leaving_rows=rows(n + 1),
        free_cpu=cpu.copy(),
        free_memory=memory.copy(),
        free_gpus=gpus.copy(),
        all_cpu=cpu,
        all_memory=memory,
        all_gpus=gpus,
        first_on_node=np.full(nodes, -1, np.int64),
        group_on_node=group,
        node_speeds=_pairs(site, "cpu_speed", "gpu_speed"),
        group_watts=_pairs(site, "cpu_busy_watts", "gpu_busy_watts"),
        group_prices=_pairs(site, "usd_per_core_hour", "usd_per_gpu_hour") / SECONDS_PER_HOUR,
        spare_pieces=np.arange(pieces, dtype=np.int64),
        run_ends=np.zeros(n + 1),
        run_tasks=rows(n + 1),
        slot_times=np.zeros(promises),
        slot_masks=rows(promises * words),
        shut_from=of_reservations("start_time"),
        shut_until=of_reservations("end_time"),
        shut_masks=shut_masks.ravel(),
        shut_maint=np.array(
            [any(flag.lower() == "maint" for flag in one.flags) for one in site.reservations], np.int64
        ),
        mask_words=rows(words),
        open_words=rows(words),
        chosen_words=rows(words),
        kept_words=rows(words),
        part_tried=rows(parts),
        part_seen=rows(parts),
        room_nodes=rows(nodes),
        room_units=rows(nodes),
        room_first=rows(nodes),
        room_size=rows(nodes),
        room_sum=rows(nodes),
        room_used=rows(nodes),
        ready_times=np.zeros(nodes),
        ready_rows=rows(nodes),
        chosen_nodes=rows(nodes),
        chosen_units=rows(nodes),
        user_seen=rows(len(workload.user.names) + 1),
        association_seen=rows(len(tree.names) + 1),
        array_running=rows(int(wanted.array.max()) + 1 if n else 1),
        **buffer_columns(length),
    )


def _refuse_never(workload: Workload, site: Site, asked: Asks) -> None:
    never = np.flatnonzero(asked.reason)
    if len(never):
        numbers = tuple(workload.task_id[never[:5]].tolist())
        raise OversizedTasks(
            f"{len(never)} tasks could never start on site {site.name}.", count=len(never), task_ids=numbers
        )


def _members(site: Site, hosts: str) -> Any:
    members = np.zeros(len(site.hosts), bool)
    members[list(site.numbers(hosts))] = True
    return members


def _pairs(site: Site, of_cores: str, of_gpus: str) -> FloatArray:
    """Return two figures of every node group side by side, shape (2 * groups,)."""
    cluster = site.cluster
    return np.column_stack([cluster.of_groups(of_cores), cluster.of_groups(of_gpus)]).ravel()


def _tasks(problem: Problem, wanted: Requests, asked: Asks) -> Any:
    """Return the record of each task before anything has happened."""
    workload, site = problem.workload, site_of(problem)
    tasks = np.zeros(len(workload), TASK)
    offered = np.fmax(workload.arrival_time, wanted.eligible_time)
    if problem.scores.not_before is not None:
        offered = np.maximum(offered, problem.scores.not_before)
    tasks["offered"], tasks["cancel"] = offered, wanted.cancel_time
    tasks["work"] = tasks["undone"] = workload.runtime
    tasks["killed_after"] = np.where(workload.estimate_known, workload.duration_estimate, np.inf)
    for name in ("ready", "start", "begun", "finish", "expected"):
        tasks[name] = np.nan
    tasks["give_way"] = np.inf
    tasks["parents"] = np.diff(workload.parents.offsets)
    tasks["needs_success"], tasks["fails"] = wanted.needs_success, wanted.fails
    tasks["requeueable"] = wanted.requeueable
    tasks["entry"] = tasks["first_piece"] = tasks["node"] = tasks["device"] = tasks["ending"] = -1
    tasks["qos"], tasks["association"] = asked.people.qos, asked.people.association
    tasks["user"] = workload.user.codes
    number = {one.name: at for at, one in enumerate(site.reservations)}
    of_name = np.array([number.get(name, -1) for name in wanted.reservation.names], np.int64)
    tasks["reservation"] = of_name[wanted.reservation.codes] if len(workload) else 0
    tasks["array"], tasks["array_limit"] = wanted.array, wanted.array_limit
    return tasks


def _timers(tasks: Any, site: Site) -> tuple[FloatArray, IntArray]:
    """Return when tasks come and give up waiting, and reservations begin and end, in order."""
    rows = np.arange(len(tasks))
    leaving = np.flatnonzero(~np.isnan(tasks["cancel"]))
    edges = [time for one in site.reservations for time in (one.start_time, one.end_time)]
    times = np.concatenate([tasks["offered"], tasks["cancel"][leaving], edges])
    kinds = np.repeat([state.OFFERED, state.CANCELLED_AT, state.EDGE], [len(rows), len(leaving), len(edges)])
    rows = np.concatenate([rows, leaving, np.arange(len(edges))])
    order = np.lexsort((rows, kinds, times))
    return times[order], (rows * state.TIMER_KINDS + kinds)[order].astype(np.int64)


def _most_pieces(asked: Asks, cpu: IntArray, gpus: IntArray) -> int:
    """Return a bound on how many pieces of running tasks there are at once."""
    if not len(asked.kinds):
        return 1
    least = asked.kinds["cpu"]
    smallest = int(least[least > 0].min()) if (least > 0).any() else MILLI
    here = cpu // smallest + gpus + 1
    most = np.minimum(asked.kinds["most"], len(cpu))
    most = np.where(asked.kinds["counted"] == 1, np.minimum(most, asked.kinds["least"]), most)
    of_tasks = int(np.minimum(most[asked.kind], len(cpu)).sum()) if len(asked.kind) else 0
    return max(min(int(here.sum()), of_tasks), 1)
