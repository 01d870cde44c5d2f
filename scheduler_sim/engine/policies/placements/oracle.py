"""Earliest finish with the true times."""

from scheduler_sim.engine.codes import FIRST_FIT, ORACLE
from scheduler_sim.engine.policies.placement import PLACEMENTS, Placement

PLACEMENTS.register(
    Placement(
        name="oracle",
        code=FIRST_FIT,
        rule="As eft, with the true times and, beside 0 and 1, the exact best gpu_fraction.",
        source="baseline",
        clairvoyant=True,
        planned=ORACLE,
    )
)
