"""The learned linear score with the weights that come with the engine."""

from scheduler_sim.engine.policies.learned import shipped_order
from scheduler_sim.engine.policies.order import ORDERS

ORDERS.register(shipped_order("linear"))
