"""What is done once when every task of a run has finished."""

from dataclasses import dataclass
from typing import Self

from apps.live.play.configuration import RunConfiguration
from apps.live.play.players import Player
from apps.metrics.services import RunFigures, metrics_compute, metrics_store
from apps.results.checksum import results_checksum
from apps.results.errors import DomainError
from apps.results.models import Run, SchedulerResult
from apps.training.labelling import run_label


class RowsMissing(DomainError):
    """The database does not hold as many placements as were simulated."""


@dataclass(frozen=True)
class Ending:
    """What the end of a run stores, computed from what was simulated.

    Attributes:
        figures: of every policy.
        checksum: of all placements.
    """

    figures: RunFigures
    checksum: str

    @classmethod
    def of(cls, players: list[Player], configuration: RunConfiguration) -> Self:
        """Compute it without the database, so that the last placements can be stored meanwhile."""
        workload = players[0].simulation.workload
        by_number = workload.task_id.argsort(kind="stable")
        return cls(
            figures=metrics_compute(
                simulations={player.scheduler: player.simulation for player in players},
                warmup=configuration.warmup,
                cooldown=configuration.cooldown,
            ),
            checksum=results_checksum(
                (player.scheduler, workload.task_id[by_number], player.columns(by_number)) for player in players
            ),
        )


def conclude(*, run: Run, players: list[Player], ending: Ending, split_model: str) -> None:
    """Count the rows, store the figures and the rows to learn from, and finish the run.

    Raises:
        RowsMissing: the count in the database is not what it must be.
    """
    stored = SchedulerResult.objects.filter(run=run).count()
    if stored != run.rows_expected:
        raise RowsMissing(f"The database holds {stored} placements of run {run.name} where {run.rows_expected} belong.")
    metrics_store(run=run, figures=ending.figures)
    simulation = players[0].simulation
    run_label(
        run=run,
        workload=simulation.workload,
        cluster=simulation.cluster,
        task_keys=players[0].task_keys,
        policies=[player.simulation.policy for player in players],
        split_model=split_model,
    )
    run.finish(rows_written=stored, checksum=ending.checksum)
