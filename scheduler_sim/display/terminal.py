"""The terminal, for texts that come from files and from other people."""

from typing import Any

from rich.console import Console
from rich.progress import ProgressColumn, Task
from rich.text import Text

from scheduler_sim.texts import visible


class PlainConsole(Console):
    """A console that shows strings as they are: names in brackets are no styles, and none moves the cursor.

    What is to have a style is made a `Text`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return the text without effect on the terminal."""
        return super().render_str(visible(text), **options)


class PlainColumn(ProgressColumn):
    """A text beside a progress bar, as it is.

    Args:
        field: of the bar that holds it; its description where none is named.
    """

    def __init__(self, field: str = "") -> None:
        self._field = field
        super().__init__()

    def render(self, task: Task) -> Text:
        """Return the text without effect on the terminal."""
        return Text(visible(str(task.fields[self._field] if self._field else task.description)))
