"""Trace files sent over HTTP: kept, read in a process of their own, and reported on."""

import contextlib
import unicodedata
import uuid
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils import timezone

from apps.tasks.errors import WorkloadError
from apps.tasks.models import WorkloadImport
from apps.tasks.services import workload_import
from scheduler_sim.accounts import audit
from scheduler_sim.background.services import job_submit
from scheduler_sim.engine.traces import ReadOptions
from scheduler_sim.engine.traces.written import read_header, read_map

MOST_WAITING = 20
"""Uploads of one user that may wait or be read: their files take up the disk."""


class TooManyImports(WorkloadError):
    """As many uploads of this user as may wait are waiting."""


class UploadNotKept(WorkloadError):
    """There is no room for the file."""


def upload_accept(
    *,
    upload: UploadedFile,
    format: str,  # noqa: A002
    name: str,
    requested_by: User | AnonymousUser | None,
    map: str = "",  # noqa: A002
    columns: str = "",
    think_times: bool = False,
    flops: float | None = None,
) -> WorkloadImport:
    """Keep the file and ask for a process that reads it, which starts when one is free.

    Args:
        map, columns: which column is which, as `engine.traces.written` reads it; empty for what the file says.
        think_times, flops: as of `ReadOptions`.

    Raises:
        TooManyImports: too many of this user wait.
        UploadNotKept: it could not be written; nothing of it is left.
        PermissionDenied: somebody who has not signed in.
    """
    if isinstance(requested_by, AnonymousUser):
        raise PermissionDenied("Only somebody who has signed in may send a file.")
    waiting = WorkloadImport.objects.filter(status__in=WorkloadImport.UNFINISHED, requested_by=requested_by)
    if waiting.count() >= MOST_WAITING:
        raise TooManyImports(f"{MOST_WAITING} of your uploads wait already; send this one again when one has ended.")
    path = settings.VAR_DIR / "uploads" / uuid.uuid4().hex
    with _kept(upload, path), transaction.atomic():
        sent = WorkloadImport.objects.create(
            file_name=_printable(upload.name or "upload")[:255],
            stored_file=str(path),
            format=format,
            name=name,
            map=map,
            columns=columns,
            think_times=think_times,
            flops=flops,
            requested_by=requested_by,
            progress="waiting for a process",
        )
        job_submit(kind="import", subject_id=sent.pk, requested_by=requested_by)
        audit.record(audit.Action.UPLOAD, "import", sent, called=sent.file_name)
    return sent


@contextlib.contextmanager
def _kept(upload: UploadedFile, path: Path) -> Iterator[None]:
    """Write the file, which goes again where that or the body fails."""
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                for chunk in upload.chunks():
                    file.write(chunk)
        except OSError as error:
            raise UploadNotKept(f"The file could not be kept: {error.strerror}. Send it again later.") from error
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _printable(text: str) -> str:
    return "".join(character for character in text if unicodedata.category(character)[0] != "C") or "upload"


def upload_read(*, sent: WorkloadImport) -> None:
    """Read the kept file into a workload and finish the import.

    Raises:
        EngineError: the file is no trace that can be stored.
    """

    def tell(text: str) -> None:
        sent.status, sent.progress = WorkloadImport.Status.RUNNING, text[:200]
        sent.save(update_fields=["status", "progress", "updated_at"])

    sent.workload, sent.is_new = workload_import(
        file=sent.stored_file,
        file_name=sent.file_name,
        name=sent.name or None,
        format=sent.format or None,
        options=ReadOptions(
            columns=read_map(sent.map) if sent.map else None,
            header=read_header(sent.columns) if sent.columns else None,
            think_times=sent.think_times,
            flops=sent.flops,
        ),
        max_bytes=settings.UPLOAD_MAX_UNPACKED_BYTES,
        max_rows=settings.UPLOAD_MAX_ROWS,
        progress=tell,
    )
    upload_end(sent=sent, status=WorkloadImport.Status.FINISHED)


def upload_end(*, sent: WorkloadImport, status: str, error: str = "") -> None:
    """Move an import to its end and let its file go; one that has an end keeps it."""
    ended = {"status": status, "error": error, "progress": "", "workload": sent.workload, "is_new": sent.is_new}
    unfinished = WorkloadImport.objects.filter(pk=sent.pk, status__in=WorkloadImport.UNFINISHED)
    if unfinished.update(**ended, stored_file="", updated_at=timezone.now()) and sent.stored_file:
        Path(sent.stored_file).unlink(missing_ok=True)
    sent.refresh_from_db()
