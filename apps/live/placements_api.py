"""Placements over HTTP, with all nodes of each, and carbon and price of its electricity."""

from typing import Any

from rest_framework import serializers

from apps.live.exchange.electricity_columns import COLUMNS, placements_electricity
from apps.live.exchange.host_lists import HostLists
from apps.live.play.task_electricity import Reckoner
from apps.results.api import SchedulerResultSerializer, SchedulerResultViewSet
from apps.results.models import Run
from apps.tasks.models import Task

ADDED = ("nodes", *COLUMNS)
"""What stands in no column of a placement."""


class PlacementSerializer(SchedulerResultSerializer):
    """One placement; `task_id` is the task's number inside its workload, `task` its key in the database.

    `attempts`, `service_time`, `lost_time` and `outcome` are null where every task of the policy ran once to its end.
    """

    nodes = serializers.CharField(
        read_only=True,
        allow_null=True,
        help_text="All of its nodes as a host list, such as n[01-04]; empty where that was not kept, and null in lists "
        "of more than one run.",
    )

    carbon_kg = serializers.FloatField(
        read_only=True,
        allow_null=True,
        help_text="Carbon of its electricity by the run's series, kg; null where it is not known, and in lists of more "
        "than one run.",
    )
    electricity_usd = serializers.FloatField(
        read_only=True, allow_null=True, help_text="Price of its electricity, USD; null as carbon_kg is."
    )

    class Meta(SchedulerResultSerializer.Meta):
        fields = (*SchedulerResultSerializer.Meta.fields, *ADDED)


class PlacementViewSet(SchedulerResultViewSet):
    """Placements: newest first, or those of one run by `?run=` in the order of task and policy."""

    serializer_class = PlacementSerializer

    def columns(self) -> dict[str, str]:
        """Return the columns without what is kept or reckoned elsewhere."""
        return {name: path for name, path in super().columns().items() if name not in ADDED}

    def paginate_queryset(self, queryset: Any) -> Any:
        """Return one page; of one run with the nodes, and carbon and price of electricity."""
        return self._with_more(super().paginate_queryset(queryset), one_run=bool(self.filters_given()))

    def row(self, key: str) -> dict[str, Any]:
        """Return one placement with its nodes and its electricity.

        Raises:
            Http404: there is none.
        """
        return self._with_more([super().row(key)], one_run=True)[0]

    def _with_more(self, rows: Any, *, one_run: bool) -> list[dict[str, Any]]:
        # None also where the run was deleted since its rows were read.
        found = Run.objects.select_related("workload").filter(pk=rows[0]["run"]) if rows and one_run else None
        run = found.first() if found is not None else None
        if run is None:
            return [{**row, **dict.fromkeys(ADDED)} for row in rows]
        places = ((row["scheduler"], row["task"], row["finish_time"], row["node"]) for row in rows)
        more = zip(HostLists(run).of(places), self._electricity(run, rows), strict=True)
        return [
            {**row, **dict(zip(ADDED, (nodes, *electricity), strict=True))}
            for row, (nodes, electricity) in zip(rows, more, strict=True)
        ]

    def _electricity(self, run: Run, rows: list[dict[str, Any]]) -> list[Any]:
        reckoner = Reckoner.of(run)
        if reckoner is None:
            return [(None,) * len(COLUMNS)] * len(rows)
        names = ("scheduler", "task", "energy_joules", "start_time", "finish_time")
        kinds = dict(Task.objects.filter(pk__in={row["task"] for row in rows}).values_list("pk", "kind"))
        told = [(*(row[name] for name in names), kinds.get(row["task"])) for row in rows]
        return placements_electricity(run, reckoner, ("scheduler", "key", *names[2:], "kind"))(told)
