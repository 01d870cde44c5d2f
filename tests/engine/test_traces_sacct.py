"""Slurm's accounting in the forms in which people export it."""

import io
from itertools import product

import numpy as np
import pytest

from scheduler_sim.engine.errors import InvalidTrace
from scheduler_sim.engine.traces import ReadOptions, Trace, read_trace

HEADER = "JobID|Submit|Start|End|ElapsedRaw|TimelimitRaw|AllocCPUS|State"
DAY = "2024-05-06T"


def read(text: str, options: ReadOptions | None = None) -> Trace:
    return read_trace(io.BytesIO(text.encode()), name="jobs.txt", options=options)


def rows(*lines: str, header: str = HEADER) -> Trace:
    return read("\n".join([header, *lines]) + "\n")


def refusal(text: str) -> str:
    with pytest.raises(InvalidTrace) as caught:
        read(text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def job(number: int, *, elapsed: int = 60, state: str = "COMPLETED", cpus: int = 2) -> str:
    return f"{number}|{DAY}08:00:00|{DAY}08:00:30|{DAY}08:01:30|{elapsed}|10|{cpus}|{state}"


@pytest.mark.parametrize(("first", "second"), [("1714982400", "1714982490"), ("1714982400.0", "1714982490.5")])
def test_numbers_are_seconds_since_1970(first: str, second: str) -> None:
    trace = rows(f"7|{first}|{first}|1714982460|60|10|2|COMPLETED", f"8|{second}|1714982500|1714982560|60|10|2|FAILED")
    assert trace.workload.arrival_time.tolist() == [0, float(second) - float(first)]
    assert trace.workload.recorded_start_time.tolist() == [0, 100]
    assert trace.headers["UnixStartTime"] == "1714982400"
    assert (trace.audit.dropped, trace.audit.repaired, trace.audit.noticed) == ({}, {}, {})


def test_numbers_that_are_no_seconds_since_1970_are_noticed() -> None:
    trace = rows("7|1714982400000|1714982400000|1714982460000|60|10|2|COMPLETED")
    assert set(trace.audit.noticed) == {"implausible_clock", "contradicting_duration"}
    mapped = read(
        f"{HEADER}\n7|1714982400000|1714982460000|1714982520000|60|10|2|COMPLETED\n",
        options=ReadOptions(columns={name: f"{column}@ms" for name, column in TIMES.items()}),
    )
    assert mapped.workload.recorded_start_time.tolist() == [60]
    assert mapped.audit.noticed == {}


TIMES = {"arrival_time": "Submit", "recorded_start_time": "Start", "finish_time": "End"}


def test_a_zone_counts_and_a_missing_one_is_said() -> None:
    zoned = rows(
        "1|2024-10-27T00:30:00Z|2024-10-27T02:40:00+0200|2024-10-27T02:10:00+0100|1800|60|1|COMPLETED",
        "2|2024-10-27T02:45:00+02:00|2024-10-27T01:45:00+0100|2024-10-27T01:46:00+01:00|60|60|1|COMPLETED",
    )
    assert zoned.workload.arrival_time.tolist() == [0, 900]
    assert zoned.workload.recorded_start_time.tolist() == [600, 900]
    assert zoned.audit.noticed == {}
    assert rows(job(1)).audit.noticed["zoneless"].examples == [f"Submit '{DAY}08:00:00'"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1-02:03:04", 93_784), ("02:03:04", 7384), ("02:03", 123), ("90.5", 90.5), ("2-12", 216_000), ("00:01.5", 1.5)],
)
def test_elapsed_may_be_a_clock(text: str, seconds: float) -> None:
    trace = rows(
        f"1|{DAY}08:00:00|{DAY}08:00:00|Unknown|{text}|4|RUNNING", header="JobID|Submit|Start|End|Elapsed|NCPUS|State"
    )
    assert trace.workload.runtime.tolist() == [seconds]
    assert ("minutes_and_seconds" in trace.audit.noticed) is (text.count(":") == 1)


def test_without_a_column_for_it_the_run_time_is_the_end_minus_the_start() -> None:
    trace = rows(f"1|{DAY}08:00:00|{DAY}08:00:30|{DAY}08:02:00|4", header="JobIDRaw|Submit|Start|End|NCPUS")
    assert trace.workload.runtime.tolist() == [90]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2-00:00:00", 172_800),
        ("30", 1800),
        ("01:30", 90),
        ("UNLIMITED", None),
        ("Partition_Limit", None),
        ("INVALID", None),
        ("", None),
    ],
)
def test_a_limit_is_a_clock_or_minutes_or_none(text: str, seconds: float | None) -> None:
    header = "JobID|Submit|Start|End|ElapsedRaw|Timelimit|AllocCPUS|State"
    lines = (f"1|{DAY}08:00:00|{DAY}08:00:00|{DAY}08:00:09|9|{text}|1|COMPLETED", job(2).replace("|10|", "|00:10:00|"))
    trace = rows(*lines, header=header)
    tasks = trace.workload
    given = np.where(tasks.estimate_known, tasks.duration_estimate, np.nan)
    np.testing.assert_array_equal(given, [np.nan if seconds is None else seconds, 600])
    assert "unreadable_value" not in trace.audit.repaired


def test_a_limit_that_is_neither_is_named() -> None:
    trace = rows(job(1).replace("|10|", "|soon|"), job(2))
    assert trace.audit.repaired["unreadable_value"].examples == ["TimelimitRaw 'soon'"]
    assert len(trace.workload) == 2


PENDING = [
    ("CANCELLED by 1000", f"{DAY}09:00:00", "4", "", "None assigned"),
    ("CANCELLED by 1000", f"{DAY}09:00:00", "0", "", ""),
    ("CANCELLED", f"{DAY}09:00:00", "4", "", ""),
    ("CANCELLED", "None", "4", "", ""),
    ("DEADLINE", f"{DAY}09:00:00", "4", "", ""),
    ("FAILED", f"{DAY}09:00:00", "4", "", "None assigned"),
    ("PENDING", "Unknown", "4", "", ""),
]
STARTED = [
    ("CANCELLED by 1000", f"{DAY}09:00:00", "4", "cpu=4,node=1", "n1"),
    ("CANCELLED by 1000", f"{DAY}09:00:00", "4", "", "n1"),
    ("FAILED", f"{DAY}09:00:00", "4", "", ""),
    ("COMPLETED", f"{DAY}09:00:00", "4", "", ""),
]


@pytest.mark.parametrize(("entry", "started"), [*((e, False) for e in PENDING), *((e, True) for e in STARTED)])
def test_a_job_that_held_nothing_never_started(entry: tuple[str, ...], started: bool) -> None:
    state, start, cpus, tres, nodes = entry
    trace = rows(
        f"1|{DAY}08:00:00|{DAY}08:00:00|{DAY}08:01:00|60|4|cpu=4,node=1|n1|COMPLETED",
        f"2|{DAY}08:00:00|{start}|{start}|0|{cpus}|{tres}|{nodes}|{state}",
        header="JobID|Submit|Start|End|ElapsedRaw|AllocCPUS|AllocTRES|NodeList|State",
    )
    assert (2 in trace.workload.task_id) is started
    assert ("never_started" in trace.audit.dropped) is not started


def test_cores_gpus_and_memory_come_from_what_there_is() -> None:
    header = "JobID|Submit|Start|ElapsedRaw|ReqTRES|AllocTRES|ReqMem|NNodes"
    lead = f"{DAY}08:00:00|{DAY}08:00:00|9"
    trace = rows(
        f"1|{lead}|cpu=2,mem=4G|cpu=4,gres/gpu:a40=2,gres/gpu=2,mem=1.50T,node=2|4G|2",
        f"2|{lead}|cpu=2,gres/gpu=1,mem=4G||4Gn|3",
        f"3|{lead}|cpu=2||2000Mc|3",
        f"4|{lead}|cpu=2||512000K|1",
        f"5|{lead}|cpu=2||plenty|1",
        header=header,
    )
    assert trace.workload.cpus.tolist() == [4, 2, 2, 2, 2]
    assert trace.workload.gpus.tolist() == [2, 1, 0, 0, 0]
    assert trace.workload.gpu_type.texts().tolist() == ["a40", "", "", "", ""]
    assert trace.workload.memory_mb.tolist() == [1.5 * 1024**2, 3 * 4096, 4000, 500, 0]
    assert trace.audit.repaired["requested_taken"].places == [3, 4, 5, 6]
    assert trace.audit.repaired["unreadable_value"].examples == ["ReqMem 'plenty'"]


def test_gpus_of_older_versions_are_read() -> None:
    lead = f"{DAY}08:00:00|{DAY}08:00:00|9|4"
    trace = rows(
        f"1|{lead}|gpu:tesla:2", f"2|{lead}|gpu:3", f"3|{lead}|", header="JobID|Submit|Start|ElapsedRaw|NCPUS|AllocGRES"
    )
    assert trace.workload.gpus.tolist() == [2, 3, 0]


FREE = "JobID|JobName|Submit|Start|End|ElapsedRaw|AllocCPUS|State|Constraints|Comment"


@pytest.mark.parametrize(
    ("name", "constraints", "comment"),
    list(product(["a", "a|b", "a\nb", "|", "5|6"], ["", "x|y"], ["", "p|q|r", "p\n\nq"])),
)
def test_free_text_may_hold_the_delimiter_and_line_breaks(name: str, constraints: str, comment: str) -> None:
    line = f"{DAY}08:00:00|{DAY}08:00:30|{DAY}08:01:30|60|2|COMPLETED"
    trace = rows(f"1|{name}|{line}|{constraints}|{comment}", f"2|plain|{line}||", header=FREE)
    assert trace.workload.task_id.tolist() == [1, 2]
    assert trace.workload.runtime.tolist() == [60, 60]
    assert trace.audit.dropped == {}
    usual = not set("|\n") & set(name + constraints + comment)
    assert ("rejoined_line" in trace.audit.repaired) is not usual


def test_a_line_that_is_cut_off_costs_itself_and_names_its_fields() -> None:
    trace = rows(job(1), "2|2024-05-06T08", job(3), "4|")
    assert trace.workload.task_id.tolist() == [1, 3]
    assert trace.audit.dropped["broken_line"].places == [3, 5]
    assert trace.audit.dropped["broken_line"].examples == ["2 fields where there are 8 columns"]
    assert trace.audit.read == 4


def test_too_many_fields_without_free_text_break_the_line() -> None:
    trace = rows(job(1), job(2) + "|more", "no job at all", job(3))
    assert trace.workload.task_id.tolist() == [1, 3]
    assert trace.audit.dropped["broken_line"].count == 2


@pytest.mark.parametrize("delimiter", ["|", "\t", ",", ";", "^|^", "||", "@", "~"])
@pytest.mark.parametrize("trailing", [False, True])
def test_any_delimiter_is_found_and_one_at_the_end_is_no_column(delimiter: str, trailing: bool) -> None:
    end = delimiter if trailing else ""
    text = "".join(line.replace("|", delimiter) + end + "\n" for line in (HEADER, job(1), job(2)))
    trace = read(text)
    assert trace.format == "sacct"
    assert trace.workload.task_id.tolist() == [1, 2]
    assert trace.workload.duration_estimate.tolist() == [600, 600]
    assert trace.audit.dropped == {}


def test_lists_of_nodes_may_hold_commas() -> None:
    header = "JobIDRaw,Submit,Start,ElapsedRaw,AllocCPUS,NodeList,State"
    trace = read(f"{header}\n1,{DAY}08:00:00,{DAY}08:00:00,9,4,n1,n[3-5],n9,COMPLETED\n")
    assert trace.workload.cpus.tolist() == [4]


@pytest.mark.parametrize("names", [HEADER, HEADER.lower()])
def test_columns_of_a_file_without_a_header_are_given(names: str) -> None:
    options = ReadOptions(header=tuple(names.split("|")))
    trace = read(f"{job(1)}\n{job(2)}\n", options=options)
    assert trace.format == "sacct"
    assert trace.workload.task_id.tolist() == [1, 2]
    assert read(f"{HEADER}\n{job(1)}\n", options=options).workload.task_id.tolist() == [1]


def test_the_plain_number_of_an_array_task_is_its_number() -> None:
    trace = rows(
        f"9_2|12|{DAY}08:00:00|{DAY}08:00:00|9|1",
        f"9_10|9|{DAY}08:00:00|{DAY}08:00:00|9|1",
        f"9_10.batch|9.batch|{DAY}08:00:00|{DAY}08:00:00|9|1",
        header="JobID|JobIDRaw|Submit|Start|ElapsedRaw|AllocCPUS",
    )
    assert trace.workload.task_id.tolist() == [9, 12]
    assert trace.workload.external_id.tolist() == ["9_10", "9_2"]


def test_an_elapsed_time_that_contradicts_start_and_end_is_noticed() -> None:
    trace = rows(job(1), job(2, elapsed=4000), job(3, elapsed=61))
    assert trace.audit.noticed["contradicting_duration"].places == [3]
    assert trace.audit.noticed["contradicting_duration"].examples == ["4000 s, not 60 s"]
    suspended = rows(
        f"1|{DAY}08:00:00|{DAY}08:00:00|{DAY}08:02:00|60|00:01:00|4",
        header="JobID|Submit|Start|End|ElapsedRaw|Suspended|NCPUS",
    )
    assert "contradicting_duration" not in suspended.audit.noticed


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("JobID|JobName|Partition|AllocCPUS|State\n1|a|b|2|COMPLETED\n", "without Submit and Start and ElapsedRaw"),
        ("JobID           JobName  Partition\n------------ ---------- ----------\n1  a  b\n", "fixed width"),
    ],
)
def test_what_cannot_be_read_is_told_what_to_print(text: str, reason: str) -> None:
    said = refusal(text)
    assert reason in said
    assert "sacct -a -X -P" in said


BARE = f"{{}}|ann|{DAY}08:00:00|{DAY}08:10:00|{DAY}09:10:05|01:00:05|COMPLETED|4|{{}}"


def test_columns_without_a_header_are_guessed_where_there_is_no_doubt_and_that_is_said() -> None:
    trace = read(BARE.format(1, "02:00:00") + "\n" + BARE.format("2_7", "UNLIMITED") + "\n")
    assert trace.format == "sacct"
    assert trace.workload.runtime.tolist() == [3605, 3605]
    assert trace.workload.cpus.tolist() == [4, 4]
    assert trace.workload.estimate_known.tolist() == [True, False]
    (said,) = trace.audit.noticed["guessed_columns"].examples
    assert said == "JobID, column 2, Submit, Start, End, Elapsed, State, NCPUS, Timelimit"


@pytest.mark.parametrize(
    "line",
    [
        BARE.format(1, "02:00:00") + "|8",
        BARE.format(1, "02:00:00").replace("01:00:05", "01:00:55"),
        BARE.format(1, "02:00:00").replace("|COMPLETED", ""),
        BARE.format(1, "02:00:00").replace(f"|{DAY}08:10:00", ""),
        BARE.format("job", "02:00:00"),
    ],
    ids=["two numbers", "no elapsed time", "no state", "two instants", "no number of a job"],
)
def test_columns_without_a_header_are_not_guessed_in_doubt(line: str) -> None:
    assert "not recognised" in refusal(f"{line}\n{line}\n")


def test_bytes_that_are_not_utf8_cost_no_job_and_are_said() -> None:
    lines = (
        HEADER.replace("JobID|", "JobID|JobName|"),
        job(1).replace("1|", "1|caf\xe9|", 1),
        job(2).replace("2|", "2|b|", 1),
    )
    text = "\n".join(lines)
    trace = read_trace(io.BytesIO(text.encode("latin-1")), name="jobs.txt")
    assert trace.workload.task_id.tolist() == [1, 2]
    assert trace.audit.repaired["foreign_bytes"].places == [2]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_end_of_a_line_may_be_any(end: str) -> None:
    assert read(end.join([HEADER, job(1), job(2), ""])).workload.task_id.tolist() == [1, 2]


def test_a_quoted_csv_of_a_spreadsheet_is_read() -> None:
    lines = [",".join(f'"{field}"' for field in line.split("|")) for line in (HEADER, job(1), job(2))]
    trace = read("\n".join(lines))
    assert (trace.format, trace.workload.task_id.tolist()) == ("sacct", [1, 2])
