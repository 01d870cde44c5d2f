"""Worst fit."""

from scheduler_sim.engine.policies.placement import PLACEMENTS, WORST_FIT, Placement

PLACEMENTS.register(
    Placement(
        name="worst_fit",
        code=WORST_FIT,
        rule="The node with the most whole GPUs left free (without GPUs: whole cores), then the lowest number.",
        source="classic",
    )
)
