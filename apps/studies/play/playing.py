"""What a worker does with one run of a study, in a process of the local pool or of Celery."""

from functools import lru_cache

from apps.live.play.preparation import Prepared, prepare_tasks
from apps.live.play.runner import Runner
from apps.results.errors import DomainError, RunStateError
from apps.results.models import Run
from apps.tasks.stored_tasks import StoredTasks, load_tasks
from scheduler_sim import engine

TAKEN = "taken"
"""What `play_run` says of a run that another living process plays."""


def play_run(run_id: int) -> str:
    """Play a run to its end unless it is over already, and return its status or `TAKEN`.

    The claim on the run's row lets only one process in; a run whose process died is taken up where it was.
    A fault in the input makes the run failed with the reason, and is no exception here.

    Raises:
        Exception: anything else, above all a database that is away; the run can be tried again.
    """
    run = Run.objects.select_related("workload", "state").filter(pk=run_id).first()
    if run is None:
        return "deleted"
    if run.is_over and not run.state.is_interrupted:
        return run.status
    if run.state.is_alive and run.status in (Run.Status.RUNNING, Run.Status.PAUSED):
        return TAKEN
    runner = Runner(run)
    try:
        # The workers of a study share out the cores between them.
        runner = Runner(run, prepared=_prepare(run, runner), threads=1)
    except engine.EngineError as error:
        if not run.is_over:
            run.fail(str(error))
        return Run.Status.FAILED
    try:
        runner.play()
    except RunStateError:
        return TAKEN
    except (DomainError, engine.EngineError):
        run.refresh_from_db(fields=["status"])
        if run.status == Run.Status.RUNNING:
            raise
    return run.status


def _prepare(run: Run, runner: Runner) -> Prepared:
    cluster = engine.Cluster.from_json(run.cluster)
    tasks = _tasks(run.workload_id, runner.configuration.limit)
    return prepare_tasks(stored=run.workload, tasks=tasks, cluster=cluster, configuration=runner.configuration)


@lru_cache(maxsize=2)
def _tasks(workload_id: int, limit: int | None) -> StoredTasks:
    """Keep the tasks read last: runs of one workload come after each other, and a stored workload never changes."""
    return load_tasks(workload_id=workload_id, limit=limit)
