"""Workloads and tasks over HTTP."""

import math
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import django_filters
from django.conf import settings
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from apps.tasks.managers import WORKLOAD_FIGURES
from apps.tasks.models import Task, TaskRequest, Workload, WorkloadImport
from apps.tasks.uploads import TooManyImports, UploadNotKept, upload_accept
from scheduler_sim.background.api import QueuedSerializer
from scheduler_sim.background.models import Job
from scheduler_sim.engine.errors import InvalidTrace
from scheduler_sim.engine.traces import FORMATS
from scheduler_sim.engine.traces.written import read_header, read_map
from scheduler_sim.engine.workloads.requests import NAMES
from scheduler_sim.engine.workloads.workload import REQUEST
from scheduler_sim.web.api import RowsViewSet, columns_of
from scheduler_sim.web.errors import Conflict, TooLarge, Unavailable
from scheduler_sim.web.filters import IntegerFilter, KeyFilter, NamedFilterSet

MOST_WRITTEN = 10_000
"""Characters in which an upload may say which column is which."""


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
            *WORKLOAD_FIGURES,
            "audit",
            "created_at",
        )


class WorkloadFilterSet(NamedFilterSet):
    """Which workloads a list holds."""

    source = django_filters.CharFilter()
    min_task_count = IntegerFilter(field_name="task_count", lookup_expr="gte")
    max_task_count = IntegerFilter(field_name="task_count", lookup_expr="lte")


class WorkloadImportSerializer(serializers.ModelSerializer):
    """How far the reading of an uploaded file is."""

    class Meta:
        model = WorkloadImport
        fields = read_only_fields = columns_of(WorkloadImport, but=("stored_file", "requested_by"))


class WorkloadImportDetailSerializer(QueuedSerializer, WorkloadImportSerializer):
    """How far the reading of an uploaded file is, and its place in the queue."""

    class Meta(WorkloadImportSerializer.Meta):
        fields = (*WorkloadImportSerializer.Meta.fields, "place")
        read_only_fields = fields


class _Speed(serializers.FloatField):
    """A number above 0; an empty field of a form states none."""

    def run_validation(self, data: Any = serializers.empty) -> float | None:
        """Return the number, or None.

        Raises:
            ValidationError: no number, or none above 0.
        """
        found: float | None = super().run_validation(None if data == "" else data)
        if found is not None and not 0 < found < math.inf:
            raise serializers.ValidationError("A speed is a number above 0.")
        return found


def _text(said: str, *, longest: int) -> serializers.CharField:
    """Return a text that may be left out."""
    return serializers.CharField(max_length=longest, required=False, default="", allow_blank=True, help_text=said)


class UploadSerializer(serializers.Serializer):
    """A trace file, plain or packed (gzip, bzip2, xz, zstd, a zip of one file)."""

    file = serializers.FileField(max_length=255)
    name = _text("Of the workload; else made from the file's name.", longest=200)
    format = serializers.ChoiceField(
        choices=[*FORMATS], required=False, default="", allow_blank=True, help_text="Found by content when left out."
    )
    map = _text(
        "Workload column = column of the file, and its unit: arrival_time=submitted@ms,runtime=took@min.",
        longest=MOST_WRITTEN,
    )
    columns = _text(
        "Names of the columns of a file without a header line: task_id,arrival_time,runtime.",
        longest=MOST_WRITTEN,
    )
    think_times = serializers.BooleanField(
        required=False,
        default=False,
        help_text="SWF: read fields 17 and 18, the job that the user waited for and the think time, for a closed loop.",
    )
    flops = _Speed(
        required=False, default=None, allow_null=True, help_text="Batsim: flop/s of a host, for jobs that compute."
    )

    def validate_name(self, name: str) -> str:
        """Refuse a name that is taken before the file is read."""
        if name and Workload.objects.filter(name=name).exists():
            raise serializers.ValidationError(f"There is a workload called {name!r} already.")
        return name

    def validate_map(self, text: str) -> str:
        """Refuse what `--map` of the command would not take."""
        return _written(text, read_map)

    def validate_columns(self, text: str) -> str:
        """Refuse what `--columns` of the command would not take."""
        return _written(text, read_header)


def _written(text: str, read: Callable[[str], object]) -> str:
    try:
        if text:
            read(text)
    except InvalidTrace as error:
        raise serializers.ValidationError(str(error)) from None
    return text


class WorkloadViewSet(RowsViewSet):
    """Workloads, newest first; a file sent here becomes one in the background."""

    parser_classes = (MultiPartParser,)

    serializer_class = WorkloadSerializer
    sent_serializer_class = UploadSerializer
    filterset_class = WorkloadFilterSet
    row_orderings = {
        "-id": ("-id",),
        "name": ("name",),
        "task_count": ("task_count", "id"),
        "created_at": ("created_at", "id"),
    }

    @extend_schema(
        request={"multipart/form-data": UploadSerializer}, responses={HTTPStatus.ACCEPTED: WorkloadImportSerializer}
    )
    def create(self, request: Request) -> Response:
        """Take a trace file; `/api/v1/imports/{id}/` says how far its reading is."""
        form = UploadSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        sent = dict(form.validated_data)
        upload = sent.pop("file")
        if upload.size > settings.UPLOAD_MAX_BYTES:
            raise TooLarge(f"A file may hold {settings.UPLOAD_MAX_BYTES // 2**20} MiB.")
        try:
            job = upload_accept(upload=upload, **sent, requested_by=request.user)
        except TooManyImports as error:
            raise Conflict(str(error)) from None
        except UploadNotKept as error:
            raise Unavailable(str(error)) from None
        document = WorkloadImportSerializer(job).data
        return Response(
            document, HTTPStatus.ACCEPTED, headers={"Location": reverse("api:import-detail", args=[job.pk])}
        )


class WorkloadImportViewSet(RowsViewSet):
    """Uploads and how far the reading of each is, newest first."""

    serializer_class = WorkloadImportSerializer

    @extend_schema(responses=WorkloadImportDetailSerializer)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return one import."""
        row = self.row(kwargs["pk"])
        job = Job.objects.latest_about("import", row["id"])
        return Response({**row, "place": None if job is None else job.place})


class TaskRequestSerializer(serializers.ModelSerializer):
    """What a task asks of a site."""

    class Meta:
        model = TaskRequest
        fields = NAMES


class TaskSerializer(serializers.ModelSerializer):
    """A task; `task_id` is its number inside the workload, `id` its key in the database.

    What it asks of a site is null where its workload states nothing of it.
    """

    class Meta:
        model = Task
        fields = (
            "id",
            "workload",
            "task_id",
            "arrival_time",
            *REQUEST,
            "gpu_type",
            "user",
            "group",
            "queue",
            "dependencies",
            "dependency_mb",
            "kind",
            "deadline_time",
            "predicted_duration",
            "recorded_start_time",
            "external_id",
        )

    def get_fields(self) -> dict[str, serializers.Field]:
        """Return the fields, those of what it asks of a site from their own table."""
        asked = TaskRequestSerializer().get_fields()
        for name, field in asked.items():
            field.source, field.read_only, field.allow_null = f"request.{name}", True, True
        return {**super().get_fields(), **asked}


class TaskFilterSet(django_filters.FilterSet):
    """Which tasks a list holds."""

    workload = KeyFilter("workload")
    task_id = IntegerFilter(help_text="Number inside the workload.")
    user = django_filters.CharFilter()
    group = django_filters.CharFilter()
    queue = django_filters.CharFilter()
    kind = django_filters.ChoiceFilter(choices=Task.Kind)
    min_arrival_time = django_filters.NumberFilter(field_name="arrival_time", lookup_expr="gte")
    max_arrival_time = django_filters.NumberFilter(field_name="arrival_time", lookup_expr="lte")
    min_runtime = django_filters.NumberFilter(field_name="runtime", lookup_expr="gte")
    max_runtime = django_filters.NumberFilter(field_name="runtime", lookup_expr="lte")


class TaskViewSet(RowsViewSet):
    """Tasks of all workloads, or of one by `?workload=`."""

    serializer_class = TaskSerializer
    filterset_class = TaskFilterSet
    row_orderings = {"id": ("id",)}
    within = "workload"
    orderings_within = {
        "task_id": ("task_id",),
        "arrival_time": ("arrival_time", "task_id"),
        "runtime": ("runtime", "task_id"),
    }
