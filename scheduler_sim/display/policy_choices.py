"""The policies that a form offers to tick."""

from dataclasses import dataclass

from scheduler_sim.engine.policies import READY_MADE, parse_policy
from scheduler_sim.engine.policies.backfill import BACKFILLS
from scheduler_sim.engine.policies.order import ORDERS, Order

OFFERED_BACKFILLS = ("none", "easy", "conservative")


@dataclass(frozen=True)
class PolicyChoice:
    """One policy to tick."""

    name: str
    ticked: bool


@dataclass(frozen=True)
class ChoiceRow:
    """Policies of one order under each backfilling, or one ready-made policy, with what they do.

    Attributes:
        choices: None under a backfilling that the order does not take.
    """

    name: str
    formula: str
    source: str
    choices: list[PolicyChoice | None]


def backfill_heads() -> list[tuple[str, str]]:
    """Return the backfillings that are offered, each with its rule."""
    return [(name, BACKFILLS[name].rule) for name in OFFERED_BACKFILLS]


def order_rows(chosen: set[str]) -> list[ChoiceRow]:
    """Return the orders, each with the policies it makes with every backfilling offered."""
    rows = []
    for order in ORDERS:
        if order.name == "recorded":  # Ready-made.
            continue
        choices = [_choice(order, backfill, chosen) for backfill in OFFERED_BACKFILLS]
        rows.append(ChoiceRow(order.name, order.formula, order.source, choices))
    return rows


def _choice(order: Order, backfill: str, chosen: set[str]) -> PolicyChoice | None:
    if (order.preempts or order.needs_site) and backfill != "none":
        return None
    name = parse_policy(f"{order.name}+{backfill}").name
    return PolicyChoice(name, name in chosen)


def ready_made_rows(chosen: set[str]) -> list[ChoiceRow]:
    """Return the ready-made policies."""
    return [
        ChoiceRow(name, stands_for, parse_policy(name).placement.rule, [PolicyChoice(name, name in chosen)])
        for name, stands_for in READY_MADE.items()
    ]


def offered_policies() -> set[str]:
    """Return the names of all policies that can be ticked."""
    rows = [*order_rows(set()), *ready_made_rows(set())]
    return {choice.name for row in rows for choice in row.choices if choice is not None}
