"""The race of a run as its page shows it before, and without, any script; static/js/live/race.js goes on from there."""

from dataclasses import dataclass
from typing import Any

from apps.results.models import Run
from scheduler_sim.display.formatting import about, duration, quantity
from scheduler_sim.engine.policies.order import changes_widths


@dataclass(frozen=True)
class RaceChart:
    """A live chart: which figure of a snapshot's policies it draws, its title, and the figure's unit."""

    key: str
    title: str
    unit: str


_CHARTS = (
    RaceChart("mean_job_completion_time", "Mean JCT", "s"),
    RaceChart("queue_length", "Tasks waiting", ""),
    RaceChart("mean_width", "Mean width", ""),
    RaceChart("cpu_utilisation", "CPU use", "share"),
    RaceChart("gpu_utilisation", "GPU use", "share"),
    RaceChart("energy_joules", "Energy", "J"),
    RaceChart("wins", "Wins", ""),
)


@dataclass(frozen=True)
class RaceRow:
    """One policy, its place by wins so far, and its cells by name; both empty before the first snapshot."""

    scheduler: str
    rank: str
    cells: list[tuple[str, str]]


def race_charts(run: Run) -> list[RaceChart]:
    """Return the live charts of a run; the use of GPUs only where there are some, widths only where they change."""
    shown = {"gpu_utilisation": has_gpus(run), "mean_width": has_widths(run)}
    return [chart for chart in _CHARTS if shown.get(chart.key, True)]


def has_gpus(run: Run) -> bool:
    """Tell whether the run's cluster has GPUs."""
    return any(group.get("gpus") for group in run.cluster["groups"])


def has_widths(run: Run) -> bool:
    """Tell whether a policy of the run changes widths."""
    return any(map(changes_widths, run.policies))


def width_in_words(width: float | None) -> str:
    """Return the mean width of running tasks as the race shows it; empty where widths are fixed or nobody runs."""
    return "" if width is None else f"{width:.1f}"


def race_rows(run: Run, policies: list[dict[str, Any]]) -> list[RaceRow]:
    """Return the rows of the race, first the policy with the most wins so far.

    Args:
        policies: those of the newest snapshot.
    """
    if not policies:
        return [RaceRow(name, "", [(cell, "") for cell in _cells(run, {})]) for name in run.policies]
    ranked = sorted(policies, key=lambda policy: -policy.get("wins", 0))
    return [
        RaceRow(policy["scheduler"], str(rank), list(_cells(run, policy).items()))
        for rank, policy in enumerate(ranked, start=1)
    ]


def _cells(run: Run, policy: dict[str, Any]) -> dict[str, str]:
    def written(kind: str, name: str) -> str:
        return quantity(kind, policy.get(name))

    return {
        "done": f"{policy.get('finished', 0):,} of {policy.get('total', 0):,}",
        "mean": duration(policy.get("mean_job_completion_time")),
        # From a histogram while the run goes on; the leaderboard has the exact one.
        "p95": about(duration(policy.get("p95_job_completion_time"))),
        "waiting": f"{policy.get('queue_length', 0):,}",
        "running": f"{policy.get('running', 0):,}",
        **({"width": width_in_words(policy.get("mean_width"))} if has_widths(run) else {}),
        "cpu": written("share", "cpu_utilisation"),
        **({"gpu": written("share", "gpu_utilisation")} if has_gpus(run) else {}),
        "energy": written("joules", "energy_joules"),
        "cost": written("dollars", "cost_usd"),
        "wins": f"{policy.get('wins', 0):,}",
    }
