"""Figures that may mislead say so: on the page of a run, in its JSON, in the table and beside other runs."""

import json
import re
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from apps.results.models import Run
from apps.tasks.models import Task, Workload
from apps.tasks.services import workload_import
from apps.training.fitting import rows_fitted_to, runtime_train
from apps.training.models import TrainedModel
from tests.conftest import empty_caches

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nothing_kept() -> None:
    """Rows get the numbers again that those of other tests had."""
    empty_caches()


TASKS = 120


def trace(path: Path, stated: str, seed: int = 0) -> Workload:
    """Import a trace of which `all`, `some` or `none` of the tasks state an estimate."""
    generator = np.random.default_rng(seed)
    lines = ["task_id,arrival_time,runtime,cpus,user,queue,duration_estimate"]
    arrivals, runtimes = np.cumsum(generator.integers(1, 60, TASKS)), generator.integers(20, 900, TASKS)
    for number in range(TASKS):
        known = stated == "all" or (stated == "some" and number % 3)
        queue = "long" if number % 2 else "short"
        estimate = {"long": 3600, "short": 1200}[queue] if known else ""
        lines.append(
            f"{number + 1},{arrivals[number]},{runtimes[number]},{number % 4 + 1},u{number % 3},{queue},{estimate}"
        )
    file = path / f"{stated}{seed}.csv"
    file.write_text("\n".join(lines) + "\n")
    return workload_import(file=file, name=f"{stated}{seed}")[0]


def play(workload: Workload, policies: str, *more: str) -> tuple[Run, dict]:
    name = f"{workload.name} {policies} {' '.join(more)}"
    out = StringIO()
    where = ("--workload", workload.name, "--cluster", "hpc-8", "--name", name, "--policies", policies)
    call_command("runsimulation", *where, *more, "--json", stdout=out, verbosity=0)
    return Run.objects.get(name=name), json.loads(out.getvalue())


def test_perfect_estimates_are_named_where_a_log_states_none(tmp_path: Path, client: Client) -> None:
    run, document = play(trace(tmp_path, "none"), "fcfs,sjf+easy,sjf")
    [caution] = document["cautions"]
    assert caution["kind"] == "perfect_estimates"
    assert caution["policies"] == ["sjf+easy", "sjf"]
    assert "Perfect estimates are assumed" in caution["text"]
    for address in (f"/runs/{run.pk}/", f"{reverse('compare')}?runs={run.pk}", f"/api/v1/runs/{run.pk}/"):
        assert "Perfect estimates are assumed" in client.get(address, follow=True).content.decode()


def test_tasks_without_an_estimate_are_counted_where_others_state_one(tmp_path: Path) -> None:
    run, _ = play(trace(tmp_path, "some"), "fcfs+easy")
    assert run.cautions[0]["kind"] == "unknown_estimates"
    assert run.cautions[0]["text"].startswith("40 of 120 tasks state no estimate")


def test_nothing_is_said_where_nothing_misleads(tmp_path: Path) -> None:
    assert play(trace(tmp_path, "all"), "sjf+easy,fcfs")[0].cautions == []
    assert play(trace(tmp_path, "none"), "fcfs,fcfs+list")[0].cautions == []


def test_predictions_of_the_tasks_that_were_learned_from_are_called_in_sample(tmp_path: Path, client: Client) -> None:
    workload = trace(tmp_path, "none")
    runtime_train(workload=workload, name="site")
    run, document = play(workload, "sjf+easy,fcfs", "--estimates", "predicted:site")
    [caution] = document["cautions"]
    assert (caution["kind"], caution["policies"]) == ("in_sample", ["sjf+easy"])
    assert "the model site v1 was fitted to 96 of the 120 tasks" in caution["text"]
    assert "In-sample" in client.get(f"/runs/{run.pk}/").content.decode()
    other, _ = play(trace(tmp_path, "none", seed=1), "sjf+easy", "--estimates", "predicted:site")
    assert other.cautions == []
    # The same tasks under another name are found out, and so are the first few of them.
    model = TrainedModel.objects.get(name="site")
    tasks = workload.tasks.as_workload()
    assert rows_fitted_to(model, "renamed", tasks) == 96
    assert rows_fitted_to(model, workload.name, tasks.head(10)) == 10
    # Each policy is told what it knows: the run can be taken for another one no more than once.
    assert (
        play(workload, "sjf+easy,fcfs", "--estimates", "predicted:site", "--seed", "0")[1]["checksum"]
        == (document["checksum"])
    )


def test_unknown_stays_unknown_in_the_database_and_in_exports(tmp_path: Path, client: Client) -> None:
    workload = trace(tmp_path, "some")
    assert Task.objects.filter(workload=workload, duration_estimate=None).count() == 40
    assert not Task.objects.filter(workload=workload).exclude(size=None).exists()
    for kind, unknown in (("csv", ","), ("swf", " -1 ")):
        path = tmp_path / f"again.{kind}"
        call_command("exportdata", "tasks", "--workload", workload.name, "--format", kind, "--output", str(path))
        assert unknown in path.read_text().splitlines()[-1]
        again, _ = workload_import(file=path, name=f"again {kind}")
        assert Task.objects.filter(workload=again, duration_estimate=None).count() == 40
        assert again.tasks.as_workload().duration_estimate.tolist() == (
            workload.tasks.as_workload().duration_estimate.tolist()
        )


def test_tasks_that_cross_racks_are_counted(tmp_path: Path, client: Client) -> None:
    racked = tmp_path / "racked.yaml"
    racked.write_text(
        "groups:\n- {name: n, count: 4, cores: 2}\ntopology: {nodes_per_switch: 2, crossing: 1.5}\n", encoding="utf-8"
    )
    run, document = play(trace(tmp_path, "all"), "fcfs+list,fcfs+list@compact", "--cluster", str(racked))
    [caution] = document["cautions"]
    # Every second task has 3 or 4 cores, and so runs on two nodes.
    found = re.findall(r"([0-9]+) of 60 \([0-9.]+%\) under (\S+?)[,.]", caution["text"])
    crossed = {policy: int(count) for count, policy in found}
    assert caution["kind"] == "crossed_racks"
    assert 0 < crossed["fcfs+list@compact"] < crossed["fcfs+list"]
    assert caution["text"] in client.get(f"/runs/{run.pk}/").content.decode()


def test_a_run_on_slices_says_what_counts_as_a_gpu(tmp_path: Path, client: Client) -> None:
    file = tmp_path / "sliced.csv"
    lines = ["task_id,arrival_time,runtime,cpus,gpus,gpu_type,duration_estimate"]
    lines += [f"{number},{number},10,1,1,{'3g.20gb' if number % 2 else '1g.5gb'},10" for number in range(1, 9)]
    file.write_text("\n".join(lines) + "\n")
    cut = tmp_path / "cut.yaml"
    cut.write_text(
        "groups:\n- {name: n, count: 1, cores: 8, gpus: 1, mig: {3g.20gb: 1, 1g.5gb: 3}}\n", encoding="utf-8"
    )
    workload = workload_import(file=file, name="sliced")[0]
    run, document = play(workload, "fcfs+list", "--cluster", str(cut))
    [caution] = document["cautions"]
    assert caution["kind"] == "slices"
    assert "(3g.20gb and 1g.5gb) count as one GPU each" in caution["text"]
    assert "The nodes of n have slices of several profiles" in caution["text"]
    assert caution["text"] in client.get(f"/runs/{run.pk}/").content.decode()
    # Four tasks on one slice, four on three.
    assert max(run.results.values_list("finish_time", flat=True)) == 41.0
    call_command("verifyrun", str(run.pk))
