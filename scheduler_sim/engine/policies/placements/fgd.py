"""Fragmentation gradient descent."""

from scheduler_sim.engine.codes import FGD
from scheduler_sim.engine.policies.parameter import choice
from scheduler_sim.engine.policies.placement import PLACEMENTS, Placement

PLACEMENTS.register(
    Placement(
        name="fgd",
        code=FGD,
        rule="The node and device where the expected GPU fragmentation over the workload's task classes grows least.",
        source="Weng et al., Beware of fragmentation, USENIX ATC 2023",
        parameters=(
            choice(
                "gain",
                lambda: ["exact", "percent"],
                default="exact",
                rule="How gains are compared: exactly, or in whole per cent of 1 / (1 + exp(-gain)) with all free GPUs "
                "of a node lost to tasks without GPUs, as the authors' program does; many more nodes tie then.",
            ),
        ),
    )
)
