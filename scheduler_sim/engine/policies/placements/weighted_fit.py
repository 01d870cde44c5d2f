"""Best fit over cores and GPUs together."""

from scheduler_sim.engine.codes import WEIGHTED_FIT
from scheduler_sim.engine.policies.placement import PLACEMENTS, Placement

PLACEMENTS.register(
    Placement(
        name="weighted_fit",
        code=WEIGHTED_FIT,
        rule="The node with the least left free, its cores and its GPUs weighed alike as shares of the most that any "
        "node has, then the lowest number.",
        source="BestFit of Weng et al., Beware of fragmentation, USENIX ATC 2023",
    )
)
