"""Pollux's goodput against figures of its authors' program, and what must hold of any job."""

import csv
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.workloads.goodput import Goodput

NAMES = {
    "alpha_compute": "alpha_c",
    "beta_compute": "beta_c",
    "alpha_network": "alpha_n",
    "beta_network": "beta_n",
    "alpha_local": "alpha_r",
    "beta_local": "beta_r",
    "gamma": "gamma",
    "gradient_square": "grad_sqr",
    "gradient_variance": "grad_var",
    "initial_batch": "init_batch_size",
}


def rows(path) -> list[dict[str, float]]:
    with path.open() as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def job(row: dict[str, float], **limits: Any) -> Goodput:
    measured: dict[str, Any] = {ours: row[theirs] for ours, theirs in NAMES.items()}
    return Goodput(**measured, **limits)


def a_job(**changes) -> Goodput:
    plain = Goodput(0.05, 0.001, 0.1, 0.01, 0.02, 0.002, 1.6, 1e-3, 0.02, 64, most_batch=4096, most_local=512)
    return replace(plain, **changes)


def test_throughput_efficiency_and_goodput_are_those_of_the_authors(oracle_path):
    found = rows(oracle_path("pollux/pollux_goodput.csv"))
    assert len(found) > 50
    for row in found:
        one, shape = job(row), (row["nodes"], row["replicas"], row["atomic_batch"], row["accum_steps"])
        batch = row["replicas"] * row["atomic_batch"] * (row["accum_steps"] + 1)
        assert float(one.throughput(*shape)) == pytest.approx(row["throughput"], rel=1e-12)
        assert float(one.efficiency(batch)) == pytest.approx(row["efficiency"], rel=1e-12)
        assert float(one.goodput(*shape)) == pytest.approx(row["goodput"], rel=1e-12)


def test_the_best_batch_is_the_one_that_the_authors_find(oracle_path):
    found = rows(oracle_path("pollux/pollux_best_batch.csv"))
    assert len(found) > 50
    for row in found:
        one = job(
            row,
            most_batch=row["max_batch_size"],
            least_local=row["min_atomic_batch"],
            most_local=row["max_atomic_batch"],
            accumulates=bool(row["accumulation"]),
        )
        goodput, local, accumulated = one.best_batch(int(row["nodes"]), int(row["replicas"]))
        assert goodput == pytest.approx(row["best_goodput"], rel=1e-9)
        assert (local, accumulated) == (row["atomic_batch"], row["accum_steps"])


def test_columns_of_jobs_are_as_each_alone():
    batches = np.array([16.0, 64.0, 200.0])
    together = a_job().goodput(2, 8, batches, 1)
    assert together.tolist() == [float(a_job().goodput(2, 8, batch, 1)) for batch in batches]


def test_goodput_is_never_above_throughput_and_equals_it_at_the_initial_batch():
    one = a_job()
    assert float(one.efficiency(one.initial_batch)) == 1.0
    batch = np.geomspace(64, 4096, 30)
    efficiency = one.efficiency(batch)
    assert (np.diff(efficiency) < 0).all()
    assert (efficiency <= 1.0).all()
    assert a_job(gradient_square=0.0, gradient_variance=0.0).efficiency(128.0).tolist() == 0.5


def test_a_larger_gamma_hides_more_of_the_network():
    speeds = [float(a_job(gamma=gamma).throughput(2, 8, 64, 0)) for gamma in (1.0, 2.0, 4.0, 10.0)]
    assert speeds == sorted(speeds)
    compute, network = 0.05 + 0.064, 0.1 + 0.01 * 6
    assert speeds[0] == pytest.approx(8 * 64 / (compute + network))
    assert speeds[-1] < 8 * 64 / network


def test_what_no_batch_can_be_found_for_is_refused():
    with pytest.raises(InvalidParameter, match="no batch from 8192 to 4096 is known"):
        a_job(least_local=512.0).best_batch(2, 16)
    with pytest.raises(InvalidParameter, match=r"gamma is 0\.5, not 1 or above"):
        a_job(gamma=0.5)
