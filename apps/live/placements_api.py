"""Placements over HTTP, with all nodes of each."""

from typing import Any

from rest_framework import serializers

from apps.live.exchange.host_lists import HostLists
from apps.results.api import SchedulerResultSerializer, SchedulerResultViewSet
from apps.results.models import Run


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

    class Meta(SchedulerResultSerializer.Meta):
        fields = (*SchedulerResultSerializer.Meta.fields, "nodes")


class PlacementViewSet(SchedulerResultViewSet):
    """Placements: newest first, or those of one run by `?run=` in the order of task and policy."""

    serializer_class = PlacementSerializer

    def columns(self) -> dict[str, str]:
        """Return the columns without the nodes, which are kept elsewhere."""
        return {name: path for name, path in super().columns().items() if name != "nodes"}

    def paginate_queryset(self, queryset: Any) -> Any:
        """Return one page; of one run with the nodes."""
        return self._with_nodes(super().paginate_queryset(queryset), one_run=bool(self.filters_given()))

    def row(self, key: str) -> dict[str, Any]:
        """Return one placement with its nodes.

        Raises:
            Http404: there is none.
        """
        return self._with_nodes([super().row(key)], one_run=True)[0]

    def _with_nodes(self, rows: Any, *, one_run: bool) -> list[dict[str, Any]]:
        # None also where the run was deleted since its rows were read.
        run = Run.objects.filter(pk=rows[0]["run"]).first() if rows and one_run else None
        if run is None:
            return [{**row, "nodes": None} for row in rows]
        places = ((row["scheduler"], row["task"], row["finish_time"], row["node"]) for row in rows)
        return [{**row, "nodes": nodes} for row, nodes in zip(rows, HostLists(run).of(places), strict=True)]
