"""The list of runs as people work with it: columns, sorting, filters, groups, tags, notes, archive, clones."""

import csv
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from apps.metrics.models import Metric
from apps.results.errors import InvalidField, RunStateError
from apps.results.filing import LONGEST_NOTE, MOST_TAGS
from apps.results.models import Run, RunTag, Study
from apps.results.services import runs_file
from scheduler_sim.accounts.models import AuditEntry
from scheduler_sim.background.models import Job
from tests.web.conftest import client_that_controls_runs, make_run, make_studies

pytestmark = pytest.mark.django_db


def names(client: Client, query: str = "") -> list[str]:
    """Return the runs on the list, in its order."""
    page = client.get(f"/runs/?{query}")
    assert page.status_code == 200
    return re.findall(r'<th scope="row">\s*<a href="/runs/\d+/">([^<]*)</a>', page.content.decode())


def heads(client: Client, query: str = "") -> list[str]:
    page = client.get(f"/runs/?{query}").content.decode()
    head = re.search(r"<thead>.*?</thead>", page, re.DOTALL)
    assert head is not None
    return re.findall(r'aria-label="Sort by ([^"]*)"', head.group())


def set_figures(run: Run, **of_policies: dict[str, Any]) -> None:
    for scheduler, figures in of_policies.items():
        Metric.objects.filter(run=run, scheduler=scheduler.replace("_easy", "+easy")).update(**figures)


@pytest.fixture
def three() -> list[Run]:
    """Runs whose best policies wait 3, 1 and 2 seconds, and whose sjf+easy waits 1, 2 and 3."""
    runs = [make_run(name=name) for name in ("alpha", "beta", "gamma")]
    for run, best, other in zip(runs, (3.0, 1.0, 2.0), (1.0, 2.0, 3.0), strict=True):
        set_figures(
            run,
            fcfs={"mean_bounded_slowdown": 1.0, "mean_wait_time": best, "p95_wait_time": 60 * best},
            sjf_easy={"mean_bounded_slowdown": 2.0, "mean_wait_time": other, "p95_wait_time": 60 * other},
        )
    return runs


def test_runs_are_sorted_by_any_figure_of_their_best_policy(client: Client, three: list[Run]) -> None:
    assert names(client, "sort=mean_wait_time") == ["beta", "gamma", "alpha"]
    assert names(client, "sort=-p95_wait_time") == ["alpha", "gamma", "beta"]


def test_with_a_policy_the_figures_and_the_order_are_its_own(client: Client, three: list[Run]) -> None:
    assert names(client, "policy=sjf%2Beasy&sort=mean_wait_time") == ["alpha", "beta", "gamma"]
    page = client.get("/runs/?policy=sjf%2Beasy&columns=policy,mean_bounded_slowdown").content.decode()
    assert "Figures are those of sjf+easy." in page


def test_runs_without_the_figure_come_last_either_way(client: Client, three: list[Run]) -> None:
    set_figures(three[0], fcfs={"mean_wait_time": None})
    assert names(client, "sort=mean_wait_time")[-1] == "alpha"
    assert names(client, "sort=-mean_wait_time")[-1] == "alpha"


def test_a_column_of_figures_has_one_unit(client: Client, three: list[Run]) -> None:
    set_figures(three[0], fcfs={"p95_wait_time": 30.0})
    page = client.get("/runs/?columns=p95_wait_time").content.decode()
    assert re.search(r"p95 wait</a><br>(s|min)", page)
    cells = [re.sub(r"<[^>]*>", "", cell).strip() for cell in re.findall(r'<td class="number">(.*?)</td>', page, re.S)]
    assert all(re.fullmatch(r"[\d.,]+", cell) for cell in cells)


def test_the_address_says_which_columns_there_are_and_in_which_order(client: Client, three: list[Run]) -> None:
    assert heads(client, "columns=seed,p95_wait_time,nonsense,status") == ["name", "Seed", "p95 wait", "Status"]
    assert heads(client, "columns=seed&columns=status") == ["name", "Seed", "Status"]
    assert heads(client, "columns=nonsense") == heads(client)


def test_columns_are_kept_for_whoever_keeps_them(client: Client, three: list[Run], user: User) -> None:
    first = heads(client)
    client.force_login(user)
    response = client.post("/runs/columns/", {"columns": "seed,who,nonsense", "next": "/runs/?q=a"})
    assert response.headers["Location"] == "/runs/?q=a"
    assert heads(client) == ["name", "Seed", "Who"]
    assert heads(client, "columns=status") == ["name", "Status"]
    assert heads(Client()) == first
    client.post("/runs/columns/", {"columns": ""})
    assert heads(client) == first


def test_the_way_back_never_leaves_the_site(client: Client, user: User) -> None:
    client.force_login(user)
    response = client.post("/runs/columns/", {"columns": "seed", "next": "https://example.org/"})
    assert response.headers["Location"] == "/runs/"


def test_every_filter_narrows_the_list(client: Client, three: list[Run], user: User) -> None:
    alpha, beta, gamma = three
    alpha.tag(["paper"])
    Job.objects.create(kind="run", subject_id=beta.pk, requested_by=user, status="finished")
    Run.objects.filter(pk=gamma.pk).update(created_at=datetime(2020, 5, 17, 23, 30, tzinfo=UTC), status="failed")
    Run.objects.filter(pk=beta.pk).update(policies=["ljf"], cluster=beta.cluster | {"name": "the old one"})
    assert names(client, "tag=paper") == ["alpha"]
    assert names(client, "who=alice") == ["beta"]
    assert names(client, "since=2020-05-17&until=2020-05-17") == ["gamma"]
    assert names(client, "since=2020-05-18") == ["beta", "alpha"]
    assert names(client, "status=failed") == ["gamma"]
    assert names(client, "policy=ljf") == ["beta"]
    assert names(client, "place=old") == ["beta"]
    assert names(client, f"workload={alpha.workload_id}") == ["alpha"]
    assert names(client, "workload=of+gam") == ["gamma"]
    assert names(client, "tag=none") == []


def test_a_policy_is_found_by_its_whole_name(client: Client) -> None:
    make_run(name="plain", policies=("sjf",))
    make_run(name="backfilled", policies=("sjf+easy",))
    assert names(client, "policy=sjf") == ["plain"]
    assert sorted(names(client, "q=sjf")) == ["backfilled", "plain"]


@pytest.mark.parametrize("day", ["yesterday", "2026-13-01", "2026-02-30"])
def test_a_day_that_is_none_is_refused_in_a_sentence(client: Client, day: str) -> None:
    response = client.get(f"/runs/?since={day}")
    assert response.status_code == 400
    assert "is no day; write it like 20" in response.content.decode()


def test_the_search_finds_numbers_policies_tags_and_notes(client: Client, three: list[Run]) -> None:
    alpha, beta, _ = three
    alpha.tag(["camera-ready"])
    beta.note("seen by the committee")
    assert names(client, "q=camera") == ["alpha"]
    assert names(client, "q=committee") == ["beta"]
    assert "beta" in names(client, f"q={beta.pk}")
    assert len(names(client, "q=sjf%2Beasy")) == 3


def test_runs_are_grouped_by_workload_and_counted(client: Client, three: list[Run]) -> None:
    Run.objects.filter(name="gamma").update(workload=three[0].workload)
    assert names(client, "group=workload&sort=name") == ["alpha", "gamma", "beta"]
    page = " ".join(client.get("/runs/?group=workload").content.decode().split())
    assert re.search(r'workload of alpha</a> <span class="muted small">2 runs</span>', page)


def test_archived_runs_are_out_of_sight_and_come_back() -> None:
    client = client_that_controls_runs()
    alpha, beta = make_run(name="alpha"), make_run(name="beta")
    sent = {"act": "archive", "runs": [alpha.pk, beta.pk], "next": "/runs/?sort=name"}
    response = client.post("/runs/act/", sent)
    assert names(client) == []
    assert names(client, "archived=only") == ["beta", "alpha"]
    assert ">alpha<" not in client.get("/").content.decode()
    assert ">alpha<" not in client.get("/compare/").content.decode()
    assert client.get(f"/runs/{alpha.pk}/").status_code == 200
    page = client.get(response.headers["Location"]).content.decode()
    assert "Archived 2 runs: out of sight, not deleted." in page
    client.post("/runs/act/", {"act": "restore", "runs": [alpha.pk, beta.pk], "next": response.headers["Location"]})
    assert names(client, "sort=name") == ["alpha", "beta"]
    assert alpha.results.count() == 10


def test_a_run_under_way_cannot_be_archived_and_then_none_is() -> None:
    over, going = make_run(name="over"), make_run(name="going", status="running")
    with pytest.raises(RunStateError, match="Run going is running; only runs that are over can be archived"):
        runs_file(runs=[over, going], archived=True)
    assert Run.objects.archived().count() == 0
    page = client_that_controls_runs().post("/runs/act/", {"act": "archive", "runs": [going.pk]}, follow=True)
    assert "only runs that are over can be archived" in page.content.decode()


def test_ticked_runs_are_tagged_and_untagged_together() -> None:
    client = client_that_controls_runs()
    runs = [make_run(name=name) for name in ("alpha", "beta")]
    client.post("/runs/act/", {"act": "tag", "runs": [run.pk for run in runs], "tags": " paper ,  second  try,"})
    assert [run.tag_names for run in runs] == [["paper", "second try"]] * 2
    client.post("/runs/act/", {"act": "untag", "runs": [runs[0].pk], "tags": "paper"})
    assert [Run.objects.get(pk=run.pk).tag_names for run in runs] == [["second try"], ["paper", "second try"]]
    page = client.post("/runs/act/", {"act": "tag", "tags": "x"}, follow=True).content.decode()
    assert "Tick the runs first." in page
    assert client.post("/runs/act/", {"act": "explode", "runs": [runs[0].pk]}).status_code == 400
    compared = client.post("/runs/act/", {"act": "compare", "runs": [run.pk for run in runs]})
    assert compared.headers["Location"] == f"/compare/?runs={runs[0].pk}%2C{runs[1].pk}"


@pytest.mark.parametrize("name", ["a,b", "x" * 51, "bell\x07"])
def test_a_word_that_cannot_be_a_tag_is_refused(name: str) -> None:
    run = make_run()
    with pytest.raises(InvalidField, match="cannot be a tag"):
        run.tag(["good", name])
    assert run.tag_names == []


def test_there_is_a_limit_of_tags_and_of_notes() -> None:
    run = make_run()
    with pytest.raises(InvalidField, match=f"at most {MOST_TAGS} tags"):
        run.tag(map(str, range(MOST_TAGS + 1)))
    with pytest.raises(InvalidField, match="at most 10,000 characters"):
        run.note("x" * (LONGEST_NOTE + 1))


def test_tags_and_notes_are_written_on_the_run_and_recorded() -> None:
    client, run = client_that_controls_runs(), make_run()
    client.post(f"/runs/{run.pk}/file/", {"tags": "paper, paper", "notes": "<b>mind</b> the gap\r\n"})
    run.refresh_from_db()
    assert (run.tag_names, run.notes) == (["paper"], "<b>mind</b> the gap")
    page = client.get(f"/runs/{run.pk}/").content.decode()
    assert "&lt;b&gt;mind&lt;/b&gt; the gap" in page
    client.post(f"/runs/{run.pk}/file/", {"archived": "yes"})
    client.post(f"/runs/{run.pk}/file/", {"archived": "no"})
    # What is so already is not recorded again.
    client.post(f"/runs/{run.pk}/file/", {"tags": "paper", "notes": "<b>mind</b> the gap"})
    actions = AuditEntry.objects.filter(subject_id=run.pk).order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["change", "change", "archive", "restore"]
    assert (run.tag_names, Run.objects.get(pk=run.pk).notes) == (["paper"], "<b>mind</b> the gap")


def test_tags_go_with_their_run() -> None:
    run = make_run()
    run.tag(["paper"])
    run.delete()
    assert RunTag.objects.count() == 0


def test_the_list_as_a_file_holds_the_figures_that_are_shown(client: Client, three: list[Run]) -> None:
    three[1].tag(["b", "a"])
    response = client.get("/runs/?sort=p95_wait_time&columns=p95_wait_time&format=csv").content.decode()
    rows = list(csv.DictReader(response.splitlines()))
    assert [row["name"] for row in rows] == ["beta", "gamma", "alpha"]
    assert [row["p95_wait_time"] for row in rows] == ["60.0", "120.0", "180.0"]
    assert (rows[0]["tags"], rows[0]["scheduler"], rows[0]["place"]) == ("a,b", "fcfs", "hpc-4")


def test_a_clone_fills_the_form_with_what_was_played() -> None:
    client = client_that_controls_runs()
    run = make_run(policies=("sjf+easy", "fcfs+easy(order=sjf)"), seed=7)
    Run.objects.filter(pk=run.pk).update(configuration={"seed": 7, "warmup": 0.25, "kill_at_estimate": True})
    page = client.get(f"/runs/new/?clone={run.pk}").content.decode()
    assert re.search(rf'<option value="{run.workload_id}" selected', page)
    assert 'value="hpc-4"' in page
    assert re.search(r'name="seed"[^>]*value="7"|value="7"[^>]*name="seed"', page)
    assert re.search(r'name="warmup"[^>]*value="0.25"|value="0.25"[^>]*name="warmup"', page)
    assert re.search(r'value="sjf\+easy"[^>]*checked', page)
    assert 'value="fcfs+easy(order=sjf)"' in page
    assert client.get("/runs/new/?clone=99999").status_code == 404


def test_a_clone_of_a_described_cluster_asks_for_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    client = client_that_controls_runs()
    run = make_run(policies=("fcfs",))
    described = run.cluster | {"name": "ours"}
    Run.objects.filter(pk=run.pk).update(cluster=described)
    form = client.get(f"/runs/new/?clone={run.pk}").context["form"]
    filled = {field.name: field.value() for field in form if field.value() not in (None, "", False)}
    asked: dict[str, Any] = {}

    def start(self: Any, *, requested_by: Any) -> Run:
        asked.update(self.validated_data)
        return run

    monkeypatch.setattr("apps.live.request.RunCreateSerializer.start", start)
    response = client.post("/runs/new/", filled)
    assert response.status_code == 302
    assert asked["cluster"].as_json() == described
    assert asked["workload"].pk == run.workload_id


def test_the_api_filters_orders_and_files_runs(api_of: Any, controller: User, three: list[Run]) -> None:
    client = api_of(controller)
    alpha, beta, gamma = three

    def listed(query: str = "") -> list[str]:
        return [run["name"] for run in client.get(f"/api/v1/runs/?{query}").json()["results"]]

    answer = client.patch(f"/api/v1/runs/{beta.pk}/", {"tags": ["b", "a"], "notes": "seen"}, format="json")
    assert answer.status_code == 200
    assert (answer.json()["tags"], answer.json()["notes"], answer.json()["requested_by"]) == (["a", "b"], "seen", None)
    assert listed("tag=a") == ["beta"]
    assert listed("policy=sjf%2Beasy") == ["gamma", "beta", "alpha"]
    assert listed("policy=sjf") == []
    assert listed("ordering=mean_wait_time") == ["beta", "gamma", "alpha"]
    assert listed("ordering=-mean_wait_time&policy=sjf%2Beasy") == ["gamma", "beta", "alpha"]
    first = client.get("/api/v1/runs/?ordering=mean_wait_time&page_size=1").json()
    second = client.get(first["next"]).json()
    assert [first["results"][0]["name"], second["results"][0]["name"]] == ["beta", "gamma"]
    set_figures(alpha, fcfs={"mean_wait_time": None})
    assert listed("ordering=mean_wait_time") == ["beta", "gamma"]
    assert client.patch(f"/api/v1/runs/{gamma.pk}/", {"archived": True}, format="json").json()["archived_at"]
    assert listed() == ["beta", "alpha"]
    assert listed("archived=true") == ["gamma"]
    assert client.get(f"/api/v1/runs/{gamma.pk}/").status_code == 200
    Job.objects.create(kind="run", subject_id=alpha.pk, requested_by=controller, status="finished")
    assert listed("requested_by=bob") == ["alpha"]
    assert "a,b" not in client.get("/api/v1/runs/?format=csv").content.decode()


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({}, "Say tags, notes or archived."),
        ({"tags": ["a,b"]}, "cannot be a tag"),
        ({"tag": "a"}, "There is no such field"),
        ({"notes": "x" * 10_001}, "at most 10,000 characters"),
    ],
)
def test_the_api_refuses_what_cannot_be_filed(api_of: Any, controller: User, document: Any, sentence: str) -> None:
    run = make_run()
    answer = api_of(controller).patch(f"/api/v1/runs/{run.pk}/", document, format="json")
    assert answer.status_code == 400
    assert sentence in answer.content.decode()


def test_the_admin_archives_restores_and_finds_by_tag(admin: User) -> None:
    client = Client()
    client.force_login(admin)
    alpha, beta = make_run(name="alpha"), make_run(name="beta")
    alpha.tag(["paper"])
    page = client.get("/admin/results/run/?tag=paper").content.decode()
    assert ">alpha<" in page
    assert ">beta<" not in page
    chosen = {"action": "archive", "_selected_action": [alpha.pk, beta.pk]}
    assert "Archived 2 runs." in client.post("/admin/results/run/", chosen, follow=True).content.decode()
    client.post("/admin/results/run/", chosen | {"action": "restore"})
    assert Run.objects.archived().count() == 0
    assert client.get(f"/admin/results/run/{alpha.pk}/change/").status_code == 200


def test_runs_of_studies_are_asked_for_by_whoever_asked_for_the_study(client: Client, user: User) -> None:
    make_studies(1)
    run = make_run(name="one of many")
    study = Study.objects.get()
    Run.objects.filter(pk=run.pk).update(study=study)
    Job.objects.create(kind="study", subject_id=study.pk, requested_by=user, status="finished")
    assert names(client, "who=alice&studies=too") == ["one of many"]
    assert Run.objects.with_requester().get().requester == "alice"
