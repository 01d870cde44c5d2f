"""The agent that learns fractions while it runs."""

import numpy as np
import pytest

from scheduler_sim import engine
from scheduler_sim.engine.clusters.presets import workstation
from scheduler_sim.engine.errors import InvalidParameter, InvalidPolicy
from scheduler_sim.engine.generators import generate_workload
from scheduler_sim.engine.learning.agent_curve import agent_curve
from scheduler_sim.engine.measuring.usage import energy_and_cost
from scheduler_sim.engine.policies import BACKFILLS, ORDERS, Policy
from scheduler_sim.engine.policies.agent import ACTIONS, CONTEXTS, AgentSettings, RewardWeights, no_values, values_from
from scheduler_sim.engine.policies.placements.rl_agent import agent_placement


def play(*, seed=1, step=None, backfill="list", **options):
    placement = agent_placement(values=options.pop("values", None), settings=AgentSettings(**options))
    policy = Policy(order=ORDERS["fcfs"], backfill=BACKFILLS[backfill], placement=placement)
    workload = generate_workload("mixed", tasks=600, seed=2).workload
    simulation = engine.Simulation(workload=workload, cluster=workstation(), policy=policy, seed=seed)
    if step is None:
        simulation.advance()
    while not simulation.done:
        simulation.advance(max_events=step)
    return simulation


def test_the_same_seed_learns_the_same_and_another_does_not():
    first, second, other = play(), play(), play(seed=3)
    assert first.outcome().finish_time.tolist() == second.outcome().finish_time.tolist()
    assert first.kernel.agent["values"].tolist() == second.kernel.agent["values"].tolist()
    assert first.outcome().gpu_fraction.tolist() != other.outcome().gpu_fraction.tolist()


def test_steps_change_nothing():
    assert play(step=11).outcome().finish_time.tolist() == play().outcome().finish_time.tolist()


def test_every_finished_task_brought_a_reward_for_the_fraction_it_was_given():
    simulation = play(explored_tasks=300)
    agent, outcome = simulation.kernel.agent, simulation.outcome()
    assert (agent["reward"] < 0).all()
    assert outcome.gpu_fraction == pytest.approx(agent["chosen"] / (ACTIONS - 1))
    assert agent["visits"].sum() == 600
    estimate = simulation.workload.duration_estimate
    assert agent["reward"] == pytest.approx(-(outcome.finish_time - outcome.ready_time) / estimate)


def test_exploration_falls_and_ends():
    simulation = play(first_epsilon=0.5, explored_tasks=300)
    epsilon = simulation.kernel.agent["epsilon"]
    ordered = epsilon[np.lexsort((np.arange(600), simulation.outcome().ready_time))]
    assert ordered.max() == 0.5
    assert np.sort(epsilon)[:300].max() == 0.0


@pytest.mark.parametrize("aim", ["energy", "cost"])
def test_an_agent_that_minimises_energy_or_cost_spends_less_than_one_that_minimises_time(aim):
    thrifty = play(reward=RewardWeights(time=0.0, **{aim: 1.0}), explored_tasks=300)
    hasty = play(explored_tasks=300)
    late = np.arange(300, 600)
    column = ("energy", "cost").index(aim)
    spent, spent_hastily = (energy_and_cost(one, late)[column].sum() for one in (thrifty, hasty))
    assert spent < spent_hastily


def test_a_reward_weighs_time_energy_and_cost_as_it_is_told():
    simulation = play(reward=RewardWeights(time=1.0, energy=2.0, cost=1.0), explored_tasks=300)
    rows = np.arange(600)
    group, outcome = simulation.cluster.groups[0], simulation.outcome()
    energy, cost = energy_and_cost(simulation, rows)
    scale = simulation.workload.duration_estimate
    time = (outcome.finish_time - outcome.ready_time) / scale
    joules = energy / (group.cpu_busy_watts * scale)
    dollars = cost / (group.usd_per_core_hour * scale / 3600)
    assert simulation.kernel.agent["reward"] == pytest.approx(-(time + 2 * joules + dollars) / 4)


@pytest.mark.parametrize("faulty", ["1,0", "1,0,0,0", "a,b,c", "0,0,0", "-1,0,0", "nan,0,1", "inf,0,0"])
def test_weights_without_meaning_are_refused(faulty):
    with pytest.raises(InvalidParameter, match="weights"):
        RewardWeights.parse(faulty)


def test_the_curve_follows_the_choices_in_order_and_ends_with_the_last():
    curve = agent_curve(play(first_epsilon=0.5, explored_tasks=300))
    assert [point["tasks"] for point in curve] == list(range(6, 601, 6))
    epsilons = [point["epsilon"] for point in curve]
    assert epsilons == sorted(epsilons, reverse=True)
    assert epsilons[0] > 0.49
    assert epsilons[-1] == 0.0


def test_a_policy_without_an_agent_has_no_curve():
    workload = generate_workload("mixed", tasks=20, seed=2).workload
    simulation = engine.Simulation(workload=workload, cluster=workstation(), policy=engine.parse_policy("greedy"))
    simulation.advance()
    assert agent_curve(simulation) == []


def test_an_agent_starts_from_a_stored_table():
    values = no_values() - 1.0
    values[:, 3] = 0.0
    simulation = play(values=values, first_epsilon=0.0, explored_tasks=0, slowest_step=0.0)
    assert simulation.outcome().gpu_fraction[0] == pytest.approx(0.3)
    assert values_from(values.tolist()).shape == (CONTEXTS, ACTIONS)
    with pytest.raises(InvalidParameter, match="finite numbers"):
        values_from([[1.0]])


def test_conservative_backfilling_and_settings_without_meaning_are_refused():
    with pytest.raises(InvalidPolicy, match="none, list and easy"):
        play(backfill="conservative")
    with pytest.raises(InvalidParameter):
        AgentSettings(first_epsilon=1.5)
    with pytest.raises(InvalidParameter):
        AgentSettings(explored_tasks=-1)
