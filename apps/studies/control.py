"""Asking for a process that plays a study, and stopping it."""

from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from apps.live.models import SimulationState, StudyState
from apps.live.play.launch import run_command
from apps.results.errors import RunStateError
from apps.results.models import Run, Study
from scheduler_sim.accounts import audit
from scheduler_sim.background.models import Job
from scheduler_sim.background.services import JobStateError, job_stop, job_submit


def study_launch(*, study: Study, requested_by: Any = None) -> Job:
    """Ask for a process that plays what is missing of `study`; it starts when one is free.

    Raises:
        RunStateError: a living process plays it, or is to play it.
    """
    state = StudyState.objects.filter(study=study).first()
    if state is not None and state.is_alive:
        raise RunStateError(f"Study {study.name} is being played by process {state.process_id} already.")
    try:
        with transaction.atomic():
            job = job_submit(kind="study", subject_id=study.pk, requested_by=requested_by)
            audit.record(audit.Action.START, "study", study)
    except JobStateError:
        raise RunStateError(f"Study {study.name} waits for its process already.") from None
    return job


def study_stop(*, study: Study) -> int:
    """Stop every run of `study` that waits or is under way, and return how many; what is finished stays."""
    waiting = Job.objects.filter(status=Job.Status.QUEUED).about("study", study)
    if waiting or _open_runs(study).exists():
        audit.record(audit.Action.STOP, "study", study)
    with audit.parts():
        for job in waiting:
            job_stop(job=job)
        return runs_stop(study=study)


def runs_stop(*, study: Study) -> int:
    """Stop the open runs of a study, and return how many."""
    stopped = 0
    for run in _open_runs(study).order_by("-pk"):
        try:
            run_command(run=run, command=SimulationState.Command.STOP)
        except RunStateError:
            # It came to its end at this very moment.
            continue
        stopped += 1
    return stopped


def _open_runs(study: Study) -> QuerySet[Run]:
    return study.runs.exclude(status__in=Run.TERMINAL)
