"""The options of a run as arguments of a command: they are given as texts and read by the options themselves."""

from argparse import ArgumentParser
from collections.abc import Iterable, Mapping
from typing import Any

from apps.live.play.options import Option, read_options


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


def read_arguments(options: Iterable[Option], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the options that were given, by the names of their fields.

    Raises:
        InvalidOption: a value that its option cannot have.
    """
    options = tuple(options)
    return read_options(options, {one.name: given[one.name] for one in options if given[one.name] is not None})


def _help(option: Option, given: str | None) -> str:
    default = None if option.is_required else option.default
    shown = default if given is None else given
    return (option.about.help if shown is None else f"{option.about.help} (default {shown})").replace("%", "%%")
