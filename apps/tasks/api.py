"""Workloads and tasks over HTTP."""

import django_filters
from rest_framework import serializers

from apps.tasks.models import Task, Workload
from scheduler_sim.api import RowsViewSet


class WorkloadSerializer(serializers.ModelSerializer):
    """A workload without its tasks."""

    class Meta:
        model = Workload
        fields = (
            "id",
            "name",
            "source",
            "source_file_name",
            "source_sha256",
            "generator_parameters",
            "seed",
            "task_count",
            "first_arrival_time",
            "last_arrival_time",
            "max_processors",
            "core_seconds",
            "gpu_seconds",
            "offered_load",
            "audit",
            "created_at",
        )


class WorkloadFilterSet(django_filters.FilterSet):
    """Which workloads a list holds."""

    search = django_filters.CharFilter(field_name="name", lookup_expr="icontains", help_text="Part of the name.")
    name = django_filters.CharFilter()
    source = django_filters.CharFilter()
    min_task_count = django_filters.NumberFilter(field_name="task_count", lookup_expr="gte")
    max_task_count = django_filters.NumberFilter(field_name="task_count", lookup_expr="lte")

    class Meta:
        model = Workload
        fields = ()


class WorkloadViewSet(RowsViewSet):
    """Workloads, newest first."""

    queryset = Workload.objects.all()
    serializer_class = WorkloadSerializer
    filterset_class = WorkloadFilterSet
    row_orderings = {
        "-id": ("-id",),
        "name": ("name",),
        "task_count": ("task_count", "id"),
        "created_at": ("created_at", "id"),
    }


class TaskSerializer(serializers.ModelSerializer):
    """A task; `task_id` is its number inside the workload, `id` its key in the database."""

    class Meta:
        model = Task
        fields = (
            "id",
            "workload",
            "task_id",
            "arrival_time",
            "runtime",
            "duration_estimate",
            "size",
            "compute_intensity",
            "memory_mb",
            "cpus",
            "gpus",
            "gpu_type",
            "user",
            "group",
            "queue",
            "dependencies",
            "kind",
            "deadline_time",
            "predicted_duration",
            "recorded_start_time",
            "external_id",
        )


class TaskFilterSet(django_filters.FilterSet):
    """Which tasks a list holds."""

    workload = django_filters.NumberFilter(field_name="workload_id", help_text="Key of the workload.")
    task_id = django_filters.NumberFilter(help_text="Number inside the workload.")
    user = django_filters.CharFilter()
    group = django_filters.CharFilter()
    queue = django_filters.CharFilter()
    kind = django_filters.ChoiceFilter(choices=Task.Kind)
    min_arrival_time = django_filters.NumberFilter(field_name="arrival_time", lookup_expr="gte")
    max_arrival_time = django_filters.NumberFilter(field_name="arrival_time", lookup_expr="lte")
    min_runtime = django_filters.NumberFilter(field_name="runtime", lookup_expr="gte")
    max_runtime = django_filters.NumberFilter(field_name="runtime", lookup_expr="lte")

    class Meta:
        model = Task
        fields = ()


class TaskViewSet(RowsViewSet):
    """Tasks of all workloads, or of one by `?workload=`."""

    queryset = Task.objects.all()
    serializer_class = TaskSerializer
    filterset_class = TaskFilterSet
    row_orderings = {"id": ("id",)}
    of_one_workload = {
        "task_id": ("task_id",),
        "arrival_time": ("arrival_time", "task_id"),
        "runtime": ("runtime", "task_id"),
    }

    def orderings(self) -> dict[str, tuple[str, ...]]:
        """Offer columns without an index for the tasks of one workload only."""
        one = bool(self.request.query_params.get("workload"))
        return self.of_one_workload | self.row_orderings if one else self.row_orderings

    def documented_orderings(self) -> list[str]:
        """Return every name that some request may order by."""
        return [*self.row_orderings, *self.of_one_workload]
