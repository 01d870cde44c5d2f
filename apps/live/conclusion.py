"""What is done once when every task of a run has finished."""

from apps.live.configuration import RunConfiguration
from apps.live.players import Player
from apps.metrics.services import metrics_store
from apps.results.checksum import results_checksum
from apps.results.errors import DomainError
from apps.results.models import Run, SchedulerResult
from apps.training.labelling import run_label
from scheduler_sim import engine


class RowsMissing(DomainError):
    """The database does not hold as many placements as were simulated."""


def conclude(
    *,
    run: Run,
    players: list[Player],
    workload: engine.Workload,
    configuration: RunConfiguration,
) -> None:
    """Store the figures, count the rows, compute the checksum and finish the run.

    Raises:
        RowsMissing: the count in the database is not what it must be.
    """
    stored = SchedulerResult.objects.filter(run=run).count()
    if stored != run.rows_expected:
        raise RowsMissing(f"The database holds {stored} placements of run {run.name} where {run.rows_expected} belong.")
    metrics_store(
        run=run,
        simulations={player.scheduler: player.simulation for player in players},
        warmup=configuration.warmup,
        cooldown=configuration.cooldown,
    )
    run_label(
        run=run,
        workload=workload,
        cluster=players[0].simulation.cluster,
        task_keys=players[0].task_keys,
        policies=[player.simulation.policy for player in players],
        split_model=configuration.split_model,
    )
    by_number = workload.task_id.argsort(kind="stable")
    checksum = results_checksum(
        (player.scheduler, workload.task_id[by_number], player.columns(by_number)) for player in players
    )
    run.finish(rows_written=stored, checksum=checksum)
