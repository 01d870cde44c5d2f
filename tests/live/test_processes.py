"""A process that died is told from one that lives, whatever the clocks say."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from apps.live.models import SimulationState
from apps.results.errors import RunStateError
from apps.results.models import Run
from scheduler_sim.background import locks, processes
from tests.web.conftest import make_run

pytestmark = pytest.mark.django_db


@pytest.fixture
def state() -> Iterator[SimulationState]:
    """The state of a run that is being played by nobody."""
    run = make_run(1, status=Run.Status.RUNNING)
    found = SimulationState.objects.select_related("run").get(run=run)
    yield found
    locks.free(found.lock_key)


def again(state: SimulationState, **changes: object) -> SimulationState:
    """Change the row as another process would, and read it anew."""
    SimulationState.objects.filter(pk=state.pk).update(**changes)
    return SimulationState.objects.select_related("run").get(pk=state.pk)


def test_a_claim_lives_with_its_process(state: SimulationState) -> None:
    assert not state.is_alive
    state.claim()
    assert again(state).is_alive
    assert again(state).is_mine
    state.release()
    assert not again(state).is_alive


def test_a_process_that_ended_is_dead_at_once_whatever_its_heartbeat_says(state: SimulationState) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    state.claim()
    mine = again(state, process_id=child.pid, process_start_ticks=processes.start_ticks(child.pid))
    assert mine.is_alive
    child.kill()
    child.wait()
    assert not again(state, heartbeat_at=timezone.now() + timedelta(hours=1)).is_alive


def test_a_later_process_with_the_same_number_is_not_the_one(state: SimulationState) -> None:
    state.claim()
    assert state.process_start_ticks is not None
    assert not again(state, process_start_ticks=state.process_start_ticks - 1).is_alive


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert processes.start_ticks(child.pid) is None
    child.wait()


@pytest.mark.parametrize("step", [-3600, -30, 30, 3600])
def test_a_step_of_the_clock_changes_nothing(
    state: SimulationState, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    state.claim()
    moved = time.time() + step
    monkeypatch.setattr(time, "time", lambda: moved)
    monkeypatch.setattr(timezone, "now", lambda: datetime.fromtimestamp(moved, UTC))
    found = again(state, heartbeat_at=datetime.fromtimestamp(moved - 10 * step, UTC))
    assert found.is_alive
    assert not found.is_interrupted
    assert processes.start_ticks(os.getpid()) == state.process_start_ticks


def test_nobody_else_gets_in_while_the_process_lives(state: SimulationState) -> None:
    other = again(state, process_id=1, machine=processes.machine(), process_start_ticks=processes.start_ticks(1))
    with pytest.raises(RunStateError, match="is being played by process 1"):
        other.claim()


HOLDER = """
import sys, django
django.setup()
from django.db import connection
connection.settings_dict["NAME"] = sys.argv[2]
from scheduler_sim.background import locks
print(locks.take(sys.argv[1]), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(state: SimulationState) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds the lock of the state, as one on another machine might."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, state.lock_key, str(connection.settings_dict["NAME"])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "scheduler_sim.settings"},
    )
    assert child.stdout is not None
    assert child.stdout.readline().strip() == "True"
    yield child
    child.kill()
    child.wait()


@pytest.mark.parametrize("step", [timedelta(seconds=-30), timedelta(seconds=30), timedelta(days=1)])
def test_a_process_of_another_machine_lives_as_long_as_its_lock(
    state: SimulationState, holder: "subprocess.Popen[str]", step: timedelta
) -> None:
    far = {"host": "far", "machine": "another boot", "process_id": 7, "process_start_ticks": 1}
    found = again(state, **far, heartbeat_at=timezone.now() - step)
    assert found.is_alive
    with pytest.raises(RunStateError, match="is being played by process 7 on far"):
        found.claim()
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    until = time.monotonic() + 10
    while again(state).is_alive and time.monotonic() < until:
        time.sleep(0.02)
    assert not again(state).is_alive
    again(state).claim()
    assert again(state).is_mine


def test_one_lock_is_had_by_one_process(state: SimulationState, holder: "subprocess.Popen[str]") -> None:
    assert locks.is_held(state.lock_key)
    assert not locks.take(state.lock_key)
    holder.kill()
    holder.wait()
    until = time.monotonic() + 10
    while not locks.take(state.lock_key) and time.monotonic() < until:
        time.sleep(0.02)
    assert locks.keep() == []
    locks.free(state.lock_key)
    assert not locks.is_held(state.lock_key)


def test_a_lock_that_a_broken_connection_let_go_of_is_taken_anew(state: SimulationState) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("Only PostgreSQL keeps locks with a connection.")
    assert locks.take(state.lock_key)
    assert locks._session is not None
    locks._session.close()
    assert locks.keep() == []
    assert locks.is_held(state.lock_key)
