"""What-ifs: what may be changed, that their figures are those of the run that is kept, and how they fail."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from rest_framework.test import APIClient

from apps.live.models import WhatIf
from apps.live.play.cluster_changes import ClusterChanges
from apps.live.play.configuration import RunConfiguration
from apps.live.play.options import InvalidOption
from apps.live.play.runner import Runner
from apps.live.what_if import services
from apps.live.what_if.answer import pairs
from apps.live.what_if.question import CHANGEABLE, NotAsked, question
from apps.live.what_if.services import TooLarge, TooManyAsked, what_if_ask, what_if_keep
from apps.metrics.before_after import BEFORE, BeforeAfter
from apps.metrics.models import GroupMetric, Metric
from apps.results.models import Run, SchedulerResult
from apps.tasks.services import workload_generate
from apps.tasks.sites.services import site_store
from scheduler_sim.accounts.models import AuditEntry
from scheduler_sim.background.models import Job
from scheduler_sim.background.work import job_run
from scheduler_sim.engine.sites import Site
from tests.live.test_site_runs import DESCRIPTION, TASKS

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave jobs to the tests, which play them in their own process."""
    monkeypatch.setattr("scheduler_sim.background.services.dispatch", lambda: 0)


def play(*arguments: object) -> Run:
    call_command("runsimulation", *map(str, arguments), stdout=StringIO(), verbosity=0)
    return Run.objects.latest("pk")


@pytest.fixture
def pool_run(transactional_db: None) -> Run:
    """A run of 300 tasks under three policies on a pool."""
    workload_generate(model="lublin", tasks=300, seed=1, parameters={"processors": 64}, name="lublin")
    return play("--workload", "lublin", "--cluster", "hpc-64", "--policies", "fcfs,fcfs+easy,multifactor+easy")


@pytest.fixture
def site_run(transactional_db: None, tmp_path: Path) -> Run:
    """A run of five tasks on a site to which a node was added already."""
    site_store(site=Site.from_json(DESCRIPTION))
    path = tmp_path / "tasks.csv"
    path.write_text(TASKS)
    return play("--workload", path, "--site", "tiny", "--policies", "fcfs,sjf+easy", "--add-nodes", "batch=1")


def answered(run: Run, user: User, **changes: str) -> WhatIf:
    found = what_if_ask(asked=question(run, changes), requested_by=user)
    job = found.job
    assert job is not None
    job_run(job)
    job.refresh_from_db()
    assert (job.status, job.error) == (Job.Status.FINISHED, "")
    found.refresh_from_db()
    return found


CHANGES = [
    {"add_nodes": "processors=16"},
    {"scale_load": "1.5", "limit": "200"},
    {"policies": "fcfs,sjf+conservative(depth=20)", "estimates": "factor:2", "seed": "3"},
    {"on_limit": "kill", "estimates": "uniform:5", "warmup": "0.1"},
    {"drop_nodes": "processors=8", "on_oversize": "drop"},
]


@pytest.mark.parametrize("changes", CHANGES, ids=" ".join)
def test_the_figures_are_those_of_the_run_that_is_kept(pool_run: Run, alice: User, changes: dict[str, str]) -> None:
    asked = question(pool_run, changes)
    figures = answered(pool_run, alice, **changes).figures
    assert figures is not None
    kept = what_if_keep(asked=asked, requested_by=alice, name="kept")
    Runner(kept).play()
    assert kept.status == Run.Status.FINISHED
    _same_as_stored(figures, kept)
    for policy, total in figures["before"].items():
        assert (
            total["mean_wait_time"] == Metric.objects.get(run=pool_run, scheduler=policy, is_total=True).mean_wait_time
        )


def test_on_a_site_the_figures_are_those_of_the_run_that_is_kept(site_run: Run, alice: User) -> None:
    found = answered(site_run, alice, add_nodes="batch=1", drop_nodes="c1")
    kept = what_if_keep(asked=question(site_run, found.changes), requested_by=alice)
    assert kept.configuration["site_changes"] == {"add_nodes": "batch=2", "drop_nodes": "c1"}
    Runner(kept).play()
    assert found.figures is not None
    _same_as_stored(found.figures, kept)


def _same_as_stored(figures: dict[str, Any], kept: Run) -> None:
    """Compare an answer with what the kept run stored, to the last bit."""
    totals = {total.scheduler: total for total in Metric.objects.totals().filter(run=kept)}
    assert list(figures["after"]) == kept.policies
    for policy, told in figures["after"].items():
        assert told == {name: getattr(totals[policy], name) for name in told}
    for pair in figures["pairs"]:
        stored = {
            (group.grouped_by, group.name): group
            for group in GroupMetric.objects.filter(run=kept, scheduler=pair["policy"])
        }
        same = [group for group in pair["after"] if group["task_count"] == _count(stored, group)]
        assert same or not pair["after"]
        for group in same:
            for name in ("mean_wait_time", "p95_wait_time", "mean_job_completion_time", "core_hours"):
                assert group[name] == pytest.approx(
                    getattr(stored[group["grouped_by"], group["name"]], name), rel=1e-12, abs=1e-9
                )


def _count(stored: dict[tuple[str, str], GroupMetric], group: dict[str, Any]) -> int | None:
    found = stored.get((group["grouped_by"], group["name"]))
    return None if found is None else found.task_count


def test_more_processors_shorten_waits_and_the_answer_says_by_how_much_and_for_whom(pool_run: Run, alice: User) -> None:
    figures = answered(pool_run, alice, add_nodes="processors=64").figures
    assert figures is not None
    told = BeforeAfter.of(figures["pairs"][1], figures)
    assert (told.policy, told.against) == ("fcfs+easy", "fcfs+easy")
    waits = told.row("mean_wait_time")
    assert waits.after.value is not None
    assert waits.before.value is not None
    assert waits.after.value < waits.before.value
    assert waits.direction.startswith("▼ -")
    assert waits.after.verdict == "better"
    assert "Under fcfs+easy tasks wait" in told.sentence
    assert "shorter" in told.sentence
    assert told.kinds() == ["size", "length", "hour"]
    assert "gain most" in " ".join(told.groups("length").sentences(BEFORE))


def test_nothing_of_an_answer_is_stored_as_placements(pool_run: Run, alice: User) -> None:
    before = SchedulerResult.objects.count()
    answered(pool_run, alice, scale_load="2")
    assert SchedulerResult.objects.count() == before
    assert Run.objects.count() == 1


def test_the_same_question_is_answered_once(pool_run: Run, alice: User) -> None:
    first = answered(pool_run, alice, scale_load="2.0")
    again = what_if_ask(asked=question(pool_run, {"scale_load": "2", "limit": ""}), requested_by=alice)
    assert again == first
    assert Job.objects.filter(kind="what-if").count() == 1
    assert AuditEntry.objects.filter(kind="what-if", action="start").count() == 1


def test_a_closed_loop_may_be_asked_of_a_run_that_kept_its_placements(pool_run: Run) -> None:
    asked = question(pool_run, {"feedback": "trace"})
    assert (asked.before.keep, asked.configuration.keep, asked.configuration.feedback) == (
        "results",
        "summary",
        "trace",
    )
    assert asked.changes == {"feedback": "trace"}


def test_a_question_that_is_being_played_is_not_asked_again(pool_run: Run, alice: User) -> None:
    found = [what_if_ask(asked=question(pool_run, {"scale_load": "2"}), requested_by=alice) for _ in range(2)]
    assert found[0] == found[1]
    assert Job.objects.active().filter(kind="what-if").count() == 1


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"scale_load": "-1"}, "scale_load", "must be a number above 0"),
        ({"policies": "fcsf"}, "policies", "Did you mean fcfs?"),
        ({"policies": "slurm"}, "policies", "site's own scheduler"),
        ({"add_nodes": "gpu=2"}, "add_nodes", "no node group 'gpu'"),
        ({"drop_nodes": "processors=65"}, "drop_nodes", "cannot be dropped"),
        ({"site": "tiny"}, "site", "no option called 'site'"),
        ({"laod": "2"}, "laod", "no option called 'laod'"),
        ({"max_requeues": "2"}, "max_requeues", "needs on_limit kill"),
    ],
)
def test_a_change_without_meaning_is_refused_by_its_option(
    pool_run: Run, changes: dict[str, str], field: str, words: str
) -> None:
    with pytest.raises(InvalidOption, match=words) as refused:
        question(pool_run, changes)
    assert refused.value.field == field


@pytest.mark.parametrize("changes", [{}, {"scale_load": ""}, {"scale_load": "1"}, {"seed": "0", "on_limit": "run"}])
def test_without_a_change_nothing_is_asked(pool_run: Run, changes: dict[str, str]) -> None:
    with pytest.raises(NotAsked, match="Nothing is changed"):
        question(pool_run, changes)


def test_only_a_run_that_came_to_its_end_is_changed(pool_run: Run) -> None:
    pool_run.status = Run.Status.STOPPED
    with pytest.raises(NotAsked, match="is stopped"):
        question(pool_run, {"scale_load": "2"})


def test_what_takes_too_much_is_only_kept(pool_run: Run, alice: User, settings: Any) -> None:
    settings.WHAT_IF_PLACEMENTS = 1_799
    asked = question(pool_run, {"scale_load": "2"})
    assert asked.placements == 1_800
    with pytest.raises(TooLarge, match="1,800 placements"):
        what_if_ask(asked=asked, requested_by=alice)
    assert not Job.objects.filter(kind="what-if").exists()
    assert what_if_keep(asked=asked, requested_by=alice).status == Run.Status.QUEUED
    assert question(pool_run, {"limit": "100"}).why_only_kept == ""


def test_a_user_has_few_questions_open(pool_run: Run, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "MOST_UNANSWERED", 2)
    for factor in ("2", "3"):
        what_if_ask(asked=question(pool_run, {"scale_load": factor}), requested_by=alice)
    with pytest.raises(TooManyAsked, match="2 what-ifs of yours"):
        what_if_ask(asked=question(pool_run, {"scale_load": "4"}), requested_by=alice)
    other = User.objects.create_user("bob")
    assert what_if_ask(asked=question(pool_run, {"scale_load": "4"}), requested_by=other).job_is_active


def test_old_answers_are_forgotten_and_those_being_played_are_not(
    pool_run: Run, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "KEPT", 1)
    answered(pool_run, alice, scale_load="2")
    for factor in ("3", "4"):
        what_if_ask(asked=question(pool_run, {"scale_load": factor}), requested_by=alice)
    assert [one.changes["scale_load"] for one in WhatIf.objects.order_by("pk")] == ["3", "4"]


def test_a_question_that_cannot_be_played_says_why_and_may_be_asked_again(pool_run: Run, alice: User) -> None:
    found = what_if_ask(asked=question(pool_run, {"drop_nodes": "processors=60"}), requested_by=alice)
    job = found.job
    assert job is not None
    job_run(job)
    job.refresh_from_db()
    assert job.status == Job.Status.FAILED
    assert "larger than" in job.error or "fit" in job.error
    found.refresh_from_db()
    assert found.figures is None
    assert what_if_ask(asked=question(pool_run, found.changes), requested_by=alice) == found
    assert found.job_is_active


def test_a_question_that_takes_too_long_ends(
    pool_run: Run, alice: User, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forever(_asked: object) -> None:
        while True:
            pass

    settings.WHAT_IF_SECONDS = 1
    monkeypatch.setattr("apps.live.what_if.answer.answer", forever)
    found = what_if_ask(asked=question(pool_run, {"scale_load": "2"}), requested_by=alice)
    job = found.job
    assert job is not None
    job_run(job)
    job.refresh_from_db()
    assert (job.status, job.error) == (Job.Status.FAILED, "It took more than 1 s (WHAT_IF_SECONDS).")


def test_nodes_of_a_site_add_up_with_what_its_run_changed() -> None:
    had = ClusterChanges(add_nodes="batch=1,gpu=2", drop_nodes="c1,debug=1", outages="kill")
    asked = ClusterChanges(add_nodes="debug=1,batch=1", drop_nodes="gpu=3,c2", failures="exponential(mean_hours=9)")
    assert had.and_then(asked) == ClusterChanges(
        add_nodes="batch=2", drop_nodes="gpu=1,c1,c2", outages="kill", failures="exponential(mean_hours=9)"
    )


def test_every_value_is_spelt_as_it_is_read(pool_run: Run) -> None:
    given = {
        "policies": "sjf,fcfs+conservative(depth=4)",
        "agent_reward": "1,0.5,0",
        "agent_from_scratch": "yes",
        "warmup": "1e-1",
    }
    spelt = question(pool_run, given).changes
    assert spelt == {
        "policies": "sjf,fcfs+conservative(depth=4)",
        "warmup": "0.1",
        "agent_reward": "1,0.5,0",
        "agent_from_scratch": "true",
    }
    assert question(pool_run, spelt).configuration == question(pool_run, given).configuration
    known = {option.name: option for option in CHANGEABLE}
    assert all(known[name].read(text) == known[name].read(given[name]) for name, text in spelt.items())


def test_a_policy_is_compared_with_itself_or_with_that_at_its_place() -> None:
    assert pairs(["fcfs", "sjf"], ["sjf", "fcfs"]) == [("sjf", "sjf"), ("fcfs", "fcfs")]
    assert pairs(["fcfs", "sjf"], ["fcfs", "saf"]) == [("fcfs", "fcfs"), ("saf", "sjf")]
    assert pairs(["fcfs", "sjf"], ["saf"]) == [("saf", "fcfs")]


def test_an_answer_goes_with_its_run(pool_run: Run, alice: User) -> None:
    found = answered(pool_run, alice, scale_load="2")
    pool_run.delete()
    assert not WhatIf.objects.filter(pk=found.pk).exists()


def test_the_pace_of_a_run_is_not_kept(pool_run: Run) -> None:
    pool_run.configuration = {**pool_run.configuration, "rate": 5.0}
    assert question(pool_run, {"scale_load": "2"}).configuration.rate is None
    assert RunConfiguration.from_json(pool_run.configuration).rate == 5.0


def test_over_the_api_it_is_asked_read_and_kept(pool_run: Run, alice: User) -> None:
    api = APIClient()
    api.force_authenticate(alice)
    address = f"/api/v1/runs/{pool_run.pk}/what-if/"
    assert api.get(address).json()["status"] == "not_asked"
    assert api.get(address, {"scale_load": "2"}).json()["status"] == "not_asked"
    asked = api.post(address, {"scale_load": 2})
    assert asked.status_code == 202
    assert (asked.json()["status"], asked.json()["changes"]) == ("queued", {"scale_load": "2"})
    job_run(Job.objects.get(pk=asked.json()["job"]))
    told = APIClient().get(address, {"scale_load": "2"}).json()
    assert told["status"] == "finished"
    assert set(told["figures"]["after"]) == {"fcfs", "fcfs+easy", "multifactor+easy"}
    assert api.post(address, {"scale_load": 2}).status_code == 200
    kept = api.post(f"{address}keep/", {"scale_load": 2, "name": "twice the load"})
    assert kept.status_code == 202
    assert kept.json()["name"] == "twice the load"
    assert kept.json()["configuration"]["load_factor"] == 2.0
    assert kept.headers["Location"] == f"/api/v1/runs/{kept.json()['id']}/"
    assert api.post(f"{address}keep/", {"scale_load": 2, "name": "twice the load"}).status_code == 409


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        ({"scale_load": -1}, 400, "scale_load"),
        ({"laod": 1}, 400, "laod"),
        ({}, 409, ""),
        ([1], 400, "non_field_errors"),
        ({"policies": ["fcfs", "fcfs"]}, 400, "policies"),
    ],
)
def test_over_the_api_a_wrong_change_is_refused(pool_run: Run, alice: User, body: Any, status: int, named: str) -> None:
    api = APIClient()
    api.force_authenticate(alice)
    refused = api.post(f"/api/v1/runs/{pool_run.pk}/what-if/", body)
    assert refused.status_code == status
    assert list(refused.json()["errors"]) == ([named] if named else [])


def test_what_has_to_be_played_is_counted_and_what_is_kept_is_not(pool_run: Run, alice: User, settings: Any) -> None:
    settings.RATE_LIMIT_WHAT_IF = "1/h"
    answered(pool_run, alice, scale_load="2")
    api = APIClient()
    api.force_authenticate(alice)
    address = f"/api/v1/runs/{pool_run.pk}/what-if/"
    assert api.post(address, {"scale_load": 3}).status_code == 202
    assert [api.post(address, {"scale_load": 2}).status_code for _ in range(3)] == [200] * 3
    refused = api.post(address, {"scale_load": 4})
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 0
