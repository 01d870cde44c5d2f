"""Train on a stored run, put in use, play, and see the version with every result and on the pages."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from apps.metrics.models import Metric
from apps.results.models import Run, SchedulerResult
from apps.training.models import TrainedModel, TrainingData
from apps.training.registry import model_activate

pytestmark = pytest.mark.django_db(transaction=True)

TASKS = 300


def command(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out, verbosity=0 if arguments[0] == "runsimulation" else 1)
    return out.getvalue()


def play(name: str, policies: str, *more: str) -> dict[str, Any]:
    where = ("--workload", "tasks", "--cluster", "workstation", "--name", name)
    found: dict[str, Any] = json.loads(command("runsimulation", *where, "--policies", policies, *more, "--json"))
    return found


def versions(run: str) -> dict[str, set[int | None]]:
    found: dict[str, set[int | None]] = {}
    for scheduler, version in SchedulerResult.objects.filter(run__name=run).values_list("scheduler", "model_version"):
        found.setdefault(scheduler, set()).add(version)
    return found


@pytest.fixture
def labelled() -> None:
    command("generateworkload", "mixed", "--tasks", str(TASKS), "--seed", "4", "--name", "tasks")
    play("labels", "oracle,hybrid_ml")


def test_the_version_in_use_stands_with_every_result_and_can_be_taken_back(labelled: None, client: Client) -> None:
    assert TrainingData.objects.count() == TASKS
    assert versions("labels") == {"oracle": {None}, "hybrid_ml": {None}}
    command("trainmodel", "hybrid_ml", "--from", "labels")
    command("trainmodel", "hybrid_ml", "--window", "200", "--algorithm", "ridge")
    second = play("second", "hybrid_ml,greedy")
    assert versions("second") == {"hybrid_ml": {2}, "greedy": {None}}
    model_activate(model=TrainedModel.objects.get(version=1))
    first = play("first", "hybrid_ml,greedy")
    assert versions("first") == {"hybrid_ml": {1}, "greedy": {None}}
    assert first["checksum"] != second["checksum"]
    pages = {
        path: client.get(path).content.decode()
        for path in ("/training/", f"/runs/{Run.objects.get(name='first').pk}/", "/api/v1/models/?name=hybrid_ml")
    }
    assert "hybrid_ml v1" in pages["/training/"]
    assert "hybrid_ml v1" in pages[f"/runs/{Run.objects.get(name='first').pk}/"]
    models = json.loads(pages["/api/v1/models/?name=hybrid_ml"])["results"]
    assert {model["version"]: model["active"] for model in models} == {1: True, 2: False}


def test_a_run_keeps_and_shows_how_its_agent_learned(labelled: None, client: Client) -> None:
    play("scratch", "rl_agent,greedy", "--seed", "3")
    totals = {total.scheduler: total for total in Metric.objects.filter(run__name="scratch", is_total=True)}
    curve = totals["rl_agent"].details["agent_curve"]
    assert curve[-1]["tasks"] == TASKS
    assert totals["greedy"].details["agent_curve"] == []
    number = Run.objects.get(name="scratch").pk
    assert "How the agent learned" in client.get(f"/runs/{number}/").content.decode()
    charts = client.get(f"/runs/{number}/charts.json").json()["charts"]
    assert [series["name"] for series in charts["agent"]["series"]] == ["rl_agent, epsilon", "rl_agent, reward"]


def test_a_run_says_what_its_agent_minimises_and_whether_it_begins_from_what_was_stored(labelled: None) -> None:
    command("trainmodel", "rl_agent", "--workload", "tasks")
    stored = play("stored", "rl_agent")
    assert versions("stored") == {"rl_agent": {1}}
    scratch = play("scratch", "rl_agent", "--agent-from-scratch")
    assert versions("scratch") == {"rl_agent": {None}}
    thrifty = play("thrifty", "rl_agent", "--agent-from-scratch", "--agent-reward", "0,1,0")
    assert len({one["checksum"] for one in (stored, scratch, thrifty)}) == 3
    assert thrifty["policies"][0]["energy_joules"] < scratch["policies"][0]["energy_joules"]
    configuration = Run.objects.get(name="thrifty").configuration
    assert configuration["agent_reward"] == [0.0, 1.0, 0.0]
    assert configuration["models"] == {}
