"""Sia over several kinds of device: cases by hand, an independent simulator, and optima by trying everything."""

from dataclasses import replace
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler_sim.engine import Cluster, NodeGroup, Simulation, Workload, parse_policy
from scheduler_sim.engine.clusters.overheads import Overhead
from scheduler_sim.engine.contract import Options, Pieces
from scheduler_sim.engine.errors import InvalidPolicy
from scheduler_sim.engine.gangs import Gangs
from scheduler_sim.engine.kernels.elastic import assignment
from scheduler_sim.engine.kernels.elastic.assignment import MARGIN, Choice, NoAssignment
from scheduler_sim.engine.kernels.elastic.choices import Moment, sia, sia_choice
from scheduler_sim.engine.kernels.elastic.kinds import Kinds
from scheduler_sim.engine.measuring.bounds import lower_bounds
from scheduler_sim.engine.measuring.overbooked import overbooked
from scheduler_sim.engine.workloads.columns import Labels
from scheduler_sim.engine.workloads.throughputs import Throughputs
from tests.engine import reference_elastic as reference
from tests.engine.test_elastic import CASES, GOODPUT, SPEEDUPS, elastic, play, spans_of

FAST_AND_SLOW = Throughputs(
    ("fast", "slow"),
    {("wide", 1): (4.0, 1.0), ("wide", 2): (4.0, 1.0), ("narrow", 1): (1.1, 1.0), ("narrow", 2): (1.1, 1.0)},
)


def two_kinds(fast: int = 1, slow: int = 1, *, each: int = 2, slow_each: int = 2) -> Cluster:
    return Cluster(
        "kinds",
        (
            NodeGroup("fast", fast, 4 * each, gpus=each, gpu_type="fast", gpu_speed=2.0),
            NodeGroup("slow", slow, 4 * slow_each, gpus=slow_each, gpu_type="slow"),
        ),
    )


def typed(workload: Workload, types: list[str]) -> Workload:
    """Return the workload with rates by the tasks' types; a second of run time is four units of work."""
    return replace(
        workload,
        group=Labels.from_texts(types),
        size=np.where(workload.runtime > 0, 4 * workload.runtime, 1.0),
        throughputs=FAST_AND_SLOW,
    )


def random_case(seed: int) -> tuple[Workload, Cluster]:
    """Return some tasks of every class and speed-up, with rates or without, on two kinds of GPU of several nodes."""
    draw = np.random.default_rng(seed)
    n = int(draw.integers(1, 10))
    least = draw.integers(1, 3, n)
    rated = bool(draw.integers(2))
    width = np.minimum(least + draw.integers(0, 2, n), 2 if rated else 4)
    workload = elastic(
        np.sort(np.round(draw.choice([20.0, 200.0]) * draw.random(n), 1)),
        draw.choice([0.0, 1.0, 12.3, 40.0, 100.0], n),
        width,
        on="gpus",
        kind=draw.choice(["rigid", "moldable", "malleable"], n).tolist(),
        speedup=draw.choice([*SPEEDUPS, GOODPUT], n).tolist(),
        least_width=least,
        most_width=width + draw.integers(0, 5, n),
        resize_time=draw.choice([0.0, 0.5, 7.0], n),
    )
    if rated:
        workload = typed(workload, draw.choice(["wide", "narrow"], n).tolist())
    return workload, two_kinds(2, 1, each=2, slow_each=4)


def moment(workload: Workload, cluster: Cluster, *, width: list[int], kind: list[int], age: float = 1000.0) -> Moment:
    held = np.array(width, np.int64)
    return Moment(
        np.arange(len(held)),
        held,
        np.array(kind, np.int64),
        (held > 0).astype(np.int64),
        np.full(len(held), age),
        Kinds.of(workload, cluster, "sia"),
    )


def test_the_fast_kind_goes_to_whom_it_speeds_up() -> None:
    workload = typed(elastic([0.0, 0.0], [100.0] * 2, [1, 1], on="gpus", kind="rigid"), ["narrow", "wide"])
    kind, width = sia(moment(workload, two_kinds(each=1, slow_each=1), width=[0, 0], kind=[0, 0]), -0.5, 1.1)
    assert (kind.tolist(), width.tolist()) == ([1, 0], [1, 1])


def test_goodput_is_normalised_on_the_kind_on_which_it_is_least() -> None:
    workload = typed(elastic([0.0], [100.0], [1], on="gpus", most_width=2), ["wide"])
    offered = sia_choice(moment(workload, two_kinds(), width=[1], kind=[1]), -0.5, 1.1)
    assert offered.kind.tolist() == [0, 0, 1, 1]
    assert offered.width.tolist() == [1, 2, 1, 2]
    assert (offered.cost**-2).tolist() == pytest.approx([4.0, 8.0, 1.0, 2.0])


def test_a_task_moves_to_the_fast_kind_when_it_is_free_and_pays_for_it() -> None:
    workload = typed(
        elastic([0.0, 0.0], [10.0, 100.0], [1, 1], on="gpus", kind=["rigid", "malleable"], resize_time=2.0),
        ["wide", "wide"],
    )
    simulation = play(workload, two_kinds(each=1, slow_each=1), "sia(round=5)")
    # Each takes run time on the fast kind, where it does 4 a second, and four times that on the slow one. The first
    # came first; the second does 10 / 4 of its 100 s by then, pays 2 s and does the rest.
    assert spans_of(simulation, 0) == [(0.0, 10.0, 1.0, "finished")]
    assert spans_of(simulation, 1) == [(0.0, 10.0, 1.0, "moved"), (10.0, 109.5, 1.0, "finished")]
    assert simulation.spans().node.tolist() == [0, 1, 0]
    assert simulation.history().lost_time.tolist() == [0.0, 2.0]


def test_a_costly_move_is_not_worth_a_little_speed() -> None:
    workload = typed(elastic([0.0], [100.0], [1], on="gpus", resize_time=30.0), ["narrow"])
    young = moment(workload, two_kinds(), width=[1], kind=[1], age=60.0)
    assert [found.tolist() for found in sia(young, -0.5, 1.1)] == [[1], [1]]
    old = replace(young, age_time=np.array([1e6]))
    assert [found.tolist() for found in sia(old, -0.5, 1.1)] == [[0], [1]]


def test_who_runs_and_may_not_change_stays_where_it_is() -> None:
    workload = typed(elastic([0.0], [100.0], [1], on="gpus", kind="moldable", most_width=2), ["wide"])
    now = moment(workload, two_kinds(), width=[1], kind=[1])
    assert [found.tolist() for found in sia(now, -0.5, 1.1)] == [[1], [1]]


def test_a_task_runs_on_fewer_devices_where_a_kind_has_not_as_many_as_it_asks_for() -> None:
    workload = elastic([0.0], [100.0], [4], on="gpus", least_width=1, most_width=4)
    offered = sia_choice(moment(workload, two_kinds(each=4, slow_each=2), width=[2], kind=[0]), -0.5, 1.1)
    assert [(*one,) for one in zip(offered.kind.tolist(), offered.width.tolist(), strict=True)] == [
        *((0, width) for width in (1, 2, 4)),
        *((1, width) for width in (1, 2)),
    ]


def test_tasks_that_cannot_be_told_apart_are_served_in_the_order_of_arrival() -> None:
    workload = elastic([0.0, 1.0, 2.0], [10.0] * 3, [1] * 3, on="gpus", kind="rigid")
    kind, width = sia(moment(workload, two_kinds(each=1, slow_each=1), width=[0] * 3, kind=[0] * 3), -0.5, 1.1)
    assert (kind.tolist(), width.tolist()) == ([0, 1, 0], [1, 1, 0])


def test_groups_of_processors_are_kinds_too() -> None:
    groups = tuple(NodeGroup(name, 1, 4, cpu_speed=speed) for name, speed in (("old", 1.0), ("new", 2.0)))
    simulation = play(elastic([0.0], [8.0], [4], kind="rigid"), Cluster("cores", groups), "sia")
    assert spans_of(simulation, 0) == [(0.0, 4.0, 4.0, "finished")]
    assert simulation.spans().node.tolist() == [1]


def test_what_no_kind_can_play_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = elastic([0.0, 0.0], [1.0] * 2, [2, 3], on="gpus", kind="rigid")
    with pytest.raises(InvalidPolicy, match="sia: 1 tasks can run on no nodes of cluster kinds, the first of them 2"):
        Simulation(wide, two_kinds(), parse_policy("sia"))
    monkeypatch.setattr(assignment, "milp", lambda *_, **__: SimpleNamespace(status=1, x=None, message="Time is up."))
    with pytest.raises(NoAssignment, match="no assignment of 1 tasks to 2 kinds of device: Time is up"):
        play(elastic([0.0], [1.0], [1], on="gpus"), two_kinds(), "sia")


@pytest.mark.parametrize("seed", range(CASES // 2))
def test_an_independent_simulator_plays_the_same_and_nothing_is_given_twice(seed: int) -> None:
    workload, cluster = random_case(seed)
    options = Options(restart_overhead=Overhead.read("1:0.5/2:3/11"))
    plain = reference.Machine.of(workload, cluster, options)
    plain.play(reference.by(lambda now: sia(now, -0.5, 1.1)), 9.0)
    told: list[Pieces] = []
    simulation = play(workload, cluster, "sia(round=9)", options=options, on_pieces=told.append)
    spans = simulation.spans()
    for task in plain.tasks:
        assert spans_of(simulation, task.row) == [
            (pytest.approx(begin), pytest.approx(end), width, reason) for begin, end, width, reason in task.spans
        ]
        own = np.flatnonzero(spans.row == task.row)
        own = own[np.argsort(spans.number[own])]
        assert (cluster.group_of_nodes()[spans.node[own]]).tolist() == task.kinds
    assert overbooked(cluster, spans, Gangs.of(Pieces.joined(told)), resources=("gpus",)) is None
    end = float(simulation.outcome().finish_time.max() - workload.arrival_time.min())
    assert end >= lower_bounds(workload, cluster).makespan * (1 - 1e-9)


def test_the_same_when_played_in_many_calls() -> None:
    workload, cluster = random_case(77)
    whole = play(workload, cluster, "sia(round=9)")
    cut = Simulation(workload, cluster, parse_policy("sia(round=9)"))
    while not cut.done:
        cut.advance(max_events=1)
    for name in ("start_time", "finish_time", "node", "device", "completion_order"):
        np.testing.assert_array_equal(getattr(whole.outcome(), name), getattr(cut.outcome(), name))


@st.composite
def choices(draw: st.DrawFn) -> tuple[Choice, list[int]]:
    entries, kinds, tasks = [], draw(st.integers(2, 3)), draw(st.integers(1, 4))
    for task in range(tasks):
        offered = st.sets(st.tuples(st.integers(0, kinds - 1), st.integers(1, 4)), max_size=4)
        entries += [(task, *one, draw(st.integers(-20, 20)) / 8) for one in sorted(draw(offered))]
    of_task, kind, width = (np.array([one[place] for one in entries], np.int64) for place in range(3))
    idle = np.array([draw(st.integers(-5, 30)) / 8 for _ in range(tasks)])
    cost = np.array([one[3] for one in entries], np.float64)
    devices = draw(st.lists(st.integers(0, 6), min_size=kinds, max_size=kinds))
    return Choice(of_task, kind, width, cost, idle, np.zeros(tasks, bool)), devices


@settings(max_examples=25)
@given(choices())
def test_the_programme_finds_the_least_cost_that_trying_everything_finds(case: tuple[Choice, list[int]]) -> None:
    choice, devices = case
    tasks = len(choice.idle_cost)
    every = [
        [(0, 0), *zip(choice.kind[choice.task == one].tolist(), choice.width[choice.task == one].tolist(), strict=True)]
        for one in range(tasks)
    ]

    def fits(kind: np.ndarray, width: np.ndarray) -> bool:
        return all(width[kind == number].sum() <= there for number, there in enumerate(devices))

    least = min(
        total(choice, given) for given in (np.array(one) for one in product(*every)) if fits(given[:, 0], given[:, 1])
    )
    kind, width = choice.best(np.array(devices))
    assert fits(kind, width)
    assert reference.total(choice, width, kind) == pytest.approx(least, abs=2 * MARGIN)
    again = choice.best(np.array(devices))
    assert (again[0].tolist(), again[1].tolist()) == (kind.tolist(), width.tolist())


def total(choice: Choice, given: np.ndarray) -> float:
    return reference.total(choice, given[:, 1], given[:, 0])
