"""Memory that is freed while a run goes on is used again, and given back when it is over."""

import resource

import numpy as np
import pytest

from scheduler_sim.background import memory


def _pages_taken(arrays: int) -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(arrays):
        np.ones(2**19)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(memory._glibc() is None, reason="Only glibc is told what to do with freed memory.")
def test_freed_arrays_are_used_again_without_new_pages() -> None:
    with memory.kept_memory():
        np.ones(2**19)
        assert _pages_taken(20) < 2**19 * 8 // 4096


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_glibc", lambda: None)
    memory.share_one_pool()
    with memory.kept_memory():
        assert np.ones(3).sum() == 3
