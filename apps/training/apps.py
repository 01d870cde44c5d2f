"""App configuration."""

from django.apps import AppConfig


class TrainingConfig(AppConfig):
    """Data to learn from, and the models learned."""

    name = "apps.training"
    verbose_name = "training"

    def ready(self) -> None:
        """Let policies name stored models, and record deletions of models for the audit log."""
        from apps.training.models import TrainedModel
        from apps.training.registry import PREFIX, stored_order
        from scheduler_sim.accounts.audit import record_deletions
        from scheduler_sim.engine.policies.policy import ORDER_SOURCES

        ORDER_SOURCES[PREFIX] = stored_order
        record_deletions(TrainedModel, "model")
