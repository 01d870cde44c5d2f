"""Files that tests write for what they test to read."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest


def written(path: Path, text: str) -> Path:
    """Return where a text was written."""
    path.write_text(text)
    return path


@contextmanager
def unreadable(log: pytest.LogCaptureFixture, owner: object, name: str, fault: Exception) -> Iterator[None]:
    """Let what reads a file fail for a while, and see that the log says so."""
    with patch.object(owner, name, side_effect=fault):
        yield
    assert f"is not read: {fault}" in log.text


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
