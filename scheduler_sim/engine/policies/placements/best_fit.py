"""Best fit."""

from scheduler_sim.engine.policies.placement import BEST_FIT, PLACEMENTS, Placement

PLACEMENTS.register(
    Placement(
        name="best_fit",
        code=BEST_FIT,
        rule="The node with the fewest whole GPUs left free (without GPUs: whole cores), then the lowest number.",
        source="classic",
    )
)
