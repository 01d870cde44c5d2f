"""What all tests share: the folders of traces and expected schedules beside the project, and small files."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connection

ROOT = Path(__file__).parent.parent


def shared_folder(kind: str) -> Path:
    """Return `traces` or `oracles` below `TRACES_DIR` (default: `../shared` beside the project).

    A test that needs it is skipped where it is absent, and fails instead when REQUIRE_TRACES=1.
    """
    folder = Path(os.environ.get("TRACES_DIR", ROOT.parent / "shared")) / kind
    if not folder.is_dir():
        reason = f"The folder {kind} is not beside the project; TRACES_DIR can name its parent."
        if os.environ.get("REQUIRE_TRACES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture
def trace_path() -> Callable[[str], Path]:
    """Give the path of a real trace by its file name."""
    return lambda name: shared_folder("traces") / name


@pytest.fixture
def oracle_path() -> Callable[[str], Path]:
    """Give the path of an expected schedule by its file name."""
    return lambda name: shared_folder("oracles") / name


@pytest.fixture
def data_path() -> Callable[[str], Path]:
    """Give the path of a small file written for the tests."""
    return lambda name: ROOT / "tests" / "data" / name


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    tmp_path_factory: pytest.TempPathFactory, django_db_modify_db_settings_parallel_suffix: None
) -> None:
    """Keep SQLite's test database in a file: threads cannot share one in memory as they share the real one."""
    if connection.vendor == "sqlite":
        connection.settings_dict["TEST"]["NAME"] = str(tmp_path_factory.mktemp("database") / "test.sqlite3")
