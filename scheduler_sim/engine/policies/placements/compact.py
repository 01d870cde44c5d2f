"""Gangs in as few racks as can be."""

from scheduler_sim.engine.codes import COMPACT
from scheduler_sim.engine.policies.placement import PLACEMENTS, Placement

PLACEMENTS.register(
    Placement(
        name="compact",
        code=COMPACT,
        rule="A task over several nodes goes into one rack, or else one switch of racks, of the lowest level that can "
        "hold it, the one with the fewest whole nodes left for it, and there into as few racks as can be; any other "
        "goes as with best_fit, as all do where the cluster states no topology.",
        source="best fit over the switches of a tree, as Slurm's topology/tree",
    )
)
