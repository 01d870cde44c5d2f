"""Parts of a workload drawn by a seed: which tasks, and when they arrive."""

import numpy as np
import pytest

from scheduler_sim.engine import Workload
from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.sampling import Arrivals, Draw, sample_tasks

ARRIVAL = np.cumsum([0.0, 5, 5, 40, 1, 1, 1, 100, 7, 7, 33, 50])


@pytest.fixture
def whole() -> Workload:
    return Workload.from_columns(
        task_id=np.arange(100, 100 + len(ARRIVAL)),
        arrival_time=ARRIVAL,
        runtime=np.arange(1.0, len(ARRIVAL) + 1),
        deadline_time=ARRIVAL + 1000.0,
        recorded_start_time=ARRIVAL + 3.0,
    )


@pytest.mark.parametrize("arrivals", ["trace", "poisson"])
@pytest.mark.parametrize("draw", ["window", "tasks"])
def test_a_sample_is_decided_by_its_seed_and_keeps_tasks_as_they_are(whole, draw, arrivals):
    asked = {"tasks": 5, "draw": draw, "arrivals": arrivals}
    drawn, again, other = (sample_tasks(whole, seed=seed, **asked) for seed in (1, 1, 4))
    assert drawn.task_id.tolist() == again.task_id.tolist() != other.task_id.tolist()
    assert drawn.arrival_time.tolist() == again.arrival_time.tolist()
    assert len(set(drawn.task_id.tolist())) == 5
    assert drawn.arrival_time[0] == 0.0
    assert (np.diff(drawn.arrival_time) >= 0).all()
    assert (drawn.runtime == drawn.task_id - 99).all()
    np.testing.assert_allclose(drawn.deadline_time - drawn.arrival_time, 1000.0)
    assert np.isnan(drawn.recorded_start_time).all()


def test_a_window_holds_tasks_in_a_row_with_their_gaps(whole):
    firsts = set()
    for seed in range(60):
        drawn = sample_tasks(whole, tasks=9, draw="window", arrivals="trace", seed=seed)
        first = int(drawn.task_id[0]) - 100
        firsts.add(first)
        assert drawn.task_id.tolist() == list(range(100 + first, 109 + first))
        np.testing.assert_allclose(drawn.arrival_time, ARRIVAL[first : first + 9] - ARRIVAL[first])
    assert firsts == {0, 1, 2, 3}


def test_a_sample_asks_for_as_much_in_a_second_as_the_whole(whole):
    many = Workload.from_columns(arrival_time=np.arange(3000.0) * 2, runtime=np.ones(3000))
    ways: list[tuple[Draw, Arrivals]] = [("tasks", "trace"), ("tasks", "poisson"), ("window", "poisson")]
    for draw, arrivals in ways:
        drawn = sample_tasks(many, tasks=1000, draw=draw, arrivals=arrivals, seed=3)
        assert drawn.arrival_time[-1] / len(drawn) == pytest.approx(2.0, rel=0.1)


def test_the_whole_drawn_task_by_task_is_the_whole(whole):
    drawn = sample_tasks(whole, tasks=len(whole), draw="tasks", arrivals="trace", seed=9)
    np.testing.assert_allclose(drawn.arrival_time, whole.arrival_time)
    assert drawn.task_id.tolist() == whole.task_id.tolist()


def test_what_cannot_be_drawn_is_refused(whole):
    with pytest.raises(InvalidParameter, match="13 tasks cannot be drawn of 12"):
        sample_tasks(whole, tasks=13, draw="tasks", arrivals="trace", seed=1)
    tied = Workload.from_columns(arrival_time=[0, 1], runtime=[1, 1], task_id=[1, 2], dependencies=[[], [1]])
    with pytest.raises(InvalidParameter, match="depend on each other"):
        sample_tasks(tied, tasks=1, draw="window", arrivals="trace", seed=1)
