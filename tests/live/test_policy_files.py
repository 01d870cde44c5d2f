"""Policies of one's own in runs: played, stored and verified as any other, refused in a sentence without their file."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from apps.results.models import Run
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


def test_a_file_that_is_no_policy_file_is_refused_before_anything_is_stored(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("1 / 0")
    with pytest.raises(CommandError, match="fails: ZeroDivisionError"):
        call_command("runsimulation", "--workload", "none", "--policy-file", str(file), stdout=StringIO())
    assert not Run.objects.exists()
