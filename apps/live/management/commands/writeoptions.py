"""Write the table of a run's options into the documentation."""

from argparse import ArgumentParser
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from apps.live.play.configuration import ASKED_OPTIONS
from apps.live.play.options import COMMAND, SITE, STUDY, Option
from apps.live.play.race_options import RACE_OPTIONS
from scheduler_sim.display.commands import SiteCommand

PAGE = Path("docs/configuration.md")
ESCAPED = str.maketrans({"|": "&#124;", "[": r"\[", "]": r"\]"})
"""Neither an end of the cell nor a link."""

FIRST, LAST = "<!-- written by manage.py writeoptions -->", "<!-- until here -->"
PLACES = {COMMAND: "command", SITE: "form, API", STUDY: "study"}


class Command(SiteCommand):
    """Write the table of a run's options into docs/configuration.md."""

    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="write nothing; fail where the table is another one")

    def handle(self, *args: Any, **options: Any) -> None:
        page = settings.BASE_DIR / PAGE
        text = page.read_text(encoding="utf-8")
        before, first, rest = text.partition(FIRST)
        _, last, after = rest.partition(LAST)
        if not (first and last):
            raise CommandError(f"{PAGE} has no place for the options, between {FIRST!r} and {LAST!r}.")
        written = f"{before}{FIRST}\n\n{options_table()}\n\n{LAST}{after}"
        if written == text:
            self.stdout.write(f"{PAGE} holds the options as they are.")
        elif options["check"]:
            raise CommandError(f"{PAGE} holds other options; write them with manage.py writeoptions.")
        else:
            page.write_text(written, encoding="utf-8")
            self.stdout.write(f"Wrote the options into {PAGE}.")


def options_table() -> str:
    """Return a table in Markdown for each section of the options."""
    options = sorted((*ASKED_OPTIONS, *RACE_OPTIONS), key=_section_number)
    return "\n\n".join("\n".join(_section(name, list(some))) for name, some in groupby(options, _section_name))


def _section(name: str, options: list[Option]) -> Iterator[str]:
    yield f"### {name[:1].upper()}{name[1:]}"
    yield ""
    yield "| option | must be | unit | default | what it does | asked for in |"
    yield "|---|---|---|---|---|---|"
    for option in options:
        places = ", ".join(PLACES[place] for place in option.about.asked_in)
        cells = (f"`{option.name}`", option.rule, option.about.unit, _default(option), option.about.help, places)
        yield f"| {' | '.join(cell.translate(ESCAPED) for cell in cells)} |"


def _default(option: Option) -> str:
    if option.is_required:
        return "must be given"
    if option.is_switch:
        return "true" if option.default else "false"
    shown = option.asked_default
    return option.words(shown) if shown in (None, "") else f"`{shown}`"


def _section_name(option: Option) -> str:
    return option.about.section


def _section_number(option: Option) -> int:
    return list(dict.fromkeys(map(_section_name, (*ASKED_OPTIONS, *RACE_OPTIONS)))).index(_section_name(option))
