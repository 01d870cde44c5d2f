"""Slices of GPUs: what fits on one GPU, what a slice is as a device, and who may use it."""

from typing import Any

import numpy as np
import pytest

from scheduler_sim.engine import Cluster, InvalidCluster, NodeGroup, Options, Simulation, parse_policy
from scheduler_sim.engine.clusters.oversize import fit_workload
from scheduler_sim.engine.clusters.paces import Paces
from scheduler_sim.engine.clusters.slices import admits, slices
from scheduler_sim.engine.errors import InvalidSite, OversizedTasks
from scheduler_sim.engine.sites import Site
from scheduler_sim.engine.traces.sacct_jobs import _gpus as gpus_of_sacct
from scheduler_sim.engine.traces.slurm_options import read_submission
from scheduler_sim.engine.whatif import add_nodes, drop_nodes
from scheduler_sim.engine.workloads.throughputs import Throughputs
from scheduler_sim.engine.workloads.workload import Workload

A100 = {"name": "a", "count": 2, "cores": 64, "gpus": 8, "gpu_type": "A100", "memory_mb": 700.0}


def cluster(**group: Any) -> Cluster:
    return Cluster.from_json({"name": "cut", "groups": [A100 | group]})


@pytest.mark.parametrize(
    "mig",
    [
        {"1g.5gb": 7},
        {"1g.10gb": 7},
        {"2g.10gb": 3, "1g.5gb": 1},
        {"3g.20gb": 2},
        {"1g.5gb": 2, "2g.10gb": 1, "3g.20gb": 1},
        {"4g.20gb": 1, "3g.20gb": 1},
        {"4g.20gb": 1, "2g.10gb": 1, "1g.5gb": 1},
        {"3g.47gb": 1, "1g.24gb": 1, "2g.24gb": 1},
        {"7g.40gb": 1},
        {"1g.10gb": 4},
        {"1g.5gb": 6, "1g.5gb+me": 1},
        {"1g.6gb": 4},
        {"2g.12gb": 1, "1g.6gb": 2},
    ],
)
def test_what_nvidia_places_on_one_gpu_is_taken(mig):
    found = slices("Node group a", mig)
    assert {one.profile: one.count for one in found} == mig
    assert sum(one.given * one.count for one in found) == pytest.approx(1)
    assert sum(one.share * one.count for one in found) <= 1 + 1e-12


@pytest.mark.parametrize(
    ("mig", "sentence"),
    [
        ({"4g.20gb": 2}, "2 of 4g.20gb, which do not fit on one GPU"),
        ({"3g.20gb": 2, "1g.5gb": 1}, "do not fit on one GPU"),
        ({"2g.10gb": 4}, "do not fit"),
        ({"4g.20gb": 1, "1g.5gb": 4}, "do not fit"),
        ({"7g.40gb": 1, "1g.5gb": 1}, "do not fit"),
        ({"1g.6gb": 5}, "do not fit"),
        ({"1g.5gb+me": 2}, "do not fit"),
        ({"1g.5gb": 1, "3g.40gb": 1}, "no GPU has the mig profiles 1g.5gb, 3g.40gb together"),
        ({"5g.5gb": 1}, "no GPU has the mig profiles 5g.5gb"),
        ({"1g.5gb": 0}, "0 of 1g.5gb, not a whole number from 1 to 7"),
        ({"1g.5gb": True}, "True of 1g.5gb"),
        ({"1g.5gb": 10**12}, "not a whole number from 1 to 7"),
        ({}, "no mapping of profiles"),
        ([7], "no mapping of profiles"),
    ],
)
def test_what_does_not_fit_on_one_gpu_is_refused(mig, sentence):
    with pytest.raises(InvalidCluster, match=sentence):
        cluster(mig=mig)


def test_a_node_without_gpus_or_with_too_many_slices_is_refused():
    with pytest.raises(InvalidCluster, match="its nodes have none"):
        cluster(mig={"1g.5gb": 7}, gpus=0)
    with pytest.raises(InvalidCluster, match="10 GPUs of 7 slices are 70 devices of a node, more than 64"):
        cluster(mig={"1g.5gb": 7}, gpus=10)


def test_slices_share_out_what_their_gpu_draws_and_costs():
    described = cluster(mig={"3g.20gb": 2}, gpu_idle_watts=50.0, gpu_busy_watts=400.0, usd_per_gpu_hour=4.0)
    (group,) = described.groups
    assert (group.name, group.gpus, group.gpu_type, group.cores) == ("a", 16, "A100_3g.20gb", 64)
    assert (group.gpu_idle_watts, group.usd_per_gpu_hour) == (25.0, 2.0)
    assert group.gpu_busy_watts == pytest.approx(25.0 + 350.0 * 3 / 7)
    assert Cluster.from_json(described.as_json()) == described


def test_slices_of_several_profiles_are_parts_of_their_node():
    mig = {"3g.20gb": 1, "2g.10gb": 1, "1g.5gb": 2}
    described = cluster(mig=mig, gpu_idle_watts=70.0, gpu_busy_watts=420.0, usd_per_gpu_hour=7.0)
    found = {group.name: (group.gpus, group.cores, group.memory_mb, group.count) for group in described.groups}
    assert found == {"a/3g.20gb": (8, 27, 300.0, 2), "a/2g.10gb": (8, 19, 200.0, 2), "a/1g.5gb": (16, 18, 200.0, 2)}
    assert {group.part_of for group in described.groups} == {"a"}
    assert sum(group.gpus * group.gpu_idle_watts for group in described.groups) == pytest.approx(8 * 70.0)
    assert sum(group.gpus * group.gpu_busy_watts for group in described.groups) == pytest.approx(8 * 420.0)
    assert sum(group.gpus * group.usd_per_gpu_hour for group in described.groups) == pytest.approx(8 * 7.0)
    assert Cluster.from_json(described.as_json()) == described


def test_parts_of_nodes_come_and_go_together():
    described = cluster(mig={"3g.20gb": 1, "2g.10gb": 1})
    assert [group.count for group in add_nodes(described, "a=3").groups] == [5, 5]
    assert [group.count for group in drop_nodes(described, "a=1").groups] == [1, 1]
    with pytest.raises(InvalidCluster, match=r"no node group 'a/3g\.20gb'\. Groups: a\."):
        add_nodes(described, "a/3g.20gb=1")


def test_parts_of_nodes_are_refused_where_the_whole_node_matters():
    mig = {"3g.20gb": 1, "2g.10gb": 1}
    with pytest.raises(InvalidCluster, match="would not take all of them"):
        cluster(mig=mig, failures={"mean_hours": 10})
    with pytest.raises(InvalidCluster, match="racks do not know"):
        Cluster.from_json({"name": "cut", "groups": [A100 | {"mig": mig}], "topology": {"nodes_per_switch": 1}})
    with pytest.raises(InvalidSite, match="the GPUs of a site's node are of one") as refused:
        Site.from_json({"name": "cut", "groups": [A100, A100 | {"name": "b", "mig": mig}]})
    assert refused.value.path == "groups[1].mig"
    site = Site.from_json({"name": "cut", "groups": [{"hosts": "g[1-2]", "cores": 8, "gpus": 1, "mig": {"1g.5gb": 7}}]})
    assert (site.cluster.groups[0].gpu_type, site.cluster.gpus) == ("1g.5gb", 14)
    assert Site.from_json(site.as_json()) == site


@pytest.mark.parametrize(
    ("asked", "there", "may"),
    [
        ("", "", True),
        ("", "A100", True),
        ("", "1g.5gb", False),
        ("", "A100_1g.5gb", False),
        ("A100", "A100_1g.5gb", False),
        ("A100", "", False),
        ("1g.5gb", "A100", False),
        ("1g.5gb", "", False),
        ("1g.5gb", "A100_1g.5gb", True),
        ("1g.5gb", "A100_1g.5gb+me", False),
        ("A100:1g.5gb", "A100_1g.5gb", True),
        ("A100_1g.5gb", "1g.5gb", False),
        ("H100_1g.10gb", "A100_1g.10gb", False),
        ("A100 | 1g.5gb", "A100_1g.5gb", True),
        ("A100|1g.5gb", "A100", True),
        ("A100", "V100|A100", True),
        ("", "A100|1g.5gb", True),
    ],
)
def test_whole_gpus_and_slices_go_to_those_who_ask_for_them(asked, there, may):
    assert admits(asked, there) is may


def test_rates_on_slices_stand_under_the_profile_or_behind_the_model():
    for kind in ("1g.5gb", "A100:1g.5gb"):
        table = Throughputs(("A100", kind), {("t", 1): (7.0, 2.0)})
        asked = ["A100", "1g.5gb", ""]
        workload = Workload.from_columns(
            arrival_time=np.zeros(3), runtime=np.full(3, 10.0), gpus=np.ones(3), size=np.full(3, 70.0),
            gpu_type=asked, group=["t"] * 3, throughputs=table,
        )  # fmt: skip
        groups = (NodeGroup("w", 1, 4, gpus=2, gpu_type="A100"), *cluster(mig={"1g.5gb": 7}).groups)
        found = Simulation(workload, Cluster("both", groups), parse_policy("fcfs+list"))
        found.advance()
        assert found.outcome().finish_time.tolist() == [10.0, 35.0, 10.0]
        assert Paces.of(workload, Cluster("both", groups)).rated.all()


@pytest.mark.parametrize("policy", ["fcfs+list@best_fit", "sjf+easy@first_fit", "fcfs+conservative", "fcfs+list@eft"])
def test_no_policy_gives_a_slice_to_who_asks_for_a_gpu_nor_a_gpu_to_who_asks_for_a_slice(policy):
    generator = np.random.default_rng(7)
    mig = {"3g.20gb": 1, "2g.10gb": 1, "1g.5gb": 2}
    groups = [A100 | {"gpus": 1, "memory_mb": None, "cores": 16}, A100 | {"name": "b", "gpus": 1, "mig": mig}]
    both = Cluster.from_json({"name": "both", "groups": groups})
    kinds = ["", "A100", "1g.5gb", "2g.10gb", "3g.20gb", "1g.5gb|A100", "A100_2g.10gb"]
    asked = [kinds[choice] for choice in generator.integers(0, len(kinds), 200)]
    workload = Workload.from_columns(
        arrival_time=np.cumsum(generator.integers(0, 4, 200)), runtime=generator.integers(1, 30, 200),
        gpus=np.ones(200), cpus=np.ones(200), gpu_type=asked,
    )  # fmt: skip
    simulation = Simulation(workload, both, parse_policy(policy), options=Options())
    simulation.advance()
    outcome = simulation.outcome()
    assert np.isfinite(outcome.finish_time).all()
    names = [both.groups[number].gpu_type for number in both.group_of_nodes()[outcome.node]]
    for text, kind in zip(asked, names, strict=True):
        assert kind in {one for name in text.split("|") for one in (name or "A100", f"A100_{name}")}
    for start in outcome.start_time:
        running = (outcome.start_time <= start) & (start < outcome.finish_time)
        held = list(zip(outcome.node[running], outcome.device[running], strict=True))
        assert len(held) == len(set(held))


def test_tasks_that_ask_for_a_gpu_are_larger_than_slices_and_cut_to_them_only_when_asked_to():
    workload = Workload.from_columns(
        arrival_time=[0.0, 0.0], runtime=[1.0, 1.0], gpus=[1.0, 1.0], gpu_type=["", "1g.5gb"]
    )
    sliced = cluster(mig={"1g.5gb": 7})
    with pytest.raises(OversizedTasks, match="1 of 2 tasks are larger"):
        fit_workload(workload, sliced)
    cut, _ = fit_workload(workload, sliced, on_oversize="clamp")
    assert cut.gpu_type.texts().tolist() == ["A100_1g.5gb", "1g.5gb"]


def test_slurm_names_slices_by_their_profile():
    assert gpus_of_sacct("gpu:1g.5gb:2") == (2.0, "1g.5gb")
    assert gpus_of_sacct("cpu=4,gres/gpu=2,gres/gpu:a100_1g.5gb=2") == (2.0, "a100_1g.5gb")
    assert read_submission("sbatch --gres=gpu:1g.5gb:2 job.sh").gpus_per_node == 2.0
