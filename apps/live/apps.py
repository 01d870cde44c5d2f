"""App configuration."""

from typing import Any

from django.apps import AppConfig
from django.db import transaction
from django.db.models.signals import post_delete


class LiveConfig(AppConfig):
    """Running simulations: the runner, control, and live messages."""

    name = "apps.live"
    verbose_name = "live"

    def ready(self) -> None:
        """Let the files of a run go with it."""
        post_delete.connect(_kept_placements_remove, sender="results.Run")


def _kept_placements_remove(instance: Any, **_signal: Any) -> None:
    # The module brings NumPy, which few commands need.
    from apps.live.store.spill import spill_path, spill_remove

    path = spill_path(instance)
    transaction.on_commit(lambda: spill_remove(path), robust=True)
