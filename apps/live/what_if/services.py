"""Asking a what-if, and keeping it as a run."""

from typing import Any

from django.db import transaction

from apps.live.models import WhatIf
from apps.live.play.launch import run_start
from apps.live.what_if.question import Question, question
from apps.results.errors import DomainError
from apps.results.models import Run
from scheduler_sim.accounts import audit
from scheduler_sim.background.models import Job
from scheduler_sim.background.services import job_submit

MOST_UNANSWERED = 4
"""So many what-ifs of one user may wait or be played."""

KEPT = 500
"""So many of the newest answers are kept; others are played again when somebody asks."""


class TooLarge(DomainError):
    """A what-if that is not played at once."""


class TooManyAsked(DomainError):
    """The user asked for more before the others were answered."""


@transaction.atomic
def what_if_ask(*, asked: Question, requested_by: Any) -> WhatIf:
    """Return the answer that is there, or ask for a process that plays it.

    Raises:
        TooLarge: more placements than are played at once.
        TooManyAsked: others of the user's are not answered yet.
    """
    found: WhatIf | None = WhatIf.objects.filter(digest=asked.digest).first()
    if found is not None and (found.is_answered or found.job_is_active):
        return found
    if asked.why_only_kept:
        raise TooLarge(asked.why_only_kept)
    unanswered = Job.objects.active().filter(kind=WhatIf.JOB, requested_by=requested_by).count()
    if unanswered >= MOST_UNANSWERED:
        raise TooManyAsked(f"{unanswered} what-ifs of yours wait or are played; stop one, or wait for its answer.")
    if found is None:
        found = WhatIf.objects.create(run=asked.run, digest=asked.digest, changes=dict(asked.changes))
        _forget_old()
    job_submit(kind=WhatIf.JOB, subject_id=found.pk, requested_by=requested_by)
    audit.record(audit.Action.START, WhatIf.JOB, found, called=str(found))
    return found


def what_if_keep(*, asked: Question, requested_by: Any, name: str | None = None) -> Run:
    """Store the changed run and ask for a process that plays it, as for any other run.

    Raises:
        DomainError: the name is taken, or the models that it needs are not there.
    """
    return run_start(
        workload=asked.run.workload,
        cluster=asked.cluster,
        configuration=asked.configuration,
        name=name,
        requested_by=requested_by,
    )


def what_if_reread(found: WhatIf) -> Question:
    """Return the question of a stored what-if.

    Raises:
        DomainError: it cannot be asked any more, or would be another one: models have newer versions.
    """
    asked = question(found.run, found.changes)
    if asked.digest != found.digest:
        raise DomainError("The models that it needs changed since this was asked; ask it again.")
    return asked


def _forget_old() -> None:
    active = Job.objects.active().filter(kind=WhatIf.JOB).values("subject_id")
    kept = WhatIf.objects.order_by("-pk").values_list("pk", flat=True)[KEPT : KEPT + 1]
    WhatIf.objects.filter(pk__lte=max(kept, default=0)).exclude(pk__in=active).delete()
