"""The files in which several processes count, without those of processes that have ended.

Each process counts in files of its own in PROMETHEUS_MULTIPROC_DIR, a run's process too. What ended processes counted
is added up in one file a kind of metric, so that the folder does not grow with every run.
"""

import fcntl
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import multiprocess
from prometheus_client.mmap_dict import MmapedDict

_ADDED_UP = ("counter", "histogram", "summary")


@contextmanager
def tidied(folder: Path) -> Iterator[None]:
    """Add up what ended processes counted, and keep other readers out until the body has read the folder."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ended = [number for number in _processes(folder) if not _lives(number)]
        for number in ended:
            # What only living processes have, such as open connections.
            multiprocess.mark_process_dead(number, str(folder))
        for kind in _ADDED_UP:
            if files := [path for number in ended if (path := folder / f"{kind}_{number}.db").exists()]:
                _add_up(files, folder / f"{kind}_ended.db")
        yield


def _processes(folder: Path) -> set[int]:
    return {int(found[1]) for path in folder.glob("*.db") if (found := re.search(r"_(\d+)\.db$", path.name))}


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # Another user's.
    return True


def _add_up(files: Sequence[Path], total: Path) -> None:
    values: dict[str, float] = defaultdict(float)
    for path in (*files, *([total] if total.exists() else [])):
        for key, value, *_ in MmapedDict.read_all_values_from_file(str(path)):
            values[key] += value
    unfinished = total.with_suffix(".part")
    unfinished.unlink(missing_ok=True)
    made = MmapedDict(str(unfinished))
    for key, value in values.items():
        made.write_value(key, value, 0.0)
    made.close()
    unfinished.replace(total)
    for path in files:
        path.unlink()
