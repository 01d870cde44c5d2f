"""Inputs that were once read wrongly, and one cluster's accounting in every form in which it can be exported."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scheduler_sim.engine.errors import InvalidTrace
from scheduler_sim.engine.traces import ReadOptions, Trace, read_throughputs, read_trace
from tests.engine.asked_requests import assert_alike

PathOf = Callable[[str], Path]


def columns(trace: Trace, *names: str) -> list[list[Any]]:
    return [getattr(trace.workload, name).tolist() for name in names]


def test_numeric_times_of_sacct_are_seconds(case_path: PathOf) -> None:
    trace = read_trace(case_path("01-sacct-epoch-times/in.txt"))
    found = columns(trace, "task_id", "arrival_time", "recorded_start_time")
    assert found == [[101, 102], [0, 86_400], [60, 86_400]]
    assert trace.audit.span == 86_400


def test_a_job_cancelled_while_pending_is_dropped(case_path: PathOf) -> None:
    trace = read_trace(case_path("02-sacct-cancelled-pending/in.txt"))
    assert (trace.audit.kept, trace.audit.dropped["never_started"].count) == (1, 1)
    assert columns(trace, "arrival_time", "recorded_start_time") == [[0], [0]]


@pytest.mark.parametrize(("name", "kept"), [("a", 2), ("b", 3), ("c", 2)])
def test_surplus_fields_of_swf_are_ignored(name: str, kept: int, case_path: PathOf) -> None:
    trace = read_trace(case_path(f"03-swf-surplus-field-underscore/{name}.swf"))
    assert (trace.format, trace.audit.kept, trace.audit.dropped) == ("swf", kept, {})


@pytest.mark.parametrize(
    ("name", "parents"),
    [("in.csv", [[], [], [1], [2]]), ("refused.csv", [[], [1]]), ("in.parquet", [[], [], [1], [1, 2]])],
)
def test_parents_written_as_floats_are_whole_numbers(name: str, parents: list[list[int]], case_path: PathOf) -> None:
    assert read_trace(case_path(f"04-float-dependencies/{name}")).workload.dependencies() == parents


def test_numbers_of_64_bits_are_told_apart(case_path: PathOf) -> None:
    trace = read_trace(case_path("05-ids-beyond-2-53/in.csv"))
    assert trace.workload.dependencies() == [[], [int(trace.workload.task_id[0])]]
    assert trace.workload.external_id.tolist() == ["362334516345962206", "362334516345962207"]


def test_partial_executions_count_once(case_path: PathOf) -> None:
    trace = read_trace(case_path("08-swf-partial-executions/in.swf"))
    assert columns(trace, "runtime", "cpus") == [[300, 60], [4, 4]]
    assert trace.audit.core_seconds == 1440


@pytest.mark.parametrize(("name", "kept"), [("pipe", 3), ("delim", 1), ("comma", 1), ("trail", 1), ("tz", 2)])
def test_free_text_and_other_delimiters_of_sacct_are_read(name: str, kept: int, case_path: PathOf) -> None:
    trace = read_trace(case_path(f"10-sacct-pipe-or-newline-in-text/{name}.txt"))
    assert (trace.format, trace.audit.kept, trace.audit.dropped) == ("sacct", kept, {})
    assert set(trace.workload.runtime.tolist()) == {3600}
    assert set(trace.workload.cpus.tolist()) == {8}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("in", {}),
        ("in", {"format": "sacct"}),
        ("in", {"options": ReadOptions(columns={"arrival_time": "Submit", "runtime": "Elapsed", "cpus": "NCPUS"})}),
        ("noheader", {}),
        (
            "noheader",
            {
                "options": ReadOptions(
                    header=("JobID", "Partition", "Submit", "Start", "End", "Elapsed", "State", "NCPUS", "Timelimit")
                )
            },
        ),
    ],
)
def test_the_everyday_columns_of_sacct_are_read(name: str, options: dict[str, Any], case_path: PathOf) -> None:
    trace = read_trace(case_path(f"13-sacct-elapsed-text/{name}.txt"), **options)
    found = columns(trace, "runtime", "duration_estimate", "cpus", "recorded_start_time")
    assert found == [[90_005], [172_800], [4], [600]]


def test_gavels_own_table_of_throughputs_is_read(case_path: PathOf) -> None:
    folder = case_path("16-gavel-nested-throughputs")
    options = ReadOptions(throughputs=read_throughputs(folder / "throughputs.json"))
    assert read_trace(folder / "in.trace", options=options).workload.runtime.tolist() == [31.25]


def test_milliseconds_are_noticed_and_read_as_such_when_asked(case_path: PathOf) -> None:
    names = {"task_id": "id", "arrival_time": "submission_time", "runtime": "duration", "cpus": "cpu_count"}
    path = case_path("17-millisecond-times/in.csv")
    noticed = read_trace(path, options=ReadOptions(columns=names)).audit.noticed
    assert {"implausible_clock", "implausible_runtimes"} <= set(noticed)
    scaled = names | {"arrival_time": "submission_time@ms", "runtime": "duration@ms"}
    trace = read_trace(path, options=ReadOptions(columns=scaled))
    assert np.ptp(trace.workload.arrival_time) == 3600
    assert trace.workload.runtime.tolist() == [1194, 7176]
    assert not {"implausible_clock", "implausible_runtimes"} & set(trace.audit.noticed)


FORMS = {
    "sacct_X_all.psv": (),
    "sacct_D_X_all.psv": (),
    "sacct_steps_all.psv": (),
    "sacct_D_steps_all.psv": (),
    "sacct_X_all_epoch.tsv": (),
    "sacct_D_X_all_epoch.tsv": (),
    "sacct_X_finished_states.psv": (),
    "sacct_X_textforms.psv": ("memory_mb", "gpus"),
    "sacct_X_comma.csv": ("memory_mb", "gpus"),
    "sacct_X_trailing_pipe.psv": ("memory_mb", "gpus"),
    "sacct.json": (),
}
"""Every form that holds the columns, and which of a task's columns it does not."""


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_one_clusters_accounting_gives_the_same_jobs(form: str, slurm_path: PathOf) -> None:
    names = ["arrival_time", "recorded_start_time", "runtime", "duration_estimate", "cpus", "memory_mb", "gpus"]

    def jobs(name: str) -> list[tuple[Any, ...]]:
        tasks = read_trace(slurm_path(f"S2/sacct/{name}.gz")).workload
        kept = [column for column in names if column not in FORMS[form]]
        texts = (tasks.user.texts().tolist(), tasks.group.texts().tolist(), tasks.queue.texts().tolist())
        return sorted(zip(*(getattr(tasks, column).tolist() for column in kept), *texts, strict=True))

    found = jobs(form)
    assert len(found) == 1135
    assert found == jobs("sacct_X_all.psv")


def test_requests_do_not_depend_on_the_delimiter(slurm_path: PathOf) -> None:
    piped, tabbed = (
        read_trace(slurm_path(f"S2/sacct/{name}.gz")).workload for name in ("sacct_X_all.psv", "sacct_X_all_epoch.tsv")
    )
    assert_alike(piped.requests, tabbed.requests)
    assert piped.parents.rows.tolist() == tabbed.parents.rows.tolist()


def test_requests_are_what_was_really_asked_for(slurm_path: PathOf) -> None:
    trace = read_trace(slurm_path("S2/sacct/sacct_X_all_epoch.tsv.gz"))
    tasks, requests = trace.workload, trace.workload.requests
    assert requests is not None
    with gzip.open(slurm_path("S2/submission_log.jsonl.gz"), "rt") as file:
        submitted = [entry for entry in map(json.loads, file) if entry.get("op") == "sbatch"]
    asked = {int(entry["jobid"]): entry for entry in submitted}
    after = {entry["id"]: int(entry["jobid"]) for entry in submitted}
    features = requests.features.texts().tolist()
    bounds = tasks.parents.offsets.tolist()
    for row, name in enumerate(tasks.external_id.tolist()):
        entry = asked[int(name.partition("_")[0])]
        words = entry["args"]
        assert requests.exclusive[row] == ("--exclusive" in words)
        assert features[row] == (words[words.index("--constraint") + 1] if "--constraint" in words else "")
        parents = tasks.task_id[tasks.parents.rows[bounds[row] : bounds[row + 1]]].tolist()
        assert parents == ([after[entry["dep"]]] if "dep" in entry else [])
        held = entry["kind"] in ("hold", "begin")
        assert not held or requests.eligible_time[row] > tasks.arrival_time[row]
        assert np.isnan(requests.eligible_time[row]) or held or requests.array[row] > 0


def test_jobs_that_were_queued_again_were_submitted_when_they_really_were(slurm_path: PathOf) -> None:
    trace = read_trace(slurm_path("S4/sacct/sacct_D_X_all.psv.gz"))
    with gzip.open(slurm_path("S4/submission_log.jsonl.gz"), "rt") as file:
        at = {entry["jobid"]: entry["epoch_done"] for entry in map(json.loads, file) if entry.get("op") == "sbatch"}
    tasks = trace.workload
    zero = float(trace.headers["UnixStartTime"])
    assert (len(tasks), trace.audit.dropped["earlier_attempt"].count) == (606, 25)
    for name, arrival in zip(tasks.external_id.tolist(), tasks.arrival_time.tolist(), strict=True):
        assert abs(zero + arrival - at[name]) < 1.5


@pytest.mark.parametrize("form", ["sacct_long.psv", "sacct_default_steps.psv", "sacct_default_fixedwidth.txt"])
def test_a_form_without_the_columns_is_told_what_to_print(form: str, slurm_path: PathOf) -> None:
    with pytest.raises(InvalidTrace, match="sacct -a -X -P"):
        read_trace(slurm_path(f"S2/sacct/{form}.gz"))


def test_a_log_with_text_in_surplus_fields_keeps_its_jobs(trace_path: PathOf) -> None:
    trace = read_trace(trace_path("wagap-2013.swf.gz"))
    assert (trace.format, trace.audit.kept) == ("swf", 17_898)
    assert trace.audit.dropped["negative_runtime"].count == 2
