"""The state of a site: one record a task, the nodes and the pieces of what runs on them, the queue, and the plan."""

from typing import Any, NamedTuple

import numpy as np

from scheduler_sim.engine.codes import COMMON
from scheduler_sim.engine.indexes import never_negative
from scheduler_sim.engine.kernels.records import addresses, columns_of, record_of_tuple
from scheduler_sim.engine.kernels.site.kinds import KIND
from scheduler_sim.engine.kernels.structures import gang_buffer
from scheduler_sim.engine.kernels.structures.attempt_buffer import AttemptBuffer
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

never_negative(__name__.rpartition(".")[0])

COMING, HELD, WAITING, RUNS, STOPPED, DONE, PAUSED = range(7)
"""What a task does: it has not come yet, waits for its parents, may start, runs, was stopped and may not start again
yet, has ended, or was suspended and holds all that it had but for the use of its cores."""

ENDS, GIVES_WAY, COMES_BACK = range(3)
"""What an entry of the heap of events is about; its code is kind * tasks + row."""

NO_MODE, CANCELS, REQUEUES, SUSPENDS = range(4)
"""What happens to a task that must give way."""

NOBODY, BY_QOS, BY_PARTITION = range(3)
"""Who gives way to whom."""

CPU, NODE, MEMORY, GPU, COUNTED = range(5)
"""What limits count: thousandths of cores, nodes, KiB and GPUs."""

WALL, METERED = COUNTED, COUNTED + 1
"""What limits on use count beside these: time. Use is counted in cores, nodes, MB and GPUs, times seconds."""

OFFERED, CANCELLED_AT, EDGE, GOES, FAILS, COMES, BREAKS, MENDED = range(8)
"""What a timer is about; its code is row * `TIMER_KINDS` + kind. EDGE: a reservation begins or ends, and the row is a
place in `reserved.turns`; from GOES on the row is that of a node, which goes away, fails or comes back, or from BREAKS
on fails by chance and comes back."""
TIMER_KINDS = 8

OWN_LOOPS, EVERY_EVENT = range(2)
"""When the queue is looked at: by Slurm's two loops, or at every event."""

(
    PENDING,
    TIMER,
    QUEUE,
    RUN,
    SPARE,
    SLOTS,
    CHOSEN,
    ROOMS,
    WRITTEN,
    OUTAGES,
    EVENTS,
    PASS,
    LOOK,
    CHANGED,
    UNSORTED,
    BEGUN,
    VICTIMS,
    CHANGED_ORDER,
    CALCULATED,
    SAVED,
    LOGGED,
    PASSES,
    TRIED,
    LISTED,
    PROMISED,
    SETS,
    UNDER,
    PAUSES,
    TOLD,
    BROKEN,
    IN_VAIN,
    FORMER,
    TURN,
    FOLLOWED,
    FREE_FORMER,
    MADE_FORMER,
    FULL,
    STEPPED,
    FIELDS,
) = range(COMMON, COMMON + 39)
"""Places in the vector of counts behind those of `codes`.

PENDING entries of the heap; TIMER timers taken; QUEUE entries that wait; RUN tasks that run; SPARE pieces free; SLOTS
of the plan; CHOSEN nodes; ROOMS candidates; WRITTEN attempts in the buffer; OUTAGES taken; EVENTS applied in this call;
PASS looks so far; LOOK whether the main loop has cause to look; CHANGED whether the backfill loop has; UNSORTED whether
the queue must be sorted; BEGUN starts so far; VICTIMS tasks that would give way; CHANGED_ORDER whether tasks were
submitted anew; CALCULATED whether usage has been calculated; SAVED chosen nodes that are kept; LOGGED
changes of nodes; PASSES that planned, and how often they TRIED to plan a task;
LISTED promises of single nodes; PROMISED changes of the plan so far; SETS of nodes of running tasks not in use;
UNDER tasks that would be suspended; PAUSES tasks that are; TOLD timers to come that are not drawn; BROKEN nodes that
are away by chance; IN_VAIN failures by chance and repairs since a task started. Of `former` plans: FORMER the one that
comes next, TURN that of the entry whose turn it is, FOLLOWED changes of nodes that were eased, FREE_FORMER the first
place that is free, MADE_FORMER places that were taken so far, FULL the last pass in which there was none.
STEPPED changes of nodes that the steps of `offers` know.
"""

(
    WORDS,
    NODES,
    LEVELS,
    RESOURCES,
    MODE,
    BACKFILL,
    MAIN_DEPTH,
    PLAN_DEPTH,
    PER_USER,
    PER_PARTITION,
    PER_ASSOCIATION,
    MOST_STARTS,
    YOUNGEST_FIRST,
    WHOLE_SECONDS,
    SLOPED,
    KEEPS_ON,
    KILLS,
    DISREGARDS,
    LINEAR,
    GROUPED,
    BY_FACTORS,
    CLASSIC,
    PREEMPTION,
    KILLS_INVALID,
    SUSPENDING,
    CHECKS,
    REFUSES,
    CHARGES,
    METERS,
    SAFE,
    SPENDS,
    ROOM,
    SETTINGS,
) = range(33)
"""Places in the vector of settings; counts that limit nothing are 2**62.

CHARGES: what is used is calculated now and then; METERS: there are limits on it, or on what running tasks may use yet;
SAFE: nothing starts that could use more; SPENDS: what runs is stopped when as much has been used as may.
"""

(
    TICK_PHASE,
    TICK,
    MAIN_INTERVAL,
    SUBMIT_DELAY,
    LEAST_INTERVAL,
    PASS_PHASE,
    PASS_INTERVAL,
    WINDOW,
    RESOLUTION,
    LEAST_RESERVED,
    REQUEUE_DELAY,
    CHECK_INTERVAL,
    CHECK_PHASE,
    OVER_LIMIT,
    KILL_WAIT,
    EPOCH,
    AGE_WEIGHT,
    MAX_AGE,
    FAIR_WEIGHT,
    CALCULATION_PERIOD,
    DECAY,
    DAMPING,
    EXEMPT,
    LEAST_LIMIT,
    REALS,
) = range(25)
"""Places in the vector of reals: seconds, and a priority. LEAST_LIMIT: no task may run for less."""

NOW, REACHED, LOOKED, LAST_LOOK, LAST_FULL, NEXT_PASS, NEXT_DECAY, LAST_DECAY, LAST_CHECK, HORIZON, CLOCKS = range(11)
"""Places in the vector of times: of the last instant, up to which nothing more happens, of the last look of the main
loop, the whole seconds of it and of the last one over the whole queue, and what comes next."""

TASK = np.dtype(
    [
        ("offered", "f8"), ("cancel", "f8"), ("work", "f8"), ("killed_after", "f8"), ("ready", "f8"),
        ("start", "f8"), ("begun", "f8"), ("finish", "f8"), ("expected", "f8"), ("held", "f8"), ("service", "f8"),
        ("ran", "f8"),
        ("joules", "f8"), ("usd", "f8"), ("undone", "f8"), ("pace", "f8"), ("give_way", "f8"), ("paces", "i8"),
        ("submit", "f8"), ("charged_to", "f8"), ("eligible", "f8"), ("preempted_at", "f8"),
        ("state", "i8"), ("parents", "i8"), ("needs_success", "i8"), ("fails", "i8"), ("spoilt", "i8"),
        ("requeueable", "i8"), ("cut", "i8"), ("entry", "i8"), ("first_piece", "i8"), ("node", "i8"),
        ("device", "i8"), ("attempts", "i8"), ("ending", "i8"), ("reason", "i8"), ("planned", "i8"),
        ("preempting", "i8"), ("overran", "i8"), ("qos", "i8"), ("association", "i8"), ("user", "i8"),
        ("reservation", "i8"), ("array", "i8"), ("array_limit", "i8"), ("held_cores", "f8"), ("held_gpus", "f8"),
        ("graced", "i8"), ("sequence", "i8"), ("submitted", "i8"), ("ahead", "f8"),
    ]
)  # fmt: skip
"""One record a task. `undone` is work to do, `pace` of it are done in a second; `give_way` is when it must leave its
nodes, infinity for never; `entry` the one by which it runs; `ran` are whole seconds that it ran before it was
suspended, and `graced` tells that it was told to give way and has a while yet; `sequence` counts starts; `submitted`
tells that it counts among those that have come; `ahead` are the seconds of its limit that no use has been counted for
yet; `spoilt` tells that a parent failed whose success it needs.
"""

PIECE = np.dtype(
    [
        ("cpu", "i8"), ("memory", "i8"), ("gpus", "i8"), ("expected", "f8"), ("task", "i8"),
        ("next_on_node", "i4"), ("next_of_task", "i4"), ("node", "i4"), ("part", "i4"), ("yields", "i4"),
        ("spare", "i4"),
    ]
)  # fmt: skip
"""What a running task holds of one node. The pieces of a node hang together in the order of their expected ends.

A piece fills a line of memory, of which each that is looked at costs one."""

PROMISE = np.dtype([("begin", "f8"), ("end", "f8"), ("behind", "i8"), ("spare", "i8")])
"""What one node is promised for; behind it stands the next promise of the node by when they begin, -1 for none."""


class State(NamedTuple):
    """Everything a simulation of a site has.

    Sets of nodes are `settings[WORDS]` words each. `mask`, `open`, `part_seen` and the `room_*`, `run_*` and `chosen_*`
    lists are scratch. `entry_alone` tells that no limit and no array binds the task of an entry, and it has no other.
    """

    site_tasks: Any
    kinds: Any
    held_pieces: Any
    counts: IntArray
    settings: IntArray
    reals: FloatArray
    clock: FloatArray
    kind_masks: IntArray
    dealt_grains: IntArray
    suit_masks: IntArray
    suit_words: IntArray
    level_masks: IntArray
    node_weight: IntArray
    part_masks: IntArray
    entry_task: IntArray
    entry_kind: IntArray
    entry_limit: FloatArray
    entry_key: FloatArray
    entry_fixed_key: FloatArray
    entry_slope: FloatArray
    entry_terms: FloatArray
    entry_submit: FloatArray
    entry_lead: FloatArray
    entry_set: IntArray
    entry_alone: IntArray
    fair_factors: FloatArray
    fair_usage: FloatArray
    fair_total: FloatArray
    fair_level: FloatArray
    fair_shares: FloatArray
    fair_above: IntArray
    fair_is_user: IntArray
    fair_first: IntArray
    fair_below: IntArray
    fair_order: IntArray
    fair_frames: IntArray
    qos_usage: FloatArray
    qos_preempts: IntArray
    qos_mode: IntArray
    qos_rank: IntArray
    qos_exempt: FloatArray
    qos_grace: FloatArray
    qos_level: IntArray
    part_grace: FloatArray
    part_overlays: IntArray
    part_mode: IntArray
    part_tier: IntArray
    set_first: IntArray
    set_counters: IntArray
    set_checks: IntArray
    counter_jobs: IntArray
    counter_most_jobs: IntArray
    counter_jobs_word: IntArray
    counter_submitted: IntArray
    counter_most_submitted: IntArray
    counter_submitted_word: IntArray
    counter_held: IntArray
    counter_most: IntArray
    counter_words: IntArray
    counter_charges: IntArray
    counter_used: FloatArray
    counter_most_used: FloatArray
    counter_used_words: IntArray
    counter_ahead: FloatArray
    counter_most_ahead: FloatArray
    counter_ahead_words: IntArray
    counter_decay: FloatArray
    counter_stops: IntArray
    qos_limit_factor: FloatArray
    victim_rows: IntArray
    victim_overlap: IntArray
    under_rows: IntArray
    active_cpu: IntArray
    array_rejected: IntArray
    array_planned: IntArray
    first_entry: IntArray
    queue_entries: IntArray
    entry_settled: IntArray
    entry_planned: FloatArray
    entry_former: IntArray
    former_entry: IntArray
    former_next: IntArray
    former_before: IntArray
    former_words: IntArray
    former_begin: FloatArray
    former_end: FloatArray
    former_bound: FloatArray
    eased_words: IntArray
    child_first: IntArray
    child_rows: IntArray
    heap_times: FloatArray
    heap_codes: IntArray
    timer_times: FloatArray
    timer_codes: IntArray
    completed_rows: IntArray
    leaving_rows: IntArray
    free_cpu: IntArray
    free_memory: IntArray
    free_gpus: IntArray
    all_cpu: IntArray
    all_memory: IntArray
    all_gpus: IntArray
    first_on_node: IntArray
    step_ends: FloatArray
    step_free: IntArray
    steps_of_node: IntArray
    node_away: IntArray
    up_words: IntArray
    group_on_node: IntArray
    core_speeds: FloatArray
    gpu_paces: FloatArray
    group_watts: FloatArray
    group_prices: FloatArray
    spare_pieces: IntArray
    run_ends: FloatArray
    run_tasks: IntArray
    run_nodes: IntArray
    run_sets: IntArray
    spare_sets: IntArray
    slot_times: FloatArray
    slot_masks: IntArray
    slot_place: IntArray
    part_first_word: IntArray
    part_end_word: IntArray
    promise_words: IntArray
    promise_first: IntArray
    node_promises: Any
    promise_head: FloatArray
    promise_until: FloatArray
    promise_after: IntArray
    entry_ask: IntArray
    ask_hopeless: IntArray
    ask_given_up: IntArray
    ask_bounded: IntArray
    ask_bound: FloatArray
    answer_kind: IntArray
    answer_version: IntArray
    answer_time: FloatArray
    answer_until: FloatArray
    answer_earliest: FloatArray
    answer_row: IntArray
    answer_within: IntArray
    changed_words: IntArray
    changed_span: IntArray
    answer_both: IntArray
    answer_chosen: IntArray
    answer_nodes: IntArray
    answer_units: IntArray
    shut_from: FloatArray
    shut_until: FloatArray
    shut_masks: IntArray
    shut_maint: IntArray
    span_shut: IntArray
    span_from: FloatArray
    span_until: FloatArray
    span_masks: IntArray
    span_maint: IntArray
    mask_words: IntArray
    avail_words: IntArray
    usable_words: IntArray
    open_words: IntArray
    chosen_words: IntArray
    kept_words: IntArray
    part_tried: IntArray
    part_seen: IntArray
    room_nodes: IntArray
    room_cores: IntArray
    room_weight: IntArray
    room_gpus: IntArray
    room_first: IntArray
    room_size: IntArray
    room_sum: IntArray
    room_rank: IntArray
    ready_times: FloatArray
    ready_rows: IntArray
    known_times: FloatArray
    known_rows: IntArray
    known_offer: IntArray
    known_upto: IntArray
    known_masks: IntArray
    within_words: IntArray
    changed_nodes: IntArray
    part_version: IntArray
    kind_failed: IntArray
    kind_fitted: IntArray
    chosen_nodes: IntArray
    chosen_units: IntArray
    saved_nodes: IntArray
    saved_units: IntArray
    user_seen: IntArray
    association_seen: IntArray
    array_running: IntArray
    buffer: AttemptBuffer
    gang_pieces: Any
    gang_counts: IntArray


RECORD = record_of_tuple(
    State,
    records={
        "site_tasks": TASK,
        "kinds": KIND,
        "held_pieces": PIECE,
        "node_promises": PROMISE,
        "gang_pieces": gang_buffer.PIECE,
    },
)


def handle(state: State) -> Any:
    """Return the record of addresses that compiled code takes; whoever holds it keeps the arrays alive."""
    return addresses(RECORD, columns_of(state))
