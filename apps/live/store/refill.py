"""A run whose placements are not all in the database, as in a backup that left them out, is filled anew."""

import logging

from django.db.models import Count

from apps.live.models import SimulationState
from apps.results.errors import RunStateError
from apps.results.models import Attempt, Run, SchedulerResult
from apps.results.placement_files import PlacementFile, are_there, folder_name, is_away, root
from apps.results.services import placements_delete

logger = logging.getLogger(__name__)


def placements_reconcile(*, run: Run) -> bool:
    """Compare what the progress of a run says with the rows that there are, before the run is taken up.

    Where they differ the rows that are left are deleted and the progress begins anew, so that all of them are
    simulated and stored again. Safe to interrupt and to repeat.

    Returns:
        Whether they differed.

    Raises:
        RunStateError: the folder of its files is not there, as where it is not mounted.
    """
    state = SimulationState.objects.get(run=run)
    told = {scheduler: count for scheduler, count in state.progress.items() if count}
    if not told or run.keeps == "summary" or _found(run) == told:
        return False
    logger.warning(
        "There are not the %s placements of run %s that its progress tells of, as after a restore that "
        "left them out; all of them are simulated and stored again.",
        f"{sum(told.values()):,}",
        run.name,
    )
    placements_delete(run=run)
    SimulationState.objects.filter(run=run).update(progress={}, clock_time=None)
    run.refresh_from_db(fields=["rows_written", "first_result_id", "last_result_id"])
    return True


def _found(run: Run) -> dict[str, int] | None:
    """Return how many placements of each policy there are, None where attempts or files are missing."""
    if run.keeps == "parquet":
        every = PlacementFile.objects.filter(run=run).select_related("run")
        if is_away(run) and every.exists():
            raise RunStateError(
                f"The folder {root() / folder_name(run)} with placements of run {run.name} is not there: mount it and "
                "take the run up again. Where its files are lost make it, empty, and all of them are simulated again."
            )
        return SchedulerResult.objects.counts_by_policy(run) if are_there(every) else None
    rows = SchedulerResult.objects.of_run(run)
    if Attempt.objects.filter(run=run).count() != rows.stored_attempts():
        return None
    return dict(rows.order_by().values_list("scheduler").annotate(Count("pk")))
