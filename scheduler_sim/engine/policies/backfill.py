"""What may pass a task that does not fit."""

from dataclasses import dataclass

from scheduler_sim.engine.policies.registry import Registry


@dataclass(frozen=True)
class Backfill:
    """A registered way of backfilling.

    Attributes:
        name: as typed after `+` in a policy.
        code: the integer the kernels know it by.
        rule: one sentence for the help pages.
        source: paper and year, or `classic`.
    """

    name: str
    code: int
    rule: str
    source: str


BACKFILLS: Registry[Backfill] = Registry("backfill")

NONE = BACKFILLS.register(Backfill("none", 0, "The first task that does not fit blocks all behind it.", "classic"))
LIST = BACKFILLS.register(
    Backfill("list", 1, "A task that does not fit is skipped.", "Graham, Bell Syst. Tech. J. 1966")
)
EASY = BACKFILLS.register(
    Backfill("easy", 2, "A task may pass the head only if it cannot delay the head's reservation.", "Lifka, JSSPP 1995")
)
CONSERVATIVE = BACKFILLS.register(
    Backfill(
        "conservative",
        3,
        "Every queued task holds a reservation; none may be delayed.",
        "Mu'alem & Feitelson, IEEE TPDS 2001",
    )
)
