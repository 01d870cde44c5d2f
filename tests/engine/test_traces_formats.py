"""Reading the formats other than SWF, each on a small file written for the purpose."""

import io
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from scheduler_sim.engine.errors import EngineError, InvalidTrace, InvalidWorkload
from scheduler_sim.engine.traces import FORMATS, ReadOptions, Trace, read_throughputs, read_trace

PathOf = Callable[[str], Path]
JOBS = {
    "task_id": "id",
    "arrival_time": "submitted",
    "runtime": "secs",
    "cpus": "cores",
    "gpus": "num_gpu",
    "user": "who",
    "dependencies": "after",
}
EXAMPLES = {
    "small.swf": ("swf", None),
    "openb_pods.csv": ("openb", None),
    "gavel_7.trace": ("gavel", ReadOptions(steps_per_second=10)),
    "gavel_10.trace": ("gavel", ReadOptions(steps_per_second=10)),
    "helios.csv": ("helios", None),
    "pai.csv": ("pai", None),
    "philly.json": ("philly", None),
    "workflow.json": ("wfformat", None),
    "batsim.json": ("batsim", ReadOptions(flops=1e9)),
    "sacct.txt": ("sacct", None),
    "jobs.csv": ("csv", ReadOptions(columns=JOBS)),
}


def read(text: str, *, format: str | None = None, options: ReadOptions | None = None) -> Trace:  # noqa: A002  (as read_trace)
    return read_trace(io.BytesIO(text.encode()), name="a.csv", format=format, options=options)


def dropped(trace: Trace) -> dict[str, list[int]]:
    return {reason: finding.places for reason, finding in trace.audit.dropped.items()}


@pytest.mark.parametrize(("name", "expected"), EXAMPLES.items())
def test_the_format_is_found_by_content(
    name: str, expected: tuple[str, ReadOptions | None], data_path: PathOf, tmp_path: Path
) -> None:
    anonymous = tmp_path / "trace"
    anonymous.write_bytes(data_path(name).read_bytes())
    trace = read_trace(anonymous, options=expected[1])
    assert trace.format == expected[0]
    assert trace.audit.kept == len(trace.workload) > 0
    assert trace.audit.read >= trace.audit.kept + sum(finding.count for finding in trace.audit.dropped.values())


def test_every_format_but_parquet_has_an_example() -> None:
    assert {name for name, _ in EXAMPLES.values()} | {"parquet"} == set(FORMATS)


@pytest.mark.parametrize("name", ["openb_pods.csv", "gavel_7.trace", "helios.csv", "pai.csv", "sacct.txt", "jobs.csv"])
def test_the_order_of_the_lines_does_not_matter(name: str, data_path: PathOf) -> None:
    lines = data_path(name).read_text().splitlines()
    header = [] if name.startswith("gavel") else [lines.pop(0)]
    options = EXAMPLES[name][1]
    trace = read("\n".join([*header, *lines]), options=options).workload
    turned = read("\n".join([*header, *reversed(lines)]), options=options).workload
    for column in ("task_id", "arrival_time", "runtime", "cpus", "gpus", "external_id"):
        np.testing.assert_array_equal(getattr(trace, column), getattr(turned, column))


def test_openb_pods_hold_shares_or_whole_gpus(data_path: PathOf) -> None:
    trace = read_trace(data_path("openb_pods.csv"))
    tasks = trace.workload
    assert tasks.cpus.tolist() == [12, 6.5, 64, 4]
    assert tasks.gpus.tolist() == [1, 0.46, 8, 0]
    assert tasks.memory_mb.tolist() == [16384, 12288, 262144, 8192]
    assert tasks.gpu_type.texts().tolist() == ["", "V100M16|V100M32", "", ""]
    assert tasks.runtime.tolist() == [990, 200, 990, 900]
    assert tasks.external_id.tolist() == [f"openb-pod-000{number}" for number in range(4)]
    np.testing.assert_array_equal(tasks.recorded_start_time, [10, 20, 40, np.nan])
    assert trace.audit.noticed["never_started"].places == [5]


def test_older_gavel_traces_turn_steps_into_seconds(data_path: PathOf) -> None:
    options = ReadOptions(steps_per_second=10, throughputs={"LM (batch size 80)": 2.5})
    tasks = read_trace(data_path("gavel_7.trace"), options=options).workload
    assert tasks.runtime.tolist() == [100, 200]
    assert tasks.arrival_time.tolist() == [0, 60.5]
    assert tasks.gpus.tolist() == [1, 4]
    assert tasks.cpus.tolist() == [0, 0]
    assert tasks.group.texts().tolist() == ["ResNet-18 (batch size 32)", "LM (batch size 80)"]


def test_newer_gavel_traces_have_deadlines(data_path: PathOf) -> None:
    tasks = read_trace(data_path("gavel_10.trace"), options=ReadOptions(steps_per_second=10)).workload
    assert tasks.arrival_time.tolist() == [0, 30]
    assert tasks.gpus.tolist() == [1, 2]
    np.testing.assert_array_equal(tasks.deadline_time, [np.nan, 30 + 1.5 * 100])


def test_gavel_job_types_without_throughput_are_dropped_and_counted(data_path: PathOf) -> None:
    options = ReadOptions(throughputs={"LM (batch size 80)": 2.5})
    trace = read_trace(data_path("gavel_7.trace"), options=options)
    assert dropped(trace) == {"unknown_runtime": [1]}
    assert trace.audit.noticed["type_without_throughput"].places == [1]


@pytest.mark.parametrize("rate", [0, -1, float("inf"), float("nan")])
def test_gavel_refuses_a_throughput_without_meaning(rate: float, data_path: PathOf) -> None:
    with pytest.raises(InvalidTrace, match="finite and above 0"):
        read_trace(data_path("gavel_7.trace"), options=ReadOptions(steps_per_second=rate))


def test_gavel_asks_for_a_throughput(data_path: PathOf) -> None:
    with pytest.raises(InvalidTrace, match="--steps-per-second"):
        read_trace(data_path("gavel_7.trace"))


def test_throughputs_are_read_from_json(tmp_path: Path) -> None:
    path = tmp_path / "rates.json"
    path.write_text('{"LM": 2}')
    assert read_throughputs(path) == {"LM": 2.0}
    for text, reason in (("[1]", "must be an object"), ("{", "not JSON"), ('{"LM": "x"}', "must be an object")):
        path.write_text(text)
        with pytest.raises(InvalidTrace, match=reason):
            read_throughputs(path)
    with pytest.raises(InvalidTrace, match="cannot be read"):
        read_throughputs(tmp_path / "none.json")


def test_helios_times_count_from_the_first_submission(data_path: PathOf) -> None:
    trace = read_trace(data_path("helios.csv"))
    tasks = trace.workload
    assert tasks.task_id.tolist() == [102, 101]
    assert tasks.arrival_time.tolist() == [0, 10]
    assert tasks.recorded_start_time.tolist() == [0, 70]
    assert tasks.runtime.tolist() == [5, 600]
    assert tasks.gpus.tolist() == [0, 8]
    assert tasks.cpus.tolist() == [1, 64]
    assert tasks.queue.texts().tolist() == ["vcA", "vcA"]
    assert dropped(trace) == {"never_started": [4]}


def test_pai_requests_are_per_instance(data_path: PathOf) -> None:
    trace = read_trace(data_path("pai.csv"))
    tasks = trace.workload
    assert tasks.external_id.tolist() == ["j1", "j2", "j3", "j4"]
    assert tasks.task_id.tolist() == [1, 2, 3, 4]
    assert tasks.gpus.tolist() == [3, 0.25, 0, 2]
    assert tasks.cpus.tolist() == [12, 6, 16, 3]
    assert tasks.gpu_type.texts().tolist() == ["V100", "MISC", "", "T4"]
    assert trace.audit.repaired["gpus_rounded_up"].places == [5]
    assert trace.audit.noticed["unsorted"].places == [3]


def test_philly_attempts_are_summed(data_path: PathOf) -> None:
    trace = read_trace(data_path("philly.json"))
    tasks = trace.workload
    assert tasks.external_id.tolist() == ["application_4", "application_1"]
    assert tasks.arrival_time.tolist() == [0, 10]
    assert tasks.runtime.tolist() == [10, 90]
    assert tasks.gpus.tolist() == [1, 3]
    assert tasks.recorded_start_time.tolist() == [0, 40]
    assert dropped(trace) == {"never_started": [2], "unknown_runtime": [3]}


def test_philly_entries_of_another_shape_are_broken() -> None:
    good = {"jobid": "a", "submitted_time": "2017-10-09 07:00:00", "user": "u", "vc": "v"}
    attempt = {"start_time": "2017-10-09 07:00:00", "end_time": "2017-10-09 07:00:05", "detail": [{"gpus": ["g"]}]}
    jobs = [7, {"jobid": "b"}, good | {"attempts": [attempt]}, good | {"attempts": [attempt | {"start_time": "soon"}]}]
    trace = read(json.dumps(jobs))
    assert len(trace.workload) == 1
    assert trace.audit.dropped["broken_line"].places == [1, 2, 4]
    for text, reason in (("[", "not valid JSON"), ("[]", "no usable task"), ("[" * 100_000, "not valid JSON")):
        with pytest.raises(InvalidTrace, match=reason):
            read(text, format="philly")
    with pytest.raises(InvalidTrace, match="not recognised"):
        read('[{"name": "of another list"}]')


def test_sacct_steps_are_skipped_and_resources_are_found(data_path: PathOf) -> None:
    trace = read_trace(data_path("sacct.txt"))
    tasks = trace.workload
    assert tasks.task_id.tolist() == [201, 200, 203]
    assert tasks.arrival_time.tolist() == [0, 30, 300]
    assert tasks.recorded_start_time.tolist() == [0, 60, 300]
    assert tasks.runtime.tolist() == [10, 3600, 55]
    assert tasks.duration_estimate.tolist() == [7200, 7200, 3600]
    assert tasks.estimate_known.tolist() == [False, True, True]
    assert tasks.cpus.tolist() == [4, 16, 8]
    assert tasks.gpus.tolist() == [0, 2, 0]
    assert tasks.gpu_type.texts().tolist() == ["", "a100", ""]
    assert tasks.memory_mb.tolist() == [8000, 65536, 4096]
    assert tasks.user.texts().tolist() == ["bob", "ann", "ann"]
    assert dropped(trace) == {"job_step": [3, 4], "never_started": [6]}
    assert trace.audit.repaired["ended_while_running"].places == [7]


def test_any_csv_is_mapped_by_name(data_path: PathOf) -> None:
    tasks = read_trace(data_path("jobs.csv"), options=ReadOptions(columns=JOBS)).workload
    assert tasks.task_id.tolist() == [11, 10, 12]
    assert tasks.arrival_time.tolist() == [0, 60, 120]
    assert tasks.runtime.tolist() == [90.5, 60, 30]
    assert tasks.gpus.tolist() == [0.5, 0, 1]
    assert [sorted(parents) for parents in tasks.dependencies()] == [[], [], [10, 11]]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(delimiter: str) -> None:
    text = "arrival_time,runtime,user\n0,5,a\n1,6,b\n".replace(",", delimiter)
    assert read(text, format="csv").workload.runtime.tolist() == [5, 6]


def test_unmapped_columns_take_their_defaults() -> None:
    tasks = read("arrival_time,runtime,gpus\n0,5,0\n1,6,2\n").workload
    assert tasks.cpus.tolist() == [1, 0]
    assert tasks.memory_mb.tolist() == [0, 0]
    assert tasks.duration_estimate.tolist() == [5, 6]


def test_the_run_time_may_come_from_start_and_finish() -> None:
    tasks = read("arrival_time,recorded_start_time,finish_time\n0,5,9\n").workload
    assert tasks.runtime.tolist() == [4]


def test_hybrid_tasks_are_read_by_kind() -> None:
    trace = read("arrival_time,runtime,kind\n0,5,hybrid\n1,6,rigid\n2,7,other\n")
    assert trace.workload.hybrid.tolist() == [True, False]
    assert dropped(trace) == {"broken_line": [4]}


def test_a_quotation_mark_that_is_never_closed_is_counted_for_every_line_it_swallows() -> None:
    trace = read('arrival_time,runtime,user\n0,5,"a,b"\n1,5,"c\n2,5,d\n3,5,e,f\n')
    assert trace.workload.user.texts().tolist() == ["a,b"]
    assert dropped(trace) == {"broken_line": [3, 4, 5]}
    huge = read(f"arrival_time,runtime,user\n0,5,a\n1,5,{'x' * 200_000}\n2,5,b\n")
    assert huge.workload.arrival_time.tolist() == [0, 2]
    assert dropped(huge) == {"broken_line": [3]}


def test_quotation_marks_are_text_in_sacct_and_gavel() -> None:
    trace = read('JobID|User|Submit|Start|ElapsedRaw|AllocCPUS\n1|"ann|2024-01-01|2024-01-01|5|1\n', format="sacct")
    assert trace.workload.user.texts().tolist() == ['"ann']


def test_unusable_rows_are_counted_by_reason() -> None:
    lines = ["0,5,1", "1,x,1", "2,,1", "3,-4,1", "4,inf,1", "5,1e30,1", "6,5,0", "7,5", "8,5,1,1", ",5,1"]
    trace = read("arrival_time,runtime,cpus\n" + "\n".join(lines))
    assert trace.workload.arrival_time.tolist() == [0]
    assert dropped(trace) == {
        "broken_line": [3, 9, 10],
        "unknown_runtime": [4],
        "negative_runtime": [5],
        "not_finite": [6],
        "too_large": [7],
        "unknown_resources": [8],
        "unknown_arrival": [11],
    }


def test_unreadable_datetimes_are_broken_lines() -> None:
    trace = read("arrival_time,runtime\n2024-01-01,5\n2024-13-01,5\n2024-01-02T00:00:00+02:00,5\n")
    assert trace.workload.arrival_time.tolist() == [0, 22 * 3600]
    assert dropped(trace) == {"broken_line": [3]}


def test_parquet_is_read_with_its_own_types(tmp_path: Path) -> None:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    table = pa.table(
        {
            "submitted": [start + timedelta(seconds=5), start, None],
            "runtime": pa.array([timedelta(seconds=90), timedelta(seconds=1.5), timedelta(0)]),
            "cpus": [2, 1, 1],
            "user": ["ann", None, "bob"],
            "noise": [[1], [2], [3]],
        }
    )
    path = tmp_path / "jobs.parquet"
    parquet.write_table(table, path)
    trace = read_trace(path, options=ReadOptions(columns={"arrival_time": "submitted"}))
    assert trace.format == "parquet"
    assert trace.workload.arrival_time.tolist() == [0, 5]
    assert trace.workload.runtime.tolist() == [1.5, 90]
    assert trace.workload.user.texts().tolist() == ["", "ann"]
    assert dropped(trace) == {"unknown_arrival": [3]}


def test_nanoseconds_in_parquet_are_cut_to_microseconds(tmp_path: Path) -> None:
    table = pa.table(
        {
            "arrival_time": pa.array([10**18, 10**18 + 5_000_001_001], pa.timestamp("ns")),
            "runtime": pa.array([1_500_000_001, 2_000_000_999], pa.duration("ns")),
        }
    )
    path = tmp_path / "jobs.parquet"
    parquet.write_table(table, path)
    workload = read_trace(path).workload
    assert workload.arrival_time.tolist() == [0, 5.000001]
    assert workload.runtime.tolist() == [1.5, 2.0]


def test_damaged_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "jobs.parquet"
    path.write_bytes(b"PAR1" + b"\0" * 100 + b"PAR1")
    with pytest.raises(InvalidTrace, match="damaged parquet"):
        read_trace(path)


@pytest.mark.parametrize(
    ("text", "columns", "reason"),
    [
        ("a,b\n1,2\n", None, "no column for arrival_time and runtime; name it with --map"),
        ("a,runtime\n1,2\n", {"arrival_time": "c"}, "no column of a.csv called 'c'"),
        ("a,runtime\n1,2\n", {"arival_time": "a"}, "Did you mean arrival_time"),
        ("runtime,runtime\n1,2\n", None, "more than one column called 'runtime'"),
        ("arrival_time,runtime\n", None, "holds no usable task"),
        ("arrival_time,runtime,deadline_time\n2024-01-01,2,7\n", None, "mixes datetimes and numbers"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused(text: str, columns: dict[str, str] | None, reason: str) -> None:
    with pytest.raises(InvalidTrace, match=reason):
        read(text, format="csv", options=ReadOptions(columns=columns))


@pytest.mark.parametrize(
    ("parents", "reason"),
    [
        ("1", "Task 1 depends on itself"),
        ("2", "circular dependency, among them 1, 2"),
        ("7", "Task 1 depends on task 7"),
    ],
)
def test_impossible_dependencies_are_refused_with_the_numbers_of_tasks(parents: str, reason: str) -> None:
    with pytest.raises(InvalidWorkload, match=reason):
        read(f"task_id,arrival_time,runtime,dependencies\n1,0,5,{parents}\n2,0,5,1\n")


def test_a_dependency_on_a_task_that_was_dropped_is_forgotten_and_counted() -> None:
    trace = read("task_id,arrival_time,runtime,dependencies\n1,0,5,\n2,0,-3,\n3,0,5,1;2\n")
    assert trace.workload.dependencies() == [[], [1]]
    assert trace.audit.repaired["unknown_parent"].places == [4]


def test_real_openb_pods_are_read(trace_path: PathOf) -> None:
    trace = read_trace(trace_path("openb_pod_list_default.csv"))
    assert len(trace.workload) == 8152
    assert trace.audit.noticed["never_started"].count == 897
    assert ((trace.workload.gpus > 0) & (trace.workload.gpus < 1)).sum() == 3078


def test_the_real_gavel_trace_is_read(trace_path: PathOf) -> None:
    trace = read_trace(trace_path("gavel-msr-6214e9.trace"), options=ReadOptions(steps_per_second=10))
    assert len(trace.workload) == trace.audit.read == 2000
    assert trace.workload.runtime[0] == 2085147.1


@pytest.mark.parametrize("name", EXAMPLES)
def test_damage_is_counted_or_refused_but_never_crashes(name: str, data_path: PathOf) -> None:
    generator = random.Random(name)
    expected, options = EXAMPLES[name]
    original = data_path(name).read_bytes()
    junk = [
        b"",
        b"x",
        b"-",
        b"\xff",
        b'"',
        b",",
        b"|",
        b"\t",
        b"\n",
        b" ",
        b"nan",
        b"1e999",
        b"-1",
        b"9" * 25,
        b"[",
        b"\r",
    ]
    sentences: list[str] = []
    for _ in range(300):
        data = bytearray(original)
        for _ in range(generator.randint(1, 6)):
            place = generator.randrange(len(data))
            data[place : place + generator.randint(0, 4)] = generator.choice(junk)
        try:
            trace = read_trace(io.BytesIO(bytes(data)), name="a", format=expected, options=options)
        except EngineError as error:
            sentences.append(str(error))
            continue
        gone = sum(finding.count for finding in trace.audit.dropped.values())
        assert trace.audit.read == trace.audit.kept + gone
        assert len(trace.workload) == trace.audit.kept
    assert all(sentence.endswith(".") for sentence in sentences)
