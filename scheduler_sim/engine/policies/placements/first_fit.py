"""First fit."""

from scheduler_sim.engine.codes import FIRST_FIT
from scheduler_sim.engine.policies.placement import PLACEMENTS, Placement

PLACEMENTS.register(
    Placement(
        name="first_fit",
        code=FIRST_FIT,
        rule="The lowest-numbered node that fits; split tasks take gpu_fraction = compute_intensity.",
        source="classic",
    )
)
