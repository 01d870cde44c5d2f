"""Tasks whose width changes: cases by hand, bounds, an independent simulator, and optima by trying everything."""

from dataclasses import replace
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler_sim.engine import Cluster, NodeGroup, Simulation, Workload, parse_policy
from scheduler_sim.engine.clusters.overheads import Overhead
from scheduler_sim.engine.contract import REASONS, Attempts, Options, Pieces
from scheduler_sim.engine.elasticity import Elasticity
from scheduler_sim.engine.errors import InvalidPolicy, InvalidWorkload
from scheduler_sim.engine.gangs import Gangs
from scheduler_sim.engine.kernels.elastic.assignment import Choice
from scheduler_sim.engine.kernels.elastic.choices import Moment, pollux, sia, sia_choice
from scheduler_sim.engine.kernels.elastic.kinds import Kinds
from scheduler_sim.engine.measuring.bounds import lower_bounds
from scheduler_sim.engine.measuring.interruptions import Interruptions
from scheduler_sim.engine.measuring.overbooked import overbooked
from scheduler_sim.engine.measuring.usage import Usage, energy_and_cost
from scheduler_sim.engine.policies import ORDERS
from scheduler_sim.engine.workloads.goodput import Goodput
from scheduler_sim.engine.workloads.requests import Requests
from scheduler_sim.engine.workloads.speedups import read_speedup
from scheduler_sim.engine.workloads.workload import Labels
from tests import depth
from tests.engine import reference_elastic as reference
from tests.engine.gang_cases import spans_of as gangs_of
from tests.engine.reference_elastic import by_integer_program, total

POLICIES = [order.name for order in ORDERS if order.resizes and not order.shares_gpus]
CASES = depth.cases(12, "REFERENCE_CASES")
SPEEDUPS = ("", "amdahl(0.9)", "power(0.5)", "downey(3,0.5)", "table(1:1/2:1.9/4:2.5)")
GOODPUT = (
    "goodput(alpha_compute=0.1,beta_compute=0.01,alpha_network=0.2,beta_network=0.01,alpha_local=0.05,"
    "beta_local=0.001,gamma=1.6,gradient_square=0.002,gradient_variance=0.01,initial_batch=16,most_batch=512,"
    "most_local=64)"
)


def pool(cores: int = 8) -> Cluster:
    return Cluster("pool", (NodeGroup("pool", count=1, cores=cores),))


def gpu_nodes(count: int = 2, gpus: int = 4) -> Cluster:
    group = NodeGroup("node", count=count, cores=4 * gpus, gpus=gpus, gpu_busy_watts=300.0, usd_per_gpu_hour=2.0)
    return Cluster("gpus", (group,))


def elastic(
    arrival_time: Any, runtime: Any, width: Any, *, on: str = "cpus", kind: Any = "malleable", speedup: Any = "", **more
) -> Workload:
    """Return tasks that ask for `width` devices each."""
    n = len(arrival_time)

    def texts(value: Any) -> Labels:
        return Labels.from_texts([value] * n if isinstance(value, str) else value)

    asked = Requests.blank(
        n,
        elasticity=texts(kind),
        speedup=texts(speedup),
        **{name: np.broadcast_to(value, n).copy() for name, value in more.items()},
    )
    return Workload.from_columns(arrival_time=arrival_time, runtime=runtime, requests=asked, **{on: width})


def play(workload: Workload, cluster: Cluster, policy: str, **more) -> Simulation:
    simulation = Simulation(workload, cluster, parse_policy(policy), **more)
    simulation.advance()
    assert simulation.done
    return simulation


def spans_of(simulation: Simulation, row: int) -> list[tuple[Any, ...]]:
    spans = simulation.spans()
    found = np.flatnonzero(spans.row == row)
    found = found[np.argsort(spans.number[found])]
    held = np.where(spans.gpus > 0, spans.gpus, spans.cpus)
    return [
        (float(spans.start_time[at]), float(spans.end_time[at]), float(held[at]), REASONS[spans.reason[at]])
        for at in found
    ]


def random_case(seed: int) -> tuple[Workload, Cluster]:
    """Return some tasks of every kind and speed-up, on processors or on GPUs of several nodes."""
    draw = np.random.default_rng(seed)
    n, on_gpu = int(draw.integers(1, 14)), bool(draw.integers(2))
    least = draw.integers(1, 4, n)
    width = least + draw.integers(0, 4, n)
    workload = elastic(
        np.sort(np.round(draw.choice([20.0, 200.0]) * draw.random(n), 1)),
        draw.choice([0.0, 1.0, 12.3, 40.0, 100.0], n),
        width,
        on="gpus" if on_gpu else "cpus",
        kind=draw.choice(["rigid", "moldable", "malleable"], n).tolist(),
        speedup=draw.choice([*SPEEDUPS, *([GOODPUT] if on_gpu else [])], n).tolist(),
        least_width=least,
        most_width=width + draw.integers(0, 5, n),
        resize_time=draw.choice([0.0, 0.5, 7.0], n),
    )
    return workload, gpu_nodes() if on_gpu else pool()


def test_amdahls_tasks_share_by_hand() -> None:
    # Half of each is serial: on 1, 2 and 4 devices speeds are 1, 4/3 and 8/5; run times are those on 2.
    workload = elastic([0.0, 6.0], [12.0, 10.0], [2, 2], speedup="amdahl(0.5)", most_width=4, resize_time=1.0)
    simulation = play(workload, pool(4), "equal_share")
    # The first does 6 x (8/5) / (4/3) = 7.2 of 12 on four, pays 1 s, and does the other 4.8 on two.
    assert spans_of(simulation, 0) == [(0.0, 6.0, 4.0, "resized"), (6.0, pytest.approx(11.8), 2.0, "finished")]
    # The second does 5.8 of 10 on two until then, pays 1 s, and does 4.2 on four at 6/5: 3.5 s.
    assert spans_of(simulation, 1) == [
        (6.0, pytest.approx(11.8), 2.0, "resized"),
        (pytest.approx(11.8), pytest.approx(16.3), 4.0, "finished"),
    ]
    history = simulation.history()
    assert history.service_time == pytest.approx([10.8, 9.3])
    assert history.lost_time == pytest.approx([1.0, 1.0])
    assert history.held_part == pytest.approx([(6 * 4 + 5.8 * 2) / 11.8 / 2, (5.8 * 2 + 4.5 * 4) / 10.3 / 2])


def test_an_attempt_pays_for_the_devices_that_it_holds() -> None:
    workload = elastic([0.0, 6.0], [12.0, 4.0], [2, 2], most_width=4)
    options = Options(restart_overhead=Overhead.read("2:1/3"))
    simulation = play(workload, pool(4), "equal_share", options=options)
    # Two devices cost 1 s and four 3 s, whatever was asked for: 12 of 12 are done after 6 s.
    assert spans_of(simulation, 0) == [(0.0, 6.0, 4.0, "finished")]
    second = elastic([0.0, 2.0], [12.0, 4.0], [2, 2], most_width=4)
    simulation = play(second, pool(4), "equal_share", options=options)
    # The first has 8 of 12 left at 2 s, pays 1 s, does 3 until the other ends at 6 s, pays 3 s, and does 5 on four.
    assert spans_of(simulation, 0) == [(0, 2, 4, "resized"), (2, 6, 2, "resized"), (6, 11.5, 4, "finished")]
    assert simulation.history().lost_time.tolist() == [4.0, 0.0]


@pytest.mark.parametrize("policy", ["pollux", "sia"])
@pytest.mark.parametrize(("first", "length"), [(0.1, 0.1), (1e9 + 0.3, 0.7), (0.0, 60.0)])
def test_a_task_that_comes_as_a_round_begins_after_an_idle_time_waits_for_none(
    policy: str, first: float, length: float
) -> None:
    # In floating point (first + k length - first) / length often lies above k.
    for passed in (3, 7, 29, 1000, 12345):
        comes = first + passed * length
        workload = elastic([first, comes], [length / 10] * 2, [1, 1])
        simulation = play(workload, pool(), f"{policy}(round={length})")
        assert simulation.outcome().start_time[1] == comes


def test_the_head_starts_on_what_others_hold_beyond_what_they_asked_for() -> None:
    workload = elastic([0.0, 10.0, 20.0], [100.0, 10.0, 10.0], [4, 4, 4], least_width=2, most_width=8)
    simulation = play(workload, pool(), "expand_shrink")
    assert [span[:3] for span in spans_of(simulation, 0)] == [(0.0, 10.0, 8.0), (10.0, 30.0, 4.0), (30.0, 60.0, 8.0)]
    assert spans_of(simulation, 1) == [(10.0, 20.0, 4.0, "finished")]
    assert spans_of(simulation, 2) == [(20.0, 30.0, 4.0, "finished")]


@pytest.mark.parametrize(
    ("policy", "ends"),
    [
        ("fcfs+easy", [4.0, 8.0]),
        ("srtf", [4.0, 8.0]),
        ("equal_share", [6.0, 6.0]),
        ("expand_shrink", [4.0, 6.0]),
        ("pollux", [6.0, 6.0]),
        ("sia(round=1)", [6.5, 6.5]),
    ],
)
def test_two_tasks_on_four_devices(policy: str, ends: list[float]) -> None:
    # 12 device-seconds each, at best one after the other on all four: at 3 and 6 s. No makespan is below 24 / 4.
    workload = elastic([0.0, 0.0], [4.0, 4.0], [3, 3], most_width=4)
    assert play(workload, pool(4), policy).outcome().finish_time.tolist() == ends


def test_it_shrinks_below_what_was_asked_for_where_the_head_needs_it() -> None:
    workload = elastic([0.0, 10.0], [100.0, 10.0], [8, 6], kind=["malleable", "rigid"], least_width=[2, 1])
    simulation = play(workload, pool(), "expand_shrink")
    assert [span[:3] for span in spans_of(simulation, 0)] == [(0.0, 10.0, 8.0), (10.0, 20.0, 2.0), (20.0, 107.5, 8.0)]
    assert spans_of(simulation, 1) == [(10.0, 20.0, 6.0, "finished")]


def test_a_moldable_task_keeps_the_width_with_which_it_starts() -> None:
    workload = elastic([0.0, 1.0], [80.0, 10.0], [2, 2], kind=["moldable", "malleable"], most_width=6)
    simulation = play(workload, pool(), "equal_share")
    assert spans_of(simulation, 0) == [(0.0, pytest.approx(80 * 2 / 6), 6.0, "finished")]
    assert simulation.history().attempts.tolist() == [1, 1]
    assert len(simulation.attempts()) == 2, "Each may be of any width, and is told."


def test_linear_tasks_that_share_equally_take_work_over_capacity() -> None:
    # With linear speed-up nothing is lost: all devices work until the last task ends.
    draw = np.random.default_rng(1)
    workload = elastic(np.zeros(9), 10 + 50 * draw.random(9), draw.integers(1, 5, 9), most_width=16)
    for policy in ("equal_share", "expand_shrink"):
        simulation = play(workload, pool(), policy)
        work = float((workload.runtime * workload.cpus).sum())
        assert np.nanmax(simulation.outcome().finish_time) == pytest.approx(work / 8, rel=1e-12)
        assert lower_bounds(workload, pool()).makespan == pytest.approx(work / 8, rel=1e-12)


@pytest.mark.parametrize("policy", POLICIES)
def test_what_every_schedule_must_hold_to(policy: str) -> None:
    for seed in range(CASES // 2):
        check_schedule(policy, seed)


def check_schedule(policy: str, seed: int) -> None:
    workload, cluster = random_case(seed)
    if policy in ("pollux", "sia"):
        policy += "(round=9)"
    told: list[Pieces] = []
    simulation = play(workload, cluster, policy, on_pieces=told.append)
    devices = cluster.gpus or cluster.cores
    plan = Elasticity.of(workload, devices=devices, per_node=cluster.groups[0].gpus or cluster.groups[0].cores)
    spans, outcome, history = simulation.spans(), simulation.outcome(), simulation.history()
    width = np.where(spans.gpus > 0, spans.gpus, spans.cpus)
    assert (width == np.round(width)).all()
    assert (spans.start_time >= workload.arrival_time[spans.row]).all()
    for row in range(len(workload)):
        own = spans_of(simulation, row)
        widths = [int(one[2]) for one in own]
        assert all(plan.least[row] <= one <= plan.most[row] for one in widths)
        assert plan.kind[row] == 2 or len(own) == 1
        assert plan.kind[row] != 0 or widths == [plan.asked[row]]
        assert own[0][0] == outcome.start_time[row]
        assert own[-1][1] == outcome.finish_time[row]
        assert [one[3] for one in own][-1] == "finished"
        assert all(one[1] <= other[0] for one, other in pairwise(own))
        assert all((one[3] == "resized") == (one[1] == other[0]) for one, other in pairwise(own))
        # All of the work is done, no more and no less.
        paid = [0.0, *plan.change_cost(row, np.array(widths[1:], np.int64))]
        done = 0.0
        for (begin, end, held_width, _), cost in zip(own, paid, strict=True):
            done += max(end - begin - cost, 0.0) * plan.of_task(row)[int(held_width)]
        assert done == pytest.approx(workload.runtime[row], rel=1e-9, abs=1e-9)
        assert history.held_time[row] == pytest.approx(sum(one[1] - one[0] for one in own), rel=1e-9, abs=1e-9)
        assert history.attempts[row] == len(own)
    for instant in np.unique(spans.start_time):
        assert width[(spans.start_time <= instant) & (spans.end_time > instant)].sum() <= devices
    pieces = Pieces.joined(told)
    assert overbooked(cluster, spans, Gangs.of(pieces), resources=("gpus",) if cluster.gpus else ("cores",)) is None
    for row, start, _, on_nodes in gangs_of(pieces):
        asked = width[(spans.row == row) & (spans.start_time == start)].max()
        assert sum(gpus or cpus for _, cpus, gpus, _ in on_nodes) == 1000 * asked
    end = float(outcome.finish_time.max() - workload.arrival_time.min())
    assert end >= lower_bounds(workload, cluster).makespan * (1 - 1e-9)
    held = float((width * (spans.end_time - spans.start_time)).sum())
    edges = np.array([spans.start_time.min(), spans.end_time.max()])
    usage = Usage.of(simulation)
    busy = usage.busy_gpu_seconds(edges) if cluster.gpus else usage.busy_core_seconds(edges)
    assert busy[0] == pytest.approx(held, rel=1e-9, abs=1e-9)
    rows = np.arange(len(workload))
    energy, cost = energy_and_cost(simulation, rows)
    if cluster.gpus:
        assert energy.sum() == pytest.approx(usage.energy_joules(edges)[0], rel=1e-9, abs=1e-9)
        assert cost.sum() == pytest.approx(usage.cost_usd(edges)[0], rel=1e-9, abs=1e-9)
    interrupted = Interruptions.of(simulation)
    assert interrupted is not None
    assert interrupted.restarts == (history.attempts - 1).sum()


@pytest.mark.parametrize("policy", POLICIES)
def test_an_independent_simulator_plays_the_same(policy: str) -> None:
    settle = {
        "equal_share": (reference.equal_share, None),
        "expand_shrink": (reference.expand_shrink, None),
        "pollux": (reference.by(lambda now: (now.kind, pollux(now, -1.0))), 9.0),
        "sia": (reference.by(lambda now: sia(now, -0.5, 1.1)), 9.0),
    }[policy]
    name = f"{policy}(round=9)" if settle[1] else policy
    options = Options(restart_overhead=Overhead.read("1:0.5/2:3/11"))
    for seed in range(CASES):
        workload, cluster = random_case(1000 + seed)
        plain = reference.Machine.of(workload, cluster, options)
        plain.play(*settle)
        simulation = play(workload, cluster, name, options=options)
        for task in plain.tasks:
            assert spans_of(simulation, task.row) == task.spans, (policy, seed)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_simulation_cut_into_many_calls_is_the_same(policy: str) -> None:
    for seed in range(4):
        workload, cluster = random_case(2000 + seed)
        whole = play(workload, cluster, policy)
        cut = Simulation(workload, cluster, parse_policy(policy))
        for until in np.linspace(workload.arrival_time[0], workload.arrival_time[-1] + 50, 23):
            cut.advance(until_time=until)
            assert cut.clock >= until
        while not cut.done:
            cut.advance(max_events=1)
        for one, other in ((whole.outcome(), cut.outcome()),):
            for name in ("start_time", "finish_time", "node", "device", "completion_order"):
                np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        for name in Attempts.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(whole.attempts(), name), getattr(cut.attempts(), name))


@pytest.mark.parametrize("policy", POLICIES)
def test_what_is_under_way_is_what_the_attempts_say_by_then(policy: str) -> None:
    for seed in range(3):
        workload, cluster = random_case(3000 + seed)
        spans = play(workload, cluster, policy).spans()
        held = np.where(spans.gpus > 0, spans.gpus, spans.cpus)
        asked = np.where(workload.gpus > 0, workload.gpus, workload.cpus)
        cut = Simulation(workload, cluster, parse_policy(policy))
        for until in np.linspace(workload.arrival_time[0], workload.arrival_time[-1] + 50, 13):
            cut.advance(until_time=until)
            told = cut.under_way()
            assert told is not None
            for row, seconds, mean_part, part in zip(*told, strict=True):
                own = spans.row == row
                lasted = np.clip(cut.clock - spans.start_time[own], 0.0, (spans.end_time - spans.start_time)[own])
                assert seconds == pytest.approx(lasted.sum(), abs=1e-9)
                assert seconds * mean_part * asked[row] == pytest.approx((lasted * held[own]).sum(), abs=1e-9)
                runs = own & (spans.start_time <= cut.clock) & (spans.end_time > cut.clock)
                assert part * asked[row] == pytest.approx(held[runs].sum())


@st.composite
def choices(draw: st.DrawFn) -> tuple[Choice, int]:
    tasks = draw(st.integers(1, 4))
    task, width, cost = [], [], []
    for number in range(tasks):
        for one in sorted(draw(st.sets(st.integers(1, 6), max_size=3))):
            task.append(number)
            width.append(one)
            cost.append(draw(st.integers(-20, 20)) / 8)
    idle = np.array([draw(st.integers(-5, 30)) / 8 for _ in range(tasks)])
    whole = np.array(task, np.int64), np.zeros(len(task), np.int64), np.array(width, np.int64)
    return Choice(*whole, np.array(cost, np.float64), idle, np.zeros(tasks, bool)), draw(st.integers(0, 12))


@settings(max_examples=30)
@given(choices())
def test_both_solvers_find_the_least_cost_that_trying_everything_finds(case: tuple[Choice, int]) -> None:
    choice, devices = case
    every = [[0, *choice.width[choice.task == one].tolist()] for one in range(len(choice.idle_cost))]
    least = min(total(choice, np.array(widths)) for widths in product(*every) if sum(widths) <= devices)
    for found in (choice.least(devices), by_integer_program(choice, devices)):
        assert found.sum() <= devices
        assert total(choice, found) == pytest.approx(least, abs=1e-9)


def test_no_width_without_a_speed_is_given_and_a_part_of_a_device_is_one() -> None:
    # 64 samples, at least 64 on a replica and 256 in all: no speed on five replicas and more.
    model = GOODPUT.replace("initial_batch=16", "initial_batch=64").replace("most_batch=512", "most_batch=256")
    model = model.replace("most_local=64", "most_local=64,least_local=64")
    workload = elastic([0.0], [100.0], [4], on="gpus", speedup=model, least_width=1, most_width=8)
    for policy in POLICIES:
        simulation = Simulation(workload, gpu_nodes(), parse_policy(policy))
        simulation.advance()
        assert simulation.done, policy
    parts = elastic([0.0, 0.0], [10.0, 10.0], [0.5, 2], on="gpus", kind=["", "malleable"], least_width=1, most_width=4)
    assert lower_bounds(parts, gpu_nodes()) is not None


def test_sia_takes_up_a_stopped_task_at_once_where_devices_are_free() -> None:
    workload = elastic([0.0], [1000.0], [1], least_width=1, most_width=4, resize_time=30.0)
    stopped = replace(moment(workload, 8, 8, age=60.0), attempts=np.array([1]))
    assert sia(stopped, -0.5, 1.1)[1].tolist() == [1]


def test_sia_serves_whom_it_cannot_tell_apart_in_the_order_of_arrival() -> None:
    workload = elastic([0.0, 1.0, 2.0], [10.0] * 3, [1] * 3, kind="rigid")
    assert sia(moment(workload, 2, 2), -0.5, 1.1)[1].tolist() == [1, 1, 0]


def moment(workload: Workload, devices: int, per_node: int, width: Any = 0, age: float = 1000.0) -> Moment:
    n = len(workload)
    held = np.broadcast_to(width, n).astype(np.int64)
    return Moment(
        np.arange(n),
        held,
        np.zeros(n, np.int64),
        (held > 0).astype(np.int64),
        np.full(n, age),
        Kinds.of(workload, Cluster("pool", (NodeGroup("node", devices // per_node, per_node),)), "sia"),
    )


def test_pollux_gives_devices_where_they_speed_up_most() -> None:
    workload = elastic([0, 0], [10, 10], [1, 1], speedup=["amdahl(0.99)", "amdahl(0.1)"], most_width=8)
    assert pollux(moment(workload, 8, 8), 1.0).tolist() == [7, 1]
    same = elastic([0, 0], [10, 10], [1, 1], speedup="amdahl(0.9)", most_width=8)
    assert pollux(moment(same, 8, 8), -1.0).tolist() == [4, 4]


def test_a_costly_change_is_not_worth_a_little_speed() -> None:
    workload = elastic([0], [100], [4], speedup="power(0.5)", most_width=5, resize_time=30.0)
    assert pollux(moment(workload, 5, 5, width=4, age=100.0), -1.0).tolist() == [4]
    assert pollux(moment(workload, 5, 5, width=4, age=1e6), -1.0).tolist() == [5]


def test_sia_grows_by_doubling_on_powers_of_two_and_whole_nodes() -> None:
    workload = elastic([0], [100], [1], speedup="amdahl(0.999)", most_width=16)
    assert sia(moment(workload, 16, 4), -0.5, 1.1)[1].tolist() == [1]
    assert sia(moment(workload, 16, 4, width=2), -0.5, 1.1)[1].tolist() == [4]
    offered = sia_choice(moment(workload, 16, 4, width=8), -0.5, 1.1).width.tolist()
    assert offered == [1, 2, 4, 8, 12, 16]


def test_goodput_is_a_speedup_that_knows_the_nodes() -> None:
    values = dict(part.split("=") for part in GOODPUT.removeprefix("goodput(").removesuffix(")").split(","))
    model = Goodput(**{name: float(value) for name, value in values.items()}, accumulates=False)
    speeds = read_speedup(GOODPUT)(np.array([1.0, 4.0, 5.0]), 4)
    assert speeds.tolist() == [model.best_batch(1, 1)[0], model.best_batch(1, 4)[0], model.best_batch(2, 5)[0]]


@pytest.mark.parametrize(
    ("text", "width", "speed"),
    [
        ("", 5.0, 5.0),
        ("amdahl(0.5)", 4.0, 1.6),
        ("power(0.5)", 9.0, 3.0),
        ("table(1:1/4:2.5)", 2.5, 1.75),
        ("table(2:3)", 1.0, 1.5),
        ("table(1:1/4:2.5)", 9.0, 2.5),
        # No variation: as parallel as it is on average. Much variation: half of the average's speed on so many.
        ("downey(4,0)", 4.0, 4.0),
        ("downey(4,1)", 4.0, 4 * 4 / (4 + 1.5)),
        ("downey(4,1)", 7.0, 4.0),
        ("downey(4,2)", 10.0, 4.0),
    ],
)
def test_speeds_are_those_of_the_formulas(text: str, width: float, speed: float) -> None:
    assert read_speedup(text)(np.array([width]), 8) == pytest.approx([speed])


@pytest.mark.parametrize("text", ["amdahl(1.5)", "amdahl", "power(x)", "table(2:1/1:1)", "goodput(a=1)", "fast(2)"])
def test_other_speedups_are_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(InvalidWorkload, match="is not a speed-up; write amdahl"):
        elastic([0], [1], [1], speedup=text)


@pytest.mark.parametrize("policy", POLICIES)
def test_what_changing_widths_do_not_know_is_refused(policy: str) -> None:
    mixed = Workload.from_columns(arrival_time=[0, 0], runtime=[1, 1], gpus=[1, 0])
    two = Cluster("two", (NodeGroup("a", count=1, cores=4), NodeGroup("b", count=1, cores=4)))
    tasks = Workload.from_columns(arrival_time=[0, 0], runtime=[1, 1], dependencies=[[], [1]])
    one_kind = [] if policy == "sia" else [(elastic([0], [1], [1]), two, "nodes that are all alike")]
    for workload, cluster, words in (
        (mixed, gpu_nodes(), "all tasks must ask for GPUs, or none of them"),
        *one_kind,
        (tasks, pool(), "neither split tasks nor dependencies"),
        (elastic([0], [1], [1.5]), pool(), "a whole number"),
    ):
        with pytest.raises(InvalidPolicy, match=words):
            Simulation(workload, cluster, parse_policy(policy))
    with pytest.raises(InvalidPolicy, match="takes no @placement"):
        Simulation(elastic([0], [1], [1]), pool(), parse_policy(f"{policy}@worst_fit"))


def test_rigid_policies_play_what_tasks_ask_for() -> None:
    workload = elastic([0.0, 0.0], [10.0, 10.0], [2, 4], speedup="amdahl(0.5)", most_width=8)
    assert play(workload, pool(), "fcfs").outcome().finish_time.tolist() == [10.0, 10.0]
    assert play(workload, pool(), "srtf").outcome().finish_time.tolist() == [10.0, 10.0]
