"""What may pass a task that does not fit."""

from dataclasses import dataclass, field

from scheduler_sim.engine.codes import CONSERVATIVE, EASY, LIST, NONE
from scheduler_sim.engine.policies.parameter import Adjustable, Parameter, Value, whole
from scheduler_sim.engine.policies.registry import Registry


@dataclass(frozen=True)
class Backfill(Adjustable):
    """A registered way of backfilling.

    Attributes:
        name: as typed after `+` in a policy.
        code: one of `codes`.
        rule: one sentence for the help pages.
        source: paper and year, or `classic`.
        parameters, values: see `Adjustable`.
    """

    name: str
    code: int
    rule: str
    source: str
    parameters: tuple[Parameter, ...] = field(default=(), kw_only=True)
    values: tuple[tuple[str, Value], ...] = field(default=(), kw_only=True)


BACKFILLS: Registry[Backfill] = Registry("backfill")

BACKFILLS.register(Backfill("none", NONE, "The first task that does not fit blocks all behind it.", "classic"))
BACKFILLS.register(Backfill("list", LIST, "A task that does not fit is skipped.", "Graham, Bell Syst. Tech. J. 1966"))
BACKFILLS.register(
    Backfill(
        "easy", EASY, "A task may pass the head only if it cannot delay the head's reservation.", "Lifka, JSSPP 1995"
    )
)
BACKFILLS.register(
    Backfill(
        "conservative",
        CONSERVATIVE,
        "Every queued task holds a reservation; none may be delayed.",
        "Mu'alem & Feitelson, IEEE TPDS 2001",
        parameters=(
            whole(
                "depth",
                unit="tasks",
                default=None,
                rule="How many queued tasks hold a reservation; by default as many as the run says, or all.",
            ),
        ),
    )
)
