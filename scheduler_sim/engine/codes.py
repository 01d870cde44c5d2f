"""The integers by which Python and compiled code name the same things: one vocabulary for policies, events and counts.

A kernel adds what it alone knows in its own `state`.
"""

NONE, LIST, EASY, CONSERVATIVE = range(4)
"""Backfills: what may pass a task that does not fit."""

(
    STATIC,
    MULTIFACTOR,
    DRF,
    MIN_MIN,
    MAX_MIN,
    SUFFERAGE,
    LEARNED,
    REMAINING,
    REMAINING_AREA,
    ATTAINED,
    TURNS,
    SLURM,
    SHARES,
    ELASTIC,
    DECIDED,
    CALLED,
    BY_PLAN,
    BY_PAST,
    BY_LEFT,
) = range(19)
"""Kinds of orders: how the kernel finds the next task. `STATIC` sorts by `base - slope * wait`; `LEARNED` computes each
queued task's score anew at each event; the others walk the queue as the policy of that name says.
From `REMAINING` to `TURNS` they stop running tasks, and play on the event core; `SLURM` is a site's own scheduler, and
`SHARES` shares out GPUs in rounds, `ELASTIC` changes how wide tasks are; `DECIDED` asks a Python class, `CALLED` calls
a compiled function of the user's for each queued task, and `BY_PLAN` follows a plan that is made when tasks arrive.
`BY_PAST` is `LEARNED` with what users have done, and `BY_LEFT` scores what runs, too, by what it has left."""

FIRST_FIT, BEST_FIT, WORST_FIT, FGD, RANDOM_NODE, WEIGHTED_FIT, COMPACT, LEARNED_NODE = range(8)
"""Placements: how the node is chosen among those that fit; `LEARNED_NODE` by a learned score."""

NOT_PLANNED, EARLIEST_FINISH, ORACLE, PREDICTED, LEARNED_SPLIT = range(5)
"""Whether fraction and node are chosen together from the expected, or the true, ends of what runs. `PREDICTED` tries
the fraction that was settled before, beside 0 and 1; `LEARNED_SPLIT` takes what a learned score puts first."""

CPU_SIDE, GPU_SIDE, FINISH = range(3)
"""Kinds of ends in a heap of events: code = 3 * row + kind."""

ARRIVED, FINISHED, QUEUED, RUNNING, COMMON = range(5)
"""The first places in every kernel's vector of counts: how many tasks have arrived, have finished, wait and run. A
kernel's own places begin at `COMMON`."""

MILLI = 1000
"""Thousandths in one core or GPU."""
