"""Mean waits against queueing theory, which nobody can tune: each lies in the 99% interval of replicated runs.

Sources: Kleinrock, Queueing Systems, volume 1, 1975 (M/M/1, Erlang C, Pollaczek-Khinchine); Phipps, Operations
Research 4, 1956 (shortest job first without preemption).
"""

from math import exp, factorial, log, sqrt

import numpy as np
import pytest

from scheduler_sim.engine import Simulation, Workload, parse_policy
from tests.engine.pool_cases import pool

TASKS = 60_000
WARM_UP = 6_000
"""Tasks left out of a run's mean, because the queue begins empty."""

SEEDS = range(20)

STUDENT_99 = 2.861
"""Two-sided 99% quantile of Student's t with 19 degrees of freedom."""


def exponential(generator, mean):
    return generator.exponential(mean, TASKS)


def lognormal(generator, mean, sigma=0.8):
    return generator.lognormal(log(mean) - sigma**2 / 2, sigma, TASKS)


def mean_wait(policy, servers, rate, draw, mean, seed):
    """Return the mean wait of one run with Poisson arrivals at `rate` and run times from `draw`."""
    generator = np.random.default_rng([seed, servers])
    workload = Workload.from_columns(
        arrival_time=np.cumsum(generator.exponential(1 / rate, TASKS)), runtime=draw(generator, mean)
    )
    simulation = Simulation(workload, pool(servers), parse_policy(policy))
    simulation.advance()
    wait = simulation.outcome().start_time - workload.arrival_time
    return wait[WARM_UP:-WARM_UP].mean()


def assert_theory_holds(expected, policy, servers, rate, draw, mean=1.0):
    means = np.array([mean_wait(policy, servers, rate, draw, mean, seed) for seed in SEEDS])
    half_width = STUDENT_99 * means.std(ddof=1) / sqrt(len(means))
    assert half_width < 0.1 * expected, "the interval is too wide to say anything"
    assert abs(means.mean() - expected) <= half_width


def second_moment(draw, mean):
    return 2 * mean**2 if draw is exponential else mean**2 * exp(0.8**2)


def erlang_c(servers, load):
    """Return the chance that an arrival waits, at an offered load in servers."""
    waiting = load**servers / factorial(servers) * servers / (servers - load)
    return waiting / (sum(load**k / factorial(k) for k in range(servers)) + waiting)


@pytest.mark.parametrize("rho", [0.5, 0.8])
def test_the_wait_in_m_m_1_is_rho_over_mu_minus_lambda(rho):
    assert_theory_holds(rho / (1 - rho), "fcfs", 1, rho, exponential)


@pytest.mark.parametrize(("servers", "rho"), [(2, 0.7), (8, 0.85)])
def test_the_wait_in_m_m_c_follows_erlang_c(servers, rho):
    expected = erlang_c(servers, rho * servers) / (servers * (1 - rho))
    assert_theory_holds(expected, "fcfs", servers, rho * servers, exponential)


@pytest.mark.parametrize("rho", [0.5, 0.75])
def test_the_wait_in_m_g_1_follows_pollaczek_and_khinchine(rho):
    expected = rho * second_moment(lognormal, 1.0) / (2 * (1 - rho))
    assert_theory_holds(expected, "fcfs", 1, rho, lognormal)


@pytest.mark.parametrize("rho", [0.6, 0.8])
def test_shortest_job_first_in_m_g_1_follows_phipps(rho):
    # A task of length x waits W0 / (1 - rho(x))^2, where rho(x) is the load of tasks shorter than x.
    x = np.linspace(0, 60, 600_001)
    density = np.exp(-x)
    load_below = rho * (1 - np.exp(-x) * (1 + x))
    wait = rho * second_moment(exponential, 1.0) / 2 / (1 - load_below) ** 2
    assert_theory_holds(np.trapezoid(wait * density, x), "sjf", 1, rho, exponential)
