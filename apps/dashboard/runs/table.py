"""The list of runs: searched, filtered and sorted in the database, each with its best policy."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.core.exceptions import BadRequest
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from apps.dashboard.runs.progress import ProgressShown, run_progress
from apps.live.models import SimulationState
from apps.metrics.models import Metric
from apps.results.fidelity import Badge, run_badges
from apps.results.models import Run
from scheduler_sim.display.formatting import listing, percent_change
from scheduler_sim.display.viewing import ordered, whole_number

RUN_COLUMNS = {
    "name": "name",
    "workload": "workload__name",
    "status": "status",
    "created": "created_at",
    "seed": "seed",
    "rows": "rows_written",
}


@dataclass(frozen=True)
class RunLine:
    """One line of a list of runs.

    Attributes:
        best: the first policy in rank order, None before the run has figures.
        base: the run's first policy, with which the others are compared; None without figures.
        progress: None when the run is over.
        badge: how its cluster or site replays the log; None where that is not known.
    """

    run: Run
    best: Metric | None
    base: Metric | None
    interrupted: bool
    progress: ProgressShown | None
    badge: Badge | None

    @property
    def change(self) -> str:
        """How far the best policy's mean slowdown is from the base's, empty where there is nothing to compare."""
        if self.best is None or self.base is None or self.best.scheduler == self.base.scheduler:
            return ""
        return percent_change(self.best.mean_bounded_slowdown, self.base.mean_bounded_slowdown)


def filtered_runs(request: HttpRequest, sort: str) -> QuerySet:
    """Return the runs that the address asks for: `q`, `status`, `workload`, `policy`, `studies`.

    The runs of studies, which may be thousands, are left out unless `studies` or one of the others asks for them.

    Raises:
        BadRequest: a status that runs cannot have.
    """
    runs = Run.objects.select_related("workload").defer("configuration", "cluster", "workload__audit")
    runs = runs.select_related("site").defer("site__description", "site__notes")
    if query := request.GET.get("q", "").replace("\0", "").strip():
        runs = runs.filter(Q(name__icontains=query) | Q(workload__name__icontains=query))
    if status := request.GET.get("status"):
        if status not in Run.Status.values:
            raise BadRequest(f"There is no status {status[:50]!r}; runs are {listing(Run.Status.values)}.")
        runs = runs.filter(status=status)
    if workload := whole_number(request.GET.get("workload"), 0):
        runs = runs.filter(workload_id=workload)
    if policy := request.GET.get("policy", "").strip():
        runs = runs.filter(pk__in=Metric.objects.totals().filter(scheduler=policy).values("run_id"))
    if not any(request.GET.get(name) for name in ("studies", "q", "workload", "policy")):
        runs = runs.filter(study__isnull=True)
    return ordered(runs, sort, RUN_COLUMNS)


def run_lines(runs: Iterable[Run]) -> list[RunLine]:
    """Return the lines of some runs, in four queries however many they are."""
    runs = list(runs)
    keys = [run.pk for run in runs]
    ranked: dict[int, list[Metric]] = {}
    figures = ("run_id", "scheduler", "mean_bounded_slowdown", "mean_job_completion_time")
    totals = Metric.objects.totals().filter(run__in=keys, mean_bounded_slowdown__isnull=False)
    for total in totals.only(*figures).in_rank_order():
        ranked.setdefault(total.run_id, []).append(total)
    open_runs = [run.pk for run in runs if not run.is_over or run.status == Run.Status.FAILED]
    states = {state.run_id: state for state in SimulationState.objects.filter(run__in=open_runs)}
    badges = run_badges([run for run in runs if run.pk in ranked and run.status == Run.Status.FINISHED])
    lines = []
    for run in runs:
        state = states.get(run.pk)
        if state is not None:
            state.run = run
        of_run = ranked.get(run.pk, [])
        lines.append(
            RunLine(
                run=run,
                best=of_run[0] if of_run else None,
                base=next((total for total in of_run if total.scheduler == run.policies[0]), None),
                interrupted=state is not None and state.is_interrupted,
                progress=None if run.is_over else run_progress(run, state),
                badge=badge if (badge := badges.get(run.pk)) and badge.kind in ("replays", "differs") else None,
            )
        )
    return lines
