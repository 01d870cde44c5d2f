"""A policy is three small choices: `order[+backfill][@placement]`."""

from collections.abc import Callable
from dataclasses import dataclass

from scheduler_sim.engine.errors import InvalidPolicy
from scheduler_sim.engine.policies import orders, placements
from scheduler_sim.engine.policies.backfill import BACKFILLS, Backfill
from scheduler_sim.engine.policies.order import ORDERS, Order
from scheduler_sim.engine.policies.placement import DEFAULT_PLACEMENT, PLACEMENTS, Placement
from scheduler_sim.engine.policies.registry import unknown_name

__all__ = ["READY_MADE", "Policy", "orders", "parse_policies", "parse_policy", "placements"]

ORDER_SOURCES: dict[str, Callable[[str], Order]] = {}
"""Where orders written `prefix:name` come from, by prefix; whoever stores such orders registers itself here."""

READY_MADE: dict[str, str] = {
    "round_robin": "fcfs+list@round_robin",
    "random": "fcfs+list@random",
    "greedy": "fcfs+list@greedy",
    "hybrid_ml": "fcfs+list@hybrid_ml",
    "rl_agent": "fcfs+list@rl_agent",
    "oracle": "fcfs+list@oracle",
    "recorded": "recorded+list",
}
"""Whole policies under one name: the name, and what it stands for."""


@dataclass(frozen=True)
class Policy:
    """One way to schedule: in which order, what may pass a blocked head, and where a task goes."""

    order: Order
    backfill: Backfill
    placement: Placement

    @property
    def name(self) -> str:
        """The name under which results are stored; defaults are left out."""
        text = self.order.name
        if self.backfill.name != "none":
            text += f"+{self.backfill.name}"
        if self.placement.name != DEFAULT_PLACEMENT:
            text += f"@{self.placement.name}"
        return next((short for short, long in READY_MADE.items() if long == text), text)

    @property
    def model_version(self) -> int | None:
        """The version of the stored model behind it, None when there is none."""
        return self.order.model_version if self.order.model_version is not None else self.placement.model_version

    @property
    def clairvoyant(self) -> bool:
        """True when any part of it sees the true runtime."""
        return self.order.clairvoyant or self.placement.clairvoyant


def parse_policy(text: str) -> Policy:
    """Read one policy such as `fcfs`, `sjf+easy` or `wfp3+conservative@best_fit`.

    Raises:
        InvalidPolicy: a part that is not registered; the sentence names the nearest and all valid ones.
    """
    text = text.strip()
    whole = READY_MADE.get(text, text)
    rest, at, placement = whole.partition("@")
    order, plus, backfill = rest.partition("+")
    if not order or (plus and not backfill) or (at and not placement):
        raise InvalidPolicy(f"{text!r} is not a policy. Write order[+backfill][@placement], for example sjf+easy.")
    if order not in ORDERS and order == text and ":" not in order:
        raise InvalidPolicy(unknown_name("policy", text, list(dict.fromkeys([*ORDERS.names(), *READY_MADE]))))
    return Policy(
        order=_find_order(order),
        backfill=BACKFILLS[backfill or "none"],
        placement=PLACEMENTS[placement or DEFAULT_PLACEMENT],
    )


def _find_order(name: str) -> Order:
    prefix, _, rest = name.partition(":")
    if rest and prefix in ORDER_SOURCES:
        return ORDER_SOURCES[prefix](rest)
    return ORDERS[name]


def parse_policies(text: str) -> list[Policy]:
    """Read a comma-separated list of policies.

    Raises:
        InvalidPolicy: the list is empty, a policy is unknown or stands in it twice.
    """
    policies = [parse_policy(part) for part in text.split(",") if part.strip()]
    if not policies:
        raise InvalidPolicy("The list of policies is empty.")
    names = [policy.name for policy in policies]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InvalidPolicy(f"Policies stand in the list more than once: {', '.join(repeated)}.")
    return policies
