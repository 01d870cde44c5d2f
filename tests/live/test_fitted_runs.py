"""Runs of workloads that were fitted to others."""

import json
import shlex
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from apps.live.exchange.manifest import InvalidManifest, manifest_parts, run_manifest
from apps.results.models import Run
from apps.tasks.models import Workload

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_manifest_finds_a_fitted_workload_while_it_is_stored() -> None:
    quiet: dict[str, Any] = {"stdout": StringIO(), "verbosity": 0}
    call_command("generateworkload", "lublin", "--tasks", "400", "--processors", "8", "--name", "record", **quiet)
    call_command("generateworkload", "jann", "--from", "record", "--days", "1", "--name", "day", **quiet)
    call_command("runsimulation", workload="day", cluster="hpc-8", policies="fcfs", limit=20, keep="summary", **quiet)
    run = Run.objects.get()
    manifest = json.loads(json.dumps(run_manifest(run)))
    assert manifest_parts(manifest)[0] == run.workload
    run.delete()
    Workload.objects.get(name="day").delete()
    said = r"fitted to workload record \(its tasks' digest begins with \w{12}\).* jann --from record --days=1 --seed 0$"
    with pytest.raises(InvalidManifest, match=said) as refused:
        manifest_parts(manifest)
    call_command(*shlex.split(str(refused.value).partition("make it with: ")[2]), **quiet)
    assert manifest_parts(manifest)[0].name == "record-jann-seed0"
