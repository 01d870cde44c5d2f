"""Gymnasium environments over the simulator, so that any reinforcement learning library can learn to schedule.

Gymnasium is optional: `pip install gymnasium`. In an episode one sequence of tasks is played. `SchedulingEnv` asks
which task of a queue starts next, `PlacementEnv` on which node the first one runs, `PreemptionEnv` what is stopped for
one that waits. Each has a twin, `...VectorEnv`, that is many of them stepped in one compiled call. `learned_queue`
makes a policy of what was learned, which then plays and is judged as any other. docs/learning.md says what is seen.
"""

from scheduler_sim.engine.gym.placement import PlacementEnv, PlacementVectorEnv
from scheduler_sim.engine.gym.preemption import PreemptionEnv, PreemptionVectorEnv
from scheduler_sim.engine.gym.queue import SchedulingEnv, SchedulingVectorEnv, learned_queue

__all__ = [
    "PlacementEnv",
    "PlacementVectorEnv",
    "PreemptionEnv",
    "PreemptionVectorEnv",
    "SchedulingEnv",
    "SchedulingVectorEnv",
    "learned_queue",
]
