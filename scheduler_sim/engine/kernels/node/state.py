"""The arrays of a run on one node."""

from typing import NamedTuple

from scheduler_sim.engine.codes import COMMON
from scheduler_sim.engine.workloads.workload import BoolArray, FloatArray, IntArray

(
    PENDING,
    FREE_CORES,
    FREE_GPUS,
    TURN,
    STARTED,
    KEPT,
    BOOKED,
    LOOKED_AT,
    CORES_LEFT,
    GPUS_LEFT,
    CORE_ENTRIES,
    GPU_ENTRIES,
    ON_CORES,
    ON_GPUS,
    FIELDS,
) = range(COMMON, 19)
"""Places in the vector of counts beside the common ones; FREE_CORES counts thousandths, FREE_GPUS is a mask.

Of a plan: how many tasks have started, whether the plan still holds, how many have booked, below which rank the queue
has been looked at since something came back, what is free now and not booked, and how long the lists of the plan and
of what runs are.
"""


class Tasks(NamedTuple):
    """What n tasks are, shape (n,).

    Attributes:
        offered: seconds from which the policy may see a task.
        runtime, estimate: seconds on a device of speed 1.
        intensity, memory_mb: of split tasks.
        fraction: the part to be done on the GPU, where it is settled before.
        cores, gpus: thousandths of cores and GPUs that are asked for.
        kind: which of the needs, where fractions are settled.
        rank: place in the policy's order.
        hybrid, on_gpu: may be split; a rigid task that holds GPUs.
        usable: bits for CPU alone (1), GPU alone (2) and both (4), of split tasks.
    """

    offered: FloatArray
    runtime: FloatArray
    estimate: FloatArray
    intensity: FloatArray
    memory_mb: FloatArray
    fraction: FloatArray
    cores: IntArray
    gpus: IntArray
    kind: IntArray
    rank: IntArray
    hybrid: BoolArray
    on_gpu: BoolArray
    usable: IntArray


class Family(NamedTuple):
    """When tasks may become ready.

    Attributes:
        arrivals: rows in the order in which they are offered.
        waiting_for: how many parents, and its own arrival, a task still waits for.
        child_offsets, children: rows of each row's children.
    """

    arrivals: IntArray
    waiting_for: IntArray
    child_offsets: IntArray
    children: IntArray


class Run(NamedTuple):
    """The state of a run.

    Attributes:
        counts: see the places above.
        clock: the last instant, and the time up to which all events are applied.
        ready, start, finish, device: of the outcome.
        held: mask of GPUs that a running task was given.
        gone: which side of a running task has ended; FINISH for none yet.
        order: rows as they finished.
        event_times, event_codes: heap of ends.
        speeds: of a core, of a GPU, and the link's MB/s.
        gpus: of the node.
    """

    counts: IntArray
    clock: FloatArray
    ready: FloatArray
    start: FloatArray
    finish: FloatArray
    device: IntArray
    held: IntArray
    gone: IntArray
    order: IntArray
    event_times: FloatArray
    event_codes: IntArray
    speeds: FloatArray
    gpus: int


class Needs(NamedTuple):
    """The queue: for each different need a heap of ranks.

    Attributes:
        cores, gpus: thousandths of cores and whole GPUs of each need.
        first, size: where its heap begins, and how many ranks it holds.
        heap: shape (n,).
        row_of_rank: shape (n,).
    """

    cores: IntArray
    gpus: IntArray
    first: IntArray
    size: IntArray
    heap: IntArray
    row_of_rank: IntArray


class Releases(NamedTuple):
    """What is expected back, the latest first: thousandths of cores, or GPUs.

    Attributes:
        times: seconds.
        amounts: how much then.
        rows: which task gives it back; of a plan nobody asks.
    """

    times: FloatArray
    amounts: IntArray
    rows: IntArray


class Bookings(NamedTuple):
    """What tasks that wait have chosen, in the policy's order.

    Attributes:
        rank: place in the policy's order.
        begin: seconds.
        fraction: the part to be done on the GPU.
        cpu_time, gpu_time: for how many seconds it is expected to hold its cores and its GPUs.
        latest: the first begin of all; the last of those with cores, and of those with GPUs.
    """

    rank: IntArray
    begin: FloatArray
    fraction: FloatArray
    cpu_time: FloatArray
    gpu_time: FloatArray
    latest: FloatArray


class Plan(NamedTuple):
    """The queue and the expected future of placements that plan.

    Attributes:
        words, starts: the set of queued ranks, see `rank_set`.
        row_of_rank: shape (n,).
        fraction: of the outcome, shape (n,).
        held_cores: what a running task was given, shape (n,).
        began: the how-manieth start it was, shape (n,).
        bookings: of the plan.
        planned_cores, planned_gpus: what is expected back beside the bookings.
        running_cores, running_gpus: what runs.
    """

    words: IntArray
    starts: IntArray
    row_of_rank: IntArray
    fraction: FloatArray
    held_cores: IntArray
    began: IntArray
    bookings: Bookings
    planned_cores: Releases
    planned_gpus: Releases
    running_cores: Releases
    running_gpus: Releases
