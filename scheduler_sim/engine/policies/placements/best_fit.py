"""Best fit."""

from scheduler_sim.engine.codes import BEST_FIT
from scheduler_sim.engine.policies.placement import PLACEMENTS, Placement

PLACEMENTS.register(
    Placement(
        name="best_fit",
        code=BEST_FIT,
        rule="The node with the fewest whole GPUs left free (without GPUs: whole cores), then the lowest number.",
        source="classic",
    )
)
