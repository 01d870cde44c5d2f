"""Workflows with data: the papers' examples, plans against plain words, transfers, bounds, and what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler_sim.engine import Cluster, NodeGroup, Options, Simulation, Workload, parse_policy
from scheduler_sim.engine.clusters.network import Link, Network
from scheduler_sim.engine.clusters.transfers import Transfers
from scheduler_sim.engine.errors import InvalidCluster, InvalidPolicy, InvalidWorkload
from scheduler_sim.engine.instant import Schedule, decisions, standing
from scheduler_sim.engine.measuring.bounds import lower_bounds
from scheduler_sim.engine.measuring.usage import Usage
from scheduler_sim.engine.policies import ORDERS
from scheduler_sim.engine.workloads.throughputs import Throughputs
from tests.engine.reference_plan import PlainPlan

PUBLISHED = ("topcuoglu2002", "arabnejad_barbosa2014")


def of_paper(case):
    """Return a workload and a cluster: a processor is a node with one GPU of its own kind, so that rates say times."""
    count, processors = len(case["computation"]), case["processors"]
    parents: list[list[int]] = [[] for _ in range(count)]
    sent: list[list[float]] = [[] for _ in range(count)]
    for edge in case["edges"]:
        parents[edge["target"] - 1].append(edge["source"])
        sent[edge["target"] - 1].append(edge["transfer_time_if_on_different_processors"])
    kinds = tuple(f"p{number}" for number in range(1, processors + 1))
    times = [task["time_on_processor"] for task in case["computation"]]
    rates = {(f"t{row}", 1): tuple(1 / seconds for seconds in of_task) for row, of_task in enumerate(times)}
    workload = Workload.from_columns(
        arrival_time=np.zeros(count),
        runtime=[np.mean(of_task) for of_task in times],
        size=np.ones(count),
        gpus=np.ones(count),
        group=[f"t{row}" for row in range(count)],
        dependencies=parents,
        dependency_mb=sent,
        throughputs=Throughputs(kinds, rates),
    )
    groups = tuple(NodeGroup(name=kind, count=1, cores=1, gpus=1, gpu_type=kind) for kind in kinds)
    return workload, Cluster("processors", groups, network=Network(1.0))


def played(workload, cluster, policy, **options):
    simulation = Simulation(workload, cluster, parse_policy(policy), options=Options(**options))
    simulation.advance()
    assert simulation.done
    return simulation


def assert_as_published(case, algorithm):
    workload, cluster = of_paper(case)
    simulation = played(workload, cluster, f"{algorithm}(plan=insertion)")
    outcome, expected = simulation.outcome(), case[algorithm]
    for place in expected["schedule"]:
        row = place["task"] - 1
        assert outcome.node[row] == place["processor"] - 1
        assert outcome.start_time[row] == pytest.approx(place["start"], abs=1e-6)
        assert outcome.finish_time[row] == pytest.approx(place["finish"], abs=1e-6)
    assert outcome.finish_time.max() == pytest.approx(expected["makespan"], abs=1e-6)
    ranks = expected["upward_rank" if algorithm == "heft" else "rank"]
    np.testing.assert_allclose(-simulation.scores().base, ranks, atol=1e-6)
    return simulation


@pytest.mark.parametrize("algorithm", ["heft", "peft"])
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_papers_examples_are_met_in_every_number(name, algorithm, oracle_path):
    case = json.loads(oracle_path(f"workflows/{name}.json").read_text())
    simulation = assert_as_published(case, algorithm)
    if algorithm == "peft":
        np.testing.assert_allclose(simulation.scores().ahead, case["peft"]["optimistic_cost_table"], atol=1e-9)


@pytest.mark.parametrize("algorithm", ["heft", "peft"])
def test_random_graphs_get_the_schedules_of_another_program(algorithm, oracle_path):
    for case in json.loads(oracle_path("workflows/random_dags.json").read_text()):
        assert_as_published(case, algorithm)


@st.composite
def small_workflows(draw):
    """Return tasks that all arrive at 0 with exact estimates, and nodes of up to three kinds; tasks may fit nowhere."""
    count = draw(st.integers(1, 9))
    kinds = draw(st.integers(1, 3))
    groups = tuple(
        NodeGroup(
            name=f"k{number}",
            count=draw(st.integers(1, 2)),
            cores=draw(st.integers(2, 3)),
            gpus=draw(st.integers(0, 2)),
            cpu_speed=draw(st.sampled_from([1.0, 2.0])),
            gpu_speed=draw(st.sampled_from([1.0, 4.0])),
        )
        for number in range(kinds)
    )
    ends = (f"k{draw(st.integers(0, kinds - 1))}", "k0")
    links = (Link(ends, draw(st.sampled_from([0.5, 4.0])), 1.0),) if draw(st.booleans()) else ()
    cluster = Cluster("small", groups, network=Network(2.0, draw(st.sampled_from([0.0, 3.0])), links))
    some_gpus = any(group.gpus for group in groups)
    parents = [[parent + 1 for parent in range(row) if draw(st.integers(0, 2)) == 0] for row in range(count)]
    workload = Workload.from_columns(
        arrival_time=np.zeros(count),
        runtime=[draw(st.integers(1, 9)) for _ in range(count)],
        cpus=[draw(st.integers(1, 2)) for _ in range(count)],
        gpus=[draw(st.integers(0, 1)) * some_gpus for _ in range(count)],
        dependencies=parents,
        dependency_mb=[[draw(st.integers(0, 9)) for _ in several] for several in parents],
    )
    return workload, cluster


def plain(workload, cluster):
    group_of, network = cluster.group_of_nodes().tolist(), cluster.network
    nodes = [cluster.groups[number] for number in group_of]

    def link(there, here):
        ends = {nodes[there].name, nodes[here].name}
        return next((one for one in network.links if set(one.between) == ends), network)

    def transfer(mb, there, here):
        return link(there, here).latency_seconds + mb / link(there, here).bandwidth_mb_per_second

    def mean_transfer(mb):
        pairs = [(one, other) for one in range(len(nodes)) for other in range(len(nodes)) if one != other]
        return sum(transfer(mb, *pair) for pair in pairs) / len(pairs) if mb and pairs else 0.0

    needs = list(zip(workload.cpus.tolist(), workload.gpus.tolist(), strict=True))
    room = [(node.cores, node.gpus) for node in nodes]
    seconds = [
        [
            runtime / (node.gpu_speed if gpus else node.cpu_speed)
            if cpus <= node.cores and gpus <= node.gpus
            else np.inf
            for node in nodes
        ]
        for runtime, (cpus, gpus) in zip(workload.runtime.tolist(), needs, strict=True)
    ]
    sent = [
        dict(zip(parents, amounts, strict=True))
        for parents, amounts in zip(
            [[number - 1 for number in of_task] for of_task in workload.dependencies()],
            workload.dependency_mb(),
            strict=True,
        )
    ]
    on_gpu = workload.gpus.any()
    devices = [node.gpus if on_gpu else node.cores for node in nodes]
    return PlainPlan(seconds, sent, transfer, mean_transfer, needs, room, devices)


@settings(max_examples=150)
@given(small_workflows())
def test_a_plan_is_what_the_papers_say_in_plain_words(case):
    workload, cluster = case
    if workload.gpus.any() and not workload.gpus.all():
        # Means count cores for one task and GPUs for another; in plain words it is one of them.
        workload = replace(workload, gpus=np.ones(len(workload)))
    for algorithm in ("heft", "peft"):
        expected = plain(workload, cluster).play(peft=algorithm == "peft")
        outcome = played(workload, cluster, f"{algorithm}(plan=insertion)").outcome()
        assert outcome.node.tolist() == [one.node for one in expected], algorithm
        np.testing.assert_allclose(outcome.start_time, [one.begin for one in expected], atol=1e-9)
        assert outcome.finish_time.max() >= lower_bounds(workload, cluster).makespan - 1e-9


@settings(max_examples=150)
@given(small_workflows(), st.randoms(use_true_random=False), st.sampled_from(["heft", "peft"]))
def test_a_plan_that_things_go_against_is_kept_in_its_order(case, random, algorithm):
    workload, cluster = case
    count = len(workload)
    workload = Workload.from_columns(
        arrival_time=[random.choice([0, 0, 3, 7]) for _ in range(count)],
        runtime=[random.randint(0, 9) for _ in range(count)],
        duration_estimate=[random.randint(0, 12) for _ in range(count)],
        cpus=workload.cpus,
        gpus=workload.gpus,
        dependencies=workload.dependencies(),
        dependency_mb=workload.dependency_mb(),
    )
    outcome = played(workload, cluster, f"{algorithm}(plan=insertion)").outcome()
    transfers, groups = Transfers.of(workload, cluster), cluster.group_of_nodes()
    for row in range(count):
        for edge in range(workload.parents.offsets[row], workload.parents.offsets[row + 1]):
            parent = workload.parents.rows[edge]
            ends = outcome.node[parent], outcome.node[row]
            late = transfers.seconds(edge, *groups[list(ends)]) if transfers and ends[0] != ends[1] else 0.0
            assert outcome.start_time[row] >= outcome.finish_time[parent] + late - 1e-9
    for node in range(cluster.nodes):
        for held, most in (
            (workload.cpus, cluster.groups[groups[node]].cores),
            (workload.gpus, cluster.groups[groups[node]].gpus),
        ):
            for at in outcome.start_time[outcome.node == node]:
                runs = (outcome.node == node) & (outcome.start_time <= at) & (outcome.finish_time > at)
                assert held[runs].sum() <= most
    assert (outcome.start_time >= workload.arrival_time).all()
    steps = Simulation(workload, cluster, parse_policy(f"{algorithm}(plan=insertion)"))
    for until in range(0, 400, 3):
        steps.advance(until_time=float(until))
    steps.advance()
    assert steps.outcome().start_time.tolist() == outcome.start_time.tolist()


TWO = Cluster("two", (NodeGroup(name="n", count=2, cores=1),), network=Network(2.0, 1.0))


def fork():
    """Return one task whose 8 MB two others need, of which one must go to the other node."""
    return Workload.from_columns(
        arrival_time=[0, 0, 0], runtime=[4, 10, 10], dependencies=[[], [1], [1]], dependency_mb=[[], [8], [8]]
    )


def test_a_task_that_is_started_far_from_its_data_holds_its_node_until_it_has_come():
    outcome = played(fork(), TWO, "fcfs+list").outcome()
    assert outcome.start_time.tolist() == [0, 4, 4]
    assert outcome.finish_time.tolist() == [4, 14, 4 + (1 + 8 / 2) + 10]


def test_whole_numbers_in_a_description_are_numbers_as_any():
    document = {**TWO.as_json(), "network": {"bandwidth_mb_per_second": 2, "latency_seconds": 1}}
    whole = Cluster.from_json(document)
    assert whole.network is not None
    assert whole.network.between(["n"])[0].dtype == np.float64
    for policy in ("fcfs+list", "fcfs+list@eft"):
        ends = [played(fork(), cluster, policy).outcome().finish_time.tolist() for cluster in (TWO, whole)]
        assert ends[0] == ends[1]


def test_a_planned_task_holds_nothing_while_its_data_comes():
    outcome = played(fork(), TWO, "heft(plan=insertion)").outcome()
    assert sorted(outcome.start_time.tolist()) == [0, 4, 9]
    assert outcome.finish_time.max() == 19


def test_on_one_node_or_without_a_network_data_takes_no_time():
    workload = fork()
    for cluster in (
        replace(TWO, network=None),
        Cluster("one", (NodeGroup(name="n", count=1, cores=2),), network=TWO.network),
    ):
        found = played(workload, cluster, "fcfs+list").outcome().finish_time
        without = replace(workload, parents=replace(workload.parents, mb=None))
        assert found.tolist() == played(without, cluster, "fcfs+list").outcome().finish_time.tolist()
        assert lower_bounds(workload, cluster) == lower_bounds(without, cluster)


def test_the_critical_path_counts_data_that_must_move():
    groups = (NodeGroup(name="cpu", count=1, cores=1), NodeGroup(name="gpu", count=1, cores=1, gpus=1))
    workload = Workload.from_columns(
        arrival_time=[0, 0],
        runtime=[4, 10],
        cpus=[1, 1],
        gpus=[0, 1],
        memory_mb=[100, 0],
        dependencies=[[], [1]],
        dependency_mb=[[], [8]],
    )
    apart = (groups[0], replace(groups[1], memory_mb=10.0))
    assert lower_bounds(workload, Cluster("apart", apart, network=Network(2.0, 1.0))).critical_path == 4 + 5 + 10
    assert lower_bounds(workload, Cluster("together", groups, network=Network(2.0, 1.0))).critical_path == 14
    assert lower_bounds(fork(), TWO).critical_path == 14


def test_a_network_comes_back_as_it_was_described():
    document = {
        "name": "c",
        "groups": [{"name": "a", "count": 2, "cores": 1}, {"name": "b", "count": 1, "cores": 1}],
        "network": {
            "bandwidth_mb_per_second": 100.0,
            "latency_seconds": 0.5,
            "links": [{"between": ["a", "b"], "bandwidth_mb_per_second": 10.0}],
        },
    }
    cluster = Cluster.from_json(document)
    assert cluster.as_json()["network"] == document["network"]
    assert cluster.network is not None
    latency, per_mb = cluster.network.between(["a", "b"])
    assert latency.tolist() == [[0.5, 0.0], [0.0, 0.5]]
    assert per_mb.tolist() == [[0.01, 0.1], [0.1, 0.01]]
    assert "network" not in Cluster.from_json({**document, "network": None}).as_json()


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        ({}, "The network lacks bandwidth_mb_per_second."),
        ({"bandwidth_mb_per_second": 0}, "bandwidth_mb_per_second is 0, not a number above 0."),
        ({"bandwidth_mb_per_second": 1, "latency_seconds": -1}, "latency_seconds is -1, not a number from 0 up."),
        ({"bandwidth_mb_per_second": 1, "speed": 2}, "The network has unknown keys: speed."),
        ({"bandwidth_mb_per_second": 1, "links": {}}, "The network's links are not a list."),
        ({"bandwidth_mb_per_second": 1, "links": [{"bandwidth_mb_per_second": 1}]}, "is not between two groups"),
        (
            {"bandwidth_mb_per_second": 1, "links": [{"between": ["a", "x"], "bandwidth_mb_per_second": 1}]},
            "'x', which is no node group",
        ),
        (
            {
                "bandwidth_mb_per_second": 1,
                "links": [
                    {"between": ["a", "b"], "bandwidth_mb_per_second": 1},
                    {"between": ["b", "a"], "bandwidth_mb_per_second": 2},
                ],
            },
            "two links between the same groups",
        ),
        ([], "The network is not a mapping"),
    ],
)
def test_a_network_without_meaning_is_refused(network, sentence):
    groups = [{"name": "a", "count": 1, "cores": 1}, {"name": "b", "count": 1, "cores": 1}]
    with pytest.raises(InvalidCluster, match=sentence):
        Cluster.from_json({"name": "c", "groups": groups, "network": network})


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        ([[], [1, 2]], "Task 2 has 1 dependencies and 2 amounts"),
        ([[], [-1]], "negative"),
        ([[], ["much"]], "not a number"),
        ([[], [np.inf]], "not finite"),
        ([[]], "1 values where 2 were expected"),
    ],
)
def test_amounts_without_meaning_are_refused(sent, sentence):
    with pytest.raises(InvalidWorkload, match=sentence):
        Workload.from_columns(arrival_time=[0, 0], runtime=[1, 1], dependencies=[[], [1]], dependency_mb=sent)


def test_amounts_follow_their_parents_through_every_order():
    given = Workload.from_columns(
        task_id=[7, 5, 9, 2],
        arrival_time=[3, 1, 9, 0],
        runtime=[1, 1, 1, 1],
        dependencies=[[5, 2, 5], [2], [7, 5], []],
        dependency_mb=[[1, 2, 4], [], [8, 16], []],
    )
    assert given.task_id.tolist() == [2, 5, 7, 9]
    assert given.dependencies() == [[], [2], [2, 5], [5, 7]]
    assert given.dependency_mb() == [[], [0], [2, 5], [16, 8]]
    assert given.take(np.array([1, 2, 3])).dependency_mb() == [[], [5], [16, 8]]
    assert given.parents.sent_mb == 31


def test_what_cannot_play_data_says_so():
    for policy in ("srtf", "fcfs~suspend"):
        with pytest.raises(InvalidPolicy, match="leave the network out"):
            Simulation(fork(), TWO, parse_policy(policy))
    with pytest.raises(InvalidPolicy, match=r"takes neither \+backfill"):
        Simulation(fork(), TWO, parse_policy("heft(plan=insertion)+easy"))
    with pytest.raises(InvalidPolicy, match="tasks that run once"):
        Simulation(
            fork(), TWO, parse_policy("peft(plan=insertion)"), options=Options(kill_at_estimate=True, max_requeues=1)
        )
    split = Workload.from_columns(arrival_time=[0], runtime=[1], hybrid=[True])
    with pytest.raises(InvalidWorkload, match="one node holds"):
        Simulation(
            split, Cluster("g", (NodeGroup(name="n", count=1, cores=1, gpus=1),)), parse_policy("heft(plan=insertion)")
        )
    assert ORDERS["heft"].value("plan") is None


@pytest.mark.parametrize("model", ["concurrent", "sequential"])
@pytest.mark.parametrize("policy", ["greedy", "oracle"])
def test_devices_of_a_split_task_are_held_while_its_data_comes(policy: str, model: str) -> None:
    group = NodeGroup("n", 2, 2, gpus=1, memory_mb=1000, cpu_idle_watts=1, cpu_busy_watts=10, usd_per_core_hour=3600)
    workload = Workload.from_columns(
        arrival_time=[0, 0, 0],
        runtime=[5, 5, 50],
        cpus=[2, 2, 2],
        gpus=[0, 0, 1],
        hybrid=[False, False, True],
        dependencies=[[], [], [1, 2]],
        dependency_mb=[[], [], [50, 50]],
    )
    ends, sides = [], []
    for network in (None, Network(1.0)):
        simulation = Simulation(
            workload,
            Cluster("c", (group,), network=network),
            parse_policy(policy),
            options=Options(split_model=model),
        )
        simulation.advance()
        usage = Usage.of(simulation)
        last = usage.start.argmax()
        assert usage.start[last] == 5
        assert max(usage.core_end[last] * (usage.cores_held[last] > 0), usage.gpu_end[last]) == pytest.approx(
            float(simulation.outcome().finish_time[2])
        )
        ends.append(simulation.outcome().finish_time[2])
        sides.append(np.array([usage.core_held_end[last], usage.gpu_held_end[last]]))
        schedule = Schedule.of(simulation)
        assert standing(schedule, 7.0).expected_until.tolist() == pytest.approx([ends[-1]])
        # Both sides are held while data comes, for 50 s.
        held = standing(schedule, 20.0)
        if network is not None:
            fraction = simulation.outcome().gpu_fraction[2]
            assert (held.free_cores, held.free_gpus) == (4.0 - 2.0 * (fraction < 1), 2.0 - (fraction > 0))
            assert decisions(schedule, 20.0).started.tolist() == [2]
    assert ends[1] - ends[0] == pytest.approx(50.0)
    assert (sides[1] - sides[0]).tolist() == pytest.approx([50.0, 50.0])


def test_what_follows_a_plan_waits_for_it() -> None:
    workload = Workload.from_columns(
        arrival_time=[0, 0, 0], runtime=[4, 5, 6], cpus=[1, 1, 1], dependencies=[[], [], [1]]
    )
    simulation = Simulation(workload, TWO, parse_policy("heft(plan=insertion)"))
    simulation.advance()
    found = decisions(Schedule.of(simulation), 0.0)
    assert "follows a plan, which is not stored" in found.note
    assert found.started.tolist() == np.flatnonzero(simulation.outcome().start_time == 0.0).tolist()
