"""GPU only."""

import numpy as np

from scheduler_sim.engine.codes import FIRST_FIT
from scheduler_sim.engine.policies.placement import PLACEMENTS, ChoiceContext, Choices, Placement


def gpu_only(context: ChoiceContext) -> Choices:
    """Take f = 1 for all."""
    return Choices(fraction=np.ones(len(context.workload)))


PLACEMENTS.register(
    Placement(
        name="gpu_only", code=FIRST_FIT, rule="Split tasks run on GPUs alone.", source="baseline", choices=gpu_only
    )
)
