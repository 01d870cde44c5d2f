"""Write a study or runs as a report to attach to a ticket, or as all that a paper needs of them."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from apps.dashboard.compare.comparison import MOST_RUNS, Comparison
from apps.dashboard.compare.paper import comparison_paper
from apps.results.errors import DomainError
from apps.results.models import Run, Study
from apps.studies.paper.bundle import Paper, paper_zip
from apps.studies.paper.study import study_paper
from apps.studies.report.html import run_html, run_markdown, study_html
from apps.studies.report.tables import markdown_table
from scheduler_sim import engine
from scheduler_sim.accounts import audit
from scheduler_sim.display.charts import PAPER_WIDTHS
from scheduler_sim.display.commands import SiteCommand, bare


class Command(SiteCommand):
    """Write a study or a run as one HTML file that needs nothing else, as Markdown, or, with --bundle, a study or
    runs side by side as a zip archive for a paper: figures, LaTeX, sources, data and manifests.
    """

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--study", metavar="STUDY", help="number or name")
        what.add_argument("--run", metavar="RUN", help="number or name")
        what.add_argument("--compare", metavar="N,N,...", help="numbers of runs side by side, for --bundle")
        parser.add_argument("--format", choices=("html", "md"), default="html")
        parser.add_argument("--figure", default="", help="the study's figure (default: the one it names)")
        parser.add_argument("--base", default="", help="the policy to compare with (default: the one it names)")
        where = parser.add_mutually_exclusive_group()
        where.add_argument("--output", metavar="FILE|-", default="-", help="where to write (default: stdout)")
        where.add_argument("--bundle", metavar="FILE.zip", help="write all that a paper needs there instead")
        parser.add_argument(
            "--width", choices=tuple(PAPER_WIDTHS), default="single", help="columns that a bundle's figures take"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        target = options["bundle"] or options["output"]
        asked = next(f"{kind} {options[kind]}" for kind in ("study", "run", "compare") if options[kind])
        try:
            content = paper_zip(_paper(options), options["width"]) if options["bundle"] else _text(options).encode()
            audit.record(audit.Action.EXPORT, "report", called=f"{asked} to {target}")
            if target == "-":
                bare(self.stdout).write(content.decode())
                return
            Path(target).write_bytes(content)
        except (DomainError, engine.EngineError) as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"{target} cannot be written: {error.strerror}.") from error
        self.stderr.write(f"Wrote {target}.")


def _text(options: dict[str, Any]) -> str:
    if options["compare"]:
        raise CommandError("--compare needs --bundle.")
    if options["run"]:
        run = _runs([Run.objects.named(options["run"]).pk])[0]
        return run_markdown(run) if options["format"] == "md" else run_html(run)
    study = Study.objects.named(options["study"])
    write = markdown_table if options["format"] == "md" else study_html
    return write(study, figure=options["figure"], base=options["base"])


def _paper(options: dict[str, Any]) -> Paper:
    if options["study"]:
        study = Study.objects.named(options["study"])
        return study_paper(study, figure=options["figure"], base=options["base"], is_bounded=False)
    names = [options["run"]] if options["run"] else options["compare"].split(",")
    keys = list(dict.fromkeys(Run.objects.named(name.strip()).pk for name in names))
    if len(keys) > MOST_RUNS:
        raise CommandError(f"At most {MOST_RUNS} runs are compared.")
    return comparison_paper(Comparison(_runs(keys), base=options["base"]), is_bounded=False)


def _runs(keys: list[int]) -> list[Run]:
    found = Run.objects.select_related("workload", "site").in_bulk(keys)
    return [found[key] for key in keys]
