"""Runs and studies in which users wait for their results."""

import io
import zipfile
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from rich.console import Console

from apps.live.play.configuration import RunConfiguration
from apps.live.play.launch import run_create
from apps.live.play.runner import Runner
from apps.live.wire.snapshots import Race
from apps.metrics.models import GroupMetric, Metric
from apps.results.models import Run
from apps.studies.definition import Definition
from apps.studies.play.execution import study_play
from apps.studies.report.figures import study_figures
from apps.studies.report.tables import markdown_table, print_study
from apps.tasks.models import Workload
from apps.tasks.services import workload_import
from scheduler_sim import engine as sim
from scheduler_sim.engine.clusters.presets import load_cluster
from scheduler_sim.engine.measuring.tally import Tally

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("in_this_process")]

LOG = """; MaxProcs: 2
1 0 0 8 1 -1 -1 1 10 -1 1 1 1 -1 -1 -1 -1 -1
2 0 0 10 1 -1 -1 1 10 -1 1 1 1 -1 -1 -1 -1 -1
3 1 7 5 1 -1 -1 1 10 -1 1 2 1 -1 -1 -1 2 4
4 20 0 1 2 -1 -1 2 10 -1 1 1 1 -1 -1 -1 3 0
"""


@pytest.fixture
def stored(tmp_path: Path) -> Workload:
    (tmp_path / "log.swf").write_text(LOG)
    call_command("importworkload", str(tmp_path / "log.swf"), "--name", "log", "--think-times", stdout=StringIO())
    return Workload.objects.get(name="log")


def run(**options: Any) -> Run:
    given = {"workload": "log", "cluster": "hpc-2", "policies": "fcfs,sjf+easy", "keep": "summary", **options}
    call_command("runsimulation", **given, stdout=StringIO(), verbosity=0)
    return Run.objects.latest("pk")


def test_think_times_are_stored_and_read_back(stored: Workload) -> None:
    asked = stored.tasks.as_workload().requests
    assert asked is not None
    assert asked.follows.tolist() == [0, 0, 2, 3]
    assert asked.think_time.tolist()[2:] == [4, 0]
    # Read in another way it is another workload.
    assert workload_import(file=stored_file(stored), name="plain", file_name="log.swf")[0].pk != stored.pk


def stored_file(_stored: Workload) -> Any:
    from io import BytesIO

    return BytesIO(LOG.encode())


def test_a_closed_run_has_the_figures_of_the_library(stored: Workload) -> None:
    tasks = stored.tasks.as_workload()
    played = sim.play(tasks, "hpc-2", "fcfs,sjf+easy", options=sim.Options(closed_loop=True))
    closed, opened = run(feedback="trace"), run()
    for policy in ("fcfs", "sjf+easy"):
        for kept, wait in ((closed, played.figure("mean_wait_time", policy)), (opened, 7 / 4)):
            whole = Metric.objects.totals().get(run=kept, scheduler=policy)
            assert whole.mean_wait_time == pytest.approx(wait)
    assert played.figure("mean_wait_time", "fcfs") == 0
    assert closed.configuration["feedback"] == "trace"
    assert "feedback" not in opened.configuration


def test_what_cannot_be_closed_is_refused_in_one_sentence(stored: Workload, tmp_path: Path) -> None:
    (tmp_path / "plain.swf").write_text(LOG)
    call_command("importworkload", str(tmp_path / "plain.swf"), "--name", "plain", stdout=StringIO())
    for options, reason in (
        ({"feedback": "trace", "keep": "results"}, "keep summary"),
        ({"feedback": "trace", "workload": "plain"}, "none of these says which"),
        ({"feedback": "trace", "policies": "srtf"}, "closed loop"),
    ):
        with pytest.raises(CommandError, match=reason):
            run(**options)


def test_a_study_shows_open_and_closed_beside_each_other(stored: Workload, client: Client) -> None:
    definition = Definition.from_json(
        {
            "name": "feedback",
            "workloads": [{"stored": "log"}],
            "clusters": ["hpc-2"],
            "policies": ["fcfs", "sjf+easy"],
            "variants": [{"label": "open"}, {"label": "trace", "feedback": "trace"}, {"feedback": "users"}],
            "seeds": 1,
        }
    )
    outcome = study_play(definition)
    assert (outcome.finished, outcome.failed) == (3, 0)
    waits = {
        one.cell.variant: one.standings["fcfs"].interval.mean
        for one in study_figures(outcome.study, "mean_wait_time", "fcfs")
    }
    assert len(waits) == 3
    assert waits["open"] == 7 / 4
    assert waits["trace"] == 0
    # The table that the command prints, Markdown, the page and the bundle all tell the variants apart.
    printed = StringIO()
    print_study(outcome.study, Console(file=printed, width=400))
    assert [word in printed.getvalue() for word in ("variant", "open", "trace", "users")] == [True] * 4
    assert "| variant |" in markdown_table(outcome.study)
    client.force_login(User.objects.create_superuser("alice"))
    page = client.get(f"/studies/{outcome.study.pk}/").content.decode()
    assert "Variant" in page
    assert ">trace<" in page
    bundle = client.get(f"/studies/{outcome.study.pk}/paper.zip")
    with zipfile.ZipFile(io.BytesIO(b"".join(bundle))) as packed:
        told = "".join(packed.read(name).decode() for name in packed.namelist() if name.endswith(".csv"))
        tables = "".join(packed.read(name).decode() for name in packed.namelist() if name.endswith(".tex"))
    assert ",trace," in told
    assert "under trace" in tables


ONE_AFTER_ANOTHER = """; MaxProcs: 1
1 0 0 1000 1 -1 -1 1 1000 -1 1 1 1 -1 -1 -1 -1 -1
2 1 0 900 1 -1 -1 1 900 -1 1 1 1 -1 -1 -1 -1 -1
3 2 0 10 1 -1 -1 1 10 -1 1 2 1 -1 -1 -1 -1 -1
4 4000 0 10 1 -1 -1 1 10 -1 1 2 1 -1 -1 -1 3 1
5 8000 0 10 1 -1 -1 1 10 -1 1 2 1 -1 -1 -1 4 1
"""


def test_every_policy_is_told_by_arrivals_of_its_own(tmp_path: Path) -> None:
    """Whichever policy is named first; and no bound is above a makespan."""
    (tmp_path / "own.swf").write_text(ONE_AFTER_ANOTHER)
    call_command("importworkload", str(tmp_path / "own.swf"), "--name", "own", "--think-times", stdout=StringIO())
    found = {}
    for policies in ("fcfs,sjf", "sjf,fcfs"):
        kept = run(workload="own", policies=policies, feedback="trace")
        for whole in Metric.objects.totals().filter(run=kept):
            assert whole.details["bounds"]["makespan"] <= whole.makespan
            times = whole.details["histograms"]["job_completion_time"]
            found[policies, whole.scheduler] = (times, whole.details["wait_by_size"], whole.details["bounds"])
        other = GroupMetric.objects.filter(
            run=kept, scheduler=policies.rpartition(",")[2], grouped_by="user", name="2"
        ).get()
        base = GroupMetric.objects.filter(
            run=kept, scheduler=policies.partition(",")[0], grouped_by="user", name="2"
        ).get()
        gained = other.mean_job_completion_time - base.mean_job_completion_time
        assert other.difference == pytest.approx(gained)
        hours = GroupMetric.objects.filter(run=kept, grouped_by="hour").values_list("name", flat=True)
        assert set(hours) == {"00", "01", "02"}
    for policy in ("fcfs", "sjf"):
        assert found["fcfs,sjf", policy] == found["sjf,fcfs", policy]


def test_a_race_shows_the_completion_times_of_its_own_arrivals(stored: Workload) -> None:
    class Watcher:
        def started(self, runner: Runner) -> None:
            self.race = Race(runner)

        def stepped(self, runner: Runner) -> None:
            self.last = self.race.snapshot(self.race.mark(urgent=False))

        changed = ended = stepped

    watcher = Watcher()
    configuration = RunConfiguration(policies=("fcfs", "sjf"), keep="summary", feedback="trace")
    played = run_create(workload=stored, cluster=load_cluster("hpc-2"), configuration=configuration)
    Runner(played, observers=[watcher]).play()
    for policy in watcher.last["policies"]:
        whole = Metric.objects.totals().get(run=played, scheduler=policy["scheduler"])
        assert policy["mean_job_completion_time"] == pytest.approx(whole.mean_job_completion_time)


def test_who_runs_is_told_though_a_later_row_came_first() -> None:
    start, finish = np.array([0.0, np.nan, 3.0]), np.array([2.0, np.nan, 9.0])
    counted = Tally(arrival=np.array([0.0, 50.0, 3.0]), start=start, finish=finish, by_arrival=False)
    assert counted.running_at(4.0).tolist() == [2]
