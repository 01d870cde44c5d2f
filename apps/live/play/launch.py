"""Creating runs, starting them in a process of their own, and telling them what to do."""

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction

from apps.live.models import SimulationState
from apps.live.play.version import code_version
from apps.results.errors import DomainError, RunStateError
from apps.results.models import Run
from apps.tasks.models import Site, Workload
from scheduler_sim import engine
from scheduler_sim.accounts import audit
from scheduler_sim.background.models import Job
from scheduler_sim.background.services import JobStateError, job_stop, job_submit
from scheduler_sim.columnar.turnstile import first_in_line

if TYPE_CHECKING:
    # The admin loads this for every command, of which most ask for no option.
    from apps.live.play.configuration import RunConfiguration


class RunNameTaken(DomainError):
    """A run of that name exists."""


@transaction.atomic
def run_create(
    *, workload: Workload, cluster: engine.Cluster, configuration: "RunConfiguration", name: str | None = None
) -> Run:
    """Store a queued run; nothing is simulated yet.

    A name that is given must be new; without one the workload's and the cluster's make one, with a number in
    parentheses behind it where it is taken.

    Raises:
        RunNameTaken: the given name exists.
        InvalidPolicy: a policy that is not registered.
        SiteError: a site that is not stored.
    """
    configuration = configuration.with_models()
    site = Site.objects.referred(configuration.site) if configuration.site else None
    policies = [policy.name for policy in configuration.parsed_policies()]
    tasks = workload.task_count if configuration.limit is None else min(configuration.limit, workload.task_count)
    try:
        with transaction.atomic():
            run = Run.objects.create(
                name=name or Run.objects.free_name(f"{workload.name} on {cluster.name}"),
                workload=workload,
                cluster=cluster.as_json(),
                site=site,
                policies=policies,
                seed=configuration.seed,
                engine_version=engine.ENGINE_VERSION,
                code_version=code_version(),
                configuration=configuration.as_json(),
                rows_expected=tasks * len(policies) if configuration.keep != "summary" else 0,
            )
    except IntegrityError:
        raise RunNameTaken(f"There is a run called {name!r} already; choose another name.") from None
    SimulationState.objects.create(run=run)
    return run


@transaction.atomic
def run_start(
    *,
    workload: Workload,
    cluster: engine.Cluster,
    configuration: "RunConfiguration",
    name: str | None = None,
    requested_by: Any = None,
) -> Run:
    """Store a run and ask for a process that plays it, which starts when one is free and the row is there.

    Raises:
        RunNameTaken, InvalidPolicy: as `run_create`.
    """
    run = run_create(workload=workload, cluster=cluster, configuration=configuration, name=name)
    job_submit(kind="run", subject_id=run.pk, requested_by=requested_by)
    audit.record(audit.Action.START, "run", run)
    return run


@transaction.atomic
def run_take_up(*, run: Run, requested_by: Any = None) -> None:
    """Ask for a process that plays what is missing of a run that was stopped, interrupted or failed.

    Raises:
        RunStateError: it cannot be taken up; the sentence says why.
    """
    run.refresh_from_db()
    if reason := why_not_taken_up(run):
        raise RunStateError(reason)
    run.queue_again()
    try:
        job_submit(kind="run", subject_id=run.pk, requested_by=requested_by)
    except JobStateError:
        raise RunStateError(f"Run {run.name} is waiting for its process already.") from None
    audit.record(audit.Action.TAKE_UP, "run", run)


def why_not_taken_up(run: Run) -> str:
    """Return why a run cannot be taken up, empty where it can be."""
    state = SimulationState.objects.select_related("run").filter(run=run).first()
    if run.status == Run.Status.FINISHED:
        return f"Run {run.name} is finished."
    if state is not None and state.is_alive:
        return f"Run {run.name} is being played by process {state.process_id} on {state.host}."
    if run.status == Run.Status.QUEUED and (state is None or not state.is_interrupted):
        return f"Run {run.name} waits for its process already."
    return why_not_continued(run)


def why_not_continued(run: Run) -> str:
    """Return why a run that no process plays could not come to its end, empty where it may."""
    if run.rows_written and run.engine_version != engine.ENGINE_VERSION:
        return (
            f"Run {run.pk} was begun by engine {run.engine_version}, and this is engine {engine.ENGINE_VERSION}: its "
            "other placements might not belong to those that are stored. Play it anew."
        )
    if run.rows_written and (changed := own_policies_changed(run)):
        return f"Run {run.pk} was begun with another {changed}: its placements would not belong together. Play it anew."
    if run.status == Run.Status.FAILED and SimulationState.objects.filter(run=run, is_unplayable=True).exists():
        return f"Run {run.pk} can never be played as it was asked for: {run.error}"
    return ""


def own_policies_changed(run: Run) -> str:
    """Return which policy of one's own comes from another file or program now, with digests; empty where none does."""
    from scheduler_sim.engine.policies.own import own_digests

    return policies_differing(run.configuration.get("own_policies"), own_digests(run.policies))


def policies_differing(told: Mapping[str, str] | None, present: Mapping[str, str]) -> str:
    """Return which policy of one's own has another digest than it is told to have, in words; empty for none."""
    for name, digest in (told or {}).items():
        if present.get(name, digest) != digest:
            return f"{name} (SHA-256 {digest[:16]}; it is {present[name][:16]} now)"
    return ""


def run_command(*, run: Run, command: str) -> None:
    """Ask the process that plays `run` to pause, resume or stop; asking for what is so already changes nothing.

    A run that no living process plays is stopped at once.

    Raises:
        RunStateError: the run's state does not allow it.
    """
    if command == "stop" and (race := race_of(run)) is not None:
        # Its rounds may be over before anybody has read their names: the race ends, whichever of them is stopped.
        with suppress(JobStateError):
            job_stop(job=race)
        # The round may be over by now, or so old that it was deleted.
        if not Run.objects.filter(pk=run.pk).exclude(status__in=Run.TERMINAL).exists():
            return
    run.refresh_from_db(fields=["status"])
    status = Run.Status
    settled = {"pause": status.PAUSED, "resume": status.RUNNING, "stop": status.STOPPED}[command]
    allowed = {
        "pause": (status.RUNNING,),
        "resume": (status.PAUSED,),
        "stop": (status.QUEUED, status.RUNNING, status.PAUSED),
    }[command]
    if run.status not in (*allowed, settled):
        raise _not_allowed(run, command)
    state = SimulationState.objects.get(run=run)
    if run.status in allowed and not state.is_alive:
        if command == "stop":
            _stop_unplayed(run)
            return
        if run.status != status.QUEUED:
            raise RunStateError(f"The process that played run {run.name} is gone; it can be taken up, or stopped.")
    with first_in_line(), transaction.atomic():
        waits = SimulationState.objects.select_for_update().values_list("command", flat=True).get(run=run)
        run.refresh_from_db(fields=["status"])
        if run.status not in (*allowed, settled):
            # It came to its end meanwhile: nobody stopped it.
            raise _not_allowed(run, command)
        # Also when the run is in that state already: an opposite command may still be waiting to be obeyed.
        SimulationState.objects.filter(run=run).update(command=command)
        if run.status != settled or waits not in (SimulationState.Command.NONE, command):
            audit.record(command, "run", run)


def race_of(run: Run) -> Job | None:
    """Return the job of the race without end under way of which a run is a round, None where there is none."""
    for job in Job.objects.active().filter(kind="race"):
        if run.pk == job.subject_id or run.pk in job.outcome.get("rounds", ()):
            found: Job = job
            return found
    return None


def _not_allowed(run: Run, command: str) -> RunStateError:
    return RunStateError(f"Run {run.name} is {run.status}; it cannot {command}.")


@transaction.atomic
def _stop_unplayed(run: Run) -> None:
    """Stop a run that no process plays, and the process that is starting, or waits to be started, for it.

    Raises:
        RunStateError: it came to another end meanwhile.
    """
    with audit.parts():
        for job in Job.objects.active().about("run", run):
            # One that ended at this very moment need not be stopped.
            with suppress(JobStateError):
                job_stop(job=job)
    run.refresh_from_db(fields=["status"])
    if not run.is_over:
        run.stop()
    elif run.status != Run.Status.STOPPED:
        raise _not_allowed(run, SimulationState.Command.STOP)
    audit.record(audit.Action.STOP, "run", run)
