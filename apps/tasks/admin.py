"""Admin pages of workloads and tasks."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.tasks.models import ForecastTrial, Series, Site, StartForecast, Task, TaskRequest, Workload, WorkloadImport
from apps.tasks.sites.services import site_delete, site_store
from scheduler_sim.engine import EngineError, sites
from scheduler_sim.web.admin import BigTableAdmin, KeyOrderedAdmin, NumberedAdmin, ReadOnlyAdmin, RecentChoices


class SiteForm(forms.ModelForm):
    """The description of a site as YAML, which JSON is too."""

    description = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 40, "cols": 100}), help_text="YAML or JSON; docs/sites.md has every key."
    )

    class Meta:
        model = Site
        fields = ("description",)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if self.instance.pk:
            self.initial["description"] = sites.write_site(self.instance.as_site())

    def clean_description(self) -> sites.Site:
        """Return the site.

        Raises:
            ValidationError: what is wrong with it, with its line.
        """
        try:
            site = sites.read_site(self.cleaned_data["description"], name="The description")
        except EngineError as error:
            raise forms.ValidationError(str(error)) from error
        if len(site.name) > Site.NAME_LENGTH:
            raise forms.ValidationError(f"The name of a site has at most {Site.NAME_LENGTH} characters.")
        return site

    def _post_clean(self) -> None:
        """Leave the instance alone: what is stored is another row."""


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


class TaskRequestInline(admin.StackedInline):
    """What a task asks of a site."""

    model = TaskRequest
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Refuse: it is imported with its task."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Refuse: runs refer to it."""
        return False


@admin.register(Task)
class TaskAdmin(NumberedAdmin):
    """Tasks as they were imported."""

    within = "workload"
    keys_within = ("workload_id", "task_id")
    search_help_text = "The task's key; in a chosen workload its number."

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
    inlines = (TaskRequestInline,)
    list_select_related = ("workload",)

    def numbered(self, queryset: QuerySet, chosen: int, number: int) -> QuerySet:
        """Return the task with this number, of the workload with the key `chosen`."""
        return queryset.filter(workload_id=chosen, task_id=number)


@admin.register(TaskRequest)
class TaskRequestAdmin(KeyOrderedAdmin):
    """What tasks ask of a site, as it was imported."""

    list_display = (
        "task",
        "nodes",
        "tasks",
        "cores_per_task",
        "tasks_per_node",
        "gpus_per_node",
        "features",
        "partitions",
        "qos",
        "reservation",
        "recorded_nodes",
        "exclusive",
        "elasticity",
    )
    list_select_related = ("task",)
    ordering = ("-task",)


@admin.register(WorkloadImport)
class WorkloadImportAdmin(ReadOnlyAdmin):
    """Uploads and how far the reading of each is."""

    list_display = ("file_name", "status", "progress", "workload", "requested_by", "created_at", "updated_at")
    list_filter = ("status", "created_at")
    list_select_related = ("workload", "requested_by")
    search_fields = ("file_name", "name")
    date_hierarchy = "created_at"


@admin.register(StartForecast)
class StartForecastAdmin(ReadOnlyAdmin):
    """Forecasts of starts that were asked for over HTTP; what was sent may be many megabytes."""

    exclude = ("queue", "result")
    list_display = ("file_name", "site", "history", "replicas", "seed", "requested_by", "created_at")
    list_filter = ("created_at",)
    list_select_related = ("site", "history", "requested_by")
    search_fields = ("file_name", "site__name")
    date_hierarchy = "created_at"


@admin.register(ForecastTrial)
class ForecastTrialAdmin(ReadOnlyAdmin):
    """Forecasts on trial that were asked for over HTTP; what was sent may be many megabytes."""

    exclude = ("queues", "slurm_starts", "result")
    list_display = ("site", "history", "instants", "replicas", "seed", "requested_by", "created_at")
    list_filter = ("created_at",)
    list_select_related = ("site", "history", "requested_by")
    search_fields = ("site__name",)
    date_hierarchy = "created_at"


@admin.register(Series)
class SeriesAdmin(ReadOnlyAdmin):
    """Step series as they were imported; runs refer to them."""

    list_display = ("name", "kind", "unit", "signal", "value_count", "origin", "created_at")
    list_filter = ("kind",)
    search_fields = ("name", "=digest")
    exclude = ("packed",)


@admin.register(Site)
class SiteAdmin(BigTableAdmin):
    """Versions of sites; what is changed here becomes the next version, and the old one stays."""

    list_display = ("name", "version", "origin", "digest", "created_at")
    list_filter = ("created_at",)
    search_fields = ("name", "=digest")
    form = SiteForm
    fields = ("description", "notes", "origin", "digest", "version", "created_at")
    readonly_fields = ("notes", "origin", "digest", "version", "created_at")

    def save_model(self, request: HttpRequest, obj: Site, form: "SiteForm", change: bool) -> None:
        """Store the description as the next version of its name."""
        stored, _ = site_store(site=form.cleaned_data["description"], origin=f"admin, {request.user.get_username()}")
        obj.pk = stored.pk

    def has_delete_permission(self, request: HttpRequest, obj: Site | None = None) -> bool:
        """Refuse where runs were played on a version: it is their evidence; and many at once."""
        return obj is not None and super().has_delete_permission(request, obj) and not obj.runs.exists()

    def delete_model(self, request: HttpRequest, obj: Site) -> None:
        """Delete a version that no run was played on."""
        site_delete(site=obj)
