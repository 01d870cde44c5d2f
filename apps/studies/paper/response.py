"""A bundle as the answer to a request."""

from collections.abc import Callable

from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponse

from apps.studies.paper.bundle import NothingToShow, Paper, TooMuchAtOnce, paper_zip
from scheduler_sim.display.charts import PAPER_WIDTHS


def paper_response(name: str, paper: Callable[[], Paper], request: HttpRequest) -> HttpResponse:
    """Return a bundle as a file to save, its figures as wide as `?width=` asks for.

    Raises:
        Http404: there is nothing to show.
        BadRequest: another width, or more than is put together while somebody waits.
    """
    width = request.GET.get("width", "single")
    if width not in PAPER_WIDTHS:
        raise BadRequest(f"width is one of {', '.join(PAPER_WIDTHS)}.")
    try:
        content = paper_zip(paper(), width)
    except NothingToShow as error:
        raise Http404(str(error)) from error
    except TooMuchAtOnce as error:
        raise BadRequest(str(error)) from error
    return HttpResponse(
        content,
        content_type="application/zip",
        headers={"Content-Disposition": f'attachment; filename="{name}-paper.zip"'},
    )
