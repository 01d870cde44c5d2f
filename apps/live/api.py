"""Starting and controlling runs over HTTP, and what the site is doing."""

from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count
from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from apps.live.exchange.advice import run_advice
from apps.live.instants_api import PARAMETERS, InstantActions
from apps.live.models import SimulationState
from apps.live.play.launch import run_command, run_take_up
from apps.live.play.version import code_version
from apps.live.request import RunCreateSerializer
from apps.live.what_if.api import WhatIfActions
from apps.live.what_if.question import CHANGEABLE
from apps.metrics.leaderboard import RUN_FIGURES
from apps.metrics.models import Metric
from apps.results.api import RunRowsViewSet, RunSerializer
from apps.results.errors import DomainError, InvalidField
from apps.results.fidelity import run_badge
from apps.results.models import Run
from apps.tasks.models import Workload
from scheduler_sim import engine, logs
from scheduler_sim.background.models import Job
from scheduler_sim.web.api import GuardedView, StrictSerializer
from scheduler_sim.web.errors import Conflict


class BadgeSerializer(serializers.Serializer):
    """Whether the run's cluster or site replays the log of its workload."""

    kind = serializers.ChoiceField(choices=("replays", "differs", "unchecked", "no_log"))
    text = serializers.CharField(allow_blank=True, help_text="The same in a few words.")
    doubt = serializers.CharField(allow_blank=True, help_text="Said before the verdict, empty where nothing is.")


class RunDetailSerializer(RunSerializer):
    """A run, and whether the process that played it died."""

    fidelity = BadgeSerializer()
    interrupted = serializers.BooleanField(help_text="The process that played it, or was to play it, died.")
    place = serializers.IntegerField(
        allow_null=True, help_text="In the queue for a process, from 1; null when it does not wait there."
    )

    class Meta(RunSerializer.Meta):
        fields = (*RunSerializer.Meta.fields, "fidelity", "interrupted", "place")


class AdviceSerializer(serializers.Serializer):
    """What brings a policy of a run about in Slurm's configuration."""

    run = serializers.IntegerField(help_text="Key of the run.")
    policy = serializers.CharField()
    base = serializers.CharField(help_text="What gains and losses are counted from.")
    verdict = serializers.CharField(help_text="What the lines are worth, in a sentence.")
    is_whole = serializers.BooleanField(help_text="Whether they bring about what was played.")
    slurm_conf = serializers.ListField(child=serializers.CharField(), help_text="Lines of slurm.conf.")
    sacctmgr = serializers.ListField(child=serializers.CharField(), help_text="Commands.")
    unexpressed = serializers.ListField(child=serializers.CharField(), help_text="What Slurm cannot be told.")
    remarks = serializers.ListField(child=serializers.CharField(), help_text="What to look after.")
    gains = serializers.DictField(child=serializers.CharField(), help_text="Who gains and who loses, by grouping.")


class RunFilingSerializer(StrictSerializer):
    """How a run is filed; at least one of them."""

    tags = serializers.ListField(child=serializers.CharField(), required=False, help_text="All that it is to have.")
    notes = serializers.CharField(required=False, allow_blank=True)
    archived = serializers.BooleanField(required=False, help_text="Whether lists leave it out.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse a document that says nothing."""
        if not attrs:
            raise ValidationError("Say tags, notes or archived.")
        return attrs

    @transaction.atomic
    def file(self, run: Run) -> None:
        """File the run as the valid document says, all of it or nothing.

        Raises:
            DomainError: a tag or notes that cannot be, or a run under way that is to be archived.
        """
        asked = self.validated_data
        if "tags" in asked:
            run.tag(asked["tags"])
        if "notes" in asked:
            run.note(asked["notes"])
        if "archived" in asked:
            run.archive() if asked["archived"] else run.restore()


class RunViewSet(WhatIfActions, InstantActions, RunRowsViewSet):
    """Runs: read them, start one, pause, resume and stop it, look at an instant, and ask what if it were another."""

    sent_serializer_class = RunCreateSerializer

    def known_parameters(self) -> set[str]:
        """Return the parameters of a list, those of advice and of an instant, or what a what-if changes."""
        more = {
            "advice": {"policy", "against"},
            "instant": set(PARAMETERS),
            "what_if": {option.name for option in CHANGEABLE},
        }
        return super().known_parameters() | more.get(self.action, set())

    def orderings(self) -> dict[str, tuple[str, ...]]:
        """Return what runs may be ordered by: also any figure, and then only those that have it are listed."""
        return super().orderings() | dict.fromkeys(RUN_FIGURES, ("figure", "id"))

    def documented_orderings(self) -> list[str]:
        """Return every name that some request may order by."""
        return [*super().documented_orderings(), *RUN_FIGURES]

    def filter_queryset(self, queryset: Any) -> Any:
        """Filter, with the figure to order by: of the policy that `policy` names, or else of each run's best one."""
        runs = super().filter_queryset(queryset)
        name = self.request.query_params.get("ordering", "").removeprefix("-")
        if name not in RUN_FIGURES:
            return runs
        figure = Metric.objects.for_outer_run(name, self.request.query_params.get("policy", ""))
        return runs.annotate(figure=figure).filter(figure__isnull=False)

    @extend_schema(request=RunFilingSerializer, responses=RunDetailSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Write the tags and notes of a run, or archive it; what is left out stays as it is."""
        self.row(pk)
        form = RunFilingSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        try:
            form.file(Run.objects.get(pk=pk))
        except InvalidField as error:
            raise ValidationError({error.field: [str(error)]}) from None
        except DomainError as error:
            raise Conflict(str(error)) from None
        return Response(self._document(pk))

    @extend_schema(responses=RunDetailSerializer)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return one run."""
        return Response(self._document(kwargs["pk"]))

    @extend_schema(request=RunCreateSerializer, responses={202: RunDetailSerializer})
    def create(self, request: Request) -> Response:
        """Start a run in a process of its own."""
        form = RunCreateSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        try:
            run = form.start(requested_by=request.user)
        except DomainError as error:
            raise Conflict(str(error)) from None
        document = self._document(run.pk)
        address = reverse("api:run-detail", args=[run.pk])
        return Response(document, status=HTTPStatus.ACCEPTED, headers={"Location": address})

    @extend_schema(request=None, responses={202: RunDetailSerializer})
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: str) -> Response:
        """Ask a running run to pause; a paused one stays so."""
        return self._command(pk, "pause")

    @extend_schema(request=None, responses={202: RunDetailSerializer})
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        """Ask a paused run to go on; a running one does so anyway."""
        return self._command(pk, "resume")

    @extend_schema(request=None, responses={202: RunDetailSerializer})
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: str) -> Response:
        """Ask a run to stop for good; what it has stored is kept."""
        return self._command(pk, "stop")

    @extend_schema(request=None, responses={202: RunDetailSerializer})
    @action(detail=True, methods=["post"], url_path="take-up", url_name="take-up")
    def take_up(self, request: Request, pk: str) -> Response:
        """Ask for a process that plays what is missing of a stopped, interrupted or failed run."""
        self.row(pk)
        try:
            run_take_up(run=Run.objects.get(pk=pk), requested_by=request.user)
        except DomainError as error:
            raise Conflict(str(error)) from None
        return Response(self._document(pk), status=HTTPStatus.ACCEPTED)

    @extend_schema(
        responses=AdviceSerializer,
        parameters=[
            OpenApiParameter("policy", str, description="One of the run's; by default that in front."),
            OpenApiParameter("against", int, description="Key of a run on what is configured."),
        ],
    )
    @action(detail=True, methods=["get"], pagination_class=None, filterset_class=None)
    def advice(self, request: Request, pk: str) -> Response:
        """Return what brings a policy of the run about in Slurm's configuration, and who gains and loses."""
        self.row(pk)
        asked = request.query_params
        against = None
        if text := asked.get("against"):
            against = (
                Run.objects.filter(pk=text).first() if text.isascii() and text.isdecimal() and len(text) < 19 else None
            )
            if against is None:
                raise ValidationError({"against": ["There is no such run."]})
        try:
            found = run_advice(Run.objects.get(pk=pk), scheduler=asked.get("policy", ""), against=against)
        except InvalidField as error:
            raise ValidationError({error.field: [str(error)]}) from None
        except DomainError as error:
            raise Conflict(str(error)) from None
        return Response(found.as_json())

    def _command(self, key: str, command: str) -> Response:
        self.row(key)
        token = logs.run_id.set(key)
        try:
            run_command(run=Run.objects.get(pk=key), command=command)
        except DomainError as error:
            raise Conflict(str(error)) from None
        finally:
            logs.run_id.reset(token)
        return Response(self._document(key), status=HTTPStatus.ACCEPTED)

    def _document(self, key: Any) -> dict[str, Any]:
        row = self.row(str(key))
        state = SimulationState.objects.select_related("run").filter(run=row["id"]).first()
        job = Job.objects.latest_about("run", row["id"])
        run = Run.objects.select_related("workload", "site").get(pk=row["id"])
        return {
            **row,
            "fidelity": run_badge(run).as_json(),
            "interrupted": state is not None and state.is_interrupted,
            "place": None if job is None else job.place,
        }


class StatusSerializer(serializers.Serializer):
    """What the site is and does."""

    engine_version = serializers.CharField()
    code_version = serializers.CharField(allow_blank=True)
    database = serializers.CharField()
    redis = serializers.BooleanField(help_text="Whether Redis is configured.")
    runs = serializers.DictField(child=serializers.IntegerField(), help_text="How many runs have each status.")
    workloads = serializers.IntegerField()
    under_way = serializers.ListField(child=serializers.DictField(), help_text="Runs queued, running or paused.")


class StatusView(GuardedView):
    """What the site is and does."""

    @extend_schema(responses=StatusSerializer)
    def get(self, request: Request) -> Response:
        """Say which versions run, on what, and which runs are under way."""
        by_status = dict(Run.objects.order_by().values_list("status").annotate(Count("id")))
        states = (
            SimulationState.objects.select_related("run").exclude(run__status__in=Run.TERMINAL).order_by("-run_id")[:20]
        )
        return Response(
            {
                "engine_version": engine.ENGINE_VERSION,
                "code_version": code_version(),
                "database": connection.vendor,
                "redis": bool(settings.REDIS_URL),
                "runs": {status: by_status.get(status, 0) for status in Run.Status.values},
                "workloads": Workload.objects.count(),
                "under_way": [
                    {
                        "id": state.run_id,
                        "name": state.run.name,
                        "status": state.run.status,
                        "interrupted": state.is_interrupted,
                        "clock_time": state.clock_time,
                        "progress": state.progress,
                        "rows_expected": state.run.rows_expected,
                    }
                    for state in states
                ],
            }
        )
