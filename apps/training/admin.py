"""Admin pages of training data and learned models."""

from django.contrib import admin

from apps.results.admin import RunFilter
from apps.training.models import TrainedModel, TrainingData
from scheduler_sim.admin import BigTableAdmin, ReadOnlyAdmin


@admin.register(TrainingData)
class TrainingDataAdmin(ReadOnlyAdmin):
    """Tasks labelled by the oracle."""

    list_display = (
        "id",
        "run",
        "size",
        "compute_intensity",
        "memory_mb",
        "optimal_gpu_fraction",
        "optimal_time",
        "created_at",
    )
    list_filter = (RunFilter,)
    list_select_related = ("run",)
    raw_id_fields = ("run", "task")
    date_hierarchy = "created_at"
    ordering = ("-id",)
    sortable_by = ()


@admin.register(TrainedModel)
class TrainedModelAdmin(BigTableAdmin):
    """Learned models; which one is active is decided by training and its commands, not by hand."""

    list_display = ("name", "version", "kind", "active", "seed", "parent", "created_at")
    list_filter = ("kind", "active", "created_at")
    search_fields = ("name",)
    list_select_related = ("parent",)
    date_hierarchy = "created_at"
    readonly_fields = tuple(field.name for field in TrainedModel._meta.concrete_fields if field.name != "id")

    def get_queryset(self, request: object) -> object:
        """Leave the artifact, which may be megabytes, out of the list."""
        return super().get_queryset(request).defer("artifact", "parent__artifact")

    def has_add_permission(self, request: object, obj: object = None) -> bool:
        """Refuse: models are trained."""
        return False
