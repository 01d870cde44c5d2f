"""What the address of the time machine asks for, and the addresses that keep it."""

from dataclasses import dataclass, replace
from urllib.parse import urlencode

from django.core.exceptions import BadRequest
from django.db.models import Max, Min
from django.http import HttpRequest
from django.urls import reverse

from apps.live.instants import replays
from apps.live.instants.instant import InstantReader
from apps.metrics.models import Metric
from apps.results.models import Run
from scheduler_sim.display.viewing import finite_number, whole_number
from scheduler_sim.web.converters import number_text

MOST_POLICIES = 2
TASKS_IN_WINDOW = 120
"""About so many tasks arrive in the window that is shown where none is asked for."""


@dataclass(frozen=True)
class Asked:
    """An instant of a run as somebody looks at it.

    Attributes:
        time: seconds on the workload's clock.
        policies: one or two of the run's.
        window: seconds that the Gantt charts show around the instant, None for what suits the run.
        task: number of the task that is followed, None for none.
        first, running: how many tasks of what waits and of what runs are left out before those that are shown.
        decision: how many decisions on the task that is followed.
    """

    run: Run
    time: float
    policies: tuple[str, ...]
    window: float | None = None
    task: int | None = None
    first: int = 0
    running: int = 0
    decision: int = 0

    @classmethod
    def of(cls, request: HttpRequest, run: Run, time: str) -> "Asked":
        """Read an address.

        Raises:
            BadRequest: the instant is not a finite number.
        """
        seconds = finite_number(time)
        if seconds is None:
            raise BadRequest("The instant is a number of seconds on the workload's clock.")
        named = dict.fromkeys(name for name in request.GET.getlist("policy") if name)
        window = finite_number(request.GET.get("window"))
        task = whole_number(request.GET.get("task"), -1, most=2**53)
        return cls(
            run=run,
            time=seconds,
            policies=tuple(named)[:MOST_POLICIES] or (run.policies[0],),
            window=window if window is not None and window > 0 else None,
            task=task if task >= 0 else None,
            first=whole_number(request.GET.get("first"), 0),
            running=whole_number(request.GET.get("running"), 0),
            decision=whole_number(request.GET.get("decision"), 0),
        )

    def readers(self, *, alone: bool = False) -> list[InstantReader]:
        """Return what reads the run's instants under each policy; arguments and raises as of `InstantReader`."""
        return [InstantReader(self.run, name, wait=replays.WAIT_SECONDS, alone=alone) for name in self.policies]

    @property
    def query(self) -> str:
        """What an address says of the policies, the window, the task and the pages of the lists."""
        pairs: list[tuple[str, object]] = [("policy", name) for name in self.policies]
        if self.window is not None:
            pairs.append(("window", number_text(self.window)))
        if self.task is not None:
            pairs.append(("task", self.task))
        pairs += [(name, count) for name, count in (("first", self.first), ("running", self.running)) if count]
        return urlencode(pairs)

    def address(self, time: float | None) -> str:
        """Return the address of another instant, seen alike; empty for None."""
        if time is None:
            return ""
        return f"{reverse('run-at', args=[self.run.pk, time])}?{self.query}"

    def following(self) -> str:
        """Return the address of the instant while a task is followed, up to its number."""
        return f"{replace(self, task=None).address(self.time)}&task="

    def page(self, name: str, first: int) -> str:
        """Return the address of the instant with a list, `first` or `running`, from its task of that place on."""
        there = replace(self, first=first) if name == "first" else replace(self, running=first)
        return there.address(self.time)

    def decisions_from(self, first: int) -> str:
        """Return the address of the instant with the decisions on the followed task from `first` on."""
        return f"{self.address(self.time)}&decision={first}#followed"

    def task_address(self) -> tuple[str, str]:
        """Return the address of a task's page that leads back here: what stands before its number, and after it."""
        before = reverse("run-task", args=[self.run.pk, 0]).removesuffix("0/")
        return before, f"/?{urlencode({'at': number_text(self.time)})}&{self.query}"


def way_back(request: HttpRequest, run: Run) -> str:
    """Return the address of the instant from which a page of a task was opened, `?at=86400`; empty without one."""
    at = request.GET.get("at", "")
    return "" if finite_number(at) is None else Asked.of(request, run, at).address(float(at))


def clock_span(run: Run) -> tuple[float, float]:
    """Return from when to when anything happens in a run, by its stored figures; seconds."""
    found = Metric.objects.filter(run=run).aggregate(low=Min("window_start_time"), high=Max("window_end_time"))
    if found["low"] is None:
        return run.workload.first_arrival_time, run.workload.last_arrival_time
    return found["low"], found["high"]


def usual_window(run: Run, span: tuple[float, float]) -> float:
    """Return how many seconds suit the Gantt charts: the whole of a small run, else about `TASKS_IN_WINDOW` tasks."""
    tasks = run.rows_expected / len(run.policies)
    return (span[1] - span[0]) * min(1.0, TASKS_IN_WINDOW / max(tasks, 1.0))


def telling_instant(run: Run, policy: str, low: float) -> float:
    """Return an instant worth beginning with: the middle of the window in which most tasks waited, else `low`."""
    windows = Metric.objects.windows().filter(run=run, scheduler=policy, mean_queue_length__gt=0)
    names = ("window_start_time", "window_end_time")
    longest = windows.order_by("-mean_queue_length", "window_start_time").values_list(*names).first()
    return low if longest is None else float(round((longest[0] + longest[1]) / 2))
