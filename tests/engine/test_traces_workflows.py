"""WfCommons' and Batsim's JSON: what is read of them, and what is said of the rest."""

import io
import json
from typing import Any

import numpy as np
import pytest

from scheduler_sim.engine import Cluster, NodeGroup
from scheduler_sim.engine.clusters.network import Network
from scheduler_sim.engine.errors import InvalidTrace, InvalidWorkload
from scheduler_sim.engine.measuring.bounds import lower_bounds
from scheduler_sim.engine.traces import ReadOptions, read_trace
from scheduler_sim.engine.traces.wfformat import _sent

NEWER = {
    "name": "small",
    "schemaVersion": "1.5",
    "workflow": {
        "specification": {
            "tasks": [
                {"name": "split", "id": "s1", "parents": [], "children": ["a1", "a2"], "outputFiles": ["x", "y"]},
                {"name": "align", "id": "a1", "parents": ["s1"], "children": [], "inputFiles": ["x", "ref"]},
                {"name": "align", "id": "a2", "parents": [], "children": [], "inputFiles": ["x", "y", "lost"]},
            ],
            "files": [
                {"id": "x", "sizeInBytes": 2_000_000},
                {"id": "y", "sizeInBytes": 500_000},
                {"id": "ref", "sizeInBytes": 9},
            ],
        },
        "execution": {
            "makespanInSeconds": 100,
            "tasks": [
                {"id": "s1", "runtimeInSeconds": 10.5, "coreCount": 2.0, "memoryInBytes": 1048576, "energyInKWh": 1},
                {"id": "a1", "runtimeInSeconds": 20},
                {"id": "a2", "runtimeInSeconds": 0.25, "coreCount": 1.2},
            ],
        },
    },
}
OLDER = {
    "name": "small",
    "schemaVersion": "1.4",
    "workflow": {
        "makespanInSeconds": 100,
        "tasks": [
            {
                "name": "split_00",
                "id": "00",
                "category": "split",
                "runtimeInSeconds": 10.5,
                "cores": 2,
                "files": [{"link": "output", "name": "x", "sizeInBytes": 2_000_000}],
            },
            {
                "name": "align_01",
                "id": "01",
                "category": "align",
                "runtimeInSeconds": 20,
                "parents": ["split_00"],
                "files": [{"link": "input", "name": "x", "sizeInBytes": 2_000_000}],
            },
        ],
    },
}


def read(document, **options):
    stream = io.BytesIO(json.dumps(document, indent=1).encode())
    return read_trace(stream, name="file.json", options=ReadOptions(**options))


def test_a_workflow_of_1_5_is_read_with_what_its_tasks_send():
    trace = read(NEWER)
    workload = trace.workload
    assert trace.format == "wfformat"
    assert workload.external_id.tolist() == ["s1", "a1", "a2"]
    assert workload.runtime.tolist() == [10.5, 20, 0.25]
    assert workload.cpus.tolist() == [2, 1, 2]
    assert workload.memory_mb.tolist() == [1, 0, 0]
    assert workload.group.texts().tolist() == ["split", "align", "align"]
    # The parent of a2 is known from its children alone.
    assert workload.dependencies() == [[], [1], [1]]
    assert workload.dependency_mb() == [[], [2.0], [2.5]]
    assert trace.audit.sent_mb == 4.5
    assert trace.audit.noticed["unread_keys"].examples == ["'energyInKWh'"]
    assert trace.audit.noticed["unsized_files"].places == [3]


def test_a_workflow_of_1_4_names_parents_and_holds_files_in_its_tasks():
    workload = read(OLDER).workload
    assert workload.dependencies() == [[], [1]]
    assert workload.dependency_mb() == [[], [2.0]]
    assert workload.group.texts().tolist() == ["split", "align"]
    assert workload.external_id.tolist() == ["00", "01"]
    oldest = {"workflow": {"jobs": [{"name": "only", "runtime": 3}]}}
    assert read(oldest).workload.runtime.tolist() == [3]


def test_memory_up_to_1_3_is_in_kilobytes():
    older = [
        {"name": "a_1", "runtime": 5, "memory": 4_194_304, "files": [{"link": "output", "name": "f", "size": 3000}]},
        {"name": "b_2", "runtime": 5, "parents": ["a_1"], "files": [{"link": "input", "name": "f", "size": 3000}]},
        {"name": "c_3", "runtime": 5, "memoryInBytes": 2**20, "memory": 7},
    ]
    workload = read({"schemaVersion": "1.3", "workflow": {"tasks": older}}).workload
    assert workload.memory_mb.tolist() == [4000, 0, 1]
    assert workload.dependency_mb() == [[], [0.003], []]


def test_of_tasks_that_are_called_alike_the_first_counts():
    tasks = [{"id": "a", "name": "a", "runtime": 1}, {"id": "a", "name": "a", "runtime": 3, "parents": ["c"]}]
    trace = read({"workflow": {"tasks": [*tasks, {"id": "c", "name": "c", "runtime": 3, "parents": ["a"]}]}})
    assert (trace.workload.runtime.tolist(), trace.workload.dependencies()) == ([1, 3], [[], [1]])
    assert trace.audit.dropped["repeated_task"].places == [2]


def test_unread_keys_are_shortened_and_their_tasks_counted():
    tasks = [{"name": str(place), "runtime": 1, **({"k" * 500: 1} if place else {})} for place in range(3)]
    unread = read({"workflow": {"tasks": tasks}}).audit.noticed["unread_keys"]
    assert (unread.count, unread.places, [len(key) for key in unread.examples]) == (2, [2, 3], [80])


def test_what_a_child_reads_is_looked_for_among_the_fewer_files(monkeypatch):
    class Counted(dict):
        walked = 0

        def __iter__(self):
            Counted.walked += len(self)
            return super().__iter__()

    many, few = Counted({str(place): 1e6 for place in range(100)}), Counted({"7": 1e6, "x": 5.0})
    assert (_sent(many, few), _sent(few, many), Counted.walked) == (1.0, 1.0, 4)


@pytest.mark.parametrize("text", ["\ud800", "a\0b"])
@pytest.mark.parametrize("where", ["name", "id", "key"])
def test_a_text_that_no_database_holds_is_refused(text, where):
    task = {"name": "a", "id": "i", "runtime": 1} | {text if where == "key" else where: text}
    with pytest.raises(InvalidTrace, match="a character that cannot be stored"):
        read({"workflow": {"tasks": [task]}})


def test_a_written_escape_is_a_text_as_others():
    names = ["\\u0000", "\N{GRINNING FACE}"]
    workload = read({"workflow": {"tasks": [{"name": name, "runtime": 1} for name in names]}}).workload
    assert workload.external_id.tolist() == names


@pytest.mark.parametrize(
    ("document", "error", "sentence"),
    [
        ({"workflow": []}, InvalidTrace, "must hold an object with a workflow"),
        ({"workflow": {"specification": {}}}, InvalidTrace, "has no list of tasks"),
        ({"workflow": {"tasks": []}}, InvalidTrace, "no usable task"),
        ({"workflow": {"tasks": [{"name": "a", "runtime": 1, "parents": ["b"]}]}}, InvalidWorkload, "task b"),
        ({"workflow": {"tasks": [7, {"runtime": 1}, {"name": "a"}]}}, InvalidTrace, "no usable task"),
    ],
)
def test_what_is_no_workflow_is_refused(document, error, sentence):
    with pytest.raises(error, match=sentence):
        read(document)


@pytest.mark.parametrize("name", ["montage_05d", "srasearch_10a"])
def test_real_workflows_have_the_figures_that_were_derived_elsewhere(name, oracle_path):
    told = json.loads(oracle_path(f"workflows/wfcommons_{name}.json").read_text())
    document = {
        "workflow": {
            "specification": {
                "tasks": [
                    {
                        "id": str(task["task"]),
                        "name": task["kind"],
                        "parents": [str(parent) for parent in task["parents"]],
                        "inputFiles": [str(file) for file in task["inputs"]],
                        "outputFiles": [str(file) for file in task["outputs"]],
                    }
                    for task in told["tasks"]
                ],
                "files": [{"id": str(file["file"]), "sizeInBytes": file["bytes"]} for file in told["files"]],
            },
            "execution": {
                "tasks": [
                    {"id": str(task["task"]), "runtimeInSeconds": task["runtime_s"], "coreCount": task["cores"]}
                    for task in told["tasks"]
                ]
            },
        }
    }
    workload, derived = read(document).workload, told["derived"]
    assert (len(workload), workload.parents.count) == (derived["tasks"], derived["edges"])
    assert workload.parents.sent_mb == pytest.approx(derived["total_edge_bytes"] / 1e6, abs=1e-6)
    for cores, bound in derived["lower_bound_s_by_cores"].items():
        machine = Cluster("one", (NodeGroup(name="n", count=1, cores=int(cores)),))
        found = lower_bounds(workload, machine)
        assert found.critical_path == pytest.approx(derived["critical_path_s"], abs=1e-6)
        assert found.makespan == pytest.approx(bound, abs=1e-6)
    # Two kinds of node, each with a device that the other lacks, would be needed to make every edge a transfer.
    two = Cluster("two", (NodeGroup(name="n", count=2, cores=48),), network=Network(1.0))
    assert lower_bounds(workload, two).critical_path == pytest.approx(derived["critical_path_s"], abs=1e-6)


BATSIM: dict[str, Any] = {
    "nb_res": 4,
    "jobs": [
        {"id": "a", "subtime": 0, "res": 2, "profile": "short", "walltime": 12, "user": "u"},
        {"id": "b", "subtime": 3.5, "res": 4, "profile": "twice", "walltime": -1},
        {"id": "c", "subtime": 4, "res": 2, "profile": "flops"},
        {"id": "d", "subtime": 5, "res": 2, "profile": "total"},
        {"id": "e", "subtime": 6, "res": 1, "profile": "trace"},
        {"id": "f", "subtime": 7, "res": 1, "profile": "nowhere"},
        {"id": "g", "subtime": 8, "res": 2, "profile": "uneven"},
        {"id": "h", "subtime": 9, "res": 2, "profile": "talk"},
    ],
    "profiles": {
        "short": {"type": "delay", "delay": 10},
        "twice": {"type": "composed", "repeat": 2, "seq": ["short", "short"]},
        "flops": {"type": "parallel_homogeneous", "cpu": 4e9, "com": 1e6},
        "total": {"type": "parallel_homogeneous_total", "cpu": 4e9, "com": 0},
        "trace": {"type": "smpi", "trace": "x"},
        "uneven": {"type": "parallel", "cpu": [2e9, 6e9], "com": [0, 0, 0, 0]},
        "talk": {"type": "parallel", "com": [0, 1e6, 1e6, 0]},
    },
}


SPREAD, EACH = ({"generation_strategy": f"DefinedAmounts{how}"} for how in ("SpreadUniformly", "UsedForEachValue"))
BATSIM_5 = {
    **BATSIM,
    "profiles": {
        "short": {"type": "DelayProfile", "delay": 10},
        "twice": {"type": "SequentialCompositionProfile", "repeat": 2, "seq": ["short", "short"]},
        "flops": {"type": "ParallelTaskHomogeneousProfile", "cpu": 4e9, "com": 1e6, **EACH},
        "total": {"type": "ParallelTaskHomogeneousProfile", "cpu": 4e9, "com": 0, **SPREAD},
        "trace": {"type": "smpi", "trace": "x"},
        "uneven": {"type": "ParallelTaskProfile", "cpu": [2e9, 6e9]},
        "talk": {"type": "ParallelTaskProfile", "com": [0, 1e6, 1e6, 0]},
    },
}
BATSIM_4 = {
    **BATSIM,
    "profiles": {
        **BATSIM["profiles"],
        "total": {"type": "ptask_homogeneous", "cpu": 4e9, "generation_strategy": "defined_amount_spread_uniformly"},
    },
}


@pytest.mark.parametrize("document", [BATSIM, BATSIM_4, BATSIM_5], ids=["3", "4", "5"])
def test_jobs_of_batsim_last_as_their_profiles_say(document):
    trace = read(document, flops=1e9)
    workload = trace.workload
    assert (trace.format, trace.processors) == ("batsim", 4)
    assert workload.external_id.tolist() == ["a", "b", "c", "d", "g", "h"]
    assert workload.runtime.tolist() == [10, 40, 4, 2, 6, 0]
    assert workload.arrival_time.tolist() == [0, 3.5, 4, 5, 8, 9]
    assert workload.cpus.tolist() == [2, 4, 2, 2, 2, 2]
    assert workload.estimate_known.tolist() == [True, False, False, False, False, False]
    assert workload.group.texts().tolist() == ["short", "twice", "flops", "total", "uneven", "talk"]
    dropped = trace.audit.dropped["unread_profile"]
    assert dropped.places == [5, 6]
    assert dropped.examples == ["type 'smpi'", "profile 'nowhere'"]
    assert trace.audit.noticed["communication_left_out"].places == [3, 8]


def test_jobs_that_compute_need_the_speed_of_a_host():
    trace = read(BATSIM)
    assert trace.workload.external_id.tolist() == ["a", "b"]
    assert trace.audit.dropped["unread_profile"].examples[0] == "type 'parallel_homogeneous' without --flops"
    with pytest.raises(InvalidTrace, match="not a number above 0"):
        read(BATSIM, flops=0.0)
    with pytest.raises(InvalidTrace, match="--flops has no meaning"):
        read(NEWER, flops=1e9)


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"nb_res": 1, "jobs": {}}, "must hold a list of jobs and their profiles"),
        ({"nb_res": 1, "jobs": [3], "profiles": {}}, "no usable task"),
        (
            {
                "jobs": [{"id": 1, "subtime": 0, "res": 1, "profile": "p"}],
                "profiles": {"p": {"type": "composed", "seq": ["p"]}},
            },
            "no usable task",
        ),
    ],
)
def test_what_is_no_workload_of_batsim_is_refused(document, sentence):
    with pytest.raises(InvalidTrace, match=sentence):
        read(document)


def test_a_sequence_of_sequences_is_worked_out_once_each():
    profiles = {f"p{depth}": {"type": "composed", "seq": [f"p{depth + 1}"] * 2} for depth in range(40)}
    job = {"id": 1, "subtime": 0, "res": 1, "profile": "p0"}
    document = {"jobs": [job], "profiles": {**profiles, "p40": {"type": "delay", "delay": 1}}}
    assert read(document).workload.runtime.tolist() == [2**40]


@pytest.mark.parametrize("order", [(0, 400), (400, 0), (0, 990), (990, 0)])
def test_the_order_of_jobs_and_the_depth_of_profiles_decide_nothing(order):
    profiles: dict[str, dict[str, Any]] = {
        f"p{depth}": {"type": "composed", "seq": [f"p{depth + 1}"]} for depth in range(999)
    }
    profiles |= {"p999": {"type": "delay", "delay": 5}, "round": {"type": "composed", "seq": ["p0", "trip"]}}
    profiles |= {"trip": {"type": "composed", "seq": ["round"]}, "above": {"type": "composed", "seq": ["trip"]}}
    names = [*(f"p{depth}" for depth in order), "above", "trip"]
    jobs = [{"id": name, "subtime": 0, "res": 1, "profile": name} for name in names]
    trace = read({"jobs": jobs, "profiles": profiles})
    assert set(trace.workload.external_id) == {*names[:2]}
    assert trace.audit.dropped["unread_profile"].examples == ["profile 'above'", "profile 'trip'"]


def test_work_that_hosts_share_needs_one_and_is_worked_out_once():
    total = {"type": "parallel_homogeneous_total", "cpu": 4e9}
    profiles = {"all": total, "twice": {"type": "composed", "repeat": 2, "seq": ["all", "wait"]}}
    jobs = [{"id": str(hosts), "subtime": 0, "res": hosts, "profile": "twice"} for hosts in (0, 1, 2, 4)]
    document = {"jobs": jobs, "profiles": {**profiles, "wait": {"type": "delay", "delay": 1}}}
    trace = read(document, flops=1e9)
    assert trace.workload.runtime.tolist() == [10, 6, 4]
    assert trace.audit.dropped["unknown_runtime"].places == [1]


@pytest.mark.parametrize("size", [1e300, 10**30, 0, "many"])
def test_a_machine_of_no_usable_size_is_not_stated(size):
    trace = read({**BATSIM, "nb_res": size})
    assert trace.processors is None
    assert trace.audit.noticed["unreadable_header"].count == 1


def test_an_object_of_no_known_kind_is_not_recognised():
    with pytest.raises(InvalidTrace, match="is not recognised"):
        read({"anything": 1})
    with pytest.raises(InvalidTrace, match="not valid JSON"):
        read_trace(io.BytesIO(b'{"workflow": '), name="cut.json")
    assert np.isfinite(read(BATSIM).workload.runtime).all()
