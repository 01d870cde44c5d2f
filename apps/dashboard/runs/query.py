"""Which runs a list holds, and in which order, as its address says."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Self

from django.core.exceptions import BadRequest
from django.db.models import F
from django.db.models.functions import Lower
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_date

from apps.dashboard.runs.columns import SORTS
from apps.results.managers import RunQuerySet
from apps.results.models import Run
from scheduler_sim.display.formatting import listing
from scheduler_sim.display.viewing import sort_key, whole_number
from scheduler_sim.texts import understood

_TEXTS = ("q", "status", "workload", "policy", "place", "tag", "who", "since", "until")
_SWITCHES = ("studies", "archived")
FILTERS = (*_TEXTS, *_SWITCHES)
"""Parameters that leave runs out or take some in."""

FOLDED = ("place", "tag", "who", "since", "until", "archived", "group")
"""Those that the page folds away."""


@dataclass(frozen=True)
class RunQuery:
    """What an address asks for; every text is empty where it asks for nothing.

    Attributes:
        q: text to find. status, policy, tag, who: what a run must have; the figures are then those of the policy.
        workload: its key, or a part of its name. place: a part of the cluster's or the site's name.
        since, until: days, both within.
        studies: whether runs of studies, which may be thousands, are among them where nothing else asks for some.
        archived: whether it is the archived runs and no others.
        group: `workload` to put the runs of each workload together.
        sort: a name of `SORTS`, `-` in front for descending.
    """

    q: str
    status: str
    workload: str
    policy: str
    place: str
    tag: str
    who: str
    since: str
    until: str
    studies: str
    archived: str
    group: str
    sort: str

    @classmethod
    def of(cls, request: HttpRequest) -> Self:
        """Read the address."""
        texts = {name: request.GET.get(name, "").replace("\0", "").strip() for name in (*FILTERS, "group")}
        texts["group"] = texts["group"] if texts["group"] == "workload" else ""
        return cls(**texts, sort=sort_key(request, SORTS, "-created"))

    @property
    def is_filtered(self) -> bool:
        """Whether it asks for some runs and not for all."""
        return any(getattr(self, name) for name in FILTERS)

    @property
    def is_unfolded(self) -> bool:
        """Whether it asks for something that the page folds away."""
        return any(getattr(self, name) for name in FOLDED)

    def runs(self) -> RunQuerySet:
        """Return the runs, not yet in order.

        Raises:
            BadRequest: a status that runs cannot have, or a day that is none.
        """
        runs: RunQuerySet = Run.objects.archived() if self.archived else Run.objects.in_sight()
        if self.q:
            runs = runs.matching(self.q)
        if self.status:
            if self.status not in Run.Status.values:
                raise BadRequest(f"There is no status {self.status[:50]!r}; runs are {listing(Run.Status.values)}.")
            runs = runs.filter(status=self.status)
        if key := whole_number(self.workload, 0):
            runs = runs.filter(workload_id=key)
        elif self.workload:
            runs = runs.filter(workload__name__icontains=self.workload)
        if self.policy:
            runs = runs.playing(self.policy)
        if self.place:
            runs = runs.at_place(self.place)
        if self.tag:
            runs = runs.tagged(self.tag)
        if self.who:
            runs = runs.requested_by(self.who)
        if self.since:
            runs = runs.filter(created_at__gte=_midnight(self.since))
        if self.until:
            runs = runs.filter(created_at__lt=_midnight(self.until) + timedelta(days=1))
        if not any((self.studies, self.q, self.workload, self.policy, self.tag, self.archived)):
            runs = runs.filter(study__isnull=True)
        return runs

    def ordered(self, runs: RunQuerySet) -> RunQuerySet:
        """Put runs in order: empty values last, ties by the newest; by their workloads first where they are grouped."""
        column = SORTS[self.sort.removeprefix("-")]
        if column.path == "place":
            runs = runs.with_place()
        if column.path == "requester":
            runs = runs.with_requester()
        if column.path == "took":
            runs = runs.annotate(took=F("finished_at") - F("started_at"))
        runs = runs.annotate(sorted_by=column.sorted_by(self.policy))
        way = F("sorted_by").desc if self.sort.startswith("-") else F("sorted_by").asc
        # Where nothing is empty an index can serve it.
        last = {} if column.path in ("created_at", "name", "status") else {"nulls_last": True}
        groups = (Lower("workload__name"), "workload_id") if self.group else ()
        return runs.order_by(*groups, way(**last), "-pk")


def _midnight(text: str) -> datetime:
    day = understood(parse_date, text)
    if day is None:
        raise BadRequest(f"{text[:20]!r} is no day; write it like {timezone.localdate():%Y-%m-%d}.")
    return timezone.make_aware(datetime.combine(day, time.min))
