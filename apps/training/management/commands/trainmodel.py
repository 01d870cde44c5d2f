"""Fit a model to stored data and keep it as a new version."""

import json
from argparse import ArgumentParser
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from apps.results.errors import DomainError
from apps.results.models import Run
from apps.tasks.services import workload_find_or_import
from apps.training.registry import AGENT_KIND, HYBRID_KIND, RUNTIME_KIND
from apps.training.requests import ModelRequest
from scheduler_sim import engine
from scheduler_sim.accounts import audit
from scheduler_sim.display.commands import SiteCommand
from scheduler_sim.engine.predictors.regression import ALGORITHMS


def _moment(text: str) -> datetime:
    """Read a date or a date with a time; without a zone it is the site's."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else timezone.make_aware(moment)


class Command(SiteCommand):
    """Fit hybrid_ml (the best GPU fraction, from labelled tasks), runtime (run times, from a workload; used by
    --estimates predicted:NAME) or rl_agent (its table after playing a workload), and store it.
    """

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kind", choices=(HYBRID_KIND, RUNTIME_KIND, AGENT_KIND))
        parser.add_argument("--from", dest="run", metavar="RUN", help="hybrid_ml: the rows of this run")
        parser.add_argument("--window", type=int, metavar="N", help="hybrid_ml: the newest N rows")
        parser.add_argument(
            "--since", type=_moment, metavar="DATE", help="hybrid_ml: rows stored from then on, for example 2026-05-01"
        )
        parser.add_argument("--until", type=_moment, metavar="DATE", help="hybrid_ml: rows stored before then")
        parser.add_argument("--workload", metavar="NAME|FILE", help="runtime and rl_agent: the tasks to learn from")
        parser.add_argument("--cluster", metavar="PRESET|FILE", default="workstation", help="rl_agent: where to play")
        parser.add_argument(
            "--agent-reward", default="1,0,0", metavar="T,E,C", help="rl_agent: weights of time, energy and cost"
        )
        parser.add_argument("--algorithm", choices=ALGORITHMS, default="lightgbm")
        parser.add_argument("--name", metavar="N", help="of the model; made from the kind and workload if left out")
        parser.add_argument("--seed", type=int, default=0, metavar="S")
        parser.add_argument("--inactive", action="store_true", help="store it without putting it in use")
        parser.add_argument("--json", action="store_true", help="one JSON document on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            asked = self._asked(options)
            audit.record(audit.Action.START, "training", called=asked.name or asked.kind)
            model = asked.train()
        except (DomainError, engine.EngineError) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            document = {
                "model": model.name,
                "version": model.version,
                "kind": model.kind,
                "active": model.active,
                "scores": model.scores,
                "data_range": model.data_range,
            }
            self.stdout.write(json.dumps(document, indent=2, allow_nan=False))
            return
        told = ", ".join(
            f"{name} {value:.4g}" for name, value in model.scores.items() if isinstance(value, int | float)
        )
        judged = "On the last fifth of its own tasks" if model.kind == AGENT_KIND else "On later data"
        self.stdout.write(f"Stored {model} ({'active' if model.active else 'not active'}). {judged}: {told}.")

    def _asked(self, options: dict[str, Any]) -> ModelRequest:
        run = Run.objects.named(options["run"]).pk if options["run"] else None
        wanted = {
            "kind": options["kind"],
            "run": run if options["kind"] == HYBRID_KIND else None,
            "activate": not options["inactive"],
            "name": options["name"] or "",
            **{
                name: options[name]
                for name in ("window", "since", "until", "cluster", "agent_reward", "algorithm", "seed")
            },
        }
        needs_tasks = options["kind"] != HYBRID_KIND and options["workload"]
        # Before a file is imported, so that what has no meaning leaves nothing behind.
        asked = ModelRequest(**wanted, workload=0 if needs_tasks else None)
        return replace(asked, workload=workload_find_or_import(options["workload"])[0].pk) if needs_tasks else asked
