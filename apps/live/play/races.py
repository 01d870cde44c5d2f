"""Races without end that are asked for on the site: their first round is stored at once, a job plays on from there."""

from collections.abc import Callable, Sequence
from typing import Any

from django.db import transaction

from apps.live.play.configuration import RunConfiguration
from apps.live.play.continuous import ContinuousRace
from apps.live.play.launch import race_of
from apps.live.play.race_options import RaceOptions
from apps.live.play.runner import Observer, Runner, stopping_on_signals
from apps.results.models import Run
from scheduler_sim import engine, logs
from scheduler_sim.accounts import audit
from scheduler_sim.background.models import Job
from scheduler_sim.background.services import job_submit

KIND = "race"
"""The kind of job that plays one; it is about the first round."""


@transaction.atomic
def race_start(
    *,
    race: RaceOptions,
    cluster: engine.Cluster,
    configuration: RunConfiguration,
    name: str | None = None,
    requested_by: Any = None,
) -> Run:
    """Store the first round of a race and ask for a process that plays it and those after it.

    Raises:
        RunNameTaken, InvalidPolicy: as `run_create`.
    """
    arguments: dict[str, Any] = {
        "name": name or f"continuous {race.model} on {cluster.name}",
        "model": race.model,
        "round_tasks": race.round_tasks,
        "cluster": cluster.as_json(),
        "configuration": configuration.as_json(),
    }
    first = _race(arguments).round(1)
    job = job_submit(kind=KIND, subject_id=first.pk, arguments=arguments, requested_by=requested_by)
    audit.record(audit.Action.START, KIND, job, called=arguments["name"])
    return first


def race_play(job: Job, observers: Callable[[], Sequence[Observer]]) -> Run:
    """Play a race until one of its rounds does not finish or was asked to stop too late, and return that one.

    Args:
        observers: returns those of a round.
    """
    return _race(job.arguments, lambda run, kept: _play(run, job, kept, observers())).run(
        Run.objects.get(pk=job.subject_id or 0)
    )


def race_goes_on(run: Run) -> int | None:
    """Return the round that a race has come to, of which a run is an earlier one; None where there is none."""
    job = race_of(run)
    newest = None if job is None else job.outcome.get("rounds", (run.pk,))[-1]
    return None if newest == run.pk else newest


def _race(arguments: dict[str, Any], play: Callable[[Run, int], bool] = lambda _run, _kept: False) -> ContinuousRace:
    race = ContinuousRace(
        name=arguments["name"],
        model=arguments["model"],
        tasks_per_round=arguments["round_tasks"],
        cluster=engine.Cluster.from_json(arguments["cluster"]),
        configuration=RunConfiguration.from_json(arguments["configuration"]),
        play=lambda run: play(run, race.rounds_kept),
        after_round=lambda _: None,
    )
    return race


def _play(run: Run, job: Job, rounds_kept: int, observers: Sequence[Observer]) -> bool:
    job.refresh_from_db(fields=["stop_requested"])
    if job.stop_requested:
        # The word to stop may have come when a round was at its end, which then finished.
        run.stop()
        return True
    rounds = [*job.outcome.get("rounds", ()), run.pk][-rounds_kept - 1 :]
    job.outcome = {"rounds": rounds}
    job.save(update_fields=["outcome"])
    job.tell(f"playing {run.name}")
    named = logs.run_id.set(str(run.pk))
    try:
        runner = Runner(run, observers=observers)
        with stopping_on_signals(runner):
            runner.play()
    finally:
        logs.run_id.reset(named)
    return runner.stop_requested.is_set()
