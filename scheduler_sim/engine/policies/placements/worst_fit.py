"""Worst fit."""

from scheduler_sim.engine.codes import WORST_FIT
from scheduler_sim.engine.policies.placement import PLACEMENTS, Placement

PLACEMENTS.register(
    Placement(
        name="worst_fit",
        code=WORST_FIT,
        rule="The node with the most whole GPUs left free (without GPUs: whole cores), then the lowest number.",
        source="classic",
    )
)
