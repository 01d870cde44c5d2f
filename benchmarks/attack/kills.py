"""Processes that are killed at random moments: of runs, of studies, of imports."""

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.attack.ground import Caller, Count, Ground, hold, kill, until
from benchmarks.project import ROOT

SWEPT_SECONDS = 60
"""Within so long a dead process must have been told of; the sweep comes every five seconds."""


def runs_in_pieces(ground: Ground, count: Count) -> None:
    """Kill runs that commit 150 rows a transaction, in forks without a server; resume and compare."""
    with ground.site(count) as caller:
        command = [
            sys.executable,
            "-m",
            "tests.live.crash_driver",
            str(ground.times(60)),
            str(ground.chance.randrange(10**6)),
        ]
        done = subprocess.run(
            command, cwd=ROOT, env=caller.site.environment, check=False, capture_output=True, text=True
        )
        hold(done.returncode == 0, f"the driver ended with {done.returncode}: {done.stderr[-500:]}")
        for number, attempt in enumerate(json.loads(done.stdout.splitlines()[-1])["attempts"]):
            with count.one(f"kill {number}"):
                count.seen["killed" if attempt["killed"] else "over before"] += 1
                hold(attempt["status"] == "finished", f"it is {attempt['status']}")
                hold(attempt["kept"] == attempt["progress"], "rows and progress differ after the kill")
                hold(attempt["kept_spans"] == attempt["spans"], "attempts and rows differ after the kill")
                hold(attempt["same"] and not attempt["faults"], f"not as if undisturbed: {attempt['faults']}")


def runs(ground: Ground, count: Count) -> None:
    """Kill the processes of runs that were asked for over HTTP; take them up and compare the checksums."""
    with ground.site(count) as caller:
        began = time.monotonic()
        whole = caller.ended_run(caller.start("undisturbed"))["checksum"]
        duration = time.monotonic() - began
        moments = [ground.chance.uniform(0.0, duration) for _ in range(ground.times(30))]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda one: _kill_run(caller, count, *one, whole=whole), enumerate(moments)))
        with count.one("all runs together"):
            hold(caller.site.metric("scheduler_sim_rows_outstanding") == 0, "rows are outstanding")
            told = caller.site.manage("verifyrun", "--all")
            hold("runs are as they should be" in told, told[-300:])


def _kill_run(caller: Caller, count: Count, number: int, moment: float, *, whole: str) -> None:
    with count.one(f"run {number} killed after {moment:.2f} s"):
        run = caller.start(f"killed {number}")
        time.sleep(moment)
        hit = kill(caller.process_of("run", run))
        ended = until(
            lambda: (found := caller.run(run))["status"] in ("failed", "finished") and found,
            SWEPT_SECONDS,
            "the kill was not told",
        )
        count.seen["killed" if hit and ended["status"] == "failed" else "over, or not begun"] += 1
        if ended["status"] == "failed":
            hold(ended["interrupted"] and ended["error"].endswith("."), f"it says {ended['error']!r}")
            caller.ask(f"runs/{run}/take-up/", {})
            ended = caller.ended_run(run)
        hold(ended["status"] == "finished", f"it is {ended['status']}: {ended['error']}")
        hold(ended["checksum"] == whole, "another checksum than undisturbed")


def studies(ground: Ground, count: Count) -> None:
    """Kill workers of a study, and the study itself, until it has come to its end; compare run by run."""
    with ground.site(count) as caller:
        definition = {
            "workloads": ["large"],
            "clusters": ["hpc-256"],
            "policies": ["fcfs", "sjf+easy", "srtf"],
            "seeds": max(2, ground.times(12)),
            "keep": "results",
        }
        _play_study(caller, {**definition, "name": "undisturbed"})
        kills = 0
        for _ in range(40):
            count.seen["starts"] += 1
            process = _study_process(caller, {**definition, "name": "killed"})
            while process.poll() is None:
                time.sleep(ground.chance.uniform(0.5, 3.0))
                victims = [process.pid, *_children(process.pid)[1:]]
                # A study that dies at every turn would only ever begin.
                victim = process.pid if ground.chance.random() < 0.15 else ground.chance.choice(victims)
                if kills < ground.times(30) and kill(victim):
                    kills += 1
                    count.seen["study" if victim == process.pid else "worker"] += 1
            process.wait()
            if caller.says(_COUNTED)["all finished"]:
                break
        found = caller.says(_COUNTED)
        for digest, checksums in found["checksums"].items():
            with count.one(f"run {digest[:8]}"):
                hold(len(checksums) == 2, f"{len(checksums)} runs instead of two have this digest")
                hold(checksums[0] and checksums[0] == checksums[1], "another checksum than undisturbed")


_COUNTED = """
from apps.results.models import Run
runs = list(Run.objects.values_list("digest", "checksum", "status"))
found = {}
for digest, checksum, _ in runs:
    found.setdefault(digest, []).append(checksum)
# A study that is killed before it has stored its runs has none yet.
done = len(runs) == 2 * len(found) and all(status == "finished" for *_, status in runs)
print(json.dumps({"all finished": done, "checksums": found}))
"""


def _study_process(caller: Caller, definition: dict[str, object]) -> "subprocess.Popen[str]":
    path = caller.site.folder / f"{definition['name']}.json"
    path.write_text(json.dumps(definition))
    return caller.site.launch("runstudy", str(path), "--workers", "2", "--verbosity", "0")


def _play_study(caller: Caller, definition: dict[str, object]) -> None:
    process = _study_process(caller, definition)
    process.communicate()
    hold(process.returncode == 0, f"the undisturbed study ended with {process.returncode}: {caller.site.log[-400:]}")


def _children(process: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


def readers(ground: Ground, count: Count) -> None:
    """Kill the processes that read uploads; each import ends with a sentence, and none leaves a file."""
    rows = b"".join(b"%d,%d,%d,1\n" % (number, number, number % 900 + 1) for number in range(60_000))
    with ground.site(count) as caller:

        def send(number: int) -> int:
            # Every file is another one: the same is found to be stored.
            status, sent = caller.upload(
                "trace.csv", b"id,arrival_time,runtime,cpus\n" + rows + b"99999,%d,7,1\n" % number
            )
            hold(status == 202, f"the upload was answered with {status}")
            return int(sent["id"])

        def ended(sent: int) -> dict[str, str]:
            found: dict[str, str] = until(
                lambda: (one := caller.ask(f"imports/{sent}/"))["status"] in ENDED_IMPORT and one,
                SWEPT_SECONDS,
                f"import {sent} did not end",
            )
            return found

        began = time.monotonic()
        hold(ended(send(-1))["status"] == "finished", "an honest file was refused")
        duration = time.monotonic() - began
        for number in range(ground.times(30)):
            with count.one(f"import {number}"):
                sent = send(number)
                time.sleep(ground.chance.uniform(0.0, duration))
                hit = kill(caller.process_of("import", sent))
                result = ended(sent)
                count.seen["killed" if hit and result["status"] == "failed" else "over, or not begun"] += 1
                hold(result["status"] == "finished" or result["error"].endswith("."), f"it says {result['error']!r}")
        with count.one("an honest file afterwards"):
            hold(ended(send(10**6))["status"] == "finished", "it was not read")
            hold(not [*(caller.site.folder / "uploads").iterdir()], "uploads are left on disk")
            found = caller.says(_HALF_STORED)
            hold(not found, f"workloads {found} hold other numbers of tasks than they say")


ENDED_IMPORT = ("finished", "failed")
_HALF_STORED = """
from apps.tasks.models import Workload
print(json.dumps([one.pk for one in Workload.objects.all() if one.tasks.count() != one.task_count]))
"""
