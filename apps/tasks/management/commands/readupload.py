"""Read a trace file that was sent over HTTP; the server starts this."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.tasks.models import WorkloadImport
from apps.tasks.uploads import upload_read


class Command(BaseCommand):
    help = "Read a trace file that was sent over HTTP (the server starts this by itself)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("number", type=int, metavar="ID", help="of the import")

    def handle(self, *args: Any, **options: Any) -> str:
        job = WorkloadImport.objects.filter(pk=options["number"], status=WorkloadImport.Status.QUEUED).first()
        if job is None:
            raise CommandError(f"No import {options['number']} is waiting.")
        upload_read(job=job)
        return f"Import {job.pk} is {job.status}. {job.error}".strip()
