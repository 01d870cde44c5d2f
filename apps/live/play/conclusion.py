"""What is done once when every task of a run has finished."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Self

from apps.live.models import SimulationState
from apps.live.play.cautions import left_caution, racks_caution, replay_caution
from apps.live.play.configuration import RunConfiguration
from apps.live.play.digests import run_digests
from apps.live.play.electricity import series_caution
from apps.live.play.players import Player
from apps.metrics.services import RunFigures, metrics_compute, metrics_store
from apps.results.checksum import Part, joined_checksum, part_digest
from apps.results.errors import DomainError
from apps.results.models import Attempt, Fidelity, Run, SchedulerResult
from apps.results.schedule_files import has_schedule_files, schedule_write
from apps.results.services import fidelity_store, gangs_store, stretches_store
from apps.tasks.models import Workload
from apps.training.labelling import run_label
from scheduler_sim import engine
from scheduler_sim.engine.crew import Each
from scheduler_sim.engine.measuring import fidelity
from scheduler_sim.engine.measuring.recording import LOG_RESOLUTION
from scheduler_sim.engine.workloads.columns import Rows

logger = logging.getLogger(__name__)


class RowsMissing(DomainError):
    """There are not as many placements or attempts stored as were simulated."""


@dataclass(frozen=True)
class Ending:
    """What the end of a run stores, computed from what was simulated.

    Attributes:
        figures: of every policy.
        checksum: of all placements and attempts.
        attempts: how many there are, of tasks with more than one.
        replays: how policies that are to bring about what the log tells lie beside it, by name.
    """

    figures: RunFigures
    checksum: str
    attempts: int
    replays: Mapping[str, fidelity.Fidelity]

    @classmethod
    def of(
        cls, players: list[Player], configuration: RunConfiguration, *, clock_zero: float = 0.0, each: Each = map
    ) -> Self:
        """Compute it without the database, so that the last placements can be stored meanwhile.

        Args:
            clock_zero: see `clock_zero`.
            each: how the policies are gone through, one after the other or side by side.
        """
        # All of them first: the memory that they played in is where their figures are made.
        list(each(Player.lay_out, players))
        workload = players[0].simulation.workload
        task_ids = workload.task_id
        is_in_order = bool((task_ids[1:] > task_ids[:-1]).all())
        by_number: Rows = slice(None) if is_in_order else task_ids.argsort(kind="stable")
        task_ids = task_ids[by_number]

        digests: dict[str, bytes] = {}
        attempts: dict[str, int] = {}

        def check(player: Player) -> None:
            several = player.attempt_columns(player.attempts(), workload.task_id)
            part = Part(player.scheduler, task_ids, player.columns(by_number), several)
            digests[player.scheduler], attempts[player.scheduler] = part_digest(part), len(several["task_id"])

        figures = metrics_compute(
            simulations={player.scheduler: player.simulation for player in players},
            warmup=configuration.warmup,
            cooldown=configuration.cooldown,
            each=each,
            beside=[partial(check, player) for player in players],
        )
        return cls(
            figures=figures,
            checksum=joined_checksum({player.scheduler: digests[player.scheduler] for player in players}),
            attempts=sum(attempts.values()),
            replays={
                player.scheduler: fidelity.fidelity(
                    player.simulation, clock_zero=clock_zero, over=first_over(player.simulation.policy)
                )
                for player in players
                if player.simulation.policy.replays_log or player.scheduler in Fidelity.POLICIES
            },
        )


def clock_zero(workload: Workload) -> float:
    """Return the seconds since midnight at time 0 of a workload's clock, 0 where its file does not tell."""
    told = workload.audit.get("headers", {}).get("UnixStartTime", "")
    try:
        return fidelity.seconds_of_day(float(told))
    except ValueError:
        return 0.0


def first_over(policy: engine.Policy) -> float:
    """Return by how many seconds a start must differ from the recorded one to be told of as the first."""
    return LOG_RESOLUTION if policy.replays_log else fidelity.FIRST_OVER


def conclude(
    *,
    run: Run,
    claim: SimulationState,
    players: list[Player],
    ending: Ending,
    split_model: str,
    tasks_digest: str,
) -> None:
    """Count the rows, store the figures and the rows to learn from, and finish the run.

    Args:
        claim: of the process that played it.
        tasks_digest: of the tasks as they were read (see `run_digests`).

    Raises:
        RowsMissing: the count in the database is not what it must be.
        ClaimLost: another process has the run.
    """
    claim.keep()
    stored = SchedulerResult.objects.count_of(run)
    if stored != run.rows_expected:
        raise RowsMissing(f"There are {stored} placements of run {run.name} where {run.rows_expected} belong.")
    attempts = Attempt.objects.count_of(run)
    if run.rows_expected and attempts != ending.attempts:
        raise RowsMissing(f"There are {attempts} attempts of run {run.name} where {ending.attempts} belong.")
    metrics_store(run=run, figures=ending.figures)
    if stored:
        for player in players:
            stretches_store(
                run=run,
                scheduler=player.scheduler,
                task_keys=player.task_keys,
                arrival=player.simulation.workload.arrival_time,
                finish=player.simulation.outcome().finish_time,
            )
            gangs_store(run=run, scheduler=player.scheduler, gangs=player.gangs.gangs().called(player.task_keys))
    simulation = players[0].simulation
    run_label(
        run=run,
        workload=simulation.workload,
        cluster=simulation.cluster,
        task_keys=players[0].task_keys,
        policies=[player.simulation.policy for player in players],
        split_model=split_model,
    )
    _store_replays(run, players, ending)
    # Of what the database gives back, which is what it is compared with later.
    digests = run_digests(Run.objects.select_related("workload").get(pk=run.pk), tasks=tasks_digest)
    claim.keep()
    run.finish(rows_written=stored, checksum=ending.checksum, digests=digests)
    _leave_schedules(run, players)


def _leave_schedules(run: Run, players: list[Player]) -> None:
    """Leave the schedules in files, without which the run has finished as well."""
    if not has_schedule_files(run):
        return
    try:
        by_key = players[0].task_keys.argsort()
        for player in players:
            schedule_write(run, player.scheduler, player.columns(by_key))
    except Exception:
        logger.exception("The schedules of %s are read from the database, for no files of them could be written.", run)


def _store_replays(run: Run, players: list[Player], ending: Ending) -> None:
    """Say what only the end shows, and keep how the log was replayed.

    For this run's figures and, where nothing was changed, for all runs like it.
    """
    cluster = players[0].simulation.cluster
    simulations = {player.scheduler: player.simulation for player in players}
    recorded = {
        player.scheduler: ending.replays[player.scheduler] for player in players if player.simulation.policy.replays_log
    }
    told = (
        replay_caution(run.workload, recorded, cluster),
        left_caution(simulations),
        racks_caution(simulations),
        series_caution(simulations),
    )
    cautions = [caution for caution in told if caution is not None]
    if cautions:
        run.cautions = [*cautions, *run.cautions]
        run.save(update_fields=["cautions"])
    if not RunConfiguration.from_json(run.configuration).is_as_it_was:
        return
    for name, found in ending.replays.items():
        if name in Fidelity.POLICIES:
            fidelity_store(
                workload=run.workload,
                place_name=cluster.name if run.site is None else str(run.site),
                place_digest=run.place_digest,
                policy=name,
                found=found,
            )
