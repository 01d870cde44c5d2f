"""Forecasts of starts over HTTP: asked for with a printed queue, and looked at."""

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

from django.urls import reverse
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from apps.tasks.errors import SiteError, WorkloadError
from apps.tasks.forecasts.starts import MOST_BYTES, MOST_REPLICAS, ForecastRefused, forecast_ask, printed
from apps.tasks.models import ForecastTrial, Site, StartForecast, Workload
from scheduler_sim.background.api import QueuedSerializer
from scheduler_sim.background.models import Job
from scheduler_sim.engine import EngineError
from scheduler_sim.engine.forecasting.forecast import REPLICAS
from scheduler_sim.web.api import RowsViewSet, columns_of
from scheduler_sim.web.errors import Conflict, TooLarge


class ForecastSerializer(serializers.ModelSerializer):
    """A forecast of starts, without the queue that it is about and what came out."""

    class Meta:
        model = StartForecast
        fields: tuple[str, ...] = columns_of(StartForecast, but=("queue", "result", "requested_by"))
        read_only_fields = fields


class MadeSerializer(QueuedSerializer):
    """What is made in the background: how far that is."""

    status = serializers.ChoiceField(choices=Job.Status.choices, allow_null=True, help_text="Of the job that makes it.")
    error = serializers.CharField(allow_blank=True, help_text="Why it could not be made.")


class ForecastDetailSerializer(MadeSerializer, ForecastSerializer):
    """A forecast: how far its making is, and the start, interval and reason of each job that waits."""

    class Meta(ForecastSerializer.Meta):
        fields = (*ForecastSerializer.Meta.fields, "result", "status", "error", "place")
        read_only_fields = fields


class PastSerializer(serializers.Serializer):
    """A site, and what ran on it."""

    site = serializers.CharField(max_length=200, help_text="Name of a stored site, or NAME@VERSION.")
    seed = serializers.IntegerField(default=0, min_value=0, max_value=2**31 - 1)

    def validate_site(self, reference: str) -> Site:
        """Find the site."""
        try:
            found: Site = Site.objects.referred(reference)
        except SiteError as error:
            raise ValidationError(str(error)) from None
        return found

    def validate_history(self, key: int | None) -> Workload | None:
        """Find the workload."""
        found = None if key is None else Workload.objects.filter(pk=key).first()
        if key is not None and found is None:
            raise ValidationError(f"There is no workload {key}.")
        return found


class AskedSerializer(PastSerializer):
    """A queue as squeue prints it, and the site it is of."""

    squeue = serializers.FileField(
        max_length=255, help_text="What squeue printed, in a form that docs/forecast.md tells."
    )
    history = serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=1, max_value=2**63 - 1, help_text="A workload's key."
    )
    at = serializers.DateTimeField(
        required=False, allow_null=True, default=None, help_text="When it was printed, where it does not tell."
    )
    replicas = serializers.IntegerField(default=REPLICAS, min_value=10, max_value=MOST_REPLICAS)

    def create(self, validated_data: dict[str, Any]) -> StartForecast:
        """Ask for the forecast.

        Raises:
            TooLarge: a file beyond `MOST_BYTES`.
            ForecastRefused, EngineError: see `forecast_ask`.
        """
        file, at = validated_data.pop("squeue"), validated_data.pop("at")
        if file.size > MOST_BYTES:
            raise TooLarge(f"A queue may hold {MOST_BYTES // 2**20} MiB.")
        asked = StartForecast(
            queue=printed(file, MOST_BYTES),
            file_name=file.name or "squeue",
            queue_at=None if at is None else at.timestamp(),
            **validated_data,
        )
        return forecast_ask(asked)


def job_state(model: type[StartForecast | ForecastTrial], key: int) -> dict[str, Any]:
    """Return what came out of a forecast or a trial, and how far its making is."""
    job = Job.objects.latest_about(model.JOB, key)
    return {
        "result": model._default_manager.values_list("result", flat=True).get(pk=key),
        "status": None if job is None else job.shown_status,
        "error": "" if job is None else job.error,
        "place": None if job is None else job.place,
    }


class AskedViewSet(RowsViewSet):
    """What is asked for with files and made in the background; `documented` says what of."""

    parser_classes: Sequence[type[BaseParser]] = (MultiPartParser,)
    sent_serializer_class: type[serializers.Serializer]

    def create(self, request: Request) -> Response:
        """Take what is sent; its own address says how far it is."""
        form = self.sent_serializer_class(data=request.data)
        form.is_valid(raise_exception=True)
        try:
            asked = form.save(requested_by=request.user)
        except ForecastRefused as error:
            raise Conflict(str(error)) from None
        except EngineError as error:
            raise ValidationError(blamed(error)) from None
        address = reverse(f"api:{self.basename}-detail", args=[asked.pk])
        return Response(self.serializer_class(asked).data, HTTPStatus.ACCEPTED, headers={"Location": address})

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return one."""
        row = self.row(kwargs["pk"])
        return Response({**row, **job_state(self.serializer_class.Meta.model, row["id"])})


def blamed(error: EngineError) -> dict[str, list[str]]:
    """Return what is wrong with what was sent, by the field that it came in."""
    return {"history" if isinstance(error, WorkloadError) else "squeue": [str(error)]}


def documented(
    detail: type[serializers.Serializer], *, create: str, retrieve: str
) -> Callable[[type[AskedViewSet]], type[AskedViewSet]]:
    """Say in the schema what `create` and `retrieve` of a view set do, and what it is that is shown in detail."""

    def describe(views: type[AskedViewSet]) -> type[AskedViewSet]:
        sent = extend_schema(
            description=create,
            request={"multipart/form-data": views.sent_serializer_class},
            responses={HTTPStatus.ACCEPTED: views.serializer_class},
        )
        one = extend_schema(description=retrieve, responses=detail)
        described: type[AskedViewSet] = extend_schema_view(create=sent, retrieve=one)(views)
        return described

    return describe


@documented(
    ForecastDetailSerializer,
    create="Take a printed queue; its own address says how far the forecast is, and what came out.",
    retrieve="Return one forecast.",
)
class ForecastViewSet(AskedViewSet):
    """Forecasts of starts, newest first; a queue sent here is forecast in the background."""

    serializer_class = ForecastSerializer
    sent_serializer_class = AskedSerializer
