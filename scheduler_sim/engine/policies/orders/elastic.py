"""Orders that give tasks more or fewer devices than they ask for, and change that while they run."""

from functools import partial

from scheduler_sim.engine.codes import ELASTIC
from scheduler_sim.engine.policies.order import ScoreContext, Scores, order
from scheduler_sim.engine.policies.parameter import number

ROUND = number("round", unit="s", default=60.0, above=True, rule="Seconds between two settlements of widths.")

resizing = partial(order, preempts=True, resizes=True, uses_estimates=False)


def by_width(context: ScoreContext) -> Scores:
    """Start tasks in the order of their arrival, and settle how wide each is."""
    return Scores.by_rule(ELASTIC, context)


resizing(
    "equal_share",
    formula="arrival; all that run get the same number of devices, within least and most",
    source="equipartition: McCann, Vaswani, Zahorjan, ACM TOCS 11(2), 1993",
)(by_width)
resizing(
    "expand_shrink",
    formula="arrival; running tasks shrink to start the head, and expand into holes",
    source="Özden et al., ElastiSim, ICPP 2022; Feitelson, Rudolph, JSSPP 1996",
)(by_width)
resizing(
    "pollux",
    formula="largest power mean of goodput / goodput in an equal share",
    source="Qiao et al., Pollux, OSDI 2021",
    parameters=(
        ROUND,
        number("p", default=-1.0, least=-3.0, rule="Exponent of the mean: 1 for the sum, lower is fairer."),
    ),
)(by_width)
resizing(
    "sia",
    formula="least sum of (normalised goodput)^p, + idle for each that waits",
    source="Jayaram Subramanya et al., Sia, SOSP 2023",
    parameters=(
        ROUND,
        number("p", default=-0.5, least=-10.0, rule="Exponent of goodput: lower is fairer."),
        number("idle", default=1.1, rule="What a task without devices adds to the sum (lambda)."),
    ),
)(by_width)
