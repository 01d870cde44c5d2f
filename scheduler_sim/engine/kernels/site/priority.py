"""The keys by which entries are sorted: scores of an order, or Slurm's priorities."""

import numpy as np

from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.site.state import (
    AGE_WEIGHT,
    BY_FACTORS,
    FAIR_WEIGHT,
    MAX_AGE,
    QUEUE,
    State,
)

LEAD = 2.0**40
"""How much one step before all priorities adds to a key; both together stay whole numbers of 53 bits."""


@inner_kernel
def rate(s: State, row: int, since: float, now: float) -> None:
    """Give the entries of a task that has been eligible since then the keys that they have now.

    A priority is a whole number, 1 at least, and stands until it is calculated again.
    """
    for entry in range(s.first_entry[row], s.first_entry[row + 1]):
        if s.settings[BY_FACTORS]:
            age = min(max(np.floor(now) - np.floor(since), 0.0) / s.reals[MAX_AGE], 1.0)
            priority = s.entry_fixed_key[entry] + s.reals[AGE_WEIGHT] * age
            association = s.site_tasks[row].association
            if association >= 0:
                priority += s.reals[FAIR_WEIGHT] * s.fair_factors[association]
            s.entry_key[entry] = s.entry_lead[entry] * LEAD + np.floor(max(priority, 1.0))
        else:
            s.entry_key[entry] = s.entry_lead[entry] * LEAD + s.entry_fixed_key[entry]


@inner_kernel
def rate_all(s: State, now: float) -> None:
    """Calculate the keys of all that wait anew."""
    for i in range(s.counts[QUEUE]):
        row = s.entry_task[s.queue_entries[i]]
        if s.queue_entries[i] == s.first_entry[row]:
            rate(s, row, s.site_tasks[row].ready, now)
