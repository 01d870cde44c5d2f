"""Make an API token."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError
from django.utils import timezone

from scheduler_sim.accounts.models import ApiToken
from scheduler_sim.accounts.services import TooManyTokens, token_create
from scheduler_sim.display.commands import SiteCommand


class Command(SiteCommand):
    """Make an API token for a user and print its key, which is not shown again."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--name", default="made by a command", help="what it is for")
        parser.add_argument("--scope", choices=ApiToken.Scope.values, default=ApiToken.Scope.READ)
        parser.add_argument("--days", type=int, metavar="N", help="how long it is valid; without it for ever")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError(f"There is no user {options['username']!r}.")
        if not 0 < len(options["name"]) <= 100:
            raise CommandError("--name has 1 to 100 characters.")
        days = options["days"]
        if days is not None and not 1 <= days <= 36_500:
            raise CommandError("--days is a number of days from 1 to 36500.")
        try:
            _token, key = token_create(
                user=user,
                name=options["name"],
                scope=options["scope"],
                expires_at=None if days is None else timezone.now() + timedelta(days=days),
            )
        except TooManyTokens as error:
            raise CommandError(str(error)) from None
        self.stdout.write(key)
