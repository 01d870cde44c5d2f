"""The app of people's access."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Signing in, tokens, and the log of who did what."""

    name = "scheduler_sim.accounts"
