"""Work done in the background over HTTP: how far it is, and stopping it."""

from http import HTTPStatus
from typing import Any

import django_filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from scheduler_sim.background.models import Job
from scheduler_sim.background.services import JobStateError, job_stop
from scheduler_sim.web.api import RowsViewSet
from scheduler_sim.web.errors import Conflict
from scheduler_sim.web.filters import IntegerFilter


class JobSerializer(serializers.ModelSerializer):
    """A run, study, import, training, search or deletion that was asked for."""

    class Meta:
        model = Job
        fields: tuple[str, ...] = (
            "id",
            "kind",
            "subject_id",
            "arguments",
            "status",
            "was_interrupted",
            "progress",
            "error",
            "outcome",
            "created_at",
            "started_at",
            "finished_at",
            "heartbeat_at",
        )
        read_only_fields: tuple[str, ...] = fields


class QueuedSerializer(serializers.Serializer):
    """What may wait in the queue."""

    place = serializers.IntegerField(allow_null=True, help_text="In the queue, from 1; null when it does not wait.")


class JobDetailSerializer(QueuedSerializer, JobSerializer):
    """A job, its place in the queue, and whether its process died."""

    interrupted = serializers.BooleanField(help_text="The process that worked on it died.")

    class Meta(JobSerializer.Meta):
        fields = (*JobSerializer.Meta.fields, "place", "interrupted")
        read_only_fields = fields


class JobFilterSet(django_filters.FilterSet):
    """Which jobs a list holds."""

    kind = django_filters.CharFilter()
    status = django_filters.MultipleChoiceFilter(choices=Job.Status)
    subject_id = IntegerFilter(help_text="Key of the run, study or import.")


class JobViewSet(RowsViewSet):
    """Jobs, newest first: read them, and stop one."""

    serializer_class = JobSerializer
    filterset_class = JobFilterSet

    @extend_schema(responses=JobDetailSerializer)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return one job."""
        return Response(self._document(kwargs["pk"]))

    @extend_schema(request=None, responses={202: JobDetailSerializer})
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: str) -> Response:
        """Ask a job to stop; one that waits is stopped at once."""
        self.row(pk)
        try:
            job_stop(job=Job.objects.get(pk=pk))
        except JobStateError as error:
            raise Conflict(str(error)) from None
        return Response(self._document(pk), HTTPStatus.ACCEPTED)

    def _document(self, key: str) -> dict[str, Any]:
        row = self.row(key)
        return job_document(Job.objects.get(pk=row["id"]))


def job_document(job: Job) -> dict[str, Any]:
    """Return a job as the API shows it."""
    return dict(JobDetailSerializer(job).data)
