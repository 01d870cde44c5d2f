"""Runs on Celery workers, on this machine and others. Imported only where there is a broker."""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from kombu.exceptions import OperationalError

from apps.live.models import SimulationState
from apps.results.errors import DomainError, RunStateError
from apps.results.models import Run
from apps.studies.play.celery_tasks import play_study_run
from apps.studies.play.pool import ATTEMPTS, Ended
from scheduler_sim.background.celery_tasks import waiting_messages

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
POLL_SHARE = 0.1
"""Looking takes at most this part of the time, however many runs are left."""

SILENT_SECONDS = 10.0
"""When for so long no run ended and none shows life although the queue is empty, those that wait are sent again: a
worker took them and died before it began."""


def play_on_workers(run_ids: Sequence[int], *, on_end: Ended, beat: Callable[[], None]) -> None:
    """Send runs to the workers, and tell of each when it has ended.

    A run whose process died is sent again at once, without waiting for the broker to find out. A broker that is away
    is waited for; what it forgot is sent again. Ctrl-C leaves everything to the workers; asking again later takes up
    the watch.

    Args:
        on_end: called in this process with the run's key and its status.
        beat: called every few seconds meanwhile.

    Raises:
        DomainError: the broker does not answer at the beginning.
    """
    if (away := _send(run_ids)) is not None:
        raise DomainError(f"The broker that CELERY_BROKER_URL names does not answer ({away}).")
    left = set(run_ids)
    dead: dict[int, set[tuple[object, ...]]] = {}
    changed_at = time.monotonic()
    took = 0.0
    while left:
        time.sleep(max(POLL_SECONDS, took / POLL_SHARE))
        began = time.monotonic()
        beat()
        over = dict(Run.objects.filter(pk__in=left, status__in=Run.TERMINAL).values_list("pk", "status"))
        for run_id, status in over.items():
            left.discard(run_id)
            on_end(run_id, status)
        states = list(
            SimulationState.objects.select_related("run").filter(
                run__in=left, run__status__in=(Run.Status.RUNNING, Run.Status.PAUSED)
            )
        )
        took = time.monotonic() - began
        if over or any(state.is_alive for state in states):
            changed_at = time.monotonic()
        for state in states:
            process = (state.host, state.process_id, state.process_start_ticks)
            if not state.is_interrupted or process in dead.setdefault(state.run_id, set()):
                continue
            dead[state.run_id].add(process)
            if len(dead[state.run_id]) >= ATTEMPTS:
                # Unless it came to its end at this very moment.
                with suppress(RunStateError):
                    state.run.fail(f"The processes that played it died {ATTEMPTS} times.")
            else:
                _send([state.run_id])
        if left and time.monotonic() - changed_at > SILENT_SECONDS:
            changed_at = time.monotonic()
            with suppress(OperationalError, ConnectionError):  # Away, and asked again after as long.
                if not waiting_messages():
                    _send(sorted(left))


def _send(run_ids: Sequence[int]) -> Exception | None:
    """Send runs to the workers; return why the broker does not take them, None where it does.

    What it does not take is sent once nobody does anything.
    """
    try:
        for run_id in run_ids:
            play_study_run.apply_async((run_id,), retry=False)
    except (OperationalError, ConnectionError) as error:
        logger.warning("The broker does not answer (%s); runs are sent once it does.", error)
        return error
    return None
