"""Whether a running task may be stopped for another one, and what that costs it."""

from dataclasses import dataclass, field

from scheduler_sim.engine.policies.parameter import Adjustable, Parameter, Value
from scheduler_sim.engine.policies.registry import Registry


@dataclass(frozen=True)
class Preemption(Adjustable):
    """A registered way of preempting.

    Attributes:
        name: as typed after `~` in a policy.
        rule: one sentence for the help pages.
        source: paper and year, or `classic`.
        parameters, values: see `Adjustable`.
    """

    name: str
    rule: str
    source: str
    parameters: tuple[Parameter, ...] = field(default=(), kw_only=True)
    values: tuple[tuple[str, Value], ...] = field(default=(), kw_only=True)


PREEMPTIONS: Registry[Preemption] = Registry("preemption")

RUN_ON = PREEMPTIONS.register(Preemption("none", "A task that has started runs to its end.", "classic"))
