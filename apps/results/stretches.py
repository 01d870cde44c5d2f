"""Where to look for the tasks of an instant: for each stretch of a run's clock, who was in the system."""

import zlib

import numpy as np
from django.db import models

from apps.results.of_policy import OfPolicy, OfPolicyQuerySet
from scheduler_sim.constraints import unique
from scheduler_sim.engine.workloads.workload import IntArray


class StretchQuerySet(OfPolicyQuerySet):
    """Stretches."""

    def back_from(self, time: float) -> "StretchQuerySet":
        """Those that began by `time`, the one in which it lies first; read off the unique key."""
        return self.filter(from_time__lte=time).order_by("-from_time")

    def first_after(self, time: float) -> float | None:
        """Return when the first one begins that begins after `time`; read off the unique key."""
        times = self.filter(from_time__gt=time).order_by("from_time").values_list("from_time", flat=True)
        begin: float | None = times.first()
        return begin


class Stretch(OfPolicy):
    """The tasks that one policy had in the system from one instant until its next stretch begins.

    With them the state at any instant is found by a few look-ups in unique keys, so that the table of placements, which
    is written in bulk, needs no index on its times. Written once, when the run ends.
    """

    run = models.ForeignKey("results.Run", on_delete=models.CASCADE, related_name="stretches", db_index=False)
    from_time = models.FloatField(help_text="Seconds on the workload's clock; before the first nothing has arrived.")
    packed = models.BinaryField(help_text="Primary keys of the tasks, see `pack_keys`.")

    objects = StretchQuerySet.as_manager()

    class Meta(OfPolicy.Meta):
        verbose_name_plural = "stretches"
        constraints = [unique("run", "scheduler", "from_time", called="unique_time")]

    def __str__(self) -> str:
        return f"{self.scheduler} from {self.from_time:.12g}"

    @property
    def task_keys(self) -> IntArray:
        """Primary keys of the tasks, ascending."""
        return unpack_keys(self.packed)


def pack_keys(keys: IntArray) -> bytes:
    """Return keys, in any order, as compressed differences of eight bytes each, the lowest byte first."""
    ascending = np.sort(keys)
    return zlib.compress(np.diff(ascending, prepend=0).astype("<i8").tobytes(), level=1)


def unpack_keys(packed: bytes | memoryview) -> IntArray:
    """Return the keys that were packed, ascending."""
    return np.cumsum(np.frombuffer(zlib.decompress(packed), "<i8")).astype(np.int64)
