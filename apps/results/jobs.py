"""Removing the placements of deleted runs in the background."""

from apps.results.errors import DomainError
from apps.results.models import RunDeletion
from scheduler_sim.background.kinds import Kind, register
from scheduler_sim.background.models import Job
from scheduler_sim.background.sweep import UNTAKEN_SECONDS
from scheduler_sim.background.watch import Watch


@register
class DeletionKind(Kind):
    """All deletions that were begun; short of the disk, it costs little."""

    name = "deletion"
    verb = "deleted them"
    takes_place = False
    expected = (DomainError,)

    def title(self, job: Job) -> str:
        """Return what is deleted."""
        return "placements of deleted runs"

    def work(self, job: Job) -> str | None:
        """Remove them, in pieces."""
        # What works loads the engine, and other commands ask only which kinds there are.
        from apps.results.services import deletions_finish

        removed = deletions_finish(on_progress=lambda removed: job.tell(f"{removed:,} placements removed"))
        job.tell(f"{removed:,} placements removed")
        return None

    def sweep(self, watch: Watch) -> None:
        """Take up deletions that nobody goes on with."""
        for deletion in RunDeletion.objects.all():
            if watch.seen_for(("deletion", deletion.pk, deletion.last_result_id)) >= UNTAKEN_SECONDS:
                from apps.results.services import deletions_launch

                deletions_launch()
                return
