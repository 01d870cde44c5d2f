"""Sites over HTTP, to read."""

import django_filters
from rest_framework import serializers

from apps.tasks.models import Site
from scheduler_sim.web.api import RowsViewSet
from scheduler_sim.web.filters import IntegerFilter, NamedFilterSet


class SiteSerializer(serializers.ModelSerializer):
    """One version of a site, without what it is made of."""

    class Meta:
        model = Site
        fields: tuple[str, ...] = ("id", "name", "version", "digest", "origin", "created_at")


class SiteDetailSerializer(SiteSerializer):
    """One version of a site: its description, and what of its files has no effect."""

    class Meta(SiteSerializer.Meta):
        fields = (*SiteSerializer.Meta.fields, "description", "notes")


class SiteFilterSet(NamedFilterSet):
    """Which versions of sites a list holds."""

    version = IntegerFilter()
    digest = django_filters.CharFilter()


class SiteViewSet(RowsViewSet):
    """Versions of sites, newest first; one by itself with its description."""

    serializer_class = SiteSerializer
    filterset_class = SiteFilterSet
    row_orderings = {"-id": ("-id",), "name": ("name", "version"), "created_at": ("created_at", "id")}

    def get_serializer_class(self) -> type[serializers.Serializer]:
        """Return a version with its description where one is asked for by itself."""
        return SiteDetailSerializer if self.action == "retrieve" else SiteSerializer
