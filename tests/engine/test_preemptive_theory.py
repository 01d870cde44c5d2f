"""Mean completion times of preemptive policies on one server against queueing theory, each in its 99% interval.

How many tasks are played does not follow `TEST_DEPTH`: other ones would be other draws, of which one in a hundred lies
outside of its interval without a fault.

Sources: Schrage & Miller, Oper. Res. 14, 1966 (shortest remaining time); Kleinrock, Queueing Systems 2, 1976
(processor sharing, foreground-background, preemptive priorities).
"""

from math import exp, log, sqrt

import numpy as np
import pytest

from scheduler_sim.engine import Policy, Simulation, Workload, parse_policy
from scheduler_sim.engine.policies import BACKFILLS, ORDERS, PLACEMENTS
from tests.engine.pool_cases import pool

SEEDS = range(20)

STUDENT_99 = 2.861
"""Two-sided 99% quantile of Student's t with 19 degrees of freedom."""

SCALE = 1000.0
"""Seconds of the mean task: las counts whole seconds, of which there must be many."""


def exponential(generator, count):
    return generator.exponential(SCALE, count)


def lognormal(generator, count, sigma=1.0):
    return generator.lognormal(log(SCALE) - sigma**2 / 2, sigma, count)


def tails(draw):
    """Return sizes x in mean tasks, the chance of more and the density."""
    x = np.concatenate([[0.0], np.geomspace(1e-5, 200, 400_000)])
    if draw is exponential:
        return x, np.exp(-x), np.exp(-x)
    with np.errstate(divide="ignore"):
        z = (np.log(x) + 0.5) / 1.0
    density = np.where(x > 0, np.exp(-(z**2) / 2) / (np.maximum(x, 1e-300) * sqrt(2 * np.pi)), 0.0)
    return x, 1 - integral(density, x), density


def integral(values, x):
    """Return the integral from 0 up to each x."""
    return np.concatenate([[0.0], np.cumsum((values[1:] + values[:-1]) / 2 * np.diff(x))])


def completion(policy, rho, draw, tasks, seed):
    """Return completion times in mean tasks, without those at the beginning and the end."""
    generator = np.random.default_rng(seed)
    arrival = np.cumsum(generator.exponential(SCALE / rho, tasks))
    workload = Workload.from_columns(arrival_time=arrival, runtime=draw(generator, tasks))
    simulation = Simulation(workload, pool(1), policy, on_attempts=lambda _: None)
    simulation.advance()
    times = (simulation.outcome().finish_time - arrival) / SCALE
    return times[tasks // 10 : -tasks // 10]


def assert_theory_holds(expected, policy, rho, draw, tasks):
    means = np.array([completion(policy, rho, draw, tasks, seed).mean() for seed in SEEDS])
    half_width = STUDENT_99 * means.std(ddof=1) / sqrt(len(means))
    assert half_width < 0.1 * expected, "the interval is too wide to say anything"
    assert abs(means.mean() - expected) <= half_width, (means.mean(), expected, half_width)


@pytest.mark.parametrize("draw", [exponential, lognormal])
@pytest.mark.parametrize("rho", [0.5, 0.8])
def test_shortest_remaining_time_follows_schrage_and_miller(rho, draw):
    x, more, density = tails(draw)
    load = rho * integral(x * density, x)
    waits = rho * (integral(x**2 * density, x) + x**2 * more) / (2 * (1 - load) ** 2)
    stays = integral(1 / (1 - load), x)
    expected = np.trapezoid((waits + stays) * density, x)
    assert_theory_holds(expected, parse_policy("srtf"), rho, draw, 20_000)


@pytest.mark.parametrize("draw", [exponential, lognormal])
def test_turns_that_shrink_are_processor_sharing(draw):
    # The mean is 1 / (1 - rho) whatever the distribution; first come first served would take 3.0 with this lognormal.
    assert_theory_holds(1 / (1 - 0.6), parse_policy("rr(quantum=20)"), 0.6, draw, 5_000)


@pytest.mark.parametrize("draw", [exponential, lognormal])
def test_many_queues_of_attained_service_are_foreground_background(draw):
    rho, x = 0.6, tails(draw)
    sizes, more, density = x
    cut, cut_squared = integral(more, sizes), 2 * integral(sizes * more, sizes)
    load = rho * cut
    expected = np.trapezoid((rho * cut_squared / (2 * (1 - load) ** 2) + sizes / (1 - load)) * density, sizes)
    limits = "/".join(str(limit) for limit in range(20, 8_000, 20))
    las = ORDERS["las"].with_values({"limits": limits})
    policy = Policy(order=las, backfill=BACKFILLS["none"], placement=PLACEMENTS["first_fit"])
    assert_theory_holds(expected, policy, rho, draw, 5_000)


def test_preemptive_priorities_in_m_m_1():
    rho, tasks = (0.3, 0.4), 30_000
    counted = slice(tasks // 10, -tasks // 10)
    rows = []
    for seed in SEEDS:
        generator = np.random.default_rng(seed)
        arrival = np.cumsum(generator.exponential(SCALE / sum(rho), tasks))
        first = generator.random(tasks) < rho[0] / sum(rho)
        workload = Workload.from_columns(
            arrival_time=arrival, runtime=exponential(generator, tasks), duration_estimate=np.where(first, 1.0, 2.0)
        )
        simulation = Simulation(workload, pool(1), parse_policy("sjf~suspend"), on_attempts=lambda _: None)
        simulation.advance()
        times = (simulation.outcome().finish_time - arrival)[counted] / SCALE
        rows.append([times[first[counted]].mean(), times[~first[counted]].mean()])
    means = np.array(rows)
    expected = (1 / (1 - rho[0]), 1 / (1 - rho[0]) + sum(rho) / ((1 - rho[0]) * (1 - sum(rho))))
    half_width = STUDENT_99 * means.std(axis=0, ddof=1) / sqrt(len(means))
    assert (half_width < 0.1 * np.array(expected)).all()
    assert (abs(means.mean(axis=0) - expected) <= half_width).all(), (means.mean(axis=0), expected, half_width)


def test_the_second_moment_of_the_lognormal_is_the_one_used():
    x, _, density = tails(lognormal)
    assert np.trapezoid(x**2 * density, x) == pytest.approx(exp(1.0), rel=1e-3)
