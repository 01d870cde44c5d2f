"""Creating runs, starting them in a process of their own, and telling them what to do."""

import subprocess
import sys

from django.conf import settings
from django.db import IntegrityError, transaction

from apps.live.models import SimulationState
from apps.live.play.configuration import RunConfiguration, code_version
from apps.live.store.turnstile import first_in_line
from apps.results.errors import DomainError, RunStateError
from apps.results.models import Run
from apps.tasks.models import Workload
from scheduler_sim import engine


class RunNameTaken(DomainError):
    """A run of that name exists."""


@transaction.atomic
def run_create(
    *, workload: Workload, cluster: engine.Cluster, configuration: RunConfiguration, name: str | None = None
) -> Run:
    """Store a queued run; nothing is simulated yet.

    A name that is given must be new; without one the workload's and the cluster's make one, with a number behind it
    where it is taken.

    Raises:
        RunNameTaken: the given name exists.
        InvalidPolicy: a policy that is not registered.
    """
    configuration = configuration.with_models()
    policies = [policy.name for policy in configuration.parsed_policies()]
    tasks = workload.task_count if configuration.limit is None else min(configuration.limit, workload.task_count)
    try:
        with transaction.atomic():
            run = Run.objects.create(
                name=name or Run.objects.free_name(f"{workload.name} on {cluster.name}"),
                workload=workload,
                cluster=cluster.as_json(),
                policies=policies,
                seed=configuration.seed,
                engine_version=engine.ENGINE_VERSION,
                code_version=code_version(),
                configuration=configuration.as_json(),
                rows_expected=tasks * len(policies) if configuration.keep == "results" else 0,
            )
    except IntegrityError:
        raise RunNameTaken(f"There is a run called {name!r} already; choose another name.") from None
    SimulationState.objects.create(run=run)
    return run


def run_start(
    *, workload: Workload, cluster: engine.Cluster, configuration: RunConfiguration, name: str | None = None
) -> Run:
    """Store a run and start its process once the row is there; a run that cannot be started is failed and says why.

    Raises:
        RunNameTaken, InvalidPolicy: as `run_create`.
    """
    run = run_create(workload=workload, cluster=cluster, configuration=configuration, name=name)

    def launch() -> None:
        try:
            run_launch(run=run)
        except OSError as error:
            run.fail(f"The process that should play it could not be started: {error.strerror}.")

    transaction.on_commit(launch)
    return run


def run_launch(*, run: Run) -> int:
    """Start a process of its own that plays `run` and outlives this one; return its process number.

    Raises:
        RunStateError: a living process plays the run.
    """
    if run.state.is_alive:
        raise RunStateError(f"Run {run.name} is being played by process {run.state.process_id} already.")
    logs = settings.VAR_DIR / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with (logs / f"run-{run.pk}.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, str(settings.BASE_DIR / "manage.py"), "runsimulation", "--run", str(run.pk)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return process.pid


def run_command(*, run: Run, command: str) -> None:
    """Ask the process that plays `run` to pause, resume or stop; asking for what is so already changes nothing.

    A run that no living process plays is stopped at once.

    Raises:
        RunStateError: the run's state does not allow it.
    """
    run.refresh_from_db(fields=["status"])
    status = Run.Status
    settled = {"pause": status.PAUSED, "resume": status.RUNNING, "stop": status.STOPPED}[command]
    allowed = {
        "pause": (status.RUNNING,),
        "resume": (status.PAUSED,),
        "stop": (status.QUEUED, status.RUNNING, status.PAUSED),
    }[command]
    if run.status not in (*allowed, settled):
        raise RunStateError(f"Run {run.name} is {run.status}; it cannot {command}.")
    state = SimulationState.objects.get(run=run)
    if run.status in allowed and not state.is_alive:
        if command == "stop":
            run.stop()
            return
        if run.status != status.QUEUED:
            raise RunStateError(
                f"The process that played run {run.name} is gone; take it up with runsimulation --resume {run.pk}."
            )
    # Also when the run is in that state already: an opposite command may still be waiting to be obeyed.
    with first_in_line():
        SimulationState.objects.filter(run=run).update(command=command)
