"""The page that says what to write into Slurm's configuration."""

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from apps.live.exchange.advice import run_advice
from apps.results.errors import InvalidField, RunStateError
from apps.results.models import Run
from scheduler_sim.display.viewing import reading, whole_number


@reading
@require_safe
def run_advice_page(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what brings a policy of a run about: `?policy=fcfs%2Beasy&against=12`."""
    run = get_object_or_404(Run.objects.select_related("workload", "site").defer("workload__audit"), pk=pk)
    against = None
    if text := request.GET.get("against"):
        against = get_object_or_404(Run.objects.select_related("site"), pk=whole_number(text, 0, most=2**63 - 1))
    context = {"run": run, "against": against.pk if against else ""}
    try:
        found = run_advice(run, scheduler=request.GET.get("policy", ""), against=against)
    except InvalidField as error:
        raise BadRequest(str(error)) from error
    except RunStateError as error:
        return render(request, "dashboard/run_advice.html", {**context, "refusal": str(error)})
    return render(request, "dashboard/run_advice.html", {**context, "found": found})
