"""Preemptive GPU schedules made elsewhere: 992 jobs on 8 nodes of 8 GPUs, without and with a cost of starting."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from scheduler_sim.engine import Cluster, NodeGroup, Simulation, Workload, parse_policy
from scheduler_sim.engine.contract import REASONS

CLUSTER = Cluster("n8g8", (NodeGroup("node", count=8, cores=64, gpus=8),))

MOVED = REASONS.index("moved")


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("variant", ["clean", "restart30"])
@pytest.mark.parametrize("policy", ["srtf", "srsf", "las"])
def test_every_finish_and_every_number_of_starts_equals_the_oracle(policy, variant, oracle_path):
    rows = rows_of(oracle_path("preemption/trace3_input.csv"))
    task_id, arrival, runtime, gpus = (
        np.array([float(row[name]) for row in rows]) for name in ("task_id", "arrival_time", "runtime", "gpus")
    )
    workload = Workload.from_columns(task_id=task_id, arrival_time=arrival, runtime=runtime, gpus=gpus)
    text = policy if variant == "clean" else f"{policy}(restart_overhead=30)"
    simulation = Simulation(workload, CLUSTER, parse_policy(text))
    simulation.advance()
    finish, attempts = simulation.outcome().finish_time, simulation.attempts()
    given = {int(row["task_id"]): row for row in rows_of(oracle_path(f"preemption/trace3_{policy}_{variant}.csv"))}
    expected = [given[number] for number in workload.task_id.tolist()]
    np.testing.assert_allclose(finish, [float(row["finish"]) for row in expected], atol=0.01, rtol=0)
    np.testing.assert_allclose(
        simulation.outcome().start_time, [float(row["first_start"]) for row in expected], atol=0.01, rtol=0
    )
    starts = simulation.history().attempts - np.bincount(attempts.row[attempts.reason == MOVED], minlength=len(rows))
    assert starts.tolist() == [int(row["starts"]) for row in expected]
    summary = json.loads(oracle_path("preemption/trace3_summary.json").read_text())[f"{policy}_{variant}"]
    completion = np.sort(finish - workload.arrival_time)
    assert completion.mean() == pytest.approx(summary["mean_jct"], rel=1e-6)
    assert finish.max() == pytest.approx(summary["makespan"], rel=1e-6)
    assert completion[int(0.99 * len(rows))] == pytest.approx(summary["p99_jct"], rel=1e-6)
