"""Least cost and least busy energy, of each task by itself."""

from functools import partial

from scheduler_sim.engine.codes import FIRST_FIT
from scheduler_sim.engine.policies.placement import PLACEMENTS, Placement
from scheduler_sim.engine.policies.thrift import thriftiest

for _aim, _words in (("cost", "cost"), ("energy", "busy energy")):
    _rule = f"The node group and gpu_fraction (0, 0.1 .. 1) with the least {_words}, waiting for that group."
    PLACEMENTS.register(
        Placement(
            f"min_{_aim}", FIRST_FIT, _rule, "baseline", choices=partial(thriftiest, aim=_aim), uses_estimates=True
        )
    )
