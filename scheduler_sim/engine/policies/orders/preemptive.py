"""Orders that stop running tasks by themselves: the schedule is built anew at each event, and progress is kept."""

from functools import partial

from scheduler_sim.engine.codes import ATTAINED, REMAINING, REMAINING_AREA, TURNS
from scheduler_sim.engine.policies.order import ScoreContext, Scores, order
from scheduler_sim.engine.policies.parameter import ascending, number, overhead, whole

RESTART = overhead(
    "restart_overhead",
    rule="Seconds that each start from waiting holds devices without progress; by default what the run says.",
)

FIRST = whole(
    "charge_first", default=1, least=0, most=1, rule="Whether the first start pays restart_overhead too, 1 or 0."
)

IN_PLACE = whole(
    "in_place",
    default=0,
    least=0,
    most=1,
    rule="1: who runs on stays on its nodes; 0: all are placed anew at each event, which moves tasks at no cost.",
)

stopping = partial(order, preempts=True)


@stopping(
    "srtf", formula="estimated time left", source="Schrage, Oper. Res. 16, 1968", parameters=(RESTART, FIRST, IN_PLACE)
)
def remaining(context: ScoreContext) -> Scores:
    """Serve the task with the least estimated time left."""
    return Scores.by_rule(REMAINING, context)


@stopping(
    "srsf",
    formula="estimated time left x GPUs, or processors",
    source="Gu et al., Tiresias, NSDI 2019",
    parameters=(RESTART, FIRST, IN_PLACE),
)
def remaining_area(context: ScoreContext) -> Scores:
    """Serve the task with the least estimated time left x GPUs, processors where it asks for none."""
    return Scores.by_rule(REMAINING_AREA, context)


@stopping(
    "las",
    formula="queue by attained service (seconds held x GPUs, or processors), first come first served inside",
    source="Gu et al., Tiresias, NSDI 2019",
    uses_estimates=False,
    parameters=(
        ascending(
            "limits",
            unit="GPU-s",
            default=(3250.0, 7200.0),
            rule="Attained service at which a task moves to the next queue; there is one queue more than limits.",
        ),
        number(
            "promote",
            default=None,
            above=True,
            rule="A stopped task that waited so many times what it executed starts again in the first queue; "
            "by default none does.",
        ),
        RESTART,
        FIRST,
    ),
)
def attained(context: ScoreContext) -> Scores:
    """Serve the task that was served least, in queues by attained service."""
    return Scores.by_rule(ATTAINED, context)


@stopping(
    "rr",
    formula="in turn, for one quantum each",
    source="classic (Kleinrock, Queueing Systems 2, 1976)",
    uses_estimates=False,
    parameters=(
        number("quantum", unit="s", default=60.0, above=True, rule="Seconds until it is the next one's turn."),
        RESTART,
    ),
)
def in_turn(context: ScoreContext) -> Scores:
    """Serve tasks in turn."""
    return Scores.by_rule(TURNS, context)
