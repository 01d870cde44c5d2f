"""Nothing is lost and nothing doubled when a process, the database or Redis dies in the middle of a run."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from benchmarks.browser import free_port
from tests import depth
from tests.conftest import ROOT
from tests.live.live_site import Redis, eventually

KILLS = {"stopping": depth.cases(8), "failing": depth.cases(4, "CRASH_KILLS")}
"""How often a run is killed, by what is played."""


def environment(folder: Path, **changes: str) -> dict[str, str]:
    return {
        **os.environ,
        "VAR_DIR": str(folder),
        "DATABASE_URL": "",
        "REDIS_URL": "",
        "DJANGO_SETTINGS_MODULE": "scheduler_sim.settings",
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
        **changes,
    }


def python(settings: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=settings, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def manage(settings: dict[str, str], *arguments: str) -> str:
    return python(settings, "manage.py", *arguments)


def start_run(settings: dict[str, str], tasks: int = 15_000) -> "subprocess.Popen[str]":
    manage(settings, "migrate", "--verbosity", "0")
    manage(settings, "generateworkload", "lublin", "--tasks", str(tasks), "--seed", "1", "--name", "outage")
    return subprocess.Popen(
        [
            *(sys.executable, "manage.py", "runsimulation", "--json", "--workload", "outage", "--name", "outage"),
            *("--cluster", "hpc-256", "--policies", "fcfs,sjf,fcfs+easy,sjf+easy,saf,f1"),
            # Slow enough that the outage falls into the middle of it on any machine.
            *("--rate", "2500"),
        ],
        cwd=ROOT,
        env=settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def services() -> Iterator[dict[str, str]]:
    """Private PostgreSQL and Redis, beside those that the suite may be running on."""
    if connection.vendor != "postgresql":
        pytest.skip("DATABASE_URL does not name PostgreSQL.")
    # Not pytest's folder: PostgreSQL runs as a user who may not look in there.
    folder = Path(tempfile.mkdtemp(prefix="scheduler-sim-outage-"))
    folder.chmod(0o755)
    settings = {
        **os.environ,
        "SERVICES_DIR": str(folder),
        "POSTGRES_PORT": str(free_port()),
        "REDIS_PORT": str(free_port()),
    }
    script = str(ROOT / "scripts" / "services.sh")
    try:
        subprocess.run([script, "start"], env=settings, check=True, stdout=subprocess.DEVNULL)
        yield settings
    finally:
        subprocess.run([script, "stop"], env=settings, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def crashes(settings: dict[str, str], played: str) -> dict[str, Any]:
    kills = KILLS[played]
    told = python(settings, "-m", "tests.live.crash_driver", str(kills), "7", played)
    report: dict[str, Any] = json.loads(told.splitlines()[-1])
    attempts = report["attempts"]
    assert len(attempts) == kills
    assert sum(attempt["killed"] for attempt in attempts) >= kills // 2
    assert any(0 < attempt["kept"] < report["rows"] for attempt in attempts)
    assert any(0 < attempt["kept_spans"] < report["spans"] for attempt in attempts)
    for attempt in attempts:
        assert attempt["kept"] == attempt["progress"], attempt
        assert attempt["kept_spans"] == attempt["spans"], attempt
        assert attempt["status"] == "finished", attempt
        assert attempt["faults"] == [], attempt
        assert attempt["same"], attempt
        assert attempt["interrupted"] or not attempt["killed"] or attempt["kept"] in (0, report["rows"]), attempt
    return report


@pytest.mark.own_data
def test_a_run_killed_anywhere_is_finished_with_the_same_rows_on_sqlite(tmp_path: Path) -> None:
    crashes(environment(tmp_path), "stopping")


def test_a_run_killed_anywhere_is_finished_with_the_same_rows_on_postgresql(
    services: dict[str, str], tmp_path: Path
) -> None:
    crashes(environment(tmp_path, DATABASE_URL=_address(services)), "stopping")


@pytest.mark.own_data
def test_a_run_whose_nodes_fail_is_finished_with_the_same_attempts_on_sqlite(tmp_path: Path) -> None:
    report = crashes(environment(tmp_path), "failing")
    assert {"failed", "finished", "requeued", "suspended"} <= set(report["reasons"])


def test_a_run_whose_nodes_fail_is_finished_with_the_same_attempts_on_postgresql(
    services: dict[str, str], tmp_path: Path
) -> None:
    report = crashes(environment(tmp_path, DATABASE_URL=_address(services)), "failing")
    assert {"failed", "finished", "requeued", "suspended"} <= set(report["reasons"])


def test_a_run_outlives_a_restart_of_postgresql(services: dict[str, str], tmp_path: Path) -> None:
    settings = environment(tmp_path, DATABASE_URL=_address(services))
    run = start_run(settings)
    eventually(lambda: _rows(services) > 0 or run.poll() is not None)
    script = str(ROOT / "scripts" / "services.sh")
    subprocess.run([script, "stop"], env=services, check=True)
    time.sleep(2)
    subprocess.run([script, "start"], env=services, check=True, stdout=subprocess.DEVNULL)
    out, err = run.communicate(timeout=120)
    assert run.returncode == 0, err
    assert json.loads(out)["rows_written"] == 90_000
    assert "The database does not answer" in err
    assert "checksum as stored" in manage(settings, "verifyrun", "outage")


def test_a_run_outlives_redis(services: dict[str, str], tmp_path: Path) -> None:
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed.")
    redis = Redis(tmp_path)
    settings = environment(tmp_path, DATABASE_URL=_address(services), REDIS_URL=redis.url)
    run = start_run(settings)
    eventually(lambda: _rows(services) > 0 or run.poll() is not None)
    redis.stop()
    out, err = run.communicate(timeout=120)
    assert run.returncode == 0, err
    assert json.loads(out)["rows_written"] == 90_000
    assert "checksum as stored" in manage(settings, "verifyrun", "outage")


def _address(services: dict[str, str]) -> str:
    return f"postgres://scheduler_sim@127.0.0.1:{services['POSTGRES_PORT']}/scheduler_sim"


def _rows(services: dict[str, str]) -> int:
    import psycopg

    with psycopg.connect(_address(services)) as link:
        found = link.execute("SELECT max(rows_written) FROM results_run").fetchone()
    return (found and found[0]) or 0
