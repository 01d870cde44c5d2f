"""Which code of the user's is being asked, and about what: for who watches whether it comes back."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import get_ident

_ASKED: dict[int, Callable[[], str]] = {}


@contextmanager
def asking(place: Callable[[], str]) -> Iterator[None]:
    """Say that from here on code of the user's is asked in this thread.

    Args:
        place: returns what it is asked about, as words; empty while it is not asked. Another thread calls it.
    """
    _ASKED[get_ident()] = place
    try:
        yield
    finally:
        del _ASKED[get_ident()]


def asked() -> str:
    """Return what code of the user's is being asked about in any thread; empty where none is."""
    return next((words for place in list(_ASKED.values()) if (words := place())), "")
