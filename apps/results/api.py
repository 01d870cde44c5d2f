"""Runs, results, and what a run can be made of: policies and clusters."""

from typing import Any

import django_filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from apps.results.checksum import ATTEMPT_COLUMNS
from apps.results.fidelity import WAITS
from apps.results.filed_lists import SEARCHED_BY, FiledList
from apps.results.filed_rows import FiledRows
from apps.results.managers import RunQuerySet
from apps.results.models import Attempt, Fidelity, Run, RunTag, SchedulerResult, Study
from apps.tasks.models import Task
from scheduler_sim.engine.clusters.presets import PRESETS
from scheduler_sim.engine.policies.backfill import BACKFILLS, Backfill
from scheduler_sim.engine.policies.order import ORDERS, Order
from scheduler_sim.engine.policies.placement import PLACEMENTS, Placement
from scheduler_sim.engine.policies.policy import READY_MADE, parse_policy
from scheduler_sim.engine.policies.preemption import PREEMPTIONS, Preemption
from scheduler_sim.web.api import LARGEST_KEY, GuardedView, RowsViewSet, columns_of
from scheduler_sim.web.filters import BooleanFilter, IntegerFilter, KeyFilter, MomentFilter, NamedFilterSet


class RunSerializer(serializers.ModelSerializer):
    """A run without its results."""

    workload_name = serializers.CharField(source="workload.name", read_only=True)
    # The address is /runs/{id}/, and the state belongs to the runner: both are read, never written.
    clock_time = serializers.FloatField(source="state.clock_time", read_only=True, allow_null=True)
    progress = serializers.JSONField(source="state.progress", read_only=True, allow_null=True)
    heartbeat_at = serializers.DateTimeField(source="state.heartbeat_at", read_only=True, allow_null=True)
    requested_by = serializers.CharField(
        source="requester",
        read_only=True,
        allow_null=True,
        help_text="Who asked for it or for its study; null for what a command began.",
    )
    tags = serializers.ListField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = Run
        fields: tuple[str, ...] = (
            "id",
            "name",
            "workload",
            "workload_name",
            "study",
            "cluster",
            "site",
            "policies",
            "seed",
            "engine_version",
            "code_version",
            "configuration",
            "cautions",
            "status",
            "error",
            "created_at",
            "started_at",
            "finished_at",
            "rows_expected",
            "rows_written",
            "checksum",
            "clock_time",
            "progress",
            "heartbeat_at",
            "requested_by",
            "tags",
            "notes",
            "archived_at",
        )


class RunFilterSet(NamedFilterSet):
    """Which runs a list holds."""

    status = django_filters.MultipleChoiceFilter(choices=Run.Status)
    workload = KeyFilter("workload")
    study = KeyFilter("study")
    site = KeyFilter("site")
    created_after = MomentFilter(field_name="created_at", lookup_expr="gte")
    created_before = MomentFilter(field_name="created_at", lookup_expr="lt")
    policy = django_filters.CharFilter(method="asked", help_text="Name of a policy that they play.")
    tag = django_filters.CharFilter(method="asked", help_text="A tag that they have.")
    place = django_filters.CharFilter(method="asked", help_text="Part of the name of their cluster or site.")
    requested_by = django_filters.CharFilter(method="asked", help_text="The user who asked for them.")
    archived = BooleanFilter(method="asked", help_text="Those that are archived, and no others; false by default.")

    def asked(self, runs: RunQuerySet, name: str, value: Any) -> RunQuerySet:
        """Narrow by the question of that name; archived runs are left out or taken by `filter_queryset`."""
        if name == "archived":
            return runs
        ask = {"policy": runs.playing, "tag": runs.tagged, "place": runs.at_place, "requested_by": runs.requested_by}
        return ask[name](value)

    def filter_queryset(self, queryset: Any) -> Any:
        """Filter, and leave archived runs out unless they are asked for."""
        runs: Any = super().filter_queryset(queryset)
        return runs.archived() if self.form.cleaned_data.get("archived") else runs.in_sight()


class RunRowsViewSet(RowsViewSet):
    """Runs, newest first; control is added where the runner is known."""

    queryset = Run.objects.with_requester()
    serializer_class = RunSerializer
    filterset_class = RunFilterSet
    row_orderings = {"-id": ("-id",), "name": ("name",), "created_at": ("created_at", "id")}

    def columns(self) -> dict[str, str]:
        """Return the columns without the tags, of which a run has several."""
        return {name: path for name, path in super().columns().items() if name != "tags"}

    def paginate_queryset(self, queryset: Any) -> Any:
        """Return one page, with the tags."""
        return self._with_tags(super().paginate_queryset(queryset))

    def row(self, key: str) -> dict[str, Any]:
        """Return one run, with its tags.

        Raises:
            Http404: there is none.
        """
        return self._with_tags([super().row(key)])[0]

    def _with_tags(self, rows: Any) -> list[dict[str, Any]]:
        tags = RunTag.objects.of_runs([row["id"] for row in rows])
        return [{**row, "tags": tags.get(row["id"], [])} for row in rows]


class FidelitySerializer(serializers.ModelSerializer):
    """How a policy, playing a workload on a cluster or site as it was, lies beside what the workload's log says."""

    workload_name = serializers.CharField(source="workload.name", read_only=True)

    class Meta:
        model = Fidelity
        fields = (
            "id",
            "workload",
            "workload_name",
            "place_name",
            "place_digest",
            "policy",
            "engine_version",
            "tasks",
            "late_tasks",
            "has_same_mean_wait",
            *WAITS,
            "rank_correlation",
            "details",
            "checked_at",
        )


class FidelityFilterSet(django_filters.FilterSet):
    """Which comparisons with a log a list holds."""

    workload = KeyFilter("workload")
    policy = django_filters.CharFilter(help_text="Name of the policy.")
    place_digest = django_filters.CharFilter(help_text="SHA-256 of the cluster or site.")
    has_same_mean_wait = BooleanFilter(help_text="Whether the log is replayed.")


class FidelityViewSet(RowsViewSet):
    """Comparisons of what was played with what logs say, newest first."""

    serializer_class = FidelitySerializer
    filterset_class = FidelityFilterSet


class StudySerializer(serializers.ModelSerializer):
    """A study: its grid, and how many of its runs came how far. Its figures are at `/studies/{id}/cells.json`."""

    run_count = serializers.IntegerField(read_only=True)
    finished_count = serializers.IntegerField(read_only=True)
    failed_count = serializers.IntegerField(read_only=True)

    class Meta:
        model = Study
        fields = ("id", "name", "definition", "created_at", "updated_at", "run_count", "finished_count", "failed_count")


class StudyViewSet(RowsViewSet):
    """Studies, newest first."""

    queryset = Study.objects.with_counts()
    serializer_class = StudySerializer
    filterset_class = NamedFilterSet
    row_orderings = {"-id": ("-id",), "name": ("name",), "created_at": ("created_at", "id")}


class _OfTaskSerializer(serializers.ModelSerializer):
    """What a policy did with one task of a run."""

    id = serializers.IntegerField(
        read_only=True, allow_null=True, help_text="Its key; null where the run keeps its rows in files."
    )
    task_id = serializers.IntegerField(source="task.task_id", read_only=True)

    KEYS = ("id", "run", "scheduler", "task", "task_id")


class _OfTaskFilterSet(django_filters.FilterSet):
    """Filters of such rows; all but `run` ask for a run, because only its rows are found by an index."""

    run = KeyFilter("run")
    scheduler = django_filters.CharFilter(help_text="Name of the policy.")
    task = KeyFilter("task")
    task_id = IntegerFilter(field_name="task__task_id", help_text="Number inside the workload.")


class SchedulerResultSerializer(_OfTaskSerializer):
    """One placement; `task_id` is the task's number inside its workload, `task` its key in the database.

    `attempts`, `service_time`, `lost_time` and `outcome` are null where every task of the policy ran once to its end.
    """

    class Meta:
        model = SchedulerResult
        fields: tuple[str, ...] = (
            *_OfTaskSerializer.KEYS,
            *columns_of(SchedulerResult, but=_OfTaskSerializer.KEYS),
        )


class SchedulerResultFilterSet(_OfTaskFilterSet):
    """Which results a list holds."""

    node = IntegerFilter()
    device = IntegerFilter()
    min_wait_time = django_filters.NumberFilter(field_name="wait_time", lookup_expr="gte")
    max_wait_time = django_filters.NumberFilter(field_name="wait_time", lookup_expr="lte")
    min_start_time = django_filters.NumberFilter(field_name="start_time", lookup_expr="gte")
    max_start_time = django_filters.NumberFilter(field_name="start_time", lookup_expr="lte")


class OfOneRunViewSet(RowsViewSet):
    """Rows of a large table, whose filters ask for a run."""

    filterset_class: type[django_filters.FilterSet]
    within = "run"

    def filed(self) -> FiledRows | None:
        """Return the rows of the run that is named, where they lie in files."""
        key = self.request.query_params.get("run", "")
        if not (key.isascii() and key.isdecimal() and len(key) < 20 and int(key) <= LARGEST_KEY):
            return None
        run = Run.objects.filter(pk=key, configuration__keep="parquet").first()
        rows: Any = self.get_queryset()
        found: FiledRows | None = None if run is None else rows.filed(run)
        return found

    def orderings(self) -> dict[str, tuple[str, ...]]:
        """Return what this request may order by: rows in files by task alone."""
        return {"task": self.orderings_within["task"]} if self.filed() is not None else super().orderings()

    def _list_of(self, rows: FiledRows) -> FiledList:
        """Return the list of this request.

        Raises:
            ValidationError: a filter that would read all of the files, or that is none.
        """
        if others := sorted(self.filters_given() - set(SEARCHED_BY)):
            sentence = f"The rows of this run lie in files, which are searched by {', '.join(SEARCHED_BY)} alone."
            raise ValidationError({name: [sentence] for name in others})
        asked = self.filterset_class(self.request.query_params, queryset=self.get_queryset(), request=self.request)
        if not asked.is_valid():
            raise ValidationError(asked.errors)
        given = asked.form.cleaned_data
        task = given["task"]
        if given["task_id"] is not None:
            of_run = Task.objects.filter(workload_id=rows.run.workload_id, task_id=given["task_id"])
            found = of_run.values_list("pk", flat=True).first()
            # No task has the key -1.
            task = found if found is not None and task in (None, found) else -1
        return FiledList(rows, scheduler=given["scheduler"] or None, task=None if task is None else int(task))

    def filters_given(self) -> set[str]:
        """Return the names of the filters of this request.

        Raises:
            ValidationError: some, but no run.
        """
        given = {name for name, value in self.request.query_params.items() if value}
        filters = given & set(self.filterset_class.base_filters)
        if filters and "run" not in filters:
            raise ValidationError({"run": [f"Name a run as well to filter by {', '.join(sorted(filters))}."]})
        return filters

    def filter_queryset(self, queryset: Any) -> Any:
        """Filter, once a run is named.

        Raises:
            ValidationError: a filter over all runs at once.
        """
        self.filters_given()
        filed = self.filed()
        return super().filter_queryset(queryset) if filed is None else self._list_of(filed)


class SchedulerResultViewSet(OfOneRunViewSet):
    """Placements: newest first, or those of one run by `?run=` in the order of task and policy."""

    serializer_class = SchedulerResultSerializer
    filterset_class = SchedulerResultFilterSet
    orderings_within = {
        "task": ("task_id", "scheduler"),
        "start_time": ("start_time", "id"),
        "finish_time": ("finish_time", "id"),
        "wait_time": ("wait_time", "id"),
        "actual_time": ("actual_time", "id"),
    }

    def filter_queryset(self, queryset: Any) -> Any:
        """Filter, and read a run in the order of its rows off the primary key."""
        queryset = super().filter_queryset(queryset)
        if (
            not isinstance(queryset, FiledList)
            and self.filters_given()
            and self.request.query_params.get("ordering", "").lstrip("-") == "id"
        ):
            # A run's rows lie together there, between these bounds.
            bounds = Run.objects.filter(pk=self.request.query_params["run"], first_result_id__isnull=False)
            queryset = queryset.filter(
                id__range=bounds.values_list("first_result_id", "last_result_id").first() or (0, 0)
            )
        return queryset


class AttemptSerializer(_OfTaskSerializer):
    """One span in which a task held devices, of tasks with more than one; `task_id` as in `results/`."""

    class Meta:
        model = Attempt
        fields = (*_OfTaskSerializer.KEYS, *ATTEMPT_COLUMNS)


class AttemptFilterSet(_OfTaskFilterSet):
    """Which attempts a list holds."""

    reason = django_filters.CharFilter(help_text="Why it ended.")


class AttemptViewSet(OfOneRunViewSet):
    """Attempts of tasks that have more than one: newest first, or those of one run by task, policy and number."""

    queryset = Attempt.objects.all()
    serializer_class = AttemptSerializer
    filterset_class = AttemptFilterSet
    orderings_within = {"task": ("task_id", "scheduler", "number"), "start_time": ("start_time", "id")}


class PolicyPartSerializer(serializers.Serializer):
    """An order, a backfill, a placement, a preemption, or a whole policy under a name of its own."""

    name = serializers.CharField()
    part = serializers.ChoiceField(choices=("order", "backfill", "placement", "preemption", "policy"))
    formula = serializers.CharField(help_text="The score (w wait, r estimate, n processors, s submit time) or rule.")
    # The class has no such attribute: the metaclass takes the fields out.
    source = serializers.CharField(help_text="Paper and year, or classic.")  # type: ignore[assignment]
    clairvoyant = serializers.BooleanField(help_text="Whether it sees the true runtime.")


class ClusterPresetSerializer(serializers.Serializer):
    """A cluster by name."""

    name = serializers.CharField()
    description = serializers.CharField()


def policy_parts() -> list[dict[str, Any]]:
    """Return what `order[+backfill][@placement][~preemption]` can be made of."""
    parts: list[tuple[str, Order | Backfill | Placement | Preemption, str, bool]] = [
        *(("order", part, part.formula, part.clairvoyant) for part in ORDERS),
        *(("backfill", part, part.rule, False) for part in BACKFILLS),
        *(("placement", part, part.rule, part.clairvoyant) for part in PLACEMENTS),
        *(("preemption", part, part.rule, False) for part in PREEMPTIONS),
    ]
    rows = [
        {"name": part.name, "part": kind, "formula": formula, "source": part.source, "clairvoyant": clairvoyant}
        for kind, part, formula, clairvoyant in parts
    ]
    for name, stands_for in READY_MADE.items():
        policy = parse_policy(stands_for)
        rows.append(
            {
                "name": name,
                "part": "policy",
                "formula": stands_for,
                "source": policy.placement.source,
                "clairvoyant": policy.clairvoyant,
            }
        )
    return rows


class PolicyList(GuardedView):
    """The registered orders, backfills, placements, preemptions and ready-made policies."""

    @extend_schema(responses=PolicyPartSerializer(many=True), operation_id="policies_list")
    def get(self, request: Request) -> Response:
        """List them; a policy is written `order[+backfill][@placement][~preemption]`."""
        return Response(policy_parts())


class ClusterList(GuardedView):
    """The clusters that have a name."""

    @extend_schema(responses=ClusterPresetSerializer(many=True), operation_id="clusters_list")
    def get(self, request: Request) -> Response:
        """List them; N stands for a number."""
        return Response([{"name": name, "description": text} for name, text in PRESETS.items()])
