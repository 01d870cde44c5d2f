"""The pages of studies: the list, one study's grid, its charts and downloads, and the form of a new one."""

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from apps.results.errors import DomainError
from apps.results.models import Run, Study
from apps.studies.control import study_launch, study_stop
from apps.studies.definition import definition_text
from apps.studies.form import StudyForm
from apps.studies.grid import study_store
from apps.studies.paper.response import paper_response
from apps.studies.paper.study import study_paper
from apps.studies.play.planning import plan_in_words, study_plan
from apps.studies.progress import interrupted_among, study_progress
from apps.studies.ready_made import ReadyMade, ready_made
from apps.studies.report.charts import study_charts
from apps.studies.report.figures import CellFigures, study_figures
from apps.studies.report.heatmap import heatmap
from apps.studies.report.html import study_html
from apps.studies.report.published import published
from apps.studies.report.tables import (
    COLUMNS,
    chosen_base,
    chosen_figure,
    fixed_places,
    markdown_table,
    policies_of,
    scale_for,
    study_rows,
    varying_axes,
)
from apps.studies.report.words import study_sentences
from scheduler_sim.display.charts import Chart
from scheduler_sim.display.downloads import table_response
from scheduler_sim.display.policy_choices import backfill_heads, order_rows, ready_made_rows
from scheduler_sim.display.viewing import chart_source, chart_views, control_form, figures, page_of, reading
from scheduler_sim.engine.clusters.presets import PRESETS
from scheduler_sim.engine.crew import cores
from scheduler_sim.engine.generators import GENERATORS
from scheduler_sim.engine.measuring.figures import ENERGY_AND_COST, FIGURES
from scheduler_sim.web.access import refuse_without_control

OFFERED_FIGURES = (
    "mean_bounded_slowdown",
    "mean_job_completion_time",
    "p95_job_completion_time",
    "p99_job_completion_time",
    "mean_wait_time",
    "p95_wait_time",
    "max_wait_time",
    "makespan",
    "throughput",
    "cpu_utilisation",
    "gpu_utilisation",
    "mean_queue_length",
    *ENERGY_AND_COST,
    "fairness",
    "mean_rho",
    "p95_rho",
    "unfair_share",
    "share_fairness",
    "least_share",
)
LIST_COLUMNS = ("id", "name", "status", "runs", "finished", "failed", "created_at")
FAILURES_SHOWN = 20


@reading
@require_safe
def study_list(request: HttpRequest) -> HttpResponse:
    """Show all studies, newest first."""
    studies: QuerySet[Any] = Study.objects.with_counts()
    if (kind := request.GET.get("format")) in ("csv", "json"):
        rows = (
            (
                study.pk,
                study.name,
                study.status,
                study.run_count,
                study.finished_count,
                study.failed_count,
                study.created_at,
            )
            for study in studies
        )
        return table_response("studies", LIST_COLUMNS, rows, kind)
    page = page_of(request, studies)
    lines = interrupted_among(page.object_list)
    return render(request, "studies/study_list.html", {"page_obj": page, "lines": lines})


@reading
@require_safe
def study_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one study: what came out, the grid as a table and heatmap, and the runs behind each cell."""
    study, figure, base, cells = _asked(request, pk)
    names, varying = policies_of(cells), varying_axes(cells)
    context: dict[str, Any] = {
        "study": study,
        "progress": study_progress(study),
        "may_control": request.user.has_perm("results.control_run"),
        "definition": definition_text(study.definition),
        "failures": study.runs.filter(status=Run.Status.FAILED).order_by("pk")[:FAILURES_SHOWN],
        "figure": figure,
        "figures": [(name, FIGURES[name].label) for name in dict.fromkeys((*OFFERED_FIGURES, figure))],
        "axes": [axis.capitalize() for axis in varying if axis != "load_factor"],
        "fixed": fixed_places(cells, varying),
        "base": base,
        "names": names,
        "sentences": study_sentences(study, cells, figure=figure, base=base),
        "scale": scale_for(cells, figure),
        "rows": heatmap(cells, names, base, figure),
        "published": published(study),
        "charts": study_charts(cells, figure).values(),
        "source": chart_source("study-charts", pk),
        "query": request.GET.urlencode(),
    }
    return render(request, "studies/study_detail.html", context)


@control_form("Starting studies needs")
def study_new(request: HttpRequest) -> HttpResponse:
    """Show the form of a new study, count its runs, and start it once it was counted as it is; or a ready-made one."""
    offered = ready_made()
    if request.method == "POST" and "ready_made" in request.POST:
        return _start_ready_made(request, offered)
    form = StudyForm(request.POST if request.method == "POST" else None, figures=OFFERED_FIGURES)
    sentences: list[str] = []
    if form.is_bound and form.is_valid() and (definition := form.definition) is not None:
        if "start" in request.POST and request.POST.get("counted") == form.digest:
            study = study_store(definition)
            _launch(request, study)
            return redirect("study-detail", pk=study.pk)
        sentences = plan_in_words(study_plan(definition, workers=cores()), definition)
    chosen = set(form.chosen_policies) if form.is_bound else {"fcfs", "fcfs+easy", "sjf", "sjf+easy"}
    context = {
        "form": form,
        "sentences": sentences,
        "changed": bool(sentences) and "start" in request.POST,
        "backfills": backfill_heads(),
        "orders": order_rows(chosen),
        "ready_made": ready_made_rows(chosen),
        "presets": PRESETS.items(),
        "offered": offered,
        "generators": [(one.name, one.description, one.fields()) for _, one in sorted(GENERATORS.items())],
    }
    return render(request, "studies/study_new.html", context, status=400 if form.errors else 200)


def _start_ready_made(request: HttpRequest, offered: list[ReadyMade]) -> HttpResponse:
    wanted = next((one for one in offered if one.key == request.POST["ready_made"]), None)
    if wanted is None:
        raise Http404("There is no such ready-made study.")
    if wanted.lacking:
        messages.error(request, f"The study needs workloads that are not stored: {', '.join(wanted.lacking)}.")
        return redirect("study-new")
    study = wanted.stored or study_store(wanted.definition)
    if wanted.stored is None:
        _launch(request, study)
    return redirect("study-detail", pk=study.pk)


@require_POST
def study_control(request: HttpRequest, pk: int, command: str) -> HttpResponse:
    """Play what is missing of a study, or stop what is open, and go back to it."""
    refuse_without_control(request, "Starting studies needs")
    study = get_object_or_404(Study, pk=pk)
    if command == "play":
        _launch(request, study)
    else:
        study_stop(study=study)
    return redirect("study-detail", pk=pk)


def _launch(request: HttpRequest, study: Study) -> None:
    try:
        study_launch(study=study, requested_by=request.user)
    except DomainError as error:
        messages.error(request, str(error))


@figures
def study_cells(request: HttpRequest, pk: int, kind: str) -> HttpResponse:
    """Return every cell and policy with interval, rank and difference, in stored units."""
    _, _, _, cells = _asked(request, pk)
    return table_response(f"study-{pk}-cells", COLUMNS, study_rows(cells), kind)


@figures
def study_report(request: HttpRequest, pk: int, kind: str) -> HttpResponse:
    """Return the study as one HTML file that needs nothing else, or as Markdown."""
    study = get_object_or_404(Study, pk=pk)
    figure, base = request.GET.get("figure", ""), request.GET.get("base", "")
    if kind == "md":
        text, content_type = markdown_table(study, figure=figure, base=base), "text/markdown; charset=utf-8"
    else:
        text, content_type = study_html(study, figure=figure, base=base), "text/html; charset=utf-8"
    # To be saved, not shown: its style stands inside, which this site's pages are not allowed.
    return HttpResponse(
        text, content_type=content_type, headers={"Content-Disposition": f'attachment; filename="study-{pk}.{kind}"'}
    )


@figures
def study_paper_zip(request: HttpRequest, pk: int) -> HttpResponse:
    """Return what a paper shows of the study as a zip archive: `?width=double&figure=makespan&base=fcfs`."""
    study = get_object_or_404(Study, pk=pk)
    figure, base = request.GET.get("figure", ""), request.GET.get("base", "")
    return paper_response(f"study-{pk}", lambda: study_paper(study, figure=figure, base=base), request)


def _asked(request: HttpRequest, pk: int) -> tuple[Study, str, str, list[CellFigures]]:
    """Return the study, the figure and base that the address asks for, and its cells."""
    study = get_object_or_404(Study, pk=pk)
    figure = chosen_figure(study, request.GET.get("figure", ""))
    base = chosen_base(study, request.GET.get("base", ""))
    return study, figure, base, study_figures(study, figure, base)


def _charts(request: HttpRequest, pk: int) -> Mapping[str, Chart]:
    _, figure, _, cells = _asked(request, pk)
    return study_charts(cells, figure)


study_charts_json, study_chart = chart_views("study-{pk}", _charts)
