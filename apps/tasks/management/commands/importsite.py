"""Read a site from Slurm's files, or from a description, into the database."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.db import DatabaseError
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive, make_aware
from rich.console import Console
from rich.table import Table

from apps.tasks.errors import SiteError
from apps.tasks.management.printed import storing_told
from apps.tasks.sites.services import site_store
from scheduler_sim.display.commands import ExplainedCommand
from scheduler_sim.display.formatting import duration
from scheduler_sim.display.terminal import PlainConsole
from scheduler_sim.engine import EngineError, sites
from scheduler_sim.engine.sites.inferred import site_from_trace
from scheduler_sim.engine.sites.slurm_reserved import COMMAND as PAST_RESERVATIONS
from scheduler_sim.texts import understood

EPILOG = """
What may be read beside or instead of slurm.conf, and the command that prints it:
{sources}
  --reservations scontrol show reservation (needs --zero), or of past ones
                 {past}
  --events       sacctmgr show event all_time -P (needs --zero)

Each time that a site is imported under a name is a new version, unless nothing changed.

Files without an option are told by what is in them; those that slurm.conf includes are not named.

Examples:
  manage.py importsite slurm.conf gres.conf cluster.cfg qos.txt
  manage.py importsite --slurm-conf /etc/slurm/slurm.conf --dump cluster.cfg --qos qos.txt
  manage.py importsite --nodes nodes.txt --partitions partitions.txt --config config.txt --name mycluster
  manage.py importsite --file site.yaml
  manage.py importsite --auto jobs.tsv --name mycluster
  manage.py importsite --slurm-conf slurm.conf --dry-run --output site.yaml
"""


class Command(ExplainedCommand):
    """Read a site (nodes, partitions, QOS, accounts, limits, scheduler) and say what of it was not understood."""

    def explanation(self) -> str:
        """Return what may be read, and examples."""
        lines = [f"  --{key:12} {command}" for key, (command, _) in sites.SOURCES.items()]
        return EPILOG.format(sources="\n".join(lines), past=PAST_RESERVATIONS)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="files told by what is in them")
        parser.add_argument(
            "--file", type=Path, metavar="FILE", help="a description as docs/sites.md says, YAML or JSON"
        )
        parser.add_argument(
            "--auto", type=Path, metavar="FILE", help="infer it from what sacct printed, as far as jobs show it"
        )
        parser.add_argument("--slurm-conf", type=Path, metavar="FILE", help="slurm.conf; its includes lie beside it")
        parser.add_argument("--gres-conf", type=Path, metavar="FILE", help="gres.conf, for types of GPUs")
        parser.add_argument("--topology", type=Path, metavar="FILE", help="topology.conf, for racks and switches")
        for key, (command, _) in sites.SOURCES.items():
            parser.add_argument(f"--{key}", type=Path, metavar="FILE", help=f"what {command} printed")
        parser.add_argument(
            "--reservations",
            type=Path,
            metavar="FILE",
            help="what scontrol show reservation, or of past ones sacctmgr, printed",
        )
        parser.add_argument(
            "--events", type=Path, metavar="FILE", help="what sacctmgr show event -P printed: when nodes were away"
        )
        parser.add_argument("--zero", metavar="DATETIME", help="time 0 of the workload, for reservations and events")
        parser.add_argument("--name", default="", help="of the site (default: the cluster's own)")
        parser.add_argument("--output", type=Path, metavar="FILE", help="write the description as YAML as well")
        parser.add_argument("--dry-run", action="store_true", help="store nothing")
        parser.add_argument("--json", action="store_true", help="one JSON document on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        site, notes, files = _read(options)
        stored, created = None, False
        if options["output"] is not None:
            try:
                options["output"].write_text(sites.write_site(site), encoding="utf-8")
            except OSError as error:
                raise CommandError(f"{options['output']} cannot be written: {error.strerror}.") from error
        if not options["dry_run"]:
            origin = ", ".join(file.name for file in files)
            try:
                stored, created = site_store(site=site, notes=notes, origin=origin, name=options["name"])
            except (SiteError, DatabaseError) as error:
                raise CommandError(f"The site could not be stored: {str(error).rstrip('.')}.") from error
        if options["json"]:
            self.stdout.write(
                json.dumps(
                    {
                        "site": site.as_json(),
                        "version": stored.version if stored else None,
                        "digest": stored.digest if stored else None,
                        "notes": [vars(note) for note in notes],
                    },
                    indent=2,
                )
            )
            return
        console = PlainConsole(stderr=True, quiet=options["verbosity"] == 0)
        _print_partitions(site, console)
        _print_notes(notes, console)
        self.stdout.write(_summary(site))
        called = None if stored is None else str(stored)
        self.stdout.write(storing_told(called, is_new=created, known="Nothing has changed since"))


def _read(options: dict[str, Any]) -> tuple[sites.Site, list[sites.Note], list[Path]]:
    given = {key: options[key] for key in sites.SOURCES if options[key] is not None}
    others = ("slurm_conf", "gres_conf", "topology", "reservations", "events")
    files = [*given.values(), *(options[key] for key in others if options[key])]
    if [bool(options[way]) for way in ("file", "auto", "files")].count(True) + bool(files) != 1:
        raise CommandError(
            "Name either files, which are told by what is in them, or a description with --file, or what sacct printed "
            "with --auto, or files of Slurm by their options, such as --slurm-conf."
        )
    try:
        if options["auto"]:
            return *site_from_trace(options["auto"], name=options["name"]), [options["auto"]]
        if options["file"]:
            return sites.read_site_file(options["file"]), [], [options["file"]]
        if options["files"]:
            zero_at = _zero(options["zero"])
            return sites.read_site_files(options["files"], zero_at=zero_at, name=options["name"])
        site, notes = sites.read_slurm_site(
            given,
            slurm_conf_file=options["slurm_conf"],
            gres_conf_file=options["gres_conf"],
            topology_file=options["topology"],
            reservations_file=options["reservations"],
            events_file=options["events"],
            zero_at=_zero(options["zero"]),
            name=options["name"],
        )
    except EngineError as error:
        raise CommandError(str(error)) from error
    return site, notes, files


def _zero(text: str | None) -> float | None:
    if text is None:
        return None
    found = understood(parse_datetime, text)
    if found is None:
        raise CommandError(f"--zero takes a date and a time like 2026-01-31T08:00:00, not {text!r}.")
    return (make_aware(found) if is_naive(found) else found).timestamp()


def _print_partitions(site: sites.Site, console: Console) -> None:
    table = Table(title=f"Partitions of {site.name}")
    for column in ("partition", "nodes", "cores", "GPUs", "longest run time", "tier", "priority"):
        table.add_column(column, justify="left" if column == "partition" else "right")
    groups = site.cluster.groups
    group_of = site.cluster.group_of_nodes()
    for partition in site.partitions:
        numbers = site.numbers(partition.hosts)
        limit = "unlimited" if partition.max_time is None else duration(partition.max_time)
        table.add_row(
            partition.name + (" (default)" if partition.is_default else ""),
            f"{len(numbers):,}",
            f"{sum(groups[group_of[number]].cores for number in numbers):,}",
            f"{sum(groups[group_of[number]].gpus for number in numbers):,}",
            limit,
            str(partition.tier),
            str(partition.priority),
        )
    console.print(table)


def _print_notes(notes: list[sites.Note], console: Console) -> None:
    if not notes:
        console.print("Everything was understood.")
    for note in notes:
        console.print(f"Noticed: {note}", markup=False)


def _summary(site: sites.Site) -> str:
    cluster = site.cluster
    users = {one.user for one in site.accounts if one.user}
    accounts = {one.name for one in site.accounts if not one.user}
    topology = cluster.topology
    switches = "" if topology is None else f"{len(topology.switches):,} switches in {topology.levels} levels, "
    return (
        f"Site {site.name}: {cluster.nodes:,} nodes in {len(cluster.groups)} groups, {switches}{cluster.cores:,} "
        f"cores, {cluster.gpus:,} GPUs, {len(site.partitions)} partitions, {len(site.qos)} QOS, {len(accounts)} "
        f"accounts, {len(users)} users, {len(site.reservations)} reservations, {len(site.outages)} outages."
    )
