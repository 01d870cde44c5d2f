"""Locks that end with the process that holds them, however it ends.

PostgreSQL keeps them as advisory locks of a connection of its own, so that all machines see them. Elsewhere they are
locks on files beside the embedded database, which the kernel keeps. Neither looks at a clock.
"""

import contextlib
import fcntl
import hashlib
import logging
import os
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.db import Error, connection
from django.db.backends.base.base import BaseDatabaseWrapper

from scheduler_sim.columnar.statements import answered, told
from scheduler_sim.columnar.turnstile import is_in_memory

logger = logging.getLogger(__name__)

PROBE_SECONDS = 0.2
"""How long one who wants a lock tries on, because those who only look whether it is held hold it for a moment."""

_guard = threading.RLock()
_files: dict[str, BinaryIO | None] = {}
_numbers: set[str] = set()
_session: BaseDatabaseWrapper | None = None


def take(key: str) -> bool:
    """Take a lock for this process, which may hold it already; return False where another process has it."""
    with _guard:
        if key in _files or key in _numbers:
            return True
        return _take_in_database(key) if connection.vendor == "postgresql" else _take_file(key)


def free(key: str) -> None:
    """Let go of a lock; one that is not held is no fault."""
    with _guard:
        if key in _numbers:
            _numbers.discard(key)
            with contextlib.suppress(Error):
                _ask("SELECT pg_advisory_unlock(%s)", key)
            if not _numbers:
                _close()
        elif key in _files:
            file = _files.pop(key)
            if file is not None:
                # While it is locked, so that nobody locks a file that is about to go.
                Path(file.name).unlink(missing_ok=True)
                file.close()


def free_all() -> None:
    """Let go of all locks, as the end of this process does."""
    with _guard:
        _numbers.clear()
        _close()
        for key in list(_files):
            free(key)


def is_held(key: str) -> bool:
    """Tell whether any process has the lock."""
    with _guard:
        if key in _files or key in _numbers:
            return True
    if connection.vendor == "postgresql":
        question = (
            "SELECT EXISTS (SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database "
            "WHERE locktype = 'advisory' AND objsubid = 1 AND datname = current_database() "
            "AND ((classid::bigint << 32) | objid::bigint) = %s)"
        )
        return bool(answered(connection, question, [_number(key)]))
    try:
        with _path(key).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def keep() -> list[str]:
    """Take anew what a broken connection let go of; return the locks that others have taken meanwhile.

    Raises:
        django.db.Error: the database does not answer.
    """
    with _guard:
        if not _numbers:
            return []
        try:
            _ask("SELECT 1", None)
            return []
        except Error:
            _close()
        wanted = sorted(_numbers)
        return [key for key in wanted if not _take_in_database(key)]


def _take_in_database(key: str) -> bool:
    taken = bool(_ask("SELECT pg_try_advisory_lock(%s)", key))
    if taken:
        _numbers.add(key)
    else:
        _numbers.discard(key)
        if not _numbers:
            _close()
    return taken


def _ask(question: str, key: str | None) -> Any:
    global _session  # noqa: PLW0603 one connection a process, whose end ends its locks
    if _session is None:
        _session = connection.copy()
        _session.settings_dict = {
            **_session.settings_dict,
            "OPTIONS": {name: value for name, value in _session.settings_dict["OPTIONS"].items() if name != "pool"},
        }
        _session.inc_thread_sharing()
        for name, value in settings.DATABASE_SILENCE.items():
            told(_session, f"SET {name} = {value}")
    return answered(_session, question, None if key is None else [_number(key)])


def _close() -> None:
    global _session  # noqa: PLW0603
    if _session is not None:
        with contextlib.suppress(Error):
            _session.close()
        _session = None


def _number(key: str) -> int:
    """Return the 64 bits by which PostgreSQL knows a lock."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big", signed=True)


def _path(key: str) -> Path:
    name = str(connection.settings_dict["NAME"])
    embedded = connection.vendor == "sqlite" and not is_in_memory(connection)
    return (Path(f"{name}-locks") if embedded else settings.VAR_DIR / "locks") / key


def _take_file(key: str) -> bool:
    path = _path(key)
    until = time.monotonic() + PROBE_SECONDS
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("ab")
        except OSError as error:
            # A folder that takes no file. On one machine the process table alone tells who lives.
            logger.warning("No lock could be kept in %s: %s.", path.parent, error.strerror)
            _files[key] = None
            return True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            if time.monotonic() > until:
                return False
            time.sleep(PROBE_SECONDS / 20)
            continue
        if _is_at(file, path):
            _files[key] = file
            return True
        file.close()  # Whoever had it removed the file just now.


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _forget() -> None:
    """Leave the locks to the process that was copied; its copy has none."""
    global _session  # noqa: PLW0603
    for file in _files.values():
        if file is not None:
            file.close()
    _files.clear()
    _numbers.clear()
    _session = None


os.register_at_fork(after_in_child=_forget)
