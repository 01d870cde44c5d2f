"""Search the weights of a learned order over simulated sequences of a workload."""

import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict, replace
from typing import Any

from django.core.management.base import CommandError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

from apps.results.errors import DomainError
from apps.tasks.services import workload_find_or_import
from apps.training.models import TrainedModel
from apps.training.policy_search import BEST_OTHER
from apps.training.requests import SEARCHED, SearchRequest
from scheduler_sim import engine
from scheduler_sim.accounts import audit
from scheduler_sim.display.commands import SiteCommand
from scheduler_sim.display.terminal import PlainColumn, PlainConsole
from scheduler_sim.engine.learning.rollout import OBJECTIVES
from scheduler_sim.engine.learning.search import CurvePoint
from scheduler_sim.engine.learning.settings import BACKFILLS, ORDER, SEARCHABLE, SearchSettings
from scheduler_sim.engine.policies.learned import FORMS


class Command(SiteCommand):
    """Search the weights of a score by CMA-ES over many sampled sequences of a workload, choose on a validation
    part, judge on later tasks, and store the result as the policy learned:NAME.
    """

    def add_arguments(self, parser: ArgumentParser) -> None:
        defaults = SearchSettings()
        parser.add_argument(
            "--workload", required=True, metavar="NAME|FILE", help="a stored workload or a trace to import"
        )
        parser.add_argument("--name", metavar="N", help="made from the workload and backfill if left out")
        parser.add_argument("--processors", type=int, metavar="N", help="of the pool; the trace's own size if left out")
        parser.add_argument(
            "--objective",
            choices=OBJECTIVES,
            default=defaults.objective,
            help="the figure to lower: mean bounded slowdown, job completion time or wait (default %(default)s)",
        )
        parser.add_argument(
            "--backfill",
            choices=BACKFILLS,
            default=defaults.backfill,
            help="what the order is searched together with (default %(default)s)",
        )
        parser.add_argument(
            "--form",
            choices=tuple(FORMS),
            default=defaults.form,
            help="terms and products, one hidden layer, or also what users have done (default %(default)s)",
        )
        parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the first search (default 0)")
        parser.add_argument(
            "--searches",
            type=int,
            default=2,
            metavar="N",
            help="searches, each with its own seed; the best on the validation part is kept (default 2)",
        )
        parser.add_argument(
            "--cluster", default="", metavar="PRESET|FILE", help="instead of a pool, for choices other than order"
        )
        parser.add_argument(
            "--choice",
            choices=SEARCHABLE,
            default=defaults.choice,
            help="what is searched: the order of the queue, the node, the split between CPU and GPU, or which tasks "
            "run and which are stopped (default %(default)s)",
        )
        for name, metavar, told in (
            ("order", "ORDER", "beside which a node or a split is chosen"),
            ("preemption", "HOW", "how tasks are stopped where that is searched: suspend or requeue"),
        ):
            default = getattr(defaults, name)
            parser.add_argument(f"--{name}", default=default, metavar=metavar, help=f"{told} (default {default})")
        for name, metavar, told in (
            ("length", "N", "tasks in a sequence"),
            ("generations", "N", "at most so many of each search"),
            ("population", "N", "candidates in a generation"),
            ("batch", "N", "sequences that judge a generation"),
            ("validations", "N", "sequences that choose when to stop"),
            ("check_every", "N", "generations between two looks at these"),
            ("patience", "N", "looks without improvement after which a search stops"),
            ("max_seconds", "S", "wall time after which a search stops early and depends on the machine's speed"),
            ("threads", "N", "candidates played at the same time"),
        ):
            default = getattr(defaults, name)
            parser.add_argument(
                f"--{name.replace('_', '-')}",
                type=type(default),
                default=default,
                metavar=metavar,
                help=f"{told} (default {default:g})",
            )
        parser.add_argument("--inactive", action="store_true", help="store it without putting it in use")
        parser.add_argument("--json", action="store_true", help="one JSON document on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            model = self._train(options)
        except KeyboardInterrupt:
            raise CommandError("Stopped; nothing is stored.", returncode=130) from None
        except (DomainError, engine.EngineError) as error:
            raise CommandError(str(error)) from error
        self._print(model, as_json=options["json"])

    def _train(self, options: dict[str, Any]) -> TrainedModel:
        # Before a file is imported, so that what has no meaning leaves nothing behind.
        asked = SearchRequest(
            workload=0,
            name=options["name"] or "",
            activate=not options["inactive"],
            settings={name: options[name] for name in SEARCHED},
            **{name: options[name] for name in ("processors", "cluster", "seed", "searches")},
        )
        asked.check_beforehand()
        workload, _ = workload_find_or_import(options["workload"])
        asked = replace(asked, workload=workload.pk)
        audit.record(audit.Action.START, "search", called=asked.name or workload.name)
        console = PlainConsole(stderr=True, quiet=options["verbosity"] == 0)
        columns = (
            PlainColumn(),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            PlainColumn("told"),
        )
        with Progress(*columns, console=console, disable=console.quiet or not sys.stderr.isatty()) as bars:
            bar = {seed: bars.add_task(f"search {seed}", total=options["generations"], told="") for seed in asked.seeds}

            def show(seed: int, point: CurvePoint) -> None:
                told = f"training {point.training:.3f}, validation {point.validation:.3f} (mean log)"
                bars.update(bar[seed], completed=point.generation, told=told)

            return asked.search(progress=show)

    def _print(self, model: TrainedModel, *, as_json: bool) -> None:
        settings = SearchSettings(**{name: model.parameters[name] for name in asdict(SearchSettings())})
        reference = f"learned:{model.name}" + ("" if model.active else f".{model.version}")
        policy = settings.policy(json.loads(model.artifact), reference).name
        document = {
            "model": model.name,
            "version": model.version,
            "kind": model.kind,
            "active": model.active,
            "seed": model.seed,
            "policy": reference if settings.choice == ORDER else policy,
            "scores": model.scores,
            "data_range": model.data_range,
        }
        if as_json:
            self.stdout.write(json.dumps(document, indent=2, allow_nan=False))
            return
        scores, objective = model.scores, model.parameters["objective"]
        low, high = scores["difference_interval"]
        best = scores[BEST_OTHER[settings.choice == ORDER]]
        self.stdout.write(
            f"Stored {model} ({model.kind}), found with seed {model.seed}, "
            f"which ended with: {model.parameters['stopped']}."
        )
        self.stdout.write(
            f"On {scores['windows']} sequences of later tasks the mean {objective} is "
            f"{scores[f'held_out_mean_{objective}']:.2f}; the best that was not learned, {best}, "
            f"has {scores[f'best_other_{objective}']:.2f}: {scores['change_percent']:+.1f}% "
            f"(difference {low:+.2f} to {high:+.2f}, 95%)."
        )
        if scores["change_percent"] >= 0:
            self.stdout.write(f"It does not beat {best} there.")
        self.stdout.write(f"Use it: manage.py runsimulation --policies {policy},...")
