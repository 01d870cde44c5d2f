"""CPU only."""

import numpy as np

from scheduler_sim.engine.codes import FIRST_FIT
from scheduler_sim.engine.policies.placement import ChoiceContext, Choices, placement


@placement("cpu_only", FIRST_FIT, rule="Split tasks run on cores alone.", source="baseline")
def cpu_only(context: ChoiceContext) -> Choices:
    """Take f = 0 for all."""
    return Choices(fraction=np.zeros(len(context.workload)))
