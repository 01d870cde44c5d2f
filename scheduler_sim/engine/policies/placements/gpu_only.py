"""GPU only."""

import numpy as np

from scheduler_sim.engine.codes import FIRST_FIT
from scheduler_sim.engine.policies.placement import ChoiceContext, Choices, placement


@placement("gpu_only", FIRST_FIT, rule="Split tasks run on GPUs alone.", source="baseline")
def gpu_only(context: ChoiceContext) -> Choices:
    """Take f = 1 for all."""
    return Choices(fraction=np.ones(len(context.workload)))
