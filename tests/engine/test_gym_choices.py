"""Gymnasium environments for the choice of a node and of what is stopped, and what was learned as a policy."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from scheduler_sim import engine

pytest.importorskip("gymnasium", reason="gymnasium is an optional extra.")

from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from scheduler_sim.engine import gym
from scheduler_sim.engine.clusters.cluster import Cluster, NodeGroup, Outage
from scheduler_sim.engine.clusters.failures import FailureModel
from scheduler_sim.engine.clusters.presets import pool
from scheduler_sim.engine.clusters.sleep import Sleep
from scheduler_sim.engine.codes import ARRIVED, FINISHED, QUEUED, RUNNING
from scheduler_sim.engine.errors import InvalidCluster, InvalidParameter, InvalidPolicy, InvalidWorkload, OversizedTasks
from scheduler_sim.engine.kernels.choices.preemption import AT
from scheduler_sim.engine.learning.sampling import Variation
from scheduler_sim.engine.policies.own import own_digests
from tests.engine.own import own_policies

PROCESSORS = 8

NODES = Cluster(
    name="mixed",
    groups=(
        NodeGroup(name="slow", count=2, cores=4, memory_mb=64.0, gpus=1, gpu_type="old"),
        NodeGroup(name="fast", count=2, cores=6, memory_mb=128.0, gpus=2, gpu_type="new", cpu_speed=2.0, gpu_speed=4.0),
    ),
)


def tasks(count=150, seed=1):
    generator = np.random.default_rng(seed)
    runtime = generator.integers(0, 30, count).astype(float)
    return engine.Workload.from_columns(
        arrival_time=np.cumsum(generator.integers(0, 5, count)).astype(float),
        runtime=runtime,
        # No two ever have the same time left, and sums are exact.
        duration_estimate=runtime + generator.integers(0, 10, count) + (1 + np.arange(count)) / 1024,
        cpus=generator.integers(1, PROCESSORS + 1, count).astype(float),
    )


def node_tasks(count=120):
    generator = np.random.default_rng(2)
    gpus = generator.integers(0, 3, count)
    return engine.Workload.from_columns(
        arrival_time=np.cumsum(generator.integers(0, 4, count)).astype(float),
        runtime=generator.integers(0, 40, count).astype(float),
        cpus=generator.integers(1, 5, count).astype(float),
        gpus=gpus.astype(float),
        memory_mb=generator.integers(0, 65, count).astype(float),
        gpu_type=np.where(gpus == 1, np.where(generator.random(count) < 0.5, "old", ""), "").tolist(),
    )


def outcome(workload, cluster, policy):
    simulation = engine.Simulation(workload, cluster, engine.parse_policy(policy))
    simulation.advance()
    return simulation.outcome()


def play(environment, choose):
    """Play the whole workload and return the state of its end."""
    _, info = environment.reset(seed=3)
    done = False
    while not done:
        action = choose(environment)
        assert environment.action_masks()[action]
        _, reward, done, _, info = environment.step(action)
    assert reward == pytest.approx(-np.log(info["mean_bounded_slowdown"]))
    return environment.game.state


def placement(**changes):
    settings: dict[str, Any] = {"length": 120, "objective": "bsld"} | changes
    return gym.PlacementEnv(node_tasks(), NODES, **settings)


def preemption(**changes):
    return gym.PreemptionEnv(tasks(), PROCESSORS, **{"length": 150, "visible": PROCESSORS} | changes)


VARIED: dict[str, Any] = {"length": 30, "variation": Variation()}

ENVIRONMENTS: dict[str, tuple[Any, Any]] = {
    "queue": (
        lambda: gym.SchedulingEnv(tasks(), PROCESSORS, visible=6, **VARIED),
        lambda count: gym.SchedulingVectorEnv(tasks(), PROCESSORS, num_envs=count, visible=6, **VARIED),
    ),
    "placement": (
        lambda: gym.PlacementEnv(node_tasks(), NODES, **VARIED),
        lambda count: gym.PlacementVectorEnv(node_tasks(), NODES, num_envs=count, **VARIED),
    ),
    "preemption": (
        lambda: gym.PreemptionEnv(tasks(), PROCESSORS, visible=3, asked=2, overhead=2.0, **VARIED),
        lambda count: gym.PreemptionVectorEnv(
            tasks(), PROCESSORS, num_envs=count, visible=3, asked=2, overhead=2.0, **VARIED
        ),
    ),
}


@pytest.mark.parametrize("kind", ENVIRONMENTS)
def test_they_pass_the_checks_of_gymnasium(kind):
    check_env(ENVIRONMENTS[kind][0](), skip_render_check=True)


@pytest.mark.parametrize("kind", ENVIRONMENTS)
def test_many_in_one_call_do_what_each_does_alone(kind):
    alone, many = ENVIRONMENTS[kind]
    apart: Any = SyncVectorEnv([alone] * 4, autoreset_mode=AutoresetMode.NEXT_STEP)
    together = many(4)
    generator = np.random.default_rng(4)
    expected: Any = apart.reset(seed=11)
    found: Any = together.reset(seed=11)
    assert np.array_equal(expected[0], found[0])
    ended = 0
    for _ in range(150):
        assert np.array_equal(expected[-1]["action_mask"], found[-1]["action_mask"])
        actions = generator.integers(-1, together.single_action_space.n + 1, 4)
        expected, found = apart.step(actions), together.step(actions)
        for one, other in zip(expected[:4], found[:4], strict=True):
            assert np.array_equal(one, other)
        over = found[2]
        ended += int(over.sum())
        for name in ("mean_bounded_slowdown", "mean_completion_time", "mean_wait_time") if over.any() else ():
            assert np.array_equal(expected[4][name][over], found[4][name][over])
    assert ended >= 8
    assert together.observation_space.contains(found[0])


@pytest.mark.parametrize("kind", ENVIRONMENTS)
def test_no_step_is_taken_but_in_an_episode(kind):
    alone, many = (make() if make is ENVIRONMENTS[kind][0] else make(2) for make in ENVIRONMENTS[kind])
    for environment, action in ((alone, 0), (many, [0, 0])):
        for _ in range(2):
            with pytest.raises(InvalidParameter, match="call reset first"):
                environment.step(action)
    alone.reset(seed=1)
    while not alone.step(0)[2]:
        pass
    with pytest.raises(InvalidParameter, match="call reset first"):
        alone.step(0)
    alone.reset()
    assert alone.step(0)[2] is False
    many.reset(seed=1)
    assert many.step([0, 0])[0].shape == (2, many.game.seen)


def test_where_a_sequence_cannot_be_drawn_every_episode_begins_anew_afterwards(monkeypatch):
    alone, many = ENVIRONMENTS["queue"][0](), ENVIRONMENTS["queue"][1](2)
    for environment, last in ((alone, 0), (many, 1)):
        environment.reset(seed=1)

        def fails(place, generator, draw=environment.game.draw, last=last):
            if place == last:
                raise MemoryError
            draw(place, generator)

        with monkeypatch.context() as patched:
            patched.setattr(environment.game, "draw", fails)
            with pytest.raises(MemoryError):
                environment.reset()
    with pytest.raises(InvalidParameter, match="call reset first"):
        alone.step(0)
    assert many.step([5, 5])[4]["action_mask"].any(1).all()
    assert many.game.run.counts[:, ARRIVED].min() > 0


def test_always_the_lowest_node_is_first_fit():
    workload = node_tasks()
    state = play(placement(), lambda environment: int(environment.action_masks().argmax()))
    expected = outcome(workload, NODES, "fcfs@first_fit")
    assert np.array_equal(state.start[0], expected.start_time)
    assert np.array_equal(state.finish[0], expected.finish_time)
    assert np.array_equal(state.node[0], expected.node)
    assert len(np.unique(expected.node)) == 4


def test_memory_is_shown_only_where_some_node_limits_it():
    groups = [replace(group, memory_mb=None) for group in NODES.groups]
    for cluster, share in ((replace(NODES, groups=tuple(groups)), 0.0), (NODES, 0.25)):
        workload = engine.Workload.from_columns(arrival_time=[0], runtime=[1], cpus=[1], memory_mb=[32])
        seen, _ = gym.PlacementEnv(workload, cluster, length=1).reset(seed=1)
        assert seen[4] == share


def test_another_choice_of_nodes_is_another_schedule_in_which_no_node_holds_too_much():
    def last(environment):
        return int(np.flatnonzero(environment.action_masks())[-1])

    workload, state = node_tasks(), play(placement(), last)
    start, finish, node = state.start[0], state.finish[0], state.node[0]
    assert not np.array_equal(start, outcome(workload, NODES, "fcfs").start_time)
    fast = node >= 2
    speed = np.where(fast, np.where(workload.gpus > 0, 4.0, 2.0), 1.0)
    assert np.array_equal(finish, start + workload.runtime / speed)
    cores, gpus, memory = (np.where(fast, *pair) for pair in ((6, 4), (2, 1), (128, 64)))
    for row in range(len(workload)):
        beside = (node == node[row]) & (start <= start[row]) & (finish > start[row])
        assert workload.cpus[beside].sum() <= cores[row]
        assert workload.gpus[beside].sum() <= gpus[row]
        assert workload.memory_mb[beside].sum() <= memory[row]
    assert not (fast & (workload.gpu_type.names[0] == "old") & (workload.gpu_type.codes == 0)).any()


@pytest.mark.parametrize("base", ["fcfs", "fcfs+list", "sjf", "sjf+list"])
def test_never_to_stop_anything_is_the_base_policy(base):
    state = play(preemption(base=base), lambda _: 0)
    expected = outcome(tasks(), pool(PROCESSORS), base)
    assert np.array_equal(state.start[0], expected.start_time)
    assert np.array_equal(state.finish[0], expected.finish_time)
    assert not state.stops.any()


def as_srtf(environment):
    """Stop what shortest remaining time first, built anew from an empty pool, would not let run."""
    state = environment.game.state
    counts, now = state.counts[0], state.clock[0, 0]
    running = state.end_rows[0, : counts[RUNNING]].tolist()
    waiting = state.queue[0, : counts[QUEUED]].tolist()
    left = dict(zip(waiting, state.told[0, waiting], strict=True))
    for row in running:
        left[row] = max(state.told[0, row] - max(now - state.progress_from[0, row], 0.0), 0.0)
    free, chosen = PROCESSORS, set()
    for row in sorted(left, key=lambda row: (left[row], row)):
        if state.cpus[0, row] <= free:
            free -= state.cpus[0, row]
            chosen.add(row)
    if state.queue[0, counts[AT]] not in chosen:
        return 0
    shown = state.shown[0].tolist()
    return next(1 + shown.index(row) for row in running if row not in chosen)


@pytest.mark.parametrize(("overhead", "policy"), [(0.0, "srtf"), (2.0, "srtf(charge_first=0,restart_overhead=2)")])
def test_to_stop_what_srtf_would_is_srtf(overhead, policy):
    state = play(preemption(base="sjf+list", asked=150, overhead=overhead), as_srtf)
    expected = outcome(tasks(), pool(PROCESSORS), policy)
    assert np.array_equal(state.start[0], expected.start_time)
    assert np.array_equal(state.finish[0], expected.finish_time)
    assert np.array_equal(state.stops[0] + 1, expected.history.attempts)
    assert state.stops.sum() > 20


@pytest.mark.parametrize("base", ["fcfs", "sjf+list"])
def test_whoever_stops_at_random_still_lets_every_task_do_all_its_work(base):
    generator, workload = np.random.default_rng(5), tasks()
    environment = preemption(base=base, asked=3, overhead=1.0)
    state = play(environment, lambda one: int(generator.choice(np.flatnonzero(one.action_masks()))))
    assert (state.finish[0] >= state.start[0] + workload.runtime + (state.stops[0] > 0)).all()
    assert state.counts[0, ARRIVED] == len(workload)
    assert state.counts[0, QUEUED] == 0
    assert state.counts[0, RUNNING] + state.counts[0, FINISHED] == len(workload)
    assert state.stops.sum() > 50


def test_what_is_seen_of_a_running_task_says_whether_stopping_it_makes_room():
    workload = engine.Workload.from_columns(
        arrival_time=np.array([0.0, 0.0, 10.0]),
        runtime=np.array([100.0, 50.0, 5.0]),
        cpus=np.array([2.0, 6.0, 4.0]),
    )
    environment: Any = gym.PreemptionEnv(workload, PROCESSORS, length=3, visible=4)
    seen, info = environment.reset(seed=1)
    assert info["action_mask"].tolist() == [1, 1, 1, 0, 0]
    assert seen[5] == 0.5
    assert seen[6 + 1] > seen[12 + 1]
    assert (seen[6 + 5], seen[12 + 5]) == (0.0, 1.0)
    _, _, done, _, info = environment.step(2)
    assert done
    state = environment.game.state
    # The second task has done 10 of its 50 s, waits for the third one, which ends at 15 s, and ends at 55 s.
    assert state.finish[0].tolist() == [100.0, 55.0, 15.0]


@pytest.fixture
def _policies():
    with own_policies("learned_somehow"):
        yield


@pytest.mark.usefixtures("_policies")
def test_what_was_learned_plays_as_a_policy_what_it_played_in_its_environment():
    workload, rows = tasks(), []

    def choose(seen, mask):
        rows.append(seen)
        return int((np.abs(seen).sum() * 1e6) % mask.sum())

    gym.learned_queue("learned_somehow", choose, visible=4)
    played = outcome(workload, pool(PROCESSORS), "learned_somehow")
    seen_by_policy, rows[:] = list(rows), []
    environment: Any = gym.SchedulingEnv(workload, PROCESSORS, length=len(workload), visible=4)
    seen, info = environment.reset(seed=1)
    done = False
    while not done:
        seen, _, done, _, info = environment.step(choose(seen, info["action_mask"]))
    assert np.array_equal(np.array(rows), np.array(seen_by_policy))
    assert np.array_equal(environment.game.run.start[0], played.start_time)
    assert not np.array_equal(played.start_time, outcome(workload, pool(PROCESSORS), "fcfs").start_time)


@pytest.mark.usefixtures("_policies")
def test_the_digest_of_what_was_learned_tells_source_window_and_weights_apart():
    def digest(choose, **more):
        with own_policies("learned_somehow"):
            gym.learned_queue("learned_somehow", choose, **more)
            return own_digests(["learned_somehow"])["learned_somehow"]

    def choose(seen, mask):
        return 0

    found = [digest(choose), digest(choose, visible=4), digest(choose, learned=b"weights"), digest(json.dumps)]
    assert len({*found}) == len(found)
    assert digest(choose) == found[0]
    # Nobody knows the source of what is built in.
    assert digest(max) == ""


@pytest.mark.usefixtures("_policies")
def test_what_was_learned_on_a_pool_does_not_play_on_nodes():
    gym.learned_queue("learned_somehow", lambda *_: 0)
    with pytest.raises(InvalidPolicy, match="does not choose among 4 nodes"):
        outcome(node_tasks(), NODES, "learned_somehow")


@pytest.mark.usefixtures("_policies")
def test_what_was_learned_takes_no_name_that_another_policy_has():
    with pytest.raises(InvalidPolicy, match="fcfs"):
        gym.learned_queue("fcfs", lambda *_: 0)


def test_what_an_environment_cannot_play_is_refused():
    parents = engine.Workload.from_columns(
        arrival_time=np.zeros(2), runtime=np.ones(2), cpus=np.ones(2), dependencies=[(), (1,)]
    )
    shared = engine.Workload.from_columns(arrival_time=np.zeros(2), runtime=np.ones(2), gpus=np.full(2, 0.5))
    wide = engine.Workload.from_columns(arrival_time=np.zeros(2), runtime=np.ones(2), cpus=np.full(2, 7.0))
    for workload in (parents, shared):
        with pytest.raises(InvalidWorkload, match="rigid tasks on one node"):
            gym.PlacementEnv(workload, NODES, length=2)
    for change in (
        {"outages": (Outage(10.0, 20.0, 1),)},
        {"failures": FailureModel(mean_hours=100.0)},
        {"sleep": Sleep(10.0, 5.0)},
    ):
        group = replace(NODES.groups[1], **change)
        with pytest.raises(InvalidCluster, match="mixed has outages, failures or sleep"):
            gym.PlacementEnv(node_tasks(), replace(NODES, groups=(NODES.groups[0], group)), length=2)
    with pytest.raises((InvalidWorkload, OversizedTasks)):
        gym.PlacementEnv(wide, NODES, length=2)
    for changes, reason in (
        ({"base": "easy"}, "'easy' is not what"),
        ({"visible": 0}, "visible and asked"),
        ({"overhead": -1.0}, "seconds from 0 up"),
        ({"objective": "joy"}, "no objective 'joy'"),
    ):
        with pytest.raises(InvalidParameter, match=reason):
            preemption(**changes)
