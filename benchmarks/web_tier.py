"""What people wait for pages and the API while others ask too and a run is played.

    python -m benchmarks.web_tier                                    SQLite, one server process
    DATABASE_URL=postgres://... python -m benchmarks.web_tier        PostgreSQL and a Redis of its own
    python -m benchmarks.web_tier --users 50 --think 2 --seconds 60 --profile

A site of its own with eight finished runs of 20,000 tasks under eight policies; each user asks for something by chance,
reads for a while (exponential, `--think` seconds on average) and asks again, without what a browser keeps. With
`--think 0` nobody reads: what comes is what the server can do. The run beside plays the same tasks, every row stored.
Everything is on one machine, the users included. `--profile` prints where the server's time goes.
"""

import http.client
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.attack.ground import UNLIMITED, own_database
from benchmarks.project import ROOT, described
from tests.live.live_site import Redis, Site

POLICIES = "fcfs,sjf,saf,wfp3,fcfs+easy,sjf+easy,saf+easy,wfp3+easy"
TASKS, RUNS = 20_000, 8
MADE = "made"
"""A file beside a site with all its runs."""

PLACES = {
    "/": 3,
    "/runs/": 2,
    "/runs/{run}/": 6,
    "/runs/{run}/gantt.json?scheduler=fcfs": 2,
    "/runs/{run}/at/500000/": 2,
    "/runs/{run}/groups/": 1,
    "/compare/?runs={run}&runs=1": 1,
    "/workloads/": 1,
    "/api/v1/runs/": 2,
    "/api/v1/runs/{run}/": 2,
    "/api/v1/history/?run={run}": 3,
    "/api/v1/history/latest/": 2,
    "/api/v1/leaderboard/?run={run}": 2,
    "/health": 1,
}
"""What is asked for, and how often compared with the others."""


@contextmanager
def site_of_ones_own(server: str, kept: Path | None) -> Iterator[Site]:
    """Start a site with finished runs, which may be there already on SQLite, and stop it."""
    with ExitStack() as stack:
        folder = kept or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(exist_ok=True)
        is_made = (folder / MADE).exists()
        environment: dict[str, Any] = dict(UNLIMITED)
        redis = Redis(folder) if server and shutil.which("redis-server") else None
        if redis is not None:
            stack.callback(redis.stop)
        if server:
            environment["DATABASE_URL"] = stack.enter_context(own_database(server))
        site = Site(folder, redis_url=redis.url if redis else "", **environment)
        stack.callback(site.close)
        if is_made:
            yield site
            return
        site.manage("generateworkload", "lublin", "--tasks", str(TASKS), "--seed", "1", "--name", "w", "-v", "0")
        for number in range(RUNS):
            site.manage("runsimulation", "--workload", "w", "--policies", POLICIES, "--seed", str(number), "-v", "0")
        (folder / MADE).touch()
        yield site


def play_beside(site: Site, over: threading.Event) -> None:
    """Play run after run until it is over."""
    while not over.is_set():
        process = site.launch("runsimulation", "--workload", "w", "--policies", POLICIES, "-v", "0")
        while process.poll() is None and not over.wait(0.2):
            pass
        process.kill()
        process.wait()


def use(port: int, think: float, seed: int, until: float, took: dict[str, list[float]], wrong: list[str]) -> None:
    """Be one user until then."""
    chance = random.Random(seed)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    time.sleep(chance.uniform(0, think))
    while time.monotonic() < until:
        [place] = chance.choices(list(PLACES), list(PLACES.values()))
        began = time.perf_counter()
        told = ""
        try:
            connection.request("GET", place.format(run=chance.randint(1, RUNS)))
            answer = connection.getresponse()
            answer.read()
            told = "" if answer.status == 200 else f"{place} {answer.status}"
        except (OSError, http.client.HTTPException) as error:
            told = f"{place} {type(error).__name__}"
            # The next question opens it anew.
            connection.close()
        took[place].append(time.perf_counter() - began)
        if told:
            wrong.append(told)
        if think:
            time.sleep(chance.expovariate(1 / think))
    connection.close()


def main() -> None:
    """Let users ask, and print what they waited."""
    parser = described(__doc__)
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--think", type=float, default=2.0, help="seconds between two questions of a user, on average")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--alone", action="store_true", help="no run beside")
    parser.add_argument("--profile", action="store_true", help="with py-spy: pip install py-spy")
    parser.add_argument("--site", type=Path, help="a folder for the site, made the first time and kept; SQLite alone")
    given = parser.parse_args()
    server = os.environ.get("DATABASE_URL", "")
    server = server if server.startswith("postgres") else ""
    if server and given.site:
        raise SystemExit("A site is kept on SQLite alone: leave DATABASE_URL or --site out.")
    with site_of_ones_own(server, given.site) as site:
        took: dict[str, list[float]] = defaultdict(list)
        wrong: list[str] = []
        over = threading.Event()
        beside = threading.Thread(target=play_beside, args=(site, over))
        if not given.alone:
            beside.start()
        for place in PLACES:  # Once, so that nothing is counted that only a new process does.
            use_once(site.port, place)
        spy = profiled(site.process_id, given.seconds) if given.profile else None
        began, spent = time.monotonic(), site.processor_seconds()
        users = [
            threading.Thread(target=use, args=(site.port, given.think, number, began + given.seconds, took, wrong))
            for number in range(given.users)
        ]
        for user in users:
            user.start()
        # Users who read end later, and ask no more.
        time.sleep(given.seconds)
        lasted, spent = time.monotonic() - began, site.processor_seconds() - spent
        for user in users:
            user.join()
        over.set()
        if beside.is_alive():
            beside.join()
        if spy is not None:
            spy.wait()
        every = np.concatenate([np.array(times) for times in took.values()])
        print(
            f"{'PostgreSQL and Redis' if server else 'SQLite'}, {given.users} users, {given.think:g} s to read, "
            f"{'no run' if given.alone else 'a run'} beside, load {os.getloadavg()[0]:.1f}: {len(every):,} answers, "
            f"{len(every) / lasted:.1f} a second, {len(wrong)} not 200 {sorted(set(wrong))}, "
            f"daphne {spent / lasted:.2f} cores, {1e3 * spent / len(every):.1f} ms of it an answer"
        )
        print("| asked for | times | median, ms | 95 % | 99 % | most |\n|---|---:|---:|---:|---:|---:|")
        for place, times in (*sorted(took.items()), ("all of it", list(every))):
            at = [f"{1e3 * value:.0f}" for value in (*np.percentile(times, [50, 95, 99]), max(times))]
            print(f"| `{place}` | {len(times)} | {' | '.join(at)} |")


def use_once(port: int, place: str) -> None:
    """Ask for something once."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("GET", place.format(run=1))
    connection.getresponse().read()
    connection.close()


def profiled(process: int, seconds: float) -> "subprocess.Popen[bytes]":
    """Begin to watch a process."""
    where = ROOT / "var" / "web_tier.svg"
    print(f"profile: {where}", file=sys.stderr)
    words = ["py-spy", "record", "-p", str(process), "-d", str(int(seconds)), "-o", str(where), "--idle"]
    return subprocess.Popen(words)


if __name__ == "__main__":
    main()
