"""Training data and learned models over HTTP."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import django_filters
from django.urls import reverse
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.training.asking import ModelRequestSerializer, SearchRequestSerializer
from apps.training.managers import NUMBERS
from apps.training.model_cards import ModelCard
from apps.training.models import TrainedModel, TrainingData
from scheduler_sim.background.api import JobDetailSerializer, job_document
from scheduler_sim.web.api import GuardedView, RowsViewSet
from scheduler_sim.web.filters import BooleanFilter, KeyFilter, MomentFilter


class TrainingDataSerializer(serializers.ModelSerializer):
    """A task labelled by the oracle."""

    class Meta:
        model = TrainingData
        fields = ("id", "run", "task", *NUMBERS, "created_at")


class TrainingDataFilterSet(django_filters.FilterSet):
    """Which rows a list holds."""

    created_after = MomentFilter(field_name="created_at", lookup_expr="gte")
    created_before = MomentFilter(field_name="created_at", lookup_expr="lt")
    run = KeyFilter("run")


class TrainingDataViewSet(RowsViewSet):
    """Rows to learn from, newest first."""

    serializer_class = TrainingDataSerializer
    filterset_class = TrainingDataFilterSet
    row_orderings = {"-id": ("-id",), "created_at": ("created_at", "id")}


class TrainedModelSerializer(serializers.ModelSerializer):
    """A learned model without its artifact."""

    class Meta:
        model = TrainedModel
        fields = (
            "id",
            "name",
            "kind",
            "version",
            "parameters",
            "features",
            "data_range",
            "seed",
            "scores",
            "parent",
            "active",
            "created_at",
        )


class GroupFigureSerializer(serializers.Serializer):
    """How one group of held-out tasks fares."""

    kind = serializers.CharField(help_text="What tasks are grouped by.")
    name = serializers.CharField()
    tasks = serializers.IntegerField()
    learned = serializers.FloatField(help_text="The mean figure with the model; lower is better.")
    other = serializers.FloatField(help_text="The same with what it is held against.")
    loses = serializers.BooleanField()


class ModelCardSerializer(serializers.Serializer):
    """What there is to know of a model before it is used."""

    model = serializers.CharField()
    kind = serializers.CharField()
    use = serializers.CharField()
    learned_from = serializers.DictField(child=serializers.CharField())
    features = serializers.ListField(child=serializers.CharField())
    seed = serializers.IntegerField()
    judged = serializers.CharField(help_text="On what data the figures are.")
    figures = serializers.DictField(child=serializers.CharField())
    figure = serializers.CharField(allow_blank=True, help_text="Which the groups are told of.")
    against = serializers.CharField(allow_blank=True, help_text="What the model is held against in the groups.")
    groups = GroupFigureSerializer(many=True)
    loses = serializers.ListField(child=serializers.CharField(), help_text="Where something else does better.")
    limits = serializers.ListField(child=serializers.CharField())
    missing = serializers.CharField(allow_blank=True, help_text="How to get figures by group where there are none.")


class TrainedModelFilterSet(django_filters.FilterSet):
    """Which models a list holds."""

    name = django_filters.CharFilter()
    kind = django_filters.CharFilter()
    active = BooleanFilter()


class TrainedModelViewSet(RowsViewSet):
    """Learned models, newest first."""

    serializer_class = TrainedModelSerializer
    filterset_class = TrainedModelFilterSet
    row_orderings = {"-id": ("-id",), "name": ("name", "version"), "created_at": ("created_at", "id")}

    @extend_schema(responses=ModelCardSerializer)
    @action(detail=True, methods=["get"], pagination_class=None, filterset_class=None)
    def card(self, request: Request, pk: str) -> Response:
        """Return what there is to know of a model before it is used."""
        self.row(pk)
        return Response(ModelCard.of(TrainedModel.objects.defer("artifact").get(pk=pk)).as_json())


class _Asking(GuardedView):
    """Asks for something whose outcome is a model."""

    serializer_class: type[ModelRequestSerializer] | type[SearchRequestSerializer]

    def get_serializer(self, *args: Any, **kwargs: Any) -> serializers.Serializer:
        """Return what is sent, which OPTIONS and the page's form show."""
        return self.serializer_class(*args, **kwargs)

    def post(self, request: Request) -> Response:
        """Submit what was sent."""
        form = self.serializer_class(data=request.data)
        form.is_valid(raise_exception=True)
        job = form.submit(requested_by=request.user)
        return Response(
            job_document(job), HTTPStatus.ACCEPTED, headers={"Location": reverse("api:job-detail", args=[job.pk])}
        )


def _asks(operation: str, what: str) -> Callable[[type[_Asking]], type[_Asking]]:
    """Describe in the schema what a view submits, under the name of the operation."""
    told = f"{what} in the background; the job says how far it is, and its `outcome` names the model."

    def describe(view: type[_Asking]) -> type[_Asking]:
        schema = extend_schema(
            request=view.serializer_class,
            responses={202: JobDetailSerializer},
            operation_id=operation,
            description=told,
        )
        described: type[_Asking] = extend_schema_view(post=schema)(view)
        return described

    return describe


@_asks("trainings_create", "Fit a model")
class TrainingView(_Asking):
    """Fits models."""

    serializer_class = ModelRequestSerializer


@_asks("policy_searches_create", "Search a policy")
class PolicySearchView(_Asking):
    """Searches policies."""

    serializer_class = SearchRequestSerializer
