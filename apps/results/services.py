"""Deleting and filing runs, and storing how logs are replayed."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from django.db import connection, transaction

from apps.results.errors import RunStateError
from apps.results.filing import tag_names
from apps.results.gangs import SPANS_TOGETHER
from apps.results.models import Attempt, Fidelity, GangBlock, Run, RunDeletion, SchedulerResult, Stretch
from apps.results.placement_files import PlacementFile, files_sweep, folder_name, folder_remove
from apps.results.schedule_files import schedules_forget
from apps.results.signals import rows_changed
from apps.results.stretches import pack_keys
from apps.tasks.models import Workload
from scheduler_sim import engine
from scheduler_sim.accounts import audit
from scheduler_sim.background.models import Job
from scheduler_sim.background.services import JobStateError, job_submit
from scheduler_sim.engine.gangs import Gangs
from scheduler_sim.engine.instant import stretches
from scheduler_sim.engine.measuring import fidelity
from scheduler_sim.engine.workloads.workload import FloatArray, IntArray

DELETE_KEYS = {"sqlite": 20_000, "postgresql": 100_000}
"""Primary keys that one deleting statement covers: well under a second, so that nobody waits long."""

YIELD_SECONDS = 0.01
"""How long the database is left alone between two pieces."""


@transaction.atomic
def run_delete(*, run: Run) -> None:
    """Make a run disappear at once, whatever its size; `deletions_finish` then removes its placements in pieces.

    The run, its figures, state and training data go in this transaction, together with a note of the placements
    that are still to go. An interruption at any point leaves the note, and finishing it later leaves nothing behind.

    Raises:
        RunStateError: the run is under way.
    """
    gone = Run.objects.select_for_update().filter(pk=run.pk).first()
    if gone is None:
        return
    if not gone.is_over:
        raise RunStateError(f"Run {gone.name} is {gone.status}; stop it before deleting it.")
    if gone.first_result_id is not None and gone.last_result_id is not None:
        RunDeletion.objects.create(
            run_number=gone.pk, first_result_id=gone.first_result_id, last_result_id=gone.last_result_id
        )
    elif gone.keeps == "parquet":
        RunDeletion.objects.create(run_number=gone.pk, first_result_id=0, last_result_id=-1, folder=folder_name(gone))
    rows_changed.send(sender=Run, run_id=gone.pk)
    audit.record(audit.Action.DELETE, "run", gone)
    Job.objects.filter(kind="run", subject_id=gone.pk).delete()
    number = gone.pk
    gone.delete()
    transaction.on_commit(lambda: schedules_forget(number))


@transaction.atomic
def runs_file(
    *, runs: Iterable[Run], archived: bool | None = None, add: Iterable[str] = (), remove: Iterable[str] = ()
) -> int:
    """Archive or restore runs, and add and take away tags, all of it or nothing; return how many runs there were.

    Args:
        archived: whether they are to be out of sight; None leaves that as it is.
        add, remove: names of tags.

    Raises:
        RunStateError: one that is to be archived is under way.
        InvalidField: a name that no tag may have, or a run with too many tags.
    """
    runs, added, removed = list(runs), tag_names(add), set(tag_names(remove))
    for run in runs:
        if archived is not None:
            run.archive() if archived else run.restore()
        if added or removed:
            run.tag([name for name in (*run.tags.values_list("name", flat=True), *added) if name not in removed])
    return len(runs)


def deletions_finish(*, on_progress: Callable[[int], None] | None = None) -> int:
    """Remove the attempts and placements of deleted runs in pieces, and return how many placements.

    Each piece is a transaction of its own: readers are never blocked, other writers only briefly. The newest rows go
    first, so that they are the first to leave the list of last results. Safe to interrupt, to repeat, and to run
    twice at once. A folder that cannot be removed keeps its note, for the next time.

    Args:
        on_progress: called after each range with the number of rows removed so far.
    """
    removed = 0
    for deletion in RunDeletion.objects.order_by("id"):
        _delete_attempts(deletion.run_number)
        for lower, upper in _pieces(deletion):
            with transaction.atomic():
                removed += _delete_range(deletion.run_number, lower, upper)
                RunDeletion.objects.filter(pk=deletion.pk, last_result_id__gte=lower).update(last_result_id=lower - 1)
                rows_changed.send(sender=SchedulerResult, run_id=deletion.run_number)
            if on_progress is not None:
                on_progress(removed)
            time.sleep(YIELD_SECONDS)
        if deletion.folder and not folder_remove(deletion.folder):
            continue
        RunDeletion.objects.filter(pk=deletion.pk).delete()
    return removed


def placements_delete(*, run: Run) -> None:
    """Remove the attempts and placements of a run that stays, in pieces; afterwards its row counts none.

    An interruption leaves a row that counts more than there are. Files go too.
    """
    PlacementFile.objects.filter(run=run).delete()
    files_sweep(run)
    schedules_forget(run.pk)
    _delete_attempts(run.pk)
    for lower, upper in _pieces(run):
        with transaction.atomic():
            _delete_range(run.pk, lower, upper)
        time.sleep(YIELD_SECONDS)
    with transaction.atomic():
        Run.objects.filter(pk=run.pk).update(rows_written=0, first_result_id=None, last_result_id=None)
        rows_changed.send(sender=SchedulerResult, run_id=run.pk)


def stretches_store(*, run: Run, scheduler: str, task_keys: IntArray, arrival: FloatArray, finish: FloatArray) -> None:
    """Store who was in the system when, under one policy of a run, in place of what was stored of that.

    Args:
        task_keys, arrival, finish: of all tasks played, shape (n,) each, the arrivals ascending.
    """
    # What takes long comes before the transaction: nobody else writes during it.
    found = [
        Stretch(run=run, scheduler=scheduler, from_time=one.from_time, packed=pack_keys(task_keys[one.rows]))
        for one in stretches(arrival, finish)
    ]
    with transaction.atomic():
        Stretch.objects.of_policy(run, scheduler).delete()
        Stretch.objects.bulk_create(found, batch_size=500)


def gangs_store(*, run: Run, scheduler: str, gangs: Gangs) -> None:
    """Store what tasks on several nodes held under one policy of a run, in place of what was stored of that.

    Args:
        gangs: tasks are primary keys.
    """
    ordered = gangs.in_order()
    begins = np.flatnonzero(np.append(True, ordered.task[1:] != ordered.task[:-1])[: len(ordered)])
    # The first task at or behind each multiple of so many spans begins a block.
    cuts = np.unique(np.searchsorted(begins, np.arange(0, len(ordered), SPANS_TOGETHER)))
    cuts = np.append(begins[cuts[cuts < len(begins)]], len(ordered))
    # As with stretches, all is packed before the transaction.
    blocks = [
        GangBlock(
            run=run,
            scheduler=scheduler,
            first_task=int(ordered.task[first]),
            packed=ordered[np.arange(first, last)].packed(),
        )
        for first, last in pairwise(cuts.tolist())
    ]
    with transaction.atomic():
        GangBlock.objects.of_policy(run, scheduler).delete()
        GangBlock.objects.bulk_create(blocks, batch_size=500)


def fidelity_store(
    *, workload: Workload, place_name: str, place_digest: str, policy: str, found: fidelity.Fidelity
) -> Fidelity | None:
    """Store how a policy replays the log of a workload, in place of what was found before; None without a log.

    Args:
        place_name, place_digest: of the cluster or site that it was played on.
    """
    every = found.every
    if every is None:
        return None
    stored, _ = Fidelity.objects.update_or_create(
        workload=workload,
        engine_version=engine.ENGINE_VERSION,
        place_digest=place_digest,
        policy=policy,
        defaults={
            "place_name": place_name[:200],
            "tasks": every.tasks,
            "late_tasks": found.late_tasks,
            "mean_absolute_difference": every.mean_absolute,
            "median_absolute_difference": every.median_absolute,
            "p95_absolute_difference": every.p95_absolute,
            "mean_difference": every.mean_difference,
            "recorded_mean_wait": every.recorded_mean_wait,
            "played_mean_wait": every.played_mean_wait,
            "rank_correlation": every.rank_correlation,
            "has_same_mean_wait": every.has_same_mean_wait(),
            "details": found.as_json(),
        },
    )
    return stored


def deletions_launch(*, requested_by: Any = None) -> None:
    """Ask for a process that finishes the deletions that were begun; where one does so already it goes on.

    Deletions that begin while it ends are found by the next sweep.
    """
    # They are about no row of their own, so the number of all of them is 0.
    with contextlib.suppress(JobStateError):
        job_submit(kind="deletion", subject_id=0, requested_by=requested_by)


def _keys_at_once() -> int:
    return DELETE_KEYS.get(connection.vendor, 20_000)


def _pieces(run: Run | RunDeletion) -> Iterator[tuple[int, int]]:
    """Yield the lowest and the highest key of each piece of a run's placements, the newest first."""
    if run.first_result_id is None or run.last_result_id is None:
        return
    upper = run.last_result_id
    while upper >= run.first_result_id:
        lower = max(run.first_result_id, upper - _keys_at_once() + 1)
        yield lower, upper
        upper = lower - 1


def _delete_attempts(run_id: int) -> None:
    while Attempt.objects.delete_some(run_id, _keys_at_once()):
        time.sleep(YIELD_SECONDS)


def _delete_range(run_id: int, lower: int, upper: int) -> int:
    rows = SchedulerResult.objects.of_run_within(run_id, lower, upper)
    # Without objects, signals and cascades: nothing refers to a placement.
    return rows._raw_delete(rows.db)
