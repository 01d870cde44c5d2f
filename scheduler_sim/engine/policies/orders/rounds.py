"""Orders that share out kinds of GPU in rounds (Gavel); with `_perf` they know how fast each job is on each kind."""

from functools import partial

from scheduler_sim.engine.codes import SHARES
from scheduler_sim.engine.policies.order import ScoreContext, Scores, order
from scheduler_sim.engine.policies.parameter import number

KNOWING = "_perf"
"""The end of the names of those that know the rates on each kind."""

PACKED = "_packed"
"""The end of the names of those that know the rates and let two jobs share a GPU where they do more than by turns."""

ROUND = number("round", unit="s", default=360.0, above=True, rule="Seconds of a round.")
RESET = number(
    "reset", unit="s", default=1920.0, rule="Seconds at least between two settlements of shares while jobs come and go."
)

GAVEL = "Narayanan et al., Gavel, OSDI 2020"

sharing = partial(order, preempts=True, shares_gpus=True, parameters=(ROUND, RESET))

SHARED = (
    ("fifo", "arrival; a job has one kind of GPU until it ends", GAVEL, False),
    ("gandiva_fair", "equal shares of each kind of GPU", "Chaudhary et al., Gandiva_fair, EuroSys 2020", False),
    ("max_min_fairness", "largest least share (least attained service)", GAVEL, False),
    (
        "finish_time_fairness",
        "least largest finish time / that under equal shares",
        "Mahajan et al., Themis, NSDI 2020",
        True,
    ),
    ("min_total_duration", "least time until all that is here has ended", GAVEL, True),
    ("max_sum_throughput", "largest sum of rates", GAVEL, False),
)
"""Name, formula, source, and whether the work that is left counts."""


def by_share(context: ScoreContext) -> Scores:
    """Serve those who had least of their share of a kind of GPU."""
    return Scores.by_rule(SHARES, context)


for _name, _formula, _source, _counts in SHARED:
    for _full in (_name, f"{_name}{KNOWING}"):
        if _full != f"gandiva_fair{KNOWING}":
            sharing(_full, formula=_formula, source=_source, uses_estimates=_counts)(by_share)
    if _name in ("max_min_fairness", "min_total_duration", "max_sum_throughput"):
        _both = f"{_formula}; jobs share GPUs by twos"
        sharing(f"{_name}{PACKED}", formula=_both, source=GAVEL, uses_estimates=_counts, resizes=True)(by_share)
