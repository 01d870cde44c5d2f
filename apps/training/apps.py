"""App configuration."""

from django.apps import AppConfig


class TrainingConfig(AppConfig):
    """Data to learn from, and the models learned."""

    name = "apps.training"
    verbose_name = "training"

    def ready(self) -> None:
        """Let policies name stored models."""
        from apps.training.registry import PREFIX, stored_order
        from scheduler_sim.engine.policies.policy import ORDER_SOURCES

        ORDER_SOURCES[PREFIX] = stored_order
