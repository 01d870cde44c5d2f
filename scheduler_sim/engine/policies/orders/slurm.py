"""The site's own scheduler as it is configured, and with changes."""

from scheduler_sim.engine.codes import SLURM
from scheduler_sim.engine.policies.order import ScoreContext, Scores, order
from scheduler_sim.engine.policies.parameter import Parameter, number
from scheduler_sim.engine.sites.slurm_settings import OVERRIDES

_PHASES = (
    number(
        "main_phase",
        unit="s",
        default=None,
        rule="When the main loop first looks; by default drawn from the run's seed.",
    ),
    number(
        "backfill_phase",
        unit="s",
        default=None,
        rule="When the backfill loop first looks; by default drawn from the run's seed.",
    ),
    number(
        "decay_phase",
        unit="s",
        default=None,
        rule="When usage and priorities are first calculated; by default drawn from the run's seed.",
    ),
    number(
        "limit_phase",
        unit="s",
        default=None,
        rule="When it first looks for tasks over their limits; by default drawn from the run's seed.",
    ),
    number(
        "epoch",
        unit="s",
        default=0.0,
        rule="What the workload's time 0 is in Unix seconds; plans are rounded to whole resolutions of that clock.",
    ),
)

_SETTINGS = tuple(
    Parameter(
        one.name, "", None, f"As in slurm.conf; by default what the site says ({one.where}).", one.expected, one.read
    )
    for one in OVERRIDES.values()
)


@order(
    "slurm",
    formula="the site's scheduler: main and backfill loop, priorities, limits",
    source="Slurm 22.05 (documentation)",
    needs_site=True,
    parameters=(*_SETTINGS, *_PHASES),
)
def slurm(context: ScoreContext) -> Scores:
    """Leave it to the site's scheduler."""
    return Scores.by_rule(SLURM, context)
