"""Where in the Gantt chart a task is drawn, in which colour, and what lies behind it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.dashboard.schedule import areas
from apps.dashboard.schedule.colouring import classes
from apps.dashboard.schedule.gantt import Gantt
from scheduler_sim.display.appearance import COLOURS
from scheduler_sim.engine import Cluster, NodeGroup
from scheduler_sim.engine.clusters.away import away_spans
from scheduler_sim.engine.clusters.cluster import Outage
from scheduler_sim.engine.clusters.failures import Failure, FailureModel
from scheduler_sim.engine.numerics.rows import processors_taken, rows_needed
from scheduler_sim.engine.sites import Site
from tests.web.conftest import make_run


def test_instants_since_1970_keep_their_parts_of_a_second():
    item = [0, 0.0, 5.0, 1640998210.25, 1640998300.5, 7, 5.0, 0.0, 0.0, 1, False, 0]
    times: Any = {"first": 1640998210.25, "last": 1640998300.5, "window_from": 1640998210.25, "window_to": 1640998300.5}
    chart = Gantt(scheduler="fcfs", level="tasks", **times, processors=8.0, items=[item], finding="")
    assert chart.as_json()["items"] == [item]
    assert chart.csv_rows()[1][3:6] == [1640998210.25, 1640998300.5, 7]


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


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20), st.integers(1, 8)), max_size=50))
def test_tasks_on_a_pool_are_as_high_as_they_have_processors_and_never_overlap(tasks):
    start = np.sort(np.array([begin for begin, _, _ in tasks], np.float64))
    finish = start + np.array([length for _, length, _ in tasks], np.float64)
    width = np.array([wide for _, _, wide in tasks], np.float64)
    moments = [float(width[(start <= moment) & (finish > moment)].sum()) for moment in start]
    processors = max(moments, default=1.0)
    row, low, high = processors_taken(start, finish, width, processors)
    assert np.bincount(row, high - low, minlength=len(tasks)).tolist() == width.tolist()
    assert (low >= 0).all()
    assert (high <= processors).all(), "what fits is drawn inside of the pool"
    for one in range(len(row)):
        together = (start[row] < finish[row[one]]) & (finish[row] > start[row[one]])
        crossing = together & (low < high[one]) & (high > low[one])
        assert crossing.sum() == 1


def test_a_task_takes_the_lowest_gap_that_is_wide_enough_and_pieces_where_none_is():
    row, low, high = processors_taken(
        np.array([0.0, 0.0, 0.0, 2.0, 3.0]),
        np.array([2.0, 9.0, 3.0, 9.0, 9.0]),
        np.array([2.0, 2.0, 2.0, 1.0, 3.0]),
        6.0,
    )
    assert list(zip(row.tolist(), low.tolist(), high.tolist(), strict=True)) == [
        (0, 0, 2),
        (1, 2, 4),
        (2, 4, 6),
        (3, 0, 1),
        (4, 1, 2),
        (4, 4, 6),
    ]


def test_what_a_log_recorded_beyond_the_pool_is_drawn_above_it():
    row, low, high = processors_taken(np.zeros(2), np.ones(2), np.array([3.0, 3.0]), 4.0)
    assert list(zip(row.tolist(), low.tolist(), high.tolist(), strict=True)) == [(0, 0, 3), (1, 3, 4), (1, 4, 6)]


def test_most_frequent_values_have_a_colour_each_and_the_others_one_together():
    number, names = classes([*"aaabb", *map(str, range(20))])
    assert names[:2] == ["a", "b"]
    assert len(names) == COLOURS
    assert names[-1] == "11 others"
    assert number[:5] == [0, 0, 0, 1, 1]
    assert max(number) == COLOURS - 1


@pytest.mark.django_db
def test_the_picture_of_nothing_is_empty_and_dollars_in_names_are_letters(client):
    run = make_run(2)
    run.workload.tasks.update(user="a$x_$b")
    assert "a$x_$b" in client.get(f"/runs/{run.pk}/gantt.svg?colour=user").content.decode()
    run.results.all().delete()
    assert client.get(f"/runs/{run.pk}/gantt.svg").status_code == 200


@pytest.mark.django_db
def test_colours_tell_users_and_waits(client):
    run = make_run(3)
    run.workload.tasks.filter(task_id__lte=2).update(user="ann")
    drawn = client.get(f"/runs/{run.pk}/gantt.json?colour=user").json()
    assert drawn["colours"] == ["ann", "not stated"]
    assert [item[11] for item in drawn["items"]] == [0, 0, 1]
    assert client.get(f"/runs/{run.pk}/gantt.csv?colour=user").content.decode().splitlines()[1].endswith("ann")
    waits = client.get(f"/runs/{run.pk}/gantt.json?colour=wait").json()
    assert waits["colours_rise"]
    assert client.get(f"/runs/{run.pk}/gantt.json?colour=odd").json()["colours"] == []


@pytest.mark.django_db
@pytest.mark.parametrize(("kind", "begin"), [("svg", b"<?xml"), ("pdf", b"%PDF-")])
def test_the_picture_for_papers_is_the_same_file_each_time(client, kind, begin):
    run = make_run(3)
    first, second = (client.get(f"/runs/{run.pk}/gantt.{kind}?policy=sjf%2Beasy&colour=wait") for _ in range(2))
    assert first.content == second.content
    assert first.content.startswith(begin)
    assert f"run-{run.pk}-gantt-sjfeasy.{kind}" in first["Content-Disposition"]


def test_nodes_are_away_when_their_group_says_so_and_when_they_fail():
    quiet = NodeGroup(
        name="quiet",
        count=3,
        cores=4,
        outages=(
            Outage(start_time=10.0, end_time=20.0, nodes=2),
            Outage(start_time=30.0, end_time=40.0, nodes=1, kill=True),
        ),
    )
    frail = NodeGroup(name="frail", count=1, cores=4, failures=FailureModel(mean_hours=1.0, repair_hours=0.5))
    cluster = Cluster("c", (quiet, frail))
    spans = away_spans(cluster, [Failure(5.0, 3.0, node=0)], begin=0.0, seed=7, until_time=50_000.0)
    listed = [(one.node, one.start_time, one.end_time, one.failed) for one in spans if one.node < 3]
    assert listed == [(0, 5, 8, True), (1, 10, 20, False), (2, 10, 20, False), (2, 30, 40, True)]
    drawn = [one for one in spans if one.node == 3]
    assert drawn
    assert all(one.end_time - one.start_time <= 1_800 + 1e-6 for one in drawn)
    assert drawn == [one for one in away_spans(cluster, [], begin=0.0, seed=7, until_time=50_000.0) if one.node == 3]


def test_reservations_that_come_again_are_drawn_where_they_meet_the_chart_and_not_too_many(monkeypatch):
    kept = {"name": "r", "start_time": -1e9, "end_time": -1e9 + 600, "hosts": "n[2-3]", "repeat_times": [3600.0]}
    site = Site.from_json({"name": "s", "groups": [{"hosts": "n[1-3]", "cores": 4}], "reservations": [kept]})
    found = areas.of_site(site, 1000.0, 8000.0)
    assert [(one.node, one.start_time, one.end_time) for one in found or ()] == [
        (1, 800.0, 1400.0),
        (2, 800.0, 1400.0),
        (1, 4400.0, 5000.0),
        (2, 4400.0, 5000.0),
    ]
    monkeypatch.setattr(areas, "SITE_AREAS", 3)
    assert areas.of_site(site, 1000.0, 8000.0) is None
