"""How fairly tasks were treated over time: the distribution of finish-time fairness, and the user who got least."""

from collections.abc import Sequence

import numpy as np

from apps.metrics.models import Metric
from scheduler_sim.display.appearance import appearance
from scheduler_sim.display.charts import Axis, Chart, Series, TextTable, cumulative
from scheduler_sim.display.formatting import about, quantity
from scheduler_sim.engine.numerics.histogram import BINS, EDGES, LARGEST, LogHistogram

PERCENTS = (5, 25, 50, 75, 95)


def fairness_chart(totals: Sequence[Metric]) -> list[Chart]:
    """Draw one line a policy from the stored histograms; nothing for runs that store none."""
    told = [(total, total.details["fair_shares"]) for total in totals if total.mean_rho is not None]
    series, rows = [], []
    upper = np.append(EDGES, LARGEST)
    for total, shares in told:
        histogram = LogHistogram.from_json(shares["rho"])
        x, y = cumulative(histogram.counts, upper[:BINS])
        look = appearance(total.scheduler)
        series.append(Series(total.scheduler, x, y, look.colour, look.dash))
        below = (about(quantity("ratio", histogram.percentile(percent))) for percent in PERCENTS)
        worst = shares["worst_user"] or "a task"
        rows.append(
            (
                total.scheduler,
                *below,
                quantity("ratio", total.max_rho),
                quantity("share", total.unfair_share),
                f"{worst}: {quantity('ratio', shares['share'])}",
            )
        )
    if not series:
        return []
    chart = Chart(
        "rho",
        "line",
        "Finish-time fairness",
        _finding([total for total, _ in told]),
        Axis("rho: time / time in an equal share", "", "log"),
        Axis("Tasks", "share"),
        series,
        TextTable(("Policy", *(f"{percent}%" for percent in PERCENTS), "Highest", "Above 1", "Got least"), rows),
    )
    return [chart]


def _finding(totals: Sequence[Metric]) -> str:
    unfair = [(total.unfair_share or 0.0, total.scheduler) for total in totals]
    (low, best), (high, worst) = min(unfair), max(unfair)
    if high == low:
        finding = f"{quantity('share', low)} of the tasks take longer than in an equal share, under every policy."
    else:
        finding = f"{quantity('share', low)} of the tasks take longer than in an equal share under {best}, and "
        finding += f"{quantity('share', high)} under {worst}."
    shares = [(share, total) for total in totals if (share := total.least_share) is not None]
    if not shares:
        return finding
    share, total = min(shares, key=lambda one: one[0])
    whose = total.details["fair_shares"]["worst_user"]
    who = f"User {whose}" if whose else "A task"
    return f"{finding} {who} got least of what was due, {quantity('share', share)} under {total.scheduler}."
