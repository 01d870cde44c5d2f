"""Count the house for docs/architecture.md: files of Python, the largest rooms, and what a run of three tasks enters.

    .venv/bin/python -m benchmarks.house

plays on a database of its own. The run that is counted is the second one of the process, which compiles nothing anew.
"""

import os
import sys
import tempfile
import threading
from collections import Counter
from io import StringIO
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks.project import ROOT

TOPS = tuple(str(ROOT / top) + os.sep for top in ("apps", "scheduler_sim"))


def rooms() -> Counter[str]:
    """Return how many files of Python each folder holds, those of migrations apart from the others."""
    files = (path for top in TOPS for path in Path(top).rglob("*.py"))
    return Counter(str(path.parent.relative_to(ROOT)) for path in files)


def entered(folder: Path) -> set[str]:
    """Return the files of ours of which a function is entered while three tasks are played under fcfs."""
    import django

    os.environ |= {"VAR_DIR": str(folder), "DATABASE_URL": "", "REDIS_URL": "", "CELERY_BROKER_URL": ""}
    os.environ["DJANGO_SETTINGS_MODULE"] = "scheduler_sim.settings"
    os.environ.setdefault("NUMBA_CACHE_DIR", str(ROOT / "var" / "numba"))
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    found: set[str] = set()

    def look(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(TOPS):
            found.add(frame.f_code.co_filename)

    for name in ("first", "second"):
        trace = folder / f"{name}.swf"
        trace.write_text("".join(f"{n} {n * 10} 0 60 1 -1 -1 1 90 -1 1 1 1 1 1 -1 -1 -1\n" for n in (1, 2, 3)))
        found.clear()
        threading.setprofile(look)
        sys.setprofile(look)
        call_command("runsimulation", f"--workload={trace}", "--cluster=hpc-4", "--policies=fcfs", stdout=StringIO())
        sys.setprofile(None)
        threading.setprofile(None)
    return found


def main() -> None:
    """Print the counts."""
    counted = rooms()
    code = {room: files for room, files in counted.items() if not room.endswith("migrations")}
    with tempfile.TemporaryDirectory() as folder:
        played = entered(Path(folder))
    print(f"files of Python in apps/ and scheduler_sim/: {counted.total()}")
    print("largest rooms:", ", ".join(f"{room} {files}" for room, files in Counter(code).most_common(6)))
    print(f"files of ours that a three-task runsimulation enters: {len(played)}")


if __name__ == "__main__":
    main()
