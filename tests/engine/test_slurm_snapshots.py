"""What squeue and sprio show of one instant."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scheduler_sim.engine.errors import InvalidTrace
from scheduler_sim.engine.traces import read_trace
from scheduler_sim.engine.traces.slurm_queue import workload_of_queue
from scheduler_sim.engine.traces.slurm_snapshots import (
    QueuedJob,
    read_priorities,
    read_queue,
    split_snapshots,
)

PathOf = Callable[[str], Path]

HEAD = (
    "JOBID|USER|ACCOUNT|PARTITION|QOS|STATE|REASON|PRIORITY|SUBMIT_TIME|START_TIME|TIME_LIMIT|TIME|NODES|CPUS|"
    "TRES_PER_NODE|FEATURES|DEPENDENCY|NODELIST"
)
RUNS = (
    "5|ann|physics|batch|normal|RUNNING|None|90|1970-01-01T00:10:00|1970-01-01T00:11:40|5:00|0:20|2|8|N/A|(null)|"
    "(null)|c[1-2]"
)
WAITS = (
    "6|bob|physics|gpu,batch|high|PENDING|Resources|80|1970-01-01T00:11:00|N/A|1-00:00:00|0:00|1|4|gres:gpu:a100:2|"
    "a|b|(null)|"
)


def queue(*lines: str) -> list[QueuedJob]:
    return read_queue("\n".join([HEAD, *lines]))


def test_a_queue_is_read_with_alternatives_among_features() -> None:
    runs, waits = queue(RUNS, WAITS)
    assert (runs.job, runs.started, runs.limit, runs.elapsed, runs.hosts) == ("5", 700, 300, 20, "c[1-2]")
    assert (runs.is_running, runs.reason, runs.features, runs.gpus_per_node) == (True, "", "", 0)
    assert (waits.partition, waits.limit, waits.started, waits.reason) == ("gpu,batch", 86_400, None, "Resources")
    assert (waits.features, waits.gpus_per_node, waits.gpu_type, waits.priority) == ("a|b", 2, "a100", 80)


def test_the_table_for_people_is_read() -> None:
    text = (
        "             JOBID PARTITION     NAME     USER ST       TIME  NODES NODELIST(REASON)\n"
        "         9_[6-8%2]     batch   my job      ann PD       0:00      1 (JobArrayTaskLimit)\n"
        "                 4     batch     j084      bob  R    1-00:55      2 c[01-02]\n"
    )
    jobs = read_queue(text)
    assert [job.job for job in jobs] == ["9_6", "9_7", "9_8", "4"]
    assert {(job.state, job.reason, job.array, job.array_limit) for job in jobs[:3]} == {
        ("PENDING", "JobArrayTaskLimit", 9, 2)
    }
    assert (jobs[3].state, jobs[3].elapsed, jobs[3].hosts, jobs[3].user) == ("RUNNING", 89_700, "c[01-02]", "bob")


def test_expected_starts_are_read() -> None:
    (job,) = read_queue(
        "JOBID|NAME|STATE|START_TIME|NODES|SCHEDNODES|REASON|PRIORITY\n14|j|PENDING|1970-01-01T01:00:00|1|c01|Resources|7\n"
    )
    assert (job.started, job.planned_hosts, job.is_running) == (3600, "c01", False)


def of(value: float | None) -> dict[str, Any]:
    return {"set": value is not None, "infinite": False, "number": value or 0}


def test_json_is_read_in_both_forms() -> None:
    new = {
        "job_id": 7,
        "user_name": "ann",
        "account": "a",
        "partition": "batch",
        "qos": "normal",
        "nodes": "c1",
        "job_state": ["RUNNING"],
        "state_reason": "None",
        "priority": of(5),
        "submit_time": of(600),
        "start_time": of(700),
        "time_limit": of(5),
        "node_count": of(1),
        "cpus": of(4),
        "features": "",
        "array_job_id": of(6),
        "array_task_id": of(1),
        "tres_per_node": "gres/gpu:2",
        "dependency": "",
    }
    old = {
        **new,
        "job_state": "PENDING",
        "submit_time": 600,
        "start_time": 0,
        "time_limit": 5,
        "cpus": 4,
        "node_count": 1,
        "array_job_id": 6,
        "array_task_id": None,
        "array_task_string": "2-3",
        "array_max_tasks": 1,
    }
    jobs = read_queue(json.dumps({"jobs": [new, old]}))
    assert read_queue(json.dumps([new, old], indent=2)) == read_queue(json.dumps([new, old])) == jobs
    assert read_queue("[]") == []
    assert [(job.job, job.state, job.submitted, job.started, job.limit, job.gpus_per_node) for job in jobs] == [
        ("6_1", "RUNNING", 600, 700, 300, 2),
        ("6_2", "PENDING", 600, None, 300, 2),
        ("6_3", "PENDING", 600, None, 300, 2),
    ]
    assert [job.array_limit for job in jobs] == [0, 1, 1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("USER|STATE\nann|RUNNING\n", "names no JOBID"),
        (f"{HEAD}\n5|ann\n", "a line of 2 columns where squeue's table has 18"),
        (f"{HEAD}\n{RUNS.replace('5|', '|', 1)}\n", "a job without a number"),
        ("JOBID|STATE\n9_[1-x]|PENDING\n", "print it with squeue -r"),
        ("JOBID|STATE\n9_[1-9999999]|PENDING\n", "print it with squeue -r"),
        ('{"jobs": [5]}', "a job without a number"),
    ],
)
def test_what_squeue_does_not_print_is_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidTrace, match=said):
        read_queue(text)


def test_printouts_below_their_marks_are_told_apart() -> None:
    text = "### snapshot k=0 epoch=12.5 t=1\nJOBID|STATE\n\n### snapshot k=1\nJOBID|STATE\n5|RUNNING\n"
    first, second = split_snapshots(text)
    assert (first.at, read_queue(first.text), second.at, len(read_queue(second.text))) == (12.5, [], None, 1)
    assert [one.at for one in split_snapshots("JOBID|STATE\n")] == [None]


def test_priorities_are_read_with_what_they_are_made_of() -> None:
    head = "JOBID PARTITION USER PRIORITY SITE AGE ASSOC FAIRSHARE JOBSIZE PARTITION QOS NICE TRES\n"
    (found,) = read_priorities(f"{head}  44 express  u11  14125  0  3  0 10000 125 1000 3000 -3\n")
    assert (found.job, found.user, found.partition, found.priority) == ("44", "u11", "express", 14_125)
    factors = {"site": 0, "age": 3, "assoc": 0, "fairshare": 10_000, "jobsize": 125, "partition": 1000, "qos": 3000}
    assert found.factors == {**factors, "nice": -3}
    assert read_priorities("You are not running a supported priority plugin\n(priority/basic).\n") == []


@pytest.mark.parametrize("text", ["JOBID USER\n1 ann\n", "JOBID PRIORITY\n1 2 3 4\n", "JOBID PRIORITY\n1 high\n"])
def test_what_sprio_does_not_print_is_refused(text: str) -> None:
    with pytest.raises(InvalidTrace, match="sprio"):
        read_priorities(text)


def test_a_queue_becomes_a_workload() -> None:
    held = WAITS.replace("6|", "8|", 1).replace("Resources", "JobHeldUser")
    later = (
        WAITS.replace("6|", "9|", 1).replace("Resources|80", "BeginTime|80").replace("N/A|1-", "1970-01-01T00:20:00|1-")
    )
    after = WAITS.replace("6|", "10|", 1).replace("(null)|", "afterok:5(unfulfilled):99(failed)|")
    done = RUNS.replace("5|", "11|", 1).replace("RUNNING", "COMPLETED")
    state = workload_of_queue(queue(RUNS, WAITS, held, later, after, done))
    tasks, requests = state.workload, state.workload.requests
    assert requests is not None
    assert (state.zero_at, state.now, state.held, state.left_out) == (600, 120, ("8",), ("11",))
    assert tasks.external_id.tolist() == ["5", "6", "9", "10"]
    assert tasks.arrival_time.tolist() == [0, 60, 60, 60]
    np.testing.assert_array_equal(tasks.recorded_start_time, [100, np.nan, np.nan, np.nan])
    assert tasks.runtime.tolist() == [300, 86_400, 86_400, 86_400]
    assert (tasks.cpus.tolist(), tasks.gpus.tolist()) == ([8, 4, 4, 4], [0, 2, 2, 2])
    assert requests.partitions.texts().tolist() == ["", "gpu,batch", "gpu,batch", "gpu,batch"]
    np.testing.assert_array_equal(requests.eligible_time, [np.nan, np.nan, 600, np.nan])
    assert (tasks.parents.rows.tolist(), requests.needs_success.tolist()) == ([0], [False, False, False, True])


def test_a_queue_without_dates_keeps_its_order_and_what_runs() -> None:
    text = "JOBID|STATE|TIME|NODES|CPUS\n5|RUNNING|0:20|1|4\n6|PENDING|0:00|1|4\n"
    tasks = workload_of_queue(read_queue(text), at=1000).workload
    assert (tasks.arrival_time.tolist(), tasks.runtime.tolist()) == ([0, 20], [20, 0])
    with pytest.raises(InvalidTrace, match="when it was printed"):
        workload_of_queue(read_queue(text))
    with pytest.raises(InvalidTrace, match="no job that runs"):
        workload_of_queue([], at=0)


@pytest.mark.parametrize("scenario", ["S1A", "S2"])
def test_real_queues_hold_what_the_accounting_says(scenario: str, slurm_path: PathOf) -> None:
    trace = read_trace(slurm_path(f"{scenario}/sacct/sacct_X_all.psv.gz"))
    zero, tasks = float(trace.headers["UnixStartTime"]), trace.workload
    begun = (zero + tasks.recorded_start_time).tolist()
    spans = dict(zip(tasks.external_id.tolist(), zip(begun, tasks.runtime.tolist(), strict=True), strict=True))
    text = gzip.decompress(slurm_path(f"{scenario}/snapshots/squeue.txt.gz").read_bytes()).decode()
    seen = 0
    for shot in split_snapshots(text):
        assert shot.at is not None
        jobs = read_queue(shot.text)
        running = {job.job for job in jobs if job.is_running}
        for name, (start, runtime) in spans.items():
            inside = start + 2 <= shot.at <= start + runtime - 2
            outside = shot.at < start - 2 or shot.at > start + runtime + 2
            assert not (inside and name not in running)
            assert not (outside and name in running)
        seen += len(running)
        if jobs:
            state = workload_of_queue(jobs, at=shot.at)
            assert len(state.workload) + len(state.held) == len(jobs)
            assert np.nanmax(state.workload.recorded_start_time, initial=0) <= state.now
    assert seen > 100
