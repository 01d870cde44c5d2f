"""From a workload, a site and a policy to the arrays of a simulation that has not begun."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from scheduler_sim.engine.clusters.demand import NodeGroups
from scheduler_sim.engine.clusters.failures import Failure
from scheduler_sim.engine.clusters.paces import Paces
from scheduler_sim.engine.codes import MILLI
from scheduler_sim.engine.errors import OversizedTasks
from scheduler_sim.engine.kernels.attempts import buffer_columns, buffer_for
from scheduler_sim.engine.kernels.site import state
from scheduler_sim.engine.kernels.site.asks import Asks
from scheduler_sim.engine.kernels.site.former import MOST_FORMER
from scheduler_sim.engine.kernels.site.hopeless import never_reasons
from scheduler_sim.engine.kernels.site.keys import fixed_keys, fixed_terms, leads
from scheduler_sim.engine.kernels.site.kinds import WORD, as_words
from scheduler_sim.engine.kernels.site.limit_table import (
    AHEAD_BITS,
    SUBMITTED_BIT,
    USED_BITS,
    LimitTable,
    limit_table,
)
from scheduler_sim.engine.kernels.site.offers import STEP
from scheduler_sim.engine.kernels.site.recall import ANSWERS, NODES_OF_ANSWER
from scheduler_sim.engine.kernels.site.reserved import reserved_columns, spans, turns
from scheduler_sim.engine.kernels.site.rules import Rules, site_of
from scheduler_sim.engine.kernels.site.state import PIECE, PROMISE, TASK, State
from scheduler_sim.engine.kernels.structures.attempt_buffer import AttemptBuffer
from scheduler_sim.engine.kernels.structures.gang_buffer import GangBuffer
from scheduler_sim.engine.kernels.structures.prefetch import LINE
from scheduler_sim.engine.kernels.structures.select import FEW
from scheduler_sim.engine.kernels.structures.vectors import FEW as STEPS
from scheduler_sim.engine.problem import Problem
from scheduler_sim.engine.sites import Qos, ShareTree, Site, classic, fair_tree
from scheduler_sim.engine.units import SECONDS_PER_HOUR
from scheduler_sim.engine.workloads.requests import Requests
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray, Workload

MOST_KNOWN = 512
"""Offers of which it is known at once when each node makes them."""

LISTED_OF_NODE = 32
"""Promises of one plan for which there is room, for each node of the site."""


def lay_out(problem: Problem, rules: Rules, asked: Asks) -> State:
    """Return the arrays of a simulation that has not begun.

    Raises:
        OversizedTasks: tasks that could never start.
    """
    workload, site = problem.workload, rules.site
    n = len(workload)
    _refuse(workload, site, never_reasons(workload, site, asked))
    wanted = workload.requests if workload.requests is not None else Requests.blank(n)
    tasks, paces = _tasks(problem, wanted, asked), Paces.of(workload, site.cluster)
    tasks["paces"] = paces.row * len(site.cluster.groups)
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
    # Slurm's loops look before anything comes; the clock shows no time before the first arrival.
    clock[state.REACHED] = workload.arrival_time[0] if n else 0.0
    counts[state.CHANGED] = rules.is_slurm
    clock[state.LAST_CHECK] = np.floor(rules.reals[state.CHECK_PHASE])
    reserved = spans(site, tasks["offered"])
    timer_times, timer_codes = _timers(tasks, site, turns(reserved), problem.options.failures)
    pieces = _most_pieces(asked, cpu, gpus)
    counts[state.SPARE] = pieces
    counts[state.STEPPED] = -nodes - 1
    counts[state.TOLD] = len(timer_times)
    sets = nodes // 2 + 1
    counts[state.SETS] = sets
    promises = 2 * int(min(settings[state.PLAN_DEPTH], len(entry_task))) + 4
    if not rules.is_slurm and settings[state.BACKFILL] < 2:
        promises = 4
    child_first, child_rows = workload.parents.children()
    length, room = buffer_for(min(n, pieces))
    settings[state.ROOM] = room
    queued = len(entry_task)
    offers = int(asked.kinds["offer"].max()) + 1 if len(asked.kinds) else 1
    known = min(offers, MOST_KNOWN)
    entry_limit = _limits(rules, asked)
    reals[state.LEAST_LIMIT] = entry_limit.min(initial=np.inf)
    limits_found, limit_number = np.unique(entry_limit, return_inverse=True)
    asks_found, entry_ask = np.unique(asked.kind * len(limits_found) + limit_number, return_inverse=True)

    def rows(size: int) -> IntArray:
        return np.zeros(size, np.int64)

    tree = asked.people.tree
    limits = limit_table(workload, site, asked, entry_task)
    settings[state.REFUSES] = bool((limits.checks & SUBMITTED_BIT).any())
    _meter(limits, site, settings)
    arrays = int(wanted.array.max()) + 1 if n else 1
    return State(
        **_tree(tree, site),
        **_preemption(site),
        set_first=limits.first,
        set_counters=limits.counters,
        set_checks=limits.checks,
        counter_jobs=rows(len(limits.most_jobs)),
        counter_most_jobs=limits.most_jobs,
        counter_jobs_word=limits.jobs_word,
        counter_submitted=rows(len(limits.most_jobs)),
        counter_most_submitted=limits.most_submitted,
        counter_submitted_word=limits.submitted_word,
        counter_held=rows(len(limits.most)),
        counter_most=limits.most,
        counter_words=limits.words,
        counter_charges=limits.charges,
        counter_used=np.zeros(len(limits.most_used)),
        counter_most_used=limits.most_used,
        counter_used_words=limits.used_words,
        counter_ahead=np.zeros(len(limits.most_ahead)),
        counter_most_ahead=limits.most_ahead,
        counter_ahead_words=limits.ahead_words,
        counter_decay=np.where(limits.decays, reals[state.DECAY], 1.0),
        counter_stops=limits.stops,
        victim_rows=rows(n + 1),
        victim_overlap=rows(n + 1),
        under_rows=rows(n + 1),
        active_cpu=rows(nodes),
        array_rejected=rows(arrays * parts),
        array_planned=rows(arrays),
        site_tasks=tasks,
        kinds=asked.kinds,
        dealt_grains=asked.dealt,
        held_pieces=_in_lines(pieces, PIECE),
        counts=counts,
        settings=settings,
        reals=reals,
        clock=clock,
        kind_masks=asked.masks.ravel().copy(),
        suit_masks=asked.suits.ravel().copy(),
        level_masks=as_words(levels).ravel(),
        node_weight=np.unique(weights, return_inverse=True)[1].astype(np.int64),
        part_masks=part_masks.ravel(),
        entry_task=entry_task,
        entry_kind=asked.kind,
        entry_limit=entry_limit,
        entry_key=np.zeros(queued),
        entry_fixed_key=fixed_keys(problem, rules, entry_task),
        entry_slope=rows(0).astype(float) if problem.scores.slope is None else problem.scores.slope[entry_task],
        entry_terms=fixed_terms(rules, asked, entry_task, wanted),
        entry_submit=np.floor(workload.arrival_time[entry_task]) if rules.is_slurm else np.zeros(queued),
        entry_lead=leads(rules, asked, entry_task),
        entry_set=limits.entry_set,
        first_entry=asked.first,
        queue_entries=rows(queued + 1),
        entry_settled=rows(queued),
        entry_alone=_stand_alone(asked.first, entry_task, limits, wanted.array),
        entry_planned=np.full(queued, np.inf),
        **_former(queued, words),
        child_first=child_first,
        child_rows=child_rows,
        # What may be to come of all tasks, what one instant adds, and as much again: beyond half of it stale events go.
        heap_times=np.zeros(6 * n + 64),
        heap_codes=rows(6 * n + 64),
        node_away=rows(nodes),
        up_words=np.full(words, -1, np.int64),
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
        **_steps(nodes),
        group_on_node=group,
        core_speeds=site.cluster.of_groups("cpu_speed"),
        gpu_paces=paces.gpu.ravel(),
        group_watts=_pairs(site, "cpu_busy_watts", "gpu_busy_watts"),
        group_prices=_pairs(site, "usd_per_core_hour", "usd_per_gpu_hour") / SECONDS_PER_HOUR,
        spare_pieces=np.arange(pieces, dtype=np.int64),
        run_ends=np.zeros(n + 1),
        run_tasks=rows(n + 1),
        run_nodes=rows(n + 1),
        run_sets=rows(sets * words),
        spare_sets=np.arange(sets, dtype=np.int64),
        slot_times=np.zeros(promises + WORD),
        slot_masks=_in_lines(promises * words, np.int64),
        slot_place=np.arange(promises, dtype=np.int64),
        part_first_word=(part_masks != 0).argmax(axis=1),
        part_end_word=words - (part_masks != 0)[:, ::-1].argmax(axis=1),
        promise_words=rows(words),
        promise_first=rows(nodes),
        node_promises=_in_lines(nodes * LISTED_OF_NODE, PROMISE),
        promise_head=_in_lines(words * WORD, np.float64),
        promise_until=_in_lines(words * WORD, np.float64),
        promise_after=rows(nodes),
        entry_ask=entry_ask.astype(np.int64),
        ask_hopeless=np.full(len(asks_found), -1, np.int64),
        ask_given_up=np.full(len(asks_found), -1, np.int64),
        ask_bounded=np.full(len(asks_found), -1, np.int64),
        ask_bound=np.zeros(len(asks_found)),
        **_answers(words),
        **reserved_columns(site, reserved),
        mask_words=rows(words),
        avail_words=rows(words),
        suit_words=rows(words),
        usable_words=rows(words),
        open_words=rows(words),
        chosen_words=rows(words),
        kept_words=rows(words),
        part_tried=rows(parts),
        part_seen=rows(parts),
        room_nodes=rows(nodes),
        room_cores=rows(nodes),
        room_weight=rows(nodes),
        room_gpus=rows(nodes),
        room_first=rows(nodes),
        room_size=rows(nodes),
        room_sum=rows(nodes),
        room_rank=rows(nodes),
        ready_times=np.zeros(max(nodes, FEW)),
        ready_rows=rows(nodes),
        known_times=_in_lines(known * words * WORD, np.float64),
        known_rows=rows(known * words * WORD),
        known_offer=np.full(known, -1, np.int64),
        known_upto=rows(known),
        known_masks=rows(known * words),
        within_words=rows(words),
        changed_nodes=rows(2 * nodes),
        changed_words=rows(words),
        changed_span=np.full(2, -1, np.int64),
        part_version=rows(parts),
        kind_failed=np.full(len(asked.kinds), -1, np.int64),
        kind_fitted=np.full(len(asked.kinds), -1, np.int64),
        chosen_nodes=rows(nodes),
        chosen_units=rows(nodes),
        saved_nodes=rows(nodes),
        saved_units=rows(nodes),
        user_seen=rows(len(workload.user.names) + 1),
        association_seen=rows(len(tree.names) + 1),
        array_running=rows(arrays),
        buffer=AttemptBuffer(**buffer_columns(length)),
        **GangBuffer.of(pieces)._asdict(),
    )


def _refuse(workload: Workload, site: Site, reasons: IntArray) -> None:
    never = np.flatnonzero(reasons)
    if len(never):
        numbers = tuple(workload.task_id[never[:5]].tolist())
        raise OversizedTasks(
            f"{len(never)} tasks could never start on site {site.name}.", count=len(never), task_ids=numbers
        )


def _limits(rules: Rules, asked: Asks) -> FloatArray:
    """Return the seconds for which each entry may run: to Slurm whole minutes, not longer than its partition allows."""
    if not rules.is_slurm:
        return asked.limit.copy()
    longest = np.array([np.inf if one.max_time is None else one.max_time for one in rules.site.partitions], np.float64)
    part = asked.kinds["part"][asked.kind] if len(asked.kind) else asked.kind
    minutes: FloatArray = np.maximum(np.ceil(asked.limit / 60.0), 1.0)
    return np.minimum(60.0 * minutes, longest[part])


def _tree(tree: ShareTree, site: Site) -> dict[str, Any]:
    """Return the tree of shares as arrays, with the factors before anything was used."""
    n = len(tree.names)
    usage = np.zeros(n)
    factors = np.zeros(n)
    if tree.is_user.any():
        ranks = fair_tree(tree, usage)
        if site.priority.fair_share == "classic":
            ranks = classic(tree, usage, damping=site.priority.damping)
        factors = np.nan_to_num(ranks)
    below = [list(tree.siblings(entry)) if not tree.is_user[entry] else [] for entry in range(n)]
    return {
        "fair_factors": factors,
        "fair_usage": usage,
        "fair_total": np.zeros(n),
        "fair_level": np.zeros(n),
        "fair_shares": tree.shares,
        "fair_above": tree.parent,
        "fair_is_user": tree.is_user.astype(np.int64),
        "fair_first": np.concatenate(([0], np.cumsum([len(one) for one in below]))).astype(np.int64),
        "fair_below": np.array([entry for one in below for entry in one], np.int64),
        "fair_order": np.zeros(n + 2, np.int64),
        "fair_frames": np.zeros(4 * (n + 2), np.int64),
    }


def _preemption(site: Site) -> dict[str, Any]:
    """Return who gives way to whom as arrays; behind the QOS stands what holds of tasks without one."""
    # GANG alone lets tasks take turns on cores that they share, and none do.
    modes = {
        "off": state.NO_MODE, "gang": state.NO_MODE, "cancel": state.CANCELS, "requeue": state.REQUEUES,
        "suspend": state.SUSPENDS,
    }  # fmt: skip
    names = [one.name for one in site.qos]
    preempts = np.zeros((len(names) + 1, len(names) + 1), np.int64)
    for number, one in enumerate(site.qos):
        preempts[number, :-1] = [name in one.preempts for name in names]
        preempts[number, -1] = bool(one.preempts)

    def mode(stated: str | None) -> int:
        return modes[stated or site.preemption.mode]

    exempt = site.preemption.exempt_time
    by_qos = site.preemption.kind == "qos"
    return {
        "qos_grace": np.array([*(one.grace_time for one in site.qos), 0.0], np.float64),
        "qos_level": _levels(preempts[:-1, :-1]),
        "part_grace": np.array([one.grace_time for one in site.partitions], np.float64),
        # In a partition that gives whole nodes away (OverSubscribe=EXCLUSIVE) no two tasks are on one.
        "part_overlays": np.array([not one.exclusive for one in site.partitions], np.int64),
        "qos_usage": np.array([*(one.usage_factor for one in site.qos), 1.0], np.float64),
        "qos_limit_factor": np.array(
            [*(one.usage_factor if _has_flag(one, "usagefactorsafe") else 1.0 for one in site.qos), 1.0], np.float64
        ),
        "qos_preempts": preempts.ravel(),
        "qos_mode": np.array([*(mode(one.preempt_mode) for one in site.qos), mode(None)], np.int64),
        "qos_rank": np.array([*(one.priority for one in site.qos), 0], np.int64),
        "qos_exempt": np.array(
            [*(exempt if one.exempt_time is None else one.exempt_time for one in site.qos), exempt], np.float64
        ),
        "part_mode": np.array([mode(None if by_qos else one.preempt_mode) for one in site.partitions], np.int64),
        "part_tier": np.array([one.tier for one in site.partitions], np.int64),
    }


def _has_flag(qos: Qos, flag: str) -> bool:
    return flag in {one.lower() for one in qos.flags}


def _meter(limits: LimitTable, site: Site, settings: IntArray) -> None:
    """Write whether there are limits on what is used, and what follows from them.

    Only priority/multifactor calculates what was used; without it nothing has been, as in Slurm.
    """
    meters, uses = bool((limits.checks & (USED_BITS | AHEAD_BITS)).any()), bool((limits.checks & USED_BITS).any())
    calculates = site.priority.kind == "multifactor"
    settings[state.METERS], settings[state.SAFE] = meters, "safe" in site.enforces
    settings[state.CHARGES] = settings[state.BY_FACTORS] or (meters and calculates)
    settings[state.SPENDS] = uses and calculates and "safe" not in site.enforces
    settings[state.CHECKS] |= settings[state.SPENDS]


def _in_lines(size: int, kind: Any) -> Any:
    """Return so many zeros from the beginning of a line of memory on: what lies in two lines takes twice as long."""
    length = size * np.dtype(kind).itemsize
    room = np.zeros(length + LINE, np.uint8)
    first = -room.ctypes.data % LINE
    return room[first : first + length].view(kind)


def _stand_alone(first: IntArray, entry_task: IntArray, limits: LimitTable, arrays: IntArray) -> IntArray:
    """Return which entries no limit and no array binds, whose tasks have no other, shape (entries,)."""
    is_bound = np.diff(limits.first)[limits.entry_set] > 0
    alone: IntArray = (~is_bound & (arrays[entry_task] == 0) & (np.diff(first)[entry_task] == 1)).astype(np.int64)
    return alone


def _former(queued: int, words: int) -> dict[str, Any]:
    """Return an empty list of plans of the pass before."""
    size = min(MOST_FORMER, 2 * queued + 2)
    room: dict[str, Any] = {f"former_{name}": np.zeros(size, np.int64) for name in ("entry", "next", "before")}
    room |= {f"former_{name}": np.zeros(size) for name in ("begin", "end", "bound")}
    return room | {
        "former_words": np.zeros(size * words, np.int64),
        "entry_former": np.zeros(queued, np.int64),
        "eased_words": np.zeros(words, np.int64),
    }


def _steps(nodes: int) -> dict[str, Any]:
    """Return room for the steps of `offers`."""
    return {
        "step_ends": _in_lines(nodes * STEPS, np.float64),
        "step_free": _in_lines(nodes * STEPS * STEP, np.int64),
        "steps_of_node": np.zeros(nodes, np.int64),
    }


def _answers(words: int) -> dict[str, Any]:
    """Return the room for answers, none of which is known."""
    numbers = {"kind": 1, "version": 1, "chosen": 1, "row": 1, "both": words, "within": words}
    numbers |= {"nodes": NODES_OF_ANSWER, "units": NODES_OF_ANSWER}
    room: dict[str, Any] = {f"answer_{name}": _in_lines(ANSWERS * each, np.int64) for name, each in numbers.items()}
    for numbers_of in room.values():
        numbers_of[:] = -1
    return room | {f"answer_{name}": np.zeros(ANSWERS) for name in ("time", "until", "earliest")}


def _levels(preempts: IntArray) -> IntArray:
    """Return how many QOS there are in a row below each of which the next preempts the one before, and 0 at the end."""
    levels = np.zeros(len(preempts) + 1, np.int64)
    # As many rounds as there are QOS: those that preempt each other in a ring end on one level.
    for _ in range(len(preempts)):
        below = np.where(preempts > 0, levels[:-1] + 1, 0).max(axis=1, initial=0)
        levels[:-1] = np.minimum(below, len(preempts))
    return levels


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
    for name in ("ready", "eligible", "start", "begun", "finish", "expected"):
        tasks[name] = np.nan
    tasks["give_way"], tasks["preempted_at"] = np.inf, -np.inf
    tasks["parents"] = np.diff(workload.parents.offsets)
    tasks["needs_success"], tasks["fails"] = wanted.needs_success, wanted.fails
    tasks["requeueable"] = wanted.requeueable & site.scheduling.requeues_jobs
    tasks["entry"] = tasks["first_piece"] = tasks["node"] = tasks["device"] = tasks["ending"] = -1
    tasks["qos"], tasks["association"] = asked.people.qos, asked.people.association
    tasks["user"] = workload.user.codes
    number = {one[0].asked_as: at for at, one in reversed([*enumerate(site.reserved)])}
    of_name = np.array([number.get(name, -1) for name in wanted.reservation.names], np.int64)
    tasks["reservation"] = of_name[wanted.reservation.codes] if len(workload) else 0
    tasks["array"], tasks["array_limit"] = wanted.array, wanted.array_limit
    return tasks


def _timers(tasks: Any, site: Site, edges: Sequence[float], failures: Sequence[Failure]) -> tuple[FloatArray, IntArray]:
    """Return when tasks come and give up waiting, reservations begin and end, and nodes go and come back, in order."""
    rows = np.arange(len(tasks))
    leaving = np.flatnonzero(~np.isnan(tasks["cancel"]))
    of_nodes = [*_outages(site), *((one.start_time, state.FAILS, one.node or 0) for one in failures)]
    of_nodes += [(one.start_time + one.duration, state.COMES, one.node or 0) for one in failures]
    times = np.concatenate([tasks["offered"], tasks["cancel"][leaving], edges, [time for time, _, _ in of_nodes]])
    kinds = np.repeat([state.OFFERED, state.CANCELLED_AT, state.EDGE], [len(rows), len(leaving), len(edges)])
    kinds = np.concatenate([kinds, [kind for _, kind, _ in of_nodes]]).astype(np.int64)
    rows = np.concatenate([rows, leaving, np.arange(len(edges)), [node for _, _, node in of_nodes]]).astype(np.int64)
    order = np.lexsort((rows, kinds, times))
    return times[order], (rows * state.TIMER_KINDS + kinds)[order].astype(np.int64)


def _outages(site: Site) -> Iterator[tuple[float, int, int]]:
    """Yield when nodes go away, or fail, and come back: named ones, and the highest numbered ones of each group."""
    for named in site.outages:
        for node in site.numbers(named.hosts):
            yield named.start_time, state.FAILS if named.kill else state.GOES, node
            if named.end_time is not None:
                yield named.end_time, state.COMES, node
    first = 0
    for group in site.cluster.groups:
        for outage in group.outages:
            for node in range(first + group.count - outage.nodes, first + group.count):
                yield outage.start_time, state.FAILS if outage.kill else state.GOES, node
                yield outage.end_time, state.COMES, node
        first += group.count


def _most_pieces(asked: Asks, cpu: IntArray, gpus: IntArray) -> int:
    """Return a bound on how many pieces of running tasks there are at once."""
    if not len(asked.kinds):
        return 1
    least = asked.kinds["grain"]
    smallest = int(least[least > 0].min()) if (least > 0).any() else MILLI
    here = cpu // smallest + gpus + 1
    most = np.minimum(asked.kinds["most"], len(cpu))
    of_tasks = int(np.minimum(most[asked.kind], len(cpu)).sum()) if len(asked.kind) else 0
    return max(min(int(here.sum()), of_tasks), 1)
