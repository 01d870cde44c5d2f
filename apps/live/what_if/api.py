"""What-ifs over HTTP: asked, looked at and kept below the run that they are about."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar

from django.conf import settings
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import Throttled, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from apps.live.models import WhatIf
from apps.live.play.options import InvalidOption, Option
from apps.live.request import option_field
from apps.live.what_if.question import CHANGEABLE, NotAsked, Question, question
from apps.live.what_if.services import what_if_ask, what_if_keep
from apps.results.api import RunSerializer
from apps.results.errors import DomainError
from apps.results.models import Run
from scheduler_sim.background.models import Job
from scheduler_sim.web.access import client_key, seconds_to_wait
from scheduler_sim.web.api import StrictSerializer
from scheduler_sim.web.errors import Conflict


class ChangesSerializer(StrictSerializer):
    """What is changed of a run; what is left out stays as it was. Nodes are added to and dropped from the run's own."""

    options: ClassVar[tuple[Option, ...]] = CHANGEABLE

    def get_fields(self) -> dict[str, serializers.Field]:
        """Return a field for each option that may be changed."""
        fields: dict[str, serializers.Field] = super().get_fields()
        for option in self.options:
            field = option_field(option)
            field.required, field.default = False, serializers.empty
            fields[option.name] = field
        return fields


class NameSerializer(StrictSerializer):
    """What a kept run is to be called."""

    name = serializers.CharField(max_length=200, required=False, help_text="Must be new; made up when left out.")


class KeepSerializer(NameSerializer, ChangesSerializer):
    """What is changed of a run, and what the changed one is to be called."""


class WhatIfSerializer(serializers.Serializer):
    """A what-if: what is changed, how far it is, and what came out."""

    run = serializers.IntegerField()
    changes = serializers.DictField(child=serializers.CharField(), help_text="By the names of the options.")
    status = serializers.ChoiceField(
        choices=("not_asked", *Job.Status.values),
        help_text="not_asked before somebody who may start runs has asked; finished once it is answered.",
    )
    error = serializers.CharField(allow_blank=True, help_text="Why it could not be played.")
    only_kept = serializers.CharField(allow_blank=True, help_text="Why it is not played at once, empty where it is.")
    job = serializers.IntegerField(allow_null=True, help_text="Key of the job that plays it; it can be stopped.")
    seconds = serializers.FloatField(allow_null=True, help_text="How long playing both sides took.")
    figures = serializers.JSONField(
        allow_null=True,
        help_text="before and after: the figures of each policy as /metrics/ has them; pairs: each policy of the "
        "changed run, the one it is compared with, and the groups of tasks on both sides as /groups/ has them, whose "
        "differences are against the run as it was; cautions of the changed run.",
    )


_PARAMETERS = [OpenApiParameter(option.name, OpenApiTypes.STR, description=option.sentence) for option in CHANGEABLE]


def asked_of(run: Run, given: Mapping[str, Any]) -> Question:
    """Return what is asked of a run.

    Raises:
        ValidationError: an option or a value that means nothing, by its name.
        Conflict: the run's state does not allow it, or nothing is changed.
    """
    try:
        return question(run, given)
    except InvalidOption as error:
        raise ValidationError({error.field or "non_field_errors": [str(error)]}) from None
    except NotAsked as error:
        raise Conflict(str(error)) from None


def what_if_wait(request: HttpRequest, asked: Question) -> int | None:
    """Count a what-if that has to be played; return the seconds until the next one may be asked, None where it may."""
    if WhatIf.objects.filter(digest=asked.digest, figures__isnull=False).exists():
        return None
    return seconds_to_wait(request, group="what-if", key=client_key(request), rate=settings.RATE_LIMIT_WHAT_IF)


def document(run: Run, asked: Question | None) -> dict[str, Any]:
    """Return a what-if as the API shows it."""
    found = None if asked is None else WhatIf.objects.filter(digest=asked.digest).first()
    job = None if found is None else found.job
    status: str = "not_asked" if job is None else job.shown_status
    return {
        "run": run.pk,
        "changes": {} if asked is None else asked.changes,
        "status": Job.Status.FINISHED if found is not None and found.is_answered else status,
        "error": "" if job is None else job.error,
        "only_kept": "" if asked is None else asked.why_only_kept,
        "job": None if job is None else job.pk,
        "seconds": None if found is None else found.seconds,
        "figures": None if found is None else found.figures,
    }


class WhatIfActions(ABC):
    """The addresses of what-ifs below a run, for its view set."""

    @extend_schema(responses=WhatIfSerializer, parameters=_PARAMETERS)
    @action(detail=True, methods=["get"], url_path="what-if", url_name="what-if")
    def what_if(self, request: Request, pk: str) -> Response:
        """Return the answer to what the parameters change, if somebody has asked for it."""
        run = _run(pk)
        given = {name: value for name, value in request.query_params.items() if name != "format"}
        return Response(document(run, asked_of(run, given) if any(given.values()) else None))

    @extend_schema(request=ChangesSerializer, responses={200: WhatIfSerializer, 202: WhatIfSerializer})
    @what_if.mapping.post
    def ask_what_if(self, request: Request, pk: str) -> Response:
        """Play a changed run beside the run as it was, unless the answer is there already."""
        run = _run(pk)
        asked = asked_of(run, _sent(request))
        if (wait := what_if_wait(request, asked)) is not None:
            raise Throttled(wait)
        try:
            found = what_if_ask(asked=asked, requested_by=request.user)
        except DomainError as error:
            raise Conflict(str(error)) from None
        return Response(document(run, asked), HTTPStatus.OK if found.is_answered else HTTPStatus.ACCEPTED)

    @extend_schema(request=KeepSerializer, responses={202: RunSerializer})
    @action(detail=True, methods=["post"], url_path="what-if/keep", url_name="what-if-keep")
    def keep_what_if(self, request: Request, pk: str) -> Response:
        """Start the changed run as a run of its own."""
        sent = dict(_sent(request))
        named = NameSerializer(data={"name": sent.pop("name")} if "name" in sent else {})
        named.is_valid(raise_exception=True)
        asked = asked_of(_run(pk), sent)
        try:
            run = what_if_keep(asked=asked, requested_by=request.user, **named.validated_data)
        except DomainError as error:
            raise Conflict(str(error)) from None
        address = reverse("api:run-detail", args=[run.pk])
        return Response(self._document(run.pk), HTTPStatus.ACCEPTED, headers={"Location": address})

    @abstractmethod
    def _document(self, key: Any) -> dict[str, Any]:
        """Return a run as the view set shows it."""


def _run(pk: str) -> Run:
    return get_object_or_404(Run.objects.select_related("workload", "site"), pk=pk)


def _sent(request: Request) -> Mapping[str, Any]:
    if not isinstance(request.data, Mapping):
        raise ValidationError({"non_field_errors": ["Changes are an object by the names of the options."]})
    return request.data
