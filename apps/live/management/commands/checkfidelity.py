"""Play a policy and say whether it does what a workload's log tells."""

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db import DatabaseError

from apps.live.checking.fidelity_check import Check, fidelity_check
from apps.live.play.cluster_changes import ClusterChanges
from apps.live.play.configuration import RunConfiguration
from apps.live.play.sites import site_settled
from apps.live.terminal.fidelity_table import check_document, print_check
from apps.results.errors import DomainError
from apps.tasks.models import Workload
from apps.tasks.services import workload_find_or_import
from scheduler_sim import engine
from scheduler_sim.display.commands import PlayingCommand, bare
from scheduler_sim.display.formatting import duration
from scheduler_sim.display.terminal import PlainConsole
from scheduler_sim.engine.clusters.presets import load_cluster
from scheduler_sim.engine.measuring.fidelity import FIRST_OVER, SAME_MEAN_WAIT
from scheduler_sim.engine.measuring.recording import LOG_RESOLUTION


class Command(PlayingCommand):
    """Play a policy and hold its starts beside those that the workload's log recorded, by partition, QOS and hour.
    What is found marks the runs of the workload there. Exit code 0 says that the mean waits agree.
    """

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("workload", metavar="WORKLOAD", help="a stored workload, or a trace to import on the fly")
        parser.add_argument(
            "--cluster", metavar="PRESET|FILE", default="auto", help="default: auto, as large as the trace's"
        )
        parser.add_argument("--site", metavar="NAME", help="a stored site, in place of a cluster")
        parser.add_argument("--policy", metavar="POLICY", help="default: slurm on a site, recorded on a cluster")
        parser.add_argument("--seed", type=int, default=0, metavar="N", help="of random orders and placements")
        parser.add_argument(
            "--on-oversize", choices=("fail", "drop", "clamp"), default="fail", help="tasks larger than the cluster"
        )
        parser.add_argument(
            "--within",
            type=float,
            metavar="PERCENT",
            default=100 * SAME_MEAN_WAIT,
            help=f"by how much of the log's mean wait the other may differ (default: {100 * SAME_MEAN_WAIT:g}); "
            "a second always",
        )
        parser.add_argument(
            "--first-over",
            type=float,
            metavar="SECONDS",
            help=f"tell of the first task that differs by more than this (default: {LOG_RESOLUTION:g} for recorded, "
            f"which is to bring about the very starts, {FIRST_OVER:g} for others)",
        )
        parser.add_argument("--json", action="store_true", help="one JSON document on stdout instead of the table")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 0 <= options["within"] < float("inf") or not 0 <= (options["first_over"] or 0) < float("inf"):
            raise CommandError("--within and --first-over take numbers from 0 up.")
        try:
            workload, _ = workload_find_or_import(options["workload"])
            configuration, cluster = self._configured(options, workload)
            check = fidelity_check(
                workload=workload, cluster=cluster, configuration=configuration, over=options["first_over"]
            )
        except (DomainError, engine.EngineError) as error:
            raise CommandError(str(error)) from error
        except (DatabaseError, OSError) as error:
            raise CommandError(f"The comparison could not be stored: {error}.") from error
        self._tell(check, workload, configuration.policies[0], cluster, options)

    def _configured(self, options: dict[str, Any], workload: Workload) -> tuple[RunConfiguration, engine.Cluster]:
        policy = options["policy"] or ("slurm" if options["site"] else "recorded")
        asked = RunConfiguration(
            policies=(policy,), seed=options["seed"], on_oversize=options["on_oversize"], site=options["site"]
        ).checked()
        if len(asked.policies) != 1:
            raise CommandError("checkfidelity compares one policy with the log.")
        if asked.site is None:
            return asked, load_cluster(options["cluster"], max_processors=workload.max_processors)
        if options["cluster"] != "auto":
            raise CommandError("Give --cluster or --site, not both: a site has its own nodes.")
        settled, site = site_settled(asked, ClusterChanges())
        return settled, site.cluster

    def _tell(
        self, check: Check, workload: Workload, policy: str, cluster: engine.Cluster, options: dict[str, Any]
    ) -> None:
        within = options["within"] / 100
        agrees = check.every.has_same_mean_wait(within)
        waits = f"{duration(check.every.played_mean_wait)} here and {duration(check.every.recorded_mean_wait)} in the"
        verdict = (
            f"{policy} on {cluster.name} {'replays' if agrees else 'does not replay'} {workload.name}: the "
            f"mean wait is {waits} log, and starts differ by {duration(check.every.mean_absolute)} on average."
        )
        if options["json"]:
            document = {
                "agrees": agrees,
                "within": within,
                "verdict": verdict,
                "workload": workload.name,
                "cluster": cluster.name,
                "policy": policy,
                "engine_version": engine.ENGINE_VERSION,
                **check_document(check),
            }
            self.stdout.write(json.dumps(document, indent=2, allow_nan=False))
        else:
            console = PlainConsole(file=bare(self.stdout), width=None if sys.stdout.isatty() else 200)
            print_check(check, console, title=f"{policy} beside the log of {workload.name}")
        if not agrees:
            raise CommandError(verdict)
        if not options["json"]:
            self.stdout.write(verdict)
