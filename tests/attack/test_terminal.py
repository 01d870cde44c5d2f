"""Names and file texts that would steer the terminal of whoever runs a command."""

import io

import pytest
from rich.table import Table

from scheduler_sim.display.terminal import PlainConsole, visible

pytestmark = [pytest.mark.attack, pytest.mark.own_data]


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
