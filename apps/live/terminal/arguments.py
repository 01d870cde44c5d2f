"""The options of a run as arguments of a command: they are given as texts and read by the options themselves."""

from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, _ArgumentGroup
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from apps.live.play.options import InvalidOption, Option, read_options
from scheduler_sim.engine import InvalidPolicy
from scheduler_sim.engine.policies.loading import load_policies
from scheduler_sim.engine.policies.own import program


def add_arguments(parser: ArgumentParser, options: Iterable[Option], groups: dict[str, Any], **defaults: str) -> None:
    """Add an argument for each option, under the heading of its section.

    Args:
        groups: argument groups by heading; those that are missing are added to it.
        defaults: of options that have none, as texts.
    """
    for option in options:
        section = option.about.section
        if section not in groups:
            groups[section] = parser.add_argument_group(section)
        given = defaults.get(option.name)
        if option.is_switch:
            groups[section].add_argument(option.flag, action="store_true", default=None, help=option.about.help)
        else:
            metavar = f"{{{','.join(option.choices)}}}" if option.choices else option.about.metavar
            groups[section].add_argument(option.flag, metavar=metavar, default=given, help=_help(option, given))
        for also in option.about.also:
            flag = f"--{also.replace('_', '-')}"
            groups[section].add_argument(flag, action="store_const", const=True, dest=option.name, help=SUPPRESS)


def read_arguments(options: Iterable[Option], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the options that were given, by the names of their fields.

    Raises:
        InvalidOption: a value that its option cannot have, or a file that cannot be read.
    """
    options = tuple(options)
    return read_options(
        options,
        {
            one.name: content_of(one, given[one.name]) if one.about.is_file else given[one.name]
            for one in options
            if given[one.name] is not None
        },
    )


def content_of(option: Option, path: str) -> str:
    """Return the content of the file that an option names.

    Raises:
        InvalidOption: it cannot be read as text.
    """
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a text in UTF-8"
        raise InvalidOption(f"{option.flag} {path} cannot be read: {reason}.", option.name) from error


def _help(option: Option, given: str | None) -> str:
    default = None if option.is_required or option.asked_default == "" else option.asked_default
    shown = default if given is None else given
    return (option.about.help if shown is None else f"{option.about.help} (default {shown})").replace("%", "%%")


def add_policy_files(parser: ArgumentParser | _ArgumentGroup) -> None:
    """Let a command run files and programs that register policies of one's own, before it reads anything else."""
    parser.add_argument(
        "--policy-file",
        metavar="FILE",
        action="append",
        type=_loaded,
        help="a Python file that registers policies of your own (docs/library.md); it is run, so give none that you do "
        "not trust; may be given several times",
    )
    parser.add_argument(
        "--policy-program",
        metavar="COMMAND",
        action="append",
        type=_introduced,
        help="the command line of a program that is a policy, as 'python3 mine.py' (docs/library.md); it is started, "
        "without a shell, so give none that you do not trust; may be given several times",
    )


def _introduced(command: str) -> str:
    try:
        return program(command)
    except InvalidPolicy as error:
        raise ArgumentTypeError(str(error)) from error


def _loaded(file: str) -> list[str]:
    try:
        return load_policies(file)
    except InvalidPolicy as error:
        raise ArgumentTypeError(str(error)) from error
