"""Write a study or a run as a report to attach to a paper or a ticket."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from apps.results.errors import DomainError
from apps.results.models import Run, Study
from apps.studies.report.html import run_html, run_markdown, study_html
from apps.studies.report.tables import markdown_table
from scheduler_sim import engine
from scheduler_sim.accounts import audit
from scheduler_sim.display.commands import SiteCommand, bare


class Command(SiteCommand):
    help = "Write a study or a run as one HTML file that needs nothing else, or as Markdown."

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--study", metavar="STUDY", help="number or name")
        what.add_argument("--run", metavar="RUN", help="number or name")
        parser.add_argument("--format", choices=("html", "md"), default="html")
        parser.add_argument("--figure", default="", help="the study's figure (default: the one it names)")
        parser.add_argument("--base", default="", help="the policy to compare with (default: the one it names)")
        parser.add_argument("--output", metavar="FILE|-", default="-", help="where to write (default: stdout)")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            text = self._text(options)
            asked = f"study {options['study']}" if options["study"] else f"run {options['run']}"
            audit.record(audit.Action.EXPORT, "report", called=f"{asked} to {options['output']}")
            if options["output"] == "-":
                bare(self.stdout).write(text)
                return
            Path(options["output"]).write_text(text, encoding="utf-8")
        except (DomainError, engine.EngineError) as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"{options['output']} cannot be written: {error.strerror}.") from error
        self.stderr.write(f"Wrote {options['output']}.")

    def _text(self, options: dict[str, Any]) -> str:
        if options["run"]:
            run = Run.objects.select_related("workload").get(pk=Run.objects.named(options["run"]).pk)
            return run_markdown(run) if options["format"] == "md" else run_html(run)
        study = Study.objects.named(options["study"])
        write = markdown_table if options["format"] == "md" else study_html
        return write(study, figure=options["figure"], base=options["base"])
