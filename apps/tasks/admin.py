"""Admin pages of workloads and tasks."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.tasks.models import Task, Workload, WorkloadImport
from scheduler_sim.web.admin import BigTableAdmin, ReadOnlyAdmin, RecentChoices


class WorkloadFilter(RecentChoices):
    """Tasks of one of the newest workloads."""

    title = "workload"
    parameter_name = "workload"

    def newest(self) -> QuerySet:
        """Return the newest workloads."""
        return Workload.objects.order_by("-id")


@admin.register(Workload)
class WorkloadAdmin(BigTableAdmin):
    """Workloads; only the name can be edited, because runs refer to the rest."""

    list_display = ("name", "source", "task_count", "max_processors", "offered_load", "seed", "created_at")
    list_filter = ("source", "created_at")
    search_fields = ("name", "source_file_name", "=source_sha256")
    date_hierarchy = "created_at"
    readonly_fields = tuple(field.name for field in Workload._meta.concrete_fields if field.name != "name")

    def has_add_permission(self, request: object, obj: object = None) -> bool:
        """Refuse: workloads are imported or generated, with their tasks."""
        return False

    def has_delete_permission(self, request: object, obj: object = None) -> bool:
        """Refuse: the confirmation page would read every task; `prune` deletes in batches."""
        return False


@admin.register(Task)
class TaskAdmin(ReadOnlyAdmin):
    """Tasks as they were imported."""

    list_display = (
        "task_id",
        "workload",
        "kind",
        "arrival_time",
        "runtime",
        "duration_estimate",
        "cpus",
        "gpus",
        "memory_mb",
        "user",
        "queue",
    )
    list_filter = (WorkloadFilter,)
    list_select_related = ("workload",)
    raw_id_fields = ("workload",)
    # Served by the primary key, or by the unique key of one workload; nothing else may sort the whole table.
    ordering = ("-id",)
    sortable_by = ()

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Order one workload by its unique key, all of them by the primary key."""
        return ("workload_id", "task_id") if request.GET.get("workload") else self.ordering


@admin.register(WorkloadImport)
class WorkloadImportAdmin(ReadOnlyAdmin):
    """Uploads and how far the reading of each is."""

    list_display = ("file_name", "status", "progress", "workload", "requested_by", "created_at", "updated_at")
    list_filter = ("status", "created_at")
    list_select_related = ("workload", "requested_by")
    search_fields = ("file_name", "name")
    date_hierarchy = "created_at"
    raw_id_fields = ("workload", "requested_by")
