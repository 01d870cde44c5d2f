"""Who may do what: every address of the API, of the probes and the admin, every method, every kind of person.

The addresses come from the URL configuration, so a new one without an entry here fails the test.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import Mock

import pytest
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User
from django.urls import URLPattern, URLResolver, get_resolver
from drf_spectacular.generators import SchemaGenerator
from rest_framework.test import APIClient

from apps.live.wire.messages import COMMANDS
from apps.live.wire.routing import websocket
from apps.results.models import Run, Study
from apps.tasks.models import WorkloadImport
from apps.tasks.sites.services import site_store
from apps.training.models import TrainedModel, TrainingData
from scheduler_sim.accounts.models import AuditEntry
from scheduler_sim.background.models import Job
from scheduler_sim.engine.sites import Site
from tests.web.conftest import (
    key_of,
    make_attempts,
    make_fidelity,
    make_forecast,
    make_models,
    make_studies,
    make_training_rows,
    make_trial,
)

METHODS = ("get", "head", "options", "post", "put", "patch", "delete", "trace")
PEOPLE = ("nobody", "user", "controller", "staff", "admin")

READ = {"get", "head", "options"}

ROWS = (
    *("workloads", "imports", "tasks", "sites", "runs", "audit", "jobs", "studies", "results", "attempts"),
    *("fidelities", "metrics", "groups", "training-data", "models", "forecasts", "forecast-trials"),
)
"""Tables, each with a list and an address a row."""

DOCUMENTS = (
    "policies",
    "clusters",
    "leaderboard",
    "history",
    "history/latest",
    "status",
    "runs/<pk>/advice",
    "models/<pk>/card",
    "runs/<pk>/at/<time>",
    "sites/<pk>/differences",
)
CONTROLS = (
    "runs/<pk>/pause",
    "runs/<pk>/resume",
    "runs/<pk>/stop",
    "runs/<pk>/take-up",
    "jobs/<pk>/stop",
    "runs/<pk>/what-if/keep",
)

# What each address knows, apart from the admin: methods that read, and methods that control.
API: dict[str, tuple[set[str], set[str]]] = {
    "api/v1/": (READ, set()),
    "api/schema/": (READ, set()),
    "api/docs/": ({"get", "head"}, set()),
    **{f"api/v1/{name}/": (READ, set()) for name in (*ROWS, *(f"{name}/<pk>" for name in ROWS), *DOCUMENTS)},
    **{
        f"api/v1/{name}/": (READ, {"post"})
        for name in ("workloads", "sites", "runs", "runs/<pk>/what-if", "forecasts", "forecast-trials")
    },
    "api/v1/runs/<pk>/": (READ, {"patch"}),
    **{f"api/v1/{name}/": ({"options"}, {"post"}) for name in (*CONTROLS, "trainings", "policy-searches", "purchases")},
}


def _addresses(patterns: list[Any], prefix: str = "") -> Iterator[str]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern).lstrip("^").rstrip("$").replace("\\Z", "").replace("\\.", ".")
        if isinstance(pattern, URLResolver):
            yield from _addresses(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            route = route.replace("(?P<time>[0-9.eE+-]{1,40})", "<time>")
            yield route.replace("(?P<pk>[0-9]{1,19})", "<pk>").replace("(?P<pk>[^/.]+)", "<pk>")


def addresses() -> list[str]:
    """Return every address of the site as its pattern."""
    return sorted(_addresses(get_resolver().url_patterns))


def test_every_address_of_the_api_is_listed_here() -> None:
    assert [address for address in addresses() if address.startswith("api/")] == sorted(API)


def expected(person: str, method: str, address: str, *, public: bool) -> set[int]:
    """Return the statuses that are right."""
    read, control = API[address]
    known = person != "nobody"
    if address.startswith("api/v1/audit/") and person != "admin":
        return {403} if known else {401}
    may_read = public or known
    may_control = person in ("controller", "admin")
    if address.startswith("api/v1/audit/") and method not in read:
        # Nobody writes there.
        return {403}
    if method in control:
        if may_control:
            return {202, 400, 409, 415}
        return {403} if known else {401}
    if method in read:
        return {200} if may_read else {401}
    # Not known here: whoever may not even use the method is told so first.
    if method in ("post", "put", "patch", "delete", "trace"):
        return {405} if may_control else ({403, 405} if known else {401, 405})
    return {405} if may_read else {401}


@pytest.fixture
def people(user: User, controller: User, staff: User, admin: User) -> dict[str, User | None]:
    return {"nobody": None, "user": user, "controller": controller, "staff": staff, "admin": admin}


# Who is sent away is the same on any database; what the others read is asked on each.
@pytest.mark.parametrize("public", [True, pytest.param(False, marks=pytest.mark.own_data)])
def test_every_person_method_and_address(
    run: Run,
    people: dict[str, User | None],
    api_of: Callable[[User | None], APIClient],
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    public: bool,
) -> None:
    settings.API_READ_PUBLIC = public
    settings.RATE_LIMIT_CONTROL = None
    # Described for all of them alike, in a sixth of a second each time.
    description = SchemaGenerator().get_schema(request=None, public=True)
    monkeypatch.setattr(SchemaGenerator, "get_schema", Mock(return_value=description))
    make_training_rows(run, 1)
    make_models(1)
    make_studies(1)
    key = {
        "workloads": run.workload_id,
        "jobs": Job.objects.create(kind="run", subject_id=run.pk).pk,
        "audit": AuditEntry.objects.create(action="start", source="site").pk,
        "imports": WorkloadImport.objects.create(file_name="x.swf").pk,
        "tasks": run.workload.tasks.all()[0].pk,
        "sites": site_store(site=Site.from_json(run.cluster))[0].pk,
        "forecasts": make_forecast().pk,
        "forecast-trials": make_trial().pk,
        "runs": run.pk,
        "studies": Study.objects.get().pk,
        "results": run.results.all()[0].pk,
        "attempts": make_attempts(run)[0].pk,
        "fidelities": make_fidelity(run).pk,
        "metrics": run.metrics.all()[0].pk,
        "groups": run.group_metrics.all()[0].pk,
        "training-data": TrainingData.objects.get().pk,
        "models": TrainedModel.objects.get().pk,
    }
    wrong = []
    clients = {person: api_of(user) for person, user in people.items()}
    for person, method, address in itertools.product(PEOPLE, METHODS, API):
        if not (public or person in ("nobody", "user") or method in set.union(*API[address])):
            # What is known nowhere: closed reading is nothing to those who are known, of whom one is asked for.
            continue
        name = address.split("/")[2]
        asked = address.replace("<pk>", str(key.get(name))).replace("<time>", "1.5")
        response = clients[person].generic(method.upper(), "/" + asked)
        if response.status_code not in expected(person, method, address, public=public):
            wrong.append((person, method, address, response.status_code))
    assert wrong == []


OPEN = ("/health", "/ready", "/metrics")


@pytest.mark.django_db
@pytest.mark.parametrize("address", OPEN)
def test_probes_are_open_to_everybody_and_only_read(address: str, settings: Any) -> None:
    settings.API_READ_PUBLIC = False
    client = APIClient()
    for method in METHODS:
        allowed = method in ("get", "head")
        assert client.generic(method.upper(), address).status_code == (200 if allowed else 405), method


def admin_addresses() -> list[str]:
    return [f"/{address}" for address in addresses() if address.startswith("admin/")]


@pytest.mark.parametrize("person", PEOPLE)
def test_the_admin_shows_rows_only_to_whom_it_may(person: str, run: Run, people: dict[str, User | None]) -> None:
    client = APIClient()
    user = people[person]
    if user is not None:
        client.force_login(user)
    status = {"nobody": 302, "user": 302, "controller": 302, "staff": 403, "admin": 200}[person]
    lists = [address for address in admin_addresses() if address.count("/") == 4 and "<" not in address]
    lists = [
        address
        for address in lists
        if address.split("/")[2] in ("tasks", "results", "metrics", "training", "live", "background", "accounts")
    ]
    assert len(lists) >= 8
    for address in lists:
        assert client.get(address).status_code == status, address


def test_no_result_is_added_changed_or_deleted_in_the_admin(run: Run, admin: User) -> None:
    client = APIClient()
    client.force_login(admin)
    key = run.results.all()[0].pk
    for model in (
        "results/schedulerresult",
        "results/attempt",
        "metrics/metric",
        "training/trainingdata",
        "tasks/task",
    ):
        assert client.get(f"/admin/{model}/add/").status_code == 403
    assert client.get("/admin/results/run/add/").status_code == 403
    assert client.post(f"/admin/results/schedulerresult/{key}/change/", {}).status_code == 403
    assert client.post(f"/admin/results/schedulerresult/{key}/delete/", {"post": "yes"}).status_code == 403
    assert client.get(f"/admin/results/schedulerresult/{key}/change/").status_code == 200


def heard(address: str, token: str | None) -> list[str]:
    """Return what somebody is told on a live connection who then tries every command, and how it was closed."""

    async def talk() -> list[str]:
        headers = [(b"host", b"localhost"), *([(b"authorization", f"Token {token}".encode())] if token else [])]
        connection = WebsocketCommunicator(websocket, address, headers)
        assert (await connection.connect(timeout=10))[0]
        first = await connection.receive_json_from(timeout=10)
        if first["type"] == "error":
            return [first["code"], str((await connection.receive_output(timeout=10))["code"])]
        answers = [first["type"]]
        for command in COMMANDS:
            await connection.send_json_to({"type": command})
            while (answer := await connection.receive_json_from(timeout=10))["type"] not in ("accepted", "error"):
                pass
            answers.append(answer.get("code", "accepted"))
        await connection.disconnect(timeout=10)
        return answers

    return asyncio.run(talk())


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("public", [True, False])
def test_every_person_and_websocket(run: Run, people: dict[str, User | None], settings: Any, public: bool) -> None:
    settings.API_READ_PUBLIC = public
    for person, user in people.items():
        token = None if user is None else key_of(user)
        # The run has ended, so that a command by somebody who may give it is refused for that reason.
        command = "refused" if person in ("controller", "admin") else "forbidden"
        for address, first, answer in (
            ("/ws/live/", "runs", "unknown_type"),
            (f"/ws/runs/{run.pk}/", "snapshot", command),
        ):
            expected = [first, answer, answer, answer] if public or user else ["forbidden", "4401"]
            assert heard(address, token) == expected, (person, address)


@pytest.mark.django_db(transaction=True)
def test_a_token_that_may_only_read_commands_nothing_on_a_websocket(run: Run, controller: User) -> None:
    assert heard(f"/ws/runs/{run.pk}/", key_of(controller, "read")) == ["snapshot", *["forbidden"] * 3]
