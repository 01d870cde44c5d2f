"""What several policies share and do at a time changes nothing of what each does."""

import gc
import sys
import threading
import time
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from scheduler_sim import engine as sim
from scheduler_sim.engine.clusters.demand import demands
from scheduler_sim.engine.clusters.oversize import oversized
from scheduler_sim.engine.crew import QUICK_TURN, Crew, quick_turns
from scheduler_sim.engine.kernels import make_kernel  # noqa: F401 before anything is compiled, see `RECORDS` there
from scheduler_sim.engine.numerics.ordering import order_of, places_of
from scheduler_sim.engine.policies import parse_policies, parse_policy
from scheduler_sim.engine.sharing import Shared
from scheduler_sim.engine.simulation import set_up
from scheduler_sim.engine.stored_schedule import laid_out

NUMBERS = st.one_of(
    arrays.arrays(np.float64, st.integers(0, 60), elements=st.floats(width=64)),
    arrays.arrays(np.float64, st.integers(0, 60), elements=st.sampled_from([0.0, -0.0, 1.0, np.nan, -np.inf, np.inf])),
    arrays.arrays(np.int64, st.integers(0, 60), elements=st.integers(-(2**63), 2**63 - 1)),
    arrays.arrays(np.int64, st.integers(0, 60), elements=st.integers(0, 3)),
)


@given(values=NUMBERS)
def test_numbers_are_put_in_order_as_numpy_does(values: np.ndarray) -> None:
    order = order_of(values)
    np.testing.assert_array_equal(order, np.argsort(values, kind="stable"))
    np.testing.assert_array_equal(order[places_of(order)] if len(order) else order, np.arange(len(order))[: len(order)])


@given(values=NUMBERS, seed=st.integers(0, 9))
def test_some_rows_are_put_in_order_from_any_order(values: np.ndarray, seed: int) -> None:
    rows = np.random.default_rng(seed).permutation(len(values))[: len(values) // 2]
    np.testing.assert_array_equal(order_of(values, rows), rows[np.argsort(values[rows], kind="stable")])


def test_simulations_that_share_do_what_they_do_alone() -> None:
    workload = sim.generate("lublin", tasks=300, seed=2).workload
    cluster, shared = sim.load_cluster("hpc-256"), Shared()
    for name in (
        "sjf",
        "sjf+easy",
        "wfp3",
        "wfp3+list",
        "random_order",
        "fcfs+conservative",
        "sjf+easy(predict=last_two)",
    ):
        together = sim.Simulation(workload, cluster, parse_policy(name), seed=4, shared=shared)
        alone = sim.Simulation(workload, cluster, parse_policy(name), seed=4)
        for one in (together, alone):
            one.advance()
        for field in ("start_time", "finish_time", "completion_order", "node", "device"):
            np.testing.assert_array_equal(getattr(together.outcome(), field), getattr(alone.outcome(), field))


def test_tasks_that_finish_at_one_instant_are_put_in_order_whatever_the_steps() -> None:
    ids = np.arange(1, 41)
    tasks = sim.Workload.from_columns(task_id=ids, arrival_time=np.zeros(40), runtime=(ids % 3) * 5.0, cpus=ids % 4 + 1)
    for policy in ("ljf+list", "fcfs+conservative"):
        whole, steps = (sim.Simulation(tasks, sim.load_cluster("hpc-9"), parse_policy(policy)) for _ in range(2))
        whole.advance()
        while not steps.done:
            steps.advance(max_events=1)
        order = whole.outcome().completion_order
        np.testing.assert_array_equal(steps.outcome().completion_order, order)
        np.testing.assert_array_equal(order, np.lexsort((np.arange(40), whole.outcome().finish_time)))


@given(cpus=arrays.arrays(np.float64, 6, elements=st.sampled_from([0.5, 1.0, 7.9999999, 8.0, 8.001, 9.0, 16.0])))
def test_what_a_pool_never_holds_is_found_as_on_any_cluster(cpus: np.ndarray) -> None:
    tasks = sim.Workload.from_columns(arrival_time=np.zeros(6), runtime=np.ones(6), cpus=cpus)
    pool = sim.load_cluster("hpc-8")
    np.testing.assert_array_equal(oversized(tasks, pool), np.flatnonzero(~demands(tasks, pool).fits))


def test_a_crew_returns_in_order_and_raises_what_failed_first() -> None:
    with Crew(3) as crew:
        assert crew.each(lambda number: number * 2, range(7)) == [0, 2, 4, 6, 8, 10, 12]
        assert not crew.failed.is_set()

        def fail(number: int) -> None:
            if number:
                raise ValueError(number)
            time.sleep(0.05)

        with pytest.raises(ValueError, match="1"):
            crew.each(fail, range(3))
        assert crew.failed.is_set()


def test_what_two_threads_need_is_worked_out_once_and_again_after_a_failure() -> None:
    shared, made = Shared(), []

    def make() -> int:
        made.append(threading.get_ident())
        time.sleep(0.02)
        if len(made) == 1:
            raise ValueError("once")
        return 5

    with pytest.raises(ValueError, match="once"):
        shared.once("key", make)
    with Crew(4) as crew:
        assert crew.each(lambda _: shared.once("key", make), range(4)) == [5] * 4
    assert len(made) == 2


def test_policies_of_one_order_are_set_up_apart_and_returned_in_their_order() -> None:
    policies = [parse_policy(name) for name in ("fcfs", "fcfs+easy", "sjf", "sjf+easy", "f1")]
    begun: list[str] = []

    def make(policy: sim.Policy) -> str:
        begun.append(policy.name)
        return policy.name

    with Crew(1) as crew:
        assert set_up(make, policies, each=crew.each) == [policy.name for policy in policies]
    assert begun == ["fcfs", "sjf", "f1", "fcfs+easy", "sjf+easy"]


def test_turns_are_as_long_as_before_once_a_run_is_over() -> None:
    usual = sys.getswitchinterval()
    with quick_turns():
        assert sys.getswitchinterval() == pytest.approx(QUICK_TURN) != usual
    assert sys.getswitchinterval() == usual
    first, second = quick_turns(), quick_turns()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert sys.getswitchinterval() == pytest.approx(QUICK_TURN)
    second.__exit__(None, None, None)
    assert sys.getswitchinterval() == usual


def test_policies_that_python_decides_play_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    playing, most = set(), []

    class Greedy:
        def decide(self, state):
            playing.add(id(self))
            most.append(len(playing))
            time.sleep(0.0001)
            playing.discard(id(self))
            free = state.free_cores[0]
            for row in state.queue:
                if state.cpus[row] <= free:
                    free -= state.cpus[row]
                    yield row

    from scheduler_sim.engine.policies import own
    from scheduler_sim.engine.policies.order import ORDERS

    names = ("greedy_one", "greedy_two", "greedy_three")
    for name in names:
        own.deciding(name)(type(name, (Greedy,), {}))
    try:
        workload = sim.generate("lublin", tasks=60, seed=1).workload
        result = sim.play(workload, "hpc-256", [*names, "fcfs"], workers=3)
    finally:
        for name in names:
            ORDERS.remove(name)
    assert max(most) == 1
    for name in names[1:]:
        np.testing.assert_array_equal(
            result.simulations[name].outcome().start_time, result.simulations[names[0]].outcome().start_time
        )


@pytest.mark.parametrize(
    ("policies", "cluster"),
    [
        ("fcfs,sjf+easy,wfp3,wfp3+easy,fcfs+conservative,srtf", "hpc-256"),
        ("fcfs@best_fit,round_robin,oracle", "workstation"),
    ],
)
def test_what_is_laid_out_lets_go_of_what_it_was_played_with(policies: str, cluster: str) -> None:
    workload = sim.generate("lublin", tasks=20, seed=2).workload if cluster == "hpc-256" else tasks_of_one_node()
    simulations = [sim.Simulation(workload, sim.load_cluster(cluster), policy) for policy in parse_policies(policies)]
    for simulation in simulations:
        simulation.advance()
    kernels = [weakref.ref(simulation.kernel) for simulation in simulations]
    gc.disable()
    try:
        kept = [laid_out(simulation) for simulation in simulations]
        played = [simulation.outcome().finish_time.copy() for simulation in simulations]
        del simulation, simulations
        assert [kernel() for kernel in kernels] == [None] * len(kernels)
    finally:
        gc.enable()
    np.testing.assert_array_equal([one.outcome().finish_time for one in kept], played)


def tasks_of_one_node() -> sim.Workload:
    """Return ten tasks, every other one for a GPU."""
    return sim.Workload.from_columns(
        arrival_time=np.arange(10.0), runtime=np.full(10, 5.0), cpus=np.ones(10), gpus=np.arange(10) % 2.0
    )
