"""Nodes that sleep and starts that keep a power cap, against the slow reference on small random cases."""

from dataclasses import replace

import numpy as np
import pytest

from scheduler_sim.engine import Cluster, NodeGroup, Options, Simulation, Workload, parse_policy
from scheduler_sim.engine.clusters.sleep import Sleep
from scheduler_sim.engine.errors import InvalidCluster, InvalidParameter, InvalidPolicy
from scheduler_sim.engine.measuring.electricity import Electricity
from scheduler_sim.engine.measuring.metrics import summarise, whole_run
from scheduler_sim.engine.measuring.rest import Rest
from scheduler_sim.engine.measuring.usage import Usage
from scheduler_sim.engine.power_cap import NO_CAP, PowerCap
from scheduler_sim.engine.series import Signals, StepSeries
from tests import depth
from tests.engine.gang_cases import spans_of
from tests.engine.power_cases import asleep
from tests.engine.power_cases import capped as power_cap
from tests.engine.reference_nodes import ReferenceNodes
from tests.engine.test_nodes_reference import random_case

CASES = depth.cases(25, "REFERENCE_CASES")

POLICIES = (
    *("fcfs+none", "sjf+list@best_fit", "wfp3+easy", "fcfs+easy(order=sjf)", "sjf+conservative@best_fit"),
    *("heft+list@eft", "fcfs+list@fgd", "drf+list"),
)


def case(seed, *, capped, beyond="hold"):
    """Return tasks, a cluster of which most groups sleep, options, and a cap that all tasks can start under."""
    workload, cluster, options = random_case(seed)
    generator = np.random.default_rng([seed, 11])
    cluster = asleep(cluster, generator, seed)
    cluster = replace(cluster, groups=tuple(replace(group, outages=()) for group in cluster.groups))
    if not capped:
        return workload, cluster, options, None
    return workload, cluster, *power_cap(workload, cluster, options, generator, beyond)


def assert_same(policy, seed, *, capped, beyond="hold"):
    workload, cluster, options, signals = case(seed, capped=capped, beyond=beyond)
    if not len(workload):
        return 0
    simulation = Simulation(workload, cluster, parse_policy(policy), seed=seed, options=options, signals=signals)
    expected = ReferenceNodes(simulation).play()
    simulation.kernel.advance(until_time=np.inf, max_events=2**62)
    outcome = simulation.outcome()
    for name in ("start", "finish", "ready"):
        assert getattr(outcome, f"{name}_time").tolist() == getattr(expected, name), (seed, name)
    assert outcome.node.tolist() == expected.node, seed
    assert outcome.device.tolist() == expected.device, seed
    assert spans_of(simulation.kernel.drain_pieces()) == sorted(expected.gangs), seed
    return 1


@pytest.mark.parametrize("policy", POLICIES)
def test_nodes_sleep_and_wake_as_in_the_reference(policy):
    assert sum(assert_same(policy, seed, capped=False) for seed in range(CASES)) > 0.8 * CASES


@pytest.mark.parametrize("policy", POLICIES)
def test_starts_keep_the_cap_as_in_the_reference(policy):
    beyond = ("hold", "repeat", "refuse")
    played = sum(assert_same(policy, seed, capped=True, beyond=beyond[seed % 3]) for seed in range(CASES))
    assert played > 0.8 * CASES


def small_nodes(count=2, **more):
    group = NodeGroup("n", count, 2, cpu_idle_watts=10.0, cpu_busy_watts=30.0, sleep=Sleep(100, 50, 4, 25))
    return Cluster("small", (replace(group, **more),))


def played(cluster, policy="fcfs+list", options=None, signals=None, **columns):
    workload = Workload.from_columns(**columns)
    simulation = Simulation(workload, cluster, parse_policy(policy), options=options or Options(), signals=signals)
    simulation.advance()
    return simulation


def test_a_task_waits_until_its_node_is_awake_and_takes_an_awake_node_first():
    simulation = played(small_nodes(), arrival_time=[0, 300, 310, 320], runtime=[100, 100, 10, 30], cpus=[2, 1, 1, 2])
    assert simulation.outcome().start_time.tolist() == [0, 300 + 50, 350, 320 + 50]
    assert simulation.outcome().node.tolist() == [0, 0, 0, 1]
    edges = np.array([0.0, 200.0, 450.0])
    found = summarise(simulation, edges=edges)
    # Node 0 sleeps from 200 to 300, node 1 from 100 to 320.
    assert found.asleep_time.tolist() == [100.0, 100.0 + 120.0]
    assert found.wakes.tolist() == [0.0, 2.0]
    assert found.woken_starts.tolist() == [0.0, 3.0]
    assert found.saved_joules.tolist() == [100 * 16.0, 220 * 16.0 - 100 * 5.0]
    cores = (2 * 100, 1 * 100 + 1 * 10 + 2 * 30)
    assert found.energy_joules.tolist() == [30.0 * seconds for seconds in cores]
    idle = [40.0 * length - 10.0 * busy for length, busy in zip((200, 250), cores, strict=True)]
    assert found.idle_energy_joules.tolist() == (np.array(idle) - found.saved_joules).tolist()


@pytest.mark.parametrize("policy", ["fcfs+list", "wfp3+easy"])
def test_energy_asleep_waking_idle_and_of_tasks_is_that_of_a_fine_integration(policy):
    step, woken = 1 / 64, 0
    for seed in range(CASES):
        workload, cluster, options, _ = case(seed, capped=False)
        rows = np.flatnonzero(~workload.hybrid)
        if not len(rows) or not cluster.sleeps:
            continue
        workload = replace(workload.take(rows), throughputs=None)
        simulation = Simulation(workload, cluster, parse_policy(policy), seed=seed, options=options)
        expected = ReferenceNodes(simulation).play()
        simulation.advance()
        rest = Rest.of(simulation)
        woken += len(expected.woken)
        found_spells = zip(rest.awake_node, rest.asleep_start, rest.waking_start, rest.waking_end, strict=False)
        assert sorted(found_spells) == sorted(expected.woken), seed
        begin, end = whole_run(workload, [simulation.outcome()])
        end += 7.0
        times = np.arange(begin, end, step) + step / 2
        watts = np.zeros(len(times))
        for row, (start, finish) in enumerate(zip(expected.start, expected.finish, strict=True)):
            busy = workload.cpus[row] * 6.0 + workload.gpus[row] * 25.0
            watts += busy * ((times >= start) & (times < finish))
        saved = np.zeros(len(times))
        for node in expected.nodes:
            idle = node.group.node_idle_watts
            watts += idle
            if node.group.sleep is None:
                continue
            spells: list[tuple[float, float, float]] = [
                spell[1:] for spell in expected.woken if spell[0] == node.number
            ]
            spells.append((node.idle_since + node.group.sleep.suspend_time, np.inf, np.inf))
            waking = idle if node.group.sleep.waking_watts is None else node.group.sleep.waking_watts
            for since, wakes, awake in spells:
                saved += (idle - 1.0) * ((times >= since) & (times < wakes))
                saved += (idle - waking) * ((times >= wakes) & (times < awake))
        edges = np.array([begin, (begin + end) / 2, end])
        found = summarise(simulation, edges=edges)
        window = np.searchsorted(edges, times, side="right") - 1
        both = found.energy_joules + found.idle_energy_joules
        assert found.saved_joules == pytest.approx(np.bincount(window, saved * step, 2), abs=1e-6), seed
        assert both == pytest.approx(np.bincount(window, (watts - saved) * step, 2), abs=1e-6), seed
        cap = StepSeries(np.array([begin]), np.array([cluster.idle_watts]), end, "hold")
        over = Electricity.of(Usage.of(simulation), Signals({"power_cap": cap}), edges).over_cap_time
        beyond = np.bincount(window, (watts - saved > cluster.idle_watts) * step, 2)
        assert over == pytest.approx(beyond, abs=1e-6), seed
    assert woken > CASES


def test_a_start_that_would_exceed_the_cap_waits_and_nobody_passes_it():
    cap = Signals({"power_cap": StepSeries(np.array([0.0, 60.0]), np.array([80.0, 200.0]), 120.0, "hold")})
    columns = {"arrival_time": [0, 1, 2], "runtime": [30, 30, 30], "cpus": [1, 2, 1]}
    nodes = small_nodes(sleep=None)
    free = played(nodes, signals=cap, **columns)
    assert free.outcome().start_time.tolist() == [0, 1, 2]
    held = played(nodes, options=Options(hold_cap=True), signals=cap, **columns)
    # Idle 40 W, 20 W a busy core, 80 W allowed: the second needs the first to end, and the third does not pass it.
    assert held.outcome().start_time.tolist() == [0, 30, 60]
    assert summarise(held, edges=np.array([0.0, 90.0])).over_cap_time.tolist() == [0.0]
    assert summarise(free, edges=np.array([0.0, 90.0])).over_cap_time.tolist() == [30.0]


@pytest.mark.parametrize("beyond", ["hold", "repeat", "refuse"])
def test_a_cap_beyond_all_whole_numbers_caps_nothing(beyond):
    series = StepSeries(np.array([0.0, 60.0]), np.array([1e13, 1e300]), 120.0, beyond)
    workload = Workload.from_columns(arrival_time=[0], runtime=[5], cpus=[1])
    assert set(PowerCap.of(series, small_nodes(), workload).power.tolist()) == {NO_CAP}


def test_what_is_not_played_with_sleep_or_a_cap_is_refused_in_one_sentence():
    columns = {"arrival_time": [0, 1], "runtime": [5, 5], "cpus": [1, 2]}
    for policy in ("srtf", "las", "equal_share", "heft(plan=insertion)", "peft(plan=insertion)"):
        with pytest.raises(InvalidPolicy, match="Nodes of small sleep"):
            played(small_nodes(), policy, **columns)
    high = Signals({"power_cap": StepSeries(np.array([0.0]), np.array([900.0]), 9.0, "hold")})
    for policy in ("heft(plan=insertion)", "peft(plan=insertion)"):
        with pytest.raises(InvalidPolicy, match="Starts keep a power cap, which is not played by"):
            played(small_nodes(sleep=None), policy, options=Options(hold_cap=True), signals=high, **columns)
    for lacking in (None, Signals({})):
        with pytest.raises(InvalidParameter, match="hold_cap needs a series of a power cap"):
            played(small_nodes(sleep=None), options=Options(hold_cap=True), signals=lacking, **columns)
    low = Signals({"power_cap": StepSeries(np.array([0.0]), np.array([70.0]), 9.0, "hold")})
    with pytest.raises(
        InvalidPolicy, match="1 tasks might wait for power for ever: task 2 makes the cluster draw 80 W"
    ):
        played(small_nodes(sleep=None), options=Options(hold_cap=True), signals=low, **columns)
    bare = small_nodes(sleep=None, cpu_idle_watts=0.0, cpu_busy_watts=0.0)
    with pytest.raises(InvalidPolicy, match="states no watts"):
        played(bare, options=Options(hold_cap=True), signals=low, **columns)


def test_a_description_tells_how_nodes_sleep_and_refuses_what_has_no_meaning():
    cluster = small_nodes()
    assert Cluster.from_json(cluster.as_json()) == cluster
    assert "sleep" not in small_nodes(sleep=None).as_json()["groups"][0]
    document = cluster.as_json()
    for key, value, sentence in (
        ("suspend_time", -1, "suspend_time of a sleep is -1"),
        ("resume_time", "soon", "resume_time of a sleep is 'soon'"),
        ("wake", 3, "unknown keys: wake"),
    ):
        group = {**document["groups"][0], "sleep": {**document["groups"][0]["sleep"], key: value}}
        with pytest.raises(InvalidCluster, match=sentence):
            Cluster.from_json({**document, "groups": [group]})
    other = replace(cluster.groups[0], name="m", sleep=Sleep(1.0, 2.0))
    with pytest.raises(InvalidCluster, match="resume_time is not the same"):
        Cluster("two", (*cluster.groups, other))


def test_pieces_of_a_gang_that_are_rounded_up_count_in_what_might_wait_for_ever():
    group = NodeGroup("n", 3, 7, cpu_idle_watts=1.0, cpu_busy_watts=7.0, gpus=3, gpu_busy_watts=1.0)
    columns = {"arrival_time": [0], "runtime": [5], "cpus": [4], "gpus": [7]}
    # 4 cores over 7 GPUs are 1,715 + 1,715 + 572 thousandths on the three nodes.
    for allowed, fits in ((21 + 24 + 7.0, False), (21 + 24 + 7.012, True)):
        cap = Signals({"power_cap": StepSeries(np.array([0.0]), np.array([allowed]), 9.0, "repeat")})
        if fits:
            found = played(Cluster("c", (group,)), options=Options(hold_cap=True), signals=cap, **columns)
            assert found.outcome().start_time.tolist() == [0.0]
        else:
            with pytest.raises(InvalidPolicy, match="might wait for power for ever"):
                played(Cluster("c", (group,)), options=Options(hold_cap=True), signals=cap, **columns)
