"""Runs and studies in which users wait for their results."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from apps.metrics.models import Metric
from apps.results.models import Run
from apps.studies.definition import Definition
from apps.studies.play.execution import study_play
from apps.studies.report.figures import study_figures
from apps.tasks.models import Workload
from apps.tasks.services import workload_import
from scheduler_sim import engine as sim
from scheduler_sim.engine.traces import ReadOptions

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


def test_a_study_shows_open_and_closed_beside_each_other(stored: Workload) -> None:
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


def test_an_option_of_the_reader_is_part_of_what_a_file_was_read_as() -> None:
    assert ReadOptions(think_times=True) != ReadOptions()
