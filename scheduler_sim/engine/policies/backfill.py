"""What may pass a task that does not fit."""

from dataclasses import dataclass

from scheduler_sim.engine.codes import CONSERVATIVE, EASY, LIST, NONE
from scheduler_sim.engine.policies.order import ORDERS
from scheduler_sim.engine.policies.parameter import Adjustable, choice, whole
from scheduler_sim.engine.policies.registry import Registry


@dataclass(frozen=True)
class Backfill(Adjustable):
    """A registered way of backfilling.

    Attributes:
        name: as typed after `+` in a policy.
        code: one of `codes`.
        rule: one sentence for the help pages.
        source: paper and year, or `classic`.
    """

    code: int
    rule: str
    source: str

    @property
    def order(self) -> str | None:
        """The name of the order in which what may pass the head is tried, None for the queue's own."""
        name: str | None = self.value("order") if self.having("order") else None
        return name

    @property
    def predictor(self) -> str | None:
        """What makes the predictions by which it reserves and backfills while the run goes on, None for nothing."""
        name: str | None = self.value("predict") if self.having("predict") else None
        return name

    @property
    def predicts(self) -> bool:
        """Tell whether it reserves and backfills by predictions that are made while the run goes on."""
        return self.predictor is not None

    @property
    def uses_estimates(self) -> bool:
        """True when it reserves, for which it needs to know how long tasks are expected to run."""
        return self.code not in (NONE, LIST)


def _scored_names() -> list[str]:
    """Return the orders that score tasks by themselves."""
    return [order.name for order in ORDERS if not order.needs_site]


BACKFILLS: Registry[Backfill] = Registry("backfill")

BACKFILLS.register(Backfill("none", NONE, "The first task that does not fit blocks all behind it.", "classic"))
BACKFILLS.register(Backfill("list", LIST, "A task that does not fit is skipped.", "Graham, Bell Syst. Tech. J. 1966"))
BACKFILLS.register(
    Backfill(
        "easy",
        EASY,
        "A task may pass the head only if it cannot delay the head's reservation.",
        "Lifka, JSSPP 1995; order and predict: Tsafrir, Etsion & Feitelson, IEEE TPDS 2007; "
        "regression: Gaussier, Glesser, Reis & Trystram, SC 2015",
        parameters=(
            choice(
                "order",
                _scored_names,
                default=None,
                rule="The order in which what may pass the head is tried, by default the queue's; sjf: EASY-SJBF.",
            ),
            choice(
                "predict",
                lambda: ["last_two", "regression"],
                default=None,
                rule="Reserve and backfill by a prediction instead of the estimate, which it does not exceed; what "
                "runs longer is given 1, 5, 15, 30 minutes, 1, 2, 5, 10, 20, 50, 100 hours more. last_two: the mean of "
                "the user's last two finished runs, with order=sjf EASY++. regression: the lower quartile, learned "
                "from every task that finishes. On a single pool of processors.",
            ),
        ),
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
