"""Write stored rows to a file or to standard output."""

import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from apps.live.exchange import exports, streams
from apps.live.exchange.files import file_write
from apps.results.errors import DomainError
from apps.results.models import Run
from apps.tasks.models import Workload
from scheduler_sim.accounts import audit
from scheduler_sim.display.commands import SiteCommand, bare

KINDS = ("tasks", "results", "attempts", "training", "metrics", "groups", "workload")


class Command(SiteCommand):
    """Export tasks, results, attempts, training data, figures or a workload as csv, Parquet, JSON lines or SWF."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kind", choices=KINDS, help="what to export")
        parser.add_argument("--run", metavar="RUN", help="number or name of a run (for tasks: those of its workload)")
        parser.add_argument("--workload", metavar="W", help="number or name of a workload")
        parser.add_argument("--format", choices=exports.FORMATS, default="csv", help="default: csv; swf for workloads")
        parser.add_argument("--output", metavar="FILE|-", default="-", help="default: -, standard output")
        parser.add_argument(
            "--unfinished",
            action="store_true",
            help="also of a run that has not come to its end; FILE.csv is then called FILE.unfinished.csv",
        )
        parser.add_argument(
            "--with-electricity",
            action="store_true",
            help="results and attempts of a run with series: carbon_kg and electricity_usd of each, too",
        )
        parser.add_argument(
            "--raw",
            action="store_true",
            help="csv for programs: without the quote before texts that a spreadsheet would run as a formula",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            chunks, mark = self._chunks(options)
            audit.record(audit.Action.EXPORT, options["kind"], called=self._of_what(options))
            if options["output"] == "-":
                self._print(chunks)
                self._tell(mark)
                return
            path = Path(options["output"])
            path = path.with_stem(f"{path.stem}.unfinished") if mark else path
            written = file_write(path, chunks)
        except DomainError as error:
            raise CommandError(str(error)) from error
        except BrokenPipeError:
            # The reader, such as `head`, has seen enough; nothing may be flushed into the closed pipe at exit.
            sys.stdout = None
            return
        except OSError as error:
            raise CommandError(f"{options['output']} cannot be written: {error.strerror}.") from error
        self._tell(mark)
        self.stderr.write(f"Wrote {written:,} bytes to {path}.")

    def _tell(self, mark: str) -> None:
        if mark:
            self.stderr.write(f"This export is unfinished. {mark}")

    def _print(self, chunks: Iterator[bytes]) -> None:
        # Tests and call_command hand over a text stream; a terminal or a pipe takes the bytes themselves.
        out = bare(self.stdout)
        binary = getattr(out, "buffer", None)
        for chunk in chunks:
            if binary is not None:
                binary.write(chunk)
            else:
                out.write(chunk.decode())
        if binary is not None:
            binary.flush()

    def _chunks(self, options: dict[str, Any]) -> tuple[Iterator[bytes], str]:
        """Return the bytes, and what is missing of the run that they are of, empty for nothing."""
        kind = options["kind"]
        if options["with_electricity"] and kind not in ("results", "attempts"):
            raise CommandError(f"--with-electricity belongs to results and attempts, not to {kind}.")
        if kind in ("tasks", "workload"):
            workload = self._workload(options)
            if options["format"] != "swf":
                return self._stream(exports.tasks_export(workload), options), ""
            chunks, lost = exports.workload_swf(workload)
            for what, count in lost.items():
                self.stderr.write(f"SWF has no place for {what}: {count:,} tasks.")
            return chunks, ""
        if options["workload"]:
            raise CommandError(f"{kind} belong to a run: give --run RUN, not --workload.")
        if kind == "training" and not options["run"]:
            return self._stream(exports.training_export(None), options), ""
        if not options["run"]:
            raise CommandError(f"Say whose {kind}: --run RUN, a number or name.")
        run = Run.objects.named(options["run"])
        of_run = {
            "results": exports.results_export,
            "attempts": exports.attempts_export,
            "metrics": exports.metrics_export,
            "groups": exports.groups_export,
            "training": exports.training_export,
        }
        for caution in run.cautions:
            self.stderr.write(caution["text"])
        more = {"electricity": True} if options["with_electricity"] else {}
        export = of_run[kind](run, unfinished=options["unfinished"], **more)
        return self._stream(export, options), exports.unfinished_words(run)

    def _of_what(self, options: dict[str, Any]) -> str:
        asked = " ".join(f"{kind} {options[kind]}" for kind in ("run", "workload") if options[kind])
        return f"{asked} to {options['output']}".strip()

    def _stream(self, export: streams.Export, options: dict[str, Any]) -> Iterator[bytes]:
        return streams.stream(export, options["format"], raw=options["raw"])

    def _workload(self, options: dict[str, Any]) -> Workload:
        if options["run"] and options["workload"]:
            raise CommandError("Give --run RUN or --workload W, not both.")
        if options["run"]:
            return Run.objects.named(options["run"]).workload
        wanted = options["workload"]
        if not wanted:
            raise CommandError("Say which workload: --workload W (number or name), or --run RUN.")
        found = Workload.objects.filter(pk=int(wanted)).first() if wanted.isascii() and wanted.isdecimal() else None
        found = found or Workload.objects.filter(name=wanted).first()
        if found is None:
            raise CommandError(f"There is no workload {wanted!r}.")
        return found
