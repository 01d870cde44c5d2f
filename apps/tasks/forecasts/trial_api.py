"""Trials of forecasts over HTTP: asked for, and looked at."""

from typing import Any

from rest_framework import serializers
from rest_framework.parsers import FormParser, JSONParser, MultiPartParser

from apps.tasks.forecasts.api import AskedViewSet, MadeSerializer, PastSerializer, documented
from apps.tasks.forecasts.starts import printed
from apps.tasks.forecasts.trials import INSTANTS, MOST_INSTANTS, MOST_REPLICAS, REPLICAS, trial_ask
from apps.tasks.models import ForecastTrial
from scheduler_sim.web.api import columns_of
from scheduler_sim.web.errors import TooLarge

MOST_BYTES = 64 * 2**20
"""What squeue printed at many instants may be so long."""


class TrialSerializer(serializers.ModelSerializer):
    """A trial of forecasts, without the queues that it is about and what came out."""

    class Meta:
        model = ForecastTrial
        fields: tuple[str, ...] = columns_of(ForecastTrial, but=("queues", "slurm_starts", "result", "requested_by"))
        read_only_fields = fields


class TrialDetailSerializer(MadeSerializer, TrialSerializer):
    """A trial: how far its making is, and how good forecasts were: of all, by partition, forecast wait and instant."""

    class Meta(TrialSerializer.Meta):
        fields = (*TrialSerializer.Meta.fields, "result", "status", "error", "place")
        read_only_fields = fields


class TrialAskedSerializer(PastSerializer):
    """A site, a past, and what squeue printed in it."""

    squeue = serializers.FileField(
        required=False,
        max_length=255,
        help_text="What squeue printed at many instants, each below a line `### snapshot epoch=SECONDS`; without it "
        "the history tells the queues.",
    )
    squeue_start = serializers.FileField(
        required=False, max_length=255, help_text="What squeue --start printed beside it, likewise."
    )
    history = serializers.IntegerField(min_value=1, max_value=2**63 - 1, help_text="A workload's key.")
    instants = serializers.IntegerField(default=INSTANTS, min_value=1, max_value=MOST_INSTANTS)
    replicas = serializers.IntegerField(default=REPLICAS, min_value=10, max_value=MOST_REPLICAS)

    def create(self, validated_data: dict[str, Any]) -> ForecastTrial:
        """Ask for the trial.

        Raises:
            TooLarge: files beyond `MOST_BYTES`.
            ForecastRefused, EngineError: see `trial_ask`.
        """
        files = [validated_data.pop(name, None) for name in ("squeue", "squeue_start")]
        if sum(file.size for file in files if file is not None) > MOST_BYTES:
            raise TooLarge(f"Queues may hold {MOST_BYTES // 2**20} MiB.")
        queues, starts = ("" if file is None else printed(file, MOST_BYTES) for file in files)
        if len(queues) + len(starts) > MOST_BYTES:
            raise TooLarge(f"Queues may hold {MOST_BYTES // 2**20} MiB, unpacked.")
        return trial_ask(ForecastTrial(queues=queues, slurm_starts=starts, **validated_data))


@documented(
    TrialDetailSerializer,
    create="Try forecasts at instants of a past; its own address says how far it is, and how good they were.",
    retrieve="Return one trial.",
)
class ForecastTrialViewSet(AskedViewSet):
    """Trials of forecasts, newest first; what is sent here is tried in the background."""

    parser_classes = (MultiPartParser, FormParser, JSONParser)
    serializer_class = TrialSerializer
    sent_serializer_class = TrialAskedSerializer
