"""Make a synthetic workload and store it."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from apps.tasks.reports import storing, summary, workload_document
from apps.tasks.services import USUAL_TASKS, workload_generate, workload_stored
from scheduler_sim.display.commands import ExplainedCommand
from scheduler_sim.display.terminal import PlainConsole
from scheduler_sim.engine import EngineError
from scheduler_sim.engine.generators import FITTED, GENERATORS

EPILOG = """
models:
{models}

models that are fitted to a stored workload:
{fitted}

The same model, parameters, seed and number of tasks give the same workload, which is stored once.

Examples:
  manage.py generateworkload lublin --tasks 10000 --seed 1 --processors 256 --load 0.9
  manage.py generateworkload mixed --tasks 1000 --rate 20 --name demo
  manage.py generateworkload site --tasks 100000 --load 0.9 --write-site site.json
  manage.py generateworkload lublin --tasks 10000 --seed 1 --estimates tsafrir
  manage.py generateworkload fitted --from lastmonth --days 365 --seed 1
"""


class Command(ExplainedCommand):
    """Make a synthetic workload and store it."""

    def explanation(self) -> str:
        """Return the models and examples."""
        models, fitted = (
            "\n".join(f"  {entry.name:8} {entry.description}" for entry in registry.values())
            for registry in (GENERATORS, FITTED)
        )
        return EPILOG.format(models=models, fitted=fitted)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("model", metavar="MODEL", help=f"one of {', '.join([*GENERATORS, *FITTED])}")
        parser.add_argument("--tasks", type=int, metavar="N", help=f"how many (default {USUAL_TASKS})")
        parser.add_argument(
            "--from", dest="like", metavar="NAME", help=f"{', '.join(FITTED)}: the stored workload to be like"
        )
        parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the random numbers (default 0)")
        parser.add_argument("--name", help="of the workload; must be new (default: made from the model)")
        with_site = ", ".join(entry.name for entry in GENERATORS.values() if entry.site)
        parser.add_argument(
            "--write-site",
            metavar="FILE",
            help=f"{with_site}: describe the site the tasks are for, for importsite --file",
        )
        parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
        for name, texts in _parameters().items():
            words = [f"{', '.join(models)}: {text}" for text, models in texts.items()]
            parser.add_argument(f"--{name.replace('_', '-')}", metavar="X", help="; ".join(words))

    def handle(self, *args: Any, **options: Any) -> None:
        console = PlainConsole(stderr=True, quiet=options["verbosity"] == 0)
        given = {name: options[name] for name in _parameters() if options[name] is not None}
        if options["write_site"]:
            _write_site(options["model"], given, Path(options["write_site"]))
        with storing(console, "generating") as status:
            workload, created = workload_generate(
                model=options["model"],
                tasks=options["tasks"],
                like=None if options["like"] is None else workload_stored(options["like"]),
                seed=options["seed"],
                name=options["name"],
                parameters=given,
                progress=status.update,
            )
        if options["json"]:
            self.stdout.write(json.dumps(workload_document(workload, created=created), indent=2))
            return
        if options["verbosity"] == 0:
            return
        if not created:
            self.stdout.write(f"The same tasks are stored already, as workload {workload.name}.")
        self.stdout.write(summary(workload))


def _write_site(model: str, given: dict[str, Any], path: Path) -> None:
    """Write the description of the site that the tasks are for.

    Raises:
        CommandError: the model has none, its parameters are refused, or the file cannot be written.
    """
    generator = GENERATORS.get(model)
    if generator is None or generator.site is None:
        raise CommandError(f"The tasks of {model} are for no site; --write-site is for the model site.")
    try:
        path.write_text(json.dumps(generator.site(generator.parse(given)), indent=2) + "\n")
    except (EngineError, OSError) as error:
        raise CommandError(str(error)) from error


def _parameters() -> dict[str, dict[str, list[str]]]:
    """Return, for each parameter name, its distinct help texts with the models that they are of."""
    found: dict[str, dict[str, list[str]]] = {}
    for model in (*GENERATORS.values(), *FITTED.values()):
        for field in model.fields():
            default = "not set" if field.default is None else field.default
            if isinstance(default, bool):
                default = "yes" if default else "no"
            text = f"{field.metadata['help']} (default {default})".replace("%", "%%")
            found.setdefault(field.name, {}).setdefault(text, []).append(model.name)
    return found
