"""Training data and learned models over HTTP."""

import django_filters
from rest_framework import serializers

from apps.training.models import TrainedModel, TrainingData
from scheduler_sim.web.api import RowsViewSet
from scheduler_sim.web.filters import BooleanFilter, IntegerFilter, MomentFilter


class TrainingDataSerializer(serializers.ModelSerializer):
    """A task labelled by the oracle."""

    class Meta:
        model = TrainingData
        fields = (
            "id",
            "run",
            "task",
            "size",
            "compute_intensity",
            "memory_mb",
            "memory_per_size",
            "compute_to_memory",
            "optimal_gpu_fraction",
            "optimal_time",
            "created_at",
        )


class TrainingDataFilterSet(django_filters.FilterSet):
    """Which rows a list holds."""

    created_after = MomentFilter(field_name="created_at", lookup_expr="gte")
    created_before = MomentFilter(field_name="created_at", lookup_expr="lt")
    run = IntegerFilter(field_name="run_id", help_text="Key of the run.")

    class Meta:
        model = TrainingData
        fields = ()


class TrainingDataViewSet(RowsViewSet):
    """Rows to learn from, newest first."""

    queryset = TrainingData.objects.all()
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


class TrainedModelFilterSet(django_filters.FilterSet):
    """Which models a list holds."""

    name = django_filters.CharFilter()
    kind = django_filters.CharFilter()
    active = BooleanFilter()

    class Meta:
        model = TrainedModel
        fields = ()


class TrainedModelViewSet(RowsViewSet):
    """Learned models, newest first."""

    queryset = TrainedModel.objects.all()
    serializer_class = TrainedModelSerializer
    filterset_class = TrainedModelFilterSet
    row_orderings = {"-id": ("-id",), "name": ("name", "version"), "created_at": ("created_at", "id")}
