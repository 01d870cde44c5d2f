"""Questions asked of training data and models."""

from django.db import models


class TrainingDataQuerySet(models.QuerySet):
    """Labelled tasks."""


class TrainedModelQuerySet(models.QuerySet):
    """Learned models."""

    def active(self) -> "TrainedModelQuerySet":
        """Only those in use."""
        return self.filter(active=True)
