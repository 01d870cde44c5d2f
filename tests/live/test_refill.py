"""A run that a backup holds under way is played to its end, with its placements or without them."""

from collections.abc import Callable

import pytest
from django.utils import timezone

from apps.live.models import SimulationState
from apps.live.play.configuration import RunConfiguration
from apps.live.play.launch import run_create
from apps.live.play.runner import Runner
from apps.results.models import Attempt, Run, SchedulerResult
from apps.results.verification import run_verify
from apps.tasks.services import workload_generate
from scheduler_sim.engine.clusters.presets import load_cluster

pytestmark = pytest.mark.django_db(transaction=True)

POLICIES = ("fcfs", "sjf+easy", "srtf")
TASKS = 300


@pytest.fixture
def played() -> Run:
    """A run that was played to its end."""
    workload, _ = workload_generate(
        model="lublin", tasks=TASKS, seed=1, name="tasks", parameters={"processors": 64, "load": 0.95}
    )
    run = run_create(
        workload=workload,
        cluster=load_cluster("hpc-64"),
        configuration=RunConfiguration(policies=POLICIES),
        name="kept",
    )
    Runner(run).play()
    return Run.objects.get(pk=run.pk)


def restored(run: Run) -> Run:
    """Return the run as a backup holds it that was made while a process on another machine played it."""
    Run.objects.filter(pk=run.pk).update(status=Run.Status.RUNNING, checksum="", finished_at=None, digests=None)
    SimulationState.objects.filter(run=run).update(
        process_id=7, machine="another boot", host="far", process_start_ticks=1, heartbeat_at=timezone.now()
    )
    return Run.objects.get(pk=run.pk)


def nothing() -> None:
    pass


def placements() -> None:
    SchedulerResult.objects.all().delete()


def all_rows() -> None:
    Attempt.objects.all().delete()
    SchedulerResult.objects.all().delete()


def attempts() -> None:
    Attempt.objects.all().delete()


def one_policy() -> None:
    SchedulerResult.objects.filter(scheduler="fcfs").delete()


@pytest.mark.parametrize("left_out", [nothing, placements, all_rows, attempts, one_policy])
def test_it_ends_with_the_rows_of_the_run_that_nobody_disturbed(
    played: Run, left_out: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    checksum, spans = played.checksum, Attempt.objects.count()
    assert spans
    run = restored(played)
    left_out()
    assert run.state.is_interrupted
    Runner(run).play()
    run.refresh_from_db()
    assert (run.status, run.checksum, run.rows_written) == ("finished", checksum, TASKS * len(POLICIES))
    assert run_verify(run=run).faults == ()
    assert (SchedulerResult.objects.count(), Attempt.objects.count()) == (TASKS * len(POLICIES), spans)
    assert ("stored again" in caplog.text) == (left_out is not nothing)
