"""Questions asked of training data and models."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from django.db import models
from django.db.models import Max

from apps.results.errors import DomainError
from scheduler_sim.columnar.insert import insert_columns
from scheduler_sim.engine.workloads.workload import FloatArray
from scheduler_sim.marks import alters_data

NUMBERS = (
    "size",
    "compute_intensity",
    "memory_mb",
    "memory_per_size",
    "compute_to_memory",
    "optimal_gpu_fraction",
    "optimal_time",
)
"""The measured columns of training data, in the order of `as_columns`."""


class UnknownModel(DomainError):
    """No stored model has that name, or that version."""


class TrainingDataQuerySet(models.QuerySet):
    """Labelled tasks."""

    def latest_window(self, size: int) -> "TrainingDataQuerySet":
        """Return the `size` newest rows, oldest first: the sliding window that online training looks at."""
        newest = list(self.order_by("-id").values_list("id", flat=True)[size - 1 : size])
        return (self.filter(id__gte=newest[0]) if newest else self.all()).order_by("id")

    def between(self, first: datetime | None, last: datetime | None) -> "TrainingDataQuerySet":
        """Return rows stored from `first` up to, not including, `last`; None leaves that side open."""
        rows = self if first is None else self.filter(created_at__gte=first)
        return rows if last is None else rows.filter(created_at__lt=last)

    def older_than(self, age: timedelta, *, now: datetime) -> "TrainingDataQuerySet":
        """Return rows beyond the retention."""
        return self.filter(created_at__lt=now - age)

    def as_columns(self) -> dict[str, FloatArray]:
        """Return the measured columns in the order in which the rows were stored; one query."""
        rows = np.array(list(self.order_by("id").values_list(*NUMBERS)), np.float64).reshape(-1, len(NUMBERS))
        return {name: np.ascontiguousarray(rows[:, place]) for place, name in enumerate(NUMBERS)}

    @alters_data
    def bulk_create_columns(self, columns: Mapping[str, Any]) -> int:
        """Write rows given as columns, values by attname, by the database's quickest way; return how many.

        Raises:
            django.db.IntegrityError: a value breaks a constraint; nothing is written.
        """
        return insert_columns(self.model, columns, using=self.db)


class TrainedModelQuerySet(models.QuerySet[Any]):
    """Learned models."""

    def active(self) -> "TrainedModelQuerySet":
        """Only those in use."""
        return self.filter(active=True)

    def next_version(self, name: str) -> int:
        """Return the number that the next version of `name` gets; versions are never given twice."""
        return (self.filter(name=name).aggregate(latest=Max("version"))["latest"] or 0) + 1

    def referred(self, reference: str, *, kinds: tuple[str, ...]) -> Any:
        """Return the model that `NAME`, the active version, or `NAME.VERSION` stands for.

        Raises:
            UnknownModel: there is none of these kinds; the sentence names those there are.
        """
        name, dot, version = reference.rpartition(".")
        of_kinds: TrainedModelQuerySet = self.filter(kind__in=kinds)
        if dot and version.isdigit():
            found = of_kinds.filter(name=name, version=int(version)).first()
        else:
            found = of_kinds.active().filter(name=reference).first()
        if found is None:
            known = ", ".join(of_kinds.active().order_by("name").values_list("name", flat=True))
            raise UnknownModel(
                f"There is no active model called {reference!r} of the kind {' or '.join(kinds)}. "
                + (f"There are: {known}." if known else "None has been trained yet.")
            )
        return found
