"""The history of a race: few points of all of it, stored while it goes on, and told on joining."""

from itertools import pairwise
from typing import Any, cast

import pytest

from apps.dashboard.runs.race_table import race_charts
from apps.live.models import RaceHistory, SimulationState
from apps.live.wire import messages
from apps.live.wire.history import FIRST_INTERVAL, MOST_POINTS, History, read_history
from apps.live.wire.publisher import Outlet
from apps.live.wire.stored import before_the_start
from apps.results.models import Run
from tests.web.conftest import make_run


def snapshot(clock_time: float | None, **fields: Any) -> messages.Snapshot:
    policy: Any = dict.fromkeys(messages.HISTORY, None) | {"scheduler": "fcfs", "wins": clock_time, "finished": 7}
    told = {"run": 1, "status": "running", "clock_time": clock_time, "policies": [policy], **fields}
    return cast(messages.Snapshot, told)


def test_points_are_taken_at_intervals_and_only_where_the_clock_went_on() -> None:
    history = History()
    seen = [(None, 0.0), (5.0, 1.0), (6.0, 1.0 + FIRST_INTERVAL / 2), (5.0, 9.0), (7.0, 9.0)]
    assert [history.take(snapshot(clock), now=now) for clock, now in seen] == [False, True, False, False, True]
    document = history.document()
    assert document["clock_time"] == [5.0, 7.0]
    assert document["policies"][0]["wins"] == [5.0, 7.0]
    assert set(document["policies"][0]) == {"scheduler", *messages.HISTORY}


def test_however_long_a_race_is_its_history_is_short_and_spans_all_of_it() -> None:
    history = History()
    taken = [history.take(snapshot(float(number)), now=number * 0.1) for number in range(100_000)]
    clock_times = history.document()["clock_time"]
    assert MOST_POINTS / 2 <= len(clock_times) <= MOST_POINTS
    assert clock_times[0] == 0
    steps = [later - earlier for earlier, later in pairwise(clock_times)]
    assert clock_times[-1] > 100_000 - 2 * max(steps)
    assert max(steps) <= 2 * min(steps) + 20
    assert sum(taken[-10_000:]) < sum(taken[:1_000]), "it is stored more and more seldom"


def test_a_history_before_its_first_point_is_empty() -> None:
    assert History().document() == {"clock_time": [], "policies": []}


@pytest.mark.django_db
def test_what_is_drawn_of_a_race_is_in_its_history() -> None:
    run = make_run(cluster={"groups": [{"gpus": 1}]})
    assert {chart.key for chart in race_charts(run)} == set(messages.HISTORY) - {"mean_width"}
    run.policies = ["fcfs", "equal_share"]
    assert {chart.key for chart in race_charts(run)} == set(messages.HISTORY)


@pytest.mark.django_db
def test_it_is_stored_with_the_snapshots_and_goes_with_the_end_of_the_run() -> None:
    run = make_run(status=Run.Status.RUNNING)
    outlet = Outlet()
    told = cast(messages.Snapshot, {**before_the_start(run), **snapshot(3.0, run=run.pk)})
    outlet.put(told, urgent=False)
    assert SimulationState.objects.get(run=run).snapshot["clock_time"] == 3.0
    found = read_history(run.pk)
    assert found is not None
    assert (found["type"], found["run"], found["clock_time"]) == ("history", run.pk, [3.0])
    assert found["policies"][0]["wins"] == [3.0]
    outlet.put(cast(messages.Snapshot, {**told, "status": "finished"}), urgent=True)
    assert read_history(run.pk) is None
    assert not RaceHistory.objects.exists()
    outlet.close()


@pytest.mark.django_db
def test_a_run_without_a_history_tells_none() -> None:
    assert read_history(make_run().pk) is None
    assert read_history(999_999) is None
