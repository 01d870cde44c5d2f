"""The registries of orders, backfills, placements and preemptions, and the reading of policy texts."""

from scheduler_sim.engine.policies.backfill import BACKFILLS, Backfill
from scheduler_sim.engine.policies.grammar import read_parts, split_outside
from scheduler_sim.engine.policies.order import ORDERS, Order, ScoreContext, Scores, changes_widths
from scheduler_sim.engine.policies.parameter import Parameter
from scheduler_sim.engine.policies.placement import PLACEMENTS, ChoiceContext, Choices, Placement
from scheduler_sim.engine.policies.policy import READY_MADE, Policy, parse_policies, parse_policy
from scheduler_sim.engine.policies.preemption import PREEMPTIONS, Preemption

__all__ = [
    "BACKFILLS",
    "ORDERS",
    "PLACEMENTS",
    "PREEMPTIONS",
    "READY_MADE",
    "Backfill",
    "ChoiceContext",
    "Choices",
    "Order",
    "Parameter",
    "Placement",
    "Policy",
    "Preemption",
    "ScoreContext",
    "Scores",
    "changes_widths",
    "parse_policies",
    "parse_policy",
    "read_parts",
    "split_outside",
]
