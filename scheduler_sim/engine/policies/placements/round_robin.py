"""Half and none in turn."""

import numpy as np

from scheduler_sim.engine.codes import FIRST_FIT
from scheduler_sim.engine.policies.placement import ChoiceContext, Choices, placement


@placement(
    "round_robin",
    FIRST_FIT,
    rule="Split tasks take gpu_fraction 0.5 (even task_id) or 0 (odd); the GPUs of a node are taken in turn.",
    source="baseline",
    in_turn=True,
)
def round_robin(context: ChoiceContext) -> Choices:
    """Take f = 0.5 for even task_ids and 0 for odd ones."""
    return Choices(fraction=np.where(context.workload.task_id % 2 == 0, 0.5, 0.0))
