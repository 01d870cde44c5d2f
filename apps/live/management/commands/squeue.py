"""Print who waited and what ran at an instant of a stored run, as squeue does."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from apps.live.exchange.instants import instant_document, squeue_lines, why_not
from apps.live.instants.instant import run_index, run_instant
from apps.live.terminal.arguments import add_policy_files
from apps.results.errors import DomainError
from apps.results.models import Run
from scheduler_sim.display.commands import ExplainedCommand
from scheduler_sim.engine import EngineError

EXPLANATION = """columns:
  JOBID              number of the task inside the workload
  PARTITION          its queue, where the workload names one
  NAME, USER         its text identifier and its user, where the workload has them
  ST                 PD: it waits; R: it runs
  TIME               for how long it has run by then, as [days-][hours:]minutes:seconds
  NODES              on how many nodes it runs
  NODELIST(REASON)   its nodes as a host list (the first alone of a run played before the others
                     were kept); of a task that waits what it waits for:
                     Resources   it is the first in the queue that does not fit
                     Priority    others come before it, or it may not pass them
                     Dependency  a parent has not finished
                     BeginTime   the policy does not offer it before a time
                     None        not known, for the reason that is printed below
                     On a site it is the reason that Slurm would print.

Tasks that wait come first, in the policy's order. Lines that begin with # say what was decided: the head of the queue,
when its reservation begins, and why others did not start. The instant is the state after the policy has acted there.

examples:
  manage.py squeue --run 3 --at 86400
  manage.py squeue --run "fcfs and easy" --at 5000 --policy fcfs+easy --limit 20
"""


class Command(ExplainedCommand):
    """Print who waited and what ran at an instant of a finished run, as squeue does, and why."""

    def explanation(self) -> str:
        """Return what the columns mean."""
        return EXPLANATION

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--run", metavar="RUN", required=True, help="number or name of a finished run")
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--at", metavar="SECONDS", type=float, help="the instant, on the workload's clock")
        what.add_argument(
            "--index",
            action="store_true",
            help="store who was in the system when, of a run that was played before that was kept; once is enough",
        )
        parser.add_argument("--policy", metavar="POLICY", default="", help="one of the run's; default: its first")
        parser.add_argument("--limit", metavar="N", type=int, default=100, help="lines of each state; default: 100")
        parser.add_argument("--json", action="store_true", help="one JSON document on stdout, as the API has it")

        add_policy_files(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["limit"] < 1:
            raise CommandError("--limit is a whole number from 1 up.")
        try:
            run = Run.objects.named(options["run"])
            if options["index"]:
                run_index(run=run)
                self.stdout.write(f"Run {run.name} can be looked at at any instant.")
                return
            found = run_instant(run, options["at"], options["policy"])
        except (DomainError, EngineError) as error:
            raise CommandError(str(error)) from error
        document = instant_document(found, most=options["limit"])
        if options["json"]:
            self.stdout.write(json.dumps(document, indent=2))
            return
        for line in squeue_lines(found, most=options["limit"]):
            self.stdout.write(line)
        for line in self._decided(document):
            self.stdout.write(f"# {line}")

    def _decided(self, document: dict[str, Any]) -> list[str]:
        lines = []
        for state, name in (("waiting_count", "queue"), ("running_count", "running")):
            count = document[state] + (document["awaiting_count"] if name == "queue" else 0)
            if count > len(document[name]):
                lines.append(f"{count - len(document[name]):,} more in {name}; --limit shows more.")
        if document["shadow_time"] is not None:
            lines.append(f"The head, task {document['head']}, is to start at {document['shadow_time']:.12g}.")
        for task in document["queue"]:
            if why := why_not(task):
                lines.append(f"task {task['task_id']} {why}")
        return [*lines, *filter(None, [document["unexplained"]]), *document["notes"]]
