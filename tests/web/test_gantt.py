"""Which row of the Gantt chart a task is drawn in."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from apps.dashboard.schedule.gantt import rows_needed


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), max_size=60))
def test_tasks_that_run_at_once_never_share_a_row_and_no_row_is_wasted(tasks):
    start = np.sort(np.array([begin for begin, _ in tasks], np.float64))
    finish = start + np.array([length for _, length in tasks], np.float64)
    rows = rows_needed(start, finish)
    for one in range(len(tasks)):
        together = (start < finish[one]) & (finish > start[one]) & (rows == rows[one])
        assert together.sum() == 1
    most = max((int(((start <= moment) & (finish > moment)).sum()) for moment in start), default=0)
    assert len(set(rows.tolist())) == most


def test_a_task_that_begins_a_rounding_before_the_one_before_it_ends_follows_it_in_its_row():
    finish = 0.1 + 0.2
    start = np.array([0.0, np.nextafter(finish, 0.0)])
    assert rows_needed(start, np.array([finish, 1.0])).tolist() == [0, 0]
