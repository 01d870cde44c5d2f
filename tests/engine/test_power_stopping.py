"""Nodes that sleep and starts that keep a power cap where tasks stop and go on, against the slow simulator."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest

from scheduler_sim.engine import Cluster, NodeGroup, Options, Simulation, Workload, parse_policy
from scheduler_sim.engine.clusters.failures import Failure
from scheduler_sim.engine.clusters.overheads import Checkpoints, Overhead
from scheduler_sim.engine.clusters.sleep import Sleep
from scheduler_sim.engine.measuring.metrics import summarise, whole_run
from scheduler_sim.engine.measuring.rest import Rest
from scheduler_sim.engine.measuring.usage import energy_and_cost
from scheduler_sim.engine.series import Signals, StepSeries
from tests import depth
from tests.engine.core_cases import spans
from tests.engine.power_cases import asleep, capped
from tests.engine.reference_attempts import ReferenceRules
from tests.engine.reference_stopping import ReferenceStopping
from tests.engine.stopping_cases import compare, draw

CASES = depth.cases(24, "REFERENCE_CASES")

POWER = ("sleep", "cap", "sleep and cap")

STOPPING = (
    *("sjf+none~suspend", "sjf+list~checkpoint", "sjf+easy~requeue", "sjf+conservative~suspend"),
    *("fcfs", "fcfs+conservative", "fcfs+list@best_fit"),
)


@pytest.mark.parametrize("policy", STOPPING)
def test_attempts_are_those_of_the_reference(policy):
    pauses = "~" not in policy
    found = [compare(parse_policy(policy), seed, pauses=pauses, power=POWER[seed % 3]) for seed in range(CASES)]
    assert sum(bool(reasons) for reasons in found) > 0.4 * CASES, "hardly any task had several attempts"


def drawn(seed, policy):
    """Return a simulation whose nodes sleep, fail and keep a cap, and the rules of its reference."""
    workload, cluster, options, rules = draw(seed, policy)
    generator = np.random.default_rng([seed, 11])
    rows = np.flatnonzero(~workload.hybrid)
    workload = replace(workload.take(rows), throughputs=None)
    cluster = asleep(cluster, generator, seed)
    options, signals = capped(workload, cluster, options, generator, ("hold", "repeat")[seed % 2])
    if policy.order.stops:
        rules["pausing"] = "suspend"
        cluster = replace(cluster, groups=tuple(replace(group, memory_mb=None) for group in cluster.groups))
    requeues = rules["limit"] == "requeue"
    options = replace(
        options,
        failures=tuple(Failure(begin, end - begin, node=node) for begin, end, node in rules["outages"]),
        max_requeues=rules["max_requeues"] if requeues else 0,
        max_failures=rules["max_failures"],
        requeue_at=rules["requeue_at"],
        restart_overhead=Overhead(((inf, rules["overhead"]),)),
        checkpoints=Checkpoints(*(rules[name] for name in ("interval", "write", "read", "growth")))
        if "interval" in rules
        else None,
    )
    carbon = StepSeries(np.arange(0.0, 48.0, 4.0), generator.choice([100.0, 300.0, 800.0], 12), 48.0, "repeat")
    signals = Signals({**signals.by_kind, "carbon": carbon})
    return Simulation(workload, cluster, policy, seed=seed, options=options, signals=signals), rules


def lasting(spells):
    """Return the spells of some length in order.

    Of a node that sleeps and wakes at once attempts do not tell whether it slept between two starts of an instant.
    """
    return sorted(spell for spell in spells if spell[1] < spell[3])


@pytest.mark.parametrize("policy", ["sjf+list~checkpoint", "sjf+easy~requeue", "wait_awhile(delay=0.005)+list"])
def test_what_is_drawn_by_attempts_idle_asleep_and_waking_nodes_is_that_of_a_fine_integration(policy):
    step, woken, several = 1 / 64, 0, 0
    for seed in range(CASES):
        one = parse_policy(policy)
        workload = draw(seed, one)[0]
        if workload.hybrid.all():
            continue
        simulation, rules = drawn(seed, one)
        if not simulation.cluster.sleeps:
            continue
        expected = ReferenceStopping(simulation, ReferenceRules("score", one.backfill.name, **rules)).play()
        simulation.advance()
        workload, outcome = simulation.workload, simulation.outcome()
        assert outcome.finish_time.tolist() == expected.finish, seed
        told = [span for span in expected.spans if expected.attempts[span[0]] > 1]
        assert spans(simulation.attempts()) == sorted(told), seed
        rest = Rest.of(simulation)
        found_spells = zip(rest.awake_node, rest.asleep_start, rest.waking_start, rest.waking_end, strict=False)
        assert lasting(found_spells) == lasting(expected.woken), seed
        woken, several = woken + len(expected.woken), several + len(told)
        begin, end = whole_run(workload, [outcome])
        end += 7.0
        times = np.arange(begin, end, step) + step / 2
        busy, spared, saved = np.zeros(len(times)), np.zeros(len(times)), np.zeros(len(times))
        for row, _, start, finish, *_ in expected.spans:
            runs = (times >= start) & (times < finish)
            busy += (workload.cpus[row] * 7.0 + workload.gpus[row] * 30.0) * runs
            spared += (workload.cpus[row] * 1.0 + workload.gpus[row] * 5.0) * runs
        for node in expected.nodes:
            if node.group.sleep is None:
                continue
            idle, spells = node.group.node_idle_watts, [one[1:] for one in expected.woken if one[0] == node.number]
            waking = idle if node.group.sleep.waking_watts is None else node.group.sleep.waking_watts
            for asleep_from, wakes, awake in [*spells, (node.idle_since + node.group.sleep.suspend_time, inf, inf)]:
                saved += (idle - 1.0) * ((times >= asleep_from) & (times < wakes))
                saved += (idle - waking) * ((times >= wakes) & (times < awake))
        idle = simulation.cluster.idle_watts - spared - saved
        edges = np.array([begin, (begin + end) / 2, end])
        window = np.searchsorted(edges, times, side="right") - 1
        found = summarise(simulation, edges=edges)
        signals = simulation.signals.by_kind
        rate = signals["carbon"].at(times) / 3.6e9
        for name, watts in (
            ("energy_joules", busy),
            ("idle_energy_joules", idle),
            ("saved_joules", saved),
            ("carbon_kg", busy * rate),
            ("idle_carbon_kg", idle * rate),
            ("over_cap_time", busy + idle > signals["power_cap"].at(times) + 1e-9),
        ):
            assert getattr(found, name) == pytest.approx(np.bincount(window, watts * step, 2), abs=1e-6), (seed, name)
        assert found.wakes.sum() == len(rest.awake_node), seed
        energy, _ = energy_and_cost(simulation, np.arange(len(workload)))
        assert energy.sum() == pytest.approx(busy.sum() * step, abs=1e-6), seed
    assert woken > CASES
    assert several > CASES


NODES = Cluster("two", (NodeGroup("n", 2, 2, cpu_idle_watts=10.0, cpu_busy_watts=30.0, sleep=Sleep(100, 50, 4, 25)),))


def played(policy, options=None, signals=None, **columns):
    workload = Workload.from_columns(**columns)
    simulation = Simulation(workload, NODES, parse_policy(policy), options=options or Options(), signals=signals)
    simulation.advance()
    attempts = simulation.attempts()
    return simulation, list(zip(attempts.row, attempts.start_time, attempts.end_time, attempts.node, strict=True))


def test_nobody_stops_a_task_before_its_nodes_are_awake():
    columns = {"arrival_time": [0, 300, 310], "runtime": [100, 100, 20], "cpus": [2, 4, 4]}
    simulation, attempts = played("sjf~suspend", **columns)
    # The second wakes both nodes from 300 to 350, when the third takes its place at once.
    assert attempts == [(1, 350, 350, 0), (1, 370, 470, 0)]
    assert simulation.outcome().start_time.tolist() == [0, 350, 350]
    found = summarise(simulation, edges=np.array([0.0, 470.0]))
    assert (found.wakes.tolist(), found.woken_starts.tolist()) == ([2.0], [2.0])


def test_a_node_that_fails_while_it_wakes_ends_the_attempt_when_it_would_be_awake():
    options = Options(failures=(Failure(320.0, 5.0, node=0),))
    simulation, attempts = played("fcfs", options, arrival_time=[0, 300], runtime=[100, 60], cpus=[2, 2])
    assert attempts == [(1, 350, 350, 0), (1, 350, 410, 0)]
    assert simulation.history().attempts.tolist() == [1, 2]


def test_a_span_that_ends_while_nodes_wake_leaves_an_attempt_of_no_length():
    times, values = np.array([0.0, 3600.0, 3640.0, 7200.0, 10800.0]), np.array([9.0, 1.0, 9.0, 1.0, 9.0])
    carbon = Signals({"carbon": StepSeries(times, values, 14400.0, "repeat")})
    columns = {"arrival_time": [0, 3600], "runtime": [10, 3000], "cpus": [2, 4], "queue": ["a", "b"]}
    simulation, attempts = played("wait_awhile(delays=a:0/b:2)", signals=carbon, **columns)
    # Its spans are 3600 to 3640 and 7200 to 10160; the nodes, asleep at the begin of each, wake for 50 s.
    assert attempts == [(1, 3650, 3650, 0), (1, 7250, 10250, 0)]
    found = summarise(simulation, edges=np.array([0.0, 10250.0]))
    assert (found.wakes.tolist(), found.woken_starts.tolist()) == ([4.0], [2.0])


def test_a_task_that_comes_before_others_takes_their_power_and_nobody_passes_who_waits_for_it():
    cap = Signals({"power_cap": StepSeries(np.array([0.0, 60.0]), np.array([80.0, 200.0]), 120.0, "hold")})
    nodes = replace(NODES, groups=(replace(NODES.groups[0], sleep=None),))
    workload = Workload.from_columns(
        arrival_time=[0, 0, 5, 6], runtime=[40, 41, 10, 50], cpus=[1, 1, 2, 1], duration_estimate=[40, 41, 10, 50]
    )
    options = Options(hold_cap=True)
    simulation = Simulation(workload, nodes, parse_policy("sjf+list~suspend"), options=options, signals=cap)
    simulation.advance()
    # Idle 40 W, 20 W a busy core, 80 W allowed: the third stops both, and there is room for two again at 15.
    assert simulation.outcome().finish_time.tolist() == [50.0, 51.0, 15.0, 100.0]
    assert summarise(simulation, edges=np.array([0.0, 100.0])).over_cap_time.tolist() == [0.0]


def test_a_task_takes_a_place_beside_others_where_power_is_too_little_for_the_one_that_they_leave():
    cap = Signals({"power_cap": StepSeries(np.array([0.0, 60.0]), np.array([30.0, 90.0]), 120.0, "hold")})
    groups = (NodeGroup("hungry", 1, 5, cpu_busy_watts=10.0), NodeGroup("frugal", 1, 4, cpu_busy_watts=1.0))
    workload = Workload.from_columns(arrival_time=[0, 0, 5], runtime=[40, 41, 10], cpus=[2, 4, 4])
    options = Options(hold_cap=True)
    simulation = Simulation(
        workload, Cluster("two", groups), parse_policy("sjf+list~suspend"), options=options, signals=cap
    )
    simulation.advance()
    # 24 W run; the third draws 40 W on the node that both leave, 4 W on that of the second alone.
    assert simulation.outcome().finish_time.tolist() == [40.0, 51.0, 15.0]
