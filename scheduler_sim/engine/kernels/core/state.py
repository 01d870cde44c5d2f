"""The state of the event core: one record a task, the queues, the nodes, and what has been written down.

All of it lies in arrays, so that the state is the checkpoint: a call stops after any instant and the next goes on.
"""

from typing import Any, NamedTuple

import numpy as np

from scheduler_sim.engine.codes import COMMON
from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.records import addresses, columns_of, record_of_tuple
from scheduler_sim.engine.kernels.structures.attempt_buffer import AttemptBuffer
from scheduler_sim.engine.kernels.structures.gang_buffer import PIECE, GangBuffer
from scheduler_sim.engine.kernels.structures.outages import Outages
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

COMING, WAITING, RUNS, DONE = range(4)
"""What a task does: it has not come yet, it is ready or suspended, it runs, or it has ended."""

COMPLETED, SUSPENDED, REQUEUED, FAILED, RESIZED, TIMED_OUT, CANCELLED, MOVED = range(8)
"""Why an attempt ended; `contract.REASONS` has the names in this order."""

AT_END, DEMOTE, TURN, PROMOTE, KINDS = range(5)
"""What an entry of the heap of events is about, and of how many kinds they are."""

SCORE, SRTF, SRSF, LAS, RR = range(5)
"""How the active tasks are ordered; `SCORE` is base - slope * wait."""

POOL, SPREAD, NODES = range(3)
"""What a task takes: processors of a pool, cores and GPUs wherever they are, or whole places on nodes."""

RUN_ON, KEEP, TO_CHECKPOINT, FROM_START = range(4)
"""What stopping for another task costs: it is not done, nothing, what no checkpoint holds, or everything."""

(
    PENDING,
    OUTAGES,
    WRITTEN,
    NEXT,
    FRONT,
    CHANGED,
    UNORDERED,
    STOPPED,
    BEGUN,
    DEMOTED,
    PIECES,
    EVENTS,
    ENDING,
    BACK,
    NEWCOMERS,
    PROMOTED,
    FREE,
    STEPS,
    REBUILT,
    FIELDS,
) = range(COMMON, COMMON + 20)
"""Places in the vector of counts behind those of `codes`.

PENDING entries of the heap;
OUTAGES events taken; WRITTEN attempts in the buffer; NEXT and FRONT the next numbers behind and before all in a queue;
CHANGED whether the schedule must be built anew; UNORDERED whether tasks ended out of row order; EVENTS applied in this
call; FREE processors of a pool that
nobody holds; REBUILT whether a new schedule is there whose pieces tasks do not have yet; the others are lengths of
lists.
"""

COST, ON_LIMIT, MOST_REQUEUES, MOST_FAILURES, TO_END, BY_ARRIVAL, CHARGE_FIRST, ROOM, OF_ALL = range(9)
"""Places in the vector of settings of all kernels whose tasks stop, see `rules.Rules.settings`. ROOM is how far the
buffer may fill."""

(
    DISCIPLINE,
    BACKFILL,
    WHERE,
    IN_PLACE,
    HEAPS,
    AGING,
    CAPACITY,
    LEAVES,
    DEPTH,
    SETTINGS,
) = range(OF_ALL, OF_ALL + 10)
"""Places behind those. LEAVES is the width of the tree over classes, DEPTH how many waiting tasks conservative
backfilling plans."""

READ, QUANTUM, PROMOTION, REALS = range(4)
"""Places in the vector of real settings; PROMOTION is infinity for never."""

ON_RUN, ON_KILL, ON_REQUEUE = range(3)
"""What happens when a task has used up its estimate."""

JOB = np.dtype(
    [
        ("state", "i8"), ("kind", "i8"), ("cpus", "i8"), ("gpus", "i8"), ("key", "f8"), ("tie", "i8"),
        ("place", "i8"), ("size", "f8"),
        ("work_left", "f8"), ("estimate_left", "f8"), ("begun", "f8"), ("progress_from", "f8"), ("finish", "f8"),
        ("expected_end", "f8"), ("overhead", "f8"), ("generation", "i8"),
        ("arrival", "f8"), ("offered", "f8"), ("work", "f8"), ("estimate", "f8"), ("base", "f8"), ("slope", "f8"),
        ("ready", "f8"), ("start", "f8"),
        ("attempts", "i8"), ("saved", "i8"), ("attempt_work", "f8"), ("since_begin", "f8"), ("service", "f8"),
        ("held", "f8"), ("attained", "f8"), ("executed", "f8"),
        ("level", "i8"), ("waiting_since", "f8"), ("turn_end", "f8"), ("requeues", "i8"), ("failures", "i8"),
        ("ending", "i8"), ("parents", "i8"), ("node", "i8"), ("device", "i8"),
        ("first_piece", "i8"), ("pieces", "i8"), ("new_piece", "i8"), ("new_pieces", "i8"), ("new_node", "i8"),
        ("new_device", "i8"), ("demote_at", "f8"), ("promote_at", "f8"), ("chosen", "i8"),
        ("arrived", "i8"), ("limit", "f8"), ("since", "f8"), ("there_since", "f8"),
    ]
)  # fmt: skip
"""One record a task, what the queue and the clock look at first; it has its pieces `there_since`."""


class Core(NamedTuple):
    """Everything the event core has; `kernel.py` says how it is laid out."""

    jobs: Any
    counts: IntArray
    settings: IntArray
    reals: FloatArray
    checkpoints: FloatArray
    clock: FloatArray
    arrivals: IntArray
    child_offsets: IntArray
    children: IntArray
    heap_times: FloatArray
    heap_codes: IntArray
    order: IntArray
    outages: Outages
    running: IntArray
    was_running: IntArray
    stopping: IntArray
    beginning: IntArray
    demoted: IntArray
    ended: IntArray
    back: IntArray
    newcomers: IntArray
    promoted: IntArray
    upto: IntArray
    shadow_ends: FloatArray
    plan_times: FloatArray
    plan_free: IntArray
    shadow_cpus: IntArray
    queue_rows: IntArray
    class_from: IntArray
    class_count: IntArray
    class_cpus: IntArray
    class_gpus: IntArray
    class_memory: IntArray
    class_full_nodes: IntArray
    class_full_cpus: IntArray
    class_full_gpus: IntArray
    class_full_memory: IntArray
    class_shut: IntArray
    best: IntArray
    waiting: IntArray
    limits: FloatArray
    node_cpus: IntArray
    node_mask: IntArray
    node_memory: IntArray
    node_away: IntArray
    left_cpus: IntArray
    left_gpus: IntArray
    left_memory: IntArray
    kept_cpus: IntArray
    kept_gpus: IntArray
    kept_memory: IntArray
    piece_node: IntArray
    piece_cpus: IntArray
    piece_mask: IntArray
    piece_memory: IntArray
    old_node: IntArray
    old_cpus: IntArray
    old_mask: IntArray
    old_memory: IntArray
    buffer: AttemptBuffer
    gangs: GangBuffer


CORE = record_of_tuple(Core, records={"jobs": JOB, "gang_pieces": PIECE})


@inner_kernel
def ending_of(reason: int) -> int:
    """Return the code of how a task ended, as `contract.ENDINGS` names them, from why its last attempt did."""
    if reason == COMPLETED:
        return 0
    return 1 if reason == TIMED_OUT else 3


def handle(core: Core) -> Any:
    """Return the record of addresses that compiled code takes; whoever holds it keeps the arrays alive."""
    return addresses(CORE, columns_of(core))
