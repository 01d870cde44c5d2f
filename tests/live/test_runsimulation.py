"""The main job through the command line: what it stores, prints and refuses."""

import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection

import manage
from apps.dashboard.schedule import around
from apps.dashboard.schedule.gantt import Window, gantt
from apps.dashboard.schedule.placements import placements
from apps.dashboard.schedule.task_story import task_story
from apps.live.models import SimulationState
from apps.live.play.configuration import RunConfiguration
from apps.live.play.launch import run_create
from apps.live.play.runner import Runner
from apps.metrics.models import Metric
from apps.results.models import Run, SchedulerResult
from apps.tasks.models import Workload
from scheduler_sim import engine
from tests.files import written

pytestmark = pytest.mark.django_db(transaction=True)

SWF = """; MaxProcs: 4
1 0 -1 10 2 -1 -1 2 20 -1 1 1 1 -1 1 -1 -1 -1
2 1 -1 10 4 -1 -1 4 20 -1 1 2 1 -1 1 -1 -1 -1
3 2 -1 5 2 -1 -1 2 8 -1 1 1 1 -1 1 -1 -1 -1
"""


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return written(tmp_path / "small.swf", SWF)


def run(*arguments: object, **options: object) -> str:
    out = StringIO()
    call_command("runsimulation", *map(str, arguments), stdout=out, verbosity=0, **options)
    return out.getvalue()


def document(*arguments: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(*arguments, "--json"))
    return found


def starts(scheduler: str) -> dict[int, float]:
    rows = SchedulerResult.objects.filter(scheduler=scheduler).values_list("task__task_id", "start_time")
    return dict(rows)


def test_every_placement_of_every_policy_is_stored(trace: Path) -> None:
    printed = document("--workload", trace, "--cluster", "hpc-4", "--policies", "fcfs,fcfs+easy")
    assert printed["rows_written"] == SchedulerResult.objects.count() == 6
    assert starts("fcfs") == {1: 0.0, 2: 10.0, 3: 20.0}
    assert starts("fcfs+easy") == {1: 0.0, 2: 10.0, 3: 2.0}
    stored = Run.objects.get()
    assert (stored.status, stored.rows_expected, stored.rows_written) == ("finished", 6, 6)
    assert printed["checksum"] == stored.checksum
    assert len(printed["checksum"]) == 64


def test_attempts_are_stored_exported_and_verified(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    trace = tmp_path / "stopped.swf"
    trace.write_text(
        "; MaxProcs: 4\n1 0 -1 10 4 -1 -1 4 20 -1 1 1 1 -1 1 -1 -1 -1\n2 4 -1 2 4 -1 -1 4 2 -1 1 2 1 -1 1 -1 -1 -1\n"
    )
    printed = document("--workload", trace, "--cluster", "hpc-4", "--policies", "fcfs,srtf,sjf~requeue")
    figures = {row["scheduler"]: (row["attempts_mean"], row["lost_time"]) for row in printed["policies"]}
    assert figures == {"fcfs": (1.0, 0.0), "srtf": (1.5, 0.0), "sjf~requeue": (1.5, 4.0)}
    assert (printed["rows_written"], printed["attempts_written"]) == (6, 4)
    capsys.readouterr()
    call_command("exportdata", "attempts", run=str(printed["run"]))
    assert capsys.readouterr().out.splitlines() == [
        "scheduler,task_id,number,start_time,end_time,node,device,cpus,gpus,reason,nodes",
        "sjf~requeue,1,1,0.0,4.0,0,-1,4.0,0.0,requeued,node0",
        "sjf~requeue,1,2,6.0,16.0,0,-1,4.0,0.0,finished,node0",
        "srtf,1,1,0.0,4.0,0,-1,4.0,0.0,suspended,node0",
        "srtf,1,2,6.0,12.0,0,-1,4.0,0.0,finished,node0",
    ]
    call_command("exportdata", "results", run=str(printed["run"]))
    rows = [line.split(",") for line in capsys.readouterr().out.splitlines()]
    assert [(row[0], row[1], *row[-5:-1]) for row in rows[1:4]] == [
        ("fcfs", "1", "1", "10.0", "0.0", "completed"),
        ("sjf~requeue", "1", "2", "10.0", "4.0", "completed"),
        ("srtf", "1", "2", "10.0", "0.0", "completed"),
    ]
    call_command("verifyrun", str(printed["run"]))
    assert "2 attempts of tasks with more than one" in capsys.readouterr().out
    stored = Run.objects.get()
    chart = gantt(stored, "sjf~requeue", placements(stored, "sjf~requeue"), Window())
    assert sorted((item[5], item[3], item[4]) for item in chart.items) == [(1, 0.0, 4.0), (1, 6.0, 16.0), (2, 4.0, 6.0)]
    assert chart.finding.startswith("2 tasks run")
    story = task_story(stored, stored.workload.tasks.get(task_id=1))
    assert [one.stopped for one in story.outcomes] == ["", "stopped 1 time, 0 s lost", "stopped 1 time, 4.00 s lost"]


def test_a_story_says_that_later_tasks_did_no_harm_only_where_the_policy_sees_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Task 3 waits behind 2, which fcfs+easy guards from 1 on; task 4 passes both while 2 is the head, and 5 only 3.
    jobs = ((0, 10, 3), (1, 10, 4), (2, 10, 4), (3, 5, 1), (11, 5, 1))
    lines = [f"{n} {at} -1 {r} {p} -1 -1 {p} {r} -1 1 {n} 1 -1 1 -1 -1 -1\n" for n, (at, r, p) in enumerate(jobs, 1)]
    trace = written(tmp_path / "passing.swf", "; MaxProcs: 4\n" + "".join(lines))
    policies = "fcfs+list,fcfs+easy,fcfs+conservative,fcfs+conservative(depth=4),sjf+easy"
    document("--workload", trace, "--cluster", "hpc-4", "--policies", policies)
    stored = Run.objects.get()

    def told() -> dict[int, dict[str, tuple[int, int, str]]]:
        return {
            number: {
                one.result.scheduler: (one.passed_by, one.guarded, one.waited_for)
                for one in task_story(stored, stored.workload.tasks.get(task_id=number)).outcomes
            }
            for number in (2, 3)
        }

    waited = told()
    harmless = "1 task that came later and was backfilled ahead without delaying it (by the estimates)"
    earlier = "1 task that came later and started earlier"
    assert waited[2]["fcfs+easy"] == waited[2]["fcfs+conservative"] == (1, 1, harmless)
    assert waited[2]["fcfs+list"] == waited[2]["sjf+easy"] == (1, 0, earlier)
    assert waited[2]["fcfs+conservative(depth=4)"] == (1, 0, earlier)
    # Read from the stretches of the clock, as of a long run, it is the same.
    monkeypatch.setattr(around, "WHOLE", 0)
    assert told() == waited
    assert waited[3]["fcfs+easy"] == (1, 0, f"1 task that came before it, and {earlier}")
    assert waited[3]["fcfs+conservative"] == (1, 1, f"1 task that came before it, and {harmless}")


def test_the_document_ranks_the_policies_with_their_figures(trace: Path) -> None:
    printed = document("--workload", trace, "--cluster", "hpc-4", "--policies", "fcfs,fcfs+easy")
    figures = {row["scheduler"]: row for row in printed["policies"]}
    assert figures["fcfs"]["mean_job_completion_time"] == pytest.approx((10 + 19 + 23) / 3)
    assert figures["fcfs+easy"]["mean_job_completion_time"] == pytest.approx((10 + 19 + 5) / 3)
    assert figures["fcfs"]["makespan"] == 25.0
    assert figures["fcfs+easy"]["max_wait_time"] == 9.0
    assert figures["fcfs+easy"]["wins"] == 3
    assert printed["policies"][0]["scheduler"] == "fcfs+easy"
    assert printed["workload"]["tasks"] == 3


def test_the_same_seed_gives_the_same_checksum_and_the_order_of_lines_does_not_matter(
    trace: Path, tmp_path: Path
) -> None:
    shuffled = tmp_path / "shuffled.swf"
    header, *lines = SWF.splitlines()
    shuffled.write_text("\n".join([header, *reversed(lines)]) + "\n")
    policies = ("--cluster", "hpc-4", "--policies", "fcfs,random_order,sjf+easy", "--seed", "7")
    checksums = {document("--workload", path, *policies)["checksum"] for path in (trace, trace, shuffled)}
    assert len(checksums) == 1


def test_a_file_given_twice_is_one_workload(trace: Path) -> None:
    for _ in range(2):
        run("--workload", trace, "--policies", "fcfs")
    assert Workload.objects.count() == 1
    assert Run.objects.count() == 2
    assert len(set(Run.objects.values_list("name", flat=True))) == 2


def test_the_cluster_defaults_to_the_size_of_the_traced_machine(trace: Path) -> None:
    assert document("--workload", trace, "--policies", "fcfs")["cluster"]["groups"][0]["cores"] == 4


def test_limit_takes_the_first_tasks_by_arrival(trace: Path) -> None:
    run("--workload", trace, "--policies", "fcfs", "--limit", 2)
    assert set(starts("fcfs")) == {1, 2}


def test_the_table_names_every_policy_and_says_how_to_export(trace: Path) -> None:
    printed = run("--workload", trace, "--policies", "fcfs,sjf")
    assert "fcfs" in printed
    assert "sjf" in printed
    assert "exportdata" in printed


def test_a_dry_run_says_what_would_be_played_and_writes_nothing(trace: Path) -> None:
    printed = run("--workload", trace, "--cluster", "hpc-4", "--policies", "fcfs,sjf", "--dry-run")
    assert "3 tasks" in printed
    assert "6 placements" in printed
    assert not Workload.objects.exists()
    assert not Run.objects.exists()


def test_a_second_ctrl_c_while_figures_are_stored_stops_the_run_in_one_sentence(
    trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(**_arguments: object) -> None:
        raise KeyboardInterrupt

    play = ("--cluster", "hpc-4", "--policies", "fcfs,sjf")
    undisturbed = document("--workload", trace, *play)
    with monkeypatch.context() as patch:
        patch.setattr("apps.live.play.runner.conclude", interrupted)
        with pytest.raises(CommandError, match=r"^Stopped\. 6 of 6 placements .*--resume") as raised:
            run("--workload", trace, *play, "--name", "interrupted")
    assert raised.value.returncode == 130
    assert Run.objects.get(name="interrupted").status == "stopped"
    assert document("--resume", "interrupted")["checksum"] == undisturbed["checksum"]


def test_ctrl_c_ends_any_command_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    with (
        mock.patch("django.core.management.ManagementUtility.execute", side_effect=KeyboardInterrupt),
        pytest.raises(SystemExit) as raised,
    ):
        manage.main()
    assert raised.value.code == 130
    assert capsys.readouterr().err == "Interrupted.\n"


def test_resuming_a_finished_run_prints_its_stored_document(trace: Path) -> None:
    first = document("--workload", trace, "--policies", "fcfs", "--name", "mine")
    assert document("--resume", "mine") == first
    assert Run.objects.count() == 1


def test_keeping_only_the_summary_stores_figures_without_placements(trace: Path) -> None:
    whole = document("--workload", trace, "--policies", "fcfs,sjf")
    summary = document("--workload", trace, "--policies", "fcfs,sjf", "--keep", "summary")
    assert summary["rows_written"] == 0
    assert SchedulerResult.objects.count() == 6
    assert summary["policies"] == whole["policies"]
    assert summary["checksum"] == whole["checksum"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--policies", "fcsf"), "Did you mean fcfs?"),
        (("--policies", "fcfs+esay"), "Did you mean easy?"),
        (("--policies", ""), "list of policies is empty"),
        (("--policies", "fcfs,fcfs"), "more than once"),
        (("--cluster", "hpc-3"), "1 of 3 tasks"),
        (("--cluster", "hcp-4"), "Did you mean"),
        (("--limit", "0"), "limit must be a whole number from 1"),
        (("--warmup", "0.6", "--cooldown", "0.6"), "together below 1"),
        (("--seed", "-1"), "seed must be a whole number from 0"),
        (("--estimates", "sometimes"), "sometimes"),
        (("--conservative-depth", "0"), "conservative_depth must be a whole number from 1"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_no_run(trace: Path, arguments: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(CommandError) as refused:
        run("--workload", trace, *arguments)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not Run.objects.exists()
    assert not SchedulerResult.objects.exists()
    assert not Metric.objects.exists()


def test_tasks_larger_than_the_cluster_are_counted_and_can_be_dropped_or_clamped(trace: Path) -> None:
    arguments = ("--workload", trace, "--cluster", "hpc-3", "--policies", "fcfs", "--on-oversize")
    assert document(*arguments, "drop")["rows_written"] == 2
    assert document(*arguments, "clamp")["rows_written"] == 3


@pytest.mark.parametrize("missing", ["no-such-file.swf", "no-such-workload"])
def test_an_unknown_workload_is_refused(missing: str) -> None:
    with pytest.raises(CommandError, match=missing):
        run("--workload", missing)


def test_an_explicit_name_can_be_used_once(trace: Path) -> None:
    run("--workload", trace, "--policies", "fcfs", "--name", "mine")
    with pytest.raises(CommandError, match="There is a run called 'mine' already"):
        run("--workload", trace, "--policies", "fcfs", "--name", "mine")
    assert Run.objects.count() == 1


def test_a_run_with_placements_of_another_engine_is_not_taken_up(trace: Path) -> None:
    stored = document("--workload", trace, "--policies", "fcfs")["rows_written"]
    Run.objects.update(status=Run.Status.STOPPED, engine_version="0.9")
    with pytest.raises(CommandError, match=r"begun by engine 0\.9"):
        run("--resume", Run.objects.get().pk)
    assert SchedulerResult.objects.count() == stored


def test_a_run_that_nobody_knows_cannot_be_resumed() -> None:
    with pytest.raises(CommandError, match="There is no run 'nothing'"):
        run("--resume", "nothing")


def test_saying_neither_workload_nor_run_is_refused() -> None:
    with pytest.raises(CommandError, match="--workload NAME"):
        run()


@pytest.mark.own_data
def test_a_database_that_cannot_be_used_is_one_sentence() -> None:
    given = {"DATABASE_URL": "postgres://nobody@127.0.0.1:1/nowhere"}
    told = subprocess.run(
        [sys.executable, "manage.py", "exportdata", "tasks", "--workload", "w", "--format", "csv", "--output", "-"],
        cwd=settings.BASE_DIR,
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 1
    assert told.stderr.startswith("The database nowhere cannot be used: connection failed")
    assert told.stderr.count("\n") == 1


def test_a_run_is_stopped_while_it_reads_its_tasks_though_the_database_was_busy(
    trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.tasks.managers._CHUNK_ROWS", 1)
    monkeypatch.setattr("apps.live.play.runner.POLL_SECONDS", 0.0)
    run("--workload", trace, "--policies", "fcfs")
    first = Run.objects.get()
    queued = run_create(
        workload=first.workload,
        cluster=engine.Cluster.from_json(first.cluster),
        configuration=RunConfiguration(policies=("fcfs",)),
        name="stopped early",
    )
    runner = Runner(queued)
    begin, take = queued.begin, runner._take_command

    def begin_and_be_told() -> None:
        begin()
        SimulationState.objects.filter(run=queued).update(command="stop")

    def busy_at_first() -> str:
        monkeypatch.setattr(runner, "_take_command", take)
        raise OperationalError("database is locked")

    monkeypatch.setattr(queued, "begin", begin_and_be_told)
    monkeypatch.setattr(runner, "_take_command", busy_at_first)
    with monkeypatch.context() as reading:
        # To close it would end the reading.
        reading.setattr(connection, "close", mock.Mock(side_effect=AssertionError("closed")))
        runner.play()
    queued.refresh_from_db()
    assert queued.status == Run.Status.STOPPED
    assert not runner.players
    assert not queued.state.is_alive


@pytest.mark.parametrize(
    ("said", "reads", "is_renewed"),
    [("database is locked", False, False), ("disk I/O error", False, True), ("disk I/O error", True, False)],
)
def test_a_connection_that_failed_is_renewed_unless_tasks_are_read_on_it(
    monkeypatch: pytest.MonkeyPatch, said: str, reads: bool, is_renewed: bool
) -> None:
    runner = Runner(Run(configuration=RunConfiguration(policies=("fcfs",)).as_json()))
    runner.players = [] if reads else [mock.Mock()]
    monkeypatch.setattr(runner, "_beat", mock.Mock(side_effect=OperationalError(said)))
    closed = mock.Mock()
    monkeypatch.setattr(connection, "close", closed)
    monkeypatch.setattr(connection, "is_usable", lambda: True)
    assert runner._poll() == SimulationState.Command.NONE
    assert closed.called == is_renewed


def test_energy_and_cost_are_unknown_where_the_cluster_states_neither_watts_nor_prices(
    trace: Path, tmp_path: Path
) -> None:
    cluster = tmp_path / "plain.json"
    cluster.write_text(json.dumps({"name": "plain", "groups": [{"name": "all", "count": 1, "cores": 4}]}))
    (figures,) = document("--workload", trace, "--policies", "fcfs", "--cluster", cluster)["policies"]
    assert figures["energy_joules"] is None
    assert figures["cost_usd"] is None
    assert figures["makespan"] > 0


def test_policies_that_stop_tasks_are_played_stored_and_verified(trace: Path) -> None:
    printed = document("--workload", trace, "--cluster", "hpc-4", "--policies", "fcfs,srtf,rr(quantum=2),sjf~requeue")
    assert printed["rows_written"] == SchedulerResult.objects.count() == 12
    assert starts("srtf") == {1: 0.0, 2: 10.0, 3: 2.0}
    # The first task's turn ends at 2, when the second has waited: it takes the whole pool.
    assert starts("rr(quantum=2)")[2] == 2.0
    finishes = SchedulerResult.objects.filter(scheduler="sjf~requeue").values_list("task__task_id", "finish_time")
    assert set(dict(finishes)) == {1, 2, 3}
    out = StringIO()
    call_command("verifyrun", str(Run.objects.get().pk), stdout=out)
    with pytest.raises(CommandError, match="would make no progress"):
        run("--workload", trace, "--cluster", "hpc-4", "--policies", "rr(quantum=2,restart_overhead=9)")
