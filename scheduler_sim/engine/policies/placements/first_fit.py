"""First fit."""

from scheduler_sim.engine.policies.placement import FIRST_FIT, PLACEMENTS, Placement

PLACEMENTS.register(
    Placement(
        name="first_fit",
        code=FIRST_FIT,
        rule="The lowest-numbered node that fits; split tasks take gpu_fraction = compute_intensity.",
        source="classic",
    )
)
