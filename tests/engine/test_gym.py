"""The Gymnasium environments."""

import numpy as np
import pytest

from scheduler_sim import engine

pytest.importorskip("gymnasium", reason="gymnasium is an optional extra.")

from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from scheduler_sim.engine.clusters.presets import pool
from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.gym import SchedulingEnv, SchedulingVectorEnv
from scheduler_sim.engine.learning.sampling import Variation
from scheduler_sim.engine.measuring.metrics import TaskFigures


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


def test_many_in_one_call_do_what_each_does_alone():
    def alone():
        return SchedulingEnv(tasks(), 8, length=30, visible=6, variation=Variation())

    apart = SyncVectorEnv([alone] * 5, autoreset_mode=AutoresetMode.NEXT_STEP)
    together = SchedulingVectorEnv(tasks(), 8, num_envs=5, length=30, visible=6, variation=Variation())
    generator = np.random.default_rng(4)
    assert np.array_equal(apart.reset(seed=11)[0], together.reset(seed=11)[0])
    ended = 0
    for _ in range(100):
        actions = generator.integers(0, 6, 5)
        expected, found = apart.step(actions), together.step(actions)
        for one, other in zip(expected[:4], found[:4], strict=True):
            assert np.array_equal(one, other)
        over = found[2]
        ended += int(over.sum())
        if over.any():
            slowdowns = (told[4]["mean_bounded_slowdown"][over] for told in (expected, found))
            assert np.array_equal(*slowdowns)
    assert ended == 15
    assert together.observation_space.contains(found[0])


def test_fewer_than_one_environment_are_refused():
    with pytest.raises(InvalidParameter, match="num_envs"):
        SchedulingVectorEnv(tasks(), 8, num_envs=0, length=20)


def test_a_place_that_shows_no_task_counts_as_the_first():
    beginnings = [SchedulingEnv(tasks(), 8, length=30, visible=6) for _ in range(2)]
    for one in beginnings:
        one.reset(seed=2)
    assert np.array_equal(beginnings[0].step(0)[0], beginnings[1].step(-1)[0])


def test_another_number_of_actions_or_seeds_than_environments_is_refused():
    together = SchedulingVectorEnv(tasks(), 8, num_envs=2, length=30, visible=6)
    seen = together.reset(seed=[3, 4])[0]
    assert np.array_equal(seen, together.reset(seed=3)[0])
    with pytest.raises(InvalidParameter, match="3 seeds"):
        together.reset(seed=[1, 2, 3])
    for actions in ([0], [0, 1, 0], [[0, 1]]):
        with pytest.raises(InvalidParameter, match="actions are not one for each of 2"):
            together.step(actions)
