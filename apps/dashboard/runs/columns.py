"""The columns that a list of runs can have, and which of them somebody sees."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import F
from django.db.models.functions import Lower
from django.http import HttpRequest

from apps.metrics.leaderboard import RUN_FIGURES
from apps.metrics.models import Metric
from apps.results.models import RunColumns
from scheduler_sim.engine.measuring.figures import FIGURES


@dataclass(frozen=True)
class RunColumn:
    """One column.

    Attributes:
        name: in addresses.
        label: its head.
        path: what the database sorts by; empty where it cannot.
        is_number: whether it is written on the right.
        is_figure: whether it is a figure of the policy that a line shows.
    """

    name: str
    label: str
    path: str = ""
    is_number: bool = False
    is_figure: bool = False

    @property
    def is_sortable(self) -> bool:
        """Whether runs can be sorted by it."""
        return self.is_figure or bool(self.path)

    def sorted_by(self, policy: str) -> Any:
        """Return the expression that sorts by it; figures are those of `policy`, or else of the policy in front."""
        if self.is_figure:
            return Metric.objects.for_outer_run(self.name, policy)
        return Lower(self.path) if self.path in ("name", "workload__name", "place", "requester") else F(self.path)


_PLAIN = (
    RunColumn("status", "Status", "status"),
    RunColumn("policy", "Policy"),
    RunColumn("change", "Against the base", is_number=True),
    RunColumn("workload", "Workload", "workload__name"),
    RunColumn("place", "Cluster or site", "place"),
    RunColumn("policies", "Policies", is_number=True),
    RunColumn("tags", "Tags"),
    RunColumn("notes", "Notes"),
    RunColumn("who", "Who", "requester"),
    RunColumn("created", "Created", "created_at", is_number=True),
    RunColumn("took", "Took", "took", is_number=True),
    RunColumn("rows", "Placements", "rows_written", is_number=True),
    RunColumn("seed", "Seed", "seed", is_number=True),
)

RUN_COLUMNS = {
    column.name: column
    for column in (*_PLAIN, *(RunColumn(name, FIGURES[name].label, "", True, True) for name in RUN_FIGURES))
}
"""By name; the run itself stands before all of them and is always there."""

FIRST_COLUMNS = ("status", "policy", "mean_bounded_slowdown", "change", "workload", "policies", "tags", "created")
"""Those that are shown to whoever chose none."""

SORTS = {"name": RunColumn("name", "Run", "name")} | {
    name: column for name, column in RUN_COLUMNS.items() if column.is_sortable
}


def known_columns(names: Iterable[str]) -> list[RunColumn]:
    """Return the columns of these names, in the order given; what is no column is left out."""
    return [RUN_COLUMNS[name] for name in dict.fromkeys(names) if name in RUN_COLUMNS]


def asked_columns(request: HttpRequest) -> list[RunColumn]:
    """Return the columns that the address names: `columns=status,who` or one parameter each; empty for none."""
    return known_columns(",".join(request.GET.getlist("columns")).split(","))


def own_columns(request: HttpRequest) -> list[RunColumn]:
    """Return the columns that whoever is signed in kept; empty for none."""
    if not request.user.is_authenticated:
        return []
    own = RunColumns.objects.filter(user=request.user).values_list("columns", flat=True).first()
    return known_columns(own or ())
