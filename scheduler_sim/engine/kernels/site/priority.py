"""The keys by which entries are sorted: scores of an order, or Slurm's priorities."""

import numpy as np

from scheduler_sim.engine.codes import MILLI
from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.site.shares import rank_users
from scheduler_sim.engine.kernels.site.state import (
    AGE_WEIGHT,
    BY_FACTORS,
    CALCULATED,
    DECAY,
    FAIR_WEIGHT,
    LAST_DECAY,
    MAX_AGE,
    METERS,
    PAUSED,
    QUEUE,
    RUN,
    State,
)
from scheduler_sim.engine.kernels.site.use import forget_use, meter, of_qos

LEAD = 2.0**40
"""How much one step before all priorities adds to a key; both together stay whole numbers of 53 bits."""

TERMS = 5
"""Parts of a priority that stay as they are: size, partition, QOS, resources, and what `nice` takes away."""


@inner_kernel
def rate(s: State, row: int, since: float, now: float) -> None:
    """Give the entries of a task that has been eligible since then the keys that they have now.

    A priority is a whole number, 1 at least, and stands until it is calculated again.
    """
    for entry in range(s.first_entry[row], s.first_entry[row + 1]):
        key = s.entry_fixed_key[entry]
        if s.settings[BY_FACTORS]:
            age = min(max(np.floor(now) - np.floor(since), 0.0) / s.reals[MAX_AGE], 1.0)
            share = 0.0
            association = s.site_tasks[row].association
            if association >= 0:
                share = s.fair_factors[association]
            priority = s.reals[AGE_WEIGHT] * age + s.reals[FAIR_WEIGHT] * share
            for term in range(TERMS):
                priority += s.entry_terms[entry * TERMS + term]
            key = np.floor(max(priority, 1.0))
        s.entry_key[entry] = s.entry_lead[entry] * LEAD + key


@inner_kernel
def rate_all(s: State, now: float) -> None:
    """Calculate the keys of all that wait anew."""
    for i in range(s.counts[QUEUE]):
        row = s.entry_task[s.queue_entries[i]]
        if s.queue_entries[i] == s.first_entry[row]:
            rate(s, row, s.site_tasks[row].eligible, now)


@inner_kernel
def charge(s: State, row: int, now: float) -> None:
    """Add to its user's usage, and to what limits count, what a running task has used since it was last charged."""
    t = s.site_tasks[row]
    seconds = max(np.floor(now) - t.charged_to, 0.0)
    t.charged_to = np.floor(now)
    if t.state == PAUSED:
        return
    if s.settings[METERS]:
        meter(s, row, seconds)
    if t.association < 0:
        return
    cores = 0
    piece = t.first_piece
    while piece >= 0:
        cores += s.held_pieces[piece].cpu
        piece = s.held_pieces[piece].next_of_task
    factor = of_qos(s.qos_usage, t.qos)
    s.fair_usage[t.association] += cores / MILLI * seconds * s.reals[DECAY] ** seconds * factor


@inner_kernel
def calculate(s: State, now: float) -> None:
    """Let usage decay, charge what runs, rank the users, and calculate all keys anew."""
    if s.counts[CALCULATED]:
        if s.settings[METERS]:
            forget_use(s, np.floor(now) - s.clock[LAST_DECAY])
        factor = s.reals[DECAY] ** (np.floor(now) - s.clock[LAST_DECAY])
        for i in range(len(s.fair_usage)):
            s.fair_usage[i] *= factor
    rows = np.sort(s.run_tasks[: s.counts[RUN]])
    for i in range(len(rows)):
        charge(s, rows[i], now)
    s.counts[CALCULATED] = 1
    s.clock[LAST_DECAY] = np.floor(now)
    if s.settings[BY_FACTORS]:
        rank_users(s)
        rate_all(s, now)
