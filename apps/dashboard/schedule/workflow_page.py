"""The page of a workflow of a run."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from apps.dashboard.schedule.workflow import BOX_HIGH, BOX_WIDE, NoWorkflow, first_of_workflows, workflow_of
from apps.results.models import Run
from apps.tasks.models import Task
from scheduler_sim.display.downloads import asked_table
from scheduler_sim.display.viewing import reading, whole_number
from scheduler_sim.web.limits import costly

COLUMNS = ("number", "name", "level", "node", "start_time", "finish_time", "wait_time", "critical", "parents")


@costly
@reading
@require_safe
def run_workflow(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the tasks that hang together with one, as a policy played them: `?task=7&policy=fcfs`."""
    run = get_object_or_404(Run.objects.select_related("workload"), pk=pk)
    scheduler = request.GET.get("policy", run.policies[0])
    if scheduler not in run.policies:
        raise Http404("The run does not hold this policy.")
    context: dict[str, Any] = {"run": run, "scheduler": scheduler}
    asked = whole_number(request.GET.get("task"), -1, most=2**53)
    if asked >= 0 and not Task.objects.filter(workload_id=run.workload_id, task_id=asked).exists():
        raise Http404("The workload does not hold this task.")
    number = asked if asked >= 0 else first_of_workflows(run.workload)
    try:
        if number is None:
            raise NoWorkflow("No task of this workload depends on another.")
        found = workflow_of(run, scheduler, number)
    except NoWorkflow as refusal:
        return render(request, "dashboard/run_workflow.html", {**context, "refusal": str(refusal)})
    tables = {
        "tasks": lambda: (
            COLUMNS,
            [(*(getattr(box, name) for name in COLUMNS[:-1]), " ".join(map(str, box.parents))) for box in found.boxes],
        )
    }
    if (table := asked_table(request, f"run-{pk}-workflow-{number}", tables)) is not None:
        return table
    context |= {"found": found, "wide": BOX_WIDE, "high": BOX_HIGH, "many_nodes": _nodes(found.boxes)}
    return render(request, "dashboard/run_workflow.html", context)


def _nodes(boxes: Any) -> list[tuple[int, int]]:
    """Return the nodes that the boxes are on and their colours, the first few."""
    return sorted({(box.node, box.colour) for box in boxes if box.node >= 0})[:24]
