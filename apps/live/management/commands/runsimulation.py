"""Play a workload through scheduling policies and store every placement."""

import json
import math
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.checks import Tags
from django.core.management.base import CommandError
from django.db import DatabaseError

from apps.live.exchange.manifest import manifest_check, manifest_parts, manifest_read, run_manifest
from apps.live.play.cluster_changes import ClusterChanges
from apps.live.play.configuration import RunConfiguration, asked_in, configured
from apps.live.play.continuous import ROUNDS_KEPT, ContinuousRace
from apps.live.play.electricity import settled_on
from apps.live.play.kinds import ENDLESS, PLAYED, WHAT_IF
from apps.live.play.launch import run_create, why_not_continued
from apps.live.play.options import COMMAND
from apps.live.play.playable import playable_on, refuse_unplayable
from apps.live.play.preparation import Prepared, adapt, prepare
from apps.live.play.race_options import RACE_OPTIONS, RaceOptions
from apps.live.play.runner import Runner, stopping_on_signals
from apps.live.play.sites import site_settled
from apps.live.terminal.arguments import add_arguments, add_policy_files, read_arguments
from apps.live.terminal.keyboard import HINT, steering
from apps.live.terminal.progress import ProgressDisplay
from apps.live.terminal.reports import print_leaderboard, run_document
from apps.live.wire.publisher import Publisher
from apps.results.errors import DomainError
from apps.results.models import Run
from apps.tasks.models import Workload
from apps.tasks.services import workload_find_or_import, workload_preview
from apps.training.models import TrainedModel
from apps.training.retraining import Retrainer
from scheduler_sim import engine, logs
from scheduler_sim.accounts import audit
from scheduler_sim.background.sweep import sweeping
from scheduler_sim.display.commands import ExplainedCommand, bare
from scheduler_sim.display.terminal import PlainConsole
from scheduler_sim.engine import kernel_files
from scheduler_sim.engine.clusters.presets import PRESETS, load_cluster
from scheduler_sim.engine.policies import BACKFILLS, ORDERS, PLACEMENTS, PREEMPTIONS, READY_MADE

DEFAULT_POLICIES = "fcfs,fcfs+easy,sjf,sjf+easy,wfp3,wfp3+easy,f1,f1+easy"

EPILOG = """
A policy is order[+backfill][@placement][~preemption], for example fcfs, sjf+easy, wfp3+conservative@best_fit.
  orders:     {orders}
  backfills:  {backfills}
  placements: {placements}
  preemptions: {preemptions}
  ready made: {ready_made}

A cluster is a preset or a JSON, YAML or openb node-list file:
{clusters}

Examples:
  manage.py runsimulation --workload trace.swf.gz --policies fcfs,sjf+easy
  manage.py runsimulation --workload trace.swf --cluster hpc-256 --limit 1000 --json
  manage.py runsimulation --workload sacct.txt --site mycluster --policies slurm,fcfs+easy
  manage.py runsimulation --resume 12
"""

STOPPED_CODE = 130
"""What a shell tells of a command that Ctrl-C has ended."""


class Command(ExplainedCommand):
    """Play a workload through scheduling policies on a simulated cluster and store every placement."""

    # Those of the addresses would load every page and endpoint first, for a second.
    requires_system_checks = (Tags.models,)

    def explanation(self) -> str:
        """Return the parts of policies, the clusters and examples."""
        return EPILOG.format(
            orders=" ".join(ORDERS.names()),
            backfills=" ".join(BACKFILLS.names()),
            placements=" ".join(PLACEMENTS.names()),
            preemptions=" ".join(PREEMPTIONS.names()),
            ready_made=" ".join(READY_MADE),
            clusters="\n".join(f"  {name:12} {line}" for name, line in PRESETS.items()),
        )

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_argument_group(PLAYED)
        what.add_argument("--workload", metavar="NAME|FILE", help="a stored workload, or a trace to import on the fly")
        what.add_argument(
            "--cluster", metavar="PRESET|FILE", default="auto", help="default: auto, as large as the trace's"
        )
        what.add_argument("--name", help="of the run; must be new (default: made from workload and cluster)")
        groups = {PLAYED: what}
        add_arguments(parser, asked_in(COMMAND), groups, policies=DEFAULT_POLICIES)
        add_policy_files(what)
        groups[WHAT_IF].add_argument(
            "--manifest", metavar="FILE", help="play again what a manifest tells of, and compare the checksum"
        )
        output = parser.add_argument_group("output")
        output.add_argument("--write-manifest", metavar="FILE", help="afterwards write from what it can be replayed")
        output.add_argument("--json", action="store_true", help="one JSON document on stdout instead of the table")
        output.add_argument("--csv", metavar="DIR", help="also write the old system's csv file there")
        output.add_argument(
            "--dry-run", action="store_true", help="check everything, say what would be played, write nothing"
        )
        groups[ENDLESS] = parser.add_argument_group(ENDLESS)
        add_arguments(parser, RACE_OPTIONS, groups)
        again = parser.add_argument_group("an existing run")
        again.add_argument("--resume", metavar="RUN", help="take up a run by number or name; a finished one is printed")

    def handle(self, *args: Any, **options: Any) -> None:
        self.console = PlainConsole(stderr=True, quiet=options["verbosity"] == 0)
        self.prepared: Prepared | None = None
        self.publisher = Publisher()  # Of the run under way, or of the next one.
        try:
            if options["dry_run"]:
                self._describe(options)
                return
            # Of a run that is taken up; a new one has them among its options.
            pace = {name: options[name] for name in ("rate", "cores")}
            self.pace = read_arguments(asked_in(COMMAND), {**dict.fromkeys(options), **pace})
            with sweeping():
                self._obey(options)
        except (DomainError, engine.EngineError) as error:
            raise CommandError(str(error)) from error
        except (DatabaseError, OSError) as error:
            raise CommandError(f"The run could not be stored: {error}.") from error

    def _obey(self, options: dict[str, Any]) -> None:
        if options["continuous"]:
            race = self._race(options)
            audit.record(audit.Action.START, "race", called=race.name)
            last = race.run()
            raise CommandError(
                f"Stopped. {last.name} had finished when the word to stop came.", returncode=STOPPED_CODE
            )
        manifest = manifest_read(options["manifest"]) if options["manifest"] else None
        run = self._existing(options) or (self._again(manifest, options) if manifest else self._new(options))
        if run.status != Run.Status.FINISHED:
            audit.record(audit.Action.TAKE_UP if options["resume"] else audit.Action.START, "run", run)
            self._play(run)
        self._print(run, options)
        if options["write_manifest"]:
            Path(options["write_manifest"]).write_text(json.dumps(run_manifest(run), indent=2) + "\n")
        if manifest:
            manifest_check(manifest, run)
            self.console.print(f"The checksum is that of the manifest, {run.checksum[:16]}.")

    def _existing(self, options: dict[str, Any]) -> Run | None:
        if options["resume"] is None:
            return None
        if options["workload"]:
            raise CommandError("Give --resume RUN or --workload, not both.")
        run: Run = Run.objects.named(options["resume"])
        if run.status != Run.Status.FINISHED and (reason := why_not_continued(run)):
            raise CommandError(reason)
        return run

    def _again(self, manifest: dict[str, Any], options: dict[str, Any]) -> Run:
        workload, cluster, configuration = manifest_parts(manifest, workload_file=options["workload"])
        self.prepared = prepare(workload=workload, cluster=cluster, configuration=configuration)
        refuse_unplayable(configuration, cluster, self.prepared)
        return run_create(workload=workload, cluster=cluster, configuration=configuration, name=options["name"])

    def _new(self, options: dict[str, Any]) -> Run:
        configuration, changes = self._configured(options)
        if configuration.site is None:
            cluster = None if options["cluster"] == "auto" else load_cluster(options["cluster"])
            workload = self._workload(options)
            cluster = changes.apply(cluster or load_cluster("auto", max_processors=workload.max_processors))
        else:
            configuration, site = site_settled(configuration, changes)
            workload, cluster = self._workload(options), site.cluster
        configuration = settled_on(configuration, cluster)
        # Before the run is stored, so that tasks that do not fit leave no row behind.
        self.prepared = prepare(workload=workload, cluster=cluster, configuration=configuration)
        refuse_unplayable(configuration, cluster, self.prepared)
        return run_create(workload=workload, cluster=cluster, configuration=configuration, name=options["name"])

    def _configured(self, options: dict[str, Any]) -> tuple[RunConfiguration, ClusterChanges]:
        if not options["workload"] and not options["continuous"]:
            raise CommandError("Say what to play: --workload NAME or --workload FILE (or --resume RUN).")
        if options["name"] and Run.objects.filter(name=options["name"]).exists():
            raise CommandError(f"There is a run called {options['name']!r} already; choose another name.")
        found = configured(read_arguments(asked_in(COMMAND), options))
        if options["site"] is not None and options["cluster"] != "auto":
            raise CommandError("Give --cluster or --site, not both: a site has its own nodes.")
        return found

    def _workload(self, options: dict[str, Any]) -> Workload:
        workload, imported = workload_find_or_import(options["workload"])
        if imported:
            self.console.print(f"Imported {workload.task_count:,} tasks as workload {workload.name}.")
        return workload

    def _describe(self, options: dict[str, Any]) -> None:
        configuration, changes = self._configured(options)
        site = None
        if configuration.site is not None:
            configuration, site = site_settled(configuration, changes)
        workload, processors = workload_preview(options["workload"])
        cluster = site.cluster if site else changes.apply(load_cluster(options["cluster"], max_processors=processors))
        configuration = playable_on(configuration, cluster)
        adapted = adapt(
            workload=workload.head(configuration.limit or len(workload)),
            cluster=cluster,
            configuration=configuration,
            site=site,
        ).workload
        placements = len(adapted) * len(configuration.policies)
        self.stdout.write(
            f"Would play {len(adapted):,} tasks ({len(workload) - len(adapted):,} left out) on {cluster.name} "
            f"({cluster.cores:,} cores, {cluster.gpus:,} GPUs) through {', '.join(configuration.policies)}, and store "
            f"{placements:,} placements. Nothing was written."
        )

    def _race(self, options: dict[str, Any]) -> ContinuousRace:
        for name in ("workload", "limit", "site", "json", "csv"):
            if options[name]:
                raise CommandError(f"--{name} has no meaning with --continuous.")
        race = RaceOptions(**read_arguments(RACE_OPTIONS, options))
        configuration, changes = self._configured(options)
        retrainer = Retrainer(
            interval=race.retrain_interval or sys.maxsize,
            window=race.retrain_window,
            seed=configuration.seed,
            on_fitted=self._retrained,
        )

        def after_round(run: Run) -> None:
            print_leaderboard(run, self.console)
            retrainer.round_finished(run)

        # A round's rows of training data go with it, so it stays while they may be among those that are fitted to.
        needed = math.ceil(race.retrain_window / race.round_tasks) if race.retrain_interval else 0
        # A model of CPU/GPU tasks has no traced machine whose size `auto` could take.
        cluster = changes.apply(load_cluster("workstation" if options["cluster"] == "auto" else options["cluster"]))
        configuration = playable_on(configuration, cluster)
        return ContinuousRace(
            name=options["name"] or f"continuous {race.model} on {cluster.name}",
            model=race.model,
            tasks_per_round=race.round_tasks,
            cluster=cluster,
            configuration=configuration,
            play=self._play,
            after_round=after_round,
            rounds_kept=max(ROUNDS_KEPT, needed),
        )

    def _retrained(self, model: TrainedModel, number: int) -> None:
        """Tell those who watch the round under way, or the next one, of a new version."""
        self.publisher.retrained(
            {
                "scheduler": model.name,
                "number": number,
                "model_version": model.version,
                "rows": model.data_range["rows"],
                "score": model.scores.get("r2"),
            }
        )

    def _play(self, run: Run) -> bool:
        """Play a run; return whether it was asked to stop when it had come to its end."""
        named = logs.run_id.set(str(run.pk))
        if not kernel_files.KernelCache.is_any_kept():
            self.console.print("Compiling the simulation kernels: this happens once and takes some seconds.")
        runner = Runner(
            run,
            prepared=self.prepared,
            observers=[ProgressDisplay(self.console), self.publisher],
            tasks_per_second=self.pace.get("rate"),
            threads=self.pace.get("cores"),
        )
        try:
            with stopping_on_signals(runner), steering(run) as has_keys:
                if has_keys:
                    self.console.print(HINT)
                runner.play()
        except KeyboardInterrupt:
            run.refresh_from_db()
            if run.status != Run.Status.STOPPED:
                raise
        finally:
            logs.run_id.reset(named)
            self.publisher = Publisher()
        if run.status == Run.Status.STOPPED:
            raise CommandError(
                f"Stopped. {run.rows_written:,} of {run.rows_expected:,} placements of run {run.pk} ({run.name}) are "
                f"kept; go on with: manage.py runsimulation --resume {run.pk}",
                returncode=STOPPED_CODE,
            )
        return runner.stop_requested.is_set()

    def _print(self, run: Run, options: dict[str, Any]) -> None:
        if options["csv"]:
            from apps.live.exchange.exports import history_csv_write

            path = history_csv_write(run=run, folder=Path(options["csv"]))
            self.console.print(f"Wrote {path}.")
        if options["json"]:
            self.stdout.write(json.dumps(run_document(run), indent=2, allow_nan=False))
            return
        print_leaderboard(run, PlainConsole(file=bare(self.stdout), width=None if sys.stdout.isatty() else 160))
        self.stdout.write(
            f"Run {run.pk} stored {run.rows_written:,} placements; checksum {run.checksum[:16]}. "
            f"Export them: manage.py exportdata results --run {run.pk} --format csv --output results.csv"
        )
