"""As much on the GPU as the task is compute bound."""

from scheduler_sim.engine.codes import FIRST_FIT
from scheduler_sim.engine.policies.placement import PLACEMENTS, Placement, by_intensity

PLACEMENTS.register(
    Placement(
        name="greedy",
        code=FIRST_FIT,
        rule="Split tasks take gpu_fraction = compute_intensity.",
        source="baseline",
        choices=by_intensity,
    )
)
