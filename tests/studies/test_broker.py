"""Handing a study's runs to workers while the broker comes and goes."""

from collections.abc import Iterator
from typing import Any

import pytest
from kombu.exceptions import OperationalError

from apps.results.errors import DomainError
from apps.results.models import Run
from apps.studies.play import broker
from apps.studies.play.celery_tasks import play_study_run
from tests.results.rows import make_queued_run, make_workload

pytestmark = pytest.mark.django_db

AWAY = "Error 111 connecting to the broker"


def test_what_a_broker_forgot_is_sent_again_once_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    workload = make_workload(3)
    runs = [make_queued_run(workload, f"run {number}").pk for number in range(2)]
    sent: list[int] = []
    answers: Iterator[int | Exception] = iter([OperationalError(AWAY), 5, ConnectionResetError(AWAY), 0])

    def send(arguments: tuple[int], **_: Any) -> None:
        sent.append(arguments[0])
        if len(sent) == 3:
            raise OperationalError(AWAY)
        if len(sent) > 3:
            Run.objects.filter(pk=arguments[0]).update(status=Run.Status.FINISHED)

    def waiting() -> int:
        answer = next(answers, 0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(play_study_run, "apply_async", send)
    monkeypatch.setattr(broker, "waiting_messages", waiting)
    monkeypatch.setattr(broker, "SILENT_SECONDS", 0.0)
    monkeypatch.setattr(broker, "POLL_SECONDS", 0.0)
    ended: list[int] = []
    broker.play_on_workers(runs, on_end=lambda run_id, _status: ended.append(run_id), beat=lambda: None)
    assert sent == [*runs, runs[0], *runs]
    assert sorted(ended) == runs


def test_a_broker_that_does_not_answer_at_the_beginning_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def send(*_: Any, **__: Any) -> None:
        raise OperationalError(AWAY)

    monkeypatch.setattr(play_study_run, "apply_async", send)
    with pytest.raises(DomainError, match=r"The broker that CELERY_BROKER_URL names does not answer \(Error 111"):
        broker.play_on_workers([1], on_end=lambda _run, _status: None, beat=lambda: None)
