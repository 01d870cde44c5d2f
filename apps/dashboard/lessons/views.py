"""The pages of lessons: all of them, and one with its question, its answer and what was played."""

import re
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_POST, require_safe

from apps.dashboard.lessons.document import Choice, Lesson
from apps.dashboard.lessons.expressions import Figures, read_figures
from apps.dashboard.lessons.stored import built_in, in_order, installed, lesson_installed
from apps.dashboard.schedule.colouring import CHOICES
from apps.results.models import Run
from scheduler_sim.accounts import audit
from scheduler_sim.background.models import Job
from scheduler_sim.background.services import JobStateError, job_submit
from scheduler_sim.display.formatting import scale_of
from scheduler_sim.display.viewing import reading, whole_number
from scheduler_sim.web.access import CONTROL, refuse_without_control

JOB = "lessons"
"""The kind of job that installs the built-in ones."""

_CODE = re.compile(r"`([^`\n]{1,200})`")


@reading
@require_safe
def lesson_list(request: HttpRequest) -> HttpResponse:
    """Show all lessons, and how far their installation is."""
    there = installed()
    known = {lesson.name: lesson for lesson in built_in()} | {name: one.lesson for name, one in there.items()}
    job = Job.objects.filter(kind=JOB).first()
    context = {
        "lessons": [(lesson, lesson.name in there) for lesson in sorted(known.values(), key=in_order)],
        "missing": sum(lesson.name not in there for lesson in built_in()),
        "job": job if job is not None and (job.is_active or job.error) else None,
        "may_control": request.user.has_perm(CONTROL),
    }
    return render(request, "dashboard/lesson_list.html", context)


@require_POST
def lessons_install(request: HttpRequest) -> HttpResponse:
    """Ask for a process that installs the built-in lessons."""
    refuse_without_control(request, "Installing lessons needs")
    try:
        job_submit(kind=JOB, subject_id=0, requested_by=request.user)
    except JobStateError:
        messages.error(request, "The lessons are being installed already.")
    else:
        audit.record(audit.Action.START, "lessons", called="built-in lessons")
    return redirect("lesson-list")


@reading
@require_safe
def lesson_page(request: HttpRequest, name: str) -> HttpResponse:
    """Show a lesson: its question, and what was played once `?choice=` answers it."""
    there = lesson_installed(name)
    lesson = there.lesson if there else next((one for one in built_in() if one.name == name), None)
    if lesson is None:
        raise Http404("There is no such lesson.")
    run = there.run if there else None
    number = whole_number(request.GET.get("choice"), 0)
    chosen = lesson.choices[number - 1] if 1 <= number <= len(lesson.choices) else None
    context: dict[str, Any] = {
        "lesson": lesson,
        "paragraphs": paragraphs(lesson.text),
        "choices": [(place, choice.text, choice is chosen) for place, choice in enumerate(lesson.choices, 1)],
        "chosen": chosen,
        "chosen_number": number,
        "run": run,
        "may_control": request.user.has_perm(CONTROL),
        "next_lesson": _next(lesson),
    }
    if chosen is not None:
        context["hint"] = paragraphs(chosen.why) if not chosen.right else []
        if run is not None and (chosen.right or "show" in request.GET):
            context |= _answer(lesson, run)
    return render(request, "dashboard/lesson.html", context)


def paragraphs(words: str) -> list[SafeString]:
    """Return the paragraphs of a lesson's text; what stands between backquotes is code."""
    parts = [" ".join(part.split()) for part in re.split(r"\n\s*\n", words.strip())]
    return [mark_safe(_CODE.sub(r"<code>\1</code>", escape(part))) for part in parts if part]  # noqa: S308


def _answer(lesson: Lesson, run: Run) -> dict[str, Any]:
    figures = read_figures(run, lesson.terms)
    right: Choice = next(choice for choice in lesson.choices if choice.right)
    return {
        "why": paragraphs(lesson.said(right.why, figures)),
        "right": right,
        "after": paragraphs(lesson.said(lesson.after, figures)),
        "next": [paragraphs(one)[0] for one in lesson.next],
        "columns": [column.label for column in lesson.columns],
        "rows": _rows(lesson, figures),
        "instant": _instant(lesson, run),
        "names": list(dict.fromkeys((*lesson.show.policies, *lesson.policies))),
        "colours": CHOICES,
    }


def _instant(lesson: Lesson, run: Run) -> str:
    """Return where the time machine shows the run at the telling instant, under one policy above another."""
    show = lesson.show
    asked: dict[str, Any] = {"policy": show.policies} | ({} if show.task is None else {"task": show.task})
    return f"{reverse('run-at', args=[run.pk, show.at])}?{urlencode(asked, doseq=True)}"


def _rows(lesson: Lesson, figures: Figures) -> list[tuple[str, list[str]]]:
    """Return the table of policies; each column has one unit."""
    columns = [[figures[column.under(policy)] for policy in lesson.policies] for column in lesson.columns]
    scales = [scale_of(column.quantity, values) for column, values in zip(lesson.columns, columns, strict=True)]
    texts = [[scale.with_unit(value) for value in values] for scale, values in zip(scales, columns, strict=True)]
    return [(policy, [column[row] for column in texts]) for row, policy in enumerate(lesson.policies)]


def _next(lesson: Lesson) -> Lesson | None:
    """Return the built-in lesson that follows, None after the last one."""
    return next((one for one in built_in() if in_order(one) > in_order(lesson)), None)
