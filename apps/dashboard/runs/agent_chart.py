"""The chart of how agents learned while they ran."""

from collections.abc import Sequence

import numpy as np

from apps.metrics.models import Metric
from scheduler_sim.display.charts import Axis, Chart, Series, TextTable

TABLE_ROWS = 10


def agent_chart(totals: Sequence[Metric]) -> Chart:
    """Draw each agent's share of random choices and its mean reward against how many choices it had made."""
    series, rows, told = [], [], []
    for total in totals:
        curve = total.details.get("agent_curve")
        if not curve:
            continue
        tasks = [point["tasks"] for point in curve]
        for name in ("epsilon", "reward"):
            series.append(Series(f"{total.scheduler}, {name}", tasks, [point[name] for point in curve]))
        for place in np.unique(np.linspace(0, len(curve) - 1, min(TABLE_ROWS, len(curve))).astype(int)):
            point = curve[place]
            row = (total.scheduler, f"{point['tasks']:,}", f"{point['epsilon']:.3f}", f"{point['reward']:.4g}")
            rows.append(row)
        tenth = max(len(curve) // 10, 1)
        first, last = (np.mean([point["reward"] for point in part]) for part in (curve[:tenth], curve[-tenth:]))
        told.append(
            f"Under {total.scheduler} the mean reward is {first:.3g} over the first tenth of its choices, {last:.3g} "
            f"over the last, where {curve[-1]['epsilon']:.0%} of them are random."
        )
    return Chart(
        "agent",
        "line",
        "How the agent learned",
        " ".join(told) or "No agent played in this run.",
        Axis("Choices made"),
        Axis("Epsilon, and mean reward"),
        series,
        TextTable(("Policy", "Choices", "Epsilon", "Mean reward"), rows),
    )
