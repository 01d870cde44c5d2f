"""Short writes go before the long ones of a run on the embedded database."""

import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from scheduler_sim.columnar import turnstile


@pytest.fixture
def embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    database = tmp_path / "database.sqlite3"
    connection = SimpleNamespace(vendor="sqlite", is_in_memory_db=lambda: False, settings_dict={"NAME": str(database)})
    monkeypatch.setattr(turnstile, "connection", connection)
    return database


def test_a_run_waits_while_a_command_is_written(embedded: Path) -> None:
    run = threading.Thread(target=turnstile.give_way)
    with turnstile.first_in_line():
        run.start()
        run.join(0.1)
        assert run.is_alive()
    run.join(30)
    assert not run.is_alive()


def test_a_folder_that_takes_no_file_holds_nobody_up(embedded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "open", refuse)
    with turnstile.first_in_line():
        turnstile.give_way()


def test_other_databases_need_no_turnstile(embedded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduler_sim.columnar.turnstile.connection.vendor", "postgresql")
    with turnstile.first_in_line():
        turnstile.give_way()
    assert not list(embedded.parent.iterdir())
