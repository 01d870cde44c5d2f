"""Rows and people that the tests of the API, the admin and the site share."""

from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from rest_framework.test import APIClient

from apps.live.models import SimulationState
from apps.metrics.models import GroupMetric, Metric
from apps.results.models import Attempt, Fidelity, Run, SchedulerResult, Study
from apps.results.services import stretches_store
from apps.tasks.models import ForecastTrial, Site, StartForecast, Task, Workload
from apps.training.models import TrainedModel, TrainingData
from scheduler_sim import engine
from scheduler_sim.accounts.services import token_create
from scheduler_sim.engine.clusters.presets import load_cluster
from tests.conftest import empty_caches

POLICIES = ("fcfs", "sjf+easy")


@pytest.fixture(autouse=True)
def _nothing_kept() -> None:
    empty_caches()


def make_run(tasks: int = 5, *, name: str = "a run", policies: tuple[str, ...] = POLICIES, **fields: Any) -> Run:
    """Return a finished run of `tasks` tasks with its results and figures, each task one second after the other."""
    workload = Workload.objects.create(name=f"workload of {name}", source="csv", task_count=tasks, max_processors=4)
    Task.objects.bulk_create(
        Task(workload=workload, task_id=i, arrival_time=i, runtime=1, duration_estimate=1, size=1)
        for i in range(1, tasks + 1)
    )
    run = Run.objects.create(
        **{
            "name": name,
            "workload": workload,
            "cluster": load_cluster("hpc-4").as_json(),
            "policies": list(policies),
            "configuration": {"policies": list(policies)},
            "engine_version": engine.ENGINE_VERSION,
            "status": Run.Status.FINISHED,
            "rows_expected": tasks * len(policies),
            "rows_written": tasks * len(policies),
            **fields,
        }
    )
    SimulationState.objects.create(run=run)
    numbers = list(workload.tasks.order_by("task_id").values_list("pk", "task_id"))
    times = np.array([float(number) for _, number in numbers])
    keys = np.array([key for key, _ in numbers], np.int64)
    where = {
        "task_id": keys,
        "gpu_fraction": 0.0,
        "node": 0,
        "device": -1,
        "start_time": times,
        "finish_time": times + 1,
    }
    came = {"actual_time": 1.0, "wait_time": 0.0, "energy_joules": 1.0, "cost_usd": 0.5, "model_version": None}
    for scheduler in policies:
        SchedulerResult.objects.bulk_create_columns(run_id=run.pk, parts={scheduler: where | came})
        stretches_store(run=run, scheduler=scheduler, task_keys=keys, arrival=times, finish=times + 1)
    make_totals(run, *policies)
    make_groups(run, "alice", "bob")
    bounds = SchedulerResult.objects.filter(run=run).order_by("pk").values_list("pk", flat=True)
    Run.objects.filter(pk=run.pk).update(first_result_id=bounds.first(), last_result_id=bounds.last())
    run.refresh_from_db()
    return run


def make_training_rows(run: Run, count: int) -> None:
    """Store `count` rows to learn from."""
    TrainingData.objects.bulk_create(
        TrainingData(
            run=run,
            task_id=key,
            size=1,
            compute_intensity=0.5,
            memory_mb=1,
            memory_per_size=1,
            compute_to_memory=1,
            optimal_gpu_fraction=0.5,
            optimal_time=1,
        )
        for key in run.workload.tasks.values_list("pk", flat=True)[:count]
    )


def make_models(count: int) -> None:
    """Store `count` versions of a model."""
    first = TrainedModel.objects.filter(name="fraction").count() + 1
    TrainedModel.objects.bulk_create(
        TrainedModel(name="fraction", kind="lightgbm", version=version, artifact="tree")
        for version in range(first, first + count)
    )


def make_studies(count: int) -> None:
    """Store `count` studies without runs."""
    first = Study.objects.count()
    Study.objects.bulk_create(Study(name=f"study {first + i}", definition={}) for i in range(count))


def make_site() -> Site:
    """Store a site of one node."""
    count = Site.objects.count()
    description = {"name": f"site {count}", "groups": [{"hosts": "n1", "cores": 4}]}
    return Site.objects.create(name=f"site {count}", version=1, digest=f"{count:064}", description=description)


def make_forecast(**fields: Any) -> StartForecast:
    """Store a forecast of a queue that is not made yet, of a site of its own."""
    return StartForecast.objects.create(**{"site": make_site(), "file_name": "queue.txt", "replicas": 10, **fields})


def make_trial(**fields: Any) -> ForecastTrial:
    """Store a trial of forecasts that is not made yet, of a site of its own."""
    return ForecastTrial.objects.create(**{"site": make_site(), "instants": 2, "replicas": 10, **fields})


def make_totals(run: Run, *policies: str) -> None:
    """Store the figures of policies over a whole run."""
    tasks = run.workload.task_count
    Metric.objects.bulk_create(
        Metric(
            run=run,
            scheduler=scheduler,
            is_total=True,
            window_start_time=1,
            window_end_time=tasks + 1,
            arrived_count=tasks,
            started_count=tasks,
            finished_count=tasks,
            mean_job_completion_time=1.0,
            mean_bounded_slowdown=1.0,
        )
        for scheduler in policies
    )


def make_groups(run: Run, *users: str) -> None:
    """Store the figures of users under every policy; each loses a second more under the next policy."""
    GroupMetric.objects.bulk_create(
        GroupMetric(
            run=run,
            grouped_by="user",
            scheduler=scheduler,
            name=user,
            merged_count=0,
            task_count=100,
            mean_wait_time=1.0 + place,
            p50_wait_time=1.0,
            p95_wait_time=3.0,
            mean_job_completion_time=2.0 + place,
            mean_bounded_slowdown=1.5,
            core_hours=2.5,
            gpu_hours=0.0,
            sooner_count=0,
            later_count=100 if place else 0,
            difference=place,
            difference_low=place - 0.5 if place else 0.0,
            difference_high=place + 0.5 if place else 0.0,
            difference_p_value=0.01 if place else 1.0,
        )
        for place, scheduler in enumerate(run.policies)
        for user in users
    )


@pytest.fixture
def run(db: None) -> Run:
    """A finished run of five tasks by two policies."""
    return make_run()


@pytest.fixture
def user(db: None) -> User:
    """Somebody who may read."""
    return User.objects.create_user("alice")


@pytest.fixture
def controller(db: None) -> User:
    """Somebody who may control runs."""
    user = User.objects.create_user("bob")
    user.user_permissions.add(Permission.objects.get(codename="control_run"))
    return user


@pytest.fixture
def staff(db: None) -> User:
    """Somebody who may enter the admin, and was given nothing else."""
    return User.objects.create_user("charlie", is_staff=True)


@pytest.fixture
def admin(db: None) -> User:
    """Somebody who may do everything."""
    return User.objects.create_superuser("diana")


@pytest.fixture
def api() -> APIClient:
    """A client that nobody signed in to."""
    return APIClient()


def key_of(person: User, scope: str = "control") -> str:
    """Return the key of a new token."""
    return token_create(user=person, name="a test", scope=scope)[1]


@pytest.fixture
def api_of() -> Any:
    """A function that returns a client carrying a user's token."""

    def client(person: User | None) -> APIClient:
        client = APIClient()
        if person is not None:
            client.credentials(HTTP_AUTHORIZATION=f"Token {key_of(person)}")
        return client

    return client


def make_fidelity(run: Run) -> Fidelity:
    """Store how the recorded starts of a run's workload are replayed on its cluster."""
    seconds = dict.fromkeys(
        (
            "mean_absolute_difference",
            "median_absolute_difference",
            "p95_absolute_difference",
            "mean_difference",
            "recorded_mean_wait",
            "played_mean_wait",
        ),
        0.0,
    )
    return Fidelity.objects.create(
        workload=run.workload,
        place_name=run.cluster["name"],
        place_digest=run.place_digest,
        policy="recorded",
        engine_version=run.engine_version,
        tasks=1,
        late_tasks=0,
        has_same_mean_wait=True,
        details={},
        **seconds,
    )


def make_attempts(run: Run) -> list[Attempt]:
    """Store two attempts of the first task of a run under each policy."""
    task = run.workload.tasks.order_by("task_id").first()
    return Attempt.objects.bulk_create(
        Attempt(
            run=run,
            task=task,
            scheduler=scheduler,
            number=number,
            start_time=number,
            end_time=number + 0.5,
            node=0,
            device=-1,
            cpus=1,
            gpus=0,
            reason="finished" if number == 2 else "suspended",
        )
        for scheduler in run.policies
        for number in (1, 2)
    )


def client_that_controls_runs() -> Client:
    """Return a client of somebody who may control runs and is no staff."""
    user = User.objects.create_user("carol", password="x")
    user.user_permissions.add(Permission.objects.get(codename="control_run"))
    client = Client()
    client.force_login(user)
    return client
