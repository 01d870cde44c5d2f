"""Whether a running task may be stopped for another one, and what that costs it."""

from dataclasses import dataclass

from scheduler_sim.engine.policies.parameter import Adjustable, overhead
from scheduler_sim.engine.policies.registry import Registry


@dataclass(frozen=True)
class Preemption(Adjustable):
    """A registered way of preempting.

    Attributes:
        name: as typed after `~` in a policy.
        rule: one sentence for the help pages.
        source: paper and year, or `classic`.
    """

    rule: str
    source: str


PREEMPTIONS: Registry[Preemption] = Registry("preemption")

RUN_ON = PREEMPTIONS.register(Preemption("none", "A task that has started runs to its end.", "classic"))

RESTART = overhead(
    "restart_overhead",
    rule="Seconds that each start after the first holds devices without progress; by default what the run says.",
)

SUSPEND = PREEMPTIONS.register(
    Preemption(
        "suspend",
        "A task that comes before running ones in the order takes their place; they go on later where they stopped.",
        "classic",
        parameters=(RESTART,),
    )
)
CHECKPOINT = PREEMPTIONS.register(
    Preemption(
        "checkpoint",
        "As suspend, but a stopped task goes on from its last checkpoint; the run must say how often one is written.",
        "classic",
        parameters=(RESTART,),
    )
)
REQUEUE = PREEMPTIONS.register(
    Preemption(
        "requeue", "As suspend, but a stopped task starts from its beginning again.", "classic", parameters=(RESTART,)
    )
)
