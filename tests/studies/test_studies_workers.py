"""Workers that are killed in the middle of a study cost time only: no run is missing, none is there twice."""

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import redis
import yaml
from django.db import connection

from tests.conftest import ROOT

POLICIES = ["fcfs", "sjf+easy", "wfp3+easy"]
RUNS = 16
PATIENCE = 400.0
"""Seconds until something counts as stuck: a busy machine may first have to compile the kernels."""

DEFINITION = {
    "name": "killed",
    "workloads": [{"generate": "lublin", "tasks": 1_500, "parameters": {"processors": 128}}],
    "load_factors": [0.7, 0.9, 1.1, 1.2],
    "clusters": ["hpc-128"],
    "policies": POLICIES,
    "seeds": 4,
    "keep": "results",
}


@pytest.fixture
def settings_of_workers(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Give the environment of commands and workers on a PostgreSQL database and a Redis queue of their own."""
    if connection.vendor != "postgresql" or not os.environ.get("REDIS_URL"):
        reason = "DATABASE_URL and REDIS_URL do not name PostgreSQL and Redis."
        if os.environ.get("REQUIRE_SERVICES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    given = urlsplit(os.environ["DATABASE_URL"])
    name = f"workers_{uuid.uuid4().hex[:12]}"
    broker = urlunsplit(urlsplit(os.environ["REDIS_URL"])._replace(path="/5"))
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            yield {
                **os.environ,
                "VAR_DIR": str(tmp_path),
                "DATABASE_URL": urlunsplit(given._replace(path=f"/{name}")),
                "CELERY_BROKER_URL": broker,
                "CELERY_TASK_DEFAULT_QUEUE": name,
                "DJANGO_SETTINGS_MODULE": "scheduler_sim.settings",
            }
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
            with redis.from_url(broker) as queue:
                for key in queue.scan_iter(match=f"*{name}*"):
                    queue.delete(key)


def manage(settings: dict[str, str], *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def answer(process: "subprocess.Popen[str]", *, seconds: float = PATIENCE) -> str:
    out, err = process.communicate(timeout=seconds)
    assert process.returncode == 0, err
    return out


def count_finished(database: "psycopg.Connection[tuple[int]]") -> int:
    row = database.execute("SELECT count(*) FROM results_run WHERE status = 'finished'").fetchone()
    assert row is not None
    return row[0]


def wait_for_finished(
    database: "psycopg.Connection[tuple[int]]", wanted: int, process: "subprocess.Popen[str]"
) -> None:
    until = time.monotonic() + PATIENCE
    while count_finished(database) < wanted:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.05)


def assert_complete(settings: dict[str, str], file: Path) -> None:
    """Check every run's rows and checksum, against a run of the same by a process that nobody killed."""
    with psycopg.connect(settings["DATABASE_URL"]) as database:
        runs = database.execute(
            "SELECT id, status, rows_written, checksum, digest, configuration->>'load_factor', seed FROM results_run"
        ).fetchall()
        assert len(runs) == len({run[4] for run in runs}) == RUNS
        assert {run[1] for run in runs} == {"finished"}
        assert {run[2] for run in runs} == {1_500 * len(POLICIES)}
        rows = database.execute(
            "SELECT run_id, count(*), count(DISTINCT (task_id, scheduler)) FROM results_schedulerresult GROUP BY 1"
        ).fetchall()
        assert len(rows) == RUNS
        assert all(count == distinct == 1_500 * len(POLICIES) for _, count, distinct in rows)
        totals = database.execute("SELECT count(*) FROM metrics_metric WHERE is_total").fetchone()
        assert totals == (RUNS * len(POLICIES),)
        workloads = database.execute("SELECT count(*) FROM tasks_workload").fetchone()
        assert workloads == (4,)
    document = json.loads(answer(manage(settings, "runstudy", str(file), "--workers", "1", "--json")))
    assert document["status"] == "finished"
    assert document["runs"] == {"finished": RUNS}
    again = {**DEFINITION, "name": "undisturbed", "load_factors": [1.2], "seeds": [1, 4]}
    other = file.with_name("undisturbed.yaml")
    other.write_text(yaml.safe_dump(again))
    answer(manage(settings, "runstudy", str(other), "--workers", "1"))
    with psycopg.connect(settings["DATABASE_URL"]) as database:
        pairs = database.execute(
            "SELECT digest, count(*), count(DISTINCT checksum) FROM results_run GROUP BY 1 HAVING count(*) > 1"
        ).fetchall()
    assert len(pairs) == 2
    assert all(distinct == 1 for _, _, distinct in pairs)


def children_of(process_id: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()]


def start_worker(settings: dict[str, str], number: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "celery", "-A", "scheduler_sim", "worker"),
            *(
                "--concurrency",
                "1",
                "--loglevel",
                "error",
                "--without-gossip",
                "--without-mingle",
                "-n",
                f"w{number}@%h",
            ),
        ],
        cwd=ROOT,
        env=settings,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def end(worker: "subprocess.Popen[bytes]") -> None:
    """Kill a worker and its children at once, as a machine that loses its power does."""
    if worker.poll() is None:
        os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()


def test_a_study_on_celery_survives_workers_killed_in_the_middle(
    settings_of_workers: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(DEFINITION))
    answer(manage(settings_of_workers, "migrate", "--verbosity", "0"))
    workers = [start_worker(settings_of_workers, number) for number in range(2)]
    study = manage(settings_of_workers, "runstudy", str(file), "--json")
    try:
        with psycopg.connect(settings_of_workers["DATABASE_URL"], autocommit=True) as database:
            for kill, reached in enumerate((2, 8)):
                wait_for_finished(database, reached, study)
                end(workers[kill])
                workers[kill] = start_worker(settings_of_workers, 2 + kill)
        document = json.loads(answer(study))
    finally:
        study.kill()
        for worker in workers:
            end(worker)
    assert document["runs"] == {"finished": RUNS}
    assert_complete(settings_of_workers, file)


def test_a_study_on_the_local_pool_survives_processes_killed_and_is_taken_up_after_its_own_death(
    settings_of_workers: dict[str, str], tmp_path: Path
) -> None:
    settings = {**settings_of_workers, "CELERY_BROKER_URL": ""}
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(DEFINITION))
    answer(manage(settings, "migrate", "--verbosity", "0"))
    study = manage(settings, "runstudy", str(file), "--workers", "2")
    try:
        with psycopg.connect(settings["DATABASE_URL"], autocommit=True) as database:
            wait_for_finished(database, 3, study)
            # One of the workers; the resource tracker is a child too.
            os.kill(random.Random(1).choice(children_of(study.pid)[1:]), signal.SIGKILL)
            wait_for_finished(database, 7, study)
            os.kill(study.pid, signal.SIGKILL)
            study.communicate()
            assert count_finished(database) < RUNS
    finally:
        study.kill()
    answer(manage(settings, "runstudy", str(file), "--workers", "2"))
    assert_complete(settings, file)
