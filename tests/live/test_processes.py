"""A runner that died is told from one that lives."""

import os
import subprocess
import sys
from datetime import timedelta

from django.utils import timezone

from scheduler_sim.background import processes


def described(**changes: object) -> dict[str, object]:
    mine = {
        "host": processes.host_name(),
        "process_id": os.getpid(),
        "process_started_at": processes.started_at(os.getpid()),
        "heartbeat_at": timezone.now(),
    }
    return {**mine, **changes}


def test_this_process_lives() -> None:
    assert processes.is_alive(**described())


def test_no_process_number_means_nobody_plays() -> None:
    assert not processes.is_alive(**described(process_id=None))


def test_a_process_that_ended_is_dead_at_once_whatever_its_heartbeat_says() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    assert not processes.is_alive(**described(process_id=child.pid))


def test_a_later_process_with_the_same_number_is_not_the_runner() -> None:
    earlier = processes.started_at(os.getpid()) - timedelta(minutes=5)
    assert not processes.is_alive(**described(process_started_at=earlier))


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert processes.started_at(child.pid) is None
    child.wait()


def test_a_runner_on_another_machine_lives_as_long_as_its_heart_beats() -> None:
    other = {"host": "another", "process_id": 1}
    assert processes.is_alive(**described(**other))
    silent = timezone.now() - processes.STALE_AFTER - timedelta(seconds=1)
    assert not processes.is_alive(**described(**other, heartbeat_at=silent))
