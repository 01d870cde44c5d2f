"""What the machine and others do meanwhile: exports beside deletions, steps of the clock, a database that goes away."""

import json
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from benchmarks.attack.ground import (
    ENDED,
    Broken,
    Caller,
    Count,
    Ground,
    built_clock,
    cut_connections,
    hold,
    until,
    write_lock,
)
from benchmarks.project import ROOT

STEPS = (-3600.0, -30.0, 30.0, 3600.0, 86_400.0)


def races(ground: Ground, count: Count) -> None:
    """Export a run while `prune` deletes it; each export is whole, or it fails and leaves no file."""
    with ground.site(count) as caller:
        tries, seed = str(ground.times(50)), str(ground.chance.randrange(10**6))
        command = [sys.executable, "-m", "benchmarks.attack.races", str(caller.site.folder), tries, seed]
        done = subprocess.run(
            command, cwd=ROOT, env=caller.site.environment, check=False, capture_output=True, text=True
        )
        hold(done.returncode == 0, f"the driver ended with {done.returncode}: {done.stderr[-500:]}")
        for number, race in enumerate(json.loads(done.stdout.splitlines()[-1])):
            with count.one(f"race {number}, {race['kind']}, {race['format']}"):
                count.seen["whole" if race["exported"] == 0 else "refused"] += 1
                if race["exported"] == 0:
                    hold(race["rows"] == race["expected"], f"{race['rows']} of {race['expected']} rows")
                else:
                    hold(race["sentence"].endswith("."), f"it says {race['sentence']!r}")
                    hold(race["rows"] is None, "a file is left of an export that failed")
                hold(race["deleted"] == 0, "the deletion failed")
                hold(not race["left"], f"files are left: {race['left']}")


def clock_steps(ground: Ground, count: Count) -> None:
    """Step the wall clock of a whole site, by seconds up to a day and back, while runs are played."""
    folder = None
    with ground.site(count) as caller:
        folder = caller.site.folder
        whole = caller.ended_run(caller.start("undisturbed"))["checksum"]
        clock = folder / "offset"
        clock.write_bytes(bytes(8))
        caller.site.stop()
        caller.site.environment |= {"LD_PRELOAD": str(built_clock(folder)), "MOVED_CLOCK": str(clock)}
        caller.site.start()

        def step(seconds: float) -> None:
            with clock.open("r+b") as file:
                file.write(struct.pack("q", round(seconds * 1e9)))

        with count.one("a clock that was moved"):
            step(7 * 86_400.0)
            shown = caller.says("import time\nprint(time.time())")
            hold(abs(shown - time.time() - 7 * 86_400.0) < 60, "the site does not see it")
            step(0.0)
        for number in range(ground.times(5)):
            run = caller.start(f"stepped {number}", rate=200)
            caller.wait_until_played(run)
            for _ in range(4):
                by = ground.chance.choice(STEPS)
                with count.one(f"step by {by:g} s during run {run}"):
                    step(by)
                    count.seen[f"{by:+g} s"] += 1
                    time.sleep(ground.chance.uniform(0.5, 2.0))
                    found = caller.run(run)
                    hold(found["status"] in ("running", "finished"), f"the run is {found['status']}: {found['error']}")
                    hold(not found["interrupted"], "the run counts as interrupted")
                    count.seen[_second(caller, run)] += 1
            step(0.0)
            with count.one(f"run {run}"):
                ended = caller.ended_run(run)
                hold(ended["status"] == "finished" and ended["checksum"] == whole, "the run did not end as undisturbed")


def _second(caller: Caller, run: int) -> str:
    """Let another process ask for the run, and return what became of it; that it gets in is `Broken`."""
    done = subprocess.run(
        [sys.executable, "manage.py", "runsimulation", "--resume", str(run)],
        cwd=ROOT,
        env=caller.site.environment,
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode == 0:
        # One that is finished is printed and not played again.
        hold("Playing" not in done.stderr and caller.run(run)["status"] == "finished", "a second process got in")
        return "second process too late"
    said = done.stderr.strip()[-300:]
    hold(done.returncode == 1 and "is being played" in said, f"a second process said {said!r}")
    return "second process refused"


def database_away(ground: Ground, count: Count) -> None:
    """Cut every connection to PostgreSQL, or keep SQLite's write lock, at random moments; nothing answers 500."""
    with ground.site(count) as caller:
        whole = caller.ended_run(caller.start("undisturbed"))["checksum"]
        disturb: Callable[[], object] = (
            (lambda: cut_connections(caller.site)) if ground.postgresql else _locked(ground, caller)
        )
        for number in range(ground.times(6)):
            run = caller.start(f"disturbed {number}", rate=200)
            caller.wait_until_played(run)
            for disturbance in range(4):
                with count.one(f"disturbance {disturbance} of run {run}"):
                    time.sleep(ground.chance.uniform(0.0, 1.0))
                    beside = threading.Thread(target=disturb)
                    beside.start()
                    for path in ("/", f"/runs/{run}/", "/api/v1/runs/", "/workloads/", "/admin/login/"):
                        status = caller.fetch(path)[0]
                        count.seen[f"answers {status}"] += 1
                        hold(status in (200, 503), f"{path} was answered with {status}")
                    beside.join()
            with count.one(f"run {run}"):
                ended = _ended_though_away(caller, run)
                if ended["status"] != "finished" and ended["interrupted"]:
                    raise Broken(f"it was interrupted: {ended['error']}")
                hold(
                    ended["status"] == "finished" and ended["checksum"] == whole,
                    f"it ended otherwise: {ended['error']}",
                )


def _ended_though_away(caller: Caller, run: int) -> dict[str, Any]:
    def ended() -> dict[str, Any] | None:
        try:
            found = caller.run(run)
        except Broken:
            return None
        return found if found["status"] in ENDED else None

    found: dict[str, Any] = until(ended, 180, "it did not end")
    return found


def _locked(ground: Ground, caller: Caller) -> Callable[[], None]:
    def disturb() -> None:
        with write_lock(caller.site):
            time.sleep(ground.chance.uniform(0.5, 3.0))

    return disturb
