"""The admin page of work done in the background, from which it is stopped."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from scheduler_sim.background.models import Job
from scheduler_sim.background.services import JobStateError, job_stop
from scheduler_sim.web.admin import ReadOnlyAdmin


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    """Runs, studies, imports, trainings, searches and deletions that were asked for."""

    list_display = ("id", "kind", "subject_id", "state", "words", "requested_by", "created_at", "host", "process_id")
    list_filter = ("kind", "status", "was_interrupted")
    list_select_related = ("requested_by",)
    search_fields = ("=subject_id", "requested_by__username")
    date_hierarchy = "created_at"
    actions = ("stop",)

    @admin.display(description="status", ordering="status")
    def state(self, job: Job) -> str:
        """Return the status, or `interrupted`."""
        return job.shown_status

    def has_control_permission(self, request: HttpRequest) -> bool:
        """Return whether the person may stop work."""
        return request.user.has_perm("results.control_run")

    @admin.action(description="Stop the selected jobs", permissions=["control"])
    def stop(self, request: HttpRequest, jobs: QuerySet) -> None:
        """Ask each selected job to stop."""
        for job in self.do_to_each(request, jobs, lambda job: job_stop(job=job), JobStateError):
            self.message_user(request, f"Asked job {job.pk} to stop.")
