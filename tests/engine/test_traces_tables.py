"""Tables whose units, identifiers and texts are not the usual ones."""

import io
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from scheduler_sim.engine.clock import clock_seconds, microseconds
from scheduler_sim.engine.errors import InvalidTrace, InvalidWorkload
from scheduler_sim.engine.traces import ReadOptions, Trace, read_trace
from scheduler_sim.engine.traces.units import COUNT, MEMORY, TIME, unit_scale


def read(text: str, header: str | None = None, **columns: str) -> Trace:
    options = ReadOptions(columns=columns or None, header=tuple(header.split(",")) if header else None)
    return read_trace(io.BytesIO(text.encode()), name="jobs.csv", options=options)


def refusal(text: str, header: str | None = None, **columns: str) -> str:
    with pytest.raises(InvalidTrace) as caught:
        read(text, header, **columns)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")
    return str(caught.value)


def test_times_memory_and_limits_are_scaled_to_the_columns_units() -> None:
    text = "when,took,mem,limit,cores,share\n1500,90,2,3,1500,25\n2500,1,0.5,1,2000,100\n"
    trace = read(
        text,
        arrival_time="when@ms",
        runtime="took@min",
        memory_mb="mem@GiB",
        duration_estimate="limit@h",
        cpus="cores@milli",
        gpus="share@percent",
    )
    tasks = trace.workload
    assert tasks.arrival_time.tolist() == [1.5, 2.5]
    assert tasks.runtime.tolist() == [5400, 60]
    assert tasks.memory_mb.tolist() == [2048, 512]
    assert tasks.duration_estimate.tolist() == [10_800, 3600]
    assert tasks.cpus.tolist() == [1.5, 2]
    assert tasks.gpus.tolist() == [0.25, 1]


@pytest.mark.parametrize(("unit", "factor"), [*TIME.items(), ("MS", (1, 1000)), ("minutes", (60, 1)), ("sec", (1, 1))])
def test_every_unit_of_time_is_exact(unit: str, factor: tuple[int, int]) -> None:
    assert read("a,runtime\n3,5\n", arrival_time=f"a@{unit}").workload.arrival_time.tolist() == [
        3 * factor[0] / factor[1]
    ]


def test_nanoseconds_since_1970_are_scaled_before_they_are_judged() -> None:
    trace = read("a,runtime\n1700000000000000000,5\n1700000003000000000,5\n", arrival_time="a@ns")
    assert trace.workload.arrival_time.tolist() == [1_700_000_000, 1_700_000_003]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        (
            {"arrival_time": "a@fortnight"},
            f"no unit of time called 'fortnight' for arrival_time; known are {', '.join(TIME)}",
        ),
        ({"arrival_time": "a@GiB"}, "no unit of time called 'GiB'"),
        ({"arrival_time": "a", "memory_mb": "m@ms"}, f"known are {', '.join(MEMORY)}"),
        ({"arrival_time": "a", "cpus": "m@GiB"}, f"known are {', '.join(COUNT)}"),
        ({"arrival_time": "a", "user": "m@ms"}, "user takes no unit"),
        ({"arrival_time": "a", "task_id": "m@s"}, "task_id takes no unit"),
        ({"arrival_time": "nothing@ms"}, "no column of jobs.csv called 'nothing'"),
        ({"arrival_time": "a@"}, "no unit of time called ''"),
    ],
)
def test_a_unit_that_has_no_meaning_is_one_sentence(columns: dict[str, str], reason: str) -> None:
    assert reason in refusal("a,runtime,m\n1,2,3\n", **columns)


def test_datetimes_have_no_unit() -> None:
    assert "holds datetimes, which have no unit" in refusal("a,runtime\n2024-01-01,5\n", arrival_time="a@ms")


def test_a_column_may_have_an_at_sign_in_its_name() -> None:
    trace = read("a@ms,runtime\n3,5\n4,5\n", arrival_time="a@ms")
    assert trace.workload.arrival_time.tolist() == [3, 4]
    assert read("a@x,runtime\n3,5\n", arrival_time="a@x@min").workload.arrival_time.tolist() == [180]


def test_aliases_of_units_measure_the_same() -> None:
    assert unit_scale("memory_mb", "G") == unit_scale("memory_mb", "GiB") == (1024, 1)
    assert unit_scale("runtime", "hours") == unit_scale("runtime", "h")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1-02:03:04", 93_784),
        ("1-02", 93_600),
        ("26:00:01", 93_601),
        ("90:05", 5405),
        ("0 days 00:01:03.500000", 63.5),
        ("2 days, 1:00:00", 176_400),
        ("3 days", 259_200),
        ("P1DT2H3M4.5S", 93_784.5),
        ("PT90S", 90),
        ("1:99", None),
        ("1:2:3:4", None),
        ("1-", None),
        ("P", None),
        ("-1:00:00", None),
        ("now", None),
    ],
)
def test_durations_are_read_in_the_notations_that_programs_write(text: str, seconds: float | None) -> None:
    assert clock_seconds(text) == seconds


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1970-01-01T00:00:01", (1e6, False)),
        ("1970-01-01 00:00:01Z", (1e6, True)),
        ("1970/1/1 00:00:01", (1e6, False)),
        ("1970-01-01 01:00:01+01:00", (1e6, True)),
        ("1970-01-01 00:00:01 UTC", (1e6, True)),
        ("1969-12-31T23:59:59.999999", (-1.0, False)),
        ("yesterday", None),
    ],
)
def test_datetimes_are_microseconds_since_1970(text: str, found: tuple[float, bool] | None) -> None:
    assert microseconds(text) == found


def test_text_in_an_optional_column_costs_the_value_and_is_named() -> None:
    text = "arrival_time,runtime,cpus,mem,limit,gpus\n0,5,1,lots,7,0\n1,5,2,16G,soon,0\n2,5,1,64,9,n/a\n"
    trace = read(text, memory_mb="mem", duration_estimate="limit")
    tasks = trace.workload
    assert tasks.memory_mb.tolist() == [0, 16_384, 64]
    assert tasks.estimate_known.tolist() == [True, False, True]
    assert trace.audit.repaired["unreadable_value"].places == [2, 3]
    assert sorted(trace.audit.repaired["unreadable_value"].examples) == ["limit 'soon'", "mem 'lots'"]
    assert trace.audit.repaired["gpus_taken_as_zero"].places == [4]


def test_text_in_a_needed_column_costs_the_task_and_is_named() -> None:
    trace = read("arrival_time,runtime\n0,5\nnoon,5\n2,long\n3,1_0\n")
    assert trace.audit.dropped["broken_line"].places == [3, 4, 5]
    assert trace.audit.dropped["broken_line"].examples == ["arrival_time 'noon'", "runtime 'long'", "runtime '1_0'"]


def test_long_and_broken_texts_are_shown_on_one_short_line() -> None:
    trace = read('arrival_time,runtime,memory_mb\n0,5,"' + "much\n" * 100 + '"\n')
    (example,) = trace.audit.repaired["unreadable_value"].examples
    assert "\n" not in example
    assert len(example) < 120


@pytest.mark.parametrize("text", ["1", "1.0", "[1]", "[1.0]", "1.0;", " 1 ", "(1,)", "['1']", "001", "1e0 1"])
def test_a_parent_is_the_same_however_its_number_is_written(text: str) -> None:
    lines = f'task_id,arrival_time,runtime,dependencies\n0,0,5,\n1,1,5,\n2,2,5,"{text.removeprefix("1e0 ")}"\n'
    assert read(lines).workload.dependencies() == [[], [], [1]]


def test_several_parents_stand_in_any_notation() -> None:
    lines = 'task_id,arrival_time,runtime,dependencies\n1.0,0,5,\n2.0,1,5,[nan]\n3.0,2,5,"[1.0, 2.0]"\n4,3,5,1;2 3.0\n'
    assert read(lines).workload.dependencies() == [[], [], [1, 2], [1, 2, 3]]


@pytest.mark.parametrize("kind", [pa.int64(), pa.float64(), pa.string()])
def test_lists_of_parents_in_parquet_keep_their_values(kind: pa.DataType, tmp_path: Path) -> None:
    parents = pa.array([[], [1], [1, 2]], pa.list_(pa.int64())).cast(pa.list_(kind))
    table = pa.table({"task_id": [1, 2, 3], "arrival_time": [0.0, 1, 2], "runtime": [5.0] * 3, "dependencies": parents})
    parquet.write_table(table, tmp_path / "a.parquet")
    assert read_trace(tmp_path / "a.parquet").workload.dependencies() == [[], [1], [1, 2]]


BIG = 2**62


@pytest.mark.parametrize("as_parquet", [False, True])
def test_numbers_beyond_2_53_are_told_apart(as_parquet: bool, tmp_path: Path) -> None:
    ids, parents = [BIG, BIG + 1, BIG + 2], ["", str(BIG), f"{BIG} {BIG + 1}"]
    if as_parquet:
        path = tmp_path / "a.parquet"
        table = {"task_id": ids, "arrival_time": [0.0, 1, 2], "runtime": [5.0] * 3, "dependencies": parents}
        parquet.write_table(pa.table(table), path)
        trace = read_trace(path)
    else:
        lines = [f"{name},{row},5,{above}" for row, (name, above) in enumerate(zip(ids, parents, strict=True))]
        trace = read("task_id,arrival_time,runtime,dependencies\n" + "\n".join(lines))
    assert trace.workload.task_id.tolist() == [1, 2, 3]
    assert trace.workload.external_id.tolist() == [str(number) for number in ids]
    assert trace.workload.dependencies() == [[], [1], [1, 2]]
    assert trace.audit.repaired["unusable_id"].count == 3


def test_a_number_beyond_2_53_goes_above_those_that_are_kept() -> None:
    trace = read(f"task_id,arrival_time,runtime,dependencies\n{BIG},0,5,\n7,1,5,{BIG}\n")
    assert trace.workload.task_id.tolist() == [8, 7]
    assert trace.workload.dependencies() == [[], [8]]


@pytest.mark.parametrize("column", ["task_id", "external_id"])
def test_texts_name_parents(column: str) -> None:
    lines = "arrival_time,runtime,dependencies\nmap-1,0,5,\nmap 2,1,5,map-1\nreduce,2,5,map-1;map-1\nlast,3,5,map 2\n"
    trace = read(f"{column},{lines}")
    assert trace.workload.external_id.tolist() == ["map-1", "map 2", "reduce", "last"]
    assert trace.workload.dependencies() == [[], [1], [1], [2]]


def test_a_parent_that_is_not_there_is_refused_by_its_own_name() -> None:
    with pytest.raises(InvalidWorkload, match="depends on task map-9, which the workload does not hold"):
        read("task_id,arrival_time,runtime,dependencies\nmap-1,0,5,map-9\n")
    # The numbers that texts are given mean nothing to the trace.
    with pytest.raises(InvalidWorkload, match="depends on task 1, which"):
        read("task_id,arrival_time,runtime,dependencies\nmap-1,0,5,\nmap-2,0,5,1\n")


def test_the_order_of_lines_with_text_identifiers_does_not_matter() -> None:
    lines = [f"t{row % 7}{row},{row % 3},5," for row in range(30)] + ["end,9,1,t00;t129"]
    header = "task_id,arrival_time,runtime,dependencies\n"
    left, right = read(header + "\n".join(lines)), read(header + "\n".join(reversed(lines)))
    assert left.workload.external_id.tolist() == right.workload.external_id.tolist()
    assert left.workload.dependencies() == right.workload.dependencies()


def test_columns_of_a_table_without_a_header_are_given() -> None:
    names = "id,when,took,cores"
    given = {"task_id": "id", "arrival_time": "when@min", "runtime": "took", "cpus": "cores"}
    for text in ("7,0,5,2\n8,1,6,1\n", "7;0;5;2\n8;1;6;1\n", f"{names}\n7,0,5,2\n8,1,6,1\n", "7|0|5|2|\n8|1|6|1|\n"):
        trace = read(text, names, **given)
        assert trace.workload.task_id.tolist() == [7, 8]
        assert trace.workload.arrival_time.tolist() == [0, 60]
    assert trace.audit.dropped == {}


def test_another_number_of_columns_than_fields_is_refused() -> None:
    assert "--columns names 3 columns, and the first line has 4 fields" in refusal(
        "7,0,5,2\n", "task_id,arrival_time,runtime"
    )
    with pytest.raises(InvalidTrace, match="--columns has no meaning for the format swf"):
        read_trace(io.BytesIO(b"1 0 -1 5 2\n"), format="swf", options=ReadOptions(header=("a", "b")))


def test_a_known_table_may_still_be_mapped_by_hand() -> None:
    text = "job_id,num_inst,submit_time,num_cpu,num_gpu,duration\na,2,60000,3,0,5000\n"
    assert read(text).format == "pai"
    trace = read(text, arrival_time="submit_time@ms", runtime="duration@ms", cpus="num_cpu")
    assert trace.format == "csv"
    assert (trace.workload.arrival_time[0], trace.workload.runtime[0], trace.workload.cpus[0]) == (60, 5, 3)


@pytest.mark.parametrize(
    ("times", "runtimes", "finding"),
    [
        ([1_664_575_200_000, 1_664_578_800_000], [60, 60], "implausible_clock"),
        ([0, 2_592_000_000], [60, 60], "implausible_span"),
        ([0, 0.25], [60, 60], "within_one_second"),
        ([0, 600_000], [3_600_000, 7_200_000], "implausible_runtimes"),
        ([0, 10], [0.5, 0.25], "tiny_runtimes"),
        ([0, 600], [3600, 60], None),
        ([0, 0], [3600, 60], None),
    ],
)
def test_times_that_look_like_another_unit_are_noticed(times: list[float], runtimes: list[float], finding: str) -> None:
    rows = [f"{number},{when},{took},1" for number, (when, took) in enumerate(zip(times, runtimes, strict=True))]
    trace = read("task_id,arrival_time,runtime,cpus\n" + "\n".join(rows))
    doubts = {"implausible_clock", "implausible_span", "within_one_second", "implausible_runtimes", "tiny_runtimes"}
    assert doubts & set(trace.audit.noticed) == ({finding} if finding else set())


def test_memory_that_no_node_has_is_noticed() -> None:
    trace = read("arrival_time,runtime,cpus,memory_mb\n0,5,2,68719476736\n1,5,2,64000\n")
    assert trace.audit.noticed["implausible_memory"].places == [2]


def test_a_duration_that_contradicts_start_and_end_is_noticed() -> None:
    text = "arrival_time,recorded_start_time,finish_time,runtime\n0,5,65,60\n0,5,66,60.5\n0,5,65,6000\n"
    assert read(text).audit.noticed["contradicting_duration"].places == [4]
    helios = (
        "job_id,user,vc,gpu_num,cpu_num,node_num,state,submit_time,start_time,end_time,duration,queue\n"
        "1,u,v,1,4,1,COMPLETED,2020-04-01 00:00:00,2020-04-01 00:00:00,2020-04-01 01:00:00,60,0\n"
    )
    assert read(helios).audit.noticed["contradicting_duration"].examples == ["60 s, not 3600 s"]


def test_a_parent_that_several_tasks_are_called_is_the_first_and_is_said() -> None:
    trace = read("task_id,arrival_time,runtime,dependencies\nmap,5,1,\nmap,0,1,\nlast,9,1,map\n")
    assert trace.workload.dependencies() == [[], [], [1]]
    assert trace.audit.noticed["shared_parent"].places == [4]
    assert trace.audit.noticed["shared_parent"].examples == ["'map'"]
    numbered = read("task_id,arrival_time,runtime,dependencies\n7,5,1,\n7,0,1,\n8,9,1,7\n")
    assert numbered.workload.dependencies() == [[], [], [7]]
    assert numbered.audit.noticed["shared_parent"].places == [4]


def test_instants_of_parquet_without_a_zone_are_said_to_be_taken_as_utc(tmp_path: Path) -> None:
    for zone, said in ((None, True), ("UTC", False)):
        table = {"submitted": pa.array([0, 5_000_000], pa.timestamp("us", zone)), "runtime": [5.0, 5.0], "cpus": [1, 1]}
        parquet.write_table(pa.table(table), tmp_path / "a.parquet")
        trace = read_trace(tmp_path / "a.parquet", options=ReadOptions(columns={"arrival_time": "submitted"}))
        assert trace.workload.arrival_time.tolist() == [0, 5]
        assert ("zoneless" in trace.audit.noticed) is said


def test_durations_of_parquet_have_a_unit_of_their_own(tmp_path: Path) -> None:
    table = {"arrival_time": [0.0], "took": pa.array([90_000], pa.duration("ms"))}
    parquet.write_table(pa.table(table), tmp_path / "a.parquet")
    assert (
        read_trace(tmp_path / "a.parquet", options=ReadOptions(columns={"runtime": "took"})).workload.runtime[0] == 90
    )
    with pytest.raises(InvalidTrace, match="took holds durations, which have a unit of their own"):
        read_trace(tmp_path / "a.parquet", options=ReadOptions(columns={"runtime": "took@ms"}))
