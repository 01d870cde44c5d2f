"""Forecasts of starts for stored sites: what they are made of, and what is told of them."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction

from apps.tasks.errors import SiteError, WorkloadError
from apps.tasks.models import ForecastTrial, Site, StartForecast, Workload
from apps.tasks.stored_tasks import load_tasks
from scheduler_sim.accounts import audit
from scheduler_sim.background.models import Job
from scheduler_sim.background.services import job_submit
from scheduler_sim.engine import EngineError
from scheduler_sim.engine.errors import InvalidTrace
from scheduler_sim.engine.forecasting import Expected, Forecast, Past, forecast
from scheduler_sim.engine.packed.spool import spooled
from scheduler_sim.engine.packed.unpack import unpacked_text
from scheduler_sim.engine.traces.slurm_queue import workload_of_queue
from scheduler_sim.engine.traces.slurm_snapshots import Snapshot, read_queue, split_snapshots

MOST_BYTES = 8 * 2**20
MOST_JOBS = 20_000
"""A queue that is sent over HTTP may hold so much."""

MOST_REPLICAS = 1000
"""A forecast that is asked for over HTTP plays at most so many futures."""

MOST_UNANSWERED = 4
"""So many forecasts of one user may wait or be made."""

COLUMNS = ("job", "user", "partition", "kind", "reason", "start", "earliest", "latest", "slurm_start")
"""Of a table of what is expected; instants as ISO 8601 in UTC, empty where there is none."""


class ForecastRefused(EngineError):
    """As many forecasts of this user as may wait are waiting."""


def forecast_make(
    *,
    site: Site,
    queue: str,
    queue_name: str = "squeue",
    at: float | None = None,
    history: Workload | None = None,
    replicas: int,
    seed: int,
    on_replica: Callable[[int], None] | None = None,
) -> Forecast:
    """Forecast the jobs of a printed queue.

    Args:
        queue: what squeue printed; of several printouts the last one, or the last at or before `at`.
        queue_name: of the file, for messages.
        at: when it was printed, seconds since 1970, where the text does not say.
        history: what ran before.
        on_replica: called with how many futures were played.

    Raises:
        SiteError, WorkloadError: no such printout, or a history that does not tell when it was.
        EngineError: text that squeue does not print, or a site that is not played.
    """
    shot = _chosen(split_snapshots(queue), at)
    return forecast(
        read_queue(shot.text, queue_name),
        site.as_site(),
        at=at if shot.at is None else shot.at,
        past=None if history is None else past_of(history),
        replicas=replicas,
        seed=seed,
        on_replica=on_replica,
    )


def _chosen(shots: list[Snapshot], at: float | None) -> Snapshot:
    if at is None or len(shots) == 1:
        return shots[-1]
    before = [shot for shot in shots if shot.at is not None and shot.at <= at]
    if not before:
        raise SiteError("The file holds no printout of that instant or before.")
    return before[-1]


def began_at(history: Workload) -> float:
    """Return time 0 of a workload's clock, in seconds since 1970.

    Raises:
        WorkloadError: its file does not tell.
    """
    told = history.audit.get("headers", {}).get("UnixStartTime", "")
    try:
        return float(told)
    except ValueError:
        raise WorkloadError(
            f"Workload {history.name} does not tell when it began; what sacct printed does, and SWF with UnixStartTime."
        ) from None


def past_of(history: Workload) -> Past:
    """Return a workload as what ran before.

    Raises:
        WorkloadError: its file does not tell when it began.
    """
    zero_at = began_at(history)
    return Past(load_tasks(workload_id=history.pk).workload, zero_at)


def forecast_document(found: Forecast) -> dict[str, Any]:
    """Return a forecast as JSON has it."""
    return {
        "at": iso(found.at),
        "replicas": found.replicas,
        "seed": found.seed,
        "running": found.running,
        "learned": found.learned,
        "horizon": iso(found.horizon_at),
        "cautions": list(cautions(found)),
        "jobs": [dict(zip(COLUMNS, row, strict=True)) for row in forecast_rows(found)],
    }


def forecast_rows(found: Forecast) -> Iterator[tuple[str | None, ...]]:
    """Yield a row for each job, as `COLUMNS` names them."""
    for one in found.jobs:
        instants = (one.start_at, one.earliest_at, one.latest_at, one.slurm_start_at)
        yield (one.job, one.user, one.partition, one.kind, one.reason, *map(iso, instants))


def cautions(found: Forecast) -> Iterator[str]:
    """Yield what must be known to read a forecast."""
    if not found.learned:
        yield "Nothing is known of how long jobs run but their limits, and nobody is taken to submit anything later."
    elif found.learned < 100:
        yield f"Only {found.learned} jobs that ended before tell how long jobs run."
    if found.moved:
        yield f"{len(found.moved):,} running jobs are not held on their own nodes: {named(found.moved)}."
    if found.left_out:
        yield f"{len(found.left_out):,} jobs are left out, since they neither run nor wait: {named(found.left_out)}."
    open_ended = sum(one.kind == "expected" and one.latest_at is None for one in found.jobs)
    if open_ended:
        yield f"{open_ended:,} intervals have no end: these jobs may start after {iso(found.horizon_at)}."


def named(jobs: tuple[str, ...], most: int = 5) -> str:
    """Return the first jobs of a list."""
    return ", ".join(jobs[:most]) + (", ..." if len(jobs) > most else "")


def iso(instant: float | None) -> str | None:
    """Return an instant as ISO 8601 in UTC, in whole seconds."""
    return None if instant is None else datetime.fromtimestamp(round(instant), UTC).isoformat()


def expectation(one: Expected) -> str:
    """Say in words what is expected of a job."""
    if one.kind == "never":
        return f"can never start as things are ({one.reason})"
    if one.kind == "held":
        return "waits for somebody to release it, or for such a job"
    return "may start after the forecast's end" if one.start_at is None else ""


def refuse_many(asked: StartForecast | ForecastTrial, called: str) -> None:
    """Refuse a user of whom many wait already.

    Raises:
        ForecastRefused: as many as may wait.
    """
    unanswered = Job.objects.active().filter(kind=asked.JOB, requested_by=asked.requested_by).count()
    if unanswered >= MOST_UNANSWERED:
        raise ForecastRefused(f"{unanswered} {called} of yours are not made yet; stop one, or wait for it.")


def printed(upload: UploadedFile, most_bytes: int) -> str:
    """Return what a command printed, unpacked, as text that any database can store.

    Raises:
        InvalidTrace: see `unpacked_text`.
    """
    name = upload.name or "squeue"
    content = unpacked_text(name, spooled(name, upload.chunks()), most_bytes)
    return content.decode("utf-8", "replace").replace("\0", "")


@transaction.atomic
def forecast_ask(asked: StartForecast) -> StartForecast:
    """Keep a printed queue and ask for a process that forecasts its starts.

    Args:
        asked: not stored yet; of several printouts in its queue one is kept, see `forecast_make`.

    Raises:
        ForecastRefused: too many of the user's are not made yet.
        WorkloadError: the history does not tell when it was.
        EngineError: text that squeue does not print, or no queue that can be forecast.
    """
    refuse_many(asked, "forecasts")
    shot = _chosen(split_snapshots(asked.queue), asked.queue_at)
    jobs = read_queue(shot.text, asked.file_name)
    if len(jobs) > MOST_JOBS:
        raise InvalidTrace(f"{asked.file_name} holds {len(jobs):,} jobs; at most {MOST_JOBS:,} are forecast.")
    asked.queue, asked.queue_at = shot.text, asked.queue_at if shot.at is None else shot.at
    workload_of_queue(jobs, at=asked.queue_at)
    if asked.history is not None:
        began_at(asked.history)
    asked.file_name = asked.file_name[:255]
    asked_keep(asked)
    return asked


def asked_keep(asked: StartForecast | ForecastTrial) -> None:
    """Store what is asked for, and ask for the process that makes it."""
    asked.save()
    job_submit(kind=asked.JOB, subject_id=asked.pk, requested_by=asked.requested_by)
    audit.record(audit.Action.START, asked.JOB, asked, called=str(asked))
