"""The terminal, for texts that come from files and from other people."""

import unicodedata
from typing import Any

from rich.console import Console
from rich.text import Text


def visible(text: str) -> str:
    """Return a text with characters that steer a terminal, or turn its direction round, written out as `\\x1b`."""
    return "".join(
        character
        if character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cf", "Cs")
        else character.encode("unicode_escape").decode()
        for character in text
    )


class PlainConsole(Console):
    """A console that shows strings as they are: names in brackets are no styles, and none moves the cursor.

    What is to have a style is made a `Text`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return the text without effect on the terminal."""
        return super().render_str(visible(text), **options)
