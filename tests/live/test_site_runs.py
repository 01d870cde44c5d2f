"""Runs on stored sites: how they are asked for, what is kept of them, and that their site stays what it was."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from apps.results.models import Run, SchedulerResult
from apps.tasks.models import Site
from apps.tasks.site_services import site_store
from scheduler_sim.engine import sites

pytestmark = pytest.mark.django_db(transaction=True)

DESCRIPTION: dict[str, Any] = {
    "name": "tiny",
    "groups": [
        {"name": "thin", "hosts": "c[1-2]", "cores": 4, "memory_mb": 1000},
        {"name": "fat", "hosts": "f1", "cores": 8, "memory_mb": 4000},
    ],
    "partitions": [
        {"name": "batch", "hosts": "c[1-2]", "is_default": True, "max_time": 3600},
        {"name": "big", "hosts": "f1"},
    ],
}
TASKS = """task_id,arrival_time,runtime,duration_estimate,cpus,user,queue,recorded_start_time
1,0,100,200,4,ann,batch,0
2,1,100,200,4,bob,batch,1
3,2,100,200,4,cat,batch,100
4,3,50,60,8,ann,big,3
5,4,10,20,2,bob,batch,101
"""


@pytest.fixture
def site() -> Site:
    return site_store(site=sites.Site.from_json(DESCRIPTION))[0]


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "tasks.csv"
    path.write_text(TASKS)
    return path


def run(*arguments: object) -> str:
    out = StringIO()
    call_command("runsimulation", *map(str, arguments), stdout=out, verbosity=0)
    return out.getvalue()


def document(*arguments: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(*arguments, "--json"))
    return found


def placed(scheduler: str = "fcfs") -> dict[int, tuple[float, int]]:
    rows = SchedulerResult.objects.filter(scheduler=scheduler)
    return {number: (start, node) for number, start, node in rows.values_list("task__task_id", "start_time", "node")}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--site", "other"), "There is no site 'other'. Sites: tiny."),
        (("--site", "tiny@2"), "There is no site 'tiny@2'. Sites: tiny."),
        (("--site", "tiny", "--cluster", "hpc-4"), "Give --cluster or --site, not both"),
        (("--site", "tiny", "--add-nodes", "x=1"), "Site tiny has no node group or partition 'x'"),
        (("--site", "tiny", "--drop-nodes", "c9"), "Site tiny has no node c9"),
    ],
)
def test_what_cannot_be_played_is_refused(trace: Path, site: Site, arguments: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(CommandError) as refused:
        run("--workload", trace, "--policies", "fcfs", *arguments)
    assert sentence in str(refused.value)
    assert not Run.objects.exists()
