"""Reservations that come again: which times there are of each, and tasks that fit in none of them."""

from typing import Any

import numpy as np
import pytest

from scheduler_sim.engine.errors import InvalidSite
from scheduler_sim.engine.kernels.site.never import never_starts
from scheduler_sim.engine.kernels.site.reserved import reserved_columns, spans
from scheduler_sim.engine.sites import Reservation, Site, read_site
from scheduler_sim.engine.workloads.requests import Requests
from scheduler_sim.engine.workloads.workload import Labels, Workload
from tests.engine.ruled_site import RULED, playable


@pytest.mark.parametrize("policy", ["fcfs", "fcfs+easy", "slurm"])
@pytest.mark.parametrize("way", ["by a rule", "as listed"])
def test_tasks_wait_for_the_next_time_of_their_reservation(policy, way):
    document = read_site(RULED).as_json()
    first = {"name": "class", "start_time": 600.0, "end_time": 1200.0, "hosts": "n[01-02]"}
    again = {"name": "second", "start_time": 4200.0, "end_time": 4800.0, "hosts": "n[01-02]", "called": "class"}
    by_rule = [{**first, "start_time": -3000.0, "end_time": -2400.0, "repeat_times": [3600.0]}]
    document["reservations"] = by_rule if way == "by a rule" else [first, again]
    workload = Workload.from_columns(
        arrival_time=[0.0, 900.0, 1000.0, 1300.0],
        runtime=[100.0, 100.0, 100.0, 100.0],
        duration_estimate=[300.0, 240.0, 300.0, 600.0],
        cpus=np.ones(4),
        user=["ann"] * 4,
        group=["one"] * 4,
        requests=Requests.blank(4, reservation=Labels.from_texts(["class"] * 4)),
    )
    start = playable(policy, workload, Site.from_json(document)).outcome().start_time
    # The third has no room before the end of the first time; the last one fits the whole of the second just so.
    assert (start // 60).tolist() == [10, 15, 70, 70]


@pytest.mark.parametrize(
    ("first", "again", "nodes", "limit", "reason"),
    [
        ({}, {}, 1, 600.0, None),
        ({}, {}, 2, 60.0, "BadConstraints"),
        ({"hosts": "n[01-02]"}, {}, 2, 600.0, None),
        ({"hosts": "n[01-02]"}, {"end_time": 9000.0}, 2, 660.0, "Reservation"),
        ({}, {"end_time": 9000.0}, 1, 660.0, None),
        ({"repeat_times": [86400.0]}, None, 1, 601.0, "Reservation"),
        ({"repeat_times": [86400.0]}, None, 1, 600.0, None),
    ],
)
def test_a_task_that_fits_in_no_time_of_its_reservation_never_starts(first, again, nodes, limit, reason):
    document = read_site(RULED).as_json()
    document["reservations"] = [{"name": "class", "start_time": 600.0, "end_time": 1200.0, "hosts": "n01"} | first]
    if again is not None:
        second = {"name": "second", "start_time": 4200.0, "end_time": 4800.0, "hosts": "n02", "called": "class"}
        document["reservations"].append(second | again)
    site = Site.from_json(document)
    workload = Workload.from_columns(
        arrival_time=[0.0],
        runtime=[10.0],
        duration_estimate=[limit],
        cpus=[1],
        user=["ann"],
        group=["one"],
        requests=Requests.blank(
            1, nodes=np.array([nodes]), tasks=np.array([nodes]), reservation=Labels.from_texts(["class"])
        ),
    )
    assert never_starts(workload, site).reasons == (() if reason is None else (reason,))
    if reason is None:
        assert np.isfinite(playable("fcfs", workload, site).outcome().start_time).all()


def hourly(nodes: int, **stated: Any) -> Site:
    """Return a site of which all nodes are reserved every hour."""
    names = f"n[1-{nodes}]"
    again = {"name": "hourly", "start_time": -1e9, "end_time": -1e9 + 60, "hosts": names, "repeat_times": [3600.0]}
    return Site.from_json(
        {
            "name": "s",
            "groups": [{"hosts": names, "cores": 4}],
            "reservations": [again | stated, {**again, "name": "b"}],
        }
    )


def test_reservations_that_come_often_are_laid_out_by_their_host_lists_and_too_many_times_are_refused(monkeypatch):
    asked: list[str] = []
    numbers = Site.numbers

    def counted(site: Site, hosts: str) -> tuple[int, ...]:
        asked.append(hosts)
        return numbers(site, hosts)

    monkeypatch.setattr(Site, "numbers", counted)
    site, offered = hourly(70), np.array([-5.0, 100.0, np.inf])
    asked.clear()
    found = spans(site, offered)
    columns = reserved_columns(site, found)
    assert [len(one) for one in found] == [8760, 8760]
    assert asked == ["n[1-70]"]
    assert columns["span_masks"].reshape(-1, 2).tolist() == [[-1, 63]] * (2 * 8760)
    assert found[0][0][:2] == (-1e9 + 277778 * 3600, -1e9 + 277778 * 3600 + 60), "the first that is not over"
    sentence = (
        r"come 534,\d{3} times until a year after the last task comes, hourly 525,\d{3} times of these, and 50,000"
    )
    with pytest.raises(InvalidSite, match=sentence) as refused:
        spans(hourly(2, repeat_times=[60.0]), offered)
    assert refused.value.path == "reservations[0].repeat_times"


@pytest.mark.parametrize("since", [-1e5, 0.0, 95.0, 96.0, 700.0, 1234.5, 1e7])
def test_leaving_out_times_that_are_over_changes_no_other(since):
    one = Reservation(name="r", start_time=-3.0, end_time=96.0, repeat_times=(100.0, 300.0))
    until = since + 2000.0
    plain = [span for span in one.spans(until) if span[1] > since]
    assert [span for span in one.spans(until, since) if span[1] > since] == plain
    assert len(list(one.spans(until, since))) <= len(plain) + 3
