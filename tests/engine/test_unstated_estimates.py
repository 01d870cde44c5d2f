"""What is said of tasks that state no estimate, with and without a site that gives them a time limit."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest

from scheduler_sim.engine.kernels.site.asks import Asks, asks, given_times
from scheduler_sim.engine.measuring.cautions import Unstated, told_without_estimates
from scheduler_sim.engine.policies import parse_policies
from scheduler_sim.engine.sites import Scheduling, Site
from scheduler_sim.engine.workloads.workload import Workload

DAY = {"name": "day", "is_default": True, "default_time": 3600}
WEEK = {"name": "week", "max_time": 7200, "default_time": None}
FREE = {"name": "free"}
PERFECT = "Perfect estimates are assumed: no task states one"


def parted(*partitions: dict[str, Any]) -> Site:
    return Site.from_json({"name": "s", "groups": [{"hosts": "n1", "cores": 2}], "partitions": list(partitions)})


def tasks(*queues: str, stated: float = np.nan, groups: Sequence[str] | None = None) -> Workload:
    n = len(queues)
    return Workload.from_columns(
        arrival_time=np.arange(n, dtype=float),
        runtime=[60.0] * n,
        cpus=[1] * n,
        queue=list(queues),
        group=groups or [""] * n,
        duration_estimate=[stated, *[np.nan] * (n - 1)],
    )


def told(workload: Workload, policies: str, site: Site | None) -> Unstated:
    found = told_without_estimates(workload, parse_policies(policies), site)
    assert found is not None
    return found


@pytest.mark.parametrize("site", [None, parted(FREE)])
def test_where_no_partition_gives_a_time_true_run_times_are_told(site: Site | None) -> None:
    found = told(tasks("free", "free"), "fcfs,fcfs+easy,sjf", site)
    assert found == Unstated(
        "perfect_estimates", ["fcfs+easy", "sjf"], f"{PERFECT}, and fcfs+easy, sjf use the true run times."
    )


@pytest.mark.parametrize("partition", [DAY, WEEK])
def test_plans_go_by_the_time_that_the_partition_gives(partition: dict[str, Any]) -> None:
    found = told(tasks("", ""), "fcfs+easy,slurm", parted(partition))
    text = "2 of 2 tasks state no estimate; fcfs+easy, slurm plan with the default or largest time of their partitions."
    assert found == Unstated("partition_estimates", ["fcfs+easy", "slurm"], text)


def test_orders_go_by_true_run_times_all_the_same() -> None:
    found = told(tasks("day", "day"), "sjf,fcfs+easy,sjf+easy", parted(DAY))
    assert found.kind == "perfect_estimates"
    assert found.text == (
        f"{PERFECT}; sjf, sjf+easy order them by the true run times, and fcfs+easy, sjf+easy plan with the default or "
        "largest time of their partitions."
    )
    assert told(tasks("day"), "sjf", parted(DAY)).text == f"{PERFECT}, and sjf use the true run times."


def test_part_of_the_tasks_have_neither() -> None:
    found = told(tasks("day", "free", "day,free"), "fcfs+easy", parted(DAY, FREE))
    assert found.kind == "perfect_estimates"
    assert found.text == (
        f"{PERFECT}; fcfs+easy plan with the default or largest time of their partitions for 1 of them, with that in "
        "some partitions and the true run times in the others for 1, and with the true run times for the other 1."
    )
    assert told(tasks("day,free", "day, free"), "fcfs+easy", parted(DAY, FREE)).text == (
        f"{PERFECT}; fcfs+easy plan with the default or largest time of their partitions in some of these and the true "
        "run times in the others for 2 of them."
    )


def test_a_site_that_plans_nothing_only_checks_with_its_times() -> None:
    site = msgspec.structs.replace(parted(DAY), scheduling=Scheduling(backfill=False))
    time = "with the default or largest time of their partitions."
    assert told(tasks("day"), "slurm", site) == Unstated(
        "partition_estimates",
        ["slurm"],
        f"1 of 1 tasks state no estimate; slurm check reservations and limits {time}",
    )
    assert told(tasks("day"), "slurm,fcfs+easy", site).text.endswith(
        f"; fcfs+easy plan, and slurm check reservations and limits {time}"
    )


def test_where_others_state_one_the_rest_is_counted() -> None:
    queues = ("day", "day", "free")
    found = told(tasks(*queues, stated=90.0), "fcfs+easy", parted(DAY, FREE))
    assert found.kind == "unknown_estimates"
    assert found.text == (
        "2 of 3 tasks state no estimate; fcfs+easy plan with the default or largest time of their partitions for 1 of "
        "them, and with the largest one of their queue, or of the workload for the other 1."
    )
    assert told(tasks(*queues, stated=90.0), "sjf", parted(DAY, FREE)).text == (
        "2 of 3 tasks state no estimate; sjf are told the largest one of their queue, or of the workload."
    )


def test_a_partition_that_does_not_take_a_task_gives_it_nothing() -> None:
    workload = tasks("day,free", "day,free", groups=["physics", "law"])
    every, some = given_times(workload, parted(DAY, FREE))
    assert (every.tolist(), some.tolist()) == ([False, False], [True, True])
    closed = parted(DAY, {"name": "free", "denied_accounts": ["physics"]})
    every, some = given_times(workload, closed)
    assert (every.tolist(), some.tolist()) == ([True, False], [False, True])
    assert asks(workload, closed).limit.tolist() == [3600.0, 3600.0, 60.0]
    # And where only those take it that give none, it is of neither.
    every, some = given_times(workload, parted({**DAY, "denied_accounts": ["physics"]}, FREE))
    assert (every.tolist(), some.tolist()) == ([False, False], [False, True])


def test_asks_are_worked_out_only_where_the_partitions_of_a_task_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = []

    def counted(workload: Workload, site: Site) -> Asks:
        looked_at.append(len(workload))
        return asks(workload, site)

    monkeypatch.setattr("scheduler_sim.engine.kernels.site.asks.asks", counted)
    site = parted(DAY, WEEK, FREE)
    assert given_times(tasks("day", "week,day", "free", "gone,day", ""), site)[0].tolist() == [
        True,
        True,
        False,
        True,
        True,
    ]
    assert looked_at == []
    # What states an estimate is not looked at.
    assert given_times(tasks("day,free", "day,free", "day", stated=90.0), site)[1].tolist() == [False, True, False]
    assert looked_at == [1]
