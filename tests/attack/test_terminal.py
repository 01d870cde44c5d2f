"""Names and file texts that would steer the terminal of whoever runs a command."""

import csv
import io
from importlib import import_module
from pathlib import Path

import pytest
from django.core.management import call_command, get_commands
from rich.progress import Progress
from rich.table import Table

from apps.results.models import Run
from apps.tasks.models import Task
from scheduler_sim.display.commands import SiteCommand
from scheduler_sim.display.terminal import PlainColumn, PlainConsole
from scheduler_sim.texts import visible
from tests.results.rows import make_run

pytestmark = pytest.mark.attack


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b]0;owned\x07", r"\x1b[2J\x1b]0;owned\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("left\u202eright", r"left\u202eright"),
        ("one\rtwo", r"one\rtwo"),
        ("an honest name, é and 名", "an honest name, é and 名"),
    ],
)
def test_a_text_does_nothing_to_the_terminal(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize(
    "name", ["[bold]x[/bold]", "[/]", "[link=https://elsewhere.example]x[/link]", ":warning:", "\x1b[31mx"]
)
def test_names_are_printed_as_they_are(name: str) -> None:
    out = io.StringIO()
    console = PlainConsole(file=out, force_terminal=True, color_system=None, width=120)
    table = Table(title=f"Run 1: {name}")
    table.add_column("name")
    table.add_row(name)
    console.print(table)
    console.print(f"Run {name} is paused.", highlight=False)
    assert out.getvalue().count(visible(name)) == 3
    assert "\x1b[31m" not in out.getvalue()
    assert "elsewhere" not in out.getvalue().replace(visible(name), "")


@pytest.mark.parametrize("name", ["[bold]x[/bold]", "\x1b[31mx", "[/]"])
def test_names_beside_a_progress_bar_are_as_they_are(name: str) -> None:
    bars = Progress(PlainColumn(), PlainColumn("told"))
    bars.add_task(name, told=f"told {name}")
    out = io.StringIO()
    PlainConsole(file=out, width=120).print(bars)
    assert out.getvalue().count(visible(name)) == 2
    assert "\x1b" not in out.getvalue()


def test_every_command_writes_out_what_would_steer_a_terminal() -> None:
    ours = {name: app for name, app in get_commands().items() if app.startswith(("apps.", "scheduler_sim."))}
    assert len(ours) > 10
    for name, app in ours.items():
        command = import_module(f"{app}.management.commands.{name}").Command
        assert issubclass(command, SiteCommand), name


@pytest.mark.django_db
def test_the_name_of_a_run_does_nothing_to_the_terminal() -> None:
    run = make_run(3)
    Run.objects.filter(pk=run.pk).update(name="a \x1b[2J\x9b and [bold]", status="failed", error="\x1b]0;x\x07")
    out, errors = io.StringIO(), io.StringIO()
    call_command("prune", keep_runs=0, stdout=out, stderr=errors)
    command = import_module("apps.live.management.commands.prune").Command(stdout=out, stderr=errors)
    command.stderr.write(Run.objects.get().error, command.style.ERROR)
    said = out.getvalue() + errors.getvalue()
    assert r"a \x1b[2J\x9b and [bold]" in said
    assert r"\x1b]0;x\x07" in said
    assert not {"\x1b", "\x9b", "\x07"} & set(said)


@pytest.mark.django_db
def test_a_csv_of_the_command_line_holds_no_formula_unless_it_is_asked_for(tmp_path: Path) -> None:
    run = make_run(4)
    hostile = ["=1+1", "-2+3", "@SUM(A1)", "\tx"]
    for task, user in zip(Task.objects.order_by("task_id"), hostile, strict=True):
        Task.objects.filter(pk=task.pk).update(user=user)

    def users(*arguments: str) -> list[str]:
        path = tmp_path / "tasks.csv"
        call_command("exportdata", "tasks", "--run", str(run.pk), "--output", str(path), *arguments)
        with path.open(newline="") as file:
            return [row["user"] for row in csv.DictReader(file)]

    assert users() == [f"'{user}" for user in hostile]
    assert users("--raw") == hostile
