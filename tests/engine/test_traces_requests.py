"""What tasks ask of a site, from a reader's columns to a workload."""

import io

import numpy as np

from scheduler_sim.engine.traces import ReadOptions, Trace, read_trace
from scheduler_sim.engine.traces.assemble import assemble
from scheduler_sim.engine.traces.audit import Audit
from scheduler_sim.engine.traces.raw import RawTasks
from scheduler_sim.engine.workloads.requests import NAMES, Requests
from scheduler_sim.engine.workloads.workload import Labels, Workload
from tests.workloads import assert_same

NAN = np.nan


def _built(requests: dict, **columns) -> tuple[Workload, Audit]:
    length = len(next(iter(requests.values())))
    audit = Audit(read=length)
    given = {"arrival_time": np.arange(length, dtype=float), "runtime": np.ones(length)} | columns
    tasks = RawTasks(
        where=np.arange(1, length + 1),
        requests={
            name: values if isinstance(values, Labels) else np.array(values, float) for name, values in requests.items()
        },
        **given,
    )
    return assemble("a file", tasks, audit, None), audit


def _asked(workload: Workload) -> Requests:
    assert workload.requests is not None
    return workload.requests


def test_what_a_file_states_is_carried_and_the_rest_asks_for_nothing():
    workload, audit = _built(
        {"nodes": [2, NAN, 1], "qos": Labels.from_texts(["high", "", ""]), "requeueable": [0, NAN, 1]},
        cpus=np.full(3, 4.0),
    )
    asked = _asked(workload)
    assert asked.nodes.tolist() == [2, 0, 1]
    assert asked.qos.texts().tolist() == ["high", "", ""]
    assert asked.requeueable.tolist() == [False, True, True]
    assert {name: getattr(asked, name).dtype for name in NAMES if not isinstance(getattr(asked, name), Labels)} == {
        name: column.dtype for name, column in Requests.blank(3).columns().items() if not isinstance(column, Labels)
    }
    assert not audit.repaired
    assert audit.as_json()["requests"] == {"nodes": 2, "qos": 1, "requeueable": 1}


def test_requests_follow_their_tasks_when_rows_are_dropped_and_put_in_order():
    workload, _ = _built(
        {"nodes": [1, 2, 3, 4], "features": Labels.from_texts(["a", "b", "c", "d"])},
        arrival_time=np.array([9.0, 5.0, NAN, 1.0]),
        cpus=np.full(4, 8.0),
    )
    asked = _asked(workload)
    assert asked.nodes.tolist() == [4, 2, 1]
    assert asked.features.texts().tolist() == ["d", "b", "a"]


def test_a_file_that_asks_for_nothing_states_no_requests():
    workload, audit = _built({"nodes": [NAN, 0], "features": Labels.blank(2), "eligible_time": [0, 1]})
    assert workload.requests is None
    assert "requests" not in audit.as_json()
    plain, _ = _built({"nodes": [NAN, NAN]})
    assert_same(workload, plain)


def test_values_that_cannot_be_meant_are_taken_as_not_stated_and_counted():
    workload, audit = _built(
        {
            "nodes": [-1, 1.5, np.inf, 2, 3],
            "array": [7, 7, 2**60, -3, 0],
            "nice": [-100, 0.5, 0, 0, 0],
            "memory_mb_per_node": [-5, 1.5, NAN, NAN, NAN],
            "gpus_per_node": [0.5, 1.5, NAN, -1, NAN],
        },
        cpus=np.full(5, 8.0),
    )
    asked = _asked(workload)
    assert asked.nodes.tolist() == [0, 0, 0, 2, 3]
    assert asked.array.tolist() == [7, 7, 0, 0, 0]
    assert asked.nice.tolist() == [-100, 0, 0, 0, 0]
    assert asked.gpus_per_node.tolist() == [0.5, 2, 0, 0, 0]
    np.testing.assert_array_equal(asked.memory_mb_per_node, [NAN, 1.5, NAN, NAN, NAN])
    assert audit.repaired["unusable_value"].count == 8
    assert "nodes -1" in audit.repaired["unusable_value"].examples
    assert audit.repaired["gpus_rounded_up"].count == 1


def test_most_nodes_below_the_least_become_just_so_many():
    workload, audit = _built({"nodes": [4, 4, 0], "most_nodes": [2, 8, 3]}, cpus=np.full(3, 8.0))
    assert _asked(workload).most_nodes.tolist() == [0, 8, 3]
    assert audit.repaired["most_nodes_below_nodes"].places == [1]


def test_times_before_the_arrival_ask_for_nothing():
    workload, audit = _built(
        {"eligible_time": [5, 5, 5, NAN], "cancel_time": [9, 9, NAN, 1]},
        arrival_time=np.array([5.0, 3.0, 10.0, 10.0]),
    )
    asked = _asked(workload)
    # By arrival: the second task, the first, the third and the fourth.
    np.testing.assert_array_equal(asked.eligible_time, [5, NAN, NAN, NAN])
    np.testing.assert_array_equal(asked.cancel_time, [9, 9, NAN, NAN])
    assert audit.noticed["eligible_before_arrival"].places == [3]
    assert audit.repaired["cancelled_before_arrival"].places == [4]


def test_cores_gpus_and_memory_that_no_column_states_are_taken_from_the_requests():
    workload, audit = _built(
        {
            "nodes": [2, NAN, NAN, 3, NAN],
            "tasks": [NAN, 8, NAN, NAN, NAN],
            "tasks_per_node": [16, NAN, NAN, NAN, NAN],
            "cores_per_task": [2, 4, NAN, NAN, NAN],
            "gpus_per_node": [NAN, NAN, NAN, 4, NAN],
            "memory_mb_per_core": [100, NAN, NAN, NAN, 50],
            "memory_mb_per_node": [NAN, 1000, NAN, 2000, NAN],
        }
    )
    assert workload.cpus.tolist() == [64, 32, 1, 3, 1]
    assert workload.gpus.tolist() == [0, 0, 0, 12, 0]
    assert workload.memory_mb.tolist() == [6400, 1000, 0, 6000, 0]
    assert audit.noticed["taken_from_requests"].places == [1, 2, 4]
    assert audit.noticed["one_core"].places == [3, 5]


def test_cores_that_a_column_states_stay():
    workload, audit = _built({"nodes": [2, 2, NAN], "tasks_per_node": [8, 8, NAN]}, cpus=np.array([5.0, NAN, NAN]))
    assert workload.cpus.tolist() == [5, 16]
    assert audit.dropped["unknown_resources"].places == [3]
    assert audit.noticed["taken_from_requests"].places == [2]


def _read(text: str, **options) -> Trace:
    return read_trace(io.BytesIO(text.encode()), name="jobs.csv", options=ReadOptions(**options))


def test_a_table_states_requests_under_their_names_and_under_those_of_other_tables():
    trace = _read(
        "arrival_time,runtime,cpus,account,partition,nnodes,ntasks_per_node,constraint,qos,exclusive,requeue,begin_time\n"
        "10,5,64,physics,batch,2,32,skylake&ib,high,yes,no,60\n"
        "20,5,1,biology,debug,,,,,,,\n"
    )
    workload, asked = trace.workload, _asked(trace.workload)
    assert workload.group.texts().tolist() == ["physics", "biology"]
    assert workload.queue.texts().tolist() == ["batch", "debug"]
    assert asked.nodes.tolist() == [2, 0]
    assert asked.tasks_per_node.tolist() == [32, 0]
    assert asked.features.texts().tolist() == ["skylake&ib", ""]
    assert asked.qos.texts().tolist() == ["high", ""]
    assert asked.exclusive.tolist() == [True, False]
    assert asked.requeueable.tolist() == [False, True]
    np.testing.assert_array_equal(asked.eligible_time, [60, NAN])
    assert not trace.audit.repaired


def test_a_name_of_another_table_gives_way_to_the_workloads_own_and_to_a_mapping():
    lines = "arrival_time,runtime,cpus,account,group,partition,other\n0,1,1,a,g,p,o\n"
    assert _read(lines).workload.group.texts().tolist() == ["g"]
    assert _read(lines).workload.queue.texts().tolist() == ["p"]
    mapped = _read(lines, columns={"queue": "other", "gpu_type": "account"}).workload
    assert (mapped.queue.texts().tolist(), mapped.gpu_type.texts().tolist()) == (["o"], ["a"])


def test_requests_are_mapped_with_their_units():
    trace = _read(
        "arrival_time,runtime,cpus,mem,from,until,share\n0,1,4,2,1,3,500\n",
        columns={
            "memory_mb_per_node": "mem@GiB",
            "eligible_time": "from@min",
            "cancel_time": "until@h",
            "gpus_per_node": "share@milli",
        },
    )
    asked = _asked(trace.workload)
    assert asked.memory_mb_per_node.tolist() == [2048]
    assert asked.eligible_time.tolist() == [60]
    assert asked.cancel_time.tolist() == [10_800]
    assert asked.gpus_per_node.tolist() == [0.5]
    assert trace.workload.gpus.tolist() == [0.5]


def test_datetimes_of_requests_are_seconds_from_the_first_arrival():
    trace = _read(
        "arrival_time,runtime,cpus,eligible_time\n"
        "2026-01-01T00:00:00Z,5,1,2026-01-01T01:00:00Z\n2026-01-01T00:10:00Z,5,1,\n"
    )
    np.testing.assert_array_equal(_asked(trace.workload).eligible_time, [3600, NAN])


def test_what_a_request_cannot_be_is_named_and_taken_as_not_stated():
    trace = _read("arrival_time,runtime,cpus,nodes,exclusive,qos\n0,1,4,n[1-4],perhaps,high\n")
    asked = _asked(trace.workload)
    assert (asked.nodes.tolist(), asked.exclusive.tolist()) == ([0], [False])
    assert trace.audit.repaired["unreadable_value"].examples == ["nodes 'n[1-4]'", "exclusive 'perhaps'"]
