"""Models fitted to a workload, users' estimates, and how alike two workloads are."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.fitted_years import _ranking, agreement, mean_told, pairs_of, spans_of
from scheduler_sim import engine as sim
from scheduler_sim.engine.errors import InvalidParameter, InvalidWorkload
from scheduler_sim.engine.generators import generate_like, generate_workload
from scheduler_sim.engine.generators.jann import HyperErlang, size_classes
from scheduler_sim.engine.measuring.likeness import compare_workloads
from scheduler_sim.engine.numerics.statistics import mean_interval
from scheduler_sim.engine.workloads.estimate_model import draw_estimates, estimate_histogram
from scheduler_sim.engine.workloads.workload import Labels, Parents, Requests, Workload
from tests.workloads import assert_same

DAY = 86_400.0
HOUR = 3600


def record(weeks: int = 4, seed: int = 3) -> Workload:
    """Return some weeks: ten users, each with its own hour, shape and run times, half as many on weekends."""
    random = np.random.default_rng(seed)
    days = np.arange(7 * weeks)
    busy = np.repeat(days, np.where(days % 7 < 5, 20, 10))
    user = random.integers(0, 10, len(busy))
    arrival = busy * DAY + user * 3600.0 + np.floor(1800 * random.random(len(busy)))
    user, arrival = user[np.argsort(arrival)], np.sort(arrival)
    # As many in the first second and the last, so that all days are whole.
    arrival[0], arrival[-1] = 0.0, 7 * weeks * DAY
    runtime = np.floor(100.0 * (user + 1) * (1.0 + random.random(len(busy))))
    return Workload.from_columns(
        arrival_time=arrival,
        runtime=runtime,
        duration_estimate=2 * runtime,
        cpus=2 ** (user % 3),
        user=[f"user{number}" for number in user],
        queue=["long" if number > 5 else "short" for number in user],
    )


@pytest.mark.parametrize(("model", "days"), [("fitted", 50), ("jann", 50)])
def test_the_same_seed_gives_the_same_tasks(model: str, days: int) -> None:
    one, two, other = (
        generate_like(model, record(), seed=seed, parameters={"days": days}).workload for seed in (1, 1, 2)
    )
    assert_same(one, two)
    assert not np.array_equal(one.arrival_time[:50], other.arrival_time[:50])
    assert one.task_id.tolist() == list(range(1, len(one) + 1))
    assert (np.diff(one.arrival_time) >= 0).all()
    assert days - 3 < one.arrival_time[-1] / DAY < days + 1


@pytest.mark.parametrize("redraw", ["no", "users", "yes"])
def test_a_user_keeps_hours_weekdays_shapes_queues_and_run_times(redraw: str) -> None:
    like = record()
    parameters = {"days": 70, "move_minutes": 5, "redraw": redraw}
    made = generate_like("fitted", like, seed=1, parameters=parameters).workload
    for name in like.user.names:
        mine, theirs = (one.user.texts() == name for one in (made, like))
        assert set(made.runtime[mine]) <= set(like.runtime[theirs])
        assert set(made.cpus[mine]) == set(like.cpus[theirs])
        assert set(made.queue.texts()[mine]) == set(like.queue.texts()[theirs])
        begin = int(name.removeprefix("user"))
        after = (made.arrival_time[mine] / 3600 - begin + 12) % 24 - 12
        # The first task of all begins at midnight, whoever it is of.
        assert np.mean((after > -0.1) & (after < 0.6)) > 0.97
    np.testing.assert_array_equal(made.duration_estimate, 2 * made.runtime)
    by_weekday = np.bincount((made.arrival_time // DAY % 7).astype(int), minlength=7)
    assert by_weekday[5:].max() < 0.7 * by_weekday[:5].min()


def test_all_days_of_the_record_are_drawn_alike() -> None:
    like = record()
    numbered = replace(like, size=np.floor(like.arrival_time / DAY))
    made = generate_like("fitted", numbered, seed=2, parameters={"days": 7 * 3000, "redraw": False}).workload
    drawn = np.bincount(made.size.astype(int)) / np.bincount(numbered.size.astype(int)[:-1])
    assert drawn == pytest.approx(np.full(28, 750.0), rel=0.35)


@pytest.mark.parametrize(("redraw", "own"), [("users", True), ("no", False)])
def test_a_users_day_is_drawn_whole_and_with_it_those_of_all_or_of_nobody(redraw: str, own: bool) -> None:
    like = record()
    like = replace(like, size=np.array(100.0 * like.user.codes + like.arrival_time // DAY, np.float64))
    parameters = {"days": 90, "move_minutes": 0, "redraw": redraw}
    made = generate_like("fitted", like, seed=5, parameters=parameters).workload
    day = np.floor(made.arrival_time / DAY)
    drawn, counts = np.unique(np.stack([day, made.user.codes, made.size]), axis=1, return_counts=True)
    # One day of the record for each user and day, of the same weekday and with all of its tasks.
    assert len(np.unique(drawn[:2], axis=1).T) == len(drawn.T)
    assert (drawn[0] % 7 == drawn[2] % 100 % 7).all()
    np.testing.assert_array_equal(counts, np.bincount(like.size.astype(int))[drawn[2].astype(int)])
    assert set(zip(made.size, made.runtime, made.arrival_time % DAY, strict=True)) <= set(
        zip(like.size, like.runtime, like.arrival_time % DAY, strict=True)
    )
    several = [len(set(drawn[2, drawn[0] == number] % 100)) > 1 for number in range(90)]
    assert np.mean(several) > 0.9 if own else not any(several)


def test_days_of_many_short_tasks_stay_such_days() -> None:
    random = np.random.default_rng(1)
    counts = random.integers(5, 60, 57)
    day = np.repeat(np.arange(57), counts)
    like = Workload.from_columns(arrival_time=day * DAY + np.sort(random.random(len(day))), runtime=6e4 / counts[day])

    def spread(workload: Workload) -> float:
        work = np.bincount((workload.arrival_time // DAY).astype(int), weights=workload.runtime)[:56]
        return float(work.std() / work.mean())

    made = [
        generate_like("fitted", like, seed=1, parameters={"days": 200, "move_minutes": 0, "redraw": redraw}).workload
        for redraw in ("no", "yes")
    ]
    assert spread(like) < 1e-9
    assert spread(made[0]) < 1e-9
    assert spread(made[1]) > 0.3


def test_what_belongs_together_is_drawn_together() -> None:
    like = record()
    count = len(like)
    asked = Requests.blank(
        count,
        array=np.where(np.arange(count) % 5 < 2, 1 + np.arange(count) // 5, 0),
        cancel_time=like.arrival_time + 50.0,
        recorded_nodes=Labels.from_texts(["n1"] * count),
        fails=np.arange(count) % 3 == 0,
    )
    # Each task but the first of its day waits for the one before it.
    waits = np.diff(np.floor(like.arrival_time / DAY), prepend=-1) == 0
    offsets = np.concatenate(([0], np.cumsum(waits)))
    rows = np.flatnonzero(waits) - 1
    like = replace(like, requests=asked, parents=Parents(offsets, rows, rows.astype(np.float64)))
    parameters = {"days": 30, "move_minutes": 0, "redraw": False}
    made = generate_like("fitted", like, seed=4, parameters=parameters).workload
    assert made.requests is not None
    day = np.floor(made.arrival_time / DAY)
    same_day = np.diff(day, prepend=-1) == 0
    np.testing.assert_array_equal(np.diff(made.parents.offsets), same_day)
    np.testing.assert_array_equal(made.parents.rows, np.flatnonzero(same_day) - 1)
    assert made.parents.mb is not None
    assert len(made.parents.mb) == made.parents.count
    np.testing.assert_array_equal(made.requests.cancel_time, made.arrival_time + 50.0)
    assert made.requests.recorded_nodes.names == ("",)
    assert np.isnan(made.recorded_start_time).all()
    numbers = made.requests.array
    assert np.bincount(numbers[numbers > 0]).max() <= 2


def test_a_parent_on_an_earlier_day_is_kept_where_that_day_was_drawn_before() -> None:
    like = Workload.from_columns(
        arrival_time=np.arange(6) * DAY, runtime=np.ones(6), dependencies=[[], [1], [2], [3], [4], [5]]
    )
    made = generate_like("fitted", like, seed=1, parameters={"days": 400, "move_minutes": 0, "redraw": False}).workload
    counts = np.diff(made.parents.offsets)
    # Five days of six have a parent, and six of seven steps go on; the step back to the first day finds none.
    assert counts.mean() == pytest.approx(4 / 5 * 6 / 7, abs=0.1)
    np.testing.assert_array_equal(made.parents.rows, np.flatnonzero(counts) - 1)


def test_jann_has_the_moments_of_its_classes() -> None:
    like = generate_workload("lublin", tasks=4000, seed=1).workload
    made = generate_like("jann", like, seed=2, parameters={"days": 2000}).workload
    for size in (1, 8):
        # The last of both shows that classes of powers of two are told apart.
        mine, theirs = made.runtime[made.cpus == size], like.runtime[like.cpus == size]
        assert len(mine) > 1000
        assert mine.mean() == pytest.approx(theirs.mean(), rel=0.25)
    assert set(made.cpus) <= set(like.cpus)
    gaps = [one.gaps for one in size_classes(like)]
    assert all(one.order >= 1 for one in gaps)


@given(
    values=st.lists(st.floats(0.1, 1e6), min_size=2, max_size=30).filter(
        lambda values: np.ptp(values) > 1e-3 * max(values)
    ),
)
@settings(max_examples=200, deadline=None)
def test_a_hyper_erlang_distribution_meets_three_moments(values: list[float]) -> None:
    wanted = [float(np.mean(np.array(values) ** power)) for power in (1, 2, 3)]
    found = HyperErlang.of_moments(*wanted)
    n, p = found.order, found.share
    assert 0 < p < 1
    assert found.first >= 0
    assert found.second > 0
    factors = (n, n * (n + 1), n * (n + 1) * (n + 2)) if n else (1, 1, 1)
    met = [f * (p * found.first**k + (1 - p) * found.second**k) for k, f in enumerate(factors, 1)]
    assert met == pytest.approx(wanted, rel=1e-6)
    if n > 1:
        # No lower order meets them.
        m1, m2, m3 = (wanted[k] / f for k, f in enumerate((n - 1, (n - 1) * n, (n - 1) * n * (n + 1))))
        assert m2 <= m1 * m1 * (1 + 1e-9) or m1 * m3 <= m2 * m2 * (1 + 1e-9)
    assert found.draw(50, np.random.default_rng(1)).min() >= 0


@pytest.mark.parametrize(
    ("model", "like", "parameters", "reason"),
    [
        ("fited", record(), {}, "Did you mean fitted"),
        ("lublin", record(), {}, "fitted to no workload"),
        ("fitted", record().head(30), {}, "fitted to 2 or more"),
        ("fitted", record(), {"days": 0}, "at least 1"),
        ("fitted", record(), {"redraw": "user"}, "users or yes or no"),
        ("jann", record().head(20), {}, "30 tasks"),
        ("jann", generate_workload("elastic", tasks=40, seed=1).workload, {}, "hold GPUs"),
        ("jann", replace(record(), arrival_time=np.zeros(len(record()))), {}, "More than"),
    ],
)
def test_what_cannot_be_fitted_is_refused_in_one_sentence(
    model: str, like: Workload, parameters: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InvalidParameter, match=reason):
        generate_like(model, like, seed=1, parameters=parameters)


def test_the_library_fits_models_to_what_it_plays() -> None:
    like = generate_workload("site", tasks=3000, seed=1, parameters={"hourly": 20})
    made = sim.generate("fitted", like=like, days=3, seed=1)
    assert made.processors == like.processors
    assert made.workload.requests is not None
    for arguments in ({"tasks": 5, "like": like}, {}, {"tasks": 5}):
        with pytest.raises(InvalidParameter, match="is given"):
            sim.generate("fitted", **arguments)
    with pytest.raises(InvalidParameter, match="is given"):
        sim.generate("lublin", like=like)
    with pytest.raises(InvalidParameter, match="fitted to a workload"):
        generate_workload("fitted", tasks=5, seed=1)


def test_users_estimate_few_round_values() -> None:
    times, counts = estimate_histogram(28_000, 18 * HOUR, np.random.default_rng(1))
    assert counts.sum() == 28_000
    # As the authors' program has it: 165 values, and 6,085 tasks with the longest.
    assert len(times) == 165
    assert (times[-1], counts[-1]) == (18 * HOUR, 6085)
    popular = np.sort(times[np.argsort(-counts)[:20]]).tolist()
    hours = (1, 2, 3, 4, 5, 6, 8, 10, 12, 13, 14, 15, 16, 17, 18)
    assert popular == [300, 600, 900, 1200, 1800, *(HOUR * hour for hour in hours)]
    assert np.sort(counts)[-20:].sum() / 28_000 == pytest.approx(0.89, abs=1e-3)
    assert (times % 10 == 0).all()


@given(
    runtimes=st.lists(st.floats(0, 90_000), min_size=1, max_size=60),
    longest=st.sampled_from([None, 90_000, 100_001]),
    seed=st.integers(0, 99),
)
@settings(max_examples=100, deadline=None)
def test_no_estimate_is_below_its_run_time(runtimes: list[float], longest: int | None, seed: int) -> None:
    runtime = np.array(runtimes)
    told = draw_estimates(runtime, longest, np.random.default_rng(seed))
    assert (told >= runtime).all()
    assert told.max() <= (longest or max(np.ceil(runtime.max() / HOUR), 1) * HOUR)


def test_estimates_of_a_model_may_be_those_of_users() -> None:
    made = generate_workload("lublin", tasks=2000, seed=1, parameters={"estimates": "tsafrir:200000"})
    plain = generate_workload("lublin", tasks=2000, seed=1)
    assert made.parameters == plain.parameters | {"estimates": "tsafrir:200000"}
    np.testing.assert_array_equal(made.workload.runtime, plain.workload.runtime)
    assert len(set(made.workload.duration_estimate.tolist())) < 60
    with pytest.raises(InvalidParameter, match="no estimates called"):
        generate_workload("lublin", tasks=5, seed=1, parameters={"estimates": "much"})
    with pytest.raises(InvalidParameter, match="longer than the longest estimate"):
        generate_workload("lublin", tasks=2000, seed=1, parameters={"estimates": "tsafrir:3600"})
    with pytest.raises(InvalidParameter, match="between 3600"):
        draw_estimates(np.ones(3), 60, np.random.default_rng(1))


def test_a_workload_is_like_itself_and_like_what_is_fitted_to_it() -> None:
    like = record()
    same = compare_workloads(like, like)
    assert all(one.kolmogorov_smirnov == one.wasserstein == 0 for one in same.distances)
    assert all(one.inside and one.low <= one.value <= one.high for one in same.marginals)
    made = generate_like("fitted", like, seed=1, parameters={"days": 120}).workload
    found = compare_workloads(like, made)
    assert max(one.kolmogorov_smirnov for one in found.distances) < 0.15
    assert np.mean([one.inside for one in found.marginals]) > 0.6
    assert found == compare_workloads(like, made)


def test_a_log_decides_only_pairs_of_policies_that_differ_week_by_week() -> None:
    span = spans_of(np.arange(0.0, 100 * DAY, 3600.0))
    assert span.max() + 1 == 15
    wave = np.where(span % 2 == 0, 1.0, -1.0)
    slowdowns = np.array([5 + wave, np.full(len(span), 4.0), 4.1 + 2 * wave])
    pairs = pairs_of(slowdowns, span)
    assert [(pair.better, pair.worse, pair.decided) for pair in pairs] == [(1, 2, False), (1, 0, True), (2, 0, True)]
    assert [pair.kept(np.array([3.0, 1.0, 2.0])) for pair in pairs] == [True, True, True]
    assert [pair.kept(np.array([1.0, 3.0, 2.0])) for pair in pairs] == [False, False, False]
    # As of Student's t over the means of equal spans.
    equal = spans_of(np.arange(0.0, 98 * DAY, 3600.0))
    pair = pairs_of(slowdowns[:2, : len(equal)], equal)[0]
    weeks = (slowdowns[0] - slowdowns[1])[: len(equal)].reshape(14, -1).mean(axis=1)
    assert (pair.low, pair.high) == pytest.approx((mean_interval(weeks).low, mean_interval(weeks).high))
    halves, anew = agreement(slowdowns, span)
    assert -1 <= halves <= 1
    assert 1 / 3 < np.mean(anew) < 1
    # The two that no week tells apart, and a log of one day.
    undecided = pairs_of(slowdowns[1:], span)
    table, _ = _ranking(["one", "other"], slowdowns[1:].mean(axis=1), undecided, np.array([[4.0, 5.0]] * 3), "fitted")
    assert "tau 1.000, none decided; of the mean over years 1.000" in str(table.caption)
    with pytest.raises(InvalidWorkload, match="two days or more"):
        pairs_of(slowdowns[:, :20], span[:20])
    # Nothing waits in the first of two weeks, so that it ranks nothing, and a quarter of all draws are of it alone.
    two = span < 2
    slowdowns[:, span == 0] = 1.0
    halves, anew = agreement(slowdowns[:, two], span[two])
    assert mean_told([halves]) == "none (all policies are alike)"
    assert mean_told(anew).endswith(f", {np.isnan(anew).sum()} of 500 left out, where all policies are alike")
    assert 100 < np.isnan(anew).sum() < 150


def test_workloads_that_differ_are_told_apart() -> None:
    like = record()
    other = compare_workloads(like, replace(like, runtime=3 * like.runtime, cpus=np.full(len(like), 64.0)))
    by_name = {one.name: one for one in other.distances}
    assert by_name["processors"].kolmogorov_smirnov == 1
    assert by_name["run time"].wasserstein == pytest.approx(2 * like.runtime[:-1].mean())
    assert by_name["run time"].relative == pytest.approx(2)
    outside = {one.name for one in other.marginals if not one.inside}
    assert {"mean run time", "mean processors", "work a day"} <= outside
    assert "tasks a day" not in outside
    with pytest.raises(InvalidParameter, match="3 days or more"):
        compare_workloads(like, like.head(20))
