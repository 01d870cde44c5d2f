"""Do one job that was asked for over HTTP; the server starts this."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from scheduler_sim.background.claims import ClaimTaken
from scheduler_sim.background.models import Job
from scheduler_sim.background.services import dispatch
from scheduler_sim.background.sweep import sweeping
from scheduler_sim.background.work import job_run
from scheduler_sim.display.commands import PlayingCommand


class Command(PlayingCommand):
    """Do one job that was asked for over HTTP (the server starts this by itself), then start what waits."""

    # Those of the addresses would load every page and endpoint first, for a second.

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("number", type=int, metavar="ID", help="of the job")

    def handle(self, *args: Any, **options: Any) -> str:
        job = Job.objects.filter(pk=options["number"]).first()
        if job is None or not job.is_active:
            raise CommandError(f"No job {options['number']} is waiting.")
        try:
            with sweeping():
                job_run(job)
        except ClaimTaken as error:
            raise CommandError(str(error)) from error
        dispatch()
        return f"Job {job.pk} ({job}) is {job.status}. {job.error}".strip()
