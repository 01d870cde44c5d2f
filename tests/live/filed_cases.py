"""Runs with `keep: parquet` whose files are small, so that a few hundred tasks have several."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from apps.live.play import file_writer
from apps.live.play.configuration import RunConfiguration
from apps.live.play.launch import run_create
from apps.results import filed_rows, placement_files
from apps.results.models import Run
from apps.tasks.models import Workload
from apps.tasks.services import workload_generate
from scheduler_sim.engine.clusters.presets import load_cluster

TASKS = 300
Keep = Literal["results", "summary", "parquet"]


@contextmanager
def small_files(monkeypatch: pytest.MonkeyPatch, folder: Path, settings: Any) -> Iterator[None]:
    """Have several files a policy, and several row groups a file, in a folder of their own."""
    settings.PLACEMENTS_DIR = folder / "placements"
    settings.PLACEMENTS_DIR.mkdir()
    monkeypatch.setattr(file_writer, "FILE_ROWS", 64)
    monkeypatch.setattr(placement_files, "GROUP_ROWS", 16)
    filed_rows._open.cache_clear()
    yield
    filed_rows._open.cache_clear()


def created_run(
    name: str,
    *,
    policies: tuple[str, ...],
    keep: Keep = "parquet",
    workload: Workload | None = None,
    **options: Any,
) -> Run:
    """Return a run of 300 tasks that is to be played."""
    if workload is None:
        workload, _ = workload_generate(
            model="lublin", tasks=TASKS, seed=1, name="tasks", parameters={"processors": 64, "load": 0.95}
        )
    return run_create(
        workload=workload,
        cluster=load_cluster("hpc-64"),
        configuration=RunConfiguration(policies=policies, keep=keep, **options),
        name=name,
    )
