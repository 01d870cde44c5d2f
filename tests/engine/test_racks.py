"""Racks and switches: what they are read from, where `compact` puts gangs, and how much longer these run over several.

The kernels are compared with the slow simulator on random clusters with racks here and in `test_nodes_reference.py`
and `test_stopping_reference.py`; here all tasks are gangs, and nodes are many.
"""

from dataclasses import replace

import numpy as np
import pytest

from scheduler_sim.engine import Cluster, NodeGroup, Options, Simulation, Workload, parse_policy
from scheduler_sim.engine.clusters.oversize import fit_workload
from scheduler_sim.engine.clusters.topology import Switch, Topology
from scheduler_sim.engine.errors import InvalidCluster, InvalidPolicy
from scheduler_sim.engine.whatif import add_nodes, drop_nodes
from tests import depth
from tests.engine.reference_nodes import ReferenceNodes

CASES = depth.cases(40, "REFERENCE_CASES")

RACKS = [{"name": "r1", "nodes": "n[1-4]"}, {"name": "r2", "nodes": "n[5-8]"}, {"name": "r3", "nodes": "n[9-12]"}]
LOW = {"name": "low", "switches": "r[1-2]"}
TOP = {"name": "top", "switches": "low,r3"}


def cluster_of(topology, nodes=12, **more):
    """Return nodes of 8 GPUs, n1, n2 ..., with a topology."""
    group = {"name": "n", "count": nodes, "cores": 8, "gpus": 8, **more}
    return Cluster.from_json({"name": "racked", "groups": [group], "topology": topology})


def racks_of(cluster):
    """Return the rack of each node."""
    assert cluster.topology is not None
    return cluster.topology.numbers(cluster.node_names)[0].tolist()


def played(cluster, policy, *tasks):
    """Play tasks (arrival, seconds, GPUs), and return the outcome."""
    arrival, runtime, gpus = zip(*tasks, strict=True)
    workload = Workload.from_columns(arrival_time=arrival, runtime=runtime, cpus=[0] * len(tasks), gpus=gpus)
    simulation = Simulation(workload, cluster, parse_policy(policy))
    simulation.advance()
    return simulation.outcome()


def test_switches_above_switches_make_levels():
    topology = cluster_of({"switches": [TOP, LOW, *RACKS], "crossing": [1.2, 1.5]}).topology
    names = [f"n{number}" for number in range(1, 13)]
    assert topology.levels == 3
    assert topology.numbers(names).tolist() == [
        [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2],
        [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1],
        [0] * 12,
    ]
    assert topology.factors().tolist() == [1.0, 1.2, 1.5, 1.5]


def test_a_node_on_no_switch_stands_alone_and_equal_racks_need_no_names():
    topology = Topology((Switch("r1", nodes=("n1", "n2")),))
    assert topology.numbers(["n1", "n2", "n3", "n4"]).tolist() == [[0, 0, 1, 2]]
    assert Topology(nodes_per_switch=(2, 4)).numbers(list("abcdef")).tolist() == [
        [0, 0, 1, 1, 2, 2],
        [0, 0, 0, 0, 1, 1],
    ]


@pytest.mark.parametrize(
    "topology",
    [{"switches": [*RACKS, LOW, TOP], "crossing": [1.2, 1.5]}, {"nodes_per_switch": [4, 8]}, {"switches": RACKS}],
)
def test_a_description_with_racks_comes_back_as_it_was(topology):
    cluster = cluster_of(topology)
    assert Cluster.from_json(cluster.as_json()) == cluster
    assert "topology" not in replace(cluster, topology=None).as_json()


@pytest.mark.parametrize(
    ("topology", "sentence"),
    [
        ({"switches": RACKS, "nodes_per_switch": 4}, "either its switches or nodes_per_switch"),
        ({}, "either its switches or nodes_per_switch"),
        ({"nodes_per_switch": [4, 6]}, "6, not a whole multiple"),
        ({"switches": RACKS, "crossing": 0.9}, "0.9, not a number from 1 up"),
        ({"switches": [*RACKS, LOW, TOP], "crossing": [1.5, 1.2]}, "grows with the level"),
        ({"switches": RACKS, "crossing": [1.1, 1.2]}, "2 figures for 1 levels"),
        ({"switches": [{"name": "r1", "nodes": "n13"}]}, "node n13, which the cluster does not have"),
        ({"switches": [*RACKS, {"name": "r4", "nodes": "n4"}]}, "n4 is on switch r1 and on switch r4"),
        ({"switches": [{"name": "r1", "nodes": "n1", "switches": "r2"}]}, "it has either"),
        ({"switches": [{"name": "a", "switches": "b"}, {"name": "b", "switches": "a"}]}, "below themselves"),
        ({"switches": [{"name": "a", "switches": "b"}]}, "switch b, which the topology does not have"),
        ({"switches": [*RACKS, RACKS[0]]}, "two switches of one name"),
        ({"racks": 4}, "unknown keys: racks"),
    ],
)
def test_a_topology_that_has_no_meaning_is_refused(topology, sentence):
    with pytest.raises(InvalidCluster, match=sentence):
        cluster_of(topology)


def test_nodes_that_come_stand_alone_and_those_that_go_are_forgotten():
    cluster = cluster_of({"switches": RACKS, "crossing": 2})
    more, fewer = add_nodes(cluster, "n=2"), drop_nodes(cluster, "n=2")
    assert racks_of(more) == [0] * 4 + [1] * 4 + [2] * 4 + [3, 4]
    assert racks_of(fewer) == [0] * 4 + [1] * 4 + [2] * 2
    for changed in (more, fewer):
        assert racks_of(Cluster.from_json(changed.as_json())) == racks_of(changed)


# Where compact puts gangs, by hand: 12 nodes of 8 GPUs.


def test_a_gang_that_a_rack_can_hold_goes_into_the_tightest_one():
    # One node of r1 and two of r2 are taken first; two nodes then fit into r2, r1 and r3, and r2 is the tightest.
    cluster = cluster_of(
        {"switches": [{"name": "r1", "nodes": "n[2-5]"}, {"name": "r2", "nodes": "n[6-9,1]"}]}, nodes=9
    )
    outcome = played(cluster, "fcfs@compact", (0, 9, 8), (0, 9, 32), (1, 5, 24))
    # Best fit puts the first on n1, of r2; the second needs four whole nodes and both racks have four: r2 comes first
    # by its first node. The third goes to r1.
    assert outcome.node.tolist() == [0, 5, 1]
    assert outcome.crossed.tolist() == [0, 0, 0]


def test_compact_waits_for_nobody_but_takes_the_fewest_racks():
    cluster = cluster_of({"switches": RACKS, "crossing": 2})
    # Three racks of four: 3 whole nodes in r1, then a gang of six over r2 and r3, whole r2 and half of r3.
    outcome = played(cluster, "fcfs@compact", (0, 9, 24), (0, 9, 48), (0, 9, 16))
    assert outcome.node.tolist() == [0, 4, 10]
    assert outcome.crossed.tolist() == [0, 1, 0]
    assert outcome.finish_time.tolist() == [9, 18, 9]


def test_without_compact_the_lowest_numbered_nodes_are_taken_whatever_that_costs():
    cluster = cluster_of({"switches": RACKS, "crossing": 2})
    outcome = played(cluster, "fcfs@best_fit", (0, 9, 24), (0, 9, 32))
    assert outcome.crossed.tolist() == [0, 1]
    assert outcome.finish_time.tolist() == [9, 18]


def test_a_gang_goes_into_the_lowest_switch_that_holds_it():
    topology = {"switches": [*RACKS, LOW, TOP], "crossing": [1.5, 3]}
    # r1 has 3 whole nodes left after the first, so that 7 fit below `low`; 9 go over all.
    outcome = played(cluster_of(topology), "fcfs@compact", (0, 4, 8), (0, 4, 56), (10, 4, 72))
    assert outcome.crossed.tolist() == [0, 1, 2]
    assert outcome.finish_time.tolist() == [4, 6, 22]


def test_the_last_piece_stays_in_the_rack_of_the_others():
    # n1 is half taken, and best fit alone would put the last 4 of 12 GPUs there.
    cluster = cluster_of({"switches": RACKS, "crossing": 2})
    topology = {"switches": [{"name": "r0", "nodes": "n1"}, {"name": "r1", "nodes": "n[2-3]"}], "crossing": 2}
    outcome = played(cluster_of(topology, nodes=3), "fcfs@compact", (0, 8, 4), (0, 8, 12))
    assert (outcome.node.tolist(), outcome.crossed.tolist()) == ([0, 1], [0, 0])
    outcome = played(cluster_of(topology, nodes=3), "fcfs@best_fit", (0, 8, 4), (0, 8, 12))
    assert (outcome.node.tolist(), outcome.crossed.tolist()) == ([0, 0], [0, 1])
    assert cluster.topology.slows_down


def test_a_plan_reckons_with_the_slowdown():
    # The second crosses and runs until 20; EASY starts the fourth, which is done by then, and not the fifth.
    cluster = cluster_of({"nodes_per_switch": 2, "crossing": 2}, nodes=4)
    tasks = [(0, 10, 24), (1, 10, 32), (2, 18, 8), (2, 19, 8)]
    outcome = played(cluster, "fcfs+easy@compact", *tasks)
    assert outcome.start_time.tolist() == [0, 20, 2, 40]
    assert outcome.finish_time.tolist() == [20, 40, 20, 59]


def crossed_of(outcome):
    """Return how many levels each task crossed."""
    assert outcome.crossed is not None
    return outcome.crossed


# Random gangs against the slow simulator.


def random_gangs(seed):
    """Return gangs, single tasks and parts of GPUs on two groups of nodes in racks under switches, and options."""
    generator = np.random.default_rng([seed, 11])
    counts = generator.integers(3, 8, 2)
    groups = tuple(
        NodeGroup(name, count=int(count), cores=4, gpus=gpus, gpu_type=name, gpu_speed=speed, memory_mb=16.0)
        for name, count, gpus, speed in zip("AB", counts, (2, int(generator.integers(2, 4))), (1.0, 2.0), strict=True)
    )
    sizes = ((2, 4), (3,), (2, 4, 8), (1, 3))[generator.integers(0, 4)]
    crossing = (2.0, 4.0, 8.0)[: generator.integers(1, len(sizes) + 1)]
    cluster = Cluster("racked", groups, Topology(nodes_per_switch=sizes, crossing=crossing))
    n = int(generator.integers(4, 18))
    gpus = generator.choice([0, 0.5, 1, 2, 3, 4, 5, 7, 9], n)
    workload = Workload.from_columns(
        arrival_time=np.sort(generator.integers(0, 12, n)),
        runtime=generator.integers(0, 8, n),
        duration_estimate=generator.integers(0, 12, n),
        memory_mb=generator.integers(0, 12, n),
        cpus=np.where(gpus > 0, generator.choice([0, 1, 2], n), generator.choice([1, 4, 6, 9, 14], n)),
        gpus=gpus,
        gpu_type=[["", "A", "B", "A|B"][choice] for choice in generator.integers(0, 4, n)],
        user=[str(user) for user in generator.integers(0, 3, n)],
    )
    return fit_workload(workload, cluster, on_oversize="drop")[0], cluster, Options(kill_at_estimate=seed % 3 == 0)


@pytest.mark.parametrize("policy", ["fcfs+list@compact", "fcfs+easy@compact", "sjf+conservative@compact"])
def test_gangs_are_placed_as_the_reference_says(policy):
    crossed = kept_together = 0
    for seed in range(CASES):
        workload, cluster, options = random_gangs(seed)
        simulation = Simulation(workload, cluster, parse_policy(policy), seed=seed, options=options)
        expected = ReferenceNodes(simulation).play()
        simulation.advance()
        outcome = simulation.outcome()
        assert outcome.start_time.tolist() == expected.start, seed
        assert outcome.finish_time.tolist() == expected.finish, seed
        assert (outcome.node.tolist(), outcome.device.tolist()) == (expected.node, expected.device), seed
        assert crossed_of(outcome).tolist() == expected.crossed, seed
        beside = Simulation(workload, cluster, parse_policy(policy.replace("compact", "best_fit")), options=options)
        beside.advance()
        here = int((crossed_of(outcome) > 0).sum())
        crossed += here
        kept_together += int((crossed_of(beside.outcome()) > 0).sum()) - here
    assert crossed > CASES / 2, "hardly any gang crossed a level"
    assert kept_together > CASES / 8, "compact hardly kept any gang together"


def test_what_does_not_know_racks_refuses_a_slowdown_over_them():
    cluster = cluster_of({"switches": RACKS, "crossing": 2})
    for policy, sentence in (("gandiva_fair", "not played in rounds"), ("srtf", "no racks")):
        with pytest.raises(InvalidPolicy, match=sentence):
            played(cluster, policy, (0, 9, 8))
