"""One policy played beside what a workload's log says, without a run."""

from dataclasses import dataclass

from apps.live.play.cautions import Caution, replay_caution
from apps.live.play.conclusion import clock_zero, first_over
from apps.live.play.configuration import RunConfiguration
from apps.live.play.playable import refuse_unplayable
from apps.live.play.players import make_players
from apps.live.play.preparation import prepare
from apps.live.play.sites import stored_site
from apps.results.errors import DomainError
from apps.results.models import Fidelity
from apps.results.services import fidelity_store
from apps.tasks.models import Workload
from scheduler_sim import engine
from scheduler_sim.columnar.digests import json_digest
from scheduler_sim.engine.measuring import fidelity


class NoLog(DomainError):
    """The workload tells of no start that could be compared."""


@dataclass(frozen=True)
class Check:
    """What was found.

    Attributes:
        found: the comparison. every: of all tasks.
        cautions: what must be known to read it.
        stored: the row that marks the runs of this workload there.
    """

    found: fidelity.Fidelity
    every: fidelity.StartDifferences
    cautions: tuple[Caution, ...]
    stored: Fidelity | None


def fidelity_check(
    *, workload: Workload, cluster: engine.Cluster, configuration: RunConfiguration, over: float | None = None
) -> Check:
    """Play the configuration's one policy, hold it beside the log, and store what comes of it.

    Args:
        cluster: that of the configuration's site, where it names one.
        over: seconds by which the first task that differs must differ; None for what suits the policy.

    Raises:
        NoLog: no task has a recorded start.
        EngineError: the policy cannot be played.
    """
    if not workload.tasks.filter(recorded_start_time__isnull=False).exists():
        raise NoLog(f"Workload {workload.name} does not tell when any of its tasks really started.")
    configuration = configuration.with_models()
    prepared = prepare(workload=workload, cluster=cluster, configuration=configuration)
    refuse_unplayable(configuration, cluster, prepared)
    (player,) = make_players(prepared, configuration)
    player.simulation.advance()
    over = first_over(player.simulation.policy) if over is None else over
    found = fidelity.fidelity(player.simulation, clock_zero=clock_zero(workload), over=over)
    if found.every is None:
        raise NoLog(f"No task of workload {workload.name} that is played on {cluster.name} tells when it started.")
    stored, site = None, stored_site(configuration)
    if configuration.is_as_it_was:
        stored = fidelity_store(
            workload=workload,
            place_name=cluster.name if site is None else str(site),
            place_digest=json_digest(cluster.as_json()) if site is None else site.digest,
            policy=player.scheduler,
            found=found,
        )
    replay = (
        replay_caution(workload, {player.scheduler: found}, cluster) if player.simulation.policy.replays_log else None
    )
    cautions = (*((replay,) if replay else ()), *prepared.cautions)
    return Check(found=found, every=found.every, cautions=cautions, stored=stored)
