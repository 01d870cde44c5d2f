"""The card of a run's page that tells how the log of its workload is replayed on its cluster or site."""

from collections.abc import Mapping
from typing import Any

from apps.results.fidelity import WAITS, Badge, replay_groups, replay_sentences
from scheduler_sim.engine.measuring.fidelity import WITHIN_SECONDS

REPLAY_COLUMNS = (
    "group",
    "tasks",
    *WAITS,
    *(f"within_{seconds}_s" for seconds in WITHIN_SECONDS),
    "within_tenth_of_wait",
    "rank_correlation",
)


def replay_rows(badge: Badge) -> list[tuple[Any, ...]]:
    """Return a row for all tasks, and for each partition, QOS and hour, in the order of `REPLAY_COLUMNS`."""
    return [] if badge.found is None else [_row(name, one) for name, one in replay_groups(badge.found.details)]


def replay_words(badge: Badge) -> list[str]:
    """Return what the comparison says beside its groups."""
    return [] if badge.found is None else replay_sentences(badge.found.details)


def _row(name: str, one: Mapping[str, Any]) -> tuple[Any, ...]:
    waits = ("recorded_mean_wait", "played_mean_wait", "mean_difference")
    distances = ("mean_absolute", "median_absolute", "p95_absolute")
    shares = (*one["within"].values(), one["within_tenth"])
    return (name, one["tasks"], *(one[key] for key in (*waits, *distances)), *shares, one["rank_correlation"])
