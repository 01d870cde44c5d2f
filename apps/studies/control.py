"""Starting a study in a process of its own, and stopping it."""

import subprocess
import sys

from django.conf import settings

from apps.live.models import SimulationState, StudyState
from apps.live.play.launch import run_command
from apps.results.errors import RunStateError
from apps.results.models import Run, Study


def study_launch(*, study: Study) -> int:
    """Start a process of its own that plays what is missing of `study` and outlives this one; return its number.

    Raises:
        RunStateError: a living process plays it.
        OSError: no process could be started.
    """
    state, _ = StudyState.objects.get_or_create(study=study)
    if state.is_alive:
        raise RunStateError(f"Study {study.name} is being played by process {state.process_id} already.")
    logs = settings.VAR_DIR / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with (logs / f"study-{study.pk}.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, str(settings.BASE_DIR / "manage.py"), "runstudy", "--study", str(study.pk)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    # For it, because it takes seconds until it says so itself.
    state.claim(process_id=process.pid)
    return process.pid


def study_stop(*, study: Study) -> int:
    """Stop every run of `study` that waits or is under way, and return how many; what is finished stays."""
    open_runs = study.runs.filter(status__in=(Run.Status.QUEUED, Run.Status.RUNNING, Run.Status.PAUSED))
    stopped = 0
    for run in open_runs.order_by("-pk"):
        try:
            run_command(run=run, command=SimulationState.Command.STOP)
        except RunStateError:
            # It came to its end at this very moment.
            continue
        stopped += 1
    return stopped
