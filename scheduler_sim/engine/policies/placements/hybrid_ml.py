"""The predicted GPU fraction, with the model that comes with the engine."""

from scheduler_sim.engine.learning.hybrid import hybrid_placement
from scheduler_sim.engine.policies.placement import PLACEMENTS

PLACEMENTS.register(hybrid_placement())
