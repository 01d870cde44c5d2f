"""What the database knows of runs, as the live messages show it."""

import time
from dataclasses import dataclass

from django.db.models import QuerySet

from apps.live.models import SimulationState
from apps.live.wire import messages
from apps.results.models import Run

SILENT_AFTER = 3.0
"""Seconds without a snapshot after which it is worth asking whether the runner's process still lives."""


@dataclass(frozen=True)
class StoredRun:
    """A run's row and the newest snapshot that its runner stored.

    Attributes:
        interrupted: it counts as under way, but its process is dead.
    """

    run_id: int
    status: str
    error: str
    interrupted: bool
    snapshot: messages.Snapshot


def read_runs(run_ids: list[int]) -> list[StoredRun]:
    """Return those of the runs that exist, in one query."""
    return [_stored(run) for run in _runs().filter(pk__in=run_ids)]


def list_runs() -> list[messages.RunProgress]:
    """Return a line for each of the newest runs, newest first, in one query."""
    return [_line(run, _stored(run)) for run in _runs().order_by("-id")[: messages.RUNS_SHOWN]]


def _runs() -> QuerySet[Run]:
    return Run.objects.select_related("state").defer("configuration", "cluster")


def _stored(run: Run) -> StoredRun:
    state: SimulationState | None = getattr(run, "state", None)
    snapshot = (state.snapshot if state else None) or before_the_start(run)
    silent = time.time() - snapshot["published_at"] > SILENT_AFTER
    interrupted = silent and state is not None and state.is_interrupted
    return StoredRun(
        run_id=run.pk,
        status=run.status,
        error=run.error,
        interrupted=interrupted,
        snapshot={**snapshot, "interrupted": interrupted},
    )


def before_the_start(run: Run) -> messages.Snapshot:
    """Return the snapshot of a run of which no runner has said anything."""
    return {
        "type": "snapshot",
        "version": messages.VERSION,
        "run": run.pk,
        "name": run.name,
        "status": run.status,
        "error": run.error,
        "published_at": run.created_at.timestamp(),
        "clock_time": None,
        "progress": 0.0,
        "eta_seconds": None,
        "policies": [],
        "placements": [],
        "retraining": None,
        "replay": False,
        "speed": None,
    }


def _line(run: Run, stored: StoredRun) -> messages.RunProgress:
    snapshot = stored.snapshot
    leader = max(snapshot["policies"], key=lambda policy: policy["wins"], default=None)
    return {
        "run": run.pk,
        "name": run.name,
        "status": run.status,
        "interrupted": stored.interrupted,
        "progress": snapshot["progress"],
        "clock_time": snapshot["clock_time"],
        "eta_seconds": snapshot["eta_seconds"] if run.status == Run.Status.RUNNING else None,
        "policies": run.policies,
        "leader": leader["scheduler"] if leader is not None and leader["wins"] else None,
    }
