"""What is known of tasks that may stop and go on, beside the state of the nodes in `cluster.state`."""

from typing import Any, NamedTuple

import numpy as np

from scheduler_sim.engine.kernels.core.state import OF_ALL
from scheduler_sim.engine.kernels.records import addresses, columns_of, record_of_tuple
from scheduler_sim.engine.kernels.structures.attempt_buffer import AttemptBuffer
from scheduler_sim.engine.kernels.structures.outages import Outages
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

OUTAGES, WRITTEN, EVENTS, BACK, STOPPED, BEGUN, KEPT, SPANS, LATER, TURNED, WOKEN, POWER, FIELDS = range(13)
"""Places in the vector of counts: outages taken, attempts in the buffer, events applied in this call; how many are to
be queued again, are stopped, and begin; pieces kept; spans of the plan; the tie of who comes behind all others; turns
of `policies.openings` taken; how many work from this instant on, now that their nodes are awake; millionths of a watt
that the schedule which is built draws."""

CLAIRVOYANT, PAUSING, SETTINGS = range(OF_ALL, OF_ALL + 3)
"""Places in the vector of settings behind those of `core.state`; CLAIRVOYANT policies are told how long tasks really
run, PAUSING is what a task keeps that stops at a time of its own."""

LIFE = np.dtype(
    [
        ("attempts", "i8"), ("runs", "i8"), ("saved", "i8"), ("requeues", "i8"), ("failures", "i8"),
        ("ending", "i8"), ("node", "i8"), ("device", "i8"), ("ready", "f8"),
        ("work", "f8"), ("work_left", "f8"), ("estimate", "f8"), ("estimate_left", "f8"), ("limit", "f8"),
        ("restart", "f8"), ("attempt_work", "f8"), ("length", "f8"),
        ("pace", "f8"), ("begun", "f8"), ("progress_from", "f8"), ("start", "f8"), ("finish", "f8"),
        ("since_begin", "f8"), ("service", "f8"), ("held", "f8"),
        ("expected", "f8"), ("chosen", "i8"), ("first_kept", "i8"), ("kept", "i8"),
        ("shut", "i8"), ("withheld", "i8"), ("awaited", "i8"), ("doomed", "i8"),
        ("held_cores", "f8"), ("held_gpus", "f8"), ("joules", "f8"), ("usd", "f8"),
    ]
)  # fmt: skip
"""One record a task. Work is counted in seconds of its runtime; `pace` of them are done in a second of this attempt,
which lasts `length` seconds without what its start and checkpoints cost; it holds `held_cores` and `held_gpus`. It may
not run while it is `shut`, and is `withheld` where it would wait in the queue otherwise. Of one whose nodes still wake
`awaited` says that the heap of events has when they are awake, and `doomed` that one of them failed."""


class Life(NamedTuple):
    """What the loop has beside the nodes.

    Watts are of one busy device of each node group, prices USD a second for holding one.
    `back`, `woken`, `stopping` and `beginning` are lists of rows; `kept_*` the pieces of those that begin or are
    planned.
    `span_*` are the plan of conservative backfilling; `turn_*` say when tasks may no longer run, and when again.
    """

    lives: Any
    counts: IntArray
    settings: IntArray
    read: FloatArray
    core_watts: FloatArray
    gpu_watts: FloatArray
    core_price: FloatArray
    gpu_price: FloatArray
    outages: Outages
    turn_times: FloatArray
    turn_rows: IntArray
    turn_opens: IntArray
    back: IntArray
    woken: IntArray
    stopping: IntArray
    beginning: IntArray
    kept_node: IntArray
    kept_mask: IntArray
    kept_device: IntArray
    span_rows: IntArray
    span_begins: FloatArray
    span_ends: FloatArray
    buffer: AttemptBuffer


RECORD = record_of_tuple(Life, records={"lives": LIFE})


def handle(life: Life) -> Any:
    """Return the record of addresses that compiled code takes; whoever holds it keeps the arrays alive."""
    return addresses(RECORD, columns_of(life))
