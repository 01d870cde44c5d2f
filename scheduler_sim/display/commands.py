"""What all commands share: texts of others steer no terminal."""

from abc import ABC, abstractmethod
from argparse import RawDescriptionHelpFormatter
from typing import Any, TextIO, cast

from django.core.checks import Tags
from django.core.management.base import BaseCommand, OutputWrapper

from scheduler_sim.texts import visible


class VisibleOutput(OutputWrapper):
    """A stream for messages, which may hold names, file texts and errors of other people.

    What must come out byte by byte, such as a file's content, goes to the stream below; see `bare`.
    """

    # The stubs take the wrapper for the stream that it hands everything else on to.
    def write(self, msg: str = "", style_func: Any = None, ending: str | None = None) -> None:  # type: ignore[override]
        """Write a message without effect on the terminal."""
        super().write(visible(msg), style_func, ending)


def bare(output: OutputWrapper) -> TextIO:
    """Return the stream below a command's output."""
    return cast(TextIO, output._out)


class SiteCommand(BaseCommand):
    """A command of ours, whose docstring is its help.

    Django gives it its streams at several moments, and each becomes a `VisibleOutput`.
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if (told := vars(cls).get("__doc__")) and "help" not in vars(cls):
            cls.help = " ".join(told.split())

    def __setattr__(self, name: str, value: Any) -> None:
        if type(value) is OutputWrapper:
            value = VisibleOutput(bare(value))
        super().__setattr__(name, value)


class PlayingCommand(SiteCommand):
    """A command that plays, or reads what was played: the addresses and pages of the site are not its to check."""

    requires_system_checks = (Tags.models,)


class ExplainedCommand(SiteCommand, ABC):
    """A command whose help ends with a text of its own, line by line as it is written."""

    @abstractmethod
    def explanation(self) -> str:
        """Return the text."""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        """Return the parser, with the text."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = self.explanation()
        return parser
