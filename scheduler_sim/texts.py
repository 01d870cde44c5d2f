"""Texts of other people, harmless where they are stored and shown: in databases, terminals, logs and spreadsheets."""

import unicodedata
from collections.abc import Callable
from typing import Any, TypeVar

Read = TypeVar("Read")


def understood(read: Callable[[str], Read | None], text: str) -> Read | None:
    """Return what `read` makes of a text; None also where it raises ValueError."""
    try:
        return read(text)
    except ValueError:
        return None


def visible(text: str) -> str:
    """Return a text with characters that steer a terminal, or turn its direction round, written out as `\\x1b`."""
    return "".join(
        character
        if character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cf", "Cs")
        else character.encode("unicode_escape").decode()
        for character in text
    )


def storable(text: str) -> str:
    """Return a text that any database takes: without NUL and half surrogates."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode()


def no_formula(value: Any) -> Any:
    """Return a cell of a csv with a quote before a text that a spreadsheet would run as a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in _BEGINS_FORMULA else value


_BEGINS_FORMULA = frozenset("=+-@\t\r")
