"""Files that tests write for what they test to read."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest


def written(path: Path, text: str) -> Path:
    """Return where a text was written."""
    path.write_text(text)
    return path


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder that `make` has filled, once for all the processes that run the tests side by side."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder = base / name
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            unfinished = factory.mktemp(name)
            make(unfinished)
            unfinished.rename(folder)
    return folder
