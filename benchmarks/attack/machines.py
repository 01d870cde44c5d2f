"""Studies on several machines, which are network namespaces of this one: cut off, slow, without power, another clock.

Each machine has addresses, process numbers, a host name and a folder of its own; the first has PostgreSQL and Redis
and hands the study out, the others have Celery workers. The kernel of this machine is all that they share.
"""

import contextlib
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.attack.ground import Broken, Count, Ground, built_clock, hold, until
from benchmarks.project import ROOT

NETWORK = "10.77.0"
HUB = f"{NETWORK}.1"
WORKERS = 3
POLICIES = ("fcfs", "sjf+easy", "wfp3+easy")
TASKS = 20_000
PATIENCE = 600.0
"""Seconds until a study counts as stuck; an undisturbed one takes a tenth of it."""


def possible() -> str:
    """Return why machines cannot be made here, empty where they can."""
    if os.geteuid() != 0:
        return "machines are network namespaces, which only root makes"
    missing = [name for name in ("ip", "tc", "unshare", "redis-server", "cc") if shutil.which(name) is None]
    if not missing and not _postgresql():
        missing = ["PostgreSQL"]
    return f"{', '.join(missing)} is not installed" if missing else ""


def machines(ground: Ground, count: Count) -> None:
    """Disturb machines while they play a study; every run ends once, with the rows and figures of an undisturbed one.

    They have a PostgreSQL of their own.
    """
    if why := "SQLite serves one machine" if not ground.postgresql else possible():
        count.seen[why] += 1
        return
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="machines-")))
        folder.chmod(0o755)
        net = stack.enter_context(_network(folder))
        disturbances: dict[str, Callable[[_Study], None]] = {
            "link down for 8 s": lambda study: study.cut(ground.chance.randrange(WORKERS), 8.0),
            "link down for 45 s, locks are given up": lambda study: study.cut(ground.chance.randrange(WORKERS), 45.0),
            "link down for good": lambda study: study.cut(ground.chance.randrange(WORKERS), None),
            "broker killed, its queue lost": lambda study: study.net.restart_redis(),
            "clock an hour off, then stepping": lambda study: study.step_clock(ground),
            "link of 5 Mbit/s": lambda study: study.slow(ground.chance.randrange(WORKERS)),
            "power lost": lambda study: study.switch_off(ground.chance.randrange(WORKERS)),
        }
        seeds = max(1, ground.times(4))
        whole = _Study(net, "undisturbed", seeds).played_alone()
        for number, (what, disturb) in enumerate(disturbances.items()):
            with count.one(what):
                study = _Study(net, f"disturbed{number}", seeds)
                with study.workers():
                    process = study.hand_out()
                    _wait_for(study, ground.chance.uniform(0.15, 0.6) * len(whole["runs"]))
                    disturbing = threading.Thread(target=disturb, args=(study,), daemon=True)
                    disturbing.start()
                    found = study.ended(process)
                    disturbing.join(60)
                hold(found["runs"].keys() == whole["runs"].keys(), "other runs than in the undisturbed study")
                for digest, run in found["runs"].items():
                    hold(run == whole["runs"][digest], f"run {digest[:8]} is {run} and was {whole['runs'][digest]}")
                hold(found["cells"] == whole["cells"], "other figures than in the undisturbed study")


def _wait_for(study: "_Study", runs: float) -> None:
    until(lambda: study.finished() >= runs, PATIENCE, "it did not begin")


@dataclass
class _Network:
    """A hub and its workers.

    Attributes:
        folder: everything that the machines store, a folder each.
        name: what the namespaces' names begin with.
        redis: the broker's process.
    """

    folder: Path
    name: str
    redis: "subprocess.Popen[bytes] | None" = None

    def worker(self, number: int) -> str:
        return f"{self.name}w{number}"

    @property
    def hub(self) -> str:
        return f"{self.name}hub"

    def restart_redis(self) -> None:
        """Kill the broker, which keeps nothing, and start it again after five seconds."""
        self._stop_redis()
        time.sleep(5)
        self._start_redis()

    def _stop_redis(self) -> None:
        if self.redis is not None:
            self.redis.kill()
            self.redis.wait()

    def _start_redis(self) -> None:
        words = f"redis-server --bind {HUB} --port 6379 --protected-mode no --appendonly no --save".split()
        self.redis = subprocess.Popen(
            ["ip", "netns", "exec", self.hub, *words, "", "--dir", str(self.folder)], stdout=subprocess.DEVNULL
        )

    @contextlib.contextmanager
    def services(self) -> Iterator[None]:
        """Run PostgreSQL and Redis on the hub."""
        programs, data = Path(_postgresql()), self.folder / "postgres"
        data.mkdir()
        shutil.chown(data, "postgres")
        as_postgres = ["runuser", "-u", "postgres", "--"]
        _run(*as_postgres, str(programs / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust")
        with (data / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {NETWORK}.0/24 trust\n")
        control = ["ip", "netns", "exec", self.hub, *as_postgres, str(programs / "pg_ctl"), "-D", str(data), "-w"]
        options = f"-c listen_addresses={HUB} -c unix_socket_directories={data} -c fsync=off"
        _run(*control, "-l", str(data / "log"), "-o", options, "start")
        try:
            self._start_redis()
            yield
        finally:
            self._stop_redis()
            _run(*control, "-m", "immediate", "stop")


@contextlib.contextmanager
def _network(folder: Path) -> Iterator[_Network]:
    """Make the machines, and take them away."""
    net = _Network(folder, f"sim{os.getpid()}")
    try:
        _run("ip", "netns", "add", net.hub)
        _ip(net.hub, "link add bridge type bridge")
        _ip(net.hub, f"addr add {HUB}/24 dev bridge")
        for device in ("lo", "bridge"):
            _ip(net.hub, f"link set {device} up")
        for number in range(WORKERS):
            worker = net.worker(number)
            _run("ip", "netns", "add", worker)
            _ip(net.hub, f"link add port{number} type veth peer name eth0 netns {worker}")
            _ip(net.hub, f"link set port{number} master bridge up")
            _ip(worker, f"addr add {NETWORK}.{10 + number}/24 dev eth0")
            for device in ("lo", "eth0"):
                _ip(worker, f"link set {device} up")
        with net.services():
            yield net
    finally:
        for namespace in (net.hub, *(net.worker(number) for number in range(WORKERS))):
            subprocess.run(["ip", "netns", "del", namespace], check=False, capture_output=True)


class _Study:
    """One study in a database of its own, and the machines that play it."""

    def __init__(self, net: _Network, name: str, seeds: int) -> None:
        self.net, self.name = net, name
        self._socket = str(net.folder / "postgres")
        self._clock = net.folder / f"{name}.clock"
        self._clock.write_bytes(bytes(8))
        self._processes: list[subprocess.Popen[bytes]] = []
        with self._connect("postgres") as admin:
            admin.execute(f"CREATE DATABASE {name}")
        self._environment = {
            **os.environ,
            "DATABASE_URL": f"postgres://postgres@{HUB}/{name}",
            "REDIS_URL": "",
            "CELERY_BROKER_URL": f"redis://{HUB}:6379/0",
            "CELERY_TASK_DEFAULT_QUEUE": name,
            "SECRET_KEY": "of machines that are gone in a minute",
            "NUMBA_CACHE_DIR": os.environ.get("NUMBA_CACHE_DIR", str(ROOT / "var" / "numba")),
        }
        definition = {
            "name": name,
            "workloads": [{"generate": "lublin", "tasks": TASKS, "parameters": {"processors": 128}}],
            "load_factors": [0.7, 0.8, 0.9, 1.0],
            "clusters": ["hpc-128"],
            "policies": list(POLICIES),
            "seeds": seeds,
            "keep": "results",
        }
        self._file = net.folder / f"{name}.json"
        self._file.write_text(json.dumps(definition))
        self._manage("migrate", "-v", "0").communicate()

    def played_alone(self) -> dict[str, Any]:
        """Play it by processes of the hub, and return what came of it."""
        return self.ended(self.hand_out("--workers", "2"))

    def hand_out(self, *options: str) -> "subprocess.Popen[bytes]":
        """Begin the study on the hub."""
        return self._manage("runstudy", str(self._file), "-v", "0", *options)

    def finished(self) -> int:
        """Return how many runs are over."""
        return int(self._rows("SELECT count(*) FROM results_run WHERE status = 'finished'")[0][0])

    def ended(self, process: "subprocess.Popen[bytes]") -> dict[str, Any]:
        """Wait for the end; return checksums and numbers of rows by the digest of the run, and the study's figures."""
        try:
            _, told = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            raise Broken(f"the study is stuck with {self.finished()} runs finished") from None
        hold(process.returncode == 0, f"runstudy ended with {process.returncode}: {told[-400:].decode()}")
        rows: dict[int, tuple[int, int]] = {
            run: (number, distinct)
            for run, number, distinct in self._rows(
                "SELECT run_id, count(*), count(DISTINCT (task_id, scheduler)) FROM results_schedulerresult GROUP BY 1"
            )
        }
        runs = self._rows("SELECT id, digest, status, checksum, rows_written FROM results_run")
        again = self._manage("runstudy", str(self._file), "-v", "0", "--workers", "1", "--json")
        document, told = again.communicate()
        hold(again.returncode == 0, f"its document: {told[-400:].decode()}")
        return {
            "runs": {
                digest: {"status": status, "checksum": checksum, "written": written, "rows": rows.get(run)}
                for run, digest, status, checksum, written in runs
            },
            "cells": json.loads(document)["cells"],
        }

    @contextlib.contextmanager
    def workers(self) -> Iterator[None]:
        """Run a worker on each machine; the first has a clock that can be moved."""
        library = built_clock(self.net.folder)
        try:
            for number in range(WORKERS):
                clock = {"LD_PRELOAD": str(library), "MOVED_CLOCK": str(self._clock)} if number == 0 else {}
                self._processes.append(self._worker(number, clock))
            yield
        finally:
            for process in self._processes:
                process.kill()
                process.wait()
            for number in range(WORKERS):
                self._connect_link(number)

    def cut(self, number: int, seconds: float | None) -> None:
        """Cut a machine off, for so long or until the study is over."""
        _ip(self.net.hub, f"link set port{number} down")
        if seconds is not None:
            time.sleep(seconds)
            self._connect_link(number)

    def slow(self, number: int) -> None:
        """Let a machine's link carry 5 Mbit/s."""
        rate = ["root", "tbf", "rate", "5mbit", "burst", "32kbit", "latency", "400ms"]
        _run("tc", "-n", self.net.hub, "qdisc", "add", "dev", f"port{number}", *rate)
        _run("tc", "-n", self.net.worker(number), "qdisc", "add", "dev", "eth0", *rate)

    def switch_off(self, number: int) -> None:
        """End every process of a machine at once, and take its link away."""
        _ip(self.net.hub, f"link set port{number} down")
        self._processes[number].kill()

    def step_clock(self, ground: Ground) -> None:
        """Set the first machine's clock an hour on, then back and forth."""
        for seconds in (3600.0, *(ground.chance.choice((-3600.0, -30.0, 30.0, 86_400.0)) for _ in range(6))):
            with self._clock.open("r+b") as file:
                file.write(struct.pack("q", round(seconds * 1e9)))
            time.sleep(2.0)

    def _connect_link(self, number: int) -> None:
        _ip(self.net.hub, f"link set port{number} up")
        for namespace, device in ((self.net.hub, f"port{number}"), (self.net.worker(number), "eth0")):
            subprocess.run(
                ["tc", "-n", namespace, "qdisc", "del", "dev", device, "root"], check=False, capture_output=True
            )

    def _worker(self, number: int, clock: dict[str, str]) -> "subprocess.Popen[bytes]":
        machine = self.net.worker(number)
        celery = (
            f"exec {sys.executable} -m celery -A scheduler_sim worker -c 1 -l info --without-mingle --without-gossip"
        )
        alone = ["unshare", "--uts", "--pid", "--fork", "--mount-proc", "--kill-child"]
        return subprocess.Popen(
            ["ip", "netns", "exec", machine, *alone, "sh", "-c", f"hostname {machine}; {celery}"],
            cwd=ROOT,
            env={**self._environment, **clock, "VAR_DIR": str(self._folder(machine))},
            stdout=(self.net.folder / f"{self.name}.w{number}.log").open("wb"),
            stderr=subprocess.STDOUT,
        )

    def _manage(self, *arguments: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            ["ip", "netns", "exec", self.net.hub, sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env={**self._environment, "VAR_DIR": str(self._folder("hub"))},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def _folder(self, machine: str) -> Path:
        folder = self.net.folder / machine
        folder.mkdir(exist_ok=True)
        return folder

    def _connect(self, database: str) -> Any:
        import psycopg

        return psycopg.connect(host=self._socket, dbname=database, user="postgres", autocommit=True)

    def _rows(self, question: str) -> Sequence[tuple[Any, ...]]:
        with self._connect(self.name) as link:
            found: Sequence[tuple[Any, ...]] = link.execute(question).fetchall()
        return found


def _postgresql() -> str:
    """Return the folder of the newest PostgreSQL's programs, empty for none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    return str(found[-1]) if found else ""


def _run(*words: str) -> None:
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    hold(done.returncode == 0, f"{' '.join(words)} said {done.stderr.strip()}")


def _ip(namespace: str, words: str) -> None:
    _run("ip", "-n", namespace, *words.split())
