"""Read a trace file into the database."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from apps.tasks.reports import print_audit, storing, summary, workload_document
from apps.tasks.services import workload_import
from scheduler_sim.accounts import audit
from scheduler_sim.display.commands import ExplainedCommand
from scheduler_sim.display.terminal import PlainConsole
from scheduler_sim.engine.traces import COLUMNS, FORMATS, ReadOptions, read_kinds, read_throughputs
from scheduler_sim.engine.traces.source import MAX_BYTES
from scheduler_sim.engine.traces.units import COUNT, MEMORY, TIME
from scheduler_sim.engine.traces.written import read_header, read_map

EPILOG = """
formats (found by content unless named; gzip, bzip2, xz, zstd and a zip of one file are read as they are):
{formats}

workload columns for --map:
  {columns}
units for --map, as in arrival_time=submitted@ms:
  time {time}; memory {memory}; cores and GPUs {count}

Examples:
  manage.py importworkload NASA-iPSC-1993-3.1-cln.swf.gz
  manage.py importworkload jobs.csv --map arrival_time=submitted,runtime=secs,cpus=cores,gpus=num_gpu
  manage.py importworkload jobs.csv --map arrival_time=submitted@ms,runtime=took@min,memory_mb=mem@GiB
  manage.py importworkload rows.csv --columns task_id,arrival_time,runtime,cpus
  manage.py importworkload jobs.tsv --format sacct --finished-only
  manage.py importworkload msr.trace --steps-per-second 10
"""


class Command(ExplainedCommand):
    """Read a trace file into the database and say what the import noticed."""

    def explanation(self) -> str:
        """Return the formats, columns, units and examples."""
        formats = "\n".join(f"  {entry.name:8} {entry.description}" for entry in FORMATS.values())
        units = {kind: " ".join(known) for kind, known in (("time", TIME), ("memory", MEMORY), ("count", COUNT))}
        return EPILOG.format(formats=formats, columns=" ".join(COLUMNS), **units)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", help="the trace, plain or packed")
        parser.add_argument("--format", metavar="F", help="default: found by content")
        parser.add_argument("--name", help="of the workload; must be new (default: made from the file's name)")
        parser.add_argument(
            "--map", metavar="A=B[@UNIT],...", help="csv, parquet, sacct: workload column = column of the file"
        )
        parser.add_argument(
            "--columns", metavar="A,B,...", help="csv, sacct: names of the columns of a file without a header line"
        )
        parser.add_argument("--preceding-jobs", action="store_true", help="swf: take field 17 as a dependency")
        parser.add_argument(
            "--think-times",
            action="store_true",
            help="swf: take fields 17 and 18 as the job that the user waited for and the think time, for a closed loop",
        )
        parser.add_argument(
            "--finished-only", action="store_true", help="sacct: leave out jobs that still ran when it was printed"
        )
        parser.add_argument("--steps-per-second", type=float, metavar="X", help="gavel: throughput of every job type")
        parser.add_argument("--flops", type=float, metavar="X", help="batsim: flop/s of a host, for what computes")
        parser.add_argument(
            "--throughputs",
            metavar="FILE",
            help="gavel: JSON, steps a second by job type, or Gavel's own table, also as csv",
        )
        parser.add_argument("--worker-type", metavar="W", help="gavel: whose rates of --throughputs give the run times")
        parser.add_argument(
            "--max-bytes", type=int, default=MAX_BYTES, metavar="N", help="largest size after decompression"
        )
        parser.add_argument("--json", action="store_true", help="one JSON document on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        console = PlainConsole(stderr=True, quiet=options["verbosity"] == 0)
        with storing(console, "reading") as status:
            workload, created = workload_import(
                file=options["file"],
                name=options["name"],
                format=options["format"],
                options=_read_options(options),
                max_bytes=options["max_bytes"],
                progress=status.update,
            )
            if created:
                audit.record(audit.Action.UPLOAD, "workload", workload)
        if options["json"]:
            self.stdout.write(json.dumps(workload_document(workload, created=created), indent=2))
            return
        if not created:
            self.stdout.write(f"This file is stored already, as workload {workload.name}.")
        print_audit(workload, console)
        self.stdout.write(summary(workload))


def _read_options(options: dict[str, Any]) -> ReadOptions:
    throughputs = kinds = None
    if options["throughputs"]:
        throughputs = read_throughputs(options["throughputs"], options["worker_type"])
        kinds = read_kinds(options["throughputs"])
    elif options["worker_type"]:
        raise CommandError("--worker-type chooses one of --throughputs, which is not given.")
    return ReadOptions(
        columns=read_map(options["map"]) if options["map"] is not None else None,
        header=read_header(options["columns"]) if options["columns"] is not None else None,
        preceding_jobs=options["preceding_jobs"],
        think_times=options["think_times"],
        steps_per_second=options["steps_per_second"],
        throughputs=throughputs,
        kinds=kinds,
        finished_only=options["finished_only"],
        flops=options["flops"],
    )
