"""Rates of tasks on kinds of GPU travel in exports and come back: the same schedules from what was exported."""

import json
from pathlib import Path

import numpy as np
import pytest
from django.core.management import call_command

from apps.tasks.models import Workload
from apps.tasks.services import workload_import
from scheduler_sim.engine import Cluster, NodeGroup, Simulation, parse_policy
from scheduler_sim.engine.errors import EngineError
from scheduler_sim.engine.workloads.throughputs import Throughputs

pytestmark = pytest.mark.django_db

KINDS = ("v100", "k80")
CLUSTER = Cluster("two kinds", tuple(NodeGroup(kind, count=2, cores=8, gpus=4, gpu_type=kind) for kind in KINDS))
HEAD = "task_id,arrival_time,runtime,cpus,gpus,size,group"


@pytest.fixture
def traced(tmp_path: Path) -> Workload:
    """Return a workload in Gavel's own files, one type of which has no rate on k80 and one none at all."""
    key = {"LM": 10.0, "CNN": 4.0}
    rates = {
        "v100": {f"('{name}', {count})": {"null": rate * count} for name, rate in key.items() for count in (1, 2)},
        "k80": {f"('LM', {count})": {"null": 1.0 / 3 * count} for count in (1, 2)},
    }
    (tmp_path / "rates.json").write_text(json.dumps(rates))
    fields = [
        (("LM", "CNN")[n % 2], "true", "", "-n", 0, 900 + 77 * n, n % 3 % 2 + 1, 1, -1, n * 40.1) for n in range(24)
    ]
    lines = ["\t".join(map(str, row)) for row in fields]
    (tmp_path / "jobs.trace").write_text("\n".join(lines) + "\n")
    call_command(
        "importworkload", str(tmp_path / "jobs.trace"), throughputs=str(tmp_path / "rates.json"),
        worker_type="v100", name="traced", verbosity=0,
    )  # fmt: skip
    return Workload.objects.get(name="traced")


def finish_times(workload: Workload, policy: str) -> list[float]:
    simulation = Simulation(workload.tasks.as_workload(), CLUSTER, parse_policy(policy))
    simulation.advance()
    return list(simulation.outcome().finish_time)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_what_was_exported_comes_back_with_its_rates_and_makes_the_same_schedules(
    traced: Workload, tmp_path: Path, suffix: str
) -> None:
    file = tmp_path / f"out.{suffix}"
    call_command("exportdata", "tasks", workload="traced", format=suffix, output=str(file), verbosity=0)
    back, _ = workload_import(file=str(file), name="back")
    before, after = traced.tasks.as_workload(), back.tasks.as_workload()
    assert before.throughputs is not None
    assert after.throughputs is not None
    kinds = [after.throughputs.kinds.index(kind) for kind in before.throughputs.kinds]
    expected = before.throughputs.of(before.group, before.gpus)
    np.testing.assert_array_equal(after.throughputs.of(after.group, after.gpus)[:, kinds], expected)
    assert {0.0, 10.0, 20.0, 1.0 / 3} <= set(expected.ravel().tolist())
    for policy in ("fcfs+list", "max_min_fairness_perf"):
        assert finish_times(back, policy) == finish_times(traced, policy)
    # And once more: an export of what came back is the same file.
    again = tmp_path / f"again.{suffix}"
    call_command("exportdata", "tasks", workload="back", format=suffix, output=str(again), verbosity=0)
    assert again.read_bytes() == file.read_bytes()


def read(tmp_path: Path, *rows: str, head: str = f"{HEAD},rate_on_v100,rate_on_k80") -> Throughputs | None:
    file = tmp_path / "asked.csv"
    file.write_text("\n".join([head, *rows]) + "\n")
    return workload_import(file=str(file), name="asked")[0].tasks.as_workload().throughputs


def test_a_task_may_have_no_rate_and_an_empty_one_among_others_is_a_kind_that_it_cannot_use(tmp_path: Path) -> None:
    table = read(tmp_path, "1,0,5,1,1,50,LM,10,", "2,0,5,1,1,50,other,,", "3,0,5,1,2,50,LM,20,2")
    assert table == Throughputs(KINDS, {("LM", 1): (10.0, 0.0), ("LM", 2): (20.0, 2.0)})


def test_columns_of_rates_without_any_are_no_rates(tmp_path: Path) -> None:
    assert read(tmp_path, "1,0,5,1,1,50,LM,,", "2,0,5,1,1,50,other,,") is None


@pytest.mark.parametrize(
    ("head", "rows", "sentence"),
    [
        (f"{HEAD},rate_on_v100", ["1,0,5,1,1,50,LM,10", "2,0,5,1,1,50,LM,11"], "line 3: a task has other rates"),
        (f"{HEAD},rate_on_v100", ["1,0,5,1,1,50,LM,-1"], "not finite, negative or all 0"),
        ("task_id,arrival_time,runtime,gpus,rate_on_v100", ["1,0,5,1,10"], "no column group or gpus"),
    ],
)
def test_rates_without_meaning_are_refused(tmp_path: Path, head: str, rows: list[str], sentence: str) -> None:
    with pytest.raises(EngineError, match=sentence):
        read(tmp_path, *rows, head=head)
    assert not Workload.objects.exists()
