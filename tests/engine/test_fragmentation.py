"""Fragmentation against a computation by hand, and against a loop over the tasks and what the kernel has left."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler_sim import engine
from scheduler_sim.engine import NodeGroup
from scheduler_sim.engine.clusters.demand import demands
from scheduler_sim.engine.kernels.cluster.kernel import ClusterKernel
from scheduler_sim.engine.measuring import fragmentation
from scheduler_sim.engine.workloads.workload import FloatArray

TWO_NODES = engine.Cluster("two", (NodeGroup("n", 2, 8, gpus=2),))


def simulation(
    policy: str, cluster: engine.Cluster, options: engine.Options | None = None, **columns: Any
) -> engine.Simulation:
    workload = engine.Workload.from_columns(**columns)
    return engine.Simulation(workload, cluster, engine.parse_policy(policy), options=options or engine.Options())


def shares_lost(played: engine.Simulation, instants: Any) -> FloatArray:
    lost = fragmented(played, instants)
    assert lost is not None
    return lost


def fragmented(played: engine.Simulation, instants: Any) -> FloatArray | None:
    outcomes = {"it": played.outcome()}
    instants = np.asarray(instants, float)
    return fragmentation.gpu_fragmentation(played.workload, played.cluster, outcomes, instants, played.options).get(
        "it"
    )


def test_whole_and_shared_gpus_by_hand() -> None:
    """Two nodes of 8 cores and 2 GPUs; the tasks want 2 GPUs, 0.6, 0.5 of one, and 8 cores.

    At 10 s node 0 is held by the first task. On node 1 the second and third share no GPU, as 0.6 + 0.5 > 1: rooms of
    0.4 and 0.5 are left, and 6 cores. Lost are all 0.9 to the first task's class and to the last one's, whose 8 cores
    are not free, all 0.9 to that of 0.6, and 0.4 to that of 0.5: a mean of 3.1 / 4 = 0.775 of 4 GPUs.

    At 25 s the second has ended: a whole GPU and 0.5 are idle, and 7 cores. Lost are 1.5, 0.5 to that of 0.6, nothing
    to that of 0.5, and 1.5. At 35 s the first has ended too, and the last holds all cores of node 0: both its GPUs are
    lost to every class as well.
    """
    played = simulation(
        "fcfs",
        TWO_NODES,
        arrival_time=[0.0, 0.0, 0.0, 0.0],
        runtime=[30.0, 20.0, 100.0, 50.0],
        cpus=[1, 1, 1, 8],
        gpus=[2, 0.6, 0.5, 0],
    )
    played.advance()
    outcome = played.outcome()
    assert outcome.start_time.tolist() == [0, 0, 0, 30]
    assert outcome.node.tolist() == [0, 1, 1, 0]
    found = fragmented(played, [10.0, 25.0, 35.0, 200.0])
    at_35 = (1.5 + 2) + (0.5 + 2) + (0 + 2) + (1.5 + 2)
    assert found == pytest.approx(np.array([3.1, 3.5, at_35, 0]) / 4 / 4, rel=1e-12)


def test_a_gpu_type_that_a_node_lacks_loses_all_its_gpus() -> None:
    cluster = engine.Cluster(
        "typed", (NodeGroup("a", 1, 4, gpus=1, gpu_type="A"), NodeGroup("b", 1, 4, gpus=3, gpu_type="B"))
    )
    played = simulation("fcfs", cluster, arrival_time=[0.0] * 3, runtime=[5.0] * 3, gpus=[1] * 3, gpu_type=["A"] * 3)
    played.advance()
    # At 0 s node a is full and the three GPUs of b are of no use; after all have run, only those of b are.
    assert fragmented(played, [0.0, 100.0]) == pytest.approx([0.75, 0.75])


def test_what_starts_or_ends_at_an_instant_has_done_so() -> None:
    played = simulation("fcfs", TWO_NODES, arrival_time=[5.0], runtime=[10.0], cpus=[8], gpus=[1])
    played.advance()
    # On the node without cores one GPU is idle and lost.
    assert fragmented(played, [4.9, 5.0, 14.9, 15.0]) == pytest.approx([0, 0.25, 0.25, 0])


def test_an_outcome_that_does_not_tell_gives_no_data() -> None:
    gang = simulation("fcfs", TWO_NODES, arrival_time=[0.0], runtime=[1.0], gpus=[3])
    mixed = simulation("fcfs", TWO_NODES, arrival_time=[0.0], runtime=[1.0], gpus=[1.5])
    one_node = engine.Cluster("one", (NodeGroup("n", 1, 8, gpus=2),))
    alone = simulation("fcfs", one_node, arrival_time=[0.0], runtime=[1.0], gpus=[1])
    no_gpus = engine.Cluster("none", (NodeGroup("n", 2, 8),))
    plain = simulation("fcfs", no_gpus, arrival_time=[0.0], runtime=[1.0])
    for played in (gang, mixed, alone, plain):
        assert fragmented(played, [0.0]) is None


def kernel_of(played: engine.Simulation) -> ClusterKernel:
    assert isinstance(played.kernel, ClusterKernel)
    return played.kernel


def by_loop(played: engine.Simulation) -> float:
    """Return the share that is lost now: a loop over the tasks, from what the kernel has left."""
    asked, group = demands(played.workload, played.cluster), played.cluster.group_of_nodes()
    left, label = kernel_of(played)._sim.live, played.workload.gpu_type.codes
    lost = 0
    for node, number in enumerate(group):
        count = played.cluster.groups[number].gpus
        whole = [1000 for device in range(count) if left.free[node] >> device & 1]
        devices = whole + [int(left.left[node, device]) for device in range(count) if left.parted[node] >> device & 1]
        for task in range(len(played.workload)):
            gpu = int(asked.gpu[task])
            usable = [room for room in devices if room >= min(max(gpu, 1), 1000)]
            fits = len(usable) >= max(gpu // 1000, 1) and left.cores[node] >= asked.cpu[task]
            fits &= gpu == 0 or bool(asked.allowed[label[task], number])
            lost += sum(devices) - (sum(usable) if fits else 0)
    return lost / (len(played.workload) * played.cluster.gpus * 1000)


@pytest.mark.parametrize("policy", ["fcfs+list@best_fit", "fcfs@fgd", "fcfs+list@eft"])
@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_it_agrees_with_a_loop_over_the_tasks_and_the_kernels_own_state(policy: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    tasks, ends = int(generator.integers(1, 40)), sorted(generator.integers(0, 60, 7).tolist())
    cluster = engine.Cluster(
        "mixed",
        (
            NodeGroup("a", int(generator.integers(1, 4)), 4, gpus=2, gpu_type="A"),
            NodeGroup("cores", 2, 6),
            NodeGroup("b", int(generator.integers(1, 4)), 6, gpus=4, gpu_type="B", memory_mb=8),
        ),
    )
    columns = {
        "arrival_time": generator.integers(0, 40, tasks).astype(float),
        "runtime": generator.integers(0, 30, tasks).astype(float),
        "cpus": generator.integers(0, 5, tasks),
        "gpus": generator.choice([0, 0.25, 0.5, 0.3, 1, 2], tasks),
        "memory_mb": generator.integers(0, 4, tasks).astype(float),
        "gpu_type": generator.choice(["", "A", "B", "A|B"], tasks).tolist(),
    }
    columns["cpus"][columns["gpus"] == 0] += 1
    columns["hybrid"] = (columns["cpus"] > 0) & (generator.random(tasks) < 0.4)
    columns["compute_intensity"] = generator.integers(0, 5, tasks) / 4
    options = engine.Options(split_model=("concurrent", "sequential")[seed % 2], kill_at_estimate=bool(seed % 3))
    columns["duration_estimate"] = generator.integers(0, 30, tasks).astype(float)
    by_steps = simulation(policy, cluster, options, **columns)
    expected = []
    for end in ends:
        by_steps.advance(until_time=end)
        expected.append(by_loop(by_steps))
        assert shares_lost(by_steps, [end])[0] == pytest.approx(expected[-1], rel=1e-12)
    played = simulation(policy, cluster, options, **columns)
    played.advance()
    found = shares_lost(played, ends)
    assert found == pytest.approx(np.array(expected), rel=1e-12)
    assert ((found >= 0) & (found <= 1)).all()


def test_nodes_taken_part_by_part_add_up_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(3)
    cluster = engine.Cluster("many", (NodeGroup("a", 12, 4, gpus=2), NodeGroup("b", 5, 8, gpus=4)))
    played = simulation(
        "fcfs+list@best_fit",
        cluster,
        arrival_time=np.sort(generator.random(300) * 50),
        runtime=generator.exponential(9, 300),
        gpus=generator.choice([0.25, 0.6, 1, 2], 300),
    )
    played.advance()
    at_once = shares_lost(played, np.linspace(0, 60, 20))
    monkeypatch.setattr(fragmentation, "MOST_NUMBERS", 200)
    assert (shares_lost(played, np.linspace(0, 60, 20)) == at_once).all()
    assert at_once.max() > 0


@pytest.mark.parametrize("kinds_without_gpus", [63, 64, 200])
def test_fgd_keeps_room_for_a_rare_gpu_task_among_any_number_of_other_kinds(kinds_without_gpus: int) -> None:
    """The first task must leave the only node with a GPU to the second, however many others ask for no GPU."""
    cluster = engine.Cluster("two", (NodeGroup("gpu", 1, 8, gpus=1), NodeGroup("cores", 1, 64)))
    others = np.repeat(np.arange(1, kinds_without_gpus + 1), 2)
    played = simulation(
        "fcfs+list@fgd",
        cluster,
        arrival_time=[0, 1, *(2003 + np.arange(len(others)))],
        runtime=[1000, 10, *np.ones(len(others))],
        cpus=[4, 8, *np.full(len(others), 4)],
        gpus=[0, 1, *np.zeros(len(others))],
        memory_mb=[1, 1, *others],
    )
    played.advance()
    assert played.outcome().node[:2].tolist() == [1, 0]
    assert played.outcome().start_time[:2].tolist() == [0, 1]


@pytest.mark.parametrize(("gain", "node"), [("exact", 1), ("percent", 0)])
def test_gains_within_one_per_cent_tie_where_fgd_is_told_so(gain: str, node: int) -> None:
    """100 tasks: 0.5 of a GPU of type b, then 0.3 of any, 47 of 0.1, one whole GPU, and 50 without.

    The second gains -0.7 / 100 + 0.3 / 100 = -0.004 on the idle node a, where it breaks a GPU that the whole one
    needs, and 0.3 / 100 - 0.2 / 100 - 0.2 / 100 = -0.001 beside the first on b. With all GPUs lost to tasks without
    any both gain 0.3 * 50 / 100 more: 0.146 and 0.149, of which 1 / (1 + exp(-gain)) is 53 whole per cent, so that the
    lower node is taken.
    """
    cluster = engine.Cluster("two", (NodeGroup("a", 1, 8, gpus=2, gpu_type="a"), NodeGroup("b", 1, 8, 2, "b")))
    played = simulation(
        f"fcfs+list@fgd(gain={gain})",
        cluster,
        arrival_time=np.arange(100),
        runtime=np.full(100, 1000.0),
        cpus=np.full(100, 0.01),
        gpus=[0.5, 0.3, *np.full(47, 0.1), 1, *np.zeros(50)],
        gpu_type=["b", *[""] * 99],
    )
    played.advance(until_time=1.0)
    assert played.outcome().node[:2].tolist() == [1, node]


def test_gains_that_are_not_kept_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for one kept kind a run is the run with room for all."""
    generator = np.random.default_rng(5)
    cluster = engine.Cluster("many", (NodeGroup("a", 6, 8, gpus=2), NodeGroup("b", 4, 16, gpus=4)))
    columns: dict[str, Any] = {
        "arrival_time": np.sort(generator.random(300) * 50),
        "runtime": generator.exponential(9, 300),
        "cpus": generator.integers(1, 9, 300),
        "gpus": generator.choice([0, 0.25, 0.6, 1, 2], 300),
    }
    kept = simulation("fcfs+list@fgd", cluster, **columns)
    monkeypatch.setattr("scheduler_sim.engine.kernels.cluster.layout.MOST_KEPT", cluster.nodes)
    forgotten = simulation("fcfs+list@fgd", cluster, **columns)
    assert len(kernel_of(forgotten)._sim.fgd_gain) == 1 < len(kernel_of(kept)._sim.fgd_gain)
    for played in (kept, forgotten):
        played.advance()
    assert forgotten.outcome().node.tolist() == kept.outcome().node.tolist()
