"""Sites over HTTP: their versions, what differs between two, and new ones out of files or a description."""

import json
from http import HTTPStatus

import django_filters
import msgspec
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from apps.tasks.errors import SiteError
from apps.tasks.models import Site
from apps.tasks.sites.reading import SiteTooLarge, site_read
from apps.tasks.sites.services import site_store
from scheduler_sim.engine import sites
from scheduler_sim.web.api import RowsViewSet, StrictJSONParser, StrictSerializer
from scheduler_sim.web.errors import TooLarge
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


class SiteSendSerializer(StrictSerializer):
    """Files of a site, told by what is in them, or one description."""

    file = serializers.ListField(
        child=serializers.FileField(max_length=255, allow_empty_file=True),
        required=False,
        default=list,
        help_text="slurm.conf and what it includes, gres.conf, what scontrol and sacctmgr print, or one YAML or JSON.",
    )
    description = serializers.JSONField(
        required=False, allow_null=True, default=None, help_text="As `description` of a version, or a text in YAML."
    )
    name = serializers.CharField(
        max_length=Site.NAME_LENGTH, required=False, default="", allow_blank=True, help_text="Else the cluster's own."
    )
    zero = serializers.DateTimeField(
        required=False, allow_null=True, default=None, help_text="Time 0 of the workload, for reservations and events."
    )


class DifferenceSerializer(serializers.Serializer):
    """One thing that is not alike in two versions."""

    part = serializers.CharField(help_text="Of the description; empty for what stands beside the parts.")
    name = serializers.CharField(help_text="Of the entry; empty where the part has none.")
    key = serializers.CharField(help_text="Empty where the whole entry is there in one of the two only.")
    before = serializers.JSONField()
    after = serializers.JSONField()


class SiteViewSet(RowsViewSet):
    """Versions of sites, newest first; one by itself with its description; files sent here become the next one."""

    parser_classes = (StrictJSONParser, MultiPartParser)
    serializer_class = SiteSerializer
    sent_serializer_class = SiteSendSerializer
    filterset_class = SiteFilterSet
    row_orderings = {"-id": ("-id",), "name": ("name", "version"), "created_at": ("created_at", "id")}

    def known_parameters(self) -> set[str]:
        """Return the parameters of a list, or what a version is compared with."""
        return super().known_parameters() | ({"before"} if self.action == "differences" else set())

    def get_serializer_class(self) -> type[serializers.Serializer]:
        """Return a version with its description where one is asked for by itself."""
        return SiteDetailSerializer if self.action == "retrieve" else super().get_serializer_class()

    @extend_schema(
        request={"multipart/form-data": SiteSendSerializer, "application/json": SiteSendSerializer},
        responses={HTTPStatus.CREATED: SiteDetailSerializer, HTTPStatus.OK: SiteDetailSerializer},
    )
    def create(self, request: Request) -> Response:
        """Store files or a description as the next version of its name; 200 where nothing has changed."""
        form = SiteSendSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        sent = form.validated_data
        described = sent["description"]
        text = described if isinstance(described, str) else "" if described is None else json.dumps(described)
        zero = sent["zero"]
        try:
            read = site_read(
                sent["file"], text=text, zero_at=None if zero is None else zero.timestamp(), name=sent["name"]
            )
            stored, is_new = site_store(site=read.site, notes=read.notes, origin=read.origin, name=sent["name"])
        except SiteTooLarge as error:
            raise TooLarge(str(error)) from None
        except SiteError as error:
            raise ValidationError({"file" if sent["file"] else "description": [str(error)]}) from None
        return Response(
            SiteDetailSerializer(stored).data,
            HTTPStatus.CREATED if is_new else HTTPStatus.OK,
            headers={"Location": reverse("api:site-detail", args=[stored.pk])},
        )

    @extend_schema(
        parameters=[OpenApiParameter("before", OpenApiTypes.INT, description="Key of a version; else the one before.")],
        responses=DifferenceSerializer(many=True),
        filters=False,
    )
    @action(detail=True, pagination_class=None)
    def differences(self, request: Request, pk: str) -> Response:
        """Return what differs in a version from the one before it, or from another."""
        key = self.row(pk)["id"]
        after = Site.objects.get(pk=key)
        before = Site.objects.filter(name=after.name, version__lt=after.version).order_by("-version").first()
        if asked := request.query_params.get("before"):
            known = asked.isascii() and asked.isdecimal() and len(asked) < 19
            before = Site.objects.filter(pk=asked).first() if known else None
            if before is None:
                raise ValidationError({"before": ["There is no such version of a site."]})
        if before is None:
            return Response([])
        found = sites.differences(before.as_site(), after.as_site())
        return Response(msgspec.to_builtins(found, enc_hook=vars))
