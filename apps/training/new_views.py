"""The page on which a model or a policy search is asked for, and the button that stops one."""

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST
from rest_framework import serializers

from apps.results.models import Run
from apps.tasks.models import Workload
from apps.training.asking import ModelRequestSerializer, SearchRequestSerializer
from apps.training.models import TrainingData
from apps.training.requests import KINDS, LASTING
from scheduler_sim.background.models import Job
from scheduler_sim.background.services import JobStateError, job_stop
from scheduler_sim.display.viewing import control_form
from scheduler_sim.engine.learning.rollout import OBJECTIVES
from scheduler_sim.engine.learning.settings import BACKFILLS, SEARCHABLE
from scheduler_sim.engine.policies.learned import FORMS
from scheduler_sim.engine.predictors.regression import ALGORITHMS
from scheduler_sim.web.access import refuse_without_control

CHOICES: dict[str, tuple[str, ...]] = {
    "kind": KINDS,
    "algorithm": ALGORITHMS,
    "objective": tuple(OBJECTIVES),
    "backfill": BACKFILLS,
    "form": tuple(FORMS),
    "choice": SEARCHABLE,
}
FORMS_OF: dict[str, type[ModelRequestSerializer | SearchRequestSerializer]] = {
    "model": ModelRequestSerializer,
    "search": SearchRequestSerializer,
}
OFFERED = 200


@dataclass(frozen=True)
class Input:
    """One field as the page draws it.

    Attributes:
        choices: values and what is read, empty where anything may be typed.
        kind: of the input: text, number, datetime-local or checkbox.
        is_changed: whether it holds another value than the default.
    """

    name: str
    label: str
    help: str
    value: Any
    choices: list[tuple[str, str]]
    kind: str
    required: bool
    errors: list[str]
    is_changed: bool


@dataclass(frozen=True)
class Folded:
    """Fields that stand folded up where nothing was changed or is wrong."""

    inputs: list[Input]

    @property
    def is_unfolded(self) -> bool:
        """Whether something in them is to be seen."""
        return any(one.errors or one.is_changed for one in self.inputs)


@control_form("Training needs")
def training_new(request: HttpRequest) -> HttpResponse:
    """Show what can be asked for, and ask for it."""
    sent = request.POST.get("what") if request.method == "POST" else None
    asked = {name: form(data=_data(request.POST, form) if name == sent else None) for name, form in FORMS_OF.items()}
    form = asked.get(sent or "")
    if form is not None and form.is_valid():
        form.submit(requested_by=request.user)
        return redirect("training")
    errors: dict[str, list[str]] = {} if form is None else {name: list(told) for name, told in form.errors.items()}
    given = request.POST if sent else request.GET
    forms = []
    for name, one in FORMS_OF.items():
        inputs = _inputs(one, given if sent in (None, name) else QueryDict(), errors if name == sent else {})
        folded = [field for field in inputs if field.name in LASTING]
        forms.append((name, [field for field in inputs if field not in folded], Folded(folded) if folded else None))
    context = {
        "forms": forms,
        "errors": errors,
    }
    return render(request, "training/training_new.html", context, status=400 if errors else 200)


@require_POST
def job_control(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop a training or a search, and go back."""
    refuse_without_control(request, "Training needs")
    job = get_object_or_404(Job, pk=pk, kind__in=("training", "search"))
    try:
        job_stop(job=job)
    except JobStateError as error:
        messages.error(request, str(error))
    return redirect("training")


def _data(sent: QueryDict, form: type[serializers.Serializer]) -> dict[str, Any]:
    """Return what the form sent as the API's request: empty fields left out, boxes without a tick as false."""
    data: dict[str, Any] = {}
    for name, field in form().fields.items():
        if isinstance(field, serializers.BooleanField):
            data[name] = name in sent
        elif value := sent.get(name, "").replace("\0", "").strip():
            data[name] = value
    return data


def _inputs(form: type[serializers.Serializer], given: QueryDict, errors: dict[str, list[str]]) -> list[Input]:
    inputs = []
    for name, field in form().fields.items():
        default = "" if field.default in (None, serializers.empty) else field.default
        is_box = isinstance(field, serializers.BooleanField)
        value: Any = given.get(name, default)
        inputs.append(
            Input(
                name=name,
                label=name.replace("_", " ").capitalize(),
                help=str(field.help_text or ""),
                value=("what" not in given or name in given) if is_box else value,
                choices=_choices(name, is_required=field.required),
                kind=_kind(field),
                required=field.required,
                errors=errors.get(name, []),
                is_changed=str(value) not in (str(default), ""),
            )
        )
    return inputs


def _choices(name: str, *, is_required: bool) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]]
    if name == "workload":
        stored = Workload.objects.offered().values_list("pk", "name", "task_count")[:OFFERED]
        rows = [(str(key), f"{title} ({tasks:,} tasks)") for key, title, tasks in stored]
    elif name == "run":
        labelled = TrainingData.objects.order_by().filter(run__isnull=False).values("run").distinct()
        runs = Run.objects.filter(pk__in=labelled).order_by("-pk").values_list("pk", "name")[:OFFERED]
        rows = [(str(key), title) for key, title in runs]
    else:
        return [(value, value) for value in CHOICES.get(name, ())]
    return rows if is_required else [("", "none"), *rows]


def _kind(field: serializers.Field) -> str:
    for kind, classes in (
        ("checkbox", serializers.BooleanField),
        ("number", (serializers.IntegerField, serializers.FloatField)),
        ("datetime-local", serializers.DateTimeField),
    ):
        if isinstance(field, classes):
            return kind
    return "text"
