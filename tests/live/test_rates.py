"""Workloads with rates on kinds of GPU, from the file that states them to the run that plays by them."""

import json

import pytest
from django.core.management import CommandError, call_command

from apps.dashboard.schedule.gantt import Window, gantt
from apps.dashboard.schedule.placements import placements
from apps.results.models import Run
from apps.tasks.digests import tasks_digest
from apps.tasks.models import Workload
from scheduler_sim.engine.workloads.throughputs import Throughputs

KINDS = ("new", "old")
RATES = {("resnet", 1): (10.0, 1.0), ("a3c", 1): (1.0, 1.0)}

CLUSTER = """
name: two kinds
groups:
- {name: new, count: 1, cores: 1, gpus: 1, gpu_type: new}
- {name: old, count: 1, cores: 1, gpus: 1, gpu_type: old}
"""


@pytest.fixture
def files(tmp_path):
    table = {
        kind: {repr(key): {"null": rates[place]} for key, rates in RATES.items()} for place, kind in enumerate(KINDS)
    }
    (tmp_path / "rates.json").write_text(json.dumps(table))
    lines = [("resnet", "run", "-n", "0", "1000", "0", "1"), ("a3c", "run", "-n", "0", "100", "0", "1")]
    (tmp_path / "jobs.trace").write_text("".join("\t".join(line) + "\n" for line in lines))
    (tmp_path / "cluster.yaml").write_text(CLUSTER)
    return tmp_path


@pytest.fixture
def stored(files, transactional_db):
    rates = str(files / "rates.json")
    call_command("importworkload", str(files / "jobs.trace"), throughputs=rates, worker_type="old", name="rated")
    return Workload.objects.get(name="rated")


def test_all_rates_of_the_table_come_along_and_read_back(stored):
    tasks = stored.tasks.as_workload()
    assert tasks.throughputs == Throughputs(KINDS, RATES)
    assert tasks.size.tolist() == [100, 1000]
    assert tasks.runtime.tolist() == [100, 1000]


def test_rates_are_part_of_what_a_workload_is(stored):
    tasks = stored.tasks.as_workload()
    before = tasks_digest(tasks)
    Workload.objects.update(throughputs=Throughputs(KINDS, {**RATES, ("a3c", 1): (2.0, 1.0)}).as_json())
    assert tasks_digest(stored.tasks.as_workload()) != before


def test_a_run_plays_by_the_rates_under_every_policy(stored, files, capsys):
    call_command(
        "runsimulation",
        workload="rated",
        cluster=str(files / "cluster.yaml"),
        policies="max_sum_throughput_perf,fcfs,fcfs+list@eft",
    )
    run = Run.objects.latest("id")
    finish = {
        policy: list(
            run.results.filter(scheduler=policy).order_by("task__task_id").values_list("finish_time", flat=True)
        )
        for policy in ("max_sum_throughput_perf", "fcfs", "fcfs+list@eft")
    }
    # The a3c takes 100 s anywhere, the resnet 100 s on the new GPU and 1,000 s on the old one, which fcfs leaves to it.
    assert finish["max_sum_throughput_perf"] == [100.0, 100.0]
    assert sorted(finish["fcfs"]) == [100.0, 1000.0]
    assert not [one for one in run.cautions if one["kind"] == "rates_not_used"]


def test_a_run_on_other_kinds_says_that_the_rates_are_of_no_use(stored, files):
    (files / "cluster.yaml").write_text(CLUSTER.replace("gpu_type: new", "gpu_type: h100").replace(": old}", ": a}"))
    call_command("runsimulation", workload="rated", cluster=str(files / "cluster.yaml"), policies="fcfs")
    (caution,) = [one for one in Run.objects.latest("id").cautions if one["kind"] == "rates_not_used"]
    assert caution["policies"] == ["fcfs"]
    assert "new and old" in caution["text"]
    assert "of use to none" in caution["text"]


def test_a_cluster_of_other_kinds_is_refused_before_anything_is_stored(stored, files):
    (files / "cluster.yaml").write_text(CLUSTER.replace("gpu_type: new", "gpu_type: h100"))
    with pytest.raises(CommandError, match="cluster two kinds has h100"):
        call_command(
            "runsimulation", workload="rated", cluster=str(files / "cluster.yaml"), policies="max_min_fairness_perf"
        )
    assert not Run.objects.exists()


def test_a_run_in_which_tasks_share_a_gpu_is_stored_shown_and_verified(files, transactional_db, client):
    key, table = repr(("a3c", 1)), json.loads((files / "rates.json").read_text())
    for kind in KINDS:
        table[kind][key] |= {key: [0.75, 0.75]}
    (files / "rates.json").write_text(json.dumps(table))
    jobs = ["\t".join(("a3c", "run", "-n", "0", str(steps), "0", "1")) for steps in (270, 540, 270)]
    (files / "jobs.trace").write_text("\n".join(jobs) + "\n")
    rates = str(files / "rates.json")
    call_command("importworkload", str(files / "jobs.trace"), throughputs=rates, worker_type="old", name="pairs")
    (files / "cluster.yaml").write_text(CLUSTER.replace(", gpus: 1, gpu_type: old", ""))
    policies = "min_total_duration_packed,min_total_duration_perf"
    call_command("runsimulation", workload="pairs", cluster=str(files / "cluster.yaml"), policies=policies)
    run = Run.objects.latest("id")
    assert [one["kind"] for one in run.cautions] == ["perfect_estimates"]
    packed, alone = (run.results.filter(scheduler=name) for name in policies.split(","))
    # By turns the three take 1,080 s in all; two at a time, each with each, do 0.75 each.
    assert max(alone.values_list("finish_time", flat=True)) == 1080.0
    assert max(packed.values_list("finish_time", flat=True)) == 720.0
    held = run.attempts.filter(scheduler="min_total_duration_packed").values_list("gpus", flat=True)
    assert set(held) == {0.5}
    call_command("verifyrun", str(run.pk))
    drawn = gantt(run, policies.split(",")[0], placements(run, policies.split(",")[0]), Window())
    # Two of them begin on the one GPU, one drawn under the other.
    assert sorted(tuple(item[:3]) for item in drawn.items if item[3] == 0.0) == [(0, 0.0, 0.5), (0, 0.5, 1.0)]
    assert client.get(f"/runs/{run.pk}/").status_code == 200


def test_policies_that_share_gpus_say_that_no_rates_of_pairs_are_known(stored, files):
    policies = "max_min_fairness_packed,fcfs"
    call_command("runsimulation", workload="rated", cluster=str(files / "cluster.yaml"), policies=policies)
    (caution,) = Run.objects.latest("id").cautions
    assert (caution["kind"], caution["policies"]) == ("no_pairs", ["max_min_fairness_packed"])
