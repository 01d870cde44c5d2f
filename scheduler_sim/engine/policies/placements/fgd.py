"""Fragmentation gradient descent."""

from scheduler_sim.engine.codes import FGD
from scheduler_sim.engine.policies.placement import PLACEMENTS, Placement

PLACEMENTS.register(
    Placement(
        name="fgd",
        code=FGD,
        rule="The node and device where the expected GPU fragmentation over the workload's task classes grows least.",
        source="Weng et al., Beware of fragmentation, USENIX ATC 2023",
    )
)
