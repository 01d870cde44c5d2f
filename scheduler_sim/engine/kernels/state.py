"""Where the counters of a pool simulation lie in its integer vector.

All state of a run is arrays plus this vector, so that a kernel can stop after any instant and be called again.
"""

ARRIVED = 0
"""Rows below this number have arrived."""
FREE = 1
"""Processors that no task holds."""
FINISHED = 2
QUEUED = 3
RUNNING = 4
UNSORTED = 5
"""1 when tasks that finished at one instant were appended out of row order."""
HEAD = 6
"""What a queue structure remembers of the blocked head; -1 for nothing."""
EXTRA = 7
"""Processors that the head's reservation leaves over at its shadow time."""
FIELDS = 16

NONE, LIST, EASY, CONSERVATIVE = 0, 1, 2, 3
"""The codes of `policies.backfill`, as constants that compiled code can hold."""
