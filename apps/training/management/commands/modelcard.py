"""Print the card of a stored model: what it learned from, how it does on later data, and where it loses."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from apps.training.managers import UnknownModel
from apps.training.model_cards import ModelCard
from apps.training.models import TrainedModel
from scheduler_sim.display.commands import SiteCommand


class Command(SiteCommand):
    """Print the card of a stored model, NAME for the version in use or NAME.VERSION, as Markdown."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("model", metavar="NAME", help="of a model, or NAME.VERSION")
        parser.add_argument("--json", action="store_true", help="one JSON document on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        kinds = tuple(TrainedModel.objects.order_by().values_list("kind", flat=True).distinct())
        try:
            model = TrainedModel.objects.referred(options["model"], kinds=kinds)
        except UnknownModel as error:
            raise CommandError(str(error)) from error
        card = ModelCard.of(model)
        if options["json"]:
            self.stdout.write(json.dumps(card.as_json(), indent=2, allow_nan=False))
        else:
            self.stdout.write(card.as_markdown(), ending="")
