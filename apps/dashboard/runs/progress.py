"""How far a run is, in words and as a part of one."""

from dataclasses import dataclass
from typing import Any

from apps.live.models import SimulationState
from apps.results.models import Run
from scheduler_sim.background.models import Job
from scheduler_sim.display.formatting import percent_done, roughly


@dataclass(frozen=True)
class ProgressShown:
    """How far a run is.

    Attributes:
        share: finished tasks of all policies over all of them, None when nothing is known yet.
        words: the same for people, such as `3 of 6 policies done, about 2 min left`.
        policies: the newest snapshot's policies, empty before the first.
    """

    share: float | None
    words: str
    policies: list[dict[str, Any]]


def run_progress(run: Run, state: SimulationState | None) -> ProgressShown:
    """Read a run's progress out of its newest snapshot, or of what it has stored."""
    snapshot = state.snapshot if state is not None else {}
    policies = snapshot.get("policies", [])
    if run.status == Run.Status.QUEUED:
        job = Job.objects.latest_about("run", run)
        return ProgressShown(None, job.words if job is not None and job.is_active else "waiting to be played", [])
    if policies:
        share = snapshot.get("progress")
    elif state is not None and run.rows_expected:
        share = min(1.0, sum(state.progress.values()) / run.rows_expected)
    else:
        share = None
    done = sum(policy["finished"] >= policy["total"] for policy in policies)
    words = f"{done} of {len(run.policies)} policies done"
    if share is not None:
        words += f", {percent_done(share)}% of the tasks"
    eta = snapshot.get("eta_seconds")
    if run.status == Run.Status.RUNNING and eta is not None:
        words += f", about {roughly(eta)} left"
    return ProgressShown(share, words, policies)
