"""What the attacks share: a site on a database of its own, somebody who asks it, and the count of what held."""

import contextlib
import http.client
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from tests.live.live_site import Redis, Site

UNLIMITED = {
    f"RATE_LIMIT_{name}": "off" for name in ("ANONYMOUS", "USER", "CONTROL", "PAGES", "COSTLY", "LOGIN", "ACCOUNT")
}
POLICIES = ["fcfs", "sjf", "fcfs+easy", "sjf+easy", "srtf"]
ENDED = ("finished", "failed", "stopped")


class Broken(Exception):
    """Something did not hold; the sentence says what."""


@dataclass
class Count:
    """How often something was tried, how often it held, and what broke."""

    attack: str
    database: str
    tried: int = 0
    held: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @contextlib.contextmanager
    def one(self, what: str) -> Iterator[None]:
        """Count one try, which breaks where the body raises `Broken`."""
        self.tried += 1
        try:
            yield
        except Broken as fault:
            self.faults.append(f"{what}: {fault}")
        else:
            self.held += 1


def hold(condition: object, sentence: str) -> None:
    """Raise `Broken` unless the condition is true."""
    if not condition:
        raise Broken(sentence)


def until(question: Any, seconds: float, sentence: str) -> Any:
    """Return the first true answer within so many seconds, or raise `Broken`."""
    end = time.monotonic() + seconds
    while not (answer := question()):
        hold(time.monotonic() < end, f"{sentence} (not within {seconds:g} s)")
        time.sleep(0.05)
    return answer


@dataclass
class Ground:
    """Where sites are made.

    Attributes:
        postgresql: the address of a server on which databases may be made; empty for SQLite.
        chance: what decides moments and kinds.
        amount: how many tries of an attack, as a multiple of its own number.
    """

    postgresql: str
    chance: random.Random
    amount: float = 1.0

    @property
    def database(self) -> str:
        """What the table calls it."""
        return "PostgreSQL + Redis" if self.postgresql else "SQLite"

    def times(self, count: int) -> int:
        """Return how often an attack tries what it tries `count` times as a rule."""
        return max(1, round(count * self.amount))

    @contextlib.contextmanager
    def site(self, count: Count, *, descriptors: int | None = None, **environment: str) -> Iterator["Caller"]:
        """Start a site and give somebody who asks it; afterwards its log must hold no traceback."""
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="attack-")))
            if self.postgresql:
                environment["DATABASE_URL"] = stack.enter_context(own_database(self.postgresql))
            redis = Redis(folder) if self.postgresql and shutil.which("redis-server") else None
            if redis is not None:
                stack.callback(redis.stop)
            settings: dict[str, Any] = {"JOB_PROCESSES": "2", **UNLIMITED, **environment}
            site = Site(
                folder,
                redis_url=redis.url if redis else "",
                descriptors=descriptors,
                **settings,
            )
            stack.callback(site.close)
            for name, tasks in (("large", "6000"), ("small", "200")):
                site.manage("generateworkload", "lublin", "--tasks", tasks, "--seed", "1", "--name", name, "-v", "0")
            yield Caller(site, redis)
            if "Traceback" in site.log:
                count.faults.append(f"traceback in the log: ...{site.log[-600:]}")


@contextlib.contextmanager
def own_database(server: str) -> Iterator[str]:
    """Make a database on a PostgreSQL server, and drop it afterwards."""
    import psycopg

    name = f"attack_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


class Caller:
    """Somebody who may control runs, asking a site over HTTP."""

    def __init__(self, site: Site, redis: Redis | None) -> None:
        self.site = site
        self.redis = redis
        self.token = site.tell("user", username="caller", may_control=True)["token"]

    def fetch(
        self,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "",
        known: bool = True,
    ) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of an answer, which must come within 60 s."""
        connection = http.client.HTTPConnection("127.0.0.1", self.site.port, timeout=60)
        sent = {**(headers or {}), **({"Authorization": f"Token {self.token}"} if known else {})}
        try:
            connection.request(method or ("GET" if body is None else "POST"), path, body, sent)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        except TimeoutError:
            raise Broken(f"{path} was not answered within 60 s") from None
        finally:
            connection.close()

    def ask(self, path: str, document: Any = None) -> Any:
        """Return what the API answers, or raise `Broken` where it refuses."""
        body = None if document is None else json.dumps(document).encode()
        status, _, content = self.fetch(f"/api/v1/{path}", body, {"Content-Type": "application/json"})
        hold(status < 400, f"{path} answered {status}: {content[:200]!r}")
        return json.loads(content)

    def upload(self, name: str, content: bytes, trace_format: str = "") -> tuple[int, Any]:
        """Send a trace; return the status and the import."""
        boundary = uuid.uuid4().hex
        quoted = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{quoted}"\r\n\r\n'
        more = f'\r\n--{boundary}\r\nContent-Disposition: form-data; name="format"\r\n\r\n{trace_format}'
        body = head.encode() + content + more.encode() + f"\r\n--{boundary}--\r\n".encode()
        kind = f"multipart/form-data; boundary={boundary}"
        status, _, answer = self.fetch("/api/v1/workloads/", body, {"Content-Type": kind})
        return status, json.loads(answer) if answer[:1] == b"{" else {}

    def start(self, name: str, **more: Any) -> int:
        """Ask for a run of a second or two."""
        document = {"workload": 1, "cluster": "hpc-256", "policies": POLICIES, "name": name, **more}
        number: int = self.ask("runs/", document)["id"]
        return number

    def run(self, number: int) -> dict[str, Any]:
        """Return a run."""
        found: dict[str, Any] = self.ask(f"runs/{number}/")
        return found

    def wait_until_played(self, number: int) -> None:
        """Wait until a run's process plays it."""
        until(lambda: self.run(number)["status"] == "running", 120, f"run {number} did not begin")

    def ended_run(self, number: int, seconds: float = 180) -> dict[str, Any]:
        """Return a run that has come to its end."""
        found: dict[str, Any] = until(
            lambda: (run := self.run(number))["status"] in ENDED and run, seconds, f"run {number} did not end"
        )
        return found

    def process_of(self, kind: str, number: int) -> int | None:
        """Return the process that does the latest job about something, None where there is none."""
        jobs = self.ask(f"jobs/?subject_id={number}&kind={kind}")["results"]
        return job_process(self.site, jobs[0]["id"]) if jobs else None

    def says(self, code: str) -> Any:
        """Return what a piece of code prints in the site's own surroundings, as JSON."""
        return json.loads(self.site.manage("shell", "-v", "0", "-c", f"import json\n{code}").splitlines()[-1])


def job_process(site: Site, job: int) -> int | None:
    """Return the process of a job of this very site."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            is_it = words[-3:-1] == [b"runjob", str(job).encode()]
            if is_it and f"VAR_DIR={site.folder}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                return int(folder.name)
        except OSError:
            continue
    return None


def kill(process: int | None) -> bool:
    """Kill a process at once; return whether it was there."""
    try:
        if process is not None:
            os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return process is not None


@contextlib.contextmanager
def write_lock(site: Site) -> Iterator[None]:
    """Keep everybody else from writing to a site's SQLite file."""
    with contextlib.closing(sqlite3.connect(site.folder / "site.sqlite3", timeout=60, isolation_level=None)) as link:
        link.execute("BEGIN IMMEDIATE")
        yield
        link.execute("ROLLBACK")


def cut_connections(site: Site) -> int:
    """End every connection to a site's PostgreSQL database, and return how many there were."""
    import psycopg

    with psycopg.connect(site.environment["DATABASE_URL"], autocommit=True) as link:
        found = link.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()
    return int(found[0]) if found else 0


def built_clock(folder: Path) -> Path:
    """Compile the clock that can be moved."""
    library = folder / "clock.so"
    source = Path(__file__).with_name("clock.c")
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library
