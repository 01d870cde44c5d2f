"""The migration that empties what was filled in: only where the audit says that no task stated an estimate."""

from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest
from django.apps import apps
from django.db import connection

from apps.tasks.models import Task, Workload

pytestmark = pytest.mark.django_db


def stored(name: str, count: int, *, source: str = "swf") -> Workload:
    """Store three tasks as an engine before 2.0 did, with so many estimates missing by the audit."""
    audit = {"repaired": {"missing_estimate": {"count": count, "places": []}}} if count else {}
    workload = Workload.objects.create(name=name, source=source, task_count=3, audit=audit)
    for number in range(3):
        Task.objects.create(
            workload=workload,
            task_id=number,
            arrival_time=number,
            runtime=5 + number,
            duration_estimate=5 + number,
            size=5 + number,
        )
    return workload


def estimates(workload: Workload) -> list[float | None]:
    return list(workload.tasks.order_by("task_id").values_list("duration_estimate", flat=True))


def test_only_what_is_certain_is_emptied_and_nothing_is_lost() -> None:
    none, some, every, made = (
        stored("none", 3),
        stored("some", 1),
        stored("every", 0),
        stored("made", 0, source="synthetic:lublin"),
    )
    migration = import_module("apps.tasks.migrations.0003_unknown_estimates")
    editor = SimpleNamespace(connection=connection)
    migration.forget_stand_ins(apps, editor)
    assert estimates(none) == estimates(made) == [None] * 3
    assert estimates(some) == estimates(every) == [5, 6, 7]
    assert not none.tasks.as_workload().estimate_known.any()
    migration.fill_in(apps, editor)
    assert estimates(none) == [5, 6, 7]
    assert np.isfinite(none.tasks.as_workload().size).all()
