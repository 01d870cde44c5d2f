"""Admin pages of runs and results."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.results.checksum import ATTEMPT_COLUMNS
from apps.results.errors import RunStateError
from apps.results.filing import MOST_TAGS
from apps.results.models import (
    Attempt,
    Fidelity,
    GangBlock,
    PlacementFile,
    Run,
    RunColumns,
    RunDeletion,
    RunTag,
    SchedulerResult,
    Stretch,
    Study,
)
from apps.results.services import deletions_launch, run_delete
from apps.tasks.models import Task
from scheduler_sim.web.admin import BigTableAdmin, KeyOrderedAdmin, NumberedAdmin, ReadOnlyAdmin, RecentChoices


class RunFilter(RecentChoices):
    """Rows of one of the newest runs."""

    title = "run"
    parameter_name = "run"

    def newest(self) -> QuerySet:
        """Return the newest runs."""
        return Run.objects.order_by("-id")


class TagFilter(admin.SimpleListFilter):
    """Runs with a tag."""

    title = "tag"
    parameter_name = "tag"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        """Return the tags there are."""
        return [(name, name) for name in RunTag.objects.names()]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Narrow to the chosen tag."""
        return queryset.filter(tags__name=self.value()) if self.value() else queryset


class SchedulerFilter(admin.SimpleListFilter):
    """Rows of one policy of the chosen run: the unique key serves them, where policies of all runs would be a scan."""

    title = "policy"
    parameter_name = "scheduler"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        """Return the policies of the chosen run."""
        chosen = request.GET.get("run", "")
        if not chosen.isdigit():
            return []
        policies = Run.objects.filter(pk=chosen).values_list("policies", flat=True).first() or []
        return [(name, name) for name in policies]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Narrow to the chosen policy."""
        return queryset.filter(scheduler=self.value()) if self.value() else queryset


class RunTagInline(admin.TabularInline):
    """The tags of a run."""

    model = RunTag
    extra = 1
    max_num = MOST_TAGS


@admin.register(Run)
class RunAdmin(BigTableAdmin):
    """Runs are evidence: none is made by hand, and nothing but the name, tags and notes can be edited."""

    list_display = (
        "name",
        "workload",
        "status",
        "policy_count",
        "tagged",
        "seed",
        "rows_written",
        "rows_expected",
        "created_at",
        "finished_at",
    )
    list_filter = ("status", TagFilter, ("archived_at", admin.EmptyFieldListFilter), "engine_version", "created_at")
    search_fields = ("name", "=checksum", "workload__name", "notes")
    inlines = (RunTagInline,)
    list_select_related = ("workload",)
    date_hierarchy = "created_at"
    actions = ("archive", "restore", "remove")
    readonly_fields = tuple(field.name for field in Run._meta.concrete_fields if field.name not in ("name", "notes"))

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Return the runs with their tags."""
        return super().get_queryset(request).prefetch_related("tags")

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Refuse: a run is what a simulation left behind."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Refuse Django's own deletion, which would read every row first; `remove` takes its place."""
        return False

    def has_remove_permission(self, request: HttpRequest) -> bool:
        """Tell who may use `remove`."""
        return request.user.has_perm("results.delete_run")

    @admin.action(description="Delete runs with all their placements", permissions=["remove"])
    def remove(self, request: HttpRequest, queryset: QuerySet) -> None:
        """Let runs disappear at once, whatever their size; a process of its own removes their placements."""
        removed = len(self.do_to_each(request, queryset, lambda run: run_delete(run=run), RunStateError))
        if removed:
            deletions_launch(requested_by=request.user)
            self.message_user(request, f"Deleted {removed} runs; their placements go in the background.")

    @admin.action(description="Archive runs: leave them out of lists", permissions=["change"])
    def archive(self, request: HttpRequest, queryset: QuerySet) -> None:
        """Leave runs that are over out of lists."""
        done = len(self.do_to_each(request, queryset, Run.archive, RunStateError))
        self.message_user(request, f"Archived {done} runs.")

    @admin.action(description="Restore archived runs", permissions=["change"])
    def restore(self, request: HttpRequest, queryset: QuerySet) -> None:
        """Show runs on lists again."""
        done = len(self.do_to_each(request, queryset, Run.restore, RunStateError))
        self.message_user(request, f"Restored {done} runs.")

    @admin.display(description="tags")
    def tagged(self, run: Run) -> str:
        """Return its tags."""
        return ", ".join(run.tag_names)

    @admin.display(description="policies")
    def policy_count(self, run: Run) -> int:
        """Return how many policies it plays."""
        return len(run.policies)


@admin.register(SchedulerResult)
class SchedulerResultAdmin(NumberedAdmin):
    """Placements, read by key or by run; they go together with their run."""

    within = "run"
    keys_within: tuple[str, ...] = ("run_id", "task_id", "scheduler")
    search_help_text = "The row's key; in a chosen run the task's number."

    list_display = (
        "id",
        "run",
        "scheduler",
        "task_number",
        "node",
        "device",
        "gpu_fraction",
        "start_time",
        "finish_time",
        "wait_time",
        "energy_joules",
        "cost_usd",
    )
    list_filter = (RunFilter, SchedulerFilter)
    list_select_related = ("run", "task")

    def numbered(self, queryset: QuerySet, chosen: int, number: int) -> QuerySet:
        """Return what every policy of the run with the key `chosen` did with the task of this number."""
        workloads = Run.objects.filter(pk=chosen).values("workload_id")
        tasks = Task.objects.filter(workload_id__in=workloads, task_id=number).values_list("pk", flat=True)
        return queryset.filter(run_id=chosen, task_id__in=list(tasks))

    @admin.display(description="task")
    def task_number(self, result: SchedulerResult | Attempt) -> int:
        """Return the task's number inside its workload."""
        return result.task.task_id


@admin.register(Attempt)
class AttemptAdmin(SchedulerResultAdmin):
    """Attempts of tasks that have more than one, read as placements are; they go together with their run."""

    keys_within = ("run_id", "task_id", "scheduler", "number")
    list_display = ("id", "run", "scheduler", "task_number", *ATTEMPT_COLUMNS)


@admin.register(Stretch)
class StretchAdmin(KeyOrderedAdmin):
    """Who was in the system when, which the state at an instant is found by; they go together with their run."""

    within = "run"
    keys_within = ("run_id", "scheduler", "from_time")
    list_display = ("id", "run", "scheduler", "from_time")
    list_filter = (RunFilter,)
    list_select_related = ("run",)
    exclude = ("packed",)


@admin.register(GangBlock)
class GangBlockAdmin(StretchAdmin):
    """Which nodes tasks on several held; they go together with their run."""

    keys_within = ("run_id", "scheduler", "first_task")
    list_display = ("id", "run", "scheduler", "first_task")


@admin.register(PlacementFile)
class PlacementFileAdmin(KeyOrderedAdmin):
    """Files that hold placements, or attempts, in place of rows; they go together with their run."""

    within = "run"
    keys_within = ("run_id", "holds", "scheduler", "first_task")
    list_display = ("id", "run", "holds", "scheduler", "first_task", "last_task", "rows", "size", "has_gaps")
    list_filter = (RunFilter,)
    list_select_related = ("run",)


@admin.register(Study)
class StudyAdmin(ReadOnlyAdmin):
    """Studies; what their runs came to is on the runs."""

    list_display = ("name", "created_at", "updated_at")
    search_fields = ("name",)
    date_hierarchy = "created_at"


@admin.register(RunTag)
class RunTagAdmin(ReadOnlyAdmin):
    """Tags of runs; the page of a run changes them."""

    list_display = ("name", "run")
    list_select_related = ("run",)
    search_fields = ("name",)


@admin.register(RunColumns)
class RunColumnsAdmin(ReadOnlyAdmin):
    """Columns that people keep for their list of runs."""

    list_display = ("user", "columns")
    list_select_related = ("user",)


@admin.register(RunDeletion)
class RunDeletionAdmin(ReadOnlyAdmin):
    """Deletions that were begun and have placements left to remove."""

    list_display = ("run_number", "first_result_id", "last_result_id", "folder", "created_at")


@admin.register(Fidelity)
class FidelityAdmin(ReadOnlyAdmin):
    """How logs are replayed; `manage.py checkfidelity` and the runs themselves find it out."""

    list_display = (
        "workload",
        "place_name",
        "policy",
        "has_same_mean_wait",
        "recorded_mean_wait",
        "played_mean_wait",
        "mean_absolute_difference",
        "engine_version",
        "checked_at",
    )
    list_filter = ("has_same_mean_wait", "policy", "engine_version")
    search_fields = ("workload__name", "place_name")
    list_select_related = ("workload",)
