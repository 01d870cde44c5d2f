"""Steps of frequency: a group at one of them is a group of that speed and those watts, in every schedule and figure."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from scheduler_sim.engine import Cluster, NodeGroup, Simulation, Workload, parse_policy
from scheduler_sim.engine.errors import InvalidCluster
from scheduler_sim.engine.frequency import Frequency
from scheduler_sim.engine.metrics import summarise, whole_run
from scheduler_sim.engine.whatif import at_frequency

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
