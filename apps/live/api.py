"""Starting and controlling runs over HTTP, and what the site is doing."""

import re
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Count
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.live.models import SimulationState
from apps.live.play.configuration import KEEP, ON_OVERSIZE, SPLIT_MODELS, RunConfiguration, code_version
from apps.live.play.launch import run_command, run_start
from apps.results.api import RunRowsViewSet, RunSerializer
from apps.results.errors import DomainError
from apps.results.models import Run
from apps.tasks.models import Workload
from scheduler_sim import engine, logs
from scheduler_sim.engine.policies.agent import RewardWeights
from scheduler_sim.engine.presets import PRESETS, load_cluster
from scheduler_sim.web.api import LARGEST_KEY, GuardedMixin, StrictSerializer
from scheduler_sim.web.errors import Conflict

MAX_POLICIES = 50

PRESET = re.compile(r"workstation|openb|auto|(hpc|dgx)-[0-9]{1,9}")


class RunCreateSerializer(StrictSerializer):
    """What to play; everything but the workload has the default of `runsimulation`."""

    workload = serializers.IntegerField(min_value=1, max_value=LARGEST_KEY, help_text="Key of a stored workload.")
    cluster = serializers.JSONField(
        default="auto", help_text="A preset such as hpc-256, or a description as runs show theirs."
    )
    policies = serializers.ListField(child=serializers.CharField(max_length=100), min_length=1, max_length=MAX_POLICIES)
    name = serializers.CharField(max_length=200, required=False, help_text="Must be new; made up when left out.")
    seed = serializers.IntegerField(default=0, min_value=0, max_value=LARGEST_KEY)
    limit = serializers.IntegerField(
        default=None, allow_null=True, min_value=1, max_value=LARGEST_KEY, help_text="The first so many tasks."
    )
    on_oversize = serializers.ChoiceField(choices=ON_OVERSIZE, default="fail")
    estimates = serializers.RegexField(
        r"^(trace|exact|(factor|uniform):[0-9]{1,6}(\.[0-9]{1,6})?|predicted:[A-Za-z0-9_-]{1,60}(\.[0-9]{1,6})?)$",
        default="trace",
        max_length=80,
    )
    split_model = serializers.ChoiceField(choices=SPLIT_MODELS, default="concurrent")
    kill_at_estimate = serializers.BooleanField(default=False)
    conservative_depth = serializers.IntegerField(default=None, allow_null=True, min_value=1, max_value=2**31 - 1)
    agent_reward = serializers.ListField(
        child=serializers.FloatField(min_value=0.0, max_value=1e6),
        min_length=3,
        max_length=3,
        default=None,
        allow_null=True,
        help_text="Weights of time, energy and cost in what rl_agent minimises; those it was trained with if left out.",
    )
    agent_from_scratch = serializers.BooleanField(
        default=False, help_text="Whether rl_agent begins without its stored table."
    )
    warmup = serializers.FloatField(default=0.0, min_value=0.0, max_value=0.99)
    cooldown = serializers.FloatField(default=0.0, min_value=0.0, max_value=0.99)
    keep = serializers.ChoiceField(choices=KEEP, default="results")

    def validate_workload(self, value: int) -> Workload:
        """Find the workload."""
        workload = Workload.objects.filter(pk=value).first()
        if workload is None:
            raise serializers.ValidationError(f"There is no workload {value}.")
        return workload

    def validate_policies(self, value: list[str]) -> tuple[str, ...]:
        """Check every policy against the registry; the sentence names the nearest."""
        try:
            return tuple(policy.name for policy in engine.parse_policies(",".join(value)))
        except engine.EngineError as error:
            raise serializers.ValidationError(str(error)) from None

    def validate_agent_reward(self, value: list[float] | None) -> tuple[float, ...] | None:
        """Check that some weight is above 0."""
        if value is None:
            return None
        try:
            RewardWeights(*value)
        except engine.EngineError as error:
            raise serializers.ValidationError(str(error)) from None
        return tuple(value)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Build the cluster, which may depend on the workload."""
        if attrs["warmup"] + attrs["cooldown"] >= 1:
            raise serializers.ValidationError({"cooldown": "warmup and cooldown must stay below 1 together."})
        try:
            attrs["cluster"] = _cluster(attrs["cluster"], attrs["workload"])
        except engine.EngineError as error:
            raise serializers.ValidationError({"cluster": str(error)}) from None
        return attrs


def _cluster(description: Any, workload: Workload) -> engine.Cluster:
    """Return a preset by name or a described cluster; never a file, which would be one of the server's."""
    if not isinstance(description, str):
        cluster = engine.Cluster.from_json(description)
        if len(cluster.name) > 100:
            raise engine.InvalidCluster("The cluster's name is longer than 100 characters.")
        return cluster
    if not PRESET.fullmatch(description):
        raise engine.InvalidCluster(f"There is no cluster preset {description!r}. Presets: {', '.join(PRESETS)}.")
    return load_cluster(description, max_processors=workload.max_processors)


class RunDetailSerializer(RunSerializer):
    """A run, and whether the process that played it died."""

    interrupted = serializers.BooleanField(help_text="Running or paused, with no living process behind it.")

    class Meta(RunSerializer.Meta):
        fields = (*RunSerializer.Meta.fields, "interrupted")


class RunViewSet(RunRowsViewSet):
    """Runs: read them, start one, pause, resume and stop it."""

    sent_serializer_class = RunCreateSerializer

    @extend_schema(responses=RunDetailSerializer)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return one run."""
        return Response(self._document(kwargs["pk"]))

    @extend_schema(request=RunCreateSerializer, responses={202: RunDetailSerializer})
    def create(self, request: Request) -> Response:
        """Start a run in a process of its own."""
        form = RunCreateSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        wanted = dict(form.validated_data)
        workload, cluster, name = wanted.pop("workload"), wanted.pop("cluster"), wanted.pop("name", None)
        try:
            run = run_start(workload=workload, cluster=cluster, configuration=RunConfiguration(**wanted), name=name)
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
        return {**row, "interrupted": state is not None and state.is_interrupted}


class StatusSerializer(serializers.Serializer):
    """What the site is and does."""

    engine_version = serializers.CharField()
    code_version = serializers.CharField(allow_blank=True)
    database = serializers.CharField()
    redis = serializers.BooleanField(help_text="Whether Redis is configured.")
    runs = serializers.DictField(child=serializers.IntegerField(), help_text="How many runs have each status.")
    workloads = serializers.IntegerField()
    under_way = serializers.ListField(child=serializers.DictField(), help_text="Runs queued, running or paused.")


class StatusView(GuardedMixin, APIView):
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
