"""App configuration."""

from typing import Any

from django.apps import AppConfig


class TrainingConfig(AppConfig):
    """Data to learn from, and the models learned."""

    name = "apps.training"
    verbose_name = "training"

    def ready(self) -> None:
        """Let policies name stored models, and record deletions of models for the audit log."""
        from apps.training.models import PREFIX, TrainedModel
        from scheduler_sim.accounts.audit import record_deletions
        from scheduler_sim.engine.part_sources import PART_SOURCES

        PART_SOURCES[PREFIX] = _stored_part
        record_deletions(TrainedModel, "model")


def _stored_part(kind: str, reference: str) -> Any:
    # The registry brings the policies, which few commands need.
    from apps.training.registry import stored_part

    return stored_part(kind, reference)
