"""Reading and writing the Standard Workload Format."""

import gzip
import io
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scheduler_sim import engine
from scheduler_sim.engine.errors import InvalidTrace
from scheduler_sim.engine.traces import ReadOptions, Trace, read_trace, swf, write_swf
from scheduler_sim.engine.workloads.workload import Labels, Requests
from tests.workloads import assert_same

PathOf = Callable[[str], Path]


def read(text: str | bytes, options: ReadOptions | None = None) -> Trace:
    data = text if isinstance(text, bytes) else text.encode()
    return read_trace(io.BytesIO(data), name="a.swf", format="swf", options=options)


def test_each_field_has_its_meaning(data_path: PathOf) -> None:
    trace = read_trace(data_path("small.swf"))
    tasks = trace.workload
    assert trace.format == "swf"
    assert tasks.task_id.tolist() == [1, 2, 3, 4]
    assert tasks.arrival_time.tolist() == [0, 10, 10.5, 20]
    assert tasks.runtime.tolist() == [100, 50, 0, 30]
    assert tasks.cpus.tolist() == [4, 2, 1, 16]
    assert tasks.duration_estimate.tolist() == [200, 200, 60, 10]
    assert tasks.estimate_known.tolist() == [True, False, True, True]
    assert tasks.memory_mb.tolist() == [4, 0, 0, 0]
    assert tasks.user.texts().tolist() == ["1", "2", "1", ""]
    assert tasks.group.texts().tolist() == ["1", "1", "1", ""]
    assert tasks.queue.texts().tolist() == ["2", "2", "", ""]
    np.testing.assert_array_equal(tasks.recorded_start_time, [5, np.nan, 10.5, np.nan])
    assert not tasks.hybrid.any()
    assert tasks.parents.count == 0


def test_headers_are_kept(data_path: PathOf) -> None:
    trace = read_trace(data_path("small.swf"))
    assert trace.headers["UnixStartTime"] == "749458803"
    assert trace.headers["Note"] == "written for the tests\na second note"
    assert trace.processors == 8


def test_nodes_stand_in_for_missing_processors_in_the_header() -> None:
    assert read("; MaxNodes: 256\n1 0 -1 1 1\n").processors == 256
    assert read("; MaxProcs: unknown\n1 0 -1 1 1\n").processors is None


def test_the_audit_counts_what_is_peculiar(data_path: PathOf) -> None:
    audit = read_trace(data_path("small.swf")).audit
    assert (audit.read, audit.kept) == (4, 4)
    assert audit.noticed["unknown_estimate"].places == [8]
    assert audit.noticed["zero_runtime"].places == [9]
    assert audit.noticed["estimate_below_runtime"].places == [10]
    assert audit.noticed["larger_than_machine"].places == [10]
    assert audit.core_seconds == 4 * 100 + 2 * 50 + 16 * 30
    assert audit.offered_load == audit.core_seconds / (8 * 20)
    assert audit.as_json()["noticed"]["zero_runtime"] == {"count": 1, "places": [9]}


def test_the_preceding_job_is_a_dependency_only_when_asked_for(data_path: PathOf) -> None:
    trace = read_trace(data_path("small.swf"), options=ReadOptions(preceding_jobs=True))
    assert trace.workload.dependencies() == [[], [1], [], []]


def test_a_preceding_job_that_is_not_there_is_forgotten_and_counted() -> None:
    line = "1 0 -1 1 1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 99 -1\n"
    trace = read(line, options=ReadOptions(preceding_jobs=True))
    assert trace.workload.parents.count == 0
    assert trace.audit.repaired["unknown_parent"].count == 1


def test_think_times_are_read_when_asked_for_and_written_again() -> None:
    text = "".join(
        f"{number} {10 * number} 0 5 1 -1 -1 1 -1 -1 1 1 -1 -1 -1 -1 {feedback}\n"
        for number, feedback in ((1, "-1 -1"), (2, "1 4.5"), (3, "2 -1"), (4, "-1 7"), (5, "99 text"))
    )
    plain = read(text)
    assert plain.workload.requests is None
    assert not plain.audit.repaired
    options = ReadOptions(think_times=True)
    asked = read(text, options=options).workload.requests
    assert asked is not None
    assert asked.follows.tolist() == [0, 1, 2, 0, 99]
    np.testing.assert_array_equal(asked.think_time, [np.nan, 4.5, np.nan, np.nan, np.nan])
    out = io.StringIO()
    assert write_swf(read(text, options=options).workload, out) == {}
    again = read(out.getvalue(), options=options).workload.requests
    assert again is not None
    np.testing.assert_array_equal(again.follows, asked.follows)
    np.testing.assert_array_equal(again.think_time, asked.think_time)


def test_circular_preceding_jobs_are_refused() -> None:
    tail = "-1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1"
    with pytest.raises(engine.InvalidWorkload, match="circular"):
        read(f"1 0 -1 1 1 {tail} 2 -1\n2 0 -1 1 1 {tail} 1 -1\n", options=ReadOptions(preceding_jobs=True))


def test_the_trace_keeps_its_own_clock() -> None:
    trace = read("1 5094 -1 10 1\n2 5170 -1 10 1\n")
    assert trace.workload.arrival_time.tolist() == [5094, 5170]
    assert trace.audit.noticed["late_clock"].count == 1


@pytest.mark.parametrize(
    "line", ["1 0 -1 x 1", "1 0 -1", "1 0 -1 1_0 1", "1,0,-1,1,1", "1 0 -1 \xff 1", "1 0 -1 0x1 1"]
)
def test_a_broken_line_costs_only_itself(line: str) -> None:
    trace = read(b"1 0 -1 10 1\n" + line.encode("latin-1") + b"\n3 5 -1 10 1\n")
    assert trace.workload.task_id.tolist() == [1, 3]
    assert trace.audit.dropped["broken_line"].places == [2]
    assert trace.audit.read == 3


def test_only_the_first_ten_broken_lines_are_shown() -> None:
    audit = read("1 0 -1 10 1\n" + "broken\n" * 25).audit
    assert audit.dropped["broken_line"].count == 25
    assert audit.dropped["broken_line"].places == list(range(2, 12))
    assert "(lines 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 ...)" in audit.sentences()[0]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("9 0 -1 -1 1", "unknown_runtime"),
        ("9 0 -1 -5 1", "negative_runtime"),
        ("9 -1 -1 5 1", "unknown_arrival"),
        ("9 -7 -1 5 1", "negative_arrival"),
        ("9 0 -1 5 -1", "unknown_resources"),
        ("9 0 -1 5 0 -1 -1 0", "unknown_resources"),
        ("9 0 -1 inf 1", "not_finite"),
        ("9 nan -1 1 1", "not_finite"),
        ("9 0 -1 1e400 1", "not_finite"),
        ("9 99999999999999999999 -1 1 1", "too_large"),
        ("9 0 -1 1 99999999999999999999", "too_large"),
    ],
)
def test_a_task_that_cannot_be_simulated_is_dropped_and_counted(line: str, reason: str) -> None:
    trace = read(f"1 0 -1 10 1\n{line}\n")
    assert trace.workload.task_id.tolist() == [1]
    assert {name: finding.places for name, finding in trace.audit.dropped.items()} == {reason: [2]}


def test_bad_values_of_optional_fields_are_unknown_and_counted() -> None:
    trace = read("1 0 -1 10 1 -1 -1 1 -5\n2 0 inf 10 1 -1 -1 1 inf\n")
    assert trace.workload.duration_estimate.tolist() == [10, 10]
    assert np.isnan(trace.workload.recorded_start_time).all()
    assert trace.audit.repaired["unusable_value"].count == 3
    assert trace.audit.noticed["no_estimates"].count == 2


def test_a_repeated_number_is_given_anew_and_counted() -> None:
    trace = read("7 0 -1 10 1\n7 5 -1 20 1\n8 6 -1 30 1\n")
    assert trace.workload.task_id.tolist() == [7, 9, 8]
    assert trace.workload.external_id.tolist() == ["", "7", ""]
    assert trace.audit.repaired["duplicate_id"].places == [2]


def test_a_number_that_is_none_is_given_anew_and_counted() -> None:
    trace = read("1.5 0 -1 10 1\n-1 5 -1 20 1\n3 6 -1 30 1\n")
    assert trace.workload.task_id.tolist() == [4, 5, 3]
    assert trace.audit.repaired["unusable_id"].count == 2


def test_the_order_of_the_lines_does_not_matter() -> None:
    lines = [
        f"{number} {number // 3} -1 {number % 7} {number % 5 + 1} -1 -1 -1 -1 -1 -1 {number % 4}"
        for number in range(1, 200)
    ]
    shuffled = lines.copy()
    random.Random(1).shuffle(shuffled)
    left, right = read("\n".join(lines)), read("\n".join(shuffled))
    assert_same(left.workload, right.workload)
    assert right.audit.noticed["unsorted"].count > 0
    assert "unsorted" not in left.audit.noticed


def test_blanks_tabs_carriage_returns_and_late_comments_are_read() -> None:
    trace = read("  1\t0   -1 10 1  \r\n\r\n   ; a comment\r\n 2 1 -1 10 1\r\n")
    assert trace.workload.task_id.tolist() == [1, 2]
    assert trace.audit.dropped == {}


def test_fast_and_slow_parsing_agree() -> None:
    generator = random.Random(5)
    tokens = ["0", "-1", "3.5", "1e3", "+4", "007", "12345678901", ".5", "5."]
    lines = [" ".join(["1", "0", "-1", *(generator.choice(tokens) for _ in range(15))]).encode() for _ in range(300)]
    fast = swf._parse_block(lines)
    assert fast is not None
    np.testing.assert_array_equal(fast, swf._parse_lines(lines, 0, []))


@pytest.mark.parametrize("other", ["2 5 -1 10 1", "2 5 -1 10 1" + " 1" * 20])
def test_fields_beyond_the_last_are_ignored_and_counted(other: str) -> None:
    trace = read("1 0 -1 10 1" + " -1" * 20 + f"\n{other}\n")
    assert trace.workload.task_id.tolist() == [1, 2]
    assert 1 in trace.audit.noticed["extra_fields"].places


def test_comments_that_are_not_utf8_are_read_leniently_and_counted() -> None:
    trace = read(b"; Installation: Universit\xe4t\n; MaxProcs: 4\n1 0 -1 1 1\n")
    assert trace.processors == 4
    assert trace.audit.noticed["comment_bytes"].places == [1]


def test_gzip_is_read_through_and_the_hash_is_of_the_file(tmp_path: Path, data_path: PathOf) -> None:
    plain = data_path("small.swf").read_bytes()
    packed = tmp_path / "small.swf.gz"
    packed.write_bytes(gzip.compress(plain[:200]) + gzip.compress(plain[200:]))
    trace = read_trace(packed)
    assert_same(trace.workload, read_trace(data_path("small.swf")).workload)
    assert trace.sha256 != read_trace(data_path("small.swf")).sha256


def test_nothing_left_is_refused_with_the_reasons() -> None:
    with pytest.raises(InvalidTrace, match=r"a.swf holds no usable task. Dropped: 1 .*not known.*\(lines 1\)"):
        read("1 0 -1 -1 1\n")
    with pytest.raises(InvalidTrace, match="holds no usable task"):
        read("; only a comment\n")


def test_what_is_written_reads_back_the_same(data_path: PathOf) -> None:
    options = ReadOptions(preceding_jobs=True)
    first = read_trace(data_path("small.swf"), options=options)
    out = io.StringIO()
    assert write_swf(first.workload, out, processors=first.processors) == {}
    second = read(out.getvalue(), options=options)
    assert_same(first.workload, second.workload)
    assert second.processors == 8


def test_what_swf_cannot_hold_is_counted() -> None:
    tasks = engine.Workload.from_columns(
        arrival_time=[0.1, 0.2, 0.30000000000000004],
        runtime=[1, 2, 3],
        gpus=[2, 0, 0],
        user=["ann", "bob", ""],
        dependencies=[[], [], [1, 2]],
        external_id=["a", "", ""],
    )
    out = io.StringIO()
    assert write_swf(tasks, out) == {"gpus": 1, "dependencies": 1, "external_id": 1}
    again = read(out.getvalue(), options=ReadOptions(preceding_jobs=True)).workload
    assert again.arrival_time.tolist() == tasks.arrival_time.tolist()
    assert again.cpus.tolist() == [2, 1, 1]
    assert again.user.texts().tolist() == ["1", "2", ""]
    assert again.dependencies() == [[], [], [2]]
    assert "; User: 1 ann\n" in out.getvalue()


def test_what_tasks_ask_of_a_site_is_counted_as_lost() -> None:
    tasks = engine.Workload.from_columns(arrival_time=[0, 1], runtime=[1, 2], cpus=[4, 4])
    asked = Requests.blank(2, nodes=np.array([2, 0]), qos=Labels.from_texts(["high", "low"]))
    assert write_swf(replace(tasks, requests=asked), io.StringIO()) == {"nodes": 1, "qos": 2}


def test_the_nasa_log_is_read_and_round_trips(trace_path: PathOf) -> None:
    trace = read_trace(trace_path("NASA-iPSC-1993-3.1-cln.swf.gz"))
    assert len(trace.workload) == trace.audit.read == 18_239
    assert trace.processors == 128
    assert trace.audit.noticed["no_estimates"].count == 18_239
    # The archive's own figure for the cleaned log is a utilisation of 46.6%.
    assert trace.audit.offered_load == pytest.approx(0.466, abs=0.001)
    out = io.StringIO()
    write_swf(trace.workload, out)
    assert_same(trace.workload, read(out.getvalue()).workload)


def test_the_lublin_sample_is_read(trace_path: PathOf) -> None:
    trace = read_trace(trace_path("lublin_256.swf"))
    assert len(trace.workload) == 10_000
    assert trace.processors == 256
    assert trace.audit.offered_load == pytest.approx(1.06, abs=0.01)
    assert trace.audit.noticed["late_clock"].count == 1


TAIL = "1 1 -1 -1 -1 -1 -1"


def test_text_beyond_the_last_field_is_ignored_whatever_it_holds() -> None:
    lines = [f"{number} {number} 0 60 2 -1 -1 2 90 -1 1 {TAIL} {{0_{number},x}} q_2h gpu=1" for number in range(300)]
    lines[7] = "7 7 0 60 2"
    trace = read("\n".join(lines))
    assert trace.workload.task_id.tolist() == list(range(300))
    assert trace.audit.noticed["extra_fields"].count == 299
    assert (trace.audit.dropped, trace.audit.repaired) == ({}, {})


@pytest.mark.parametrize(
    "line",
    [
        f"1 0 0 60 2 -1 -1 2 90 -1 1 {TAIL} {{1,1}} q_2h",
        "1\t0\t0\t60\t2",
        "  1 0.5 0 6e1 2 ",
        "1 0 0 60 2 -1 -1 2 90 -1 1 ann staff",
        f"1 0 0 60 2 -1 -1 2 90 -1 1 {TAIL} a|b,c;d",
    ],
)
def test_a_file_without_a_header_is_recognised(line: str) -> None:
    assert read_trace(io.BytesIO(f"{line}\n{line}\n".encode())).format == "swf"


@pytest.mark.parametrize(
    ("field", "name"),
    [
        (3, "wait"),
        (5, "allocated processors"),
        (9, "requested time"),
        (11, "status"),
        (12, "user"),
        (17, "preceding job"),
    ],
)
def test_text_in_an_optional_field_costs_the_value_and_is_named(field: int, name: str) -> None:
    fields = ["2", "5", "3", "60", "2", "-1", "1024", "2", "90", "1024", "1", "7", "8", "-1", "9", "-1", "-1", "-1"]
    fields[field - 1] = "odd_1"
    trace = read("1 0 0 60 2\n" + " ".join(fields) + "\n")
    assert trace.workload.task_id.tolist() == [1, 2]
    assert trace.audit.repaired["unreadable_value"].places == [2]
    assert trace.audit.repaired["unreadable_value"].examples == [f"{name} 'odd_1'"]


def test_text_in_a_needed_field_costs_the_line_and_is_named() -> None:
    audit = read("1 0 0 60 2\n2 noon 0 60 2\n3 0 0 6_0 2\n4 5\n").audit
    assert audit.dropped["broken_line"].examples == ["field 2 is 'noon'", "field 4 is '6_0'", "2 fields"]


def test_negative_values_of_optional_fields_are_unknown_and_counted() -> None:
    trace = read("1 9 -7 60 2 -1 -1 2 90 -1 1 -3 -1 -1 -1\n")
    assert np.isnan(trace.workload.recorded_start_time).all()
    assert trace.workload.user.texts().tolist() == [""]
    assert trace.audit.repaired["unusable_value"].examples == ["wait -7", "user -3"]


def status(number: int, code: int, *, run: int = 60, held: int = 2, wait: int = 0) -> str:
    return f"{number} {number} {wait} {run} {held} -1 -1 2 90 -1 {code} {TAIL}"


def test_partial_executions_count_once() -> None:
    lines = [
        status(1, 1, run=300),
        status(1, 2, run=100),
        status(1, 2, run=50),
        status(1, 3, run=150),
        status(2, 0),
        status(2, 4),
    ]
    trace = read("\n".join(lines))
    assert trace.workload.task_id.tolist() == [1, 2]
    assert trace.workload.runtime.tolist() == [300, 60]
    assert trace.audit.dropped["partial_execution"].places == [2, 3, 4, 6]
    assert trace.audit.core_seconds == 720


def test_partial_executions_without_a_line_for_the_whole_are_tasks_and_noticed() -> None:
    trace = read("\n".join([status(1, 2, run=100), status(1, 3, run=150), status(2, 1)]))
    assert sorted(trace.workload.runtime.tolist()) == [60, 100, 150]
    assert trace.audit.noticed["partial_without_whole"].places == [1, 2]
    assert trace.audit.repaired["duplicate_id"].count == 1


def test_jobs_cancelled_before_they_started_are_dropped() -> None:
    lines = [
        status(1, 5, run=0, held=0, wait=500),
        status(2, 5, run=-1, held=-1),
        status(3, 5, run=9),
        status(4, 1, run=0),
        status(5, 5, run=0),
    ]
    trace = read("\n".join(lines))
    assert trace.workload.task_id.tolist() == [3, 4, 5]
    assert trace.audit.dropped["never_started"].places == [1, 2]


@pytest.mark.parametrize(
    ("header", "size", "finding"),
    [
        ("; MaxProcs: 1,024", 1024, "unusual_header"),
        ("; MaxProcs: 1 024", 1024, "unusual_header"),
        ("; MaxProcs: 128 (64 x 2)", 128, "unusual_header"),
        ("; MaxProcs: 128 processors", 128, "unusual_header"),
        ("; MaxProcs: 128.0", 128, "unusual_header"),
        ("; MaxProcs:128", 128, None),
        (";MaxProcs = 128", 128, None),
        (";; maxprocs : 128", 128, None),
        ("; Max Processors: 128", 128, None),
        ("; MaxProcs: 64 x 2", None, "unreadable_header"),
        ("; MaxProcs: 1.024", None, "unreadable_header"),
        ("; MaxProcs: ~128", None, "unreadable_header"),
        ("; MaxProcs: -1", None, None),
        ("; MaxNodes: 4\n; MaxProcs: 8", 8, None),
        ("; MaxProcs: many\n; MaxNodes: 4", 4, "nodes_as_processors"),
        ("; MaxProcs: 8\n; MaxProcs: 16", 8, "unusual_header"),
        ("; MaxProcs: 8\n; MaxProcs: 8", 8, None),
    ],
)
def test_the_size_of_the_machine_is_read_however_it_is_written(
    header: str, size: int | None, finding: str | None
) -> None:
    trace = read(f"{header}\n1 0 0 60 2 -1 -1 2 90\n")
    assert trace.processors == size
    found = {"unusual_header", "unreadable_header", "nodes_as_processors"} & set(trace.audit.noticed)
    assert (finding in found) if finding else not found
