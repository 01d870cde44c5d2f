"""Earliest finish time."""

from scheduler_sim.engine.codes import EARLIEST_FINISH, FIRST_FIT
from scheduler_sim.engine.policies.placement import PLACEMENTS, Placement

PLACEMENTS.register(
    Placement(
        name="eft",
        code=FIRST_FIT,
        rule="The node and the gpu_fraction (0, 0.1 .. 1) with the earliest expected finish.",
        source="Topcuoglu et al., IEEE TPDS 2002 (the processor selection of HEFT)",
        planned=EARLIEST_FINISH,
        uses_estimates=True,
    )
)
