"""Least cost."""

from scheduler_sim.engine.codes import FIRST_FIT
from scheduler_sim.engine.policies.placement import PLACEMENTS, ChoiceContext, Choices, Placement
from scheduler_sim.engine.policies.thrift import thriftiest


def min_cost(context: ChoiceContext) -> Choices:
    """Choose the node group and the fraction with the least expected cost for each task by itself."""
    return thriftiest(context, "cost")


PLACEMENTS.register(
    Placement(
        name="min_cost",
        code=FIRST_FIT,
        rule="The node group and gpu_fraction (0, 0.1 .. 1) with the least cost, waiting for that group.",
        source="baseline",
        choices=min_cost,
        uses_estimates=True,
    )
)
