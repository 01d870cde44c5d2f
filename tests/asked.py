"""What was asked for in the background; in a test nothing of it starts, because its transaction is never committed."""

from scheduler_sim.background.models import Job


class Asked:
    """The jobs of this test."""

    @property
    def keys(self) -> list[int | None]:
        """Return the keys of the runs, studies and imports for which a process was asked, in that order."""
        return list(Job.objects.order_by("pk").values_list("subject_id", flat=True))
