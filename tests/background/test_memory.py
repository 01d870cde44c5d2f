"""Memory that is freed while a run goes on is used again."""

import os
import subprocess
import sys
from unittest.mock import Mock

import numpy as np
import pytest

from scheduler_sim.background import memory

PAGES = """
import contextlib, resource
import numpy as np
from scheduler_sim.background.memory import kept_memory

pages = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
# Smaller than a huge page, larger than what the C library keeps by itself.
with {context}:
    np.ones(2**17)
    before = pages()
    for _ in range(20):
        np.ones(2**17)
    print(pages() - before)
"""


def pages_taken(context: str) -> int:
    """Return how many new pages twenty arrays took, one after the other, in a process of its own."""
    # By itself the C library learns from the first array that it frees how large others are.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072"} if "null" in context else None
    command = [sys.executable, "-c", PAGES.format(context=context)]
    return int(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(memory._glibc() is None, reason="Only glibc is told what to do with freed memory.")
def test_freed_arrays_are_used_again_without_new_pages() -> None:
    assert pages_taken("contextlib.nullcontext()") >= 20 * 2**17 * 8 // 4096
    assert pages_taken("kept_memory()") < 100


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_glibc", lambda: None)
    memory.share_one_pool()
    with memory.kept_memory():
        assert np.ones(3).sum() == 3


def test_memory_is_handed_back_when_the_last_of_several_runs_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Mock()
    monkeypatch.setattr(memory, "_glibc", lambda: library)
    first, second = memory.kept_memory(), memory.kept_memory()
    for run in (first, second):
        run.__enter__()
    assert library.mallopt.call_count == 3
    first.__exit__(None, None, None)
    library.malloc_trim.assert_not_called()
    second.__exit__(None, None, None)
    assert library.mallopt.call_count == 5
    library.malloc_trim.assert_called_once_with(0)
