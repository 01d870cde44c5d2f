"""Least busy energy."""

from scheduler_sim.engine.codes import FIRST_FIT
from scheduler_sim.engine.policies.placement import PLACEMENTS, ChoiceContext, Choices, Placement
from scheduler_sim.engine.policies.thrift import thriftiest


def min_energy(context: ChoiceContext) -> Choices:
    """Choose the node group and the fraction with the least expected busy energy for each task by itself."""
    return thriftiest(context, "energy")


PLACEMENTS.register(
    Placement(
        name="min_energy",
        code=FIRST_FIT,
        rule="The node group and gpu_fraction (0, 0.1 .. 1) with the least busy energy, waiting for that group.",
        source="baseline",
        choices=min_energy,
        uses_estimates=True,
    )
)
