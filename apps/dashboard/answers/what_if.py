"""The page of a what-if: what is changed of a run, and what came of it."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from apps.dashboard.answers.what_if_form import WhatIfForm
from apps.live.models import WhatIf
from apps.live.play.configuration_words import configuration_rows
from apps.live.what_if.api import what_if_wait
from apps.live.what_if.question import NotAsked, Question, question
from apps.live.what_if.services import what_if_ask, what_if_keep
from apps.metrics.before_after import BEFORE, BeforeAfter, changes_table
from apps.metrics.groups import DRAWN, EXPORT
from apps.metrics.models import GroupMetric
from apps.results.errors import DomainError, InvalidField
from apps.results.fidelity import run_badge
from apps.results.models import Run
from scheduler_sim import engine
from scheduler_sim.background.services import JobStateError, job_stop
from scheduler_sim.display.downloads import Table, asked_table
from scheduler_sim.display.formatting import listing
from scheduler_sim.display.viewing import reading
from scheduler_sim.web.access import refuse_without_control
from scheduler_sim.web.errors import too_many
from scheduler_sim.web.limits import costly

SHOWN = ("by", "policy", "table", "format")
"""What an address says beside the changes: what of the answer is shown."""

OVERVIEW = ("mean_bounded_slowdown", "mean_job_completion_time", "mean_wait_time")
"""Figures that the table of all policies holds."""


@costly
@reading
@require_safe
def run_what_if(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what the address changes of a run, and what came of it: `?add_nodes=gpu%3D2&scale_load=1.2`."""
    run = _run(pk)
    if run.status != Run.Status.FINISHED:
        return render(request, "dashboard/run_what_if.html", {"run": run, "unfinished": True})
    changes = _changes(request)
    asked, problem = _asked(run, changes)
    found = None if asked is None else WhatIf.objects.filter(digest=asked.digest).first()
    if found is not None and asked is not None and found.figures is not None:
        return _answered(request, asked, found, found.figures)
    status = 400 if problem else 200
    return _page(request, run, {"changes": changes, "problem": problem, "asked": asked, "found": found}, status)


@costly
@require_POST
def run_what_if_control(request: HttpRequest, pk: int, command: str) -> HttpResponse:
    """Take the form (`change`), or `play`, `stop` or `keep` what the address changes; then show it."""
    run = _run(pk)
    refuse_without_control(request, "Asking what if needs")
    changes = _changes(request)
    if command == "change" and run.status == Run.Status.FINISHED:
        return _changed(request, run, changes)
    asked, problem = _asked(run, changes)
    if asked is None:
        raise BadRequest(problem or "The address changes nothing.")
    return _done(request, asked, command)


def address_of(asked: Question, command: str = "") -> str:
    """Return the address that holds a question, or that does something with it."""
    key = asked.run.pk
    page = reverse("run-what-if-control", args=[key, command]) if command else reverse("run-what-if", args=[key])
    return f"{page}?{urlencode(asked.changes)}"


def _run(pk: int) -> Run:
    return get_object_or_404(Run.objects.select_related("workload", "site"), pk=pk)


def _changes(request: HttpRequest) -> dict[str, str]:
    return {name: str(value) for name, value in request.GET.items() if name not in SHOWN and value}


def _asked(run: Run, changes: Mapping[str, str]) -> tuple[Question | None, str]:
    """Return what an address asks, None for nothing; or why it means nothing."""
    if not changes:
        return None, ""
    try:
        return question(run, changes), ""
    except (InvalidField, NotAsked) as error:
        return None, str(error)


def _changed(request: HttpRequest, run: Run, changes: Mapping[str, str]) -> HttpResponse:
    """Take the form: ask what it says, and go to its address."""
    form = WhatIfForm(request.POST, run=run, changes=changes)
    if not form.is_valid() or form.asked is None:
        return _page(request, run, {"changes": changes, "form": form}, status=400)
    if form.asked.why_only_kept:
        return redirect(address_of(form.asked))
    return _play(request, form.asked)


def _done(request: HttpRequest, asked: Question, command: str) -> HttpResponse:
    try:
        if command == "keep":
            name = request.POST.get("name", "").strip()[: Run.NAME_LENGTH]
            return redirect("run-detail", pk=what_if_keep(asked=asked, requested_by=request.user, name=name).pk)
        if command == "stop":
            found = WhatIf.objects.filter(digest=asked.digest).first()
            if found is not None and (job := found.job) is not None:
                job_stop(job=job)
            return redirect(address_of(asked))
    except (DomainError, JobStateError) as error:
        return _refused(request, asked, str(error))
    return _play(request, asked)


def _play(request: HttpRequest, asked: Question) -> HttpResponse:
    if (wait := what_if_wait(request, asked)) is not None:
        return too_many(request, wait, f"You have asked what if too often; try again in {wait} s.")
    try:
        what_if_ask(asked=asked, requested_by=request.user)
    except DomainError as error:
        return _refused(request, asked, str(error))
    return redirect(address_of(asked))


def _refused(request: HttpRequest, asked: Question, problem: str) -> HttpResponse:
    found = WhatIf.objects.filter(digest=asked.digest).first()
    context = {"changes": asked.changes, "asked": asked, "found": found, "problem": problem}
    return _page(request, asked.run, context, status=409)


def _page(request: HttpRequest, run: Run, context: dict[str, Any], status: int = 200) -> HttpResponse:
    """Show the form, and how far what is asked is or what came of it."""
    changes, asked, found = context.get("changes", {}), context.get("asked"), context.get("found")
    job = None if found is None else found.job
    may_control = request.user.has_perm("results.control_run")
    badge = run_badge(run)
    return render(
        request,
        "dashboard/run_what_if.html",
        {
            "run": run,
            "badge": badge,
            "form": context.get("form") or WhatIfForm(None, run=run, changes=changes),
            "addresses": {} if asked is None else {do: address_of(asked, do) for do in ("play", "keep", "stop")},
            "change_address": f"{reverse('run-what-if-control', args=[run.pk, 'change'])}?{urlencode(changes)}",
            "differing": [] if asked is None else _differing(asked),
            "job": job,
            "waits": job is not None and job.is_active,
            "may_control": may_control,
            # Once: what failed or was stopped is played again when somebody says so.
            "plays_now": bool(asked and may_control and job is None and not asked.why_only_kept and status == 200),
            "older_engine": run.engine_version if run.engine_version != engine.ENGINE_VERSION else "",
            "engine_version": engine.ENGINE_VERSION,
            **context,
        },
        status=status,
    )


def _differing(asked: Question) -> list[tuple[str, str, str]]:
    """Return what differs of the two configurations, in words."""
    before, after = dict(configuration_rows(asked.run)), dict(configuration_rows(asked.changed_run()))
    keys = dict.fromkeys([*before, *after])
    rows = [(key, before.get(key, "as by default"), after.get(key, "as by default")) for key in keys if key != "Engine"]
    return [row for row in rows if row[1] != row[2]]


def _answered(request: HttpRequest, asked: Question, found: WhatIf, figures: Mapping[str, Any]) -> HttpResponse:
    """Show an answer."""
    pairs = [BeforeAfter.of(pair, figures) for pair in figures["pairs"]]
    pair = _chosen(request.GET.get("policy"), {pair.policy: pair for pair in pairs}, "policy")
    kinds = pair.kinds()
    by = _chosen(request.GET.get("by"), {kind: kind for kind in kinds}, "group") if kinds else ""
    groups = pair.groups(by)
    tables: dict[str, Callable[[], Table]] = {
        "figures": lambda: changes_table(pairs),
        "groups": lambda: (EXPORT, [[getattr(row.group, name) for name in EXPORT] for row in groups.rows]),
    }
    if (table := asked_table(request, f"run-{asked.run.pk}-what-if", tables)) is not None:
        return table
    columns = groups.columns(BEFORE)
    cut = len(groups.rows) > 2 * DRAWN
    rows = [*groups.rows[:DRAWN], *groups.rows[-DRAWN:]] if cut else groups.rows
    context: dict[str, Any] = {
        "changes": asked.changes,
        "asked": asked,
        "found": found,
        "pairs": pairs,
        "pair": pair,
        "overview_figures": OVERVIEW,
        "overview": [(one, [one.row(name) for name in OVERVIEW]) for one in pairs],
        "policies": [one.policy for one in pairs],
        "kinds": [(kind, GroupMetric.GroupedBy(kind).label) for kind in kinds],
        "by": by,
        "by_label": GroupMetric.GroupedBy(by).label if by else "",
        "sentences": groups.sentences(BEFORE),
        "columns": columns,
        "rows": [(row, [(row.value(column.name), column.scale) for column in columns]) for row in rows],
        "cut": len(groups.rows) if cut else 0,
        "drawn": DRAWN,
        "difference_scale": groups.differences(),
        "cautions": figures["cautions"],
    }
    return _page(request, asked.run, context)


def _chosen(wanted: str | None, there: Mapping[str, Any], what: str) -> Any:
    """Return what an address names, by default the first.

    Raises:
        BadRequest: there is no such.
    """
    if not wanted:
        return next(iter(there.values()))
    if wanted not in there:
        raise BadRequest(f"This answer holds no {what} {wanted[:100]!r}; it holds {listing(there)}.")
    return there[wanted]
