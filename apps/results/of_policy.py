"""What one policy of a run left behind, beside the tables of placements and attempts."""

from typing import Any, Self

from django.db import models


class OfPolicyQuerySet(models.QuerySet[Any]):
    """Rows that each belong to a policy of a run."""

    def of_policy(self, run: Any, scheduler: str) -> Self:
        """Only those of one policy of a run."""
        return self.filter(run=run, scheduler=scheduler)


class OfPolicy(models.Model):
    """A row that belongs to a policy of a run; `run` is each table's own, for the name that runs know it by."""

    scheduler = models.CharField(max_length=100, help_text="The policy's name.")

    class Meta:
        abstract = True
        ordering = ("id",)
