"""Forecasts of starts: what is drawn, what can never start, that seeds decide, and how forecasts are scored."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scheduler_sim.engine.errors import InvalidParameter, InvalidTrace
from scheduler_sim.engine.forecasting import Accuracy, Expected, Forecast, Past, Scored, forecast, score
from scheduler_sim.engine.forecasting.accuracy import chance_of_covering, lead, realised
from scheduler_sim.engine.forecasting.arrivals import Arrivals
from scheduler_sim.engine.forecasting.forecast import deciles
from scheduler_sim.engine.forecasting.heldout import held_out, identified, printed_queues, queue_at, real_starts
from scheduler_sim.engine.forecasting.present import present
from scheduler_sim.engine.forecasting.runtimes import RunTimes, survivors
from scheduler_sim.engine.sites import Site, read_site
from scheduler_sim.engine.traces.slurm_snapshots import QueuedJob, split_snapshots
from scheduler_sim.engine.workloads.columns import Labels
from scheduler_sim.engine.workloads.requests import Requests
from scheduler_sim.engine.workloads.workload import Workload

PathOf = Callable[[str], Path]

SITE = """
name: small
groups: [{hosts: "c[1-2]", cores: 4}, {hosts: "g1", cores: 4, gpus: 2, gpu_type: a100}]
partitions:
- {name: batch, hosts: "c[1-2]", is_default: true, max_time: 7200}
- {name: gpu, hosts: g1}
scheduling: {submission_delay_time: 1, main_interval_time: 10, backfill_interval_time: 3, backfill_resolution_time: 1}
"""
AT = 100_000.0


def site() -> Site:
    return read_site(SITE)


def runs(job: str, hosts: str, **more: Any) -> QueuedJob:
    """Return a job that has run for 100 s of 600 on whole nodes."""
    known = {"user": "ann", "partition": "batch", "state": "RUNNING", "limit": 600.0, "cpus": 4, "nodes": 1}
    return QueuedJob(**{"job": job, "hosts": hosts, "submitted": AT - 200, "started": AT - 100, **known, **more})


def waits(job: str, **more: Any) -> QueuedJob:
    known = {"user": "bob", "partition": "batch", "state": "PENDING", "limit": 600.0, "cpus": 4, "nodes": 1}
    return QueuedJob(**{"job": job, "submitted": AT - 50, "reason": "Resources", **known, **more})


def past(ratios: list[float], *, users: list[str] | None = None, begin: float = 0.0) -> Past:
    """Return tasks with a limit of 600 s that ran one after another, each for its part of the limit."""
    count = len(ratios)
    start = begin + 700.0 * np.arange(count)
    workload = Workload.from_columns(
        arrival_time=start,
        runtime=600.0 * np.array(ratios),
        duration_estimate=np.full(count, 600.0),
        cpus=np.full(count, 4.0),
        user=users or ["ann"] * count,
        queue=["batch"] * count,
        recorded_start_time=start,
    )
    return Past(workload, 0.0)


def expected(found: Forecast) -> dict[str, Expected]:
    return {one.job: one for one in found.jobs}


def test_a_job_waits_until_what_runs_has_run_as_long_as_such_tasks_do() -> None:
    queue = [runs("1", "c1"), runs("2", "c2"), waits("3")]
    found = forecast(queue, site(), at=AT, past=past([0.5] * 100), replicas=20)
    (job,) = found.jobs
    assert job.start_at is not None
    assert job.earliest_at is not None
    assert job.latest_at is not None
    # Half of 600 s, of which 100 have gone by, and until the loops have looked.
    assert AT + 190 <= job.earliest_at <= job.start_at <= job.latest_at <= AT + 215
    assert (job.reason, job.kind, found.running, found.learned, found.at) == ("Resources", "expected", 2, 100, AT)


def test_without_a_past_what_runs_may_end_at_any_time_up_to_its_limit() -> None:
    found = forecast([runs("1", "c1"), runs("2", "c2"), waits("3")], site(), at=AT, replicas=60)
    (job,) = found.jobs
    assert job.earliest_at is not None
    assert job.latest_at is not None
    assert AT <= job.earliest_at < AT + 120
    assert AT + 300 < job.latest_at < AT + 800


def test_jobs_wait_for_the_nodes_that_are_really_held() -> None:
    # The first fit would be the first node; only the second one is held for long.
    queue = [runs("1", "c2", started=AT - 10), waits("2", nodes=1), waits("3", nodes=1)]
    found = expected(forecast(queue, site(), at=AT, past=past([0.9] * 100), replicas=10))
    assert (found["2"].start_at or 0) < AT + 15
    assert (found["3"].start_at or 0) > AT + 500
    state = present(queue, site(), at=AT, zero_at=None, asked=None)
    assert (state.running, state.moved, state.left_out) == (1, (), ())
    whole = present([runs("1", "c[1-2]", nodes=2, cpus=8), waits("2")], site(), at=AT, zero_at=None, asked=None)
    assert [group.count for group in whole.site.cluster.groups] == [2, 1]


def test_jobs_of_higher_priority_go_first() -> None:
    queue = [runs("1", "c1"), runs("2", "c2"), waits("3", priority=5.0, nodes=2, cpus=8)]
    queue.append(waits("4", priority=9.0, nodes=2, cpus=8))
    found = forecast(queue, site(), at=AT, past=past([0.5] * 100), replicas=10)
    assert [one.job for one in found.jobs] == ["4", "3"]


def test_a_running_job_on_unknown_nodes_is_held_where_it_fits() -> None:
    state = present([runs("1", "x9"), waits("2")], site(), at=AT, zero_at=None, asked=None)
    assert (state.running, state.moved) == (1, ("1",))
    gone = present([runs("1", "c1", cpus=400), waits("2")], site(), at=AT, zero_at=None, asked=None)
    assert (gone.running, gone.left_out) == (0, ("1",))


def test_jobs_that_can_never_start_say_why() -> None:
    queue = [
        runs("1", "c1"),
        waits("2", nodes=3, cpus=12),
        waits("3", limit=9000.0),
        waits("4", dependency="afterok:2(unfulfilled)", reason="Dependency"),
        waits("5", reason="DependencyNeverSatisfied", dependency="afterok:99(failed)"),
        waits("6", reason="JobHeldUser"),
        waits("7", reason="Dependency", dependency="afterany:6(unfulfilled)"),
        waits("8"),
    ]
    found = expected(forecast(queue, site(), at=AT, past=past([0.5] * 50), replicas=10))
    assert {name: (one.kind, one.reason) for name, one in found.items()} == {
        "2": ("never", "BadConstraints"),
        "3": ("never", "PartitionTimeLimit"),
        "4": ("never", "Dependency"),
        "5": ("never", "DependencyNeverSatisfied"),
        "6": ("held", "JobHeldUser"),
        "7": ("held", "Dependency"),
        "8": ("expected", "Resources"),
    }
    assert all(found[name].start_at is None for name in "234567")


def test_a_queue_in_which_nothing_can_start_has_a_forecast() -> None:
    found = forecast([runs("1", "c1"), waits("2", nodes=3, cpus=12)], site(), at=AT, replicas=10)
    assert [one.kind for one in found.jobs] == ["never"]


def test_the_seed_decides_everything() -> None:
    queue = [runs("1", "c1"), runs("2", "c2"), *(waits(str(number)) for number in range(3, 9))]
    known = past(np.random.default_rng(5).random(120).tolist())
    one, same, other = (forecast(queue, site(), at=AT, past=known, replicas=12, seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert one.jobs != other.jobs


def test_what_lies_behind_the_instant_changes_nothing() -> None:
    queue = [runs("1", "c1"), runs("2", "c2"), waits("3"), waits("4")]
    known = past(np.random.default_rng(5).random(150).tolist())
    later = known.workload
    unknown = later.arrival_time + later.runtime > AT
    changed = replace(later, runtime=np.where(unknown, later.runtime * 7 + 1000, later.runtime))
    assert unknown.any()
    both = [forecast(queue, site(), at=AT, past=Past(one, 0.0), replicas=12) for one in (later, changed)]
    assert both[0] == both[1]


def test_few_replicas_are_refused() -> None:
    with pytest.raises(InvalidParameter, match="needs 10"):
        forecast([waits("1")], site(), at=AT, replicas=9)


def test_survivors_are_kaplan_and_meiers() -> None:
    # Six remissions of 21 of the treated in Freireich (1963), as textbooks have them: 6, 6, 6, 6+, 7, 9+, 10, ...
    ended = np.array([True, True, True, False, True, False, True])
    alive = survivors(np.ones((1, 7)), ended)[0]
    np.testing.assert_allclose(alive, [6 / 7, 5 / 7, 4 / 7, 4 / 7, 8 / 21, 8 / 21, 0.0])
    heavy = survivors(np.array([[2.0, 1.0, 1.0]]), np.array([True, True, True]))[0]
    np.testing.assert_allclose(heavy, [0.5, 0.25, 0.0])


def drawn(runtimes: RunTimes, workload: Workload, elapsed: float, count: int = 400) -> Any:
    """Return run times of the first task of a workload in many futures."""
    likened = runtimes.likened(workload)
    generator = np.random.default_rng(3)
    rows, after = np.zeros(1, np.int64), np.full(1, elapsed)
    return np.array([likened.draw(generator, rows, generator.random(1), after)[0] for _ in range(count)])


def test_a_task_that_has_run_for_long_runs_as_those_that_ran_longer() -> None:
    known = past(([0.1] * 3 + [0.6, 0.8]) * 40).workload
    runtimes = RunTimes(known, known.runtime, np.ones(len(known), bool))
    fresh, old = drawn(runtimes, known, 0.0), drawn(runtimes, known, 120.0)
    assert set(fresh.round()) == {60.0, 360.0, 480.0}
    assert 0.5 < (fresh < 100).mean() < 0.7
    assert set(old.round()) == {360.0, 480.0}
    assert 0.4 < (old < 400).mean() < 0.6
    # Longer than all that is known: it will use up its limit, and be stopped there.
    assert (drawn(runtimes, known, 500.0) > 600.0).all()


def test_the_users_own_past_counts_most_where_users_differ() -> None:
    users = ["ann", "bob"] * 60
    known = past([0.1, 0.9] * 60, users=users).workload
    runtimes = RunTimes(known, known.runtime, np.ones(len(known), bool))
    assert runtimes.stranger == 0.05
    assert (drawn(runtimes, known, 0.0) < 100).mean() > 0.9
    alike = past(np.random.default_rng(1).random(120).tolist(), users=users).workload
    assert RunTimes(alike, alike.runtime, np.ones(120, bool)).stranger >= 0.5


def test_tasks_that_still_run_count_as_longer_than_they_have_run() -> None:
    known = past([0.2] * 50 + [0.5] * 50).workload
    ended = np.repeat([True, False], 50)
    found = drawn(RunTimes(known, known.runtime, ended), known, 0.0)
    assert 0.4 < (found < 150).mean() < 0.6
    assert (found[found > 150] > 600).all()


def test_later_tasks_are_blocks_of_the_past() -> None:
    times = np.sort(np.random.default_rng(2).random(500)) * 4000
    arrivals = Arrivals(times, 4000.0)
    rows, again = arrivals.draw(np.random.default_rng(0), 6000.0)
    assert (np.diff(again) >= 0).all()
    assert again.min() > 4000 - 1e-6
    assert again.max() <= 6000
    assert 150 < len(rows) < 350
    # Within a block what followed each other still does, as far apart as before.
    together = np.diff(rows) == 1
    np.testing.assert_allclose(np.diff(again)[together], np.diff(times)[rows[:-1][together]], atol=1e-6)
    assert together.mean() > 0.9
    assert len(Arrivals(np.zeros(0), 5.0).draw(np.random.default_rng(0), 50.0)[0]) == 0


def test_blocks_keep_their_time_of_day_where_days_are_known() -> None:
    day, nine = 86_400.0, 9 * 3600.0
    times = np.concatenate([day * number + nine + np.arange(0, 3600, 100.0) for number in range(5)])
    _, again = Arrivals(times, 5 * day).draw(np.random.default_rng(0), 7 * day)
    assert len(again) == 72
    assert ((again % day >= nine) & (again % day < nine + 3600)).all()


def test_bounds_are_ranks_of_the_starts_that_were_played_and_widened() -> None:
    many = np.arange(101.0, 201.0)
    starts = np.array([many, np.where(many <= 150, many, np.inf), np.where(many <= 120, many, np.inf)])
    early, middle, late = deciles(starts, 95.0)[[0, 4, 8]]
    # Ranks 10 and 91 of 100 are 110 and 191, and lie 1.75 times as far from the median.
    np.testing.assert_allclose(middle, [150, 150, np.inf])
    np.testing.assert_allclose(early, [95, 95, 110])
    np.testing.assert_allclose(late, [150 + 1.75 * 41, np.inf, np.inf])
    np.testing.assert_allclose(deciles(starts, 0.0)[0][:2], 150 - 1.75 * 40)


def test_forecasts_are_scored() -> None:
    known = (40.0, *[50.0] * 4)
    jobs = (
        Expected("1", "", "", "", "expected", 90.0, (*known, *[70.0] * 4)),
        Expected("2", "", "", "", "expected", None, (*known, *[None] * 4)),
        Expected("3", "", "", "", "never"),
        Expected("4", "", "", "", "expected", 60.0, (*known, *[70.0] * 4)),
        Expected("5", "", "", "", "expected", 60.0, (*known, *[70.0] * 4)),
    )
    found = Forecast(30.0, jobs, 10, 0, 0, 0, 100.0, (), ())
    scored = score(found, {"1": [20.0, 60.0], "2": [500.0], "3": [40.0], "4": [80.0], "6": [1.0]})
    assert [(one.job, one.started_at) for one in scored] == [("1", 60.0), ("2", 500.0), ("4", 80.0)]
    accuracy = Accuracy.of(scored)
    assert (accuracy.forecasts, accuracy.instants, accuracy.compared) == (3, 1, 2)
    # Held: that of 1, and that of 2, whose end is open. Errors: 10, 450 and 30; of Slurm's 30 and 20.
    assert accuracy.covered == pytest.approx(2 / 3)
    assert (accuracy.median_error, accuracy.median_error_compared, accuracy.slurm_median_error) == (30, 10, 20)
    assert (accuracy.mean_error_compared, accuracy.slurm_mean_error, accuracy.median_width) == (20, 25, 30)
    empty = Accuracy.of([Scored(0.0, "1", 5.0, 5.0, 4.0, 6.0, None)])
    assert (empty.covered, empty.compared, np.isnan(empty.slurm_median_error)) == (1.0, 0, True)


def accounting() -> Past:
    """Return six tasks: 1 runs from 0, 2 waits for it, 3 has a begin time, 4 waits behind 2, 5 and 6 later ones."""
    start = np.array([0.0, 100.0, 150.0, 200.0, 1000.0, 1500.0])
    workload = Workload.from_columns(
        task_id=np.arange(1, 7),
        arrival_time=np.array([0.0, 10.0, 20.0, 30.0, 900.0, 1000.0]),
        runtime=np.array([100.0, 100.0, 50.0, 100.0, 500.0, 100.0]),
        duration_estimate=np.full(6, 600.0),
        cpus=np.full(6, 4.0),
        queue=["batch"] * 6,
        dependencies=[[], [], [], [2], [], []],
        recorded_start_time=start,
        external_id=["", "", "", "", "a5", ""],
        requests=Requests.blank(
            6,
            recorded_nodes=Labels.from_texts(["c1"] * 6),
            eligible_time=np.array([np.nan, np.nan, 140.0, np.nan, np.nan, np.nan]),
        ),
    )
    return identified(Past(workload, 5000.0))


def test_the_queue_of_an_instant_is_told_by_accounting_without_what_became_known_later() -> None:
    known = accounting()
    queue = {job.job: job for job in queue_at(known, 5050.0)}
    assert {name: job.state for name, job in queue.items()} == {"1": "RUNNING", "2": "PENDING"}
    assert (queue["1"].hosts, queue["1"].elapsed, queue["1"].started) == ("c1", 50.0, 5000.0)
    # What it asked for is told, and neither where nor when it would run.
    assert (queue["2"].hosts, queue["2"].started, queue["2"].elapsed, queue["2"].limit) == ("", None, None, 600.0)
    assert {job.job for job in queue_at(known, 5145.0)} == {"2", "3"}
    assert real_starts(known)["a5"] == [6000.0]


def test_instants_are_taken_where_tasks_wait_and_after_a_part_of_the_past() -> None:
    known = accounting()
    instants = held_out(known, 4)
    assert len(instants) == 4
    assert all(any(job.state == "PENDING" for job in queue_at(known, at)) for at in instants)
    assert min(instants) >= 5000.0 + 100.0
    idle = replace(known, workload=replace(known.workload, recorded_start_time=known.workload.arrival_time))
    unknown = replace(known, workload=replace(known.workload, recorded_start_time=np.full(6, np.nan)))
    for nothing, sentence in ((idle, "Nothing waits"), (unknown, "no recorded starts")):
        with pytest.raises(InvalidTrace, match=sentence):
            held_out(nothing, 4)


def test_printed_queues_take_the_starts_that_were_printed_beside_them() -> None:
    head = "JOBID|STATE|START_TIME|CPUS\n"
    queue = split_snapshots(
        f"### snapshot epoch=100\n{head}1|PENDING|N/A|4\n"
        f"### snapshot epoch=160\n{head}2|RUNNING|1970-01-01T00:00:50|4\n"
        f"### snapshot epoch=220\n{head}3|PENDING|N/A|4\n"
    )
    starts = split_snapshots(f"### snapshot epoch=101\n{head}1|PENDING|1970-01-01T00:05:00|4\n")
    found = printed_queues(queue, starts)
    assert [(at, jobs[0].job, jobs[0].started) for at, jobs in found] == [(100.0, "1", 300.0), (220.0, "3", None)]
    with pytest.raises(InvalidTrace, match="does not tell when it was printed"):
        printed_queues(split_snapshots(f"{head}1|PENDING|N/A|4\n"))


def test_the_share_that_had_started_by_each_decile_and_what_chance_does_to_coverage() -> None:
    def one(at: float, real: float) -> Scored:
        deciles = tuple(at + 10.0 * tenth for tenth in range(1, 10))
        return Scored(at, "1", real, at + 50, at + 10, at + 90, None, "batch", deciles)

    scored = [one(0.0, 10.0 * place + 5.0) for place in range(10)]
    np.testing.assert_allclose(realised(scored), np.arange(1, 10) / 10)
    assert realised([one(0.0, 10.0)]) == [0.5, *[1.0] * 8]
    # All of one instant: nothing to draw again.
    assert chance_of_covering(scored) == (0.8, 0.8)
    low, high = chance_of_covering([*scored, *[one(1000.0, 1200.0)] * 10])
    assert (low, high) == (0.0, 0.8)
    waits = [replace(scored[0], start_at=wait) for wait in (59.0, 60.0, 30_000.0, np.inf)]
    assert [lead(wait) for wait in waits] == ["under 1 min", "1 to 10 min", "6 h to 1 d", "over 1 d"]
