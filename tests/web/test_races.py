"""Races without end that are started from the form and over the API: rounds follow until one is stopped."""

from collections.abc import Callable
from io import StringIO
from threading import Event
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from rest_framework.test import APIClient

from apps.live.models import SimulationState
from apps.live.play import races
from apps.live.play.launch import run_command
from apps.live.play.runner import Runner
from apps.results.models import Run
from scheduler_sim.background import services
from scheduler_sim.background.models import Job
from scheduler_sim.background.work import job_run
from tests.web.conftest import make_run

pytestmark = pytest.mark.django_db

ASKED = {"continuous": True, "round_tasks": 20, "policies": ["round_robin"], "seed": 5, "name": "endless"}


@pytest.fixture(autouse=True)
def _kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no process be started."""
    monkeypatch.setattr(services, "dispatch", lambda: 0)


@pytest.fixture
def control(api_of: Callable[[User], APIClient], controller: User) -> APIClient:
    return api_of(controller)


def plays(monkeypatch: pytest.MonkeyPatch, rounds: int, seen: Callable[[Run], None] = lambda _: None) -> None:
    """Let so many rounds finish without being simulated, and the next one be stopped."""
    left = iter([True] * rounds)

    class Played:
        def __init__(self, run: Run, **_: Any) -> None:
            self.run, self.stop_requested = run, Event()

        def play(self) -> None:
            self.run.begin()
            seen(self.run)
            if next(left, False):
                self.run.finish(rows_written=0, checksum="")
            else:
                self.run.stop()

    monkeypatch.setattr(races, "Runner", Played)


def test_rounds_follow_each_other_with_other_seeds_until_one_is_stopped(
    control: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = control.post("/api/v1/runs/", ASKED, format="json")
    assert answer.status_code == 202
    first = Run.objects.get(pk=answer.json()["id"])
    assert (first.name, first.cluster["name"], first.seed) == ("endless round 1", "workstation", 5)
    assert first.workload.task_count == 20
    # So that somebody can watch; what is asked for counts.
    assert first.configuration["rate"] == 20
    job = Job.objects.get()
    assert (job.kind, job.subject_id, job.status) == ("race", first.pk, "queued")
    links: list[int | None] = []
    plays(monkeypatch, 2, lambda _: links.append(races.race_goes_on(first)))
    assert job_run(job).status == Job.Status.STOPPED
    rounds = list(Run.objects.order_by("pk"))
    assert [(run.name, run.seed, run.status) for run in rounds] == [
        ("endless round 1", 5, "finished"),
        ("endless round 2", 6, "finished"),
        ("endless round 3", 7, "stopped"),
    ]
    # Whoever looks at an earlier round is led to the one that is played, as long as the race goes on.
    assert links == [None, rounds[1].pk, rounds[2].pk]
    assert races.race_goes_on(first) is None


def test_a_race_that_is_to_stop_plays_no_further_round(control: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    control.post("/api/v1/runs/", ASKED, format="json")
    played: list[int] = []

    def asked_to_stop(run: Run) -> None:
        played.append(run.pk)
        Job.objects.update(stop_requested=True)

    plays(monkeypatch, 100, asked_to_stop)
    # The word itself is not heard here, as when it comes at a round's very end.
    monkeypatch.setattr("scheduler_sim.background.work._keep", lambda *_: None)
    assert job_run(Job.objects.get()).status == Job.Status.STOPPED
    assert [run.status for run in Run.objects.order_by("pk")] == ["finished", "stopped"]
    assert len(played) == 1


@pytest.mark.django_db(transaction=True)
def test_a_signal_at_a_round_s_very_end_ends_the_race(monkeypatch: pytest.MonkeyPatch, control: APIClient) -> None:
    inner = Runner.play

    def play(runner: Runner) -> None:
        inner(runner)
        runner.stop_requested.set()

    monkeypatch.setattr(Runner, "play", play)
    with pytest.raises(
        CommandError, match=r"^Stopped\. short round 1 had finished when the word to stop came\.$"
    ) as told:
        call_command(
            "runsimulation", continuous=True, name="short", policies="greedy", round_tasks=20, stdout=StringIO()
        )
    assert told.value.returncode == 130
    control.post("/api/v1/runs/", ASKED, format="json")
    assert job_run(Job.objects.get()).status == Job.Status.STOPPED
    assert [run.status for run in Run.objects.all()] == ["finished", "finished"]


def test_only_the_newest_rounds_are_kept(control: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    control.post("/api/v1/runs/", ASKED, format="json")
    plays(monkeypatch, 8)
    job_run(Job.objects.get())
    assert [run.name for run in Run.objects.order_by("pk")] == [f"endless round {number}" for number in range(4, 10)]
    assert len(Job.objects.get().outcome["rounds"]) == 6


def test_an_earlier_round_says_where_the_race_goes_on(control: APIClient) -> None:
    run, later = make_run(name="one"), make_run(name="two")
    job = Job.objects.create(kind="race", subject_id=run.pk, outcome={"rounds": [run.pk, later.pk]})
    assert f'href="/runs/{later.pk}/"' in Client().get(f"/runs/{run.pk}/").content.decode()
    Job.objects.filter(pk=job.pk).update(status=Job.Status.STOPPED)
    assert "race without end" not in Client().get(f"/runs/{run.pk}/").content.decode()


def test_whoever_stops_any_round_stops_the_race(controller: User) -> None:
    run, later = make_run(name="one"), make_run(name="two")
    job = Job.objects.create(kind="race", subject_id=run.pk, outcome={"rounds": [run.pk, later.pk]}, status="running")
    client = Client()
    client.force_login(controller)
    assert "Stop the race" in client.get(f"/runs/{run.pk}/").content.decode()
    assert client.post(f"/runs/{run.pk}/stop/").status_code == 302
    job.refresh_from_db()
    run.refresh_from_db()
    Run.objects.filter(pk=later.pk).delete()
    run_command(run=later, command="stop")
    # The process of the job sees that it is to stop; the round that was over stays as it is.
    assert (job.stop_requested, run.status) == (True, Run.Status.FINISHED)


def test_a_first_round_that_waits_is_stopped_with_its_race(control: APIClient) -> None:
    run = Run.objects.get(pk=control.post("/api/v1/runs/", ASKED, format="json").json()["id"])
    run_command(run=run, command="stop")
    run.refresh_from_db()
    assert (run.status, Job.objects.get().status) == (Run.Status.STOPPED, Job.Status.STOPPED)


def test_a_race_that_died_before_it_began_leaves_no_round_that_waits(control: APIClient) -> None:
    run = Run.objects.get(pk=control.post("/api/v1/runs/", ASKED, format="json").json()["id"])
    services.job_stop(job=Job.objects.get())
    run.refresh_from_db()
    assert run.status == Run.Status.STOPPED
    assert SimulationState.objects.get(run=run).process_id is None


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"workload": True}, "workload"),
        ({"limit": 5}, "limit"),
        ({"round_tasks": 10**6}, "round_tasks"),
        ({"round_tasks": 0}, "round_tasks"),
        ({"model": "nothing"}, "model"),
        ({"continuous": False}, "workload"),
    ],
)
def test_what_has_no_meaning_beside_rounds_is_refused(control: APIClient, more: dict[str, Any], field: str) -> None:
    if "workload" in more:
        more = {"workload": make_run().workload_id}
    stored = Run.objects.count()
    answer = control.post("/api/v1/runs/", ASKED | more, format="json")
    assert answer.status_code == 400
    assert field in answer.json()["errors"]
    assert Run.objects.count() == stored


def test_the_form_starts_a_race_whatever_workload_it_has_chosen(controller: User) -> None:
    workload = make_run().workload_id
    client = Client()
    client.force_login(controller)
    assert 'name="continuous"' in client.get("/runs/new/").content.decode()
    sent = {"workload": workload, "cluster": "auto", "policies": ["greedy"], "continuous": "on", "round_tasks": "30"}
    answer = client.post("/runs/new/", sent)
    run = Run.objects.order_by("pk").last()
    assert run is not None
    assert answer.headers["Location"] == f"/runs/{run.pk}/"
    assert (run.name, run.policies) == ("continuous mixed on workstation round 1", ["greedy"])
    assert Job.objects.get().arguments["round_tasks"] == 30
