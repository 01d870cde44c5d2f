"""What the views of all pages share."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.core.paginator import Page, Paginator
from django.db.models import F, QuerySet
from django.db.models.functions import Lower
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_http_methods, require_safe

from scheduler_sim.columnar.snapshot import snapshot
from scheduler_sim.display.charts import Chart
from scheduler_sim.display.downloads import charts_response, one_chart_response
from scheduler_sim.web.access import refuse_without_control
from scheduler_sim.web.limits import costly

View = Callable[..., HttpResponse]

ROWS_PER_PAGE = 50


def reading(view: View) -> View:
    """Open a page to everybody, or to those signed in when API_READ_PUBLIC is 0; compress what it returns."""

    @gzip_page
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not settings.API_READ_PUBLIC and not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        return view(request, *args, **kwargs)

    return guarded


def figures(view: View) -> View:
    """Let a view answer with figures: as `reading` does, to safe methods, counted as costly, all of one instant."""
    return costly(reading(require_safe(snapshot()(view))))


def chart_views(place: str, charts: Callable[..., Mapping[str, Chart]]) -> tuple[View, View]:
    """Return two views of the numbers of a page's charts: of all as JSON, and of one as CSV or JSON.

    Args:
        place: what the files are called before the chart's key, with parts of the address: `run-{pk}`.
        charts: takes the request and the parts of the address, and returns the charts by key.
    """

    @figures
    def of_all(request: HttpRequest, **parts: Any) -> HttpResponse:
        return charts_response(charts(request, **parts))

    @figures
    def of_one(request: HttpRequest, key: str, kind: str, **parts: Any) -> HttpResponse:
        return one_chart_response(place.format(**parts), charts(request, **parts), key, kind)

    return of_all, of_one


def control_form(what: str) -> Callable[[View], View]:
    """Show a form, and take what is sent of it, only where somebody may control runs; others are asked to sign in.

    Args:
        what: who or what needs that permission, such as `Uploading needs`.
    """

    def guard(view: View) -> View:
        @login_required
        @require_http_methods(["GET", "HEAD", "POST"])
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            refuse_without_control(request, what)
            return view(request, *args, **kwargs)

        return guarded

    return guard


def page_of(request: HttpRequest, rows: Any) -> Page[Any]:
    """Return the page of a list that the address asks for: the nearest one where there is none such."""
    return Paginator(rows, ROWS_PER_PAGE).get_page(request.GET.get("page"))


def sort_key(request: HttpRequest, columns: Mapping[str, Any], default: str) -> str:
    """Return the column that the address asks to sort by, `-` in front for descending, or the default."""
    wanted = request.GET.get("sort", default)
    return wanted if wanted.removeprefix("-") in columns else default


def ordered(rows: QuerySet, key: str, columns: Mapping[str, str]) -> QuerySet:
    """Order `rows` by the sort key; empty values last, ties by the newest, texts without regard to case."""
    name = key.removeprefix("-")
    field = columns[name]
    expression = Lower(field) if name == "name" else F(field)
    direction = expression.desc if key.startswith("-") else expression.asc
    return rows.order_by(direction(nulls_last=True), "-pk")


def chart_source(route: str, *arguments: object) -> str:
    """Return the address of a page's charts without its ending: all of them are at `.json`, one at `/key.csv`."""
    return reverse(route, args=arguments).removesuffix(".json")


def whole_number(text: str | None, default: int, *, most: int = 2**31) -> int:
    """Return a number from 0 to `most` out of an address, or the default when it is none."""
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 18:
        return default
    return min(int(text), most)


def finite_number(text: str | None) -> float | None:
    """Return a finite number out of an address, None when it is none."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None
