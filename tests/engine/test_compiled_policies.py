"""Compiled scores of one's own: they give the schedules that they imitate, and a broken one is told so."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from scheduler_sim import engine as sim
from scheduler_sim.engine.codes import STATIC
from tests.engine.own import own_policies
from tests.engine.pool_cases import pool
from tests.engine.test_own_policies import NODES, random_tasks


@pytest.fixture(autouse=True)
def none_is_left() -> Iterator[None]:
    with own_policies("mine", "aged", "seen"):
        yield


def waits(task: Any, _: Any) -> Any:
    return -(np.cbrt(task.processors) / (task.estimate if task.estimate > 0 else 1.0) * task.wait_time)


RULES = ("", "+list", "+easy", "+conservative", "+conservative(depth=2)")


def test_compiled_scores_give_the_schedules_of_the_shipped_orders() -> None:
    sim.compiled("mine")(lambda task, _: task.estimate)
    sim.compiled("aged")(waits)
    for shipped, own in (("sjf", "mine"), ("wfp3", "aged")):
        names = [(shipped + rule, own + rule) for rule in RULES]
        for seed in range(6):
            tasks = random_tasks(seed, nodes=False)
            played = sim.play(tasks, "hpc-8", [name for pair in names for name in pair])
            for one, other in names:
                for column in ("start_time", "finish_time"):
                    np.testing.assert_array_equal(played.placements(one)[column], played.placements(other)[column])


def test_compiled_scores_play_nodes_as_the_shipped_orders_do() -> None:
    sim.compiled("mine")(lambda task, _: task.arrival_time)
    sim.compiled("aged")(waits)
    pairs = [
        (shipped + rule, own + rule)
        for shipped, own in (("fcfs", "mine"), ("wfp3", "aged"))
        for rule in ("@best_fit", "+easy@best_fit", "+conservative@best_fit")
    ]
    for seed in range(4):
        played = sim.play(random_tasks(seed, nodes=True), NODES, [name for pair in pairs for name in pair])
        for one, other in pairs:
            for column in ("start_time", "node", "device"):
                np.testing.assert_array_equal(played.placements(one)[column], played.placements(other)[column])


def test_a_compiled_score_sees_the_task_and_the_instant() -> None:
    tasks = sim.Workload.from_columns(
        arrival_time=[0.0, 1.0, 2.0, 2.0],
        runtime=[10.0, 5.0, 5.0, 5.0],
        cpus=[2, 2, 2, 1],
        user=["ann", "bob", "ann", "cyd"],
    )

    def told(task: Any, now: Any) -> Any:
        # A score that is right only where all of this holds; another order comes out where it does not.
        right = now.cores == 2 and now.free_cores == 2 and now.running == 0 and now.queued == 5 - now.time / 5
        right = right or now.time < 10
        return -task.user if right and task.wait_time == now.time - task.arrival_time else task.user

    sim.compiled("seen")(told)
    assert sim.play(tasks, "hpc-2", "seen").placements()["start_time"].tolist() == [0.0, 15.0, 20.0, 10.0]


@pytest.mark.parametrize("clairvoyant", [False, True])
def test_true_run_times_are_hidden_from_compiled_scores_that_do_not_ask_for_them(clairvoyant: bool) -> None:
    sim.compiled("mine", clairvoyant=clairvoyant)(lambda task, _: 1.0 if np.isnan(task.runtime) else task.runtime)
    tasks = sim.Workload.from_columns(
        arrival_time=[0.0, 1.0, 2.0], runtime=[9.0, 5.0, 3.0], duration_estimate=[9.0, 9.0, 9.0]
    )
    starts = sim.play(tasks, "hpc-1", "mine").placements()["start_time"].tolist()
    assert starts == ([0.0, 12.0, 9.0] if clairvoyant else [0.0, 9.0, 14.0])


def raises(task: Any, _: Any) -> float:
    if task.user == 1:
        raise ValueError("no such user")
    return 0.0


BROKEN = [
    (raises, "mine fails at scoring task 2 at 1 s: ValueError: no such user."),
    (lambda task, _: np.nan if task.user == 1 else 0.0, "The score of mine is not a number for task 2 at 1 s."),
]


@pytest.mark.parametrize(("function", "sentence"), BROKEN)
def test_a_compiled_score_that_fails_is_told_with_the_task_and_the_instant(function: Any, sentence: str) -> None:
    sim.compiled("mine")(function)
    tasks = sim.Workload.from_columns(arrival_time=[0.0, 1.0, 1.0], runtime=[5.0, 5.0, 5.0], user=["ann", "bob", "ann"])
    for cluster, policy in (("hpc-2", "mine+easy"), ("hpc-2", "mine+conservative"), (NODES, "mine+easy")):
        with pytest.raises(sim.InvalidPolicy) as refused:
            sim.play(tasks, cluster, policy)
        assert str(refused.value) == sentence


def test_a_function_that_cannot_be_compiled_or_played_is_refused_in_one_sentence() -> None:
    sim.compiled("mine")(lambda task, _: task.colour)
    tasks = random_tasks(1, nodes=False)
    with pytest.raises(sim.InvalidPolicy, match=r"^mine cannot be compiled: [^\n]*colour[^\n]*\.$"):
        sim.play(tasks, "hpc-8", "mine")
    sim.compiled("mine")(lambda _, _now: 0.0)
    with pytest.raises(sim.InvalidPolicy, match="mine~requeue asks a compiled function: it plays tasks that run once"):
        sim.play(tasks, "hpc-8", "mine~requeue")
    for rule in ("order=sjf", "predict=regression", "predict=last_two"):
        with pytest.raises(sim.InvalidPolicy, match="mine is scored at each instant, for easy without parameters"):
            sim.play(tasks, pool(8), f"mine+easy({rule})")
    with pytest.raises(sim.InvalidPolicy, match="not backfilled by mine, whose scores change"):
        sim.play(tasks, pool(8), "sjf+easy(order=mine)")


def test_a_function_of_the_task_alone_is_scored_once_and_gives_the_schedules_of_the_shipped_orders() -> None:
    sim.compiled("mine")(lambda task: task.estimate)

    def slopes(task: Any) -> Any:
        return 0.0, np.cbrt(task.processors) / (task.estimate if task.estimate > 0 else 1.0)

    sim.compiled("aged")(slopes)
    pairs = [(f"{one}{rule}", f"{own}{rule}") for one, own in (("sjf", "mine"), ("wfp3", "aged")) for rule in RULES]
    for seed in range(4):
        played = sim.play(random_tasks(seed, nodes=False), "hpc-8", [name for pair in pairs for name in pair])
        for one, other in pairs:
            for column in ("start_time", "finish_time"):
                np.testing.assert_array_equal(played.placements(one)[column], played.placements(other)[column])
    scores = sim.Simulation(random_tasks(1, nodes=False), pool(8), sim.parse_policy("mine")).scores()
    assert (scores.kind, scores.slope) == (STATIC, None)


def test_a_function_of_the_task_alone_may_stop_tasks_as_any_order() -> None:
    sim.compiled("mine")(lambda task: task.estimate)
    tasks = random_tasks(2, nodes=False)
    played = sim.play(tasks, "hpc-8", "sjf~suspend,mine~suspend")
    np.testing.assert_array_equal(
        played.placements("mine~suspend")["start_time"], played.placements("sjf~suspend")["start_time"]
    )


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (lambda task: task.wait_time, "mine cannot be compiled: [^\n]*wait_time[^\n]* knows no wait; let it take"),
        (lambda task: np.nan if task.user == 1 else 0.0, "The score of mine is not a number for 1 of 3 tasks, first"),
        (lambda task: (task.estimate, -1.0), "The slope of mine is -1 for task 1, not a finite number from 0 up"),
        (lambda _task: "late", "mine returns a text, where a real number or a pair of them was expected"),
        (lambda task: (task.cpus, 0, 0), "mine returns 3 values, where a real number or a pair"),
        (lambda task: (task.cpus,), "mine returns a tuple of 1, where a real number or a pair"),
        (lambda _task: (), "mine returns a tuple of 0, where a real number or a pair"),
        (lambda task: task.cpus if task.user else None, "mine returns None for some tasks, where"),
        (lambda _task, now: (now.time, 0.0), r"mine returns 2 values, where a real number was expected\."),
        (3, "mine is no function, but 3"),
        (
            lambda task, now, more: task.estimate + now.time + more,
            "mine takes 3 arguments, where a task, or a task and the instant, are given",
        ),
    ],
)
def test_a_broken_function_of_the_task_alone_is_refused_in_one_sentence(function: Any, sentence: str) -> None:
    tasks = sim.Workload.from_columns(arrival_time=[0.0, 1.0, 1.0], runtime=[5.0, 5.0, 5.0], user=["ann", "bob", "ann"])

    def play() -> None:
        sim.compiled("mine")(function)
        sim.play(tasks, "hpc-2", "mine")

    with pytest.raises(sim.InvalidPolicy, match=sentence):
        play()


def test_a_function_of_the_task_alone_that_raises_is_told_with_the_task() -> None:
    def alone(task: Any) -> Any:
        if task.user == 1:
            raise ValueError("no such user")
        return 0.0

    sim.compiled("mine")(alone)
    tasks = sim.Workload.from_columns(arrival_time=[0.0, 1.0], runtime=[5.0, 5.0], user=["ann", "bob"])
    with pytest.raises(sim.InvalidPolicy) as refused:
        sim.play(tasks, "hpc-2", "mine")
    assert str(refused.value) == "mine fails at scoring task 2, which arrives at 1 s: ValueError: no such user."
