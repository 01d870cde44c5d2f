"""Runs on Celery workers, on this machine and others. Imported only where there is a broker."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from apps.live.models import SimulationState
from apps.results.errors import RunStateError
from apps.results.models import Run
from apps.studies.play.celery_tasks import play_study_run
from apps.studies.play.pool import ATTEMPTS, Ended
from scheduler_sim.background.celery_tasks import waiting_messages

POLL_SECONDS = 0.5
POLL_SHARE = 0.1
"""Looking takes at most this part of the time, however many runs are left."""

SILENT_SECONDS = 10.0
"""When for so long no run ended and none shows life although the queue is empty, those that wait are sent again: a
worker took them and died before it began."""


def play_on_workers(run_ids: Sequence[int], *, on_end: Ended, beat: Callable[[], None]) -> None:
    """Send runs to the workers, and tell of each when it has ended.

    A run whose process died is sent again at once, without waiting for the broker to find out. Ctrl-C leaves
    everything to the workers; asking again later takes up the watch.

    Args:
        on_end: called in this process with the run's key and its status.
        beat: called every few seconds meanwhile.
    """
    for run_id in run_ids:
        play_study_run.delay(run_id)
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
                play_study_run.delay(state.run_id)
        if left and time.monotonic() - changed_at > SILENT_SECONDS:
            changed_at = time.monotonic()
            if not waiting_messages():
                for run_id in sorted(left):
                    play_study_run.delay(run_id)
