"""Figures, leaderboard and history over HTTP."""

import json
from typing import Any, overload

import django_filters
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from apps.metrics.cache import Answer, remember
from apps.metrics.models import GroupMetric, Metric
from apps.results.api import OfOneRunViewSet, SchedulerResultSerializer
from apps.results.models import Run, SchedulerResult
from scheduler_sim.web.api import LARGEST_KEY, GuardedView, RowsViewSet, columns_of
from scheduler_sim.web.filters import BooleanFilter, KeyFilter
from scheduler_sim.web.pagination import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE

LATEST = 100
"""How many of the newest results `history/latest/` shows."""


class MetricSerializer(serializers.ModelSerializer):
    """What one policy did in one window of simulated time; every figure is explained at /help/metrics/."""

    class Meta:
        model = Metric
        fields = columns_of(Metric, but=("details",))


class MetricDetailSerializer(MetricSerializer):
    """A window with its histograms, win matrix and bounds."""

    class Meta(MetricSerializer.Meta):
        fields = (*MetricSerializer.Meta.fields, "details")


class MetricFilterSet(django_filters.FilterSet):
    """Which windows a list holds."""

    run = KeyFilter("run")
    scheduler = django_filters.CharFilter(help_text="Name of the policy.")
    is_total = BooleanFilter(help_text="Whether the window is the whole run.")


class MetricViewSet(RowsViewSet):
    """Windows of all runs, or by `?run=` those of one in the order of policy and time."""

    queryset = Metric.objects.all()
    filterset_class = MetricFilterSet
    within = "run"
    orderings_within = {
        "scheduler": ("scheduler", "window_start_time", "window_end_time"),
        "window_start_time": ("window_start_time", "id"),
    }

    def get_serializer_class(self) -> type[serializers.Serializer]:
        """Show the details of one window only."""
        return MetricDetailSerializer if self.action == "retrieve" else MetricSerializer


class GroupMetricSerializer(serializers.ModelSerializer):
    """What one policy did for one group of a run's tasks; the base of the differences is the run's first policy."""

    class Meta:
        model = GroupMetric
        fields = columns_of(GroupMetric)


class GroupMetricFilterSet(django_filters.FilterSet):
    """Which groups a list holds; all but `run` ask for a run, because only its rows are found by an index."""

    run = KeyFilter("run")
    scheduler = django_filters.CharFilter(help_text="Name of the policy.")
    grouped_by = django_filters.ChoiceFilter(choices=GroupMetric.GroupedBy, help_text="What tells the groups apart.")
    name = django_filters.CharFilter(help_text="Of the group.")


class GroupMetricViewSet(OfOneRunViewSet):
    """Who wins, who loses: groups of all runs, or by `?run=` those of one, with `ordering=-difference` losers first."""

    queryset = GroupMetric.objects.all()
    serializer_class = GroupMetricSerializer
    filterset_class = GroupMetricFilterSet
    orderings_within = {
        "id": ("id",),
        "difference": ("difference", "id"),
        "task_count": ("task_count", "id"),
        "mean_wait_time": ("mean_wait_time", "id"),
    }


class LeaderboardRowSerializer(MetricSerializer):
    """The whole run of one policy, with its place."""

    rank = serializers.IntegerField(min_value=1)

    class Meta(MetricSerializer.Meta):
        fields = ("rank", *MetricSerializer.Meta.fields)


class CautionSerializer(serializers.Serializer):
    """One thing that must be known to read the figures of a run."""

    kind = serializers.CharField()
    policies = serializers.ListField(child=serializers.CharField(), help_text="Whose figures it is about.")
    text = serializers.CharField(help_text="The sentence for people.")


class LeaderboardSerializer(serializers.Serializer):
    """The policies of one run, the lowest mean bounded slowdown first."""

    run = serializers.IntegerField(allow_null=True, help_text="Null while no run has figures.")
    cautions = CautionSerializer(many=True, help_text="What must be known to read the figures.")
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


class OneRunView(GuardedView):
    """Shows something of the run that `?run=` names, or of the newest finished one."""

    parameters = frozenset({"run"})

    @overload
    def integer(self, name: str, *, default: int, largest: int = ...) -> int: ...

    @overload
    def integer(self, name: str, *, default: None, largest: int = ...) -> int | None: ...

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

    def run_key(self) -> int | None:
        """Return the key of the run, whether it exists or not; None when none is named and none has finished."""
        if named := self.integer("run", default=None):
            return named
        return Run.objects.finished().order_by("-id").values_list("pk", flat=True).first()


class LeaderboardView(OneRunView):
    """The policies of one run in rank order."""

    @extend_schema(responses=LeaderboardSerializer, parameters=[RUN_PARAMETER])
    def get(self, request: Request) -> HttpResponseBase:
        """Rank them by mean bounded slowdown, the lowest first."""
        key = self.run_key()
        if key is None:
            return Response({"run": None, "cautions": [], "results": []})
        return _answer(request, remember("leaderboard", lambda: _json(_leaderboard(key)), run_id=key))


def _leaderboard(key: int) -> dict[str, Any]:
    """Return the ranked totals of a run.

    Raises:
        Http404: there is no such run.
    """
    run = get_object_or_404(Run.objects.only("pk", "cautions"), pk=key)
    rows = Metric.objects.leaderboard(run).values(*MetricSerializer.Meta.fields)
    return {
        "run": key,
        "cautions": run.cautions,
        "results": [{"rank": rank, **row} for rank, row in enumerate(rows, start=1)],
    }


class LatestView(GuardedView):
    """The last results stored, whichever run they belong to."""

    @extend_schema(responses=LatestSerializer)
    def get(self, request: Request) -> HttpResponseBase:
        """Return the newest 100, newest first."""
        return _answer(request, remember("latest", lambda: _json(_latest())))


def _latest() -> dict[str, Any]:
    return {"results": result_rows(SchedulerResult.objects.newest(LATEST))}


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
    def get(self, request: Request) -> HttpResponseBase:
        """Return one page of tasks in the order of their keys."""
        size = self.integer("page_size", default=DEFAULT_PAGE_SIZE, largest=MAX_PAGE_SIZE)
        after = self.integer("after", default=0)
        key = self.run_key()
        if key is None:
            return Response({"run": None, "next": None, "results": []})

        def page() -> bytes:
            rows, more = _history_page(
                get_object_or_404(Run.objects.only("policies", "configuration", "created_at", "workload"), pk=key),
                after,
                size,
            )
            # A line before the rows: the task behind which the next page begins, or nothing.
            return b"%b\n%b" % (str(rows[-1]["task"]).encode() if more else b"", _json(rows))

        kept = remember("history", page, run_id=key, parameters=(after, size))
        last, _, rows = kept.document.partition(b"\n")
        following = None
        if last:
            following = replace_query_param(request.build_absolute_uri(), "run", key)
            following = replace_query_param(following, "after", last.decode())
        # The rows are JSON already; the address of the next page depends on the host that was asked.
        document = b'{"run":%d,"next":%b,"results":%b}' % (key, json.dumps(following).encode(), rows)
        return _answer(request, kept._replace(document=document))


def _json(answer: Any) -> bytes:
    """Return what the API would send, so that it is rendered once and not at every request."""
    return JSONRenderer().render(answer)


def _answer(request: Request, answer: Answer) -> HttpResponseBase:
    """Send a rendered document as it is, or show it in the browsable API."""
    if request.accepted_renderer.format == "json":
        return HttpResponse(answer.document, content_type="application/json", headers={"ETag": answer.etag})
    return Response(json.loads(answer.document))


def _history_page(run: Run, after: int, size: int) -> tuple[list[dict[str, Any]], bool]:
    """Return `size` tasks from beyond the key `after`, and whether there are more."""
    # Read off the unique key: with no row missing, this many hold one task more than the page.
    most = (size + 1) * len(run.policies)
    filed = SchedulerResult.objects.filed(run)
    if filed is None:
        rows = SchedulerResult.objects.filter(run=run, task_id__gt=after).order_by("task_id", "scheduler")
        found = result_rows(rows[:most])
    else:
        columns = result_columns()
        page = next(filed.pages(tuple(columns.values()), most, first_task=after + 1), [])
        found = [dict(zip(columns, row, strict=True)) for row in page]
    by_task: dict[int, dict[str, Any]] = {}
    for row in found:
        by_task.setdefault(row["task"], {})[row["scheduler"]] = row
    tasks = [
        {"task": task, "task_id": next(iter(policies.values()))["task_id"], "policies": policies}
        for task, policies in list(by_task.items())[:size]
    ]
    return tasks, len(by_task) > size


def result_columns() -> dict[str, str]:
    """Return the columns of results as the API shows them, and where they come from."""
    fields = SchedulerResultSerializer().fields.items()
    return {name: (field.source or name).replace(".", "__") for name, field in fields}


def result_rows(queryset: Any) -> list[dict[str, Any]]:
    """Return results as the API shows them, in one query."""
    columns = result_columns()
    return [dict(zip(columns, row, strict=True)) for row in queryset.values_list(*columns.values())]
