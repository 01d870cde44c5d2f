"""Admin pages of training data and learned models."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.results.admin import RunFilter
from apps.results.errors import DomainError
from apps.training.models import PolicySearch, TrainedModel, TrainingData
from apps.training.registry import model_activate, model_roll_back
from scheduler_sim.web.admin import BigTableAdmin, KeyOrderedAdmin, ReadOnlyAdmin


@admin.register(TrainingData)
class TrainingDataAdmin(KeyOrderedAdmin):
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
    date_hierarchy = "created_at"


@admin.register(TrainedModel)
class TrainedModelAdmin(BigTableAdmin):
    """Learned models: they are made by training; which version is in use can be changed here."""

    list_display = ("name", "version", "kind", "active", "seed", "parent", "created_at")
    list_filter = ("kind", "active", "created_at")
    search_fields = ("name",)
    list_select_related = ("parent",)
    date_hierarchy = "created_at"
    actions = ("activate", "roll_back")
    readonly_fields = tuple(field.name for field in TrainedModel._meta.concrete_fields if field.name != "id")

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Leave the artifact, which may be megabytes, out of the list."""
        return super().get_queryset(request).defer("artifact", "parent__artifact")

    def has_add_permission(self, request: object, obj: object = None) -> bool:
        """Refuse: models are trained."""
        return False

    @admin.action(description="Put the chosen version in use", permissions=["change"])
    def activate(self, request: HttpRequest, queryset: QuerySet[TrainedModel]) -> None:
        """Activate one version a name."""
        chosen = list(queryset)
        if len({model.name for model in chosen}) < len(chosen):
            self.message_user(request, "Choose one version of each model.", messages.ERROR)
            return
        for model in chosen:
            model_activate(model=model)
        self.message_user(request, f"In use now: {', '.join(map(str, chosen))}.", messages.SUCCESS)

    @admin.action(description="Go back to the version before", permissions=["change"])
    def roll_back(self, request: HttpRequest, queryset: QuerySet[TrainedModel]) -> None:
        """Activate the version that each chosen one came after."""
        for model in queryset.select_related("parent"):
            try:
                parent = model_roll_back(model=model)
            except DomainError as error:
                self.message_user(request, str(error), messages.ERROR)
            else:
                self.message_user(request, f"In use now: {parent}.", messages.SUCCESS)


@admin.register(PolicySearch)
class PolicySearchAdmin(ReadOnlyAdmin):
    """Policy searches that are under way."""

    list_display = (
        "name",
        "form",
        "objective",
        "backfill",
        "done",
        "total",
        "started_at",
        "heartbeat_at",
        "host",
        "process_id",
    )
