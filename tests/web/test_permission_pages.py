"""Who may open and use which page: every address outside the API and the admin, every kind of person."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import resolve

from apps.results.models import Run, Study
from apps.tasks.models import WorkloadImport
from apps.training.models import TrainedModel
from scheduler_sim.background.models import Job
from tests.web.conftest import make_forecast, make_trial
from tests.web.test_permission_matrix import OPEN, PEOPLE, addresses

# An example of each address and whom it is for: `{run}` and the like stand for the keys of rows.
READING = [
    "/",
    "/search/",
    "/runs/",
    "/runs/{run}/",
    "/runs/{run}/manifest.json",
    "/runs/{run}/charts.json",
    "/runs/{run}/charts/outcome.csv",
    "/runs/{run}/gantt.csv",
    "/runs/{run}/gantt.svg",
    "/runs/{run}/series.csv",
    "/runs/{run}/tasks/1/",
    "/runs/{run}/at/",
    "/runs/{run}/at/1/",
    "/runs/{run}/at/frames.json",
    "/runs/{run}/at/gantt.csv",
    "/runs/{run}/task/",
    "/runs/{run}/workflow/",
    "/runs/{run}/leaderboard.csv",
    "/runs/{run}/wins.csv",
    "/runs/{run}/groups/",
    "/runs/{run}/groups/charts.json",
    "/runs/{run}/groups/charts/outcome.csv",
    "/runs/{run}/groups/tasks/",
    "/runs/{run}/advice/",
    "/runs/{run}/what-if/",
    "/studies/",
    "/studies/{study}/",
    "/studies/{study}/charts.json",
    "/studies/{study}/charts/outcome.csv",
    "/studies/{study}/cells.csv",
    "/studies/{study}/report.html",
    "/studies/{study}/paper.zip",
    "/purchases/{purchase}/",
    "/purchases/{purchase}/charts.json",
    "/purchases/{purchase}/charts/frontier.csv",
    "/compare/",
    "/compare/charts.json",
    "/compare/paper.zip",
    "/compare/charts/outcome.csv",
    "/learn/",
    "/learn/convoy/",
    "/policies/",
    "/policies/fcfs/",
    "/policy-charts/fcfs.json",
    "/policy-charts/fcfs/outcome.csv",
    "/workloads/",
    "/workloads/imports/{upload}/",
    "/workloads/{workload}/",
    "/workloads/{workload}/charts.json",
    "/workloads/{workload}/charts/arrivals.csv",
    "/sites/",
    "/sites/compare/",
    "/sites/tiny/",
    "/sites/tiny/site.yaml",
    "/forecasts/",
    "/forecasts/{forecast}/",
    "/forecasts/trials/",
    "/forecasts/trials/{trial}/",
    "/forecasts/trials/{trial}/charts.json",
    "/forecasts/trials/{trial}/charts/errors.csv",
    "/help/metrics/",
    "/training/",
    "/training/models/{model}/",
    "/training/models/{model}/card.md",
    "/training/charts.json",
    "/training/charts/outcome.csv",
    "/training/under-way.json",
    "/training/under-way/outcome.csv",
]
FORMS = [
    "/training/new/",
    "/runs/new/",
    "/studies/new/",
    "/workloads/upload/",
    "/sites/upload/",
    "/sites/tiny/edit/",
    "/runs/{run}/purchase/",
    "/forecasts/new/",
    "/forecasts/trials/new/",
]
COMMANDS = [
    "/purchases/{purchase}/stop/",
    "/training/jobs/{job}/stop/",
    "/runs/{run}/pause/",
    "/runs/{run}/what-if/play/",
    "/runs/{run}/file/",
    "/runs/act/",
    "/learn/install/",
    "/studies/{study}/play/",
]
OWN_COMMANDS = ["/accounts/tokens/1/delete/", "/runs/columns/"]
FOR_EVERYBODY = ["/theme/", "/favicon.ico", "/accounts/login/", "/accounts/logout/"]
FOR_THE_KNOWN = ["/accounts/", "/accounts/password/"]

LOG_IN, REFUSED, UNKNOWN_METHOD, ANSWERED = "asked to log in", "refused", "unknown method", "answered"


@pytest.fixture
def keys(run: Run) -> dict[str, int]:
    """The keys of one row of each kind; no process is ever started."""
    definition = {"name": "a study", "workloads": ["x.swf"], "clusters": ["hpc-4"], "policies": ["fcfs"]}
    return {
        "run": run.pk,
        "job": Job.objects.create(kind="training").pk,
        "purchase": Job.objects.create(kind="purchase", subject_id=run.pk).pk,
        "workload": run.workload_id,
        "study": Study.objects.create(name="a study", definition=definition).pk,
        "upload": WorkloadImport.objects.create(file_name="x.swf").pk,
        "forecast": make_forecast().pk,
        "trial": make_trial().pk,
        "model": TrainedModel.objects.create(name="m", kind="linear", version=1, artifact="{}").pk,
    }


@pytest.fixture
def clients(user: User, controller: User, staff: User, admin: User) -> dict[str, Client]:
    """A client of each kind of person, signed in."""
    found = {person: Client() for person in PEOPLE}
    for person, account in (("user", user), ("controller", controller), ("staff", staff), ("admin", admin)):
        found[person].force_login(account)
    return found


def outcome(client: Client, method: str, address: str) -> str:
    response = client.generic(method, address)
    if response.status_code == 302 and response.headers["Location"].startswith("/accounts/login/"):
        return LOG_IN
    return {403: REFUSED, 405: UNKNOWN_METHOD}.get(response.status_code, ANSWERED)


def asked(clients: dict[str, Client], pages: list[str], keys: dict[str, int], method: str) -> dict[str, set[str]]:
    return {
        person: {outcome(client, method, page.format(**keys)) for page in pages} for person, client in clients.items()
    }


def everybody(outcome: str) -> dict[str, set[str]]:
    return {person: {outcome} for person in PEOPLE}


def test_every_page_is_listed_here(keys: dict[str, int]) -> None:
    pages = [*READING, *FORMS, *COMMANDS, *FOR_EVERYBODY, *FOR_THE_KNOWN, *OWN_COMMANDS, *OPEN]
    patterns = [resolve(page.format(**keys)).route for page in pages]
    assert len(set(patterns)) == len(pages)
    assert len(pages) == len([address for address in addresses() if not address.startswith(("api/", "admin/"))])


def test_reading_is_for_everybody(clients: dict[str, Client], keys: dict[str, int]) -> None:
    assert asked(clients, READING, keys, "GET") == everybody(ANSWERED)
    assert asked(clients, READING, keys, "POST") == everybody(UNKNOWN_METHOD)


def test_reading_can_be_for_those_who_are_known(
    clients: dict[str, Client], keys: dict[str, int], settings: Any
) -> None:
    settings.API_READ_PUBLIC = False
    expected = {person: {LOG_IN if person == "nobody" else ANSWERED} for person in PEOPLE}
    assert asked(clients, READING, keys, "GET") == expected


@pytest.mark.parametrize("public", [True, False])
def test_starting_and_controlling_need_the_permission(
    clients: dict[str, Client], keys: dict[str, int], settings: Any, public: bool
) -> None:
    settings.API_READ_PUBLIC = public
    allowed = {person: {ANSWERED if person in ("controller", "admin") else REFUSED} for person in PEOPLE}
    for method in ("GET", "POST"):
        assert asked(clients, FORMS, keys, method) == {**allowed, "nobody": {LOG_IN}}
    assert asked(clients, COMMANDS, keys, "POST") == allowed
    assert asked(clients, COMMANDS, keys, "GET") == everybody(UNKNOWN_METHOD)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_no_page_knows_another_method(clients: dict[str, Client], keys: dict[str, int], method: str) -> None:
    pages = [*READING, *FORMS, *COMMANDS]
    assert asked({"admin": clients["admin"]}, pages, keys, method) == {"admin": {UNKNOWN_METHOD}}


def test_the_theme_and_the_icon_are_for_everybody(
    clients: dict[str, Client], keys: dict[str, int], settings: Any
) -> None:
    settings.API_READ_PUBLIC = False
    assert asked(clients, FOR_EVERYBODY, keys, "POST") == everybody(ANSWERED)


@pytest.mark.parametrize("public", [True, False])
def test_an_account_is_for_whoever_is_signed_in(
    clients: dict[str, Client], keys: dict[str, int], settings: Any, public: bool
) -> None:
    settings.API_READ_PUBLIC = public
    expected = {person: {LOG_IN if person == "nobody" else ANSWERED} for person in PEOPLE}
    assert asked(clients, FOR_THE_KNOWN, keys, "GET") == expected
    allowed = {person: {REFUSED if person == "nobody" else ANSWERED} for person in PEOPLE}
    assert asked(clients, OWN_COMMANDS, keys, "POST") == allowed
    assert asked(clients, OWN_COMMANDS, keys, "GET") == everybody(UNKNOWN_METHOD)
