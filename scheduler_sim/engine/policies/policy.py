"""A policy is four small choices: `order[+backfill][@placement][~preemption]`, three of which have a default."""

from dataclasses import dataclass
from typing import Any, TypeVar

from scheduler_sim.engine.errors import InvalidPolicy, unknown_name
from scheduler_sim.engine.part_sources import PART_SOURCES
from scheduler_sim.engine.policies import orders, placements
from scheduler_sim.engine.policies.backfill import BACKFILLS, Backfill
from scheduler_sim.engine.policies.grammar import Written, read_parts, split_outside
from scheduler_sim.engine.policies.loading import load_installed
from scheduler_sim.engine.policies.order import ORDERS, Order
from scheduler_sim.engine.policies.placement import DEFAULT_PLACEMENT, PLACEMENTS, Placement
from scheduler_sim.engine.policies.preemption import PREEMPTIONS, RUN_ON, Preemption
from scheduler_sim.engine.policies.registry import Registry

__all__ = ["READY_MADE", "Policy", "orders", "parse_policies", "parse_policy", "placements"]

PartType = TypeVar("PartType", Backfill, Placement, Preemption)

LONGEST_NAME = 100
"""Characters of a policy's name that stored rows have room for."""

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
    """One way to schedule: in which order, what may pass a blocked head, where a task goes and what may stop it."""

    order: Order
    backfill: Backfill
    placement: Placement
    preemption: Preemption = RUN_ON

    @property
    def name(self) -> str:
        """The name under which results are stored; defaults are left out."""
        text = self.order.text
        if self.backfill.text != "none":
            text += f"+{self.backfill.text}"
        if self.placement.text != DEFAULT_PLACEMENT:
            text += f"@{self.placement.text}"
        if self.preemption != RUN_ON:
            text += f"~{self.preemption.text}"
        return next((short for short, long in READY_MADE.items() if long == text), text)

    @property
    def preempts(self) -> bool:
        """True when it may stop running tasks for others."""
        return self.order.preempts or self.preemption != RUN_ON

    @property
    def may_stop(self) -> bool:
        """True when tasks may stop and go on under it, for others or at times of their own."""
        return self.preempts or self.order.stops

    @property
    def model_version(self) -> int | None:
        """The version of the stored model behind it, None when there is none."""
        return self.order.model_version if self.order.model_version is not None else self.placement.model_version

    @property
    def clairvoyant(self) -> bool:
        """True when any part of it sees the true runtime."""
        backfilled = self.backfill.order
        in_order = backfilled is not None and ORDERS[backfilled].clairvoyant
        return self.order.clairvoyant or in_order or self.placement.clairvoyant

    @property
    def replays_log(self) -> bool:
        """True when it is to bring about the very starts that the workload recorded."""
        return self.order.name == "recorded"

    @property
    def uses_estimates(self) -> bool:
        """True when what it does depends on duration estimates."""
        return self.order.uses_estimates or self.backfill.uses_estimates or self.placement.uses_estimates


def parse_policy(text: str) -> Policy:
    """Read one policy such as `fcfs`, `sjf+easy(depth=100)` or `wfp3+conservative@best_fit`.

    Raises:
        InvalidPolicy: a part or a parameter that is not registered, or a value it does not take; the sentence names
            the nearest and all valid ones.
    """
    text = text.strip()
    parts = read_parts(READY_MADE.get(text, text))
    order = parts["order"]
    if order.name not in ORDERS and ":" not in order.name:
        load_installed()
    if order.name not in ORDERS and order.name == text and ":" not in text:
        raise InvalidPolicy(unknown_name("policy", text, list(dict.fromkeys([*ORDERS.names(), *READY_MADE]))))
    policy = Policy(
        order=_find_order(order.name).with_values(order.parameters),
        backfill=_find(BACKFILLS, parts.get("backfill"), "none"),
        placement=_find_placement(parts.get("placement")),
        preemption=_find(PREEMPTIONS, parts.get("preemption"), "none"),
    )
    if policy.order.preempts and (policy.backfill.name != "none" or policy.preemption != RUN_ON):
        raise InvalidPolicy(
            f"{policy.order.name} builds the schedule by its own rule; it takes neither +backfill nor ~preemption."
        )
    if policy.order.stops and policy.preemption != RUN_ON:
        raise InvalidPolicy(
            f"{policy.order.name} stops tasks at times of its own, and takes no ~preemption; stops=suspend or "
            f"stops=checkpoint says what a stop leaves."
        )
    if policy.order.needs_site and policy.name != policy.order.text:
        raise InvalidPolicy(
            f"{policy.order.name} is a whole scheduler; it takes neither +backfill nor @placement nor ~preemption."
        )
    if len(policy.name) > LONGEST_NAME:
        raise InvalidPolicy(f"{policy.name!r} is longer than {LONGEST_NAME} characters, the most a policy's name has.")
    return policy


def _find(registry: Registry[PartType], written: Written | None, default: str) -> PartType:
    if written is None:
        return registry[default]
    return registry[written.name].with_values(written.parameters)


def _find_order(name: str) -> Order:
    stored: Order | None = _stored("order", name)
    return ORDERS[name] if stored is None else stored


def _find_placement(written: Written | None) -> Placement:
    stored: Placement | None = None if written is None else _stored("placement", written.name)
    if written is None or stored is None:
        return _find(PLACEMENTS, written, DEFAULT_PLACEMENT)
    return stored.with_values(written.parameters)


def _stored(kind: str, name: str) -> Any:
    """Return the part of a policy that is stored under a name with a prefix, None for a name without one."""
    prefix, _, rest = name.partition(":")
    return PART_SOURCES[prefix](kind, rest) if rest and prefix in PART_SOURCES else None


def parse_policies(text: str) -> list[Policy]:
    """Read a list of policies with commas between them; a comma inside brackets belongs to the parameters.

    Raises:
        InvalidPolicy: the list is empty, a policy is unknown or stands in it twice.
    """
    policies = [parse_policy(part) for part in split_outside(text, ",") if part.strip()]
    if not policies:
        raise InvalidPolicy("The list of policies is empty.")
    names = [policy.name for policy in policies]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InvalidPolicy(f"Policies stand in the list more than once: {', '.join(repeated)}.")
    return policies
