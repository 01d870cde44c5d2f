"""Lets a command through between two transactions of a run that stores placements, on the embedded database.

SQLite has one writer at a time and no queue: whoever finds it locked tries again after growing pauses, and can miss the
short moments between the transactions of a busy run for seconds. So those who have a command hold a lock on a file
beside the database while they write it, and the run waits for that lock before each of its transactions. The lock ends
with the process that holds it.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from django.db import connection

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.backends.sqlite3.base import DatabaseWrapper as SqliteWrapper


def is_in_memory(database: "BaseDatabaseWrapper") -> bool:
    """Tell whether it is an embedded database in memory, which no other thread or process sees."""
    return database.vendor == "sqlite" and cast("SqliteWrapper", database).is_in_memory_db()


@contextmanager
def first_in_line() -> Iterator[None]:
    """Keep runs from beginning another transaction meanwhile; it must not be entered twice at a time."""
    if connection.vendor != "sqlite" or is_in_memory(connection):
        yield
        return
    path = Path(f"{connection.settings_dict['NAME']}-turnstile")
    try:
        file = path.open("ab")
    except OSError:
        # A folder that is full or read-only takes no file; the database itself will say so in plainer words.
        yield
        return
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def give_way() -> None:
    """Wait while somebody is first in line."""
    with first_in_line():
        pass
