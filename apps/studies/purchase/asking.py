"""Asking for a search from the page and over HTTP."""

from http import HTTPStatus
from typing import Any

from django import forms
from django.db import transaction
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.live.form_fields import OptionField
from apps.live.play.options import InvalidOption
from apps.live.request import option_field
from apps.results.errors import DomainError
from apps.results.models import Run
from apps.studies.purchase.request import PURCHASE_OPTIONS, PurchaseRequest, ground_of
from scheduler_sim import engine
from scheduler_sim.accounts import audit
from scheduler_sim.background.api import JobDetailSerializer, job_document
from scheduler_sim.background.models import Job
from scheduler_sim.background.services import JobStateError, job_submit
from scheduler_sim.web.api import LARGEST_KEY, GuardedView, StrictSerializer
from scheduler_sim.web.errors import Conflict

KIND = "purchase"


@transaction.atomic
def purchase_submit(*, run: Run, request: PurchaseRequest, requested_by: Any) -> Job:
    """Ask for a search; one at a time is under way for a run.

    Raises:
        DomainError, EngineError: what cannot be searched, as far as it shows before tasks are read.
        JobStateError: one for the run is waiting or under way.
    """
    ground_of(run, request).search(request)
    job = job_submit(kind=KIND, subject_id=run.pk, arguments=request.as_json(), requested_by=requested_by)
    audit.record(audit.Action.START, KIND, job, called=run.name)
    return job


class PurchaseForm(forms.Form):
    """A search as people ask for it."""

    def __init__(self, *args: Any, **others: Any) -> None:
        super().__init__(*args, **{"auto_id": "%s", **others})
        for option in PURCHASE_OPTIONS:
            self.fields[option.name] = OptionField(option)

    def submit(self, run: Run, requested_by: Any) -> Job | None:
        """Ask for what was typed; None where it cannot be, and the form says why."""
        if not self.is_valid():
            return None
        try:
            # What is empty is not given, and what is lacking is refused by its own sentence.
            request = PurchaseRequest.read(self.cleaned_data)
            return purchase_submit(run=run, request=request, requested_by=requested_by)
        except InvalidOption as error:
            self.add_error(error.field if error.field in self.fields else None, str(error))
        except (DomainError, engine.EngineError, JobStateError) as error:
            self.add_error(None, str(error))
        return None


class PurchaseSerializer(StrictSerializer):
    """A search for the cheapest change that reaches a target."""

    run = serializers.IntegerField(min_value=1, max_value=LARGEST_KEY, help_text="Whose tasks and options are played.")

    def get_fields(self) -> dict[str, serializers.Field]:
        """Return the run and the options."""
        return {**super().get_fields(), **{option.name: option_field(option) for option in PURCHASE_OPTIONS}}

    def validate_run(self, key: int) -> Run:
        """Return the run.

        Raises:
            ValidationError: there is none.
        """
        run = Run.objects.select_related("workload", "site").filter(pk=key).first()
        if run is None:
            raise serializers.ValidationError("There is no such run.")
        return run


class PurchaseView(GuardedView):
    """Searches purchases."""

    serializer_class = PurchaseSerializer

    def get_serializer(self, *args: Any, **kwargs: Any) -> serializers.Serializer:
        """Return what is sent, which OPTIONS and the page's form show."""
        return self.serializer_class(*args, **kwargs)

    @extend_schema(request=PurchaseSerializer, responses={202: JobDetailSerializer}, operation_id="purchases_create")
    def post(self, request: Request) -> Response:
        """Search the cheapest change in the background; the job says how far it is, and its `outcome` what is found."""
        form = self.serializer_class(data=request.data)
        form.is_valid(raise_exception=True)
        values = dict(form.validated_data)
        run = values.pop("run")
        try:
            job = purchase_submit(run=run, request=PurchaseRequest(**values), requested_by=request.user)
        except InvalidOption as error:
            raise serializers.ValidationError({error.field or "target": [str(error)]}) from None
        except (DomainError, engine.EngineError, JobStateError) as error:
            raise Conflict(str(error)) from None
        address = reverse("api:job-detail", args=[job.pk])
        return Response(job_document(job), HTTPStatus.ACCEPTED, headers={"Location": address})
