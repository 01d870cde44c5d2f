"""The closed loop: who follows whom, and the schedule held beside the slow reference."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduler_sim import engine as sim
from scheduler_sim.engine import Options, Simulation, Workload, parse_policy
from scheduler_sim.engine.errors import InvalidPolicy, InvalidWorkload
from scheduler_sim.engine.policies.order import ScoreContext
from scheduler_sim.engine.policies.own import scoring
from scheduler_sim.engine.workloads.feedback import predecessors, session_requests
from scheduler_sim.engine.workloads.requests import Requests
from scheduler_sim.engine.workloads.workload import FloatArray
from tests.engine.own import own_policies
from tests.engine.pool_cases import cases, play_in_steps, pool
from tests.engine.reference_feedback import reference_loop

CLOSED = Options(closed_loop=True)
ORDERS = ("fcfs", "sjf", "wfp3", "f1", "edf", "random_order")
thorough = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def following(workload: Workload, follows: list[int], thinks: list[float]) -> Workload:
    """Return the workload whose tasks follow others by number."""
    asked = Requests.blank(len(workload), follows=np.array(follows, np.int64), think_time=np.array(thinks, np.float64))
    return replace(workload, requests=asked)


@st.composite
def loops(draw: st.DrawFn) -> tuple[Workload, sim.Cluster, Options]:
    workload, cluster, options = draw(cases())
    count = len(workload)
    follows = draw(st.lists(st.one_of(st.just(0), st.integers(1, count)), min_size=count, max_size=count))
    thinks = draw(st.lists(st.sampled_from([0.0, 0.0, 0.1, 1 / 3, 1.0, 2.0, 30.0]), min_size=count, max_size=count))
    follows[-1] = int(workload.task_id[0]) if count > 1 else 0
    return following(workload, follows, thinks), cluster, replace(options, closed_loop=True)


@pytest.mark.parametrize("backfill", ["none", "list", "easy", "conservative", "easy(order=sjf)"])
@pytest.mark.parametrize("order", ORDERS)
@settings(thorough, max_examples=15)
@given(case=loops(), in_steps=st.booleans())
def test_a_closed_loop_equals_the_reference(
    order: str, backfill: str, case: tuple[Workload, sim.Cluster, Options], in_steps: bool
) -> None:
    workload, cluster, options = case
    if (predecessors(workload)[0] < 0).all():
        return
    simulation = Simulation(workload, cluster, parse_policy(f"{order}+{backfill}"), options=options)
    reference = reference_loop(simulation, workload)
    reference.play()
    if in_steps:
        play_in_steps(simulation, 50_000.0)
    else:
        simulation.advance()
    outcome, rows = simulation.outcome(), range(len(workload))
    assert simulation.workload.arrival_time.tolist() == [reference.arrival[row] for row in rows]
    assert outcome.start_time.tolist() == [reference.start[row] for row in rows]
    assert outcome.finish_time.tolist() == [reference.finish[row] for row in rows]
    assert simulation.done


def test_a_task_comes_its_think_time_after_the_other_has_ended() -> None:
    # Two processors: the first two hold them, the third waits for the second, which ends at 10.
    tasks = Workload.from_columns(arrival_time=[0, 0, 1, 2], runtime=[8, 10, 5, 1], cpus=[1, 1, 1, 2], user=["a"] * 4)
    tasks = replace(following(tasks, [0, 0, 2, 3], [np.nan, np.nan, 4.0, 0.0]), deadline_time=np.full(4, 100.0))
    played = sim.play(tasks, pool(2), "fcfs", options=CLOSED)
    found = played.placements("fcfs", kind="numpy")
    assert found["arrival_time"].tolist() == [0, 0, 14, 19]
    assert found["start_time"].tolist() == [0, 0, 14, 19]
    assert found["wait_time"].tolist() == [0, 0, 0, 0]
    assert found["job_completion_time"].tolist() == [8, 10, 5, 1]
    assert played.simulations["fcfs"].workload.deadline_time.tolist() == [100, 100, 113, 117]
    opened = sim.play(tasks, pool(2), "fcfs").placements(kind="numpy")
    assert opened["start_time"].tolist() == [0, 0, 8, 13]
    # What was given is left as it was.
    assert tasks.arrival_time.tolist() == [0, 0, 1, 2]


def test_policies_of_a_closed_loop_are_compared_by_the_waits_of_their_own_arrivals() -> None:
    tasks = Workload.from_columns(arrival_time=[0, 0, 1], runtime=[8, 10, 5], cpus=[1, 1, 1])
    tasks = following(tasks, [0, 0, 1], [np.nan, np.nan, 100.0])
    played = sim.play(tasks, pool(1), "fcfs,ljf", options=CLOSED)
    beside = sim.compare(played, "fcfs", kind="numpy")
    # The first waits for the second under ljf, and is followed 100 s after its end under both.
    assert beside["mean"].tolist() == [(10 - 8) / 3]


def test_a_score_by_how_much_later_a_task_comes_than_others_is_refused() -> None:
    with own_policies("mine"):

        @scoring("mine")
        def mine(context: ScoreContext) -> FloatArray:
            arrival = context.workload.arrival_time
            found: FloatArray = arrival - arrival.min()
            return found

        tasks = Workload.from_columns(arrival_time=[0, 10, 20], runtime=[8, 10, 5], cpus=[1, 1, 1])
        with pytest.raises(InvalidPolicy, match="scores a task by when others come"):
            sim.play(following(tasks, [0, 0, 1], [np.nan, np.nan, 1.0]), pool(1), "mine", options=CLOSED)


def test_nodes_with_gpus_and_dependencies_are_played_too() -> None:
    tasks = Workload.from_columns(arrival_time=[0, 1, 2], runtime=[5, 5, 5], gpus=[1, 1, 1], dependencies=[[], [], [1]])
    tasks = following(tasks, [0, 1, 2], [np.nan, 2.0, 3.0])
    played = sim.play(tasks, "dgx-1", "sjf+easy@best_fit", options=CLOSED)
    found = played.placements(kind="numpy")
    assert found["arrival_time"].tolist() == [0, 7, 15]
    assert found["start_time"].tolist() == [0, 7, 15]


def test_sessions_are_seen_in_recorded_ends() -> None:
    tasks = Workload.from_columns(
        arrival_time=[0, 10, 700, 720, 5000, 6200, 50],
        runtime=[600, 100, 100, 3000, 10, 10, 1],
        recorded_start_time=[0, 10, 700, 720, 5000, 6200, 50],
        user=["ann", "ann", "ann", "ann", "ann", "ann", "bob"],
    )
    asked = session_requests(tasks)
    derived = replace(tasks, requests=asked)
    by_number = dict(zip(derived.task_id.tolist(), asked.follows.tolist(), strict=True))
    # The third and the fourth come 100 and 120 s after the first ended, the fifth 1,280 s after the fourth, which is a
    # new session; the sixth 1,190 s after the fifth.
    assert by_number == {1: 0, 2: 0, 3: 1, 4: 1, 5: 0, 6: 5, 7: 0}
    thinks = dict(zip(derived.task_id.tolist(), asked.think_time.tolist(), strict=True))
    assert (thinks[3], thinks[4], thinks[6]) == (100, 120, 1190)
    rows, seconds = predecessors(derived)
    # As recorded, the closed loop is the open one.
    ends, follows = derived.recorded_start_time + derived.runtime, rows >= 0
    np.testing.assert_array_equal((ends[rows] + seconds)[follows], derived.arrival_time[follows])


def test_a_think_time_that_is_not_stated_is_what_the_log_shows() -> None:
    tasks = Workload.from_columns(
        arrival_time=[0, 30, 40], runtime=[10, 1, 1], recorded_start_time=[5, 30, 40], task_id=[4, 7, 9]
    )
    rows, thinks = predecessors(following(tasks, [0, 4, 7], [np.nan, np.nan, 2.0]))
    assert rows.tolist() == [-1, 0, 1]
    assert thinks.tolist() == [0, 15, 2]
    # One that is not there, comes later, or is the task itself, is none.
    assert predecessors(following(tasks, [9, 7, 5], [1.0] * 3))[0].tolist() == [-1, -1, -1]


@pytest.mark.parametrize(
    ("policy", "options", "reason"),
    [
        ("srtf", Options(closed_loop=True), "stop and go on"),
        ("fcfs~suspend", Options(closed_loop=True), "stop and go on"),
        ("fcfs+easy(predict=last_two)", Options(closed_loop=True), "single pool"),
        ("recorded", Options(closed_loop=True), "closed loop"),
        ("sjf+easy(order=fcfs)", Options(closed_loop=True), "goes by arrivals"),
    ],
)
def test_what_cannot_be_played_in_a_closed_loop_is_refused(policy: str, options: Options, reason: str) -> None:
    tasks = Workload.from_columns(arrival_time=[0, 1], runtime=[1, 1], recorded_start_time=[0, 1])
    with pytest.raises(InvalidPolicy, match=reason):
        Simulation(following(tasks, [0, 1], [0.0, 1.0]), pool(1), parse_policy(policy), options=options)


def test_a_workload_in_which_nobody_follows_is_refused() -> None:
    tasks = Workload.from_columns(arrival_time=[0, 1], runtime=[1, 1])
    with pytest.raises(InvalidWorkload, match="none of these says which"):
        Simulation(tasks, pool(1), parse_policy("fcfs"), options=CLOSED)
    with pytest.raises(InvalidWorkload, match="who submitted"):
        session_requests(tasks)
    with pytest.raises(InvalidWorkload, match="2 of 2"):
        session_requests(Workload.from_columns(arrival_time=[0, 1], runtime=[1, 1], user=["a", "b"]))
