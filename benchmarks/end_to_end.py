"""How long `runsimulation` takes from its start to its end, and where the time goes.

    python -m benchmarks.end_to_end [--tasks 100000] [--times 3] [--keep results|summary] [--cores 1,2]

Eight policies, every placement stored (or with `--keep summary` the figures only), live publishing on, in the database
of DATABASE_URL and through REDIS_URL where it is set. With several numbers of cores each is timed, in turn, on so many
cores and no more. The command is run as a user runs it, start-up included, and the quickest counts; beside it stands
what the run says of itself, from its start to its end. Once more it is run with a watch around its parts. The first run
of all compiles the kernels where they are not compiled, and is not counted. Give it a database of its own: the runs
stay.
"""

import argparse
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.project import ROOT
from scheduler_sim.engine.crew import cores

PARTS = {
    "start-up: interpreter, Django, Numba": "wall time until the command's own work begins",
    "tasks read": "from rows to the engine's columns",
    "kernels made": "compiled code read from its cache",
    "simulated": "all policies, with the waits for a writer that is behind",
    "of that, room awaited at the writer": "where this is most of it, the writer is the limit and not the cores",
    "figures and checksum computed": "while the last placements are stored",
    "last placements awaited": "",
    "figures stored, rows counted": "",
    "the rest": "the run's row, the display, the last snapshots, the end of the process",
}


@contextmanager
def on_cores(number: int) -> Iterator[None]:
    """Give what begins meanwhile this many of the process's cores, where the system lets one choose."""
    if sys.platform != "linux":
        yield
        return
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(own)[:number])
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)


def manage(*arguments: str) -> tuple[float, float, str]:
    """Run a command of manage.py; return its wall and its processor seconds, and what it says."""
    command = [sys.executable, str(ROOT / "manage.py"), *arguments]
    with tempfile.TemporaryFile("w+") as errors, tempfile.TemporaryFile("w+") as said:
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        took = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            raise SystemExit(errors.read())
        said.seek(0)
        return took, usage.ru_utime + usage.ru_stime, said.read()


class Watch:
    """Seconds by part of the run and kind of time."""

    def __init__(self) -> None:
        self.wall: dict[str, float] = defaultdict(float)
        self.processor: dict[str, float] = defaultdict(float)

    def around(self, owner: Any, name: str, part: str) -> None:
        """Time every call of a function or method of `owner`."""
        inner: Callable[..., Any] = getattr(owner, name)

        @functools.wraps(inner)
        def timed_call(*arguments: Any, **named: Any) -> Any:
            began, own = time.perf_counter(), time.thread_time()
            try:
                return inner(*arguments, **named)
            finally:
                self.wall[part] += time.perf_counter() - began
                self.processor[part] += time.thread_time() - own

        setattr(owner, name, staticmethod(timed_call) if isinstance(owner, type) and name == "of" else timed_call)


def play_watched(workload: str, born_at: float, keep: str, cores: int) -> None:
    """Play a run in this process with a watch around its parts, and print them."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_sim.settings")
    import django

    django.setup()
    from django.core.management import call_command

    from apps.live.management.commands import runsimulation
    from apps.live.play import runner
    from apps.live.play.conclusion import Ending
    from apps.live.store.writer import ResultWriter
    from apps.live.wire.publisher import Publisher

    watch = Watch()
    first, second, third, fourth, awaited, fifth, sixth, seventh, rest = PARTS
    watch.wall[first] = time.time() - born_at
    watch.processor[first] = time.thread_time()
    watch.around(runsimulation, "prepare", second)
    watch.around(runner, "make_players", third)
    watch.around(runner.Runner, "_simulate", fourth)
    watch.around(Ending, "of", fifth)
    watch.around(ResultWriter, "wait_for_room", awaited)
    watch.around(ResultWriter, "put", awaited)
    watch.around(ResultWriter, "close", sixth)
    watch.around(runner, "conclude", seventh)
    beside = Watch()
    beside.around(ResultWriter, "_work", "writer")
    beside.around(Publisher, "_work", "publisher")
    with Path(os.devnull).open("w") as nowhere:
        asked = {"workload": workload, "keep": keep, "cores": str(cores), "json": True, "stdout": nowhere}
        call_command("runsimulation", verbosity=0, skip_checks=False, **asked)
    inside = {kind: of_kind[awaited] for kind, of_kind in vars(watch).items()}
    watch.wall[rest] = time.time() - born_at - sum(watch.wall.values()) + inside["wall"]
    watch.processor[rest] = time.thread_time() - sum(watch.processor.values()) + inside["processor"]
    print(f"\n{'part of one run, in its own thread':42}{'wall s':>8}{'processor s':>13}")
    for part, words in PARTS.items():
        print(f"{part:42}{watch.wall[part]:8.2f}{watch.processor[part]:13.2f}  {words}")
    wall = sum(watch.wall.values()) - inside["wall"]
    print(f"{'all of it':42}{wall:8.2f}{sum(watch.processor.values()) - inside['processor']:13.2f}")
    print(
        f"{'beside it: the other threads of the policies':50}{time.process_time() - time.thread_time():13.2f}", end=""
    )
    print("  with the two below")
    for thread in ("writer", "publisher"):
        print(f"{'beside it: the ' + thread:42}{'':8}{beside.processor[thread]:13.2f}")


def main() -> None:
    """Time the command, then its parts."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--keep", choices=("results", "summary"), default="results")
    parser.add_argument("--cores", default=str(cores()), help="how many, comma-separated")
    parser.add_argument("--watched", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    numbers = [int(number) for number in arguments.cores.split(",")]
    workload = f"end to end {arguments.tasks}"
    if arguments.watched:
        play_watched(workload, arguments.watched, arguments.keep, numbers[0])
        return
    address = os.environ.get("DATABASE_URL", "")
    way = "PostgreSQL" if address.startswith("postgres") else "SQLite"
    redis = "Redis" if os.environ.get("REDIS_URL") else "the database"
    print(f"{way}, published through {redis}, {arguments.tasks:,} tasks x 8 policies, load {os.getloadavg()[0]:.1f}")
    manage("migrate", "--verbosity", "0")
    play = ("runsimulation", "--workload", workload, "--json", "--keep", arguments.keep)
    try:
        manage(*play, "--dry-run")
    except SystemExit:
        manage("generateworkload", "lublin", "--tasks", str(arguments.tasks), "--seed", "1", "--name", workload)
    manage(*play, "--limit", "200")
    taken: dict[int, list[tuple[float, float, float]]] = {number: [] for number in numbers}
    for _ in range(arguments.times):
        for number in numbers:
            with on_cores(number):
                wall, processor, said = manage(*play, "--cores", str(number))
            taken[number].append((wall, processor, json.loads(said)["wall_seconds"]))
    placements = 8 * arguments.tasks
    for number, times in taken.items():
        wall, processor, own = min(times)
        print(
            f"runsimulation on {number} cores, start-up included: {wall:.1f} s, the quickest of {len(times)}; "
            f"{own:.1f} s from the run's start to its end; {placements / wall:,.0f} placements/s; "
            f"processor time of the process {processor:.1f} s"
        )
        print("all of them: " + ", ".join(f"{wall:.1f} s ({own:.1f})" for wall, _, own in times), flush=True)
    print(f"load {os.getloadavg()[0]:.1f}", flush=True)
    for number in numbers:
        watched = ("--watched", str(time.time()), "--keep", arguments.keep, "--cores", str(number))
        print(f"\n{number} cores")
        with on_cores(number):
            subprocess.run(
                [sys.executable, "-m", "benchmarks.end_to_end", "--tasks", str(arguments.tasks), *watched],
                cwd=ROOT,
                check=True,
            )


if __name__ == "__main__":
    main()
