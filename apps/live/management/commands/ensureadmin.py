"""Make the first administrator, with a password that is shown once."""

import secrets
from typing import Any

from django.contrib.auth import get_user_model

from scheduler_sim.display.commands import SiteCommand

USERNAME = "admin"


class Command(SiteCommand):
    help = f"Create the user {USERNAME!r} with a random password and print it; do nothing where there is a superuser."

    def handle(self, *args: Any, **options: Any) -> None:
        users = get_user_model().objects
        if users.filter(is_superuser=True).exists():
            return
        if users.filter(username=USERNAME).exists():
            self.stderr.write(f"There is a user {USERNAME!r} without all rights; run createsuperuser to add another.")
            return
        password = secrets.token_urlsafe(12)
        users.create_superuser(USERNAME, password=password)
        self.stdout.write(f"Sign in at /admin/ as {USERNAME} with the password {password} (it is not shown again).")
