"""Runs on the cores of this machine."""

import multiprocessing
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from django.db import OperationalError

from apps.results.errors import DomainError
from apps.results.models import Run
from apps.studies.play import worker
from scheduler_sim.background.processes import HEARTBEAT_EVERY

ATTEMPTS = 3
"""A run whose worker died so often is failed: it would take the next worker with it."""

Ended = Callable[[int, str], None]


class WorkersDied(DomainError):
    """Worker processes die before they begin to play."""


def play_on_pool(run_ids: Sequence[int], *, workers: int, on_end: Ended, beat: Callable[[], None]) -> None:
    """Play runs in `workers` processes, and tell of each when it has ended.

    A worker that dies costs only the runs under way: a new pool takes them up. Ctrl-C lets the runs under way end and
    starts no other.

    Args:
        on_end: called in this process with the run's key and its status.
        beat: called every few seconds meanwhile.

    Raises:
        WorkersDied: no process lives long enough to begin a run.
    """
    left = list(run_ids)
    tries: Counter[int] = Counter()
    fruitless = 0
    while left:
        before = (len(left), tries.total())
        left = _one_pool(left, workers=workers, on_end=on_end, beat=beat, tries=tries)
        fruitless = fruitless + 1 if (len(left), tries.total()) == before else 0
        if fruitless >= ATTEMPTS:
            raise WorkersDied(
                f"The worker processes died {ATTEMPTS} times before they began a run; is there memory enough, and can "
                f"they be started?"
            )


def _one_pool(
    run_ids: Sequence[int], *, workers: int, on_end: Ended, beat: Callable[[], None], tries: Counter[int]
) -> list[int]:
    """Play runs until all have ended or a worker died; return those that are left."""
    # Not by fork: the parent has threads and database connections that a child must not inherit.
    context = multiprocessing.get_context("spawn")
    waiting = list(reversed(run_ids))
    ended: set[int] = set()
    under_way: dict[Future[str], int] = {}
    with ProcessPoolExecutor(min(workers, len(run_ids)), mp_context=context, initializer=worker.start) as pool:
        try:
            while waiting or under_way:
                # Only a little ahead of the workers, so that a broken pool names few runs.
                while waiting and len(under_way) < workers + 1:
                    run_id = waiting.pop()
                    under_way[pool.submit(worker.play, run_id)] = run_id
                done, _ = wait(under_way, timeout=HEARTBEAT_EVERY.total_seconds(), return_when=FIRST_COMPLETED)
                beat()
                for future in done:
                    run_id = under_way.pop(future)
                    status = _outcome(future, run_id, tries)
                    if status is None:
                        waiting.append(run_id)
                        continue
                    ended.add(run_id)
                    on_end(run_id, status)
        except BrokenProcessPool:
            for run_id in _died(set(run_ids) - ended, tries):
                ended.add(run_id)
                on_end(run_id, Run.Status.FAILED)
        except KeyboardInterrupt:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return [run_id for run_id in run_ids if run_id not in ended]


def _outcome(future: "Future[str]", run_id: int, tries: Counter[int]) -> str | None:
    """Return how a run ended, None when it is to be tried again."""
    try:
        return future.result()
    except BrokenProcessPool:
        raise
    except (DomainError, OperationalError):
        tries[run_id] += 1
        if tries[run_id] >= ATTEMPTS:
            raise
        return None


def _died(left: set[int], tries: Counter[int]) -> list[int]:
    """Count an attempt for each run that was under way, and fail those that killed their workers too often."""
    failed = []
    for run in Run.objects.filter(pk__in=left, status=Run.Status.RUNNING):
        tries[run.pk] += 1
        if tries[run.pk] >= ATTEMPTS:
            run.fail(f"The process that played it died {ATTEMPTS} times.")
            failed.append(run.pk)
    return failed
