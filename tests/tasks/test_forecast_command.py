"""The command forecast: what it prints of a queue, and what it refuses."""

import csv
import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from apps.tasks.sites.services import site_store
from scheduler_sim.engine.sites import read_site

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

SITE = """
name: small
groups: [{hosts: "c[1-2]", cores: 4}]
partitions: [{name: batch, is_default: true, max_time: 7200}]
scheduling: {submission_delay_time: 1, main_interval_time: 10, backfill_interval_time: 3, backfill_resolution_time: 1}
"""
HEAD = (
    "JOBID|USER|PARTITION|STATE|REASON|PRIORITY|SUBMIT_TIME|START_TIME|TIME_LIMIT|TIME|NODES|CPUS|DEPENDENCY|NODELIST"
)
QUEUE = f"""### snapshot epoch=100000
{HEAD}
1|7|batch|RUNNING|None|9|1970-01-02T03:40:00|1970-01-02T03:45:00|10:00|1:40|1|4|(null)|c1
2|7|batch|RUNNING|None|9|1970-01-02T03:40:00|1970-01-02T03:45:00|10:00|1:40|1|4|(null)|c2
3|8|batch|PENDING|Resources|8|1970-01-02T03:46:00|1970-01-02T03:55:00|10:00|0:00|1|4|(null)|
4|8|batch|PENDING|Priority|7|1970-01-02T03:46:10|N/A|10:00|0:00|3|12|(null)|
5|8|batch|PENDING|JobHeldUser|0|1970-01-02T03:46:20|N/A|10:00|0:00|1|4|(null)|
"""


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    site_store(site=read_site(SITE), notes=[], origin="test", name="")
    file = tmp_path / "queue.txt"
    file.write_text(QUEUE)
    return file


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Return 150 tasks that ran for half of their limit of 600 s, as SWF."""
    lines = [f"{job} {600 * job} 0 300 4 -1 -1 4 600 -1 1 7 1 -1 1 -1 -1 -1" for job in range(1, 151)]
    file = tmp_path / "past.swf"
    file.write_text("; UnixStartTime: 0\n; MaxProcs: 8\n" + "\n".join(lines) + "\n")
    return file


def run(*arguments: object) -> str:
    out = StringIO()
    call_command("forecast", "--site", "small", "--replicas", "10", *map(str, arguments), stdout=out, verbosity=0)
    return out.getvalue()


def test_the_table_tells_of_every_job_that_waits(queue: Path, history: Path) -> None:
    printed = run("--squeue", queue, "--history", history)
    assert "Starts on small@1 expected at 1970-01-02T03:46:40+00:00" in printed
    assert "can never start as things are (BadConstraints)" in printed
    assert "waits for somebody to release it" in printed
    assert "3 jobs wait and 2 run; 150 that ended before tell how long jobs run; 10 futures were played." in printed


def test_documents_and_rows_hold_the_same(queue: Path, history: Path) -> None:
    document = json.loads(run("--squeue", queue, "--history", history, "--json"))
    rows = list(csv.DictReader(StringIO(run("--squeue", queue, "--history", history, "--csv"))))
    assert [{name: value or "" for name, value in job.items()} for job in document["jobs"]] == rows
    first = document["jobs"][0]
    assert (first["job"], first["kind"], first["reason"]) == ("3", "expected", "Resources")
    assert first["slurm_start"] == "1970-01-02T03:55:00+00:00"
    # Half of 600 s after 03:45, and until the loops have looked.
    assert "1970-01-02T03:49:50" < first["start"] < "1970-01-02T03:50:20"
    assert (document["site"], document["running"], document["learned"], document["cautions"]) == ("small@1", 2, 150, [])


def test_without_a_history_the_forecast_says_so(queue: Path) -> None:
    assert "Nothing is known of how long jobs run but their limits" in run("--squeue", queue)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--squeue", "nowhere.txt"], "nowhere.txt cannot be read"),
        (["--squeue", "QUEUE", "--replicas", "5"], "10 to 10,000"),
        (["--squeue", "QUEUE", "--seed", "-1"], "from 0 up"),
        (["--squeue", "QUEUE", "--at", "yesterday"], "not a date and time"),
        (["--squeue", "QUEUE", "--site", "large"], "large"),
        (["--squeue", "QUEUE", "--history", "nothing"], "nothing"),
        (["--squeue", __file__], "is not what squeue prints"),
    ],
)
def test_what_cannot_be_forecast_is_refused_in_a_sentence(queue: Path, arguments: list[str], sentence: str) -> None:
    given = [str(queue) if argument == "QUEUE" else argument for argument in arguments]
    with pytest.raises(CommandError, match=sentence) as caught:
        run(*given)
    assert "\n" not in str(caught.value)


def test_a_history_that_does_not_tell_when_it_was_is_refused(queue: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain.swf"
    plain.write_text("1 0 0 300 4 -1 -1 4 600 -1 1 7 1 -1 1 -1 -1 -1\n")
    with pytest.raises(CommandError, match="does not tell when it began"):
        run("--squeue", queue, "--history", plain)
