"""Training jobs: Gavel's tables of throughputs, Shockwave's fields, Philly's attempts."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from scheduler_sim.engine.errors import InvalidTrace
from scheduler_sim.engine.traces import ReadOptions, Trace, read_kinds, read_throughputs, read_trace
from tests.files import written

MODEL = "VGG (batch size 8)"
NESTED = {
    "k80": {f"('{MODEL}', 1)": {"null": 2.0}},
    "v100": {
        f"('{MODEL}', 1)": {"null": 10.0, f"('{MODEL}', 1)": [4.0, 4.5]},
        f"('{MODEL}', 4)": {"null": 32.0},
        f"('{MODEL}', 8)": {"null": 0.0},
    },
}


def line(*, gpus: int = 4, steps: int = 1000, mode: str = "", duration: float | None = None) -> str:
    fields = [MODEL, "python3 main.py", "vision", "--steps", "1", str(steps), str(gpus)]
    fields += [mode] if duration is not None else []
    fields += ["1", "-1.000000"] + ([str(duration)] if duration is not None else []) + ["30"]
    return "\t".join(fields)


def gavel(*lines: str, **options: Any) -> Trace:
    return read_trace(io.BytesIO("\n".join(lines).encode()), name="jobs.trace", options=ReadOptions(**options))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return written(tmp_path / "rates.json", json.dumps(NESTED))


def test_gavels_own_table_gives_a_rate_for_each_number_of_gpus(table: Path) -> None:
    trace = gavel(line(gpus=1), line(gpus=4), throughputs=read_throughputs(table, "v100"))
    assert trace.workload.runtime.tolist() == [31.25, 100]
    assert "one_rate" not in trace.audit.noticed


def test_a_number_of_gpus_without_a_rate_is_dropped_and_named(table: Path) -> None:
    trace = gavel(line(gpus=4), line(gpus=8), line(gpus=2), throughputs=read_throughputs(table, "v100"))
    assert trace.audit.dropped["unknown_runtime"].places == [2, 3]
    assert trace.audit.noticed["type_without_throughput"].examples == [f"{MODEL} on 8 GPUs", f"{MODEL} on 2 GPUs"]


def test_a_rate_for_any_number_of_gpus_is_noticed() -> None:
    assert gavel(line(gpus=1), line(gpus=4), throughputs={MODEL: 10.0}).audit.noticed["one_rate"].places == [2]
    assert gavel(line(gpus=4), steps_per_second=10.0).audit.noticed["one_rate"].places == [1]


def test_a_worker_type_is_chosen_among_several(table: Path, tmp_path: Path) -> None:
    assert read_throughputs(table, "k80") == {f"('{MODEL}', 1)": 2.0}
    single = tmp_path / "single.json"
    single.write_text(json.dumps({"v100": NESTED["v100"]}))
    assert read_throughputs(single)[f"('{MODEL}', 4)"] == 32.0
    flat = tmp_path / "flat.json"
    flat.write_text(json.dumps({MODEL: 3}))
    for path, chosen, reason in (
        (table, None, "are of k80, v100; name one of them with --worker-type"),
        (table, "p100", "no worker type called 'p100'"),
        (flat, "v100", "name no worker types"),
    ):
        with pytest.raises(InvalidTrace, match=reason):
            read_throughputs(path, chosen)


@pytest.mark.parametrize(
    "content",
    [
        {"v100": {"VGG": {"null": 1}}},
        {"v100": {"('VGG', 1)": {"other": 1}}},
        {"v100": {"('VGG', 1)": 1}},
        {"v100": 1, "k80": {}},
    ],
)
def test_a_table_of_another_shape_is_refused(content: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "rates.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InvalidTrace):
        read_throughputs(path)


def test_rates_as_csv_are_those_of_the_nested_table(tmp_path: Path) -> None:
    path, same = tmp_path / "rates.csv", tmp_path / "rates.json"
    path.write_text("rate,job_type,gpus,gpu_type\n2,LM,1,v100\n3.5,LM,2,v100\n1,LM,1,k80\n0,LM,2,k80\n")
    same.write_text(
        json.dumps(
            {
                "v100": {"('LM', 1)": {"null": 2}, "('LM', 2)": {"null": 3.5}},
                "k80": {"('LM', 1)": {"null": 1}, "('LM', 2)": {"null": 0}},
            }
        )
    )
    assert read_throughputs(path, "v100") == read_throughputs(same, "v100") == {"('LM', 1)": 2.0, "('LM', 2)": 3.5}
    kinds = read_kinds(path)
    assert kinds is not None
    assert kinds == read_kinds(same)
    assert kinds.rates == {("LM", 1): (2.0, 1.0), ("LM", 2): (3.5, 0.0)}


WITH_PAIRS = "job_type,gpus,gpu_type,rate,beside_type\n"


def test_rates_of_pairs_as_csv_are_those_of_the_nested_table(tmp_path: Path) -> None:
    path, same = tmp_path / "rates.csv", tmp_path / "rates.json"
    path.write_text(
        f"{WITH_PAIRS}RN,1,v100,4,\nLM,1,v100,2,\nLM,1,v100,1.5,RN\nRN,1,v100,3,LM\nLM,1,v100,0.5,LM\nLM,1,k80,1,\n"
    )
    lm, rn = "('LM', 1)", "('RN', 1)"
    of_v100 = {lm: {"null": 2, rn: [1.5, 3], lm: [0.5, 0.5]}, rn: {"null": 4, lm: [3, 1.5]}}
    same.write_text(json.dumps({"v100": of_v100, "k80": {lm: {"null": 1}}}))
    kinds = read_kinds(path)
    assert kinds is not None
    assert kinds == read_kinds(same)
    assert kinds.pairs == {("LM", "RN"): ((1.5, 3.0), (0.0, 0.0)), ("LM", "LM"): ((0.5, 0.5), (0.0, 0.0))}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("job_type,gpus,rate\nLM,1,2\n", "have no column gpu_type; needed are job_type, gpus, gpu_type, rate"),
        ("job_type,gpus,gpu_type,rate\nLM,one,v100,2\n", "line 2: expected are a gpu_type, a whole number of gpus"),
        ("job_type,gpus,gpu_type,rate\nLM,1,v100,-2\n", "line 2: expected are"),
        ("job_type,gpus,gpu_type,rate\nLM,1,v100\n", "line 2: expected are"),
        ("job_type,gpus,gpu_type,rate\nLM,1,v100,2\nLM,1,v100,3\n", r"line 3, state \('LM', 1\) on v100 again"),
        ("job_type,gpus,gpu_type,rate\n", "hold no rates"),
        (f"{WITH_PAIRS}LM,1,v100,2,\nLM,1,v100,1,RN\nRN,1,v100,3,\n", r"\('LM', 1\) beside \('RN', 1\) on v100, but"),
        (f"{WITH_PAIRS}LM,1,v100,1,LM\n", r"state \('LM', 1\) on v100 beside others, but not alone"),
        (f"{WITH_PAIRS}LM,2,v100,1,LM\n", "line 2: only jobs of one GPU have rates beside others"),
        (f"{WITH_PAIRS}LM,1,v100,1,LM\nLM,1,v100,1,LM\n", "line 3, state .* beside .* on v100 again"),
    ],
)
def test_rates_as_csv_of_another_shape_are_refused(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "rates.csv"
    path.write_text(text)
    with pytest.raises(InvalidTrace, match=reason):
        read_kinds(path)


def test_shockwaves_twelve_fields_are_read(table: Path) -> None:
    lines = [line(mode="gns", duration=1418), line(gpus=1, mode="static", duration=77)]
    stated = gavel(*lines)
    assert stated.format == "gavel"
    assert stated.workload.arrival_time.tolist() == [30, 30]
    assert sorted(zip(stated.workload.gpus.tolist(), stated.workload.runtime.tolist(), strict=True)) == [
        (1, 77),
        (4, 1418),
    ]
    assert stated.audit.noticed["given_duration"].count == 2
    rated = gavel(*lines, throughputs=read_throughputs(table, "v100"))
    assert sorted(rated.workload.runtime.tolist()) == [31.25, 100]
    assert "given_duration" not in rated.audit.noticed


def attempt(start: str | None, end: str | None, gpus: int = 1) -> dict[str, Any]:
    moment = "2017-10-09 {}"
    return {
        "start_time": moment.format(start) if start else None,
        "end_time": moment.format(end) if end else None,
        "detail": [{"ip": "m1", "gpus": [f"gpu{number}" for number in range(gpus)]}],
    }


def philly(*jobs: list[dict[str, Any]]) -> Trace:
    entries = [
        {
            "jobid": f"job{number}",
            "user": "u",
            "vc": "v",
            "status": "Pass",
            "submitted_time": "2017-10-09 07:00:00",
            "attempts": attempts,
        }
        for number, attempts in enumerate(jobs, 1)
    ]
    return read_trace(io.BytesIO(json.dumps(entries).encode()), name="jobs.json")


GOOD = attempt("07:00:10", "07:01:10", gpus=2)


@pytest.mark.parametrize("error", [attempt(None, "07:05:00"), attempt(None, None), attempt("07:05:00", "07:04:00")])
@pytest.mark.parametrize("first", [True, False])
def test_attempts_that_are_errors_of_the_log_are_left_out_and_counted(error: dict[str, Any], first: bool) -> None:
    trace = philly([error, GOOD] if first else [GOOD, error], [GOOD])
    assert trace.workload.runtime.tolist() == [60, 60]
    assert trace.workload.recorded_start_time.tolist() == [10, 10]
    assert trace.audit.repaired["attempt_left_out"].places == [1]


def test_an_attempt_without_an_end_is_an_error_unless_it_is_the_last() -> None:
    open_ended = attempt("07:02:00", None)
    trace = philly([open_ended, GOOD], [GOOD, open_ended], [GOOD])
    assert trace.workload.external_id.tolist() == ["job1", "job3"]
    assert trace.audit.repaired["attempt_left_out"].places == [1]
    assert trace.audit.dropped["unknown_runtime"].places == [2]


def test_a_job_of_errors_alone_has_no_known_run_time_and_one_of_nothing_never_started() -> None:
    trace = philly([attempt(None, "07:05:00")], [], [GOOD])
    assert trace.audit.dropped["unknown_runtime"].places == [1]
    assert trace.audit.dropped["never_started"].places == [2]
