"""Trace files sent over HTTP: kept, read in a process of their own, and reported on."""

import subprocess
import sys
import unicodedata
import uuid
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.core.files.uploadedfile import UploadedFile
from django.db import DatabaseError

from apps.tasks.errors import WorkloadError
from apps.tasks.models import WorkloadImport
from apps.tasks.services import workload_import
from scheduler_sim import engine

AT_ONCE = 2
"""More uploads than this are not read at the same time: each holds its file in memory."""


class TooManyImports(WorkloadError):
    """As many uploads as are read at once are being read."""


def upload_accept(
    *,
    upload: UploadedFile,
    format: str,  # noqa: A002
    name: str,
    requested_by: AbstractBaseUser | None,
) -> WorkloadImport:
    """Keep the file and start a process that reads it.

    Raises:
        TooManyImports: too many are under way.
    """
    for dead in WorkloadImport.objects.interrupted():
        _end(dead, status=WorkloadImport.Status.FAILED, error="The process that read it died.")
    if WorkloadImport.objects.under_way().count() >= AT_ONCE:
        raise TooManyImports(f"{AT_ONCE} uploads are being read already; send this one again when one has ended.")
    folder = settings.VAR_DIR / "uploads"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / uuid.uuid4().hex
    with path.open("xb") as file:
        for chunk in upload.chunks():
            file.write(chunk)
    job = WorkloadImport.objects.create(
        file_name=_printable(upload.name or "upload")[:255],
        stored_file=str(path),
        format=format,
        name=name,
        requested_by=requested_by,
        progress="waiting for a process",
    )
    try:
        _launch(job)
    except OSError as error:
        _end(job, status=WorkloadImport.Status.FAILED, error=f"No process could be started: {error.strerror}.")
    return job


def _printable(text: str) -> str:
    return "".join(character for character in text if unicodedata.category(character)[0] != "C") or "upload"


def _launch(job: WorkloadImport) -> None:
    """Start `manage.py readupload`, which outlives this process."""
    logs = settings.VAR_DIR / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with (logs / f"import-{job.pk}.log").open("ab") as log:
        subprocess.Popen(  # noqa: S603
            [sys.executable, str(settings.BASE_DIR / "manage.py"), "readupload", str(job.pk)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def upload_read(*, job: WorkloadImport) -> None:
    """Read the kept file into a workload; the import ends as finished, or as failed with the reason."""

    def tell(text: str) -> None:
        job.status, job.progress = WorkloadImport.Status.RUNNING, text[:200]
        job.save(update_fields=["status", "progress", "updated_at"])

    try:
        job.workload, job.is_new = workload_import(
            file=job.stored_file,
            file_name=job.file_name,
            name=job.name or None,
            format=job.format or None,
            max_bytes=settings.UPLOAD_MAX_UNPACKED_BYTES,
            progress=tell,
        )
    except engine.EngineError as error:
        _end(job, status=WorkloadImport.Status.FAILED, error=str(error))
    except (DatabaseError, OSError, MemoryError) as error:
        _end(job, status=WorkloadImport.Status.FAILED, error=f"The workload could not be stored: {error}.")
        raise
    else:
        _end(job, status=WorkloadImport.Status.FINISHED)


def _end(job: WorkloadImport, *, status: str, error: str = "") -> None:
    Path(job.stored_file).unlink(missing_ok=True)
    job.status, job.error, job.progress, job.stored_file = status, error, "", ""
    job.save()
