"""How the C library deals with freed memory while a process works through large columns."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from scheduler_sim.engine.crew import shared_by_all

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -2, -3, -8
"""Names of mallopt(3) in glibc's malloc.h."""

_USUAL_PAD = 2**17
"""What glibc asks the system for beyond what is needed."""

_LARGEST_KEPT = 2**25
"""Larger arrays are handed back to the system when they are freed; the C library takes no larger number."""


def share_one_pool() -> None:
    """Let all threads of this process that begin from now on take their memory from one pool.

    What is kept in a pool of its own by a thread's C library is no larger than 64 MB, the room of a few columns.
    """
    library = _glibc()
    if library is not None:
        library.mallopt(_ARENA_MAX, 1)


@shared_by_all
@contextmanager
def kept_memory() -> Iterator[None]:
    """Let freed memory be used again at once inside, and hand it back to the system when nobody is inside any more.

    By default arrays of some megabytes are handed back when they are freed, and the system clears each page of the next
    one anew: a third of the time of figures over a million tasks, in which threads wait for each other. Where the C
    library is not glibc nothing changes. Afterwards 64 MiB at most stay with the process that are in no use.
    """
    library = _glibc()
    if library is None:
        yield
        return
    library.mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT)
    library.mallopt(_TOP_PAD, 2 * _LARGEST_KEPT)
    library.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        library.mallopt(_TOP_PAD, _USUAL_PAD)
        library.mallopt(_TRIM_THRESHOLD, 2 * _LARGEST_KEPT)
        library.malloc_trim(0)


def _glibc() -> Any:
    """Return the C library, None where it is another one."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") and hasattr(library, "mallopt") else None
