"""CPU only."""

import numpy as np

from scheduler_sim.engine.codes import FIRST_FIT
from scheduler_sim.engine.policies.placement import PLACEMENTS, ChoiceContext, Choices, Placement


def cpu_only(context: ChoiceContext) -> Choices:
    """Take f = 0 for all."""
    return Choices(fraction=np.zeros(len(context.workload)))


PLACEMENTS.register(
    Placement(
        name="cpu_only", code=FIRST_FIT, rule="Split tasks run on cores alone.", source="baseline", choices=cpu_only
    )
)
