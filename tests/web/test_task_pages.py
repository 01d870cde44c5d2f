"""The page of a task: what it did under every policy and could have taken elsewhere, and what policies are told."""

import pytest

from apps.dashboard.schedule.task_story import told as told_of
from apps.results.models import Run
from apps.tasks.models import Task, TaskRequest, Workload
from apps.tasks.sites.services import site_store
from scheduler_sim.engine.sites import Site
from tests.web.conftest import make_run
from tests.web.test_pages import text_of

pytestmark = pytest.mark.django_db


def test_a_task_is_shown_under_every_policy_with_its_parents(client):
    run = make_run()
    Task.objects.filter(workload=run.workload, task_id=3).update(dependencies=[1, 2])
    page = text_of(client.get(f"/runs/{run.pk}/tasks/3/"))
    assert f"/runs/{run.pk}/tasks/2/" in page
    assert "task 2, its last parent" in page
    assert page.count("started as soon as it was ready") == 2


def test_a_task_shows_what_it_takes_on_every_group_of_nodes_that_can_hold_it(client):
    run = make_run()
    group = {"count": 2, "cores": 8, "cpu_busy_watts": 10.0, "usd_per_core_hour": 3.6}
    Run.objects.filter(pk=run.pk).update(
        cluster={
            "name": "three",
            "groups": [
                {**group, "name": "slow"},
                {**group, "name": "fast", "cpu_speed": 2.0},
                {**group, "name": "small", "cores": 1},
            ],
        }
    )
    Task.objects.filter(workload=run.workload, task_id=3).update(cpus=4, runtime=60)
    answer = client.get(f"/runs/{run.pk}/tasks/3/?table=alternatives&format=json").json()
    assert [(way["group"], way["seconds"], way["energy_joules"], way["cost_usd"]) for way in answer] == [
        ("fast", 30, 1200, 0.12),
        ("slow", 60, 2400, 0.24),
    ]
    assert answer[1]["chosen_by"] == ["fcfs", "sjf+easy"]


@pytest.mark.parametrize(
    ("estimates", "stated", "kind", "told"),
    [
        ("trace", 90.0, "", "90.0 s"),
        ("exact", 90.0, "", "60.0 s"),
        ("factor:1.5", None, "", "90.0 s"),
        ("tsafrir", 90.0, "", "a value drawn at random"),
        ("predicted:m", 90.0, "", "what a model predicts"),
        ("trace", None, "perfect_estimates", "60.0 s, as it runs"),
        ("trace", None, "unknown_estimates", "the largest of its queue or of all"),
        ("trace", None, "", ""),
    ],
)
def test_a_task_shows_what_policies_of_the_run_are_told(estimates, stated, kind, told):
    run = Run(configuration={"estimates": estimates}, cautions=[{"kind": kind}])
    assert told_of(run, Task(runtime=60.0, duration_estimate=stated)) == told


@pytest.mark.parametrize(
    ("policies", "stated", "partitions", "told"),
    [
        (["fcfs"], {"duration_estimate": 90.0}, "", "90.0 s"),
        (["fcfs"], {"queue": "day"}, "", "60.0 min, by its partition"),
        (["slurm", "fcfs+easy"], {}, "", "60.0 min, by its partition"),
        (["fcfs"], {"queue": "day"}, "week, day", "2.00 h or 60.0 min, by its partitions"),
        (["sjf"], {"queue": "free"}, "", "60.0 s, as it runs"),
        (["fcfs+easy"], {}, "day,free", ""),
        (["fcfs"], {"queue": "gone"}, "", "60.0 s, as it runs"),
        (["sjf", "fcfs"], {"queue": "day"}, "", "60.0 s, as it runs"),
        (["sjf+easy"], {"queue": "day"}, "", "60.0 min in plans, 60.0 s in orders"),
        (["sjf", "slurm"], {}, "day,free", "60.0 s in orders"),
        (["gone", "oracle", "fcfs+easy"], {"queue": "day"}, "", "60.0 min, by its partition"),
    ],
)
def test_a_task_of_a_site_shows_what_its_partition_gives_where_it_states_nothing(policies, stated, partitions, told):
    described = [
        {"name": "free"},
        {"name": "day", "is_default": True, "default_time": 3600, "max_time": 86_400},
        {"name": "week", "max_time": 7200},
    ]
    document = {"name": "parted", "groups": [{"hosts": "n1", "cores": 4}], "partitions": described}
    site, _ = site_store(site=Site.from_json(document))
    configuration = {"policies": policies, "site": site.reference}
    cautions = [{"kind": "perfect_estimates"}]
    run = Run(configuration=configuration, policies=policies, site=site, cautions=cautions)
    workload = Workload.objects.create(name="of one", source="csv", task_count=1)
    task = Task.objects.create(workload=workload, task_id=1, arrival_time=0, runtime=60, size=1, **stated)
    if partitions:
        TaskRequest.objects.create(task=task, partitions=partitions)
    assert told_of(run, task) == told


def test_a_split_task_shows_every_fraction_that_a_policy_chose(client):
    run = make_run()
    cluster = {"name": "one", "groups": [{"name": "box", "count": 1, "cores": 4, "gpus": 1}]}
    Run.objects.filter(pk=run.pk).update(cluster=cluster)
    task = Task.objects.get(workload=run.workload, task_id=3)
    Task.objects.filter(pk=task.pk).update(cpus=1, gpus=1, runtime=60, compute_intensity=1, memory_mb=0, kind="hybrid")
    task.results.filter(scheduler="fcfs").update(gpu_fraction=0.8)
    answer = client.get(f"/runs/{run.pk}/tasks/3/?table=alternatives&format=json").json()
    assert {way["gpu_fraction"] for way in answer} == {0, 0.25, 0.5, 0.75, 0.8, 1}
    best = answer[0]
    # 20% of 60 s on the core beside 80% of 60 s on a GPU that is four times as fast.
    assert (best["gpu_fraction"], best["seconds"], best["chosen_by"]) == (0.8, 12, ["fcfs"])
