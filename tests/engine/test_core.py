"""What the event core promises beside its schedules: figures from attempts, refusals, batches."""

import numpy as np
import pytest

from scheduler_sim.engine import Cluster, InvalidPolicy, NodeGroup, Options, Simulation, Workload, parse_policy
from scheduler_sim.engine.clusters.overheads import Checkpoints, Overhead
from scheduler_sim.engine.contract import REASONS, Attempts
from scheduler_sim.engine.errors import EngineError, InvalidParameter
from scheduler_sim.engine.measuring.metrics import TaskFigures, summarise, whole_run
from scheduler_sim.engine.measuring.usage import energy_and_cost, holdings
from tests.engine.pool_cases import lognormal_workload, pool

POLICIES = ["srtf", "srsf", "las(limits=50/500)", "rr(quantum=7)", "sjf~suspend", "sjf~requeue", "wfp3+list~suspend"]
POLICIES += ["fcfs+easy~requeue", "sjf+easy~suspend", "srtf(restart_overhead=8:2/5)", "las(limits=60/600,promote=2)"]


def play(policy, workload, processors=16, **options):
    simulation = Simulation(workload, pool(processors), parse_policy(policy), options=Options(**options))
    simulation.advance()
    return simulation


def by_hand(policy, **options):
    workload = Workload.from_columns(arrival_time=[0, 1, 2], runtime=[10, 2, 1], cpus=[2, 2, 1])
    return play(policy, workload, 2, **options)


def test_a_shorter_task_stops_a_longer_one_which_then_goes_on():
    simulation = by_hand("srtf")
    assert simulation.outcome().start_time.tolist() == [0, 1, 3]
    assert simulation.outcome().finish_time.tolist() == [13, 3, 4]
    attempts = simulation.attempts()
    rows = [attempts.row, attempts.number, attempts.start_time, attempts.end_time]
    assert [column.tolist() for column in rows] == [[0, 0], [1, 2], [0, 4], [1, 13]]
    assert [REASONS[code] for code in attempts.reason] == ["suspended", "finished"]
    assert simulation.history().service_time.tolist() == [10, 2, 1]
    assert simulation.history().lost_time.tolist() == [0, 0, 0]


def test_a_requeued_task_loses_what_it_did():
    simulation = by_hand("sjf~requeue")
    # The second stops the first after 1 s, the third the second after 1 s; both begin anew.
    assert simulation.outcome().finish_time.tolist() == [15, 5, 3]
    assert simulation.history().attempts.tolist() == [2, 2, 1]
    assert simulation.history().lost_time.tolist() == [1, 1, 0]


def test_a_start_that_costs_something_is_time_lost():
    simulation = by_hand("srtf(restart_overhead=2)")
    history = simulation.history()
    assert history.service_time.tolist() == [10, 2, 1]
    assert (history.lost_time > 0).all()


def test_a_task_that_times_out_runs_again_so_often_and_no_more():
    workload = Workload.from_columns(arrival_time=[0, 0], runtime=[10, 2], duration_estimate=[4, 4])
    simulation = play("fcfs", workload, 1, kill_at_estimate=True, max_requeues=2)
    assert simulation.history().attempts.tolist() == [3, 1]
    assert simulation.outcome().finish_time.tolist() == [12, 14]
    assert simulation.history().ending.tolist() == [1, 0]
    behind = play("fcfs", workload, 1, kill_at_estimate=True, max_requeues=1, requeue_at="end")
    assert behind.outcome().finish_time.tolist() == [10, 6]


def test_a_task_that_times_out_goes_on_from_its_checkpoint():
    workload = Workload.from_columns(arrival_time=[0], runtime=[10], duration_estimate=[6])
    points = Checkpoints(interval=4.0, write=0.5, read=0.25)
    simulation = play("fcfs", workload, 1, kill_at_estimate=True, max_requeues=3, checkpoints=points)
    # 4 done and written at 4.5, stopped at 6.5; then 6 from 4 on, one checkpoint between.
    assert simulation.outcome().finish_time.tolist() == [6.5 + 0.25 + 6 + 0.5]
    assert simulation.history().service_time.tolist() == [10]


@pytest.mark.parametrize("policy", POLICIES)
def test_what_runs_never_exceeds_the_pool_and_every_task_gets_its_work(policy):
    workload = lognormal_workload(400, 16, 0.9, seed=3)
    simulation = play(policy, workload)
    spans, history = simulation.spans(), simulation.history()
    times = np.concatenate([spans.end_time, spans.start_time])
    change = np.concatenate([-spans.cpus, spans.cpus])
    order = np.lexsort((np.repeat([0, 1], len(spans)), times))
    assert change[order].cumsum().max() <= 16
    np.testing.assert_allclose(history.service_time, workload.runtime, atol=1e-6)
    assert (history.lost_time > -1e-6).all()
    held = np.bincount(spans.row, spans.end_time - spans.start_time, len(workload))
    np.testing.assert_allclose(held, history.held_time, atol=1e-6)
    attempts = simulation.attempts()
    assert set(np.flatnonzero(history.attempts > 1)) == set(attempts.row.tolist())
    for row in np.unique(attempts.row):
        mine = attempts.number[attempts.row == row]
        assert sorted(mine.tolist()) == list(range(1, history.attempts[row] + 1))


@pytest.mark.parametrize("policy", POLICIES)
def test_figures_over_time_are_those_of_the_attempts(policy):
    workload = lognormal_workload(300, 16, 0.9, seed=5)
    group = NodeGroup("pool", count=1, cores=16, cpu_idle_watts=1.0, cpu_busy_watts=3.0, usd_per_core_hour=3600.0)
    simulation = Simulation(workload, Cluster("pool", (group,)), parse_policy(policy))
    simulation.advance()
    outcome, spans = simulation.outcome(), simulation.spans()
    summary = summarise(simulation, edges=np.array(whole_run(workload, [outcome])))
    core_seconds = ((spans.end_time - spans.start_time) * spans.cpus).sum()
    assert summary.cpu_utilisation[0] * 16 * summary.makespan[0] == pytest.approx(core_seconds)
    assert summary.energy_joules[0] == pytest.approx(3.0 * core_seconds)
    assert summary.cost_usd[0] == pytest.approx(core_seconds)
    rows = np.arange(len(workload))
    energy, cost = energy_and_cost(simulation, rows)
    assert energy.sum() == pytest.approx(3.0 * core_seconds)
    assert cost.sum() == pytest.approx(core_seconds)
    assert holdings(simulation, rows).cpu_busy == pytest.approx(simulation.history().held_time)
    present = outcome.finish_time - workload.arrival_time
    waiting = (present - simulation.history().held_time).sum()
    assert summary.mean_queue_length[0] * summary.makespan[0] == pytest.approx(waiting, abs=1e-3)
    slowdown = np.maximum(1, present / np.maximum(simulation.history().service_time, 10))
    np.testing.assert_allclose(TaskFigures.of(workload, outcome).bounded_slowdown, slowdown)


def test_attempts_are_handed_over_in_batches_and_not_kept():
    workload = lognormal_workload(2_000, 16, 1.1, seed=6)
    kept = play("rr(quantum=2)", workload)
    batches: list[Attempts] = []
    simulation = Simulation(workload, pool(16), parse_policy("rr(quantum=2)"), on_attempts=batches.append)
    simulation.advance()
    assert max(len(batch) for batch in batches) < 66_000
    assert sum(len(batch) for batch in batches) == len(kept.attempts())
    assert len(simulation.attempts()) == 0
    with pytest.raises(RuntimeError, match="not kept"):
        simulation.spans()


def test_a_task_that_waits_to_go_on_neither_runs_nor_has_finished():
    workload = Workload.from_columns(arrival_time=[0, 1], runtime=[10, 2])
    simulation = Simulation(workload, pool(1), parse_policy("srtf"))
    simulation.advance(until_time=2.0)
    assert (simulation.kernel.queued, simulation.kernel.running, simulation.finished) == (1, 1, 0)
    assert np.isnan(simulation.outcome().finish_time[0])
    starts, ends = simulation.waits()
    assert sorted(zip(starts.tolist(), ends.tolist(), strict=True)) == [(0.0, 0.0), (1.0, 1.0), (1.0, np.inf)]


@pytest.mark.parametrize(
    ("policy", "options", "sentence"),
    [
        ("rr(quantum=2,restart_overhead=3)", {}, "would make no progress"),
        ("rr(quantum=2)", {"restart_overhead": Overhead.read("2")}, "would make no progress"),
        ("rr(quantum=2,restart_overhead=1)", {"checkpoints": Checkpoints(5.0, read=1.0)}, "a start costs 2 s"),
        ("las(limits=8/9,promote=1,restart_overhead=4)", {}, "would make no progress"),
        ("las(limits=8/9,promote=1,restart_overhead=1)", {"checkpoints": Checkpoints(5.0, read=3.0)}, "costs 4 s"),
        ("sjf~checkpoint", {}, "the run must say how often"),
    ],
)
def test_what_the_core_does_not_play_is_refused_before_anything_runs(policy, options, sentence):
    workload = Workload.from_columns(arrival_time=[0, 1], runtime=[10, 2], cpus=[2, 2])
    with pytest.raises(EngineError) as refused:
        Simulation(workload, pool(2), parse_policy(policy), options=Options(**options))
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    "text", ["srtf+easy", "srtf~suspend", "las+list", "srtf(restart_overhead=-1)", "rr(quantum=0)", "rr(quantum=inf)"]
)
def test_policies_that_contradict_themselves_are_refused(text):
    with pytest.raises(InvalidPolicy):
        parse_policy(text)


@pytest.mark.parametrize("text", ["", "x", "-1", "nan", "inf", "1:2", "8:1/4:2/3", "1:-2/3", "1:2:3/4", "0:1/2"])
def test_an_overhead_that_means_nothing_is_refused(text):
    with pytest.raises(ValueError, match=r".*"):
        Overhead.read(text)


def test_an_overhead_goes_by_the_devices_held():
    steps = Overhead.read("1:7/8:30/60")
    assert str(steps) == "1:7/8:30/60"
    assert steps.seconds(np.array([0.5, 1.0, 2.0, 8.0, 9.0])).tolist() == [7, 7, 30, 30, 60]
    assert str(Overhead.read("2.5")) == "2.5"


@pytest.mark.parametrize(
    "values",
    [{"interval": 0.0}, {"interval": np.nan}, {"interval": 60.0, "write": -1.0}, {"interval": 60.0, "read": np.inf}],
)
def test_checkpoints_that_mean_nothing_are_refused(values):
    with pytest.raises(InvalidParameter):
        Checkpoints(**values)


@pytest.mark.parametrize(
    "values",
    [{"max_requeues": 1}, {"max_requeues": -1, "kill_at_estimate": True}, {"max_failures": 0}, {"requeue_at": "front"}],
)
def test_options_that_mean_nothing_are_refused(values):
    with pytest.raises(InvalidParameter):
        Options(**values)


def test_no_task_is_ended_at_a_limit_that_it_did_not_state():
    workload = Workload.from_columns(arrival_time=[0, 0], runtime=[10, 50], duration_estimate=[4, np.nan])
    simulation = play("fcfs", workload, 2, kill_at_estimate=True, max_requeues=1)
    assert simulation.outcome().finish_time.tolist() == [8, 50]
    assert simulation.history().ending.tolist() == [1, 0]


def test_a_task_that_waits_at_the_end_again_was_ready_when_it_was():
    workload = Workload.from_columns(arrival_time=[0, 0], runtime=[10, 2], duration_estimate=[4, 4])
    simulation = play("fcfs", workload, 1, kill_at_estimate=True, max_requeues=1, requeue_at="end")
    assert simulation.outcome().ready_time.tolist() == [0, 0]
    starts, ends = simulation.waits()
    assert sorted(zip(starts.tolist(), ends.tolist(), strict=True)) == [(0.0, 0.0), (0.0, 4.0), (4.0, 6.0)]
