"""Expected schedules made elsewhere: every start time is equal."""

import csv

import numpy as np
import pytest
from pool_cases import pool

from scheduler_sim.engine import Simulation, Workload, parse_policy


def first_jobs(path, limit):
    rows = [line.split() for line in path.read_text().splitlines() if line.strip() and not line.startswith(";")]
    columns = np.array(rows[:limit], float).T
    return Workload.from_columns(
        task_id=columns[0], arrival_time=columns[1], runtime=columns[3], cpus=np.where(columns[7] > 0, *columns[[7, 4]])
    )


@pytest.mark.parametrize("backfill", ["none", "easy"])
@pytest.mark.parametrize("order", ["fcfs", "sjf"])
def test_every_start_equals_the_oracle(order, backfill, trace_path, oracle_path):
    workload = first_jobs(trace_path("lublin_256.swf"), 1024)
    with oracle_path(f"lublin_256_first1024_{order}_{backfill}.csv").open() as file:
        expected = {int(row["job_id"]): float(row["start"]) for row in csv.DictReader(file)}
    simulation = Simulation(workload, pool(256), parse_policy(f"{order}+{backfill}"))
    simulation.advance()
    assert dict(zip(workload.task_id.tolist(), simulation.outcome().start_time.tolist(), strict=True)) == expected
