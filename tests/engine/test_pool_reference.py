"""The kernel's schedule equals the reference's, start by start, for every order and backfill of the registries."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduler_sim.engine import Options, Simulation, parse_policy
from scheduler_sim.engine.policies import Scores
from scheduler_sim.engine.workloads.workload import Labels, Workload
from tests import depth
from tests.engine.plain_pool import play_plainly
from tests.engine.pool_cases import (
    BACKFILL_NAMES,
    PREDICTING,
    assert_equals_reference,
    cases,
    lognormal_workload,
    pool,
    pool_orders,
    with_scores,
)

MANY = depth.cases(8_000)
"""Jobs of a workload that a plain loop plays beside the kernel."""

thorough = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("backfill", BACKFILL_NAMES)
@pytest.mark.parametrize("order", pool_orders())
@settings(thorough, max_examples=depth.cases(8))
@given(case=cases())
def test_kernel_equals_reference(order, backfill, case):
    workload, cluster, options = case
    assert_equals_reference(Simulation(workload, cluster, parse_policy(f"{order}+{backfill}"), options=options))


@pytest.mark.parametrize("backfill", BACKFILL_NAMES)
@settings(thorough, max_examples=depth.cases(40))
@given(case=cases(), data=st.data())
def test_kernel_equals_reference_where_scores_have_a_base_and_a_slope(backfill, case, data):
    workload, cluster, options = case
    column = st.lists(st.sampled_from([0.0, 0.1, 1 / 3, 1.0, 2.0]), min_size=len(workload), max_size=len(workload))
    scores = Scores(base=np.array(data.draw(column)), slope=np.array(data.draw(column)))
    assert_equals_reference(with_scores(workload, cluster, backfill, options, scores))


@pytest.mark.parametrize("backfilled", pool_orders())
@settings(thorough, max_examples=depth.cases(8))
@given(case=cases(), order=st.sampled_from(pool_orders()))
def test_kernel_equals_reference_where_backfilling_has_an_order_of_its_own(backfilled, case, order):
    workload, cluster, options = case
    policy = parse_policy(f"{order}+easy(order={backfilled})")
    assert_equals_reference(Simulation(workload, cluster, policy, options=options))


@settings(thorough, max_examples=depth.cases(60))
@given(case=cases(), data=st.data())
def test_kernel_equals_reference_where_both_orders_have_a_base_and_a_slope(case, data):
    workload, cluster, options = case
    column = st.lists(st.sampled_from([0.0, 0.1, 1 / 3, 1.0, 2.0]), min_size=len(workload), max_size=len(workload))
    base, slope, other_base, other_slope = (np.array(data.draw(column)) for _ in range(4))
    scores = Scores(base=base, slope=slope, backfill=Scores(base=other_base, slope=other_slope))
    assert_equals_reference(with_scores(workload, cluster, "easy", options, scores))


@pytest.mark.parametrize("backfill", PREDICTING)
@settings(thorough, max_examples=depth.cases(60))
@given(case=cases(), order=st.sampled_from(pool_orders()))
def test_kernel_equals_reference_where_run_times_are_predicted(backfill, case, order):
    workload, cluster, options = case
    assert_equals_reference(Simulation(workload, cluster, parse_policy(f"{order}+{backfill}"), options=options))


@pytest.mark.parametrize("backfill", ["easy(order=sjf)", "easy(order=unicep)", *PREDICTING])
@pytest.mark.parametrize("order", ["fcfs", "wfp3"])
def test_kernel_equals_reference_on_many_jobs_of_few_users(order, backfill):
    workload = lognormal_workload(depth.cases(500), 64, 1.1, seed=4, estimate_factor=30.0)
    users = [str(number) for number in np.random.default_rng(2).integers(0, 9, len(workload))]
    workload = replace(workload, user=Labels.from_texts(users))
    assert_equals_reference(Simulation(workload, pool(64), parse_policy(f"{order}+{backfill}")))


@pytest.mark.parametrize("order", ["fcfs", "sjf", "wfp3"])
@pytest.mark.parametrize(("processors", "shortest_estimate", "depth"), [(4, 1.0, None), (16, 1.0, 7), (64, 0.5, None)])
def test_conservative_equals_reference_where_queues_are_deep(order, processors, shortest_estimate, depth):
    """Every other estimate rounded, so that ends meet; where the shortest is 0.5, tasks outrun theirs."""
    generator = np.random.default_rng(processors)
    runtime = np.round(generator.lognormal(5.0, 1.5, 120), 1)
    estimate = runtime * generator.uniform(shortest_estimate, 5.0, 120)
    estimate[::2] = np.round(estimate[::2], -2)
    cpus = np.minimum(generator.integers(1, processors + 1, 120), generator.integers(1, processors + 1, 120))
    arrival = np.cumsum(generator.exponential((runtime * cpus).mean() / processors / 2.0, 120))
    workload = Workload.from_columns(
        arrival_time=np.round(arrival), runtime=runtime, duration_estimate=estimate, cpus=cpus
    )
    options = Options(conservative_depth=depth)
    assert_equals_reference(
        Simulation(workload, pool(processors), parse_policy(f"{order}+conservative"), options=options)
    )


@pytest.mark.parametrize("load", [0.8, 1.3])
@pytest.mark.parametrize("backfill", ["none", "list", "easy"])
@pytest.mark.parametrize("order", ["fcfs", "sjf", "wfp3", "unicep"])
def test_kernel_equals_plain_loop_on_many_jobs(order, backfill, load):
    workload = lognormal_workload(MANY, 128, load, seed=3, estimate_factor=4.0)
    policy = parse_policy(f"{order}+{backfill}")
    simulation = Simulation(workload, pool(128), policy)
    simulation.advance()
    np.testing.assert_array_equal(
        simulation.outcome().start_time, play_plainly(Simulation(workload, pool(128), policy))
    )


def scores_near(generator, length):
    return generator.uniform(0, 1e4, length), generator.uniform(0, 2, length)


def scores_far(generator, length):
    return generator.uniform(-1e6, 1e6, length), generator.lognormal(0, 4, length)


def scores_few(generator, length):
    return generator.integers(0, 5, length) / 3, generator.integers(0, 5, length) / 7


@pytest.mark.parametrize(("draw", "load"), [(scores_near, 1.2), (scores_far, 0.9), (scores_few, 1.2)])
@pytest.mark.parametrize("backfill", ["none", "list", "easy"])
def test_kernel_equals_plain_loop_where_scores_cross_often(backfill, draw, load):
    workload = lognormal_workload(MANY, 256, load, seed=6, estimate_factor=3.0)
    base, slope = draw(np.random.default_rng(5), MANY)
    given_scores = [
        with_scores(workload, pool(256), backfill, Options(), Scores(base=base, slope=slope)) for _ in range(2)
    ]
    given_scores[0].advance()
    np.testing.assert_array_equal(given_scores[0].outcome().start_time, play_plainly(given_scores[1]))
