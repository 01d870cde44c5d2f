"""The API keeps the promises of its own OpenAPI document, whatever is sent (schemathesis).

A bounded share of what the command in docs/api.md does by hand.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.contrib.auth.models import User
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, given
from hypothesis import settings as bounded
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.core.result import Ok

from apps.tasks import uploads
from tests.web.conftest import key_of, make_models, make_run, make_training_rows

# What has the right form may still have no meaning: a cursor of another list, a filter without its run.
REFUSED_WITH_REASON = ["2xx", "400", "401", "403", "404", "409"]


@pytest.fixture
def described(
    db: None, admin: User, settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> Iterator[schemathesis.BaseSchema]:
    """The schema as the site serves it, with rows behind it, no limits, and no process ever started."""
    settings.RATE_LIMIT_ANONYMOUS = settings.RATE_LIMIT_USER = settings.RATE_LIMIT_CONTROL = None
    settings.VAR_DIR = tmp_path
    monkeypatch.setattr(uploads, "MOST_WAITING", 10**9)
    monkeypatch.setattr("scheduler_sim.background.services.dispatch", lambda: 0)
    run = make_run(20)
    make_training_rows(run, 20)
    make_models(3)
    config = SchemathesisConfig.from_dict(
        {
            "headers": {"Authorization": f"Token {key_of(admin)}"},
            "checks": {"positive_data_acceptance": {"expected-statuses": REFUSED_WITH_REASON}},
            "operations": [
                # A form holds nothing but texts: the name "true" is one as well.
                {
                    "include-name": "POST /api/v1/workloads/",
                    "checks": {"negative_data_rejection": {"enabled": False}},
                }
            ],
        }
    )
    # As Django's own test client does: the connection holds the rows of this test.
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield schemathesis.openapi.from_wsgi("/api/schema/", WSGIHandler(), config=config)
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_every_operation_answers_as_documented(described: schemathesis.BaseSchema, mode: GenerationMode) -> None:
    for found in described.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()

        @given(case=operation.as_strategy(generation_mode=mode))
        @bounded(
            max_examples=8,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        )
        def answers_as_documented(case: schemathesis.Case) -> None:
            case.call_and_validate()

        try:
            answers_as_documented()
        except Unsatisfiable:
            # Nothing can be wrong about an operation that takes nothing.
            assert mode is GenerationMode.NEGATIVE
