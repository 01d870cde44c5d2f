"""The list of runs, and how people file what is on it."""

from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import BadRequest, PermissionDenied
from django.db.models import Exists, OuterRef
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from apps.dashboard.runs.columns import FIRST_COLUMNS, RUN_COLUMNS, asked_columns, known_columns, own_columns
from apps.dashboard.runs.query import RunQuery
from apps.dashboard.runs.table import run_export, run_groups, run_table
from apps.results.errors import DomainError
from apps.results.models import Run, RunColumns, RunTag
from apps.results.services import runs_file
from apps.tasks.models import Workload
from scheduler_sim.background.models import Job
from scheduler_sim.display.downloads import table_response
from scheduler_sim.display.viewing import View, page_of, reading, whole_number
from scheduler_sim.web.access import refuse_without_control

OFFERED = 100
"""So many workloads and users are suggested in the filters."""


@reading
@require_safe
def run_list(request: HttpRequest) -> HttpResponse:
    """Show all runs, searched, filtered, sorted and grouped as the address says, in the columns that are asked for."""
    query, asked, own = RunQuery.of(request), asked_columns(request), own_columns(request)
    columns = asked or own or known_columns(FIRST_COLUMNS)
    runs = query.runs()
    figures = [column.name for column in columns if column.is_figure]
    if (kind := request.GET.get("format")) in ("csv", "json"):
        return table_response("runs", *run_export(query.ordered(runs), policy=query.policy, figures=figures), kind)
    # Keys alone are sorted, since what else a line tells would be computed for every run; and all of them are read,
    # since to count them takes as long as to find them.
    keys = list(query.ordered(runs).values_list("pk", flat=True))
    page = page_of(request, keys)
    table = run_table(list(page.object_list), columns, policy=query.policy)
    context: dict[str, Any] = {
        "page_obj": page,
        "query": query,
        "sort": query.sort,
        "table": table,
        "groups": run_groups(table.lines, runs) if query.group else [],
        "width": 2 + len(columns),
        "chosen": {column.name for column in columns},
        "chosen_text": ",".join(column.name for column in columns),
        "column_choices": [
            ("Of the run", [column for column in RUN_COLUMNS.values() if not column.is_figure]),
            ("Figures of its policy", [column for column in RUN_COLUMNS.values() if column.is_figure]),
        ],
        "hidden": _hidden(request),
        "asked": asked,
        "own": own,
        "others": [(name, value) for name, value in request.GET.items() if name not in ("columns", "page", "hidden")],
        "may_file": request.user.has_perm("results.control_run"),
        "statuses": Run.Status.values,
        "tags": RunTag.objects.names(),
        "people": _people(),
        "workloads": _workloads(),
    }
    return render(request, "dashboard/run_list.html", context)


def filing(view: View) -> View:
    """Let only those file runs who may control them; what the domain refuses is told in its sentence."""

    @require_POST
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        refuse_without_control(request, "Filing runs needs")
        try:
            return view(request, *args, **kwargs)
        except DomainError as error:
            messages.error(request, str(error))
            return redirect(_way_back(request))

    return guarded


@filing
def runs_act(request: HttpRequest) -> HttpResponse:
    """Do with the ticked runs what the button that was pressed says, and go back to the list."""
    keys = [key for text in request.POST.getlist("runs") if (key := whole_number(text, 0))]
    act = request.POST.get("act", "")
    if act == "compare":
        return redirect(f"{reverse('compare')}?{urlencode({'runs': ','.join(map(str, keys))})}")
    tags = request.POST.get("tags", "").split(",")
    changes: dict[str, dict[str, Any]] = {
        "archive": {"archived": True},
        "restore": {"archived": False},
        "tag": {"add": tags},
        "untag": {"remove": tags},
    }
    if act not in changes:
        raise BadRequest(f"There is nothing called {act[:50]!r} to do with runs.")
    if not keys:
        messages.error(request, "Tick the runs first.")
        return redirect(_way_back(request))
    count = runs_file(runs=Run.objects.filter(pk__in=keys).order_by("pk"), **changes[act])
    words = {"restore": "Restored", "tag": "Tagged", "untag": "Took tags from"}
    if act == "archive":
        # The list says so itself, and offers to take it back.
        return redirect(_way_back(request, hidden=",".join(map(str, keys))))
    messages.success(request, f"{words[act]} {count} run{'s' if count != 1 else ''}.")
    return redirect(_way_back(request))


@filing
def run_file(request: HttpRequest, pk: int) -> HttpResponse:
    """Write the tags and notes of one run, or archive or restore it, and go back to it."""
    run = get_object_or_404(Run, pk=pk)
    if (archived := request.POST.get("archived")) in ("yes", "no"):
        run.archive() if archived == "yes" else run.restore()
    else:
        run.tag(request.POST.get("tags", "").split(","))
        run.note(request.POST.get("notes", ""))
    return redirect("run-detail", pk=pk)


@require_POST
def run_columns_keep(request: HttpRequest) -> HttpResponse:
    """Keep the columns that were chosen as the user's own; none brings the first ones back."""
    if not request.user.is_authenticated:
        raise PermissionDenied("Sign in to keep columns.")
    chosen = known_columns(request.POST.get("columns", "").split(","))
    if chosen:
        kept = {"columns": [column.name for column in chosen]}
        RunColumns.objects.update_or_create(user=request.user, defaults=kept)
        messages.success(request, "These columns are yours: the list shows them when its address names none.")
    else:
        RunColumns.objects.filter(user=request.user).delete()
    return redirect(_way_back(request))


def _people() -> list[str]:
    asked = Exists(Job.objects.filter(requested_by=OuterRef("pk"), kind__in=("run", "study")))
    return list(User.objects.filter(asked).order_by("username").values_list("username", flat=True)[:OFFERED])


def _workloads() -> list[str]:
    played = Exists(Run.objects.filter(workload=OuterRef("pk"), study__isnull=True))
    return list(Workload.objects.filter(played).order_by("-pk").values_list("name", flat=True)[:OFFERED])


def _hidden(request: HttpRequest) -> list[int]:
    """Return the runs that were archived a moment ago and still are, as the address says."""
    asked = [key for text in request.GET.get("hidden", "").split(",") if (key := whole_number(text, 0))]
    return list(Run.objects.archived().filter(pk__in=asked).values_list("pk", flat=True)) if asked else []


def _way_back(request: HttpRequest, **added: str) -> str:
    """Return the address of the list that the form stood on, with `added` in its query."""
    wanted = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        wanted = reverse("run-list")
    path, _, text = wanted.partition("?")
    query = QueryDict(text, mutable=True)
    query.pop("hidden", None)
    query.update(added)
    return f"{path}?{query.urlencode()}" if query else path
