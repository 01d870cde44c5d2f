"""Which code of the user's is being asked, and about what: for who watches whether it comes back."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from threading import get_ident

_NUMBERS = count()
_ASKED: dict[int, tuple[int, Callable[[], str]]] = {}


@contextmanager
def asking(place: Callable[[], str]) -> Iterator[None]:
    """Say that from here on code of the user's is asked in this thread.

    Args:
        place: returns what it is asked about, as words; empty while it is not asked. Another thread calls it.
    """
    thread = get_ident()
    # Code of the user's may play a simulation that asks code of the user's.
    outer = _ASKED.get(thread)
    _ASKED[thread] = next(_NUMBERS), place
    try:
        yield
    finally:
        if outer is None:
            del _ASKED[thread]
        else:
            _ASKED[thread] = outer


def asked() -> tuple[int, str] | None:
    """Return the number of a call of the user's code that goes on in any thread, and what it is asked about."""
    return next(((number, words) for number, place in list(_ASKED.values()) if (words := place())), None)
