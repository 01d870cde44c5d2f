"""Figures, leaderboard and history over HTTP."""

from typing import Any

import django_filters
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from apps.metrics.cache import remember
from apps.metrics.models import Metric
from apps.results.api import SchedulerResultSerializer
from apps.results.models import Run, SchedulerResult
from scheduler_sim.api import LARGEST_KEY, GuardedMixin, RowsViewSet
from scheduler_sim.filters import BooleanFilter, IntegerFilter
from scheduler_sim.pagination import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE

LATEST = 100
"""How many of the newest results `history/latest/` shows."""

_FIGURES = tuple(
    field.name for field in Metric._meta.concrete_fields if field.name not in ("id", "run", "scheduler", "details")
)


class MetricSerializer(serializers.ModelSerializer):
    """What one policy did in one window of simulated time; every figure is defined in docs/metrics.md."""

    class Meta:
        model = Metric
        fields = ("id", "run", "scheduler", *_FIGURES)


class MetricDetailSerializer(MetricSerializer):
    """A window with its histograms, win matrix and bounds."""

    class Meta(MetricSerializer.Meta):
        fields = (*MetricSerializer.Meta.fields, "details")


class MetricFilterSet(django_filters.FilterSet):
    """Which windows a list holds."""

    run = IntegerFilter(field_name="run_id", help_text="Key of the run.")
    scheduler = django_filters.CharFilter(help_text="Name of the policy.")
    is_total = BooleanFilter(help_text="Whether the window is the whole run.")

    class Meta:
        model = Metric
        fields = ()


class MetricViewSet(RowsViewSet):
    """Windows of all runs, or by `?run=` those of one in the order of policy and time."""

    queryset = Metric.objects.all()
    filterset_class = MetricFilterSet
    row_orderings = {"-id": ("-id",)}
    of_one_run = {
        "scheduler": ("scheduler", "window_start_time", "window_end_time"),
        "window_start_time": ("window_start_time", "id"),
    }

    def get_serializer_class(self) -> type[serializers.Serializer]:
        """Show the details of one window only."""
        return MetricDetailSerializer if self.action == "retrieve" else MetricSerializer

    def orderings(self) -> dict[str, tuple[str, ...]]:
        """Order the windows of one run by its unique key."""
        if self.request.query_params.get("run"):
            return self.of_one_run | self.row_orderings
        return self.row_orderings

    def documented_orderings(self) -> list[str]:
        """Return every name that some request may order by."""
        return [*self.row_orderings, *self.of_one_run]


class LeaderboardRowSerializer(MetricSerializer):
    """The whole run of one policy, with its place."""

    rank = serializers.IntegerField(min_value=1)

    class Meta(MetricSerializer.Meta):
        fields = ("rank", *MetricSerializer.Meta.fields)


class LeaderboardSerializer(serializers.Serializer):
    """The policies of one run, the lowest mean bounded slowdown first."""

    run = serializers.IntegerField(allow_null=True, help_text="Null while no run has figures.")
    results = LeaderboardRowSerializer(many=True)


class LatestSerializer(serializers.Serializer):
    """The newest results of all runs."""

    results = SchedulerResultSerializer(many=True)


class HistoryRowSerializer(serializers.Serializer):
    """One task with what every policy made of it."""

    task = serializers.IntegerField(help_text="Key of the task.")
    task_id = serializers.IntegerField(help_text="Number inside the workload.")
    policies = serializers.DictField(child=SchedulerResultSerializer(), help_text="Results by policy.")


class HistorySerializer(serializers.Serializer):
    """A page of tasks of one run, each with the results of every policy side by side."""

    run = serializers.IntegerField(allow_null=True, help_text="Null while no run has results.")
    next = serializers.URLField(allow_null=True)
    results = HistoryRowSerializer(many=True)


RUN_PARAMETER = OpenApiParameter(
    "run", OpenApiTypes.INT64, description="Key of the run; the newest finished one when left out."
)


class OneRunView(GuardedMixin, APIView):
    """Shows something of the run that `?run=` names, or of the newest finished one."""

    parameters = frozenset({"run"})

    def integer(self, name: str, *, default: int | None, largest: int = LARGEST_KEY) -> int | None:
        """Return the whole number from 1 that a query parameter holds.

        Raises:
            ValidationError: it holds something else.
        """
        raw = self.request.query_params.get(name)
        if not raw:
            return default
        if not (raw.isascii() and raw.isdigit() and len(raw) < 20 and 1 <= int(raw) <= largest):
            raise ValidationError({name: [f"This must be a whole number from 1 to {largest}."]})
        return int(raw)

    def run(self) -> Run | None:
        """Return the run, None when there is no finished one yet.

        Raises:
            Http404: the run that is named does not exist.
        """
        key = self.integer("run", default=None)
        if key is None:
            return Run.objects.finished().order_by("-id").first()
        return get_object_or_404(Run, pk=key)


class LeaderboardView(OneRunView):
    """The policies of one run in rank order."""

    @extend_schema(responses=LeaderboardSerializer, parameters=[RUN_PARAMETER])
    def get(self, request: Request) -> Response:
        """Rank them by mean bounded slowdown, the lowest first."""
        run = self.run()
        names = MetricSerializer.Meta.fields
        rows: list[dict[str, Any]] = []
        if run:
            rows = remember("leaderboard", lambda: list(Metric.objects.leaderboard(run).values(*names)), run_id=run.pk)
        results = [{"rank": rank, **row} for rank, row in enumerate(rows, start=1)]
        return Response({"run": run.pk if run else None, "results": results})


class LatestView(GuardedMixin, APIView):
    """The last results stored, whichever run they belong to."""

    @extend_schema(responses=LatestSerializer)
    def get(self, request: Request) -> Response:
        """Return the newest 100, newest first."""
        return Response({"results": remember("latest", lambda: result_rows(SchedulerResult.objects.latest(LATEST)))})


class HistoryView(OneRunView):
    """The tasks of one run, each with the results of every policy side by side."""

    parameters = frozenset({"run", "after", "page_size"})

    @extend_schema(
        responses=HistorySerializer,
        parameters=[
            RUN_PARAMETER,
            OpenApiParameter("after", OpenApiTypes.INT64, description="Key of the last task seen."),
            OpenApiParameter("page_size", {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE}),
        ],
    )
    def get(self, request: Request) -> Response:
        """Return one page of tasks in the order of their keys."""
        size = self.integer("page_size", default=DEFAULT_PAGE_SIZE, largest=MAX_PAGE_SIZE)
        after = self.integer("after", default=0)
        run = self.run()
        if run is None:
            return Response({"run": None, "next": None, "results": []})
        results, more = remember(
            "history", lambda: _history_page(run, after, size), run_id=run.pk, parameters=(after, size)
        )
        following = None
        if more:
            following = replace_query_param(request.build_absolute_uri(), "run", run.pk)
            following = replace_query_param(following, "after", results[-1]["task"])
        return Response({"run": run.pk, "next": following, "results": results})


def _history_page(run: Run, after: int, size: int) -> tuple[list[dict[str, Any]], bool]:
    """Return `size` tasks from beyond the key `after`, and whether there are more."""
    # Read off the unique key: with no row missing, this many hold one task more than the page.
    rows = SchedulerResult.objects.filter(run=run, task_id__gt=after).order_by("task_id", "scheduler")
    by_task: dict[int, dict[str, Any]] = {}
    for row in result_rows(rows[: (size + 1) * len(run.policies)]):
        by_task.setdefault(row["task"], {})[row["scheduler"]] = row
    page = [
        {"task": task, "task_id": next(iter(policies.values()))["task_id"], "policies": policies}
        for task, policies in list(by_task.items())[:size]
    ]
    return page, len(by_task) > size


def result_rows(queryset: Any) -> list[dict[str, Any]]:
    """Return results as the API shows them, in one query."""
    columns = {name: field.source.replace(".", "__") for name, field in SchedulerResultSerializer().fields.items()}
    return [dict(zip(columns, row, strict=True)) for row in queryset.values_list(*columns.values())]
