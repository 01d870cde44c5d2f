"""Log records with the request and the run they belong to: lines to read, or JSON to collect."""

import logging
import math
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from pythonjsonlogger import json

from scheduler_sim.texts import visible

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The request under way, as its X-Request-ID header says."""

run_id: ContextVar[str] = ContextVar("run_id", default="")
"""The run that the code under way plays or commands."""

_STANDARD = frozenset(logging.LogRecord("", 0, "", 0, "", None, None).__dict__) | {"message", "asctime", "taskName"}


class ContextFilter(logging.Filter):
    """Gives every record the numbers of its request and run; one that is given as `extra` wins."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add them and let the record pass."""
        fields = vars(record)
        for name, variable in (("request_id", request_id), ("run_id", run_id)):
            fields.setdefault(name, variable.get())
        if not fields["request_id"] and (request := fields.get("request")):
            # Django logs a failed response after the middleware that knows the id has ended.
            fields["request_id"] = getattr(request, "id", "")
        return True


class OnceAMinute(logging.Filter):
    """Lets one record a minute of each kind pass, in one line: a part that is away fails every request alike.

    A kind is what the log's message says before its arguments are filled in, and the type of the exception.

    Args:
        only: names of exceptions; records of others pass as they are. All records are meant where it is empty.
    """

    def __init__(self, only: tuple[str, ...] = ()) -> None:
        super().__init__()
        self._only = frozenset(only)
        self._passed: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Shorten the record to a line; return whether it is the first of its kind in this minute."""
        error = record.exc_info[1] if record.exc_info else None
        names = {kind.__name__ for kind in type(error).__mro__} if error is not None else set()
        if self._only and not self._only & names:
            return True
        kind = (record.name, type(error).__name__ if error is not None else str(record.msg))
        now = time.monotonic()
        if now - self._passed.get(kind, -math.inf) < 60:
            return False
        self._passed[kind] = now
        if error is not None:
            said = str(error).strip() or (str(error.__cause__) if error.__cause__ else type(error).__name__)
            record.msg, record.args = f"{record.getMessage()} {said}".strip(), ()
            record.exc_info = record.exc_text = None
        return True


def _extras(record: logging.LogRecord) -> dict[str, object]:
    return {
        name: value
        for name, value in record.__dict__.items()
        if name not in _STANDARD and value not in ("", None) and name not in ("request", "status_code")
    }


class JsonFormatter(json.JsonFormatter):
    """One JSON object a line: time, level, logger, message, exception, and whatever was given as `extra`."""

    def __init__(self) -> None:
        super().__init__(json_default=str, json_ensure_ascii=False)

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        """Fill the object under the names and in the order that this site's lines have."""
        log_data |= {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extras(record),
        }
        if "exc_info" in message_dict:
            log_data["exception"] = message_dict["exc_info"]


class TextFormatter(logging.Formatter):
    """One line to read, the extras behind the message as name=value."""

    def __init__(self) -> None:
        super().__init__("{asctime} {levelname:<7} {name}: {message}", style="{")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Return the line without a traceback."""
        # What a client sent must neither forge a line nor steer the terminal of whoever reads it.
        record.message = visible(record.message).replace("\n", "\\n")
        extras = " ".join(f"{name}={value}" for name, value in _extras(record).items())
        line = super().formatMessage(record)
        return f"{line} [{extras}]" if extras else line


def configuration(*, style: str, level: str) -> dict[str, object]:
    """Return the LOGGING setting: everything to stderr, as `json` or `text`."""
    formatter = {"json": JsonFormatter, "text": TextFormatter}[style]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {
            "context": {"()": ContextFilter},
            "once_a_minute": {"()": OnceAMinute},
            "database_once_a_minute": {"()": OnceAMinute, "only": ("OperationalError", "InterfaceError")},
        },
        "formatters": {"line": {"()": formatter}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["context"]}},
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {
            "apps": {"level": level},
            "scheduler_sim": {"level": level},
            # Refused requests are in the access log already.
            "django.request": {"level": "ERROR", "filters": ["database_once_a_minute"]},
            "scheduler_sim.web.errors": {"filters": ["database_once_a_minute"]},
            # Redis is away: said once, not at every request.
            "django_redis.cache": {"filters": ["once_a_minute"]},
            "scheduler_sim.web.counters": {"filters": ["once_a_minute"]},
            # Its own handlers would write every record a second time, and mail to nobody.
            "django": {"handlers": [], "level": level if level in ("WARNING", "ERROR") else "INFO"},
        },
    }
