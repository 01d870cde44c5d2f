"""A run at one instant over HTTP."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from apps.live.exchange.instants import instant_document
from apps.live.instants import replays
from apps.live.instants.instant import run_instant
from apps.results.errors import DomainError, InvalidField
from apps.results.models import Run
from scheduler_sim.engine.errors import EngineError
from scheduler_sim.web.errors import Conflict
from scheduler_sim.web.missing import Missing
from scheduler_sim.web.pagination import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE

PARAMETERS = {
    "policy": "One of the run's; by default its first.",
    "offset": "How many tasks of the queue, and of what runs, to leave out.",
    "limit": f"At most so many of each, 1 to {MAX_PAGE_SIZE}.",
}
"""The parameters of an instant, and what they mean."""

MOST_SKIPPED = 10**9


class FreeNodeSerializer(serializers.Serializer):
    """What a node has free."""

    node = serializers.IntegerField()
    name = serializers.CharField()
    cores = serializers.FloatField()
    gpus = serializers.FloatField()


class TaskThereSerializer(serializers.Serializer):
    """A task that is in the system."""

    task_id = serializers.IntegerField(help_text="Its number inside the workload.")
    user = serializers.CharField(allow_blank=True)
    queue = serializers.CharField(allow_blank=True, help_text="Partition, where the workload names one.")
    cpus = serializers.FloatField()
    gpus = serializers.FloatField()
    arrival_time = serializers.FloatField()


class WaitingTaskSerializer(TaskThereSerializer):
    """A task that waits."""

    score = serializers.FloatField(allow_null=True, help_text="By which the policy tries it, the lowest first.")
    waits_for = serializers.CharField(help_text="In squeue's words; None where that is not known.")
    verdict = serializers.CharField(
        allow_blank=True,
        help_text="resources: too little is free, see lacks; blocked: behind the head, which nothing may pass; delays: "
        "it would delay the head's reservation; planned: its own reservation lies later; held: the policy does not "
        "offer it before planned_time; cleaner: it waits for cleaner electricity until planned_time; later: what the "
        "placement expects to end it first is not free yet; preempted: it had to stop; widths: the policy changes "
        "widths and gives it nothing; round: others share out the GPUs of this round; passed_over: the class that "
        "decides did not start it; on a site priority: others come before it, limit: its rules hold it back, "
        "unseen: no pass of the scheduler has come to it; empty where not explained.",
    )
    lacks = serializers.ListField(
        child=serializers.CharField(),
        help_text="What is too little on a cluster of nodes: cores, gpus or memory of any one node, nodes for a task "
        "that takes several as a whole, together where no one node has all that it needs at once.",
    )
    free = serializers.IntegerField(
        allow_null=True,
        help_text="Whole processors free in all when it was tried; where the order is not known, afterwards.",
    )
    reason = serializers.CharField(allow_blank=True, help_text="That of Slurm, on a site.")
    free_gpus = serializers.FloatField(allow_null=True, help_text="GPUs free in all then.")
    delay = serializers.FloatField(
        allow_null=True, help_text="Seconds by which it would delay the head; none where that is not known."
    )
    planned_time = serializers.FloatField(allow_null=True, help_text="When its reservation begins, or it is offered.")
    start_time = serializers.FloatField(help_text="When it really starts.")


class RunningTaskSerializer(TaskThereSerializer):
    """A task that runs."""

    held_cpus = serializers.FloatField(help_text="What it holds, which is not what it asks for where widths change.")
    held_gpus = serializers.FloatField()
    since = serializers.FloatField()
    until = serializers.FloatField(help_text="When this attempt really ends.")
    expected_until = serializers.FloatField(allow_null=True, help_text="When it was expected to, by the estimate.")
    node = serializers.IntegerField(help_text="Lowest number among its nodes.")
    node_name = serializers.CharField()
    nodes = serializers.CharField(
        help_text="All of its nodes as a host list, such as n[01-04]; the lowest alone where the rest was not kept."
    )
    device = serializers.IntegerField(help_text="Lowest number among its GPUs there, -1 for none.")


class InstantSerializer(serializers.Serializer):
    """A policy of a run at one instant, after it has acted there."""

    run = serializers.IntegerField()
    policy = serializers.CharField()
    time = serializers.FloatField()
    previous_time = serializers.FloatField(
        allow_null=True, help_text="The last instant before, at which a task arrives, is ready, starts, stops or ends."
    )
    next_time = serializers.FloatField(allow_null=True, help_text="The first instant after, alike.")
    running_count = serializers.IntegerField()
    waiting_count = serializers.IntegerField()
    awaiting_count = serializers.IntegerField(help_text="Tasks that wait for a parent.")
    free_cores = serializers.FloatField(allow_null=True)
    free_gpus = serializers.FloatField(allow_null=True)
    free_by_node = FreeNodeSerializer(many=True, allow_null=True, help_text="Nodes with something free.")
    head = serializers.IntegerField(allow_null=True, help_text="task_id of the first task that does not fit.")
    shadow_time = serializers.FloatField(allow_null=True, help_text="When that is to start, by the estimates.")
    extra = serializers.IntegerField(allow_null=True, help_text="Processors that it leaves over then.")
    queue = WaitingTaskSerializer(many=True, help_text="In the policy's order; what waits for a parent comes last.")
    running = RunningTaskSerializer(many=True, help_text="The longest first.")
    started = serializers.ListField(child=serializers.IntegerField(), help_text="task_ids that start at the instant.")
    unexplained = serializers.CharField(allow_blank=True, help_text="Why the decisions are not explained.")
    notes = serializers.ListField(child=serializers.CharField(), help_text="What else is not known.")


class InstantActions:
    """The addresses of instants below a run, for its view set."""

    @extend_schema(
        responses=InstantSerializer,
        parameters=[
            OpenApiParameter("time", OpenApiTypes.DOUBLE, "path", description="Seconds on the workload's clock."),
            OpenApiParameter("policy", str, description=PARAMETERS["policy"]),
            *(OpenApiParameter(name, int, description=PARAMETERS[name]) for name in ("offset", "limit")),
        ],
    )
    @action(
        detail=True,
        methods=["get"],
        url_path=r"at/(?P<time>[0-9.eE+-]{1,40})",
        url_name="at",
        pagination_class=None,
        filterset_class=None,
    )
    def instant(self, request: Request, pk: str, time: str) -> Response:
        """Return who waits and why, what runs where until when, and what is free, at one instant."""
        run = get_object_or_404(Run.objects.select_related("workload"), pk=pk)
        asked = request.query_params
        first = _whole(asked.get("offset"), "offset", 0, 0, MOST_SKIPPED)
        most = _whole(asked.get("limit"), "limit", DEFAULT_PAGE_SIZE, 1, MAX_PAGE_SIZE)
        try:
            seconds = float(time)
        except ValueError:
            raise ValidationError({"time": ["The instant is a number of seconds on the workload's clock."]}) from None
        try:
            found = run_instant(run, seconds, asked.get("policy", ""), wait=replays.WAIT_SECONDS)
        except InvalidField as error:
            raise ValidationError({error.field: [str(error)]}) from None
        except Missing:
            raise
        except (DomainError, EngineError) as error:
            raise Conflict(str(error)) from None
        return Response(instant_document(found, first=first, most=most))


def _whole(text: str | None, name: str, default: int, least: int, most: int) -> int:
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 11 and least <= int(text) <= most):
        raise ValidationError({name: [f"A whole number from {least} to {most}."]})
    return int(text)
