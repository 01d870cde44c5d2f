"""Which file or program a policy of one's own comes from, as a digest by which who plays it again can tell."""

import hashlib
import inspect
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def source_digest(thing: Any) -> str:
    """Return the SHA-256 of the file that a function or class stands in, of its text where it stands in none.

    Empty where neither is known.
    """
    # What Numba compiled keeps the function that it was.
    thing = getattr(thing, "py_func", thing)
    try:
        file = Path(inspect.getfile(thing))
        content = file.read_bytes() if file.is_file() else inspect.getsource(thing).encode()
    except (OSError, TypeError):
        return ""
    return hashlib.sha256(content).hexdigest()


def program_digest(command: Sequence[str]) -> str:
    """Return the SHA-256 of a command line and of the files that it names.

    What is found by its name alone, and the Python that plays, are the machine's and not the program's.
    """
    words, contents = [], []
    for number, part in enumerate(command):
        by_name = number == 0 and os.sep not in part
        # Unlike a path's, this asks of words too that no file can be called.
        is_file = not by_name and os.path.isfile(part)  # noqa: PTH113
        words.append(os.path.basename(part) if is_file else part)  # noqa: PTH119
        if is_file and Path(part).resolve() != Path(sys.executable).resolve():
            contents.append(hashlib.sha256(Path(part).read_bytes()).hexdigest())
    return hashlib.sha256(json.dumps([words, contents]).encode()).hexdigest()
