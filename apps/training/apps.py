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
        from scheduler_sim.engine.order_sources import ORDER_SOURCES

        ORDER_SOURCES[PREFIX] = _stored_order
        record_deletions(TrainedModel, "model")


def _stored_order(reference: str) -> Any:
    # The registry brings the policies, which few commands need.
    from apps.training.registry import stored_order

    return stored_order(reference)
