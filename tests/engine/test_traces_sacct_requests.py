"""What jobs ask of a site, by Slurm's accounting."""

import io
import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler_sim.engine.errors import InvalidTrace
from scheduler_sim.engine.traces import ReadOptions, Trace, read_trace
from scheduler_sim.engine.workloads.requests import NAMES, Requests
from scheduler_sim.engine.workloads.workload import Labels
from tests.engine.asked_requests import assert_alike

LEAD = ("JobIDRaw", "JobID", "User", "Partition", "Submit", "Eligible", "Start", "End", "ElapsedRaw", "State")
USUAL: dict[str, Any] = dict(
    zip(
        (*LEAD[2:], "QOS", "ReqCPUS", "AllocCPUS", "ReqNodes", "NNodes"),
        ("ann", "batch", 1000, 1000, 1100, 1160, 60, "COMPLETED", "normal", 8, 8, 1, 1),
        strict=True,
    )
)


def read(*jobs: dict[str, Any], options: ReadOptions | None = None) -> Trace:
    """Read jobs, each of which states what is unusual, as sacct prints them with tabs."""
    rows = [{**USUAL, "JobIDRaw": place, "JobID": place, **job} for place, job in enumerate(jobs, 1)]
    names = list(dict.fromkeys([*LEAD, *(name for row in rows for name in row)]))
    lines = ["\t".join(names), *("\t".join(str(row.get(name, "")) for name in names) for row in rows)]
    return read_trace(io.BytesIO("\n".join(lines).encode()), name="jobs.tsv", options=options)


def asked(trace: Trace) -> Requests:
    assert trace.workload.requests is not None
    return trace.workload.requests


def first(trace: Trace, *names: str) -> list[Any]:
    found = []
    for name in names:
        column = getattr(asked(trace), name)
        found.append(column.texts()[0] if isinstance(column, Labels) else column.tolist()[0])
    return found


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        # What the line says is taken where it makes up the cores that were asked for.
        ({"SubmitLine": "sbatch -n 2 -c 4 x"}, [0, 0, 2, 4, 0]),
        ({"SubmitLine": "sbatch -N 1-2 -n 8 x", "NNodes": 2}, [1, 2, 8, 0, 0]),
        ({"SubmitLine": "sbatch -N 2 --ntasks-per-node 4 x", "ReqNodes": 2, "NNodes": 2}, [2, 0, 8, 0, 4]),
        # Else the script said more, and the columns count.
        ({"SubmitLine": "sbatch -N 2 x", "ReqNodes": 2, "NNodes": 2}, [2, 0, 0, 0, 0]),
        ({"SubmitLine": "sbatch x"}, [1, 0, 0, 0, 0]),
        ({}, [1, 0, 0, 0, 0]),
        ({"ReqNodes": 8, "NNodes": 8, "ReqCPUS": 512, "AllocCPUS": 512}, [8, 0, 0, 0, 0]),
        # More nodes than the least: as many as it took, or between the two.
        ({"NNodes": 3}, [0, 0, 0, 0, 0]),
        ({"ReqNodes": 2, "NNodes": 3}, [2, 3, 0, 0, 0]),
        ({"ReqNodes": "", "NNodes": "", "ReqTRES": "cpu=8,node=2", "AllocTRES": "cpu=8,node=2"}, [2, 0, 0, 0, 0]),
    ],
)
def test_nodes_processes_and_cores_come_from_the_line_or_from_the_columns(
    job: dict[str, Any], expected: list[int]
) -> None:
    # A second job keeps the columns present.
    trace = read(job, {"SubmitLine": "sbatch -n 8 -N 1 x"})
    assert first(trace, "nodes", "most_nodes", "tasks", "cores_per_task", "tasks_per_node") == expected


@pytest.mark.parametrize(
    ("job", "core", "node"),
    [
        ({"SubmitLine": "sbatch --mem-per-cpu 3500 x"}, 3500, None),
        ({"SubmitLine": "sbatch --mem 8G x"}, None, 8192),
        ({"ReqMem": "2000Mc"}, 2000, None),
        ({"ReqMem": "4Gn"}, None, 4096),
        ({"ReqMem": "4G"}, None, None),
        ({"SubmitLine": "sbatch --mem=0 x", "AllocTRES": "cpu=8,mem=512G,node=2", "NNodes": 2}, None, 262_144),
    ],
)
def test_memory_is_of_a_core_or_of_a_node(job: dict[str, Any], core: float | None, node: float | None) -> None:
    found = first(read(job), "memory_mb_per_core", "memory_mb_per_node")
    np.testing.assert_array_equal(found, [np.nan if core is None else core, np.nan if node is None else node])


@pytest.mark.parametrize(
    ("job", "each", "model"),
    [
        ({"ReqTRES": "cpu=8,gres/gpu=4", "AllocTRES": "cpu=8,gres/gpu:v100=4,gres/gpu=4,node=2", "NNodes": 2}, 2, ""),
        ({"ReqTRES": "gres/gpu:a100=4,gres/gpu=4", "AllocTRES": "gres/gpu:a100=4,gres/gpu=4,node=1"}, 4, "a100"),
        ({"AllocTRES": "gres/gpu:a100=3,node=2", "NNodes": 2}, 0, "a100"),
        ({"AllocTRES": "gres/gpu=4,node=2", "NNodes": 2, "SubmitLine": "sbatch -G 4 x"}, 0, ""),
        ({"AllocTRES": "gres/gpu=4,node=2", "NNodes": 2, "SubmitLine": "sbatch --gres=gpu:2 -N 2 x"}, 2, ""),
    ],
)
def test_gpus_of_a_node_and_the_model_that_was_asked_for(job: dict[str, Any], each: float, model: str) -> None:
    trace = read(job)
    assert (asked(trace).gpus_per_node.tolist(), trace.workload.gpu_type.texts().tolist()) == ([each], [model])


def test_what_got_whole_nodes_beyond_its_request_had_them_alone() -> None:
    trace = read(
        {"ReqCPUS": 1, "AllocCPUS": 64},
        {"ReqCPUS": 1, "AllocCPUS": 2},
        {"ReqCPUS": 4, "AllocCPUS": 64, "SubmitLine": "sbatch -n 4 x"},
        {"ReqCPUS": 4, "AllocCPUS": 4, "SubmitLine": "sbatch -n 4 --exclusive x"},
        {"ReqCPUS": 1, "AllocCPUS": 32, "Partition": "small"},
    )
    assert asked(trace).exclusive.tolist() == [True, False, False, True, True]


def test_features_qos_and_reservation_are_those_that_slurm_kept() -> None:
    line = "sbatch -C fast -q gold --reservation night -p batch,gpu x"
    names = ("features", "qos", "reservation", "partitions")
    assert first(read({"SubmitLine": line}), *names) == ["fast", "normal", "night", "batch,gpu"]
    columns = {"Constraints": "slow", "Reservation": ""}
    assert first(read({"SubmitLine": line, **columns}), *names) == ["slow", "normal", "", "batch,gpu"]
    moved = read({"SubmitLine": line, "Partition": "debug"})
    assert first(moved, "partitions") == [""]


def test_options_that_are_not_understood_are_counted() -> None:
    trace = read({"SubmitLine": "sbatch --frob x"}, {"SubmitLine": "sbatch x"})
    assert trace.audit.noticed["unread_option"].examples == ["--frob"]
    assert trace.audit.noticed["unread_option"].places == [2]


def test_a_job_that_was_held_or_had_a_date_may_start_then_and_not_before() -> None:
    trace = read(
        {"Eligible": 1040},
        {"Eligible": 1000},
        {"SubmitLine": "sbatch --begin=now+30 x", "Eligible": ""},
        {"Eligible": 1200},
        {"Eligible": "Unknown"},
    )
    # The fourth says that it started before it might.
    np.testing.assert_array_equal(asked(trace).eligible_time, [40, np.nan, 30, 100, np.nan])


def test_arrays_share_a_number_and_a_limit_and_their_first_date() -> None:
    line = "sbatch -a 0-3%2 x"
    trace = read(
        {"JobID": "7_0", "SubmitLine": line, "Eligible": 1001},
        {"JobID": "7_1", "SubmitLine": line, "Eligible": 1001},
        {"JobID": "7_2", "SubmitLine": line, "Eligible": 1090},
        {"JobID": "8_0", "SubmitLine": "sbatch -a 0-1 x", "Eligible": 1050},
        {},
    )
    assert asked(trace).array.tolist() == [7, 7, 7, 8, 0]
    assert asked(trace).array_limit.tolist() == [2, 2, 2, 0, 0]
    # A task that waited for others of its array waits for them in the model too, and for no instant.
    np.testing.assert_array_equal(asked(trace).eligible_time, [1, 1, 1, 50, np.nan])


def test_what_is_left_of_an_array_never_started_and_tells_its_limit() -> None:
    trace = read(
        {"JobID": "7_0"},
        {"JobID": "7_[1-8%3]", "Start": "Unknown", "End": "Unknown", "ElapsedRaw": 0, "State": "PENDING"},
    )
    assert (len(trace.workload), trace.audit.dropped["never_started"].count) == (1, 1)
    assert first(trace, "array", "array_limit") == [7, 3]


def parents(trace: Trace) -> list[list[int]]:
    tasks = trace.workload
    bounds = tasks.parents.offsets.tolist()
    return [tasks.task_id[tasks.parents.rows[begin:end]].tolist() for begin, end in pairwise(bounds)]


def after(kind: str, jobs: str, **more: Any) -> dict[str, Any]:
    late = {"Submit": 1010, "Eligible": 1160, "Start": 1170, "End": 1230}
    return {"SubmitLine": f"sbatch -d {kind}:{jobs} x", **late, **more}


def test_jobs_wait_for_others_and_not_for_the_instant_at_which_those_ended() -> None:
    trace = read({}, after("afterok", "1"), after("afterany", "1:2", Submit=1020, Start=1240, End=1300))
    assert parents(trace) == [[], [1], [1, 2]]
    assert asked(trace).needs_success.tolist() == [False, True, False]
    assert np.isnan(asked(trace).eligible_time).all()


def test_a_job_that_waits_for_more_than_the_file_tells_keeps_its_instant() -> None:
    trace = read(
        {},
        after("afterok", "1:99"),
        after("afterok", "1,singleton"),
        after("afterok", "1", SubmitLine="sbatch -d afterok:1 -H x"),
        after("afterok", "99"),
    )
    assert parents(trace) == [[], [1], [1], [1], []]
    np.testing.assert_array_equal(asked(trace).eligible_time, [np.nan, 160, 160, 160, 160])


def test_a_dependency_on_an_array_is_one_on_its_tasks() -> None:
    jobs = [{"JobID": "7_0"}, {"JobID": "7_1"}]
    whole = read(*jobs, after("afterok", "7"))
    one = read(*jobs, after("afterok", "7_1"))
    each = read(*jobs, *(after("aftercorr", "7", JobID=f"9_{task}") for task in range(2)))
    assert (parents(whole)[2], parents(one)[2], parents(each)[2:]) == ([1, 2], [2], [[1], [2]])


def test_a_dependency_that_the_record_contradicts_is_no_dependency() -> None:
    trace = read(
        {}, after("afterok", "1", Start=1120, End=1180), after("afterany", "4"), {"Submit": 1500, "Start": 1600}
    )
    assert parents(trace) == [[], [], [], []]
    assert trace.audit.noticed["contradicted_parent"].places == [3]


def test_a_job_that_ran_after_a_failure_did_not_need_success() -> None:
    trace = read({"State": "FAILED"}, after("afterok", "1"))
    assert asked(trace).fails.tolist() == [True, False]
    assert (parents(trace), asked(trace).needs_success.tolist()) == ([[], [1]], [False, False])


AGAIN: list[dict[str, Any]] = [
    {"JobIDRaw": 5, "JobID": 5, "State": "PREEMPTED"},
    {"JobIDRaw": 5, "JobID": 5, "Submit": 1160, "Eligible": 1281, "Start": 1300, "End": 1380, "ElapsedRaw": 80},
]


@pytest.mark.parametrize("order", [1, -1])
def test_the_records_of_a_job_that_was_queued_again_are_one_task(order: int) -> None:
    trace = read(*AGAIN[::order], {"Submit": 1500, "Eligible": 1500, "Start": 1500, "End": 1560})
    tasks = trace.workload
    assert tasks.task_id.tolist() == [5, 3]
    assert (tasks.arrival_time[0], tasks.recorded_start_time[0], tasks.runtime[0]) == (0, 100, 80)
    assert np.isnan(asked(trace).eligible_time).all()
    assert trace.audit.dropped["earlier_attempt"].count == 1
    assert "contradicting_duration" not in trace.audit.noticed


def test_a_job_that_never_ran_again_keeps_the_run_it_had() -> None:
    waiting = {"Start": "Unknown", "End": "Unknown", "ElapsedRaw": 0, "State": "PENDING", "NNodes": 0}
    trace = read(AGAIN[0], {**AGAIN[1], **waiting})
    assert (trace.workload.runtime.tolist(), trace.audit.dropped["never_started"].count) == ([60], 1)


def test_a_run_that_was_resized_goes_on() -> None:
    trace = read(
        {"JobIDRaw": 5, "JobID": 5, "State": "RESIZING"},
        {"JobIDRaw": 5, "JobID": 5, "Start": 1160, "End": 1200, "ElapsedRaw": 40},
    )
    assert (trace.workload.runtime.tolist(), trace.workload.recorded_start_time.tolist()) == ([100], [100])


def test_a_run_that_the_file_holds_twice_is_one_task() -> None:
    trace = read(
        {"JobIDRaw": 5, "JobID": 5},
        {"JobIDRaw": 5, "JobID": 5, "End": "Unknown", "ElapsedRaw": 10, "State": "RUNNING"},
    )
    assert trace.workload.runtime.tolist() == [60]
    assert trace.audit.dropped["repeated_record"].places == [3]
    assert "ended_while_running" not in trace.audit.repaired


def test_a_number_that_was_used_anew_is_another_job() -> None:
    trace = read(AGAIN[1], {"JobIDRaw": 5, "JobID": 5, "Submit": 900_000, "Start": 900_100, "End": 900_160})
    assert (len(trace.workload), trace.audit.repaired["duplicate_id"].count) == (2, 1)


@pytest.mark.parametrize("column", ["Cluster", "User"])
def test_jobs_of_one_number_on_other_clusters_or_of_other_users_are_others(column: str) -> None:
    first_one, again = ({**job, column: f"c{place}"} for place, job in enumerate(AGAIN))
    trace = read(first_one, again, {**AGAIN[1], column: "c0", "Start": 1400, "End": 1480})
    assert (len(trace.workload), trace.audit.dropped["earlier_attempt"].places) == (2, [2])


def test_a_job_of_which_only_the_last_run_is_there_is_said() -> None:
    trace = read({"Restarts": 1}, {"Restarts": 0}, *({**job, "Restarts": 1} for job in AGAIN))
    assert trace.audit.noticed["restarted"].places == [2]


def test_what_still_ran_keeps_its_time_or_is_left_out() -> None:
    jobs: tuple[dict[str, Any], ...] = ({}, {"End": "Unknown", "ElapsedRaw": 33, "State": "RUNNING"})
    kept = read(*jobs)
    assert (kept.workload.runtime.tolist(), kept.audit.repaired["ended_while_running"].places) == ([60, 33], [3])
    left = read(*jobs, options=ReadOptions(finished_only=True))
    assert (left.workload.runtime.tolist(), left.audit.dropped["still_running"].places) == ([60], [3])


def test_a_file_that_begins_in_the_middle_says_where_a_replay_should_begin() -> None:
    old = [{"Start": 1000 + place, "End": 90_000 + place, "ElapsedRaw": 89_000} for place in range(5)]
    new = [{"Submit": 88_000, "Start": 90_100 + place, "End": 90_160 + place} for place in range(9)]
    said = read(*old, *new).audit.noticed["begun_before"]
    assert (said.places, said.examples) == ([2, 3, 4, 5, 6], ["--begin-time 89000"])
    assert "begun_before" not in read(*new).audit.noticed
    assert "begun_before" not in read(*old[:4], *new).audit.noticed


@pytest.mark.parametrize(
    ("job", "cores"),
    [
        # Whole cores of two threads.
        ({"SubmitLine": "sbatch -n 3 x", "ReqCPUS": 3, "AllocCPUS": 6}, 2),
        ({"SubmitLine": "sbatch -n 2 -c 3 x", "ReqCPUS": 6, "AllocCPUS": 8}, 4),
        ({"SubmitLine": "sbatch -n 3 x", "ReqCPUS": 3, "AllocCPUS": 4}, 0),
        ({"SubmitLine": "sbatch -n 4 --exclusive x", "ReqCPUS": 4, "AllocCPUS": 64}, 1),
    ],
)
def test_a_process_holds_what_it_got_unless_nodes_were_whole(job: dict[str, Any], cores: int) -> None:
    assert first(read(job), "cores_per_task") == [cores]


def test_components_of_a_heterogeneous_job_are_tasks_and_that_is_said() -> None:
    trace = read({"JobID": "1+0"}, {"JobID": "1+1"})
    assert trace.workload.external_id.tolist() == ["1+0", "1+1"]
    assert trace.audit.noticed["job_component"].count == 2


def of_23(value: int | None) -> dict[str, Any]:
    return {"set": value is not None, "infinite": False, "number": value or 0}


def document(**more: Any) -> dict[str, Any]:
    """Return a job as version 23.11 writes it."""
    job: dict[str, Any] = {
        "job_id": 5,
        "user": "ann",
        "account": "physics",
        "partition": "batch",
        "qos": "normal",
        "state": {"current": ["COMPLETED"], "reason": "None"},
        "time": {
            "submission": 1000,
            "eligible": 1040,
            "start": 1100,
            "end": 1160,
            "elapsed": 60,
            "suspended": 0,
            "limit": of_23(10),
        },
        "array": {"job_id": 0, "task_id": of_23(None), "task": "", "limits": {"max": {"running": {"tasks": 0}}}},
        "het": {"job_id": 0, "job_offset": of_23(None)},
        "required": {"CPUs": 8, "memory_per_cpu": of_23(None), "memory_per_node": of_23(4096)},
        "allocation_nodes": 2,
        "nodes": "c[01-02]",
        "constraints": "fast",
        "reservation": {"id": 0, "name": ""},
        "submit_line": "sbatch -N 2 -n 8 x",
        "tres": {
            "requested": [{"type": "cpu", "name": "", "id": 1, "count": 8}, {"type": "node", "name": "", "count": 2}],
            "allocated": [
                {"type": "cpu", "name": "", "id": 1, "count": 8},
                {"type": "mem", "name": "", "id": 2, "count": 8192},
                {"type": "node", "name": "", "id": 4, "count": 2},
                {"type": "gres", "name": "gpu:a100", "id": 1002, "count": 4},
            ],
        },
        "steps": [{"step": {"id": "batch"}}],
    }
    return {**job, **more}


def from_json(*jobs: Any, indent: int | None = None) -> Trace:
    text = json.dumps({"jobs": jobs, "meta": {}, "errors": []}, indent=indent)
    return read_trace(io.BytesIO(text.encode()), name="jobs.json")


@pytest.mark.parametrize("indent", [None, 2])
def test_json_of_a_newer_version_is_read(indent: int | None) -> None:
    trace = from_json(
        document(),
        document(job_id=6, state={"current": "RUNNING"}, array={"job_id": 4, "task_id": of_23(2)}),
        indent=indent,
    )
    tasks = trace.workload
    assert (trace.format, tasks.task_id.tolist(), tasks.external_id.tolist()) == ("sacct", [5, 6], ["5", "4_2"])
    found = [getattr(tasks, name).tolist()[0] for name in ("runtime", "duration_estimate", "cpus", "gpus", "memory_mb")]
    assert found == [60, 600, 8, 4, 8192]
    names = ("nodes", "tasks", "features", "qos", "memory_mb_per_node", "eligible_time")
    assert first(trace, *names) == [2, 8, "fast", "normal", 4096, 40]
    assert trace.audit.repaired["ended_while_running"].places == [2]


def test_json_without_a_limit_has_no_estimate() -> None:
    limits = [{"set": True, "infinite": True, "number": 0}, of_23(None), 2**32 - 1, 2**32 - 2, 20]
    trace = from_json(
        *(document(job_id=place, time={**document()["time"], "limit": limit}) for place, limit in enumerate(limits, 1))
    )
    assert trace.workload.estimate_known.tolist() == [False, False, False, False, True]


@pytest.mark.parametrize("first", ["account", "time", "tres"])
def test_the_list_of_jobs_alone_is_read_whatever_key_is_first(first: str) -> None:
    jobs = [{first: document()[first], **document(job_id=number)} for number in (5, 6)]
    trace = read_trace(io.BytesIO(json.dumps(jobs, indent=2).encode()), name="jobs.json")
    assert (trace.format, trace.workload.task_id.tolist()) == ("sacct", [5, 6])


@pytest.mark.parametrize("job", [5, {}, {"job_id": 5}, {"job_id": "5", "time": {}}, {"job_id": 5, "time": 3}])
def test_a_job_of_json_that_is_none_is_counted(job: Any) -> None:
    trace = from_json(document(), job)
    assert (len(trace.workload), trace.audit.dropped["broken_line"].places) == (1, [2])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"meta": {}, "errors": []}', "without a list of jobs"),
        ('{"meta": {}, "jobs": [{"job_id": 5', "ends too early"),
        ('{"meta": {}, "jobs": [{"job_id": 5} nonsense]}', "not valid JSON"),
        ('{"meta": {}, "jobs": []}', "no usable task"),
        ('{"meta": {}, "jobs": [' + "[" * 100_000, "nested too deeply"),
        ('{"jobs": [{"job_id": 5, "job_state": ["PENDING"]}]}', "squeue"),
    ],
)
def test_json_that_cannot_be_read_is_told_apart(text: str, said: str) -> None:
    with pytest.raises(InvalidTrace, match=said):
        read_trace(io.BytesIO(text.encode()), name="jobs.json")


def test_columns_cannot_be_named_for_json() -> None:
    text = json.dumps({"jobs": [document()]}).encode()
    with pytest.raises(InvalidTrace, match="leave out --columns"):
        read_trace(io.BytesIO(text), name="j", format="sacct", options=ReadOptions(header=("JobID", "Submit")))


JOBS = st.lists(
    st.fixed_dictionaries(
        {
            "Submit": st.integers(1000, 1100),
            "wait": st.integers(0, 50),
            "ElapsedRaw": st.integers(1, 99),
            "TimelimitRaw": st.integers(1, 9),
            "cpus": st.integers(1, 64),
            "nodes": st.integers(1, 4),
            "gpus": st.integers(0, 4),
            "task": st.none() | st.integers(0, 9),
            "State": st.sampled_from(["COMPLETED", "FAILED", "RUNNING", "TIMEOUT"]),
            "SubmitLine": st.sampled_from(["", "sbatch -n 8 x", "sbatch -d afterany:1 x", "sbatch -N 2 --exclusive x"]),
            "Constraints": st.sampled_from(["", "fast", "a|b"]),
        }
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(JOBS)
def test_json_and_text_of_the_same_jobs_are_the_same_workload(jobs: list[dict[str, Any]]) -> None:
    printed, documents = [], []
    for number, job in enumerate(jobs, 1):
        start = job["Submit"] + job["wait"]
        ended = 0 if job["State"] == "RUNNING" else start + job["ElapsedRaw"]
        gpus, own = job["gpus"], {name: job[name] for name in ("Submit", "ElapsedRaw", "TimelimitRaw", "SubmitLine")}
        cores, nodes = job["cpus"] * job["nodes"], job["nodes"]
        held = f"cpu={cores},mem={cores * 100}M,node={nodes}" + (f",gres/gpu:a100={gpus}" if gpus else "")
        printed.append(
            {
                **own,
                "JobIDRaw": number,
                "JobID": number if job["task"] is None else f"90{number}_{job['task']}",
                "Eligible": job["Submit"],
                "Start": start,
                "End": ended or "Unknown",
                "State": job["State"],
                "ReqCPUS": cores,
                "AllocCPUS": cores,
                "ReqNodes": nodes,
                "NNodes": nodes,
                "AllocTRES": held,
                "ReqTRES": held,
                "NodeList": "c[01-02]",
                "Constraints": job["Constraints"],
            }
        )
        resources = [("cpu", "", cores), ("mem", "", cores * 100), ("node", "", nodes), ("gres", "gpu:a100", gpus)]
        listed = [{"type": kind, "name": model, "count": count} for kind, model, count in resources if count]
        times = {"submission": job["Submit"], "eligible": job["Submit"], "start": start, "end": ended, "suspended": 0}
        documents.append(
            document(
                job_id=number,
                account="",
                array={"job_id": int(f"90{number}") if job["task"] is not None else 0, "task_id": of_23(job["task"])},
                state={"current": [job["State"]]},
                time={**times, "elapsed": job["ElapsedRaw"], "limit": of_23(job["TimelimitRaw"])},
                required={"CPUs": cores},
                allocation_nodes=nodes,
                constraints=job["Constraints"],
                submit_line=job["SubmitLine"],
                tres={"requested": listed, "allocated": listed},
            )
        )
    text, other = read(*printed).workload, from_json(*documents).workload
    for name in ("task_id", "arrival_time", "runtime", "duration_estimate", "cpus", "gpus", "memory_mb", "external_id"):
        np.testing.assert_array_equal(getattr(text, name), getattr(other, name))
    assert_alike(text.requests, other.requests)
    np.testing.assert_array_equal(text.parents.rows, other.parents.rows)


def test_every_column_of_requests_is_one_that_a_task_may_ask() -> None:
    assert set(asked(read({"SubmitLine": "sbatch -n 8 x"})).columns()) == set(NAMES)
