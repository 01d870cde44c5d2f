"""Policies of one's own: what imitates a shipped one plays its schedule, and what is broken is told so."""

import hashlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scheduler_sim import engine as sim
from scheduler_sim.engine.check import check, main
from scheduler_sim.engine.instant import NotExplained, Schedule, decisions, scores_at, standing
from scheduler_sim.engine.policies import ORDERS, parse_policy
from scheduler_sim.engine.policies.loading import load_policies
from scheduler_sim.engine.policies.origin import source_digest
from scheduler_sim.engine.series.signals import Signals
from scheduler_sim.engine.series.steps import StepSeries
from tests.engine.own import own_policies
from tests.engine.pool_cases import pool

NAMES = ("mine", "other")


@pytest.fixture(autouse=True)
def none_is_left() -> Iterator[None]:
    with own_policies(*NAMES):
        yield


def decided(decide: Callable[[Any, Any], Any], **more: Any) -> None:
    """Register a class with this method as `mine`."""
    sim.deciding("mine", **more)(type("Mine", (), {"decide": decide}))


def test_a_class_may_play_a_simulation_that_asks_another_class() -> None:
    tasks = sim.Workload.from_columns(arrival_time=[0, 1], runtime=[2, 2], cpus=[1, 1])
    sim.deciding("other")(type("Other", (), {"decide": lambda _self, state: [(int(state.queue[0]), 0)]}))

    def ahead(_self: Any, state: Any) -> Any:
        assert sim.play(tasks, pool(2), "other").simulations["other"].done
        return [(int(state.queue[0]), 0)]

    decided(ahead)
    assert sim.play(tasks, pool(2), "mine").placements("mine", kind="numpy")["start_time"].tolist() == [0, 1]


def random_tasks(seed: int, *, nodes: bool) -> sim.Workload:
    generator = np.random.default_rng(seed)
    n = 30
    runtime = generator.integers(0, 20, n).astype(float)
    gpus = generator.choice([0, 0, 1, 2], n).astype(float) if nodes else np.zeros(n)
    return sim.Workload.from_columns(
        arrival_time=np.sort(generator.integers(0, 60, n)),
        runtime=runtime,
        duration_estimate=runtime * generator.choice([1.0, 1.5, 0.5], n),
        cpus=generator.integers(1, 5, n),
        gpus=gpus,
        memory_mb=generator.choice([0.0, 3000.0], n) if nodes else np.zeros(n),
        gpu_type=generator.choice(["", "A", "B"], n).tolist() if nodes else None,
        dependencies=[[int(generator.integers(1, row + 1))] if row and row % 5 == 0 else [] for row in range(n)]
        if nodes
        else None,
    )


NODES = sim.Cluster(
    name="two kinds",
    groups=(
        sim.NodeGroup(name="a", count=2, cores=4, gpus=2, gpu_type="A", memory_mb=4096.0, cpu_speed=2.0),
        sim.NodeGroup(name="b", count=2, cores=6, gpus=2, gpu_type="B", gpu_speed=3.0),
    ),
)


@pytest.mark.parametrize("seed", range(10))
def test_a_class_that_takes_the_first_node_in_order_of_arrival_is_fcfs_first_fit(seed: int) -> None:
    @sim.deciding("other")
    class AsManyAsFit:
        def decide(self, state: Any) -> Any:
            free = {name: getattr(state, f"free_{name}").copy() for name in ("cores", "gpus", "memory_mb")}
            asked = {"cores": state.cpus, "gpus": state.gpus, "memory_mb": state.memory_mb}
            for row in state.queue:
                fitting = [
                    node for node in state.fits(row) if all(free[name][node] >= asked[name][row] for name in free)
                ]
                if not fitting:
                    return
                for name in free:
                    free[name][fitting[0]] -= asked[name][row]
                # A list is a pair as a tuple is.
                yield (row, fitting[0]) if seed % 2 else [row, fitting[0]]

    @sim.deciding("mine")
    class AnArrayOfRows:
        def decide(self, state: Any) -> Any:
            return state.queue[:1] if len(state.queue) and len(state.fits(state.queue[0])) else state.queue[:0]

    played = sim.play(random_tasks(seed, nodes=True), NODES, "fcfs,other")
    alone = sim.play(random_tasks(seed, nodes=False), "hpc-4", "mine")
    assert not np.isnan(alone.placements("mine")["start_time"]).any()
    for column in ("start_time", "finish_time", "node", "device", "ready_time"):
        np.testing.assert_array_equal(played.placements("other")[column], played.placements("fcfs")[column])
    np.testing.assert_array_equal(
        played.simulations["other"].outcome().completion_order, played.simulations["fcfs"].outcome().completion_order
    )


@pytest.mark.parametrize("policy", ["mine", "mine+easy", "mine+conservative"])
def test_a_function_that_scores_as_a_shipped_order_does_gives_its_schedule(policy: str) -> None:
    sim.scoring("mine")(lambda context: context.estimate)
    shipped = policy.replace("mine", "sjf")
    for seed in range(5):
        played = sim.play(random_tasks(seed, nodes=False), "hpc-8", [policy, shipped])
        assert (played.placements(policy)["start_time"] == played.placements(shipped)["start_time"]).all()


def test_a_function_cannot_change_what_other_policies_play() -> None:
    def in_place(context: Any) -> Any:
        return np.minimum(context.estimate, 60.0, out=context.estimate)

    sim.scoring("mine")(in_place)
    workload = random_tasks(1, nodes=False)
    before = workload.duration_estimate.copy()
    with pytest.raises(
        sim.InvalidPolicy, match=r"mine fails at scoring 30 tasks, first task 1, which arrives at .* s: ValueError"
    ):
        sim.play(workload, "hpc-8", "mine,sjf+easy")
    sim.scoring("mine")(lambda context: context.workload.cpus.__imul__(2))
    with pytest.raises(
        sim.InvalidPolicy, match=r"mine fails at scoring 30 tasks, first task 1, which arrives at .* s: ValueError"
    ):
        sim.play(workload, "hpc-8", "mine")
    np.testing.assert_array_equal(workload.duration_estimate, before)


def test_a_class_cannot_write_the_outcome() -> None:
    def cheat(_self: Any, state: Any) -> Any:
        state.start_time.base[:] = 0.0
        return [row for row in state.queue if len(state.fits(row))][:1]

    decided(cheat)
    workload = sim.Workload.from_columns(arrival_time=[0.0, 1.0], runtime=[5.0, 5.0])
    assert sim.play(workload, "hpc-1", "mine").placements()["start_time"].tolist() == [0.0, 5.0]


def test_parts_of_a_core_add_up_as_the_kernels_count_them() -> None:
    decided(lambda _, state: [row for row in state.queue if len(state.fits(row))][:1])
    workload = sim.Workload.from_columns(arrival_time=[0.0, 1.0], runtime=[9.0, 9.0], cpus=[0.7, 0.1 + 0.2])
    one = sim.Cluster("one", (sim.NodeGroup("n", 1, 1, gpus=1),))
    played = sim.play(workload, one, "fcfs,mine")
    assert (
        played.placements("mine")["start_time"].tolist() == played.placements("fcfs")["start_time"].tolist() == [0, 1]
    )


def test_scores_that_fall_with_the_wait_are_a_pair() -> None:
    sim.scoring("mine")(lambda context: (context.estimate, np.full(len(context.estimate), 0.25)))
    workload = sim.Workload.from_columns(
        arrival_time=[0.0, 0.0, 8.0], runtime=[10.0, 9.0, 8.0], duration_estimate=[10.0, 9.0, 8.0]
    )
    # At 9 s the first has waited 9 s, 10 - 2.25 < 8 - 0.25; without that the last would go first.
    assert sim.play(workload, "hpc-1", "mine").placements()["start_time"].tolist() == [9.0, 0.0, 19.0]


def test_what_nobody_knows_is_hidden_unless_the_policy_says_that_it_is_clairvoyant() -> None:
    seen: dict[str, Any] = {}

    def look(name: str) -> Callable[[Any, Any], Any]:
        def decide(_self: Any, state: Any) -> Any:
            seen.setdefault(name, (state.runtime.copy(), state.estimate.copy(), state.time))
            return [row for row in state.queue if len(state.fits(row))][:1]

        return decide

    workload = sim.Workload.from_columns(arrival_time=[0.0, 5.0], runtime=[2.0, 3.0], duration_estimate=[4.0, 4.0])
    decided(look("told"))
    sim.play(workload, "hpc-1", "mine")
    assert np.isnan(seen["told"][0]).all()
    np.testing.assert_array_equal(seen["told"][1], [4.0, np.nan])
    decided(look("sees"), clairvoyant=True)
    sim.play(workload, "hpc-1", "mine")
    np.testing.assert_array_equal(seen["sees"][0], [2.0, np.nan])
    sim.scoring("other")(lambda context: context.workload.runtime)
    with pytest.raises(
        sim.InvalidPolicy, match=r"The score of other is not a number for 2 of 2 tasks, first for task 1"
    ):
        sim.play(workload, "hpc-1", "other")
    sim.scoring("other", clairvoyant=True)(lambda context: context.workload.runtime)
    assert sim.play(workload, "hpc-1", "other").figure("finished_count") == 2


@pytest.mark.parametrize("clairvoyant", [False, True])
def test_what_electricity_will_cost_is_hidden_unless_the_policy_says_that_it_is_clairvoyant(clairvoyant: bool) -> None:
    seen = []

    def score(context: Any) -> Any:
        seen.append(context.signals)
        return context.workload.arrival_time

    sim.scoring("other", clairvoyant=clairvoyant)(score)
    signals = Signals({"price": StepSeries(times=np.array([0.0]), values=np.array([0.1]), end=9.0, beyond="hold")})
    workload = sim.Workload.from_columns(arrival_time=[0.0, 5.0], runtime=[2.0, 3.0])
    sim.Simulation(workload, pool(1), parse_policy("other"), signals=signals).advance()
    assert seen == [signals if clairvoyant else None]


BROKEN: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "raises": (
        lambda _, _state: 1 / 0,
        r"mine fails at 3 s, asked about 2 waiting tasks, first task 1: ZeroDivisionError: division by zero\.",
    ),
    "ends the program": (
        lambda _, _state: (_ for _ in ()).throw(SystemExit(1)),
        r"mine fails at 3 s, asked about 2 waiting tasks, first task 1: SystemExit: 1\.",
    ),
    "starts what does not fit": (
        lambda _, state: state.queue.tolist(),
        r"mine starts task 2 at 3 s, which no node can hold then\.",
    ),
    "overbooks a node": (
        lambda _, state: [(row, 0) for row in state.queue],
        r"mine starts task 2 at 3 s on node 0, where 1 cores are free; it needs 2\.",
    ),
    "starts a task twice": (lambda _, _state: [0, 0], r"mine starts task 1 at 3 s, which does not wait then\."),
    "never stops": (
        lambda _, _state: iter(lambda: 0, None),
        r"mine starts task 1 at 3 s, which does not wait then\.",
    ),
    "knows no such node": (
        lambda _, _state: [(0, 7)],
        r"mine starts task 1 at 3 s on node 7; nodes are numbered to 0\.",
    ),
    "knows no such task": (lambda _, _state: [99], r"mine starts row 99 at 3 s, which does not wait then\."),
    "returns no rows": (lambda _, _state: ["first"], r"mine returns 'first' at 3 s, where a row or a pair"),
    "forgets tasks": (
        lambda _, state: [row for row in state.queue if row == 0],
        r"mine never ends: at 13 s nothing runs or will arrive, and it starts none of 1 waiting tasks, first task 2\.",
    ),
    "changes what it sees": (
        lambda _, state: state.free_cores.fill(9),
        r"mine fails at 3 s, asked about 2 waiting tasks, first task 1: ValueError",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_class_gets_one_sentence_with_the_instant_and_the_task(kind: str) -> None:
    decide, sentence = BROKEN[kind]
    decided(decide)
    workload = sim.Workload.from_columns(arrival_time=[3.0, 3.0], runtime=[10.0, 10.0], cpus=[2, 2])
    with pytest.raises(sim.EngineError, match=sentence):
        sim.play(workload, "hpc-3", "mine")


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (
            lambda _context: 1 / 0,
            "mine fails at scoring 2 tasks, first task 1, which arrives at 3 s: ZeroDivisionError",
        ),
        (lambda _context: [1.0], r"mine returns scores of shape \(1,\) where \(2,\) was expected"),
        (lambda _context: ["a", "b"], "The scores of mine are not numbers"),
        (
            lambda context: np.where(context.workload.arrival_time > 4, np.nan, 1.0),
            "The score of mine is not a number for 1 of 2 tasks, first for task 2, which arrives at 5 s",
        ),
        (lambda context: (context.estimate, -context.estimate), "The slope of mine is -1 for task 1"),
        (lambda context: (context.estimate,) * 3, "mine returns 3 things, where scores, or scores and slopes"),
        (lambda context: context.estimate * 1j, "The scores of mine are complex, where real numbers were expected"),
    ],
)
def test_a_broken_function_gets_one_sentence(function: Any, sentence: str) -> None:
    sim.scoring("mine")(function)
    workload = sim.Workload.from_columns(arrival_time=[3.0, 5.0], runtime=[1.0, 1.0])
    with pytest.raises(sim.InvalidPolicy, match=sentence):
        sim.play(workload, "hpc-1", "mine")


@pytest.mark.parametrize(
    ("policy", "cluster", "tasks", "sentence"),
    [
        ("mine+easy", "hpc-8", {}, "takes neither"),
        ("mine@best_fit", "hpc-8", {}, "takes neither"),
        ("mine", "dgx-1", {"gpus": [0.5, 0.0]}, "whole GPUs"),
        ("mine", "dgx-2", {"gpus": [16.0, 0.0]}, "that one node holds"),
        ("mine", "hpc-8", {"cpus": [9, 1]}, "larger than cluster"),
    ],
)
def test_what_a_class_does_not_play_is_refused(policy: str, cluster: str, tasks: dict[str, Any], sentence: str) -> None:
    decided(lambda _, _state: [])
    workload = sim.Workload.from_columns(arrival_time=[0.0, 0.0], runtime=[1.0, 1.0], **tasks)
    with pytest.raises(sim.EngineError, match=sentence):
        sim.play(workload, cluster, policy)


def played(workload: sim.Workload, cluster: sim.Cluster, policy: str) -> Schedule:
    simulation = sim.Simulation(workload, cluster, parse_policy(policy), seed=1)
    simulation.advance()
    return Schedule.of(simulation)


@pytest.mark.parametrize(
    "cluster", [pool(4), sim.Cluster("one", (sim.NodeGroup("n", 1, 4, gpus=1),))], ids=["pool", "node"]
)
def test_of_what_fits_and_waits_it_is_said_that_the_class_did_not_start_it(cluster: sim.Cluster) -> None:
    # One an instant, the newest that fits: when the fourth comes and starts, the second has fitted for long.
    decided(lambda _, state: [row for row in state.queue[::-1] if len(state.fits(row))][:1])
    workload = sim.Workload.from_columns(arrival_time=[0, 1, 1, 5, 5], runtime=[9.0] * 5, cpus=[1, 1, 1, 1, 4])
    found = decisions(played(workload, cluster, "mine"), 5.0)
    assert {one.row: one.verdict for one in found.decisions} == {1: "passed_over", 3: "started", 4: "resources"}
    assert found.note.startswith("mine decides by itself")
    assert found.head == -1


@pytest.mark.parametrize(
    "function",
    [
        lambda context: context.generator.random(len(context.estimate)),
        lambda context: np.argsort(np.argsort(context.estimate)) - 7.0,
    ],
    ids=["drawn", "by rank"],
)
def test_scores_by_a_function_are_told_only_where_all_tasks_are_known(function: Any) -> None:
    sim.scoring("mine")(function)
    workload = random_tasks(3, nodes=False)
    for policy in ("mine", "mine+conservative", "fcfs+easy(order=mine)"):
        whole = played(workload, pool(5), policy)
        time = float(np.median(whole.outcome.start_time))
        waiting = standing(whole, time).waiting
        assert len(waiting) > 2
        mine = sim.Simulation(workload, pool(5), parse_policy("mine"), seed=1).scores().base
        assert scores_at(whole, waiting, time, ORDERS["mine"]).tolist() == mine[waiting].tolist()
        some = replace(whole, whole=False)
        with pytest.raises(NotExplained, match="by a function of one's own, which may draw them"):
            scores_at(some, waiting, time, ORDERS["mine"])
        found = decisions(some, time)
        assert "which may draw them" in found.note
        assert np.isnan([(one.score, one.planned_time) for one in found.decisions]).all()
        assert bool(decisions(whole, time).note) == ("conservative" in policy), "a plan is made again from some tasks"


def test_names_of_shipped_orders_stay_theirs_and_own_ones_are_replaced() -> None:
    for name in ("sjf", "greedy"):
        with pytest.raises(sim.InvalidPolicy, match=f"There is a policy {name} already"):
            sim.scoring(name)(lambda context: context.estimate)
    nameless: Any = sim.scoring
    with pytest.raises(sim.InvalidPolicy, match=r"@scoring is given the name of the policy, as in @scoring\("):
        nameless(lambda context: context.estimate)
    with pytest.raises(sim.InvalidPolicy, match="cannot be a policy's name"):
        sim.deciding("my+easy")(type("Mine", (), {}))
    sim.scoring("mine")(lambda context: context.estimate)
    sim.scoring("mine", formula="the second")(lambda context: -context.estimate)
    assert ORDERS["mine"].formula == "the second"


FILE = """
from dataclasses import dataclass
from scheduler_sim import engine as sim

@sim.scoring("mine")
def mine(context):
    return context.processors

@sim.deciding("other")
@dataclass
class Other:
    asked: int = 0

    def decide(self, state):
        self.asked += 1
        return [row for row in state.queue if len(state.fits(row))][:1]
"""


def test_a_file_registers_policies_and_is_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(FILE)
    assert load_policies(file) == ["mine", "other"]
    assert main([str(file), "--cases", "3"]) == 0
    assert capsys.readouterr().out == (
        "mine: nothing wrong in 6 random workloads\nother: nothing wrong in 6 random workloads\n"
    )
    for content, sentence in (
        ("1 / 0", "fails: ZeroDivisionError"),
        ("x = 1", "registers no policy"),
        ("def", "fails: SyntaxError"),
        ("raise SystemExit(4)", "fails: SystemExit: 4"),
        (f"{FILE}\n1 / 0", "fails: ZeroDivisionError"),
    ):
        file.write_text(content)
        assert main([str(file)]) == 2
        assert sentence in capsys.readouterr().err
        assert ORDERS["mine"].source == "your own"
    with pytest.raises(SystemExit):
        main([str(file), "--cases", "0"])
    assert main([str(tmp_path / "none.py")]) == 2
    assert "is no Python file" in capsys.readouterr().err


def test_a_file_is_run_as_it_stands_and_known_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.chdir(tmp_path)
    file = Path("mine.py")
    for formula in ("one", "two"):
        file.write_text(
            "from scheduler_sim import engine as sim\n\n"
            f"@sim.scoring('mine', formula='{formula}')\ndef mine(context):\n    return context.processors\n"
        )
        os.utime(file, (10**9, 10**9))
        assert load_policies(file) == ["mine"]
        assert ORDERS["mine"].formula == formula
    assert list(tmp_path.iterdir()) == [tmp_path / "mine.py"]
    mine: Any = sys.modules[f"policies of {tmp_path / 'mine.py'}"].mine
    known = source_digest(mine)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert source_digest(mine) == known == hashlib.sha256((tmp_path / "mine.py").read_bytes()).hexdigest()
    for name in ("mine", "mine.pyc", "mine.txt"):
        other = tmp_path / name
        other.write_bytes((tmp_path / "mine.py").read_bytes())
        with pytest.raises(sim.InvalidPolicy, match="is no Python file"):
            load_policies(other)


def test_the_check_finds_who_looks_ahead_and_who_draws_anew() -> None:
    sim.scoring("mine")(lambda context: context.estimate * (1 if len(context.estimate) % 2 else -1))
    assert "without the tasks that arrive later." in check(parse_policy("mine"), cases=10)[0]
    unseeded = np.random.default_rng()
    sim.scoring("mine")(lambda context: unseeded.random(len(context.estimate)))
    assert " s on node 0 when it plays the same again." in check(parse_policy("mine"), cases=10)[0]
    count = iter(range(10**9))
    decided(
        lambda _, state: [
            (row, int(state.fits(row)[next(count) % len(state.fits(row))]))
            for row in state.queue
            if len(state.fits(row))
        ][:1]
    )
    assert re.search(
        r"it starts task \d+ at (.*) s on node .*, and at \1 s on .* again\.", check(parse_policy("mine"))[0]
    )


def test_the_check_adds_up_what_is_held_and_not_what_was_begun() -> None:
    sim.scoring("mine")(lambda context: context.estimate)
    assert check(parse_policy("mine~suspend"), cases=3) == []
