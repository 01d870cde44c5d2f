"""The monthly look at a site's accounting: what changed since the last export, and the exit code that says so."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.core.management import CommandError, call_command

from apps.live.checking.recheck import TAG, Rule
from apps.results.models import Run, SchedulerResult
from apps.tasks.models import Site
from apps.tasks.sites.services import site_store
from scheduler_sim.engine import sites

pytestmark = pytest.mark.django_db(transaction=True)

DESCRIPTION: dict[str, Any] = {
    "name": "tiny",
    "groups": [{"name": "thin", "hosts": "c[1-2]", "cores": 4}, {"name": "fat", "hosts": "f1", "cores": 8}],
    "partitions": [
        {"name": "batch", "hosts": "c[1-2]", "is_default": True, "max_time": 7200},
        {"name": "big", "hosts": "f1", "max_time": 7200},
    ],
}
HEAD = "JobID|JobIDRaw|User|Account|Partition|Submit|Start|End|ElapsedRaw|TimelimitRaw|State|AllocCPUS|NNodes|NodeList"


@pytest.fixture
def tiny() -> Site:
    return site_store(site=sites.Site.from_json(DESCRIPTION))[0]


def export(path: Path, *, month: int, wait: int, partition: str = "big") -> Path:
    """Write 30 jobs of batch that start at once, and 30 of another partition, those of ann waiting so many seconds."""
    lines = [HEAD]
    for number in range(60):
        is_batch = number < 30
        where, node = ("batch", "c1") if is_batch else (partition, "f1")
        user = "bob" if is_batch or number % 2 else "ann"
        # One every twenty minutes on each of both nodes, so that every job has room when it starts.
        begin = 1200 * (number % 30)
        started = begin + (wait if user == "ann" else 0)
        times = [
            f"2026-{month:02d}-{1 + at // 86400:02d}T{at // 3600 % 24:02d}:{at // 60 % 60:02d}:{at % 60:02d}"
            for at in (begin, started, started + 300)
        ]
        head = f"{number + 1}|{number + 1}|{user}|lab|{where}"
        lines.append(f"{head}|{'|'.join(times)}|300|60|COMPLETED|2|1|{node}")
    path.write_text("\n".join(lines) + "\n")
    return path


def ask(*arguments: object) -> tuple[int, str]:
    """Return the exit code and what is printed."""
    out = StringIO()
    try:
        call_command("recheck", *map(str, arguments), stdout=out)
    except CommandError as error:
        return error.returncode, out.getvalue() + str(error)
    return 0, out.getvalue()


def test_a_month_is_compared_with_the_one_before_and_the_exit_code_says_what_came_of_it(
    tmp_path: Path, tiny: Site
) -> None:
    first = export(tmp_path / "january.psv", month=1, wait=10)
    code, said = ask("tiny", "--sacct", first)
    assert (code, "This is the first export of tiny" in said) == (0, True)
    run = Run.objects.get()
    assert (run.tag_names, run.policies, run.status) == ([TAG], ["recorded", "slurm"], "finished")
    # Figures alone are kept.
    assert SchedulerResult.objects.count() == 0

    code, said = ask("tiny", "--sacct", export(tmp_path / "february.psv", month=2, wait=20))
    assert (code, "Nothing changed on tiny by more than 20% and 60.0 s since january." in said) == (0, True)

    third = export(tmp_path / "march.psv", month=3, wait=600)
    code, said = ask("tiny", "--sacct", third, "--mail", "ops@example.org, boss@example.org")
    assert code == 1
    assert "Jobs of partition big wait 5.00 min on average where they waited 10.0 s (30 times higher)" in said
    assert "tiny has changed since the last export." in said
    (sent,) = mail.outbox
    assert (sent.subject, sent.to) == ("tiny has changed", ["ops@example.org", "boss@example.org"])
    assert "Jobs of partition big wait 5.00 min" in sent.body

    # The same file is not played again, and compared with the same one.
    code, said = ask("tiny", "--sacct", third, "--json")
    document = json.loads(said[: said.rindex("}") + 1])
    assert (code, Run.objects.count()) == (1, 3)
    assert (document["workload"], document["last_workload"]) == ("march", "february")
    waits = {one["name"]: one for one in document["waits"]}
    assert waits["batch"]["changed"] is False
    assert (waits["big"]["mean_before"], waits["big"]["mean"], waits["big"]["tasks"]) == (10.0, 300.0, 30)
    # Users with fewer than twenty jobs are left out: ann has fifteen.
    assert document["losers"] == []
    assert document["fidelity"]["recorded_mean_wait"] == 150.0
    # So do thresholds that nothing reaches.
    assert ask("tiny", "--sacct", third, "--least", 3600)[0] == 0


def test_an_export_whose_tag_was_taken_away_is_left_out(tmp_path: Path, tiny: Site) -> None:
    ask("tiny", "--sacct", export(tmp_path / "january.psv", month=1, wait=600))
    Run.objects.get().tag([])
    code, said = ask("tiny", "--sacct", export(tmp_path / "february.psv", month=2, wait=10))
    assert (code, "This is the first export" in said) == (0, True)


def test_partitions_that_come_and_go_are_told(tmp_path: Path) -> None:
    wide = DESCRIPTION["partitions"] + [{"name": "vast", "hosts": "f1", "max_time": 7200}]
    site_store(site=sites.Site.from_json(DESCRIPTION | {"partitions": wide}))
    ask("tiny", "--sacct", export(tmp_path / "january.psv", month=1, wait=10))
    code, said = ask("tiny", "--sacct", export(tmp_path / "february.psv", month=2, wait=10, partition="vast"))
    assert code == 1
    assert "Partition vast is new." in said
    assert "Partition big is gone." in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nowhere", "--sacct", "{file}"), "There is no site 'nowhere'"),
        (("tiny", "--sacct", "{file}.gone"), "gone"),
        (("tiny", "--sacct", "{file}", "--threshold", "-1"), "take numbers from 0 up"),
    ],
)
def test_what_goes_wrong_has_an_exit_code_of_its_own(
    tmp_path: Path, tiny: Site, arguments: tuple[str, ...], sentence: str
) -> None:
    path = export(tmp_path / "january.psv", month=1, wait=10)
    code, said = ask(*(argument.format(file=path) for argument in arguments))
    assert (code, sentence in said) == (2, True)


def test_a_mail_that_cannot_be_sent_is_an_error_and_the_run_is_kept(tmp_path: Path, tiny: Site, settings: Any) -> None:
    ask("tiny", "--sacct", export(tmp_path / "january.psv", month=1, wait=10))
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    path = export(tmp_path / "february.psv", month=2, wait=600)
    code, said = ask("tiny", "--sacct", path, "--mail", "ops@example.org")
    assert (code, "The mail could not be sent" in said) == (2, True)
    assert Run.objects.tagged(TAG).count() == 2


@pytest.mark.parametrize(
    ("before", "now", "over"), [(10, 70, False), (10, 71, True), (1000, 1200, False), (1000, 1201, True), (0, 61, True)]
)
def test_a_figure_has_changed_beyond_a_part_and_some_seconds(before: float, now: float, over: bool) -> None:
    assert Rule().is_over(before, now) is over
    assert Rule().is_over(now, before) is (over and (now - before) > 0.2 * now)
