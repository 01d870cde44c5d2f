"""The arrays of a simulation on nodes: how they are laid out before anything has happened."""

from typing import Any

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.clusters.demand import (
    UNLIMITED,
    Demands,
    GpuNeeds,
    NodeGroups,
    demands,
    most_pieces,
    possible_fractions,
    refuse_oversized,
    task_kinds,
)
from scheduler_sim.engine.clusters.paces import Paces
from scheduler_sim.engine.clusters.transfers import Transfers
from scheduler_sim.engine.codes import (
    BEST_FIT,
    COMPACT,
    CONSERVATIVE,
    FGD,
    FIRST_FIT,
    LEARNED_NODE,
    MAX_MIN,
    MILLI,
    MIN_MIN,
    NOT_PLANNED,
    ORACLE,
    STATIC,
    SUFFERAGE,
    WEIGHTED_FIT,
)
from scheduler_sim.engine.contract import Options
from scheduler_sim.engine.formulas import played_runtime
from scheduler_sim.engine.kernels.calling import make_call
from scheduler_sim.engine.kernels.cluster import state
from scheduler_sim.engine.kernels.cluster.classes import LEFT
from scheduler_sim.engine.kernels.cluster.fgd import percent_limits
from scheduler_sim.engine.kernels.cluster.kept import keeps_reservations, room_for
from scheduler_sim.engine.kernels.cluster.queue import FAN, NOTHING
from scheduler_sim.engine.kernels.cluster.search import LENGTHS
from scheduler_sim.engine.kernels.cluster.state import Sim, View
from scheduler_sim.engine.kernels.structures.calendar import Calendar
from scheduler_sim.engine.kernels.structures.gang_buffer import GangBuffer
from scheduler_sim.engine.kernels.structures.releases import longest_list
from scheduler_sim.engine.policies import Choices, Policy, Scores
from scheduler_sim.engine.policies.choice_scoring import CHOICES
from scheduler_sim.engine.power_cap import MICRO, busy_power
from scheduler_sim.engine.problem import Problem
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray, Workload

FEWEST_INDEXED = 9
"""From this many nodes on an index answers quicker than looking at each."""

MOST_KEPT = 2**24
"""Gains of kinds of tasks in classes of nodes that are kept; those of rarer kinds are worked out at every choice."""

MOST_CLASSED = 2**28
"""Nodes times classes at most, which are as many bits."""

CACHE_LINE = 64
"""Bytes."""


def lay_out(problem: Problem, *, far: bool = False) -> Sim:
    """Return all arrays of a run before anything has happened.

    Args:
        problem: what is played.
        far: ends that lie far ahead need not be in the heap, because nobody looks at all of them.

    Raises:
        OversizedTasks: tasks that the empty cluster could not start.
    """
    workload, cluster, policy = problem.workload, problem.cluster, problem.policy
    scores, choices, options = problem.scores, problem.choices, problem.options
    asked = demands(workload, cluster)
    refuse_oversized(workload, cluster, asked)
    allowed, gpu_nodes, any_nodes = _allowed_nodes(workload, cluster, asked, choices)
    tasks = _tasks(workload, asked, policy, scores, choices, options)
    tasks["gpu_nodes"], tasks["any_nodes"] = gpu_nodes, any_nodes
    n, nodes = len(workload), cluster.nodes
    groups, group = NodeGroups.of(cluster), cluster.group_of_nodes()
    planned = policy.placement.planned
    pick = scores.kind in (MIN_MIN, MAX_MIN, SUFFERAGE)
    lists = planned != NOT_PLANNED or pick
    conservative = policy.backfill.code == CONSERVATIVE and planned == NOT_PLANNED
    easy = policy.backfill.name == "easy"
    fgd = policy.placement.code == FGD
    slots = min(2 * nodes, MOST_CLASSED // nodes)
    settings = np.zeros(state.SETTINGS, np.int64)
    rule, racks = policy.placement.code, _racks(cluster)
    settings[state.TOGETHER] = rule == COMPACT and cluster.topology is not None
    settings[state.RULE], settings[state.BACKFILL] = BEST_FIT if rule == COMPACT else rule, policy.backfill.code
    settings[state.PLANNED], settings[state.IN_TURN] = planned, policy.placement.in_turn
    settings[state.KIND], settings[state.SEQUENTIAL] = scores.kind, options.split_model == "sequential"
    settings[state.DEPTH] = n if options.conservative_depth is None else options.conservative_depth
    standing = conservative and keeps_reservations(problem, asked)
    settings[state.KEPT_LISTS] = lists or standing
    settings[state.TREE] = scores.kind == STATIC and scores.slope is None
    settings[state.INDEXED] = nodes >= FEWEST_INDEXED
    settings[state.CLASSED] = fgd or (rule == WEIGHTED_FIT and nodes >= FEWEST_INDEXED)
    settings[state.MOST_MEMORY] = max(
        int(tasks[name].max(initial=0)) for name in ("memory", "full_memory", "last_memory")
    )
    alone_without = (tasks["last_gpu"] == 0) & ((tasks["full_nodes"] == 0) | (tasks["last_cpu"] > 0))
    settings[state.BY_CORES] = rule != FIRST_FIT and bool((alone_without | (tasks["hybrid"] != 0)).any())
    settings[state.KEPT] = standing = standing and bool(settings[state.TREE])
    power = _power(problem)
    settings[state.SLEEPS], settings[state.CAPS] = cluster.sleeps, problem.cap is not None
    settings[state.MOST_CORES], settings[state.MOST_GPUS] = max(groups.cpu.max() // MILLI, 1), max(groups.gpus.max(), 1)
    counts = np.zeros(state.FIELDS, np.int64)
    counts[state.FREE_CPU] = (groups.cpu * groups.count).sum()
    counts[state.FREE_GPU] = (groups.gpus * groups.count).sum() * MILLI
    counts[state.DRAWN] = round(cluster.idle_watts * MICRO)
    counts[state.CAP_STEP] = 0 if problem.cap is None else problem.cap.step
    most_gpus = int(groups.gpus.max())
    live = _view(groups, group, most_gpus)
    most_chunks, on_one_node = most_pieces(cluster, asked)
    chunks = np.zeros(most_chunks + 1, state.CHUNK)
    chunks["more"] = np.arange(1, most_chunks + 2)
    levels, tree = _tree(n if settings[state.TREE] else 1)
    row_of_rank = np.argsort(tasks["rank"], kind="stable")
    tasks["fgd_kind"] = -1
    needs, kept, gain_limits = GpuNeeds.of(*(np.zeros(0, np.int64),) * 3), (1, 1), np.zeros(0, np.int64)
    if fgd:
        needs, kinds = _gpu_needs(tasks, max(MOST_KEPT // slots, 1))
        if policy.placement.value("gain") == "percent":
            needs, gain_limits = needs.lost_without_gpus(), percent_limits(n)
        tasks["fgd_kind"], kept = kinds, (int(kinds.max(initial=0)) + 1, slots)
    list_length = longest_list(on_one_node) if lists else 1
    if standing:
        where = np.where(tasks["gpu"] > 0, tasks["gpu_nodes"], tasks["any_nodes"])
        tasks["fgd_kind"] = _frequent_kinds(
            tasks, tasks["cpu"], tasks["gpu"], where, max(MOST_KEPT // (LENGTHS * nodes), 1)
        )
    outage_times, outage_nodes, outage_signs = _outages(cluster, groups)
    first = np.concatenate(([0], np.cumsum(asked.full_nodes + 1)))[:-1] if conservative else np.zeros(1, np.int64)
    reserved = int((asked.full_nodes + 1).sum()) if conservative else 1
    words = (nodes + 63) // 64
    core_levels = min(int(groups.cpu.max()) // MILLI + 1, state.MOST_LEVELS)
    users = len(workload.user.names)
    limited = (groups.memory < UNLIMITED).all()
    paces = Paces.of(workload, cluster)
    tasks["paces"] = paces.row * len(cluster.groups)
    settings[state.STRIDE] = paces.gpu.size
    child_offsets, children = workload.parents.children()
    transfers = Transfers.of(workload, cluster)
    settings[state.SENDS] = transfers is not None
    pieces = int(asked.full_nodes.max(initial=0)) + 1
    return Sim(
        tasks=tasks,
        chunks=chunks,
        live=live,
        plan=copied(live) if easy or conservative else _empty(),
        window=copied(live) if conservative else _empty(),
        empty=copied(live) if standing else _empty(),
        beside=copied(live) if standing else _empty(),
        counts=counts,
        settings=settings,
        floats=np.array(
            [
                (groups.cpu * groups.count).sum(),
                (groups.gpus * groups.count).sum() * MILLI,
                (groups.memory * groups.count).sum() if limited else 0,
            ],
            np.float64,
        ),
        checkpoints=np.array([np.inf, 0.0, 1.0]),
        clock=np.full(3, workload.arrival_time[0] if n else 0.0),
        node_gpus=groups.gpus[group],
        node_cpu=groups.cpu[group],
        node_group=group.astype(np.int64),
        first_chunk=np.full(nodes, -1, np.int64),
        turn=np.zeros(nodes, np.int64),
        mark=np.zeros(nodes, np.int64),
        speeds=np.concatenate([_speeds(one, Paces.of(workload, one)) for one in steps_of(problem)]),
        allowed=allowed,
        arrivals=np.lexsort((np.arange(n), tasks["offered"])).astype(np.int64),
        child_offsets=child_offsets,
        children=children,
        **_links(transfers),
        heap_times=np.zeros(2 * min(most_chunks, n) + 2),
        heap_codes=np.zeros(2 * min(most_chunks, n) + 2, np.int64),
        order=np.zeros(n, np.int64),
        outage_times=outage_times,
        outage_nodes=outage_nodes,
        outage_signs=outage_signs,
        row_of_rank=row_of_rank.astype(np.int64),
        levels=levels,
        tree_cpu=tree,
        tree_gpu=tree.copy(),
        listed=np.zeros(1 if settings[state.TREE] else n, np.int64),
        walk=np.zeros(1 if settings[state.TREE] and not conservative else n, np.int64),
        scores=np.zeros(1),
        newcomers=np.zeros(n, np.int64),
        piece_node=np.zeros(pieces, np.int64),
        piece_mask=np.zeros(pieces, np.int64),
        piece_device=np.zeros(pieces, np.int64),
        user_cpu=np.zeros(users, np.int64),
        user_gpu=np.zeros(users, np.int64),
        user_memory=np.zeros(users, np.int64),
        user_charge=np.zeros(users + 1),
        backfill_base=np.zeros(1) if scores.backfill is None else scores.backfill.base.astype(np.float64),
        backfill_slope=_slopes(scores.backfill, n),
        parameters=np.zeros(1) if scores.parameters is None else scores.parameters.astype(np.float64),
        features=np.zeros((1, 2)) if scores.features is None else scores.features.astype(np.float64),
        needs=np.ascontiguousarray(needs.needs),
        need_cores=needs.cores,
        need_tasks=needs.tasks,
        list_stamp=np.zeros(nodes if lists else 1, np.int64),
        list_size=np.zeros((3, nodes if lists else 1), np.int64),
        list_time=np.zeros((3, nodes if lists else 1, list_length)),
        list_amount=np.zeros((3, nodes if lists else 1, list_length), np.int64),
        reserved_time=np.full(n if conservative else 1, np.nan),
        reserved_first=first,
        reserved_rows=np.zeros(n if conservative else 1, np.int64),
        reserved_node=np.zeros(reserved, np.int64),
        reserved_mask=np.zeros(reserved, np.int64),
        reserved_device=np.zeros(reserved, np.int64),
        reserved_from=np.zeros(2 * n if conservative else 1),
        **room_for(n if standing else 0, nodes, tasks, reserved, on_one_node),
        gpu_level=np.full(nodes, -1, np.int64),
        cpu_level=np.full(nodes, -1, np.int64),
        gpu_bits=np.zeros((most_gpus + 1, words), np.int64),
        gpu_words=np.zeros((most_gpus + 1, (words + 63) // 64), np.int64),
        gpu_count=np.zeros(most_gpus + 1, np.int64),
        cpu_bits=np.zeros((core_levels, words), np.int64),
        cpu_words=np.zeros((core_levels, (words + 63) // 64), np.int64),
        cpu_count=np.zeros(core_levels, np.int64),
        allowed_bits=np.ascontiguousarray(_as_bits(allowed, words)),
        block_cpu=np.full(words, -1, np.int64),
        gain_limits=gain_limits,
        **_learned(policy, choices),
        fgd_gain=np.zeros(kept, np.int64),
        fgd_stamp=np.zeros(kept, np.int64),
        **_classes(nodes if settings[state.CLASSED] else 0, slots, most_gpus),
        **racks,
        **power,
        **make_call(scores.called, cores=cluster.cores, gpus=cluster.gpus)._asdict(),
        **GangBuffer.of(most_chunks)._asdict(),
        **Calendar.of(2 * min(most_chunks, n) if far else 0)._asdict(),
    )


def _learned(policy: Policy, choices: Choices) -> dict[str, Any]:
    """Return the weights of a learned choice of node or split, and room to work its scores out."""
    form = CHOICES["node" if policy.placement.code == LEARNED_NODE else "split"]
    return {
        "choice_weights": np.zeros(0) if choices.weights is None else choices.weights,
        "choice_state": np.zeros(len(form.states)),
        "choice_folded": np.zeros(len(form.features)),
        "choice_seen": np.zeros(len(form.features)),
    }


def _classes(nodes: int, slots: int, most_gpus: int) -> dict[str, Any]:
    """Return room for `slots` classes of nodes and for the nodes that are in none of them."""
    slots = slots if nodes else 0
    classes = np.zeros(slots + 1, state.CLASS)
    classes["place"] = np.arange(slots + 1)
    return {
        "classes": classes,
        "class_of": np.full(nodes, -1, np.int64),
        "class_key": np.zeros((slots + 1, LEFT + max(most_gpus, 1)), np.int64),
        "class_bits": np.zeros((slots + 1, (nodes + 63) // 64), np.int64),
        "class_list": np.arange(slots),
        "class_bucket": np.full(1 << (2 * slots).bit_length(), -1, np.int64),
    }


def _speeds(cluster: Cluster, paces: Paces) -> FloatArray:
    """Return the speeds of cores, GPUs and link in each group, one set of groups behind the other for each pace."""
    speeds = np.empty((*paces.gpu.shape, 3))
    speeds[:, :, 0], speeds[:, :, 1] = cluster.of_groups("cpu_speed"), paces.gpu
    speeds[:, :, 2] = cluster.of_groups("bandwidth_mb_per_second")
    return speeds.reshape(-1, 3)


def crossed_levels(sim: Sim) -> IntArray | None:
    """Return how many levels of racks each task crosses, in its last attempt, shape (n,); None without racks."""
    crossed: IntArray = sim.tasks["crossed"].astype(np.int64)
    return crossed if len(sim.rack_of) else None


def _links(transfers: Transfers | None) -> dict[str, Any]:
    """Return what tasks are sent, and how long that takes."""
    if transfers is None:
        whole, real, table = np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 0))
        columns: tuple[Any, ...] = (whole, whole, real, table, table)
    else:
        parents = transfers.parents
        columns = (parents.offsets, parents.rows, transfers.mb, transfers.latency, transfers.per_mb)
    names = ("parent_offsets", "parent_rows", "parent_mb", "link_latency", "link_per_mb")
    return dict(zip(names, columns, strict=True))


def _racks(cluster: Cluster) -> dict[str, Any]:
    """Return where each node stands, and what is counted of racks and of the levels of switches above them."""
    topology = cluster.topology
    if topology is None:
        on, crossing = np.zeros((0, cluster.nodes), np.int64), np.ones(1)
    else:
        on, crossing = topology.numbers(cluster.node_names), topology.factors()
    most = int(on.max(initial=0)) + 1
    parent = np.full((len(on), most), -1, np.int64)
    for level in range(len(on) - 1):
        parent[level, on[level]] = on[level + 1]
    return {
        "crossing": crossing,
        "rack_of": np.ascontiguousarray(on, np.int64),
        "rack_parent": parent,
        "rack_count": on.max(axis=1, initial=-1) + 1,
        "rack_taken": np.zeros(most, np.int64),
        **{f"rack_{what}": np.zeros((len(on), most), np.int64) for what in ("free", "rest", "want")},
    }


def steps_of(problem: Problem) -> tuple[Cluster, ...]:
    """Return the cluster at each step of frequency among which a power cap chooses; only as it is where none does."""
    cluster = problem.cluster
    return cluster.steps_down if problem.cap is not None and cluster.has_slower_steps else (cluster,)


def _power(problem: Problem) -> dict[str, Any]:
    """Return when nodes go to sleep and wake, what devices draw, and the power cap."""
    cluster, cap = problem.cluster, problem.cap
    begin = problem.workload.arrival_time[0] if len(problem.workload) else 0.0
    after = [np.inf if group.sleep is None else group.sleep.suspend_time for group in cluster.groups]
    return {
        "node_tasks": np.zeros(cluster.nodes, np.int64),
        "idle_since": np.full(cluster.nodes, begin, np.float64),
        "awake_at": np.full(cluster.nodes, -np.inf),
        "sleep_after": np.array(after, np.float64)[cluster.group_of_nodes()],
        "wake_time": np.array([cluster.resume_time], np.float64),
        "core_power": np.concatenate([busy_power(one, "cpu") for one in steps_of(problem)]),
        "gpu_power": np.concatenate([busy_power(one, "gpu") for one in steps_of(problem)]),
        "cap_times": np.zeros(1) if cap is None else cap.times,
        "cap_span": np.array([0.0 if cap is None else cap.span], np.float64),
        "cap_power": np.zeros(1, np.int64) if cap is None else cap.power,
    }


def _slopes(scores: Scores | None, n: int) -> FloatArray:
    return np.zeros(n) if scores is None or scores.slope is None else scores.slope.astype(np.float64)


def _view(groups: NodeGroups, group: IntArray, most_gpus: int) -> View:
    """Return the state of the empty cluster."""
    gpus = groups.gpus[group]
    free = np.array([((1 << int(count)) - 1) for count in gpus], np.uint64).view(np.int64)
    return View(
        cores=groups.cpu[group],
        ram=groups.memory[group],
        free=free,
        parted=np.zeros(len(group), np.int64),
        left=np.full((len(group), max(most_gpus, 1)), MILLI, np.int64),
        devices=gpus * MILLI,
        away=np.zeros(len(group), np.int64),
    )


def copied(view: View) -> View:
    """Return a state of the nodes with arrays of its own."""
    return View(*(column.copy() for column in view))


def _empty() -> View:
    column = np.zeros(0, np.int64)
    return View(column, column, column, column, np.zeros((0, 1), np.int64), column, column)


def _tree(n: int) -> tuple[IntArray, IntArray]:
    """Return where each level of the tree of least needs begins, and the empty tree."""
    starts, size, total = [0], max(-(-n // FAN) * FAN, FAN), 0
    while True:
        total += size
        if size <= FAN:
            break
        starts.append(total)
        size = (size // FAN + FAN - 1) // FAN * FAN
    return np.array(starts, np.int64), np.full(total, NOTHING, np.int64)


def _gpu_needs(tasks: Any, most_kinds: int) -> tuple[GpuNeeds, IntArray]:
    """Return what fragmentation counts, and each task's kind, for keeping gains.

    Gangs have none (-1), and only the `most_kinds` most frequent kinds have one.
    """
    cpu = np.where(tasks["hybrid"] & (tasks["fixed"] == 1.0), 0, tasks["cpu"])
    gpu = np.where(tasks["hybrid"] & (tasks["fixed"] == 0.0), 0, tasks["gpu"])
    nodes = np.where(gpu > 0, tasks["gpu_nodes"], tasks["any_nodes"])
    return GpuNeeds.of(cpu, gpu, nodes), _frequent_kinds(tasks, cpu, gpu, nodes, most_kinds)


def _frequent_kinds(tasks: Any, cpu: IntArray, gpu: IntArray, nodes: IntArray, most: int) -> IntArray:
    """Return a number for each of the `most` most frequent kinds of tasks on one node, -1 for the others."""
    number, _, counts = task_kinds(cpu, gpu, nodes, tasks["memory"])
    place = np.argsort(np.argsort(-counts, kind="stable"), kind="stable")
    place[place >= most] = -1
    kinds: IntArray = np.where(tasks["full_nodes"] > 0, -1, place[number])
    return kinds


def _outages(cluster: Cluster, groups: NodeGroups) -> tuple[Any, IntArray, IntArray]:
    """Return times, nodes and signs of the beginnings and ends of outages that let tasks finish, in order of time."""
    events = []
    for number, group in enumerate(cluster.groups):
        last = int(groups.first[number] + groups.count[number])
        for outage in group.outages:
            if outage.kill:
                continue
            for node in range(last - outage.nodes, last):
                events.append((outage.start_time, node, 1))
                events.append((outage.end_time, node, -1))
    events.sort()
    times, nodes, signs = zip(*events, strict=True) if events else ((), (), ())
    return np.array(times, np.float64), np.array(nodes, np.int64), np.array(signs, np.int64)


def _as_bits(allowed: Any, words: int) -> IntArray:
    """Pack rows of flags into rows of 64-bit words, the lowest node in the lowest bit."""
    padded = np.zeros((len(allowed), words * 64), np.uint8)
    padded[:, : allowed.shape[1]] = allowed
    packed = np.packbits(padded, axis=1, bitorder="little")
    return np.ascontiguousarray(packed).view("<i8").astype(np.int64)


def _records(n: int) -> Any:
    """Return `n` empty task records that begin at a line of the processor's cache."""
    room = np.zeros(n * state.TASK.itemsize + CACHE_LINE, np.uint8)
    first = -room.ctypes.data % CACHE_LINE
    return room[first : first + n * state.TASK.itemsize].view(state.TASK)


def _tasks(
    workload: Workload, asked: Demands, policy: Policy, scores: Scores, choices: Choices, options: Options
) -> Any:
    """Return the task records before anything has happened."""
    tasks = _records(len(workload))
    tasks["arrival"] = tasks["ready"] = tasks["offered"] = workload.arrival_time
    if scores.not_before is not None:
        tasks["offered"] = np.maximum(workload.arrival_time, scores.not_before)
    tasks["base"] = scores.base
    tasks["slope"] = 0.0 if scores.slope is None else scores.slope
    estimate = workload.duration_estimate
    tasks["runtime"] = played_runtime(workload, kill_at_estimate=options.kill_at_estimate)
    tasks["estimate"] = tasks["runtime"] if policy.placement.planned == ORACLE else estimate
    tasks["intensity"], tasks["memory_mb"] = workload.compute_intensity, workload.memory_mb
    tasks["on_gpu"] = workload.gpus > 0
    tasks["fixed"] = possible_fractions(
        choices.fraction, workload.hybrid, workload.gpus > 0, asked.cpu_usable, asked.gpu_usable, asked.both_usable
    )
    tasks["draw"] = 0.0 if choices.draw is None else choices.draw
    tasks["start"] = tasks["finish"] = tasks["fraction"] = np.nan
    tasks["node"] = tasks["device"] = tasks["chunk"] = -1
    for name in (
        "cpu",
        "gpu",
        "memory",
        "full_cpu",
        "full_memory",
        "full_nodes",
        "full_gpus",
        "last_cpu",
        "last_gpu",
        "last_memory",
    ):
        tasks[name] = getattr(asked, name)
    tasks["hybrid"], tasks["user"] = workload.hybrid, workload.user.codes
    tasks["can_cpu"], tasks["can_gpu"], tasks["can_both"] = asked.cpu_usable, asked.gpu_usable, asked.both_usable
    tasks["parents"] = np.diff(workload.parents.offsets)
    tasks["planned"] = policy.placement.planned != NOT_PLANNED or choices.learner is not None
    tasks["rank"][np.lexsort((np.arange(len(workload)), scores.base))] = np.arange(len(workload))
    return tasks


def _allowed_nodes(workload: Workload, cluster: Cluster, asked: Demands, choices: Choices) -> tuple[Any, Any, Any]:
    """Return which nodes each row of a table admits, and each task's row for work with and without GPUs."""
    groups = cluster.group_of_nodes()
    labels = len(asked.allowed)
    table = np.concatenate(
        [asked.allowed, np.ones((1, len(cluster.groups)), bool), np.eye(len(cluster.groups), dtype=bool)]
    )
    on_gpu, anywhere = asked.kinds.codes.copy(), np.full(len(workload), labels)
    if choices.group is not None:
        bound = choices.group >= 0
        on_gpu = np.where(bound, labels + 1 + choices.group, on_gpu)
        anywhere = np.where(bound, labels + 1 + choices.group, anywhere)
    return np.ascontiguousarray(table[:, groups], np.uint8), on_gpu, anywhere
