"""A schedule at one instant: who waits, who runs, what is free, and what the policy decided there.

`stretches` says where to look for the tasks of an instant, `standing` what they do then, `decisions` why.
"""

from scheduler_sim.engine.instant.decision import Decision, Decisions, NotExplained, NotKnownFarEnough
from scheduler_sim.engine.instant.decisions import decisions
from scheduler_sim.engine.instant.events import event_times, happened
from scheduler_sim.engine.instant.scores import scores_at
from scheduler_sim.engine.instant.site_reasons import site_decisions
from scheduler_sim.engine.instant.standing import Schedule, Standing, standing
from scheduler_sim.engine.instant.stretches import Stretch, stretches

__all__ = (
    "Decision",
    "Decisions",
    "NotExplained",
    "NotKnownFarEnough",
    "Schedule",
    "Standing",
    "Stretch",
    "decisions",
    "event_times",
    "happened",
    "scores_at",
    "site_decisions",
    "standing",
    "stretches",
)
