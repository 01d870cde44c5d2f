"""What was asked for in the background; in a test nothing of it starts, because its transaction is never committed."""

from scheduler_sim.background.models import Job


class Asked:
    """Keys of the runs, studies and imports for which a process was asked, in that order; compared with a list."""

    def __eq__(self, other: object) -> bool:
        return list(Job.objects.order_by("pk").values_list("subject_id", flat=True)) == other

    __hash__ = None
