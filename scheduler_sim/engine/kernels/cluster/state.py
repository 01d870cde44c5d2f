"""The state of a simulation on nodes, and what a task asks of one."""

from typing import Any, NamedTuple

import numpy as np

from scheduler_sim.engine import inlined
from scheduler_sim.engine.codes import COMMON, MILLI
from scheduler_sim.engine.indexes import never_negative
from scheduler_sim.engine.kernels.records import addresses, readable, record_of
from scheduler_sim.engine.kernels.structures.calendar import EVENT
from scheduler_sim.engine.kernels.structures.gang_buffer import PIECE
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

never_negative(__name__.rpartition(".")[0])

MOST_LEVELS = 1024
"""Free cores are told apart up to this many."""

(
    PENDING,
    OUTAGES,
    FREE_CHUNK,
    STAMP,
    LISTED,
    WALKED,
    RELEASED,
    NEWCOMERS,
    FREE_CPU,
    FREE_GPU,
    RESERVED,
    OVERRUN,
    LONE,
    CLASSES,
    HAND,
    SERIAL,
    HOPES,
    BOOKED,
    DUES,
    GAINS,
    DISTURBED,
    LIFTED,
    DRAWN,
    CAP_STEP,
    CAPPED,
    FIELDS,
) = range(COMMON, 30)
"""Places in the vector of counts beside the common ones. LONE: one more than the only task that waits, while the tree
does not have it. CLASSES: how many there are with nodes. HAND, SERIAL: which class is forgotten next, and how many were
made. HOPES, BOOKED, DUES: lengths of lists of `kept.py`. GAINS: how many nodes `gains` holds. DISTURBED: somebody came
into the set of those disturbed. LIFTED: all reservations are to be made anew. DRAWN: what the cluster draws, in
millionths of a watt. CAP_STEP: the step of the power cap that holds now. CAPPED: a task waits for power."""

(
    RULE,
    BACKFILL,
    PLANNED,
    IN_TURN,
    KIND,
    SEQUENTIAL,
    DEPTH,
    KEPT_LISTS,
    TREE,
    INDEXED,
    MOST_CORES,
    MOST_GPUS,
    STRETCHED,
    BY_TIE,
    TOGETHER,
    SENDS,
    SLEEPS,
    CAPS,
    CLASSED,
    MOST_MEMORY,
    STRIDE,
    BY_CORES,
    KEPT,
    SETTINGS,
) = range(24)
"""Places in the vector of settings. STRETCHED: starts may cost time, and checkpoints are written. BY_TIE: equal
scores go by `rank`, not by row. TOGETHER: gangs are laid into as few racks as can be. SLEEPS: idle nodes go to
sleep. CAPS: the power cap holds starts back. CLASSED: a placement looks at classes of nodes. MOST_MEMORY: that any task
asks for, in KiB. STRIDE: the rows of `speeds` of a step of frequency; a task that started at a later one has its
`paces` among the rows of that. BY_CORES: a placement looks for nodes by their free cores. KEPT: reservations stay from
instant to instant."""

TASK = np.dtype(
    [
        ("chunk", "i8"), ("start", "f8"), ("finish", "f8"), ("cpu", "i8"), ("gpu", "i8"), ("user", "i8"),
        ("parents", "i8"), ("arrived", "i1"), ("hybrid", "i1"), ("can_cpu", "i1"), ("can_gpu", "i1"),
        ("can_both", "i1"), ("on_gpu", "i1"), ("planned", "i1"), ("crossed", "i1"),
        ("arrival", "f8"), ("offered", "f8"), ("ready", "f8"), ("rank", "i8"), ("fixed", "f8"), ("full_nodes", "i8"),
        ("gpu_nodes", "i8"), ("any_nodes", "i8"),
        ("last_cpu", "i8"), ("last_gpu", "i8"), ("last_memory", "i8"), ("memory", "i8"), ("draw", "f8"),
        ("fgd_kind", "i8"), ("place", "i8"), ("tried", "i8"),
        ("runtime", "f8"), ("estimate", "f8"), ("intensity", "f8"), ("memory_mb", "f8"), ("paces", "i4"),
        ("full_gpus", "i4"),
        ("cpu_end", "f8"), ("gpu_end", "f8"), ("end", "f8"),
        ("node", "i8"), ("device", "i8"), ("base", "f8"), ("slope", "f8"), ("full_cpu", "i8"), ("full_memory", "i8"),
        ("fraction", "f8"), ("overhead", "f8"),
    ]
)  # fmt: skip
"""One record a task: what it asks for, what is known of it, and where it is.

Five lines of 64 bytes, each for one occasion: its end, the queue, the choice of nodes, its start, the rest. Tasks end
far from where others arrive, so that each line which that touches is waited for.
"""

CHUNK = np.dtype(
    [
        ("task", "i8"), ("node", "i8"), ("cpu", "i8"), ("memory", "i8"), ("mask", "i8"), ("shared", "i8"),
        ("share", "i8"), ("more", "i8"), ("before", "i8"), ("after", "i8"),
    ]
)  # fmt: skip
"""What a running task holds on one node; `more` is its next node, `before` and `after` link the chunks of a node."""


CLASS = np.dtype([("hash", "i8"), ("next", "i8"), ("count", "i8"), ("low", "i8"), ("place", "i8"), ("serial", "i8")])
"""A class of nodes: the next one in its bucket, how many nodes are in it and the lowest of them, its place in the list
of classes, and a number that no other class has had, 0 for none yet."""


class View(NamedTuple):
    """What nodes have left, now or in a plan; shape (nodes,) except `left`, shape (nodes, most GPUs a node has).

    Attributes:
        cores: thousandths of cores. ram: KiB.
        free: mask of GPUs that nobody holds. parted: mask of GPUs with room left beside who holds a part.
        left: thousandths left on devices of `parted`.
        devices: thousandths of GPUs in all.
        away: how many outages cover the node.
    """

    cores: IntArray
    ram: IntArray
    free: IntArray
    parted: IntArray
    left: IntArray
    devices: IntArray
    away: IntArray


class Sim(NamedTuple):
    """Everything a simulation on nodes has; `layout.py` says how it is laid out.

    `speeds` are of the cores, the GPUs and the link of each group, once for each pace; a task's begin at its `paces`.
    """

    tasks: Any
    chunks: Any
    live: View
    plan: View
    window: View
    empty: View
    beside: View
    counts: IntArray
    settings: IntArray
    floats: FloatArray
    checkpoints: FloatArray
    clock: FloatArray
    node_gpus: IntArray
    node_cpu: IntArray
    node_group: IntArray
    first_chunk: IntArray
    turn: IntArray
    mark: IntArray
    speeds: FloatArray
    allowed: Any
    arrivals: IntArray
    child_offsets: IntArray
    children: IntArray
    parent_offsets: IntArray
    parent_rows: IntArray
    parent_mb: FloatArray
    link_latency: FloatArray
    link_per_mb: FloatArray
    heap_times: FloatArray
    heap_codes: IntArray
    order: IntArray
    outage_times: FloatArray
    outage_nodes: IntArray
    outage_signs: IntArray
    row_of_rank: IntArray
    levels: IntArray
    tree_cpu: IntArray
    tree_gpu: IntArray
    listed: IntArray
    walk: IntArray
    scores: FloatArray
    newcomers: IntArray
    piece_node: IntArray
    piece_mask: IntArray
    piece_device: IntArray
    user_cpu: IntArray
    user_gpu: IntArray
    user_memory: IntArray
    user_charge: FloatArray
    backfill_base: FloatArray
    backfill_slope: FloatArray
    parameters: FloatArray
    features: FloatArray
    needs: IntArray
    need_cores: IntArray
    need_tasks: IntArray
    list_stamp: IntArray
    list_size: IntArray
    list_time: FloatArray
    list_amount: IntArray
    reserved_time: FloatArray
    reserved_first: IntArray
    reserved_rows: IntArray
    reserved_node: IntArray
    reserved_mask: IntArray
    reserved_device: IntArray
    reserved_from: FloatArray
    plan_first: IntArray
    plan_after: IntArray
    plan_before: IntArray
    plan_row: IntArray
    soonest: FloatArray
    ahead_times: FloatArray
    ahead_codes: IntArray
    book_times: FloatArray
    book_rows: IntArray
    hope_times: FloatArray
    hope_rows: IntArray
    due_rows: IntArray
    late_time: FloatArray
    late_length: FloatArray
    late_rank: IntArray
    late_group: IntArray
    late_leaf: IntArray
    late_groups: IntArray
    late_sorts: IntArray
    step_begin: FloatArray
    step_end: FloatArray
    step_count: IntArray
    step_open: FloatArray
    step_state: IntArray
    step_time: FloatArray
    length_range: IntArray
    disturbed: IntArray
    disturbed_words: IntArray
    disturbed_starts: IntArray
    gains: IntArray
    gained: IntArray
    gain_from: FloatArray
    gain_until: IntArray
    gain_again: IntArray
    gain_next: IntArray
    gain_free: IntArray
    looked: IntArray
    gpu_level: IntArray
    cpu_level: IntArray
    gpu_bits: IntArray
    gpu_words: IntArray
    gpu_count: IntArray
    cpu_bits: IntArray
    cpu_words: IntArray
    cpu_count: IntArray
    allowed_bits: IntArray
    block_cpu: IntArray
    gain_limits: IntArray
    fgd_gain: IntArray
    fgd_stamp: IntArray
    classes: Any
    class_of: IntArray
    class_key: IntArray
    class_bits: IntArray
    class_list: IntArray
    class_bucket: IntArray
    crossing: FloatArray
    rack_of: IntArray
    rack_parent: IntArray
    rack_free: IntArray
    rack_rest: IntArray
    rack_want: IntArray
    rack_count: IntArray
    rack_taken: IntArray
    gang_pieces: Any
    gang_counts: IntArray
    node_tasks: IntArray
    idle_since: FloatArray
    awake_at: FloatArray
    sleep_after: FloatArray
    wake_time: FloatArray
    core_power: IntArray
    gpu_power: IntArray
    cap_times: FloatArray
    cap_span: FloatArray
    cap_power: IntArray
    call_address: IntArray
    call_table: FloatArray
    call_state: FloatArray
    call_at: FloatArray
    later: Any
    span_first: IntArray
    span_words: IntArray
    calendar: IntArray
    calendar_reals: FloatArray
    choice_weights: FloatArray
    choice_state: FloatArray
    choice_folded: FloatArray
    choice_seen: FloatArray


DIMENSIONS = {
    "left": 2,
    "speeds": 2,
    "allowed": 2,
    "features": 2,
    "needs": 2,
    "soonest": 2,
    "late_groups": 2,
    "late_sorts": 2,
    "step_begin": 3,
    "step_end": 3,
    "step_count": 2,
    "length_range": 2,
    "list_size": 2,
    "gpu_bits": 2,
    "cpu_bits": 2,
    "allowed_bits": 2,
    "fgd_gain": 2,
    "fgd_stamp": 2,
    "class_key": 2,
    "class_bits": 2,
    "gpu_words": 2,
    "cpu_words": 2,
    "rack_of": 2,
    "rack_parent": 2,
    "rack_free": 2,
    "rack_rest": 2,
    "rack_want": 2,
    "link_latency": 2,
    "link_per_mb": 2,
    "list_time": 3,
    "list_amount": 3,
    "call_table": 2,
}
"""Arrays with more than one dimension."""

FLOATS = {
    "floats",
    "parent_mb",
    "link_latency",
    "link_per_mb",
    "checkpoints",
    "clock",
    "speeds",
    "heap_times",
    "outage_times",
    "scores",
    "user_charge",
    "backfill_base",
    "backfill_slope",
    "parameters",
    "features",
    "list_time",
    "reserved_time",
    "reserved_from",
    "soonest",
    "ahead_times",
    "late_time",
    "late_length",
    "step_begin",
    "step_end",
    "step_open",
    "step_time",
    "gain_from",
    "book_times",
    "hope_times",
    "crossing",
    "idle_since",
    "awake_at",
    "sleep_after",
    "wake_time",
    "cap_times",
    "cap_span",
    "call_table",
    "call_state",
    "call_at",
    "calendar_reals",
    "choice_weights",
    "choice_state",
    "choice_folded",
    "choice_seen",
}
"""Arrays of doubles; the others hold 64-bit integers."""

VIEW = record_of({name: DIMENSIONS.get(name, 1) for name in View._fields})
SIM = record_of({name: DIMENSIONS.get(name, 1) for name in Sim._fields})

VIEWS = ("live", "plan", "window", "empty", "beside")
"""Views in a simulation: the nodes now, and four to plan with."""

_OTHERS = {
    "tasks": TASK,
    "chunks": CHUNK,
    "classes": CLASS,
    "gang_pieces": PIECE,
    "later": EVENT,
    **dict.fromkeys(VIEWS, VIEW),
    "allowed": np.dtype(np.uint8),
}

for _name in (*View._fields, *Sim._fields):
    if _OTHERS.get(_name) is not VIEW:
        _dtype = _OTHERS.get(_name, np.dtype(np.float64 if _name in FLOATS else np.int64))
        readable(_name, DIMENSIONS.get(_name, 1), _dtype)
for _name in VIEWS:
    readable(_name, 0, VIEW)


def handle(sim: Sim) -> tuple[Any, list[Any]]:
    """Return the record of addresses that compiled code takes, and the records that must live as long as it."""
    columns = sim._asdict()
    views = []
    for name in VIEWS:
        columns[name] = addresses(VIEW, columns[name]._asdict())
        views.append(columns[name])
    return addresses(SIM, columns), views


@inlined.kernel
def needs(t: Any, fraction: float, piece: int) -> tuple[int, int, int, int]:
    """Return thousandths of cores, whole GPUs, thousandths of a shared one and KiB of one piece of a task.

    A task on one node has one piece; of a gang the first `full_nodes` pieces are whole nodes.
    """
    if t.hybrid:
        cpu = t.cpu if fraction < 1.0 else 0
        gpu = t.gpu if fraction > 0.0 else 0
        return cpu, gpu // MILLI, gpu % MILLI, t.memory
    if piece < t.full_nodes:
        full_gpus: Any = np.int64(t.full_gpus)
        return t.full_cpu, full_gpus, 0, t.full_memory
    return t.last_cpu, t.last_gpu // MILLI, t.last_gpu % MILLI, t.last_memory


@inlined.kernel
def pieces_of(t: Any) -> int:
    """Return on how many nodes a task runs."""
    if t.full_nodes == 0:
        return 1
    return int(t.full_nodes + (1 if t.last_cpu > 0 or t.last_gpu > 0 else 0))
