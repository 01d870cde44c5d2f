"""Log lines: JSON to collect, text to read, both with the request and the run."""

import json
import logging
import sys
import time
from typing import Any

import pytest
from django.test import Client

from scheduler_sim import logs


def record(message: str = "stored %d rows", *args: Any, **extra: Any) -> logging.LogRecord:
    made = logging.getLogger("apps.x").makeRecord(
        "apps.x", logging.WARNING, __file__, 1, message, args or (3,) if "%d" in message else (), None, extra=extra
    )
    logs.ContextFilter().filter(made)
    return made


def test_json_has_time_level_logger_message_and_extras() -> None:
    document = json.loads(logs.JsonFormatter().format(record(rows=3)))
    assert document.pop("time").endswith("+00:00")
    assert document == {"level": "warning", "logger": "apps.x", "message": "stored 3 rows", "rows": 3}


def test_both_numbers_are_on_every_line_while_they_hold() -> None:
    tokens = logs.request_id.set("abc"), logs.run_id.set("7")
    try:
        document = json.loads(logs.JsonFormatter().format(record()))
        line = logs.TextFormatter().format(record())
    finally:
        logs.request_id.reset(tokens[0])
        logs.run_id.reset(tokens[1])
    assert (document["request_id"], document["run_id"]) == ("abc", "7")
    assert line.endswith("WARNING apps.x: stored 3 rows [request_id=abc run_id=7]")


def test_an_exception_stays_on_the_json_line() -> None:
    made = record()
    try:
        1 / 0  # noqa: B018
    except ZeroDivisionError:
        made.exc_info = sys.exc_info()
    line = logs.JsonFormatter().format(made)
    assert "\n" not in line
    assert "ZeroDivisionError" in json.loads(line)["exception"]


def test_a_line_break_in_what_was_sent_forges_no_line() -> None:
    assert "\n" not in logs.TextFormatter().format(record("/x\n2026 ERROR forged"))


@pytest.mark.django_db
def test_each_request_leaves_one_line_with_its_id(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="scheduler_sim.web.access"):
        response = client.get("/api/v1/clusters/?format=json")
        client.get("/health")
    (line,) = [made for made in caplog.records if made.name == "scheduler_sim.web.access"]
    assert line.getMessage() == "GET /api/v1/clusters/ 200"
    assert line.__dict__["milliseconds"] >= 0
    assert response.headers["X-Request-ID"]


def test_what_fails_every_request_alike_is_said_once_a_minute_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    once = logs.OnceAMinute(only=("ConnectionError",))

    def failed(error: Exception) -> logging.LogRecord:
        made = logging.LogRecord("apps.x", logging.ERROR, __file__, 1, "No %s:", ("answer",), None)
        made.exc_info = (type(error), error, None)
        return made

    first = failed(ConnectionRefusedError("refused"))
    assert once.filter(first)
    assert (first.getMessage(), first.exc_info) == ("No answer: refused", None)
    assert not once.filter(failed(ConnectionRefusedError("refused")))
    clock[0] += 60
    assert once.filter(failed(ConnectionRefusedError("refused")))
    other = failed(ValueError("never foreseen"))
    assert once.filter(other)
    assert other.exc_info is not None
