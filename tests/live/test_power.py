"""Runs on nodes that sleep, and runs that keep a power cap: what is stored, verified, refused and played again."""

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from apps.live.play.configuration_words import cluster_in_words
from apps.metrics.models import Metric
from apps.results.models import GangBlock, Run, SchedulerResult
from tests.files import written

pytestmark = pytest.mark.django_db(transaction=True)

SWF = """; MaxProcs: 12
1 0 -1 3600 8 -1 -1 8 4000 -1 1 1 1 -1 1 -1 -1 -1
2 7200 -1 3600 2 -1 -1 2 4000 -1 1 2 1 -1 1 -1 -1 -1
3 7300 -1 600 2 -1 -1 2 4000 -1 1 1 1 -1 1 -1 -1 -1
"""
SLEEP: dict[str, float] = {"suspend_time": 600, "resume_time": 120, "asleep_watts": 4, "waking_watts": 60}
NODES = {"name": "n", "count": 3, "cores": 4, "cpu_idle_watts": 10, "cpu_busy_watts": 25}


def command(name: str, *arguments: object) -> str:
    out = StringIO()
    call_command(name, *map(str, arguments), stdout=out)
    return out.getvalue()


def play(place: Path, *arguments: object, **more: object) -> Metric:
    written(place / "small.swf", SWF)
    group = {**NODES, **more}
    written(place / "cluster.json", json.dumps({"name": "three", "groups": [group]}))
    command(
        "runsimulation",
        *("--workload", place / "small.swf", "--cluster", place / "cluster.json", "--name", "run"),
        *("--policies", "fcfs+list", "--verbosity", "0", *arguments),
    )
    return Metric.objects.get(run__name="run", is_total=True)


def test_a_run_on_nodes_that_sleep_tells_what_that_saved_and_is_verified(tmp_path: Path) -> None:
    total = play(tmp_path, sleep=SLEEP)
    starts = SchedulerResult.objects.order_by("task__task_id").values_list("start_time", flat=True)
    # Two nodes go to sleep after 600 s of an idle third, and at 4,200 s; one wakes at 7,200 s, for two tasks.
    assert list(starts) == [0.0, 7320.0, 7320.0]
    assert GangBlock.objects.count() == 1
    assert total.asleep_time == (7200 - 4200) + (10920 - 4200) + (10920 - 600)
    assert (total.wakes, total.woken_starts) == (1.0, 2.0)
    assert total.saved_joules == total.asleep_time * 36 - 120 * 20
    busy = 8 * 3600 + 2 * 3600 + 2 * 600
    assert total.energy_joules == busy * 25.0
    assert total.idle_energy_joules == 3 * 40 * 10920 - busy * 10.0 - total.saved_joules
    windows = Metric.objects.filter(is_total=False)
    assert sum(one.asleep_time or 0.0 for one in windows) == pytest.approx(total.asleep_time)
    command("verifyrun", "run", "--replay")


def test_without_sleep_nothing_is_told_of_it(tmp_path: Path) -> None:
    total = play(tmp_path)
    assert (total.asleep_time, total.wakes, total.woken_starts, total.saved_joules) == (None,) * 4


def test_starts_keep_the_cap_where_the_run_says_so(tmp_path: Path) -> None:
    written(tmp_path / "cap.csv", "time,power_cap\n0,250\n7200,150\n9000,250\n")
    command("importseries", tmp_path / "cap.csv", "--kind", "power_cap", "--name", "cap")
    arguments = ("--series", "cap", "--series-beyond", "hold")
    counted = play(tmp_path, *arguments)
    assert counted.over_cap_time == 600.0
    Run.objects.all().delete()
    held = play(tmp_path, *arguments, "--hold-cap", "--write-manifest", tmp_path / "run.json")
    assert held.over_cap_time == 0.0
    starts = SchedulerResult.objects.filter(run__name="run").order_by("task__task_id")
    assert list(starts.values_list("start_time", flat=True)) == [0.0, 7200.0, 9000.0]
    command("verifyrun", "run", "--replay")
    command("runsimulation", "--manifest", tmp_path / "run.json", "--name", "again", "--verbosity", "0")
    assert Run.objects.get(name="again").checksum == Run.objects.get(name="run").checksum


def test_a_cap_needs_its_series(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="hold_cap has no meaning without series"):
        play(tmp_path, "--hold-cap")
    written(tmp_path / "price.csv", "time,price\n0,0.2\n3600,0.2\n")
    command("importseries", tmp_path / "price.csv", "--kind", "price", "--name", "price")
    with pytest.raises(CommandError, match="hold_cap needs a series of a power cap"):
        play(tmp_path, "--series", "price", "--series-beyond", "hold", "--hold-cap")


STEPS = [{"cpu_speed": 1.0, "cpu_busy_watts": 25.0}, {"cpu_speed": 0.5, "cpu_busy_watts": 14.0}]


def test_a_run_at_a_step_of_frequency_takes_its_time_and_watts_and_is_verified(tmp_path: Path) -> None:
    fast = play(tmp_path, frequencies=STEPS)
    Run.objects.all().delete()
    slow = play(tmp_path, "--frequency", 2, "--write-manifest", tmp_path / "run.json", frequencies=STEPS)
    assert fast.energy_joules is not None
    assert slow.energy_joules == fast.energy_joules * 2 / 25 * 14
    run = Run.objects.get(name="run")
    assert run.cluster["groups"][0]["frequency"] == 2
    assert "at step 2 of 2 frequencies" in cluster_in_words(run.cluster)
    command("verifyrun", "run", "--replay")
    command("runsimulation", "--manifest", tmp_path / "run.json", "--name", "again", "--verbosity", "0")
    assert Run.objects.get(name="again").checksum == run.checksum


def test_a_step_of_frequency_must_be_stated(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No node group of three states frequencies"):
        play(tmp_path, "--frequency", 2)
    with pytest.raises(CommandError, match="frequency is 3, and 2 frequencies are stated"):
        play(tmp_path, "--frequency", 3, frequencies=STEPS)
