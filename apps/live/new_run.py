"""What the form of a new run offers, and what it sends."""

from dataclasses import dataclass
from typing import Any

from django.http import QueryDict

from scheduler_sim.engine.policies import READY_MADE, parse_policy
from scheduler_sim.engine.policies.backfill import BACKFILLS
from scheduler_sim.engine.policies.order import ORDERS

OFFERED_BACKFILLS = ("none", "easy", "conservative")


@dataclass(frozen=True)
class PolicyChoice:
    """One policy to tick, with what it does."""

    name: str
    formula: str
    source: str
    ticked: bool


def policy_choices(chosen: set[str]) -> dict[str, list[PolicyChoice]]:
    """Return the policies to tick by kind: orders under each backfilling, then ready-made ones."""
    choices: dict[str, list[PolicyChoice]] = {}
    for backfill in OFFERED_BACKFILLS:
        title = f"{backfill.capitalize()} backfilling" if backfill != "none" else "No backfilling"
        choices[f"{title}. {BACKFILLS[backfill].rule}"] = [
            PolicyChoice(name, order.formula, order.source, name in chosen)
            for order in ORDERS
            for name in [parse_policy(f"{order.name}+{backfill}").name]
            if name not in READY_MADE and order.name != "recorded"
        ]
    choices["Ready-made policies"] = [
        PolicyChoice(name, stands_for, parse_policy(name).placement.rule, name in chosen)
        for name, stands_for in READY_MADE.items()
    ]
    return choices


def form_data(sent: QueryDict) -> dict[str, Any]:
    """Return what the form sent as the API's request: empty fields left out, policies in one list."""
    fields = ("workload", "cluster", "name", "seed", "limit", "on_oversize", "estimates", "split_model")
    data: dict[str, Any] = {key: sent[key].strip() for key in fields if sent.get(key, "").strip()}
    others = [name.strip() for name in sent.get("others", "").split(",") if name.strip()]
    data["policies"] = [*sent.getlist("policies"), *others]
    return data
