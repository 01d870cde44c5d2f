"""The compiled middle of all allocations against Newton's method on whole matrices, and against what it must be."""

import numpy as np
import pytest

from scheduler_sim.engine.kernels.rounds import allocations
from scheduler_sim.engine.kernels.rounds.allocations import (
    MARGIN,
    NEAR,
    PROGRAMMES,
    Instant,
    _LargestLeast,
    bisected,
    shortest_time,
)
from scheduler_sim.engine.kernels.rounds.center import center
from scheduler_sim.engine.kernels.rounds.embedding import any_shares


def slow_center(start, bounds, limits, weight):
    """Return the x > 0 with bounds @ x < limits where the weighted sum of the logarithms of all slacks is largest."""
    size = len(start)
    x = start.copy()

    def potential(x):
        slack = limits - bounds @ x
        if min(x.min(), slack.min()) <= 0:
            return np.inf
        return -float(weight[:size] @ np.log(x) + weight[size:] @ np.log(slack))

    for _ in range(200):
        slack = limits - bounds @ x
        scaled = bounds * x
        system = np.block(
            [[np.diag(weight[:size]), scaled.T], [scaled, np.diag(-(slack**2) / weight[size:])]],
        )
        step = x * np.linalg.solve(system, np.concatenate([weight[:size], -slack]))[:size]
        length = 1.0
        while potential(x + length * step) > potential(x):
            length /= 2
            if length < 1e-9:
                return x
        x = x + length * step
    return x


def case(seed):
    """Return rows of jobs with a start within all bounds, some of which cannot run on some kinds."""
    random = np.random.default_rng(seed)
    rows, kinds = int(random.integers(1, 12)), int(random.integers(1, 5))
    gains = random.lognormal(0, 1, (rows, kinds)) * (random.random((rows, kinds)) < 0.8)
    gains[np.arange(rows), random.integers(0, kinds, rows)] += 0.1
    gpus, count = random.integers(1, 5, rows).astype(float), random.integers(1, 4, rows).astype(float)
    workers = random.integers(4, 20, kinds).astype(float)
    start = np.minimum(workers / (2 * (gpus * count).sum()), 0.5 / kinds) * (gains > 0)
    least = (gains * start).sum(1).min() * random.choice([0.5, 0.99, 1 - 1e-7])
    return start, gains, least, gpus, count, workers


@pytest.mark.parametrize("seed", range(40))
def test_the_middle_is_that_of_whole_matrices(seed):
    start, gains, least, gpus, count, workers = case(seed)
    rows, kinds = gains.shape
    found = start.copy()
    center(found, gains, least, gpus, count, workers)
    usable = (gains > 0).ravel()
    each, whole = np.zeros((rows, rows * kinds)), np.zeros((rows, rows * kinds))
    given = np.zeros((kinds, rows * kinds))
    for row in range(rows):
        each[row, row * kinds : (row + 1) * kinds] = -gains[row]
        whole[row, row * kinds : (row + 1) * kinds] = 1.0
        for kind in range(kinds):
            given[kind, row * kinds + kind] = gpus[row] * count[row]
    expected = np.zeros(rows * kinds)
    expected[usable] = slow_center(
        start.ravel()[usable],
        np.vstack([each, whole, given])[:, usable],
        np.concatenate([np.full(rows, -least), np.ones(rows), workers]),
        np.concatenate([np.repeat(count, kinds)[usable], count, count, np.ones(kinds)]),
    )
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-5, atol=1e-9)
    assert (found[gains <= 0] == 0).all()
    assert ((gains * found).sum(1) > least).all()
    assert (found.sum(1) < 1).all()
    assert ((gpus * count) @ found < workers).all()


def test_rows_that_are_alike_get_the_same():
    start, gains, least, gpus, count, workers = case(3)
    twice = [np.concatenate([one, one]) for one in (start / 2, gains, gpus, count)]
    x, both, of_jobs, number = twice
    center(x, both, least / 2, of_jobs, number, workers)
    np.testing.assert_allclose(x[: len(gains)], x[len(gains) :], rtol=1e-9)


def instant(seed):
    """Return jobs whose rates and work lie up to six orders of magnitude apart."""
    random = np.random.default_rng(seed)
    jobs, kinds = int(random.integers(1, 80)), int(random.integers(1, 5))
    rate = random.lognormal(0, 1.5, (jobs, kinds)) * (random.random((jobs, kinds)) < 0.8)
    rate[np.arange(jobs), random.integers(0, kinds, jobs)] += 0.1
    return Instant(
        gpus=random.choice([1.0, 2.0, 4.0, 8.0], jobs),
        weight=np.ones(jobs),
        rate=rate,
        left=random.lognormal(3, 2, jobs),
        age_time=np.zeros(jobs),
        alone_time=np.zeros(jobs),
        had_share=np.zeros((jobs, kinds)),
        workers=random.choice([8.0, 36.0, 400.0], kinds),
        names=tuple("abcd"[:kinds]),
    )


@pytest.mark.parametrize("seed", range(60))
def test_the_path_of_centres_ends_at_the_optimum_that_highs_finds(seed):
    now = instant(seed)
    programme = _LargestLeast.of(now, now.rate / now.left[:, None])
    expected, _ = programme.solve_at_corner()
    best, near = programme.near_optimum()
    assert best == pytest.approx(expected, rel=1e-7)
    assert (programme.gains * near).sum(1).min() > best * (1 - MARGIN)
    assert (near.sum(1) < 1).all()
    assert ((programme.gpus * programme.count) @ near < now.workers).all()


def test_where_rounding_ends_the_path_the_corner_of_highs_is_taken(monkeypatch):
    now = instant(1)
    programme = _LargestLeast.of(now, now.rate / now.left[:, None])
    usual = programme.shares()
    monkeypatch.setattr(allocations, "largest_least", lambda *_: np.nan)
    np.testing.assert_allclose(programme.shares(), usual, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_any_shares_meet_what_is_needed_whatever_the_order_and_equal_jobs_get_the_same(seed):
    now = instant(seed)
    order = np.random.default_rng(seed).permutation(len(now.gpus))
    order = np.append(order, order[0])
    needed = now.left / (2 * bisected(shortest_time(now)))
    found, turned = (
        any_shares(now.rate[rows], needed[rows], now.gpus[rows], now.workers) for rows in (order, order[::-1])
    )
    assert found is not None
    assert turned is not None
    np.testing.assert_allclose(found[::-1], turned, atol=1e-6)
    np.testing.assert_allclose(found[0], found[-1], atol=1e-6)
    assert (found >= 0).all()
    assert (found.sum(1) < 1 + 1e-7).all()
    assert (now.gpus[order] @ found < now.workers * (1 + 1e-7)).all()
    assert ((now.rate[order] * found).sum(1) > needed[order] * (1 - 1e-7)).all()


def test_no_shares_are_found_for_more_work_than_there_is_time_for():
    now = instant(2)
    assert any_shares(now.rate, now.left / (0.9 * shortest_time(now)), now.gpus, now.workers) is None


def test_where_no_way_leads_to_any_shares_their_centre_is_taken(monkeypatch):
    now = instant(4)
    usual = PROGRAMMES["min_total_duration"].shares(now)
    monkeypatch.setattr(allocations, "any_shares", lambda *_: None)
    central = PROGRAMMES["min_total_duration"].shares(now)
    assert not np.allclose(usual, central)
    for shares in (usual, central):
        assert 1 <= (now.left / (now.rate * shares).sum(1)).max() / shortest_time(now) < NEAR


def test_a_bisection_goes_on_beyond_where_it_was_to_end():
    for least in (3.0, 150.0, 12345.6, 999_999.0, 3e6, 4e8):
        assert max(least, 100.0) <= bisected(least) <= NEAR * max(least, 100.0)
