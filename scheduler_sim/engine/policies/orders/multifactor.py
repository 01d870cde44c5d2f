"""Slurm's weighted priority: age, size, fair share, queue."""

import msgspec
import numpy as np

from scheduler_sim.engine.codes import MULTIFACTOR
from scheduler_sim.engine.policies.order import ScoreContext, Scores, order
from scheduler_sim.engine.sites import Site
from scheduler_sim.engine.units import SECONDS_PER_DAY

AGE_WEIGHT, SIZE_WEIGHT, FAIR_SHARE_WEIGHT, QUEUE_WEIGHT = 1000.0, 500.0, 2000.0, 1000.0

LONGEST_AGE = 7 * SECONDS_PER_DAY
"""Seconds after which age counts in full (Slurm's PriorityMaxAge default)."""

HALF_LIFE = 7 * SECONDS_PER_DAY
"""Seconds in which past use loses half its weight (Slurm's PriorityDecayHalfLife default)."""

FAST_QUEUES = {"0", "debug", "express", "high", "interactive", "urgent"}
SLOW_QUEUES = {"idle", "low", "preempt", "scavenger"}


def queue_factor(name: str) -> float:
    """Return a queue's factor: 1 for interactive ones (SWF numbers them 0), 0 for scavengers, 0.5 for the rest."""
    return 1.0 if name.lower() in FAST_QUEUES else 0.0 if name.lower() in SLOW_QUEUES else 0.5


def with_weights(site: Site) -> Site:
    """Return the site with the weights that the order has there: the site's, or the order's own where it has none."""
    if site.priority.weighs:
        return site
    weighed = msgspec.structs.replace(
        site.priority,
        age_weight=round(AGE_WEIGHT),
        job_size_weight=round(SIZE_WEIGHT),
        fair_share_weight=round(FAIR_SHARE_WEIGHT),
        partition_weight=round(QUEUE_WEIGHT),
    )
    return msgspec.structs.replace(site, priority=weighed)


@order(
    "multifactor",
    formula="-(1000 age + 500 size + 2000 fair share + 1000 queue)",
    source="Slurm, Multifactor Priority Plugin (documentation)",
    uses_estimates=False,
)
def multifactor(context: ScoreContext) -> Scores:
    """Score by minus the weighted sum of factors between 0 and 1.

    Age is the wait over 7 days, size the share of the cluster's processors, fair share 2^(-use / share) of the user's
    decayed processor-seconds with equal shares for all users. Use is charged when a task finishes.
    """
    workload, cluster = context.workload, context.cluster
    total = np.where(workload.gpus > 0, max(cluster.gpus, 1), max(cluster.cores, 1))
    size = np.minimum(context.processors / total, 1.0)
    queue = np.array([queue_factor(name) for name in workload.queue.names])[workload.queue.codes]
    parameters = np.array([AGE_WEIGHT, LONGEST_AGE, FAIR_SHARE_WEIGHT, HALF_LIFE, len(workload.user.names)])
    return Scores(base=-(SIZE_WEIGHT * size + QUEUE_WEIGHT * queue), kind=MULTIFACTOR, parameters=parameters)
