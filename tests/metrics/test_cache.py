"""Kept answers are found until the data changes, whoever changed it, and are never needed."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from django.core.cache.backends.locmem import LocMemCache
from django.db import transaction
from django_redis.cache import RedisCache
from prometheus_client import REGISTRY

from apps.metrics import cache as answers
from apps.metrics.cache import remember
from apps.metrics.models import CacheGeneration
from apps.results.models import Run, SchedulerResult
from apps.results.services import run_delete
from apps.results.signals import rows_changed
from tests.conftest import empty_caches
from tests.results.rows import make_run

pytestmark = pytest.mark.django_db


NEAR = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "near in a test"}
NOTHING = {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}


@pytest.fixture(autouse=True, params=["", "near"])
def _empty(request: pytest.FixtureRequest, settings: Any) -> Iterator[None]:
    settings.CACHES = {**settings.CACHES, "near": NEAR if request.param else NOTHING}
    empty_caches()
    yield
    empty_caches()


class Question:
    """Counts how often it is computed."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> bytes:
        self.asked += 1
        return b"%d" % self.asked


def looks(outcome: str) -> float:
    return REGISTRY.get_sample_value("scheduler_sim_cache_requests_total", {"kind": "test", "outcome": outcome}) or 0.0


def test_an_answer_is_computed_once_and_counted() -> None:
    question = Question()
    hits, misses = looks("hit"), looks("miss")
    first, second = (remember("test", question, run_id=1) for _ in range(2))
    assert first == second
    assert first.document == b"1"
    assert (looks("hit") - hits, looks("miss") - misses) == (1, 1)


def test_parameters_runs_and_kinds_are_kept_apart() -> None:
    question = Question()
    remember("test", question, run_id=1)
    remember("test", question, run_id=2)
    remember("test", question, run_id=1, parameters=(5,))
    remember("other", question, run_id=1)
    remember("test", question)
    assert question.asked == 5


def test_a_change_outdates_its_run_and_what_tells_of_all_runs() -> None:
    own, other, every = Question(), Question(), Question()
    for _ in range(2):
        remember("test", own, run_id=1)
        remember("test", other, run_id=2)
        remember("test", every)
        rows_changed.send(sender=SchedulerResult, run_id=1)
    assert (own.asked, other.asked, every.asked) == (2, 1, 2)


def test_a_change_that_is_rolled_back_outdates_nothing() -> None:
    question = Question()
    remember("test", question, run_id=1)
    with transaction.atomic():
        rows_changed.send(sender=SchedulerResult, run_id=1)
        transaction.set_rollback(True)
    remember("test", question, run_id=1)
    assert question.asked == 1


def test_a_change_by_another_process_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    question = Question()
    remember("test", question, run_id=1)
    # The other process has a memory of its own; only the database is common.
    with monkeypatch.context() as patch:
        patch.setattr(answers, "cache", LocMemCache("another process", {}))
        rows_changed.send(sender=SchedulerResult, run_id=1)
    assert remember("test", question, run_id=1).document == b"2"


def generations(run: Run) -> tuple[int, int]:
    return CacheGeneration.objects.of(f"run:{run.pk}"), CacheGeneration.objects.of("all")


def test_writing_changing_and_deleting_a_run_outdate_it() -> None:
    run = make_run(2)
    written = generations(run)
    Run.objects.update(status=Run.Status.RUNNING)
    run.stop()
    stopped = generations(run)
    run_delete(run=run)
    deleted = generations(run)
    assert all(earlier < later for earlier, later in zip(written + stopped, stopped + deleted, strict=True))


def test_looking_costs_one_query(django_assert_num_queries: Callable) -> None:
    remember("test", Question(), run_id=1)
    with django_assert_num_queries(1):
        remember("test", Question(), run_id=1)


def test_an_etag_is_that_of_one_answer_alone() -> None:
    def etags() -> set[str]:
        return {
            remember("test", Question(), run_id=1).etag,
            remember("test", Question(), run_id=2).etag,
            remember("test", Question(), run_id=1, parameters=(5,)).etag,
            remember("other", Question(), run_id=1).etag,
        }

    before = etags()
    assert len(before) == 4
    assert etags() == before
    for run in (1, 2):
        rows_changed.send(sender=SchedulerResult, run_id=run)
    assert not etags() & before


def without_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = RedisCache("redis://127.0.0.1:1/0", {"OPTIONS": {"IGNORE_EXCEPTIONS": True, "SOCKET_TIMEOUT": 1}})
    monkeypatch.setattr(answers, "cache", nowhere)


@pytest.mark.parametrize("_empty", [""], indirect=True)
def test_without_redis_the_answer_comes_from_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    without_redis(monkeypatch)
    question = Question()
    assert [remember("test", question).document for _ in range(2)] == [b"1", b"2"]


def of_size(question: Question, size: int) -> bytes:
    return question().ljust(size)


@pytest.mark.parametrize("_empty", ["near"], indirect=True)
def test_a_process_keeps_small_answers_nearer_than_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    without_redis(monkeypatch)
    question = Question()
    assert [remember("test", question).document for _ in range(2)] == [b"1", b"1"]
    monkeypatch.setattr(answers, "NEAR_BYTES", 3)
    sizes = (3, 4)
    asked = {size: Question() for size in sizes}
    for size in sizes * 2:
        remember("test", partial(of_size, asked[size], size), parameters=(size,))
    assert [asked[size].asked for size in sizes] == [1, 2]
