"""Policies of one's own in runs: played, stored and verified as any other, refused in a sentence without their file."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from apps.live.exchange.manifest import NotReproduced, manifest_check, run_manifest
from apps.live.models import SimulationState
from apps.live.play.launch import why_not_continued
from apps.live.play.runner import Runner
from apps.results.models import Run
from scheduler_sim.engine.policies.origin import program_digest
from tests.conftest import ROOT
from tests.engine.own import own_policies
from tests.engine.test_own_policies import FILE

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_run_of_own_policies_is_stored_verified_and_shown(tmp_path: Path, client: Client) -> None:
    file = tmp_path / "mine.py"
    file.write_text(FILE)
    call_command("generateworkload", "lublin", "--tasks", "40", "--seed", "1", "--name", "few", stdout=StringIO())
    given = ("--workload", "few", "--cluster", "hpc-256", "--policies", "mine+easy,other", "--policy-file", str(file))
    with own_policies("mine", "other"):
        call_command("runsimulation", *given, stdout=StringIO(), verbosity=0)
        run = Run.objects.get()
        told = StringIO()
        call_command("verifyrun", str(run.pk), "--replay", "--policy-file", str(file), stdout=told)
        assert "Played again it is the same." in told.getvalue()
    assert run.results.count() == 80
    with pytest.raises(CommandError, match=r"There is no (policy|order) called"):
        call_command("verifyrun", str(run.pk), "--replay", stdout=StringIO())
    # What is stored is shown; what would have to be computed anew says why it is not.
    task = run.workload.tasks.values_list("task_id", flat=True)[0]
    for page in ("", f"tasks/{task}/"):
        assert client.get(f"/runs/{run.pk}/{page}").status_code == 200, page
    answer = client.get(f"/runs/{run.pk}/at/", follow=True)
    assert (answer.status_code, "There is no order called" in answer.content.decode()) == (409, True)


def test_a_run_of_a_program_names_its_digest_and_is_replayed_by_it(tmp_path: Path) -> None:
    file, told = tmp_path / "mine.py", StringIO()
    file.write_text((ROOT / "examples/shortest_first_with_easy.py").read_text())
    program = f"python3 {file}"
    call_command("generateworkload", "lublin", "--tasks", "30", "--seed", "1", "--name", "few", stdout=StringIO())
    given = ("--workload", "few", "--cluster", "hpc-256", "--policies", "program_sjf_easy,sjf+easy")
    with own_policies("program_sjf_easy"):
        call_command("runsimulation", *given, "--policy-program", program, stdout=StringIO(), verbosity=0)
        run = Run.objects.get()
        digest = run_manifest(run)["configuration"]["own_policies"]["program_sjf_easy"]
        assert digest == program_digest(["python3", str(file)])
        starts = [run.results.filter(scheduler=name).order_by("task_id") for name in run.policies]
        assert [one.start_time for one in starts[0]] == [one.start_time for one in starts[1]]
        file.write_text(file.read_text() + "# another\n")
        call_command("verifyrun", str(run.pk), "--replay", "--policy-program", program, stdout=told)
        assert f"another program_sjf_easy (SHA-256 {digest[:16]}" in told.getvalue()
        assert "Played again it is the same." in told.getvalue()
        # What was played by one program is not played on by another.
        Run.objects.filter(pk=run.pk).update(status=Run.Status.STOPPED)
        run.refresh_from_db()
        assert "was begun with another program_sjf_easy" in why_not_continued(run)
        document = {**run_manifest(run), "checksum": "0" * 64}
        # From its beginning it is, and then names the one that plays it.
        again = Run.objects.create(
            **{name: getattr(run, name) for name in ("workload", "cluster", "policies", "seed", "engine_version")},
            name="again",
            configuration={**run.configuration, "keep": "summary"},
        )
        SimulationState.objects.create(run=again)
        Runner(again).play()
        again.refresh_from_db()
        assert again.configuration["own_policies"] == {"program_sjf_easy": program_digest(["python3", str(file)])}
        with pytest.raises(NotReproduced, match=f"another program_sjf_easy .SHA-256 {digest[:16]}"):
            manifest_check(document, again)
    with pytest.raises(CommandError, match="no-such-program does not start"):
        call_command("runsimulation", *given, "--policy-program", "no-such-program", stdout=StringIO())


def test_a_file_that_is_no_policy_file_is_refused_before_anything_is_stored(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("1 / 0")
    with pytest.raises(CommandError, match="fails: ZeroDivisionError"):
        call_command("runsimulation", "--workload", "none", "--policy-file", str(file), stdout=StringIO())
    assert not Run.objects.exists()
