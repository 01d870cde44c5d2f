"""The registries of orders, backfills and placements, and the reading of policy texts."""

from scheduler_sim.engine.policies.backfill import BACKFILLS, Backfill
from scheduler_sim.engine.policies.order import ORDERS, Order, ScoreContext, Scores
from scheduler_sim.engine.policies.placement import PLACEMENTS, ChoiceContext, Choices, Placement
from scheduler_sim.engine.policies.policy import READY_MADE, Policy, parse_policies, parse_policy

__all__ = [
    "BACKFILLS",
    "ORDERS",
    "PLACEMENTS",
    "READY_MADE",
    "Backfill",
    "ChoiceContext",
    "Choices",
    "Order",
    "Placement",
    "Policy",
    "ScoreContext",
    "Scores",
    "parse_policies",
    "parse_policy",
]
