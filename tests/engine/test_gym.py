"""The Gymnasium environment."""

import numpy as np
import pytest

from scheduler_sim import engine

pytest.importorskip("gymnasium", reason="gymnasium is an optional extra.")

from gymnasium.utils.env_checker import check_env

from scheduler_sim.engine.gym import SchedulingEnv
from scheduler_sim.engine.learning.sampling import Variation
from scheduler_sim.engine.metrics import TaskFigures
from scheduler_sim.engine.presets import pool


def tasks(count=200, processors=8):
    generator = np.random.default_rng(1)
    return engine.Workload.from_columns(
        arrival_time=np.cumsum(generator.integers(0, 5, count)).astype(float),
        runtime=generator.integers(0, 30, count).astype(float),
        cpus=generator.integers(1, processors + 1, count).astype(float),
    )


def test_it_passes_the_checks_of_gymnasium():
    check_env(SchedulingEnv(tasks(), 8, length=40, visible=8, variation=Variation()), skip_render_check=True)


def test_always_choosing_the_first_task_is_first_come_first_served():
    workload = tasks()
    environment = SchedulingEnv(workload, 8, length=len(workload), visible=8)
    environment.reset(seed=3)
    done = False
    while not done:
        _, reward, done, _, info = environment.step(0)
    simulation = engine.Simulation(
        workload=workload,
        cluster=pool(8),
        policy=engine.parse_policy("fcfs"),
    )
    simulation.advance()
    slowdown = TaskFigures.of(workload, simulation.outcome()).bounded_slowdown.mean()
    assert info["mean_bounded_slowdown"] == pytest.approx(slowdown)
    assert reward == pytest.approx(-np.log(slowdown))


def test_the_same_seed_plays_the_same_episode():
    episodes = []
    for _ in range(2):
        environment = SchedulingEnv(tasks(), 8, length=50, visible=4, variation=Variation())
        observation, _ = environment.reset(seed=5)
        seen, done = [observation], False
        while not done:
            observation, _, done, _, _ = environment.step(1)
            seen.append(observation)
        episodes.append(np.concatenate(seen))
    assert np.array_equal(episodes[0], episodes[1])


def test_a_workload_shorter_than_a_sequence_is_refused():
    with pytest.raises(engine.InvalidWorkload, match="fewer than one sequence"):
        SchedulingEnv(tasks(20), 8, length=40)
