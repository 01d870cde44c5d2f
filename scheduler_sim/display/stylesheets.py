"""The site's style sheets for what is made outside of its pages: reports carry them, pictures take their colours."""

import re
from functools import cache
from pathlib import Path

from django.contrib.staticfiles import finders


@cache
def stylesheet(name: str) -> str:
    """Return the text of one of the files in static/css/.

    Raises:
        FileNotFoundError: there is none of that name.
    """
    path = finders.find(f"css/{name}")
    if path is None:
        raise FileNotFoundError(f"There is no style sheet css/{name} among the static files.")
    return Path(path).read_text(encoding="utf-8")


@cache
def light_colours() -> dict[str, str]:
    """Return every colour of tokens.css by its name (`ink`, `policy-3`, ...), as it is on paper."""
    return dict(re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6}),", stylesheet("tokens.css")))
