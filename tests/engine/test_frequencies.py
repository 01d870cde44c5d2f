"""Steps of frequency: a group at one of them is a group of that speed and those watts, in every schedule and figure."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from scheduler_sim.engine import Cluster, NodeGroup, Options, Simulation, Workload, parse_policy
from scheduler_sim.engine.clusters.failures import FailureModel
from scheduler_sim.engine.clusters.frequency import Frequency
from scheduler_sim.engine.errors import InvalidCluster, InvalidPolicy
from scheduler_sim.engine.measuring.metrics import summarise, whole_run
from scheduler_sim.engine.measuring.usage import Used, energy_and_cost
from scheduler_sim.engine.series import Signals, StepSeries
from scheduler_sim.engine.stepped import steps_taken
from scheduler_sim.engine.whatif import at_frequency
from scheduler_sim.engine.workloads.workload import IntArray
from tests import depth
from tests.engine.reference_nodes import ReferenceNodes

CASES = depth.cases(15, "REFERENCE_CASES")

FAST, SLOW = {"cpu_speed": 2.0, "cpu_busy_watts": 9.0}, {"cpu_speed": 0.5, "cpu_busy_watts": 4.0}
GROUP: dict[str, Any] = {"name": "n", "count": 2, "cores": 4, "cpu_idle_watts": 1.0}
STEPPED = NodeGroup(**GROUP, frequencies=(Frequency(**FAST), Frequency(**SLOW)))


def test_a_group_has_the_figures_of_its_step() -> None:
    assert (STEPPED.cpu_speed, STEPPED.cpu_busy_watts, STEPPED.cpu_idle_watts) == (2.0, 9.0, 1.0)
    slow = replace(STEPPED, frequency=2)
    assert (slow.cpu_speed, slow.cpu_busy_watts) == (0.5, 4.0)
    assert replace(slow, frequency=1) == STEPPED
    only_gpus = NodeGroup("g", 1, 1, gpus=1, cpu_speed=3.0, frequencies=(Frequency(gpu_speed=0.7),))
    assert (only_gpus.cpu_speed, only_gpus.gpu_speed) == (3.0, 0.7)


def test_a_description_says_its_steps_and_which_one_holds() -> None:
    cluster = Cluster("c", (replace(STEPPED, frequency=2), NodeGroup("plain", 1, 4)))
    document = cluster.as_json()
    assert document["groups"][0]["frequencies"] == [FAST, SLOW]
    assert document["groups"][0]["frequency"] == 2
    assert not {"frequencies", "frequency"} & set(document["groups"][1])
    assert Cluster.from_json(document) == cluster
    asked = {"name": "c", "groups": [{**GROUP, "frequencies": [FAST, SLOW]}]}
    assert Cluster.from_json(asked).groups == (STEPPED,)
    assert at_frequency(Cluster.from_json(document), 1).groups[0] == STEPPED


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"frequencies": [FAST, SLOW], "frequency": 3}, "frequency is 3, and 2 frequencies are stated"),
        ({"frequency": 2}, "frequency is 2, and no frequencies are stated"),
        ({"frequencies": [FAST], "frequency": True}, "frequency is True"),
        ({"frequencies": [SLOW, FAST]}, "cpu_speed of frequencies ascends"),
        ({"frequencies": [FAST, {"cpu_speed": 1.0}]}, "state the same figures"),
        ({"frequencies": [{}]}, "states none of cpu_speed"),
        ({"frequencies": [{"cpu_speed": 0}]}, "cpu_speed of a step of frequencies is 0, not above 0"),
        ({"frequencies": [{"cpu_busy_watts": -1}]}, "is -1, not a number from 0 up"),
        ({"frequencies": [{"speed": 1}]}, "unknown keys: speed"),
        ({"frequencies": 5}, "frequencies is not a list"),
        ({"frequencies": [{"gpu_speed": 1.0}], "gpus": 1, "mig": {"1g.10gb": 7}}, "frequencies of GPUs"),
    ],
)
def test_steps_without_meaning_are_refused(more: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidCluster, match=sentence):
        Cluster.from_json({"name": "c", "groups": [{**GROUP, **more}]})


def test_a_cluster_without_steps_has_none_to_choose() -> None:
    with pytest.raises(InvalidCluster, match="No node group of c states frequencies"):
        at_frequency(Cluster("c", (NodeGroup("plain", 1, 4),)), 2)


@pytest.mark.parametrize("policy", ["fcfs+easy", "srtf", "sjf~suspend"])
@pytest.mark.parametrize("count", [1, 2])
def test_schedules_and_figures_are_those_of_a_cluster_of_that_speed(policy: str, count: int) -> None:
    generator = np.random.default_rng(3)
    workload = Workload.from_columns(
        arrival_time=np.cumsum(generator.integers(0, 9, 60)),
        runtime=generator.integers(1, 40, 60),
        cpus=generator.integers(1, 5, 60),
    )
    stepped = at_frequency(Cluster("c", (replace(STEPPED, count=count),)), 2)
    plain = Cluster("c", (NodeGroup(**{**GROUP, **SLOW, "count": count}),))
    rows = []
    for cluster in (stepped, plain):
        simulation = Simulation(workload, cluster, parse_policy(policy))
        simulation.advance()
        edges = np.array(whole_run(workload, [simulation.outcome()]))
        rows.append(summarise(simulation, edges=edges).row())
    assert rows[0] == rows[1]
    assert rows[0]["energy_joules"] == pytest.approx(float((workload.runtime * workload.cpus).sum()) / 0.5 * 4.0)


# A cap that chooses the step at each start.

STEPS = tuple(
    Frequency(cpu_speed=speed, gpu_speed=speed, cpu_busy_watts=watts, gpu_busy_watts=10 * watts)
    for speed, watts in ((2.0, 9.0), (1.0, 4.0), (0.5, 2.0))
)
OTHER = tuple(
    Frequency(cpu_speed=speed, gpu_speed=speed, cpu_busy_watts=watts, gpu_busy_watts=5 * watts)
    for speed, watts in ((4.0, 20.0), (1.0, 3.0))
)
CHOOSING = ("fcfs", "sjf+list@best_fit", "wfp3+easy", "sjf+conservative@best_fit")


def capped(seed: int, policy: str) -> Simulation:
    """Return tasks of whole seconds on cores or GPUs, under a cap that all of them can start under.

    One seed in three has two groups, of other steps and of none, and tasks that fit on one node.
    """
    generator = np.random.default_rng(seed)
    count, gpus = int(generator.integers(1, 4)), int(generator.integers(0, 3))
    group = NodeGroup(
        "n", count, 4, gpus=gpus, cpu_idle_watts=1.0, gpu_idle_watts=5.0, frequencies=STEPS, frequency=1 + seed % 2
    )
    groups: tuple[NodeGroup, ...] = (group,)
    most = count
    if seed % 3 == 2:
        other = replace(group, name="m", count=1, frequencies=OTHER, frequency=1)
        plain = NodeGroup("p", 1, 4, cpu_idle_watts=1.0, cpu_busy_watts=3.0, cpu_speed=0.25)
        groups, most = (group, other, plain), 1
    n = int(generator.integers(2, 25))
    on_gpu = (generator.random(n) < 0.4) & (gpus > 0)
    cores = np.where(on_gpu, 0, generator.integers(1, 4 * most + 1, n))
    devices = np.where(on_gpu, generator.integers(1, max(gpus, 1) * most + 1, n), 0)
    runtime = generator.integers(0, 12, n) * 2.0
    workload = Workload.from_columns(
        arrival_time=np.sort(generator.integers(0, 40, n)),
        runtime=runtime,
        duration_estimate=np.where(generator.random(n) < 0.5, runtime, generator.integers(0, 24, n)),
        cpus=cores,
        gpus=devices,
    )
    cluster = Cluster("c", groups)
    values = (
        cluster.idle_watts
        + 1.0
        + float((3 * cores + 15 * devices).max())
        + generator.integers(-3, 40, 5) * (np.arange(5) < 4)
    )
    series = StepSeries(np.arange(5, dtype=np.float64) * 20.0 - 5, np.maximum(values, 0.0), 95.0, "hold")
    return Simulation(
        workload,
        cluster,
        parse_policy(policy),
        options=Options(hold_cap=True, kill_at_estimate=seed % 3 == 0),
        signals=Signals(
            {"power_cap": series, "carbon": StepSeries(np.array([-5.0, 30.0]), np.array([300.0, 100.0]), 80.0, "hold")}
        ),
    )


@pytest.mark.parametrize("policy", CHOOSING)
def test_a_cap_starts_each_task_at_the_fastest_step_below_it_as_the_slow_simulator_does(policy: str) -> None:
    slowed = 0
    for seed in range(CASES):
        simulation = capped(seed, policy)
        expected = ReferenceNodes(simulation).play()
        simulation.advance()
        outcome, workload = simulation.outcome(), simulation.workload
        assert outcome.start_time.tolist() == expected.start, seed
        assert outcome.finish_time.tolist() == expected.finish, seed
        assert outcome.node.tolist() == expected.node, seed
        rows = np.arange(len(workload))
        group = simulation.cluster.group_of_nodes()[outcome.node]
        taken = steps_taken(workload, simulation.cluster, simulation.options, outcome, rows, group)
        assert taken is not None
        lasts = outcome.finish_time > outcome.start_time
        slowest = np.array([one.slower_steps for one in simulation.cluster.groups])[group]
        assert taken[lasts].tolist() == np.minimum(expected.step, slowest)[lasts].tolist(), seed
        slowed += int((taken > 0).sum())
        assert_integrals(simulation, np.array(expected.step))
    assert slowed > CASES


def assert_integrals(simulation: Simulation, step: IntArray) -> None:
    """Compare figures with sums over quarters of a second, in which all that begins or ends does so at their edges."""
    outcome, workload = simulation.outcome(), simulation.workload
    groups = [simulation.cluster.groups[one] for one in simulation.cluster.group_of_nodes()[outcome.node]]
    taken = [group.at_step_below(int(down)) for group, down in zip(groups, step, strict=True)]
    watts = workload.cpus * np.array([one.cpu_busy_watts for one in taken])
    watts = watts + workload.gpus * np.array([one.gpu_busy_watts for one in taken])
    spared = workload.cpus * np.array([one.cpu_idle_watts for one in groups])
    spared = spared + workload.gpus * np.array([one.gpu_idle_watts for one in groups])
    first, last = whole_run(workload, [outcome])
    quarters = np.arange(first, last, 0.25) + 0.125
    runs = (outcome.start_time[:, None] <= quarters) & (quarters < outcome.finish_time[:, None])
    busy, idle = watts @ runs, simulation.cluster.idle_watts - spared @ runs
    assert simulation.signals is not None
    rate = simulation.signals.by_kind["carbon"].at(quarters) * 0.25 / 3.6e9
    row = summarise(simulation, edges=np.array([first, last])).row()
    assert row["energy_joules"] == pytest.approx(busy.sum() * 0.25, abs=1e-9)
    assert row["idle_energy_joules"] == pytest.approx(idle.sum() * 0.25, abs=1e-9)
    assert row["carbon_kg"] == pytest.approx((busy * rate).sum(), abs=1e-12)
    assert row["idle_carbon_kg"] == pytest.approx((idle * rate).sum(), abs=1e-12)
    energy, _ = energy_and_cost(simulation, np.arange(len(workload)))
    assert energy.sum() == pytest.approx(busy.sum() * 0.25, abs=1e-9)
    assert Used.of(simulation, slice(None)).joules == energy.sum()
    allowed = simulation.signals.by_kind["power_cap"].at(quarters)
    over = (busy + idle > allowed + 1e-9).sum() * 0.25
    assert row["over_cap_time"] == pytest.approx(over, abs=1e-9)


def test_a_task_takes_the_step_that_the_cap_leaves_room_for_and_keeps_it() -> None:
    group = NodeGroup("n", 1, 4, cpu_idle_watts=1.0, frequencies=STEPS)
    workload = Workload.from_columns(arrival_time=[0.0, 1.0, 2.0], runtime=[20.0] * 3, cpus=[2, 1, 1])
    # Idle 4 W; at the fastest step a core draws 8 W more, then 3 W, then 1 W.
    cap = StepSeries(np.array([0.0, 30.0]), np.array([24.0, 100.0]), 60.0, "hold")
    simulation = Simulation(
        workload,
        Cluster("c", (group,)),
        parse_policy("fcfs"),
        options=Options(hold_cap=True),
        signals=Signals({"power_cap": cap}),
    )
    simulation.advance()
    # 20 W; 3 W more; 1 W more is the rest.
    assert simulation.outcome().finish_time.tolist() == [10.0, 21.0, 42.0]


@pytest.mark.parametrize(
    ("cluster", "columns", "why"),
    [
        (
            Cluster("c", (NodeGroup("a", 2, 4, frequencies=STEPS), NodeGroup("b", 1, 4))),
            {"cpus": [5]},
            "on several nodes may lie on several of its node groups",
        ),
        (
            Cluster("c", (NodeGroup("a", 1, 4, frequencies=STEPS, failures=FailureModel(100.0)),)),
            {},
            "tasks may stop and go on",
        ),
        (
            Cluster("c", (NodeGroup("a", 1, 4, frequencies=STEPS), NodeGroup("b", 1, 4, frequencies=STEPS[:1] * 2))),
            {},
            "equally fast at some of them, by cpu_speed",
        ),
        (
            Cluster("c", (NodeGroup("a", 1, 4, gpus=1, frequencies=STEPS[:2]),)),
            {"hybrid": [True], "gpus": [1.0]},
            "are split",
        ),
        (
            Cluster(
                "c", (NodeGroup("a", 1, 4, frequencies=(Frequency(cpu_busy_watts=9), Frequency(cpu_busy_watts=5))),)
            ),
            {},
            "equally fast at some of them, by cpu_speed",
        ),
    ],
)
def test_where_lengths_do_not_tell_the_step_no_cap_chooses_it(cluster: Cluster, columns: Any, why: str) -> None:
    workload = Workload.from_columns(**{"arrival_time": [0.0], "runtime": [1.0], "cpus": [1], **columns})
    cap = Signals({"power_cap": StepSeries(np.zeros(1), np.full(1, 1e6), 9.0, "hold")})
    with pytest.raises(InvalidPolicy, match=f"does not choose among the frequencies of c: .*{why}"):
        Simulation(workload, cluster, parse_policy("fcfs"), options=Options(hold_cap=True), signals=cap)


def test_steps_of_a_group_on_which_no_task_can_run_do_not_matter() -> None:
    gpus_alone = NodeGroup("g", 1, 0, gpus=1, frequencies=(Frequency(gpu_speed=2.0), Frequency(gpu_speed=1.0)))
    workload = Workload.from_columns(arrival_time=[0.0], runtime=[1.0], cpus=[1])
    simulation = Simulation(
        workload,
        Cluster("c", (gpus_alone, NodeGroup("a", 1, 4, frequencies=STEPS))),
        parse_policy("fcfs"),
        options=Options(hold_cap=True),
        signals=Signals({"power_cap": StepSeries(np.zeros(1), np.full(1, 5.0), 9.0, "hold")}),
    )
    simulation.advance()
    assert simulation.outcome().finish_time.tolist() == [1.0]
