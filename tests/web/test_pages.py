"""The pages: what they show, what they refuse, and what they cost the database."""

import csv
import json
from typing import Any

import pytest
from django.test import Client

from apps.live.models import SimulationState
from apps.metrics.models import Metric
from apps.results.models import Run, Study
from apps.tasks.models import WorkloadImport
from apps.training.models import PolicySearch, TrainedModel
from scheduler_sim.background.claims import identity
from scheduler_sim.background.models import Job
from scheduler_sim.engine.measuring.figures import FIGURES
from scheduler_sim.engine.measuring.metrics import Summary
from scheduler_sim.engine.policies.order import ORDERS
from tests.web.conftest import client_that_controls_runs, make_run

pytestmark = pytest.mark.django_db

LINEAR = json.dumps({"form": "linear", "weights": [0.0] * 40})

EMPTY_PAGES = (
    "/",
    "/runs/",
    "/workloads/",
    "/sites/",
    "/sites/compare/",
    "/policies/",
    "/policies/sjf+easy/",
    "/training/",
    "/help/metrics/",
    "/compare/",
)


def text_of(response: Any) -> str:
    return str(response.content, "utf-8")


@pytest.fixture
def controller() -> Client:
    return client_that_controls_runs()


@pytest.mark.parametrize("path", EMPTY_PAGES)
def test_a_page_opens_while_nothing_is_stored(client, path):
    assert client.get(path).status_code == 200


def test_the_start_page_of_an_empty_site_says_what_to_type(client):
    assert "make run" in text_of(client.get("/"))


def test_every_stored_figure_is_defined_on_the_help_page(client):
    page = text_of(client.get("/help/metrics/"))
    for name in {*Summary.__dataclass_fields__, "gpu_fragmentation"}:
        assert name in FIGURES
        assert f'id="{name}"' in page


def test_column_heads_of_a_leaderboard_link_to_their_definitions(client):
    page = text_of(client.get(f"/runs/{make_run().pk}/"))
    assert "/help/metrics/#mean_bounded_slowdown" in page


def test_a_figure_that_is_missing_is_called_no_data(client):
    run = make_run()
    Metric.objects.filter(run=run, scheduler="sjf+easy").update(mean_bounded_slowdown=None)
    page = text_of(client.get(f"/runs/{run.pk}/"))
    assert "no data" in page


def test_a_run_page_tells_the_regret_and_what_no_schedule_can_beat(client):
    run = make_run()
    bounds = {"critical_path": 4.0, "core_work": 2.5, "gpu_work": 0.0, "makespan": 4.0}
    regret = {"oracle": "oracle", "mean_job_completion_time": 0.257}
    Metric.objects.filter(run=run).update(details={"bounds": bounds, "regret": regret})
    page = text_of(client.get(f"/runs/{run.pk}/"))
    assert "No schedule has a makespan below 4.00 s" in " ".join(page.split())
    assert "/help/metrics/#regret" in page
    assert "25.7" in page


@pytest.mark.parametrize(
    "path", ["/runs/99/", "/runs/99/charts.json", "/workloads/99/", "/policies/nonsense/", "/runs/99/tasks/1/"]
)
def test_what_does_not_exist_is_answered_404_with_a_page(client, path):
    response = client.get(path)
    assert response.status_code == 404
    assert "There is nothing at this address" in text_of(response)


@pytest.mark.parametrize("query", ["from=x&to=y", "from=nan&to=inf", "from=9e99&to=-9e99", "from=5&to=5", ""])
def test_a_gantt_takes_any_window(client, query):
    run = make_run()
    response = client.get(f"/runs/{run.pk}/gantt.json?policy=fcfs&{query}")
    assert response.status_code == 200
    assert response.json()["level"] == "tasks"
    assert response.json()["window_from"] < response.json()["window_to"]


def test_a_gantt_of_another_policy_is_not_found(client):
    assert client.get(f"/runs/{make_run().pk}/gantt.json?policy=ljf").status_code == 404


@pytest.mark.parametrize("query", ["sort=nonsense", "page=x", "page=999", "workload=a", "q=%00"])
def test_a_list_takes_any_query(client, query):
    make_run()
    assert client.get(f"/runs/?{query}").status_code == 200


def test_a_status_that_there_is_not_is_refused(client):
    response = client.get("/runs/?status=odd")
    assert response.status_code == 400
    assert "There is no status" in text_of(response)


def test_a_list_is_searched_and_sorted_as_the_address_says(client):
    for name in ("beta", "alpha", "gamma"):
        make_run(name=name)
    page = text_of(client.get("/runs/?sort=name"))
    assert page.index(">alpha<") < page.index(">beta<") < page.index(">gamma<")
    page = text_of(client.get("/runs/?q=alph"))
    assert ">alpha<" in page
    assert ">beta<" not in page


def test_runs_of_studies_are_listed_only_when_asked_for(client):
    study = Study.objects.create(name="a grid", definition={})
    make_run(name="alone")
    make_run(name="one of many", study=study)
    for path in ("/", "/runs/"):
        page = text_of(client.get(path))
        assert ">alone<" in page
        assert ">one of many<" not in page
    for query in ("studies=too", "q=many"):
        assert ">one of many<" in text_of(client.get(f"/runs/?{query}"))


def test_a_form_without_its_token_is_refused_in_the_words_of_the_site():
    response = Client(enforce_csrf_checks=True).post("/theme/", {"theme": "dark"})
    assert response.status_code == 403
    assert "The form was not sent" in text_of(response)


def test_tables_come_as_csv_and_json_too(client):
    run = make_run()
    rows = list(csv.DictReader(text_of(client.get(f"/runs/{run.pk}/leaderboard.csv")).splitlines()))
    assert [row["scheduler"] for row in rows] == ["fcfs", "sjf+easy"]
    assert json.loads(client.get("/runs/?format=json").content)[0]["name"] == run.name
    assert client.get("/workloads/?format=csv").headers["Content-Disposition"].endswith('workloads.csv"')
    assert len(json.loads(client.get("/policies/?format=json").content)) > 10


def test_names_that_look_like_formulas_are_harmless_in_a_spreadsheet(client):
    make_run(name="=1+1")
    assert "'=1+1" in text_of(client.get("/runs/?format=csv"))


def test_a_name_is_never_taken_for_html(client):
    run = make_run(name="<script>alert(1)</script>")
    for path in ("/", "/runs/", f"/runs/{run.pk}/", f"/compare/?runs={run.pk}"):
        assert "<script>alert" not in text_of(client.get(path))


@pytest.mark.parametrize("count", [2, 12])
def test_the_list_of_runs_costs_the_same_queries_however_long_it_is(client, django_assert_max_num_queries, count):
    for number in range(count):
        make_run(name=f"run {number}").tag([f"tag {number}", "all"])
    for query in ("", "sort=-p95_wait_time&columns=p95_wait_time,who,place,tags,took", "group=workload&q=run"):
        with django_assert_max_num_queries(11):
            assert client.get(f"/runs/?{query}").status_code == 200


def test_a_run_page_reads_no_placement(client, django_assert_max_num_queries):
    run = make_run(tasks=50)
    with django_assert_max_num_queries(7) as queries:
        client.get(f"/runs/{run.pk}/")
    assert not any("results_schedulerresult" in query["sql"] for query in queries.captured_queries)


def test_a_failed_run_says_why_and_what_to_do(client):
    run = make_run(status=Run.Status.FAILED, error="The disk is full.")
    page = text_of(client.get(f"/runs/{run.pk}/"))
    assert "The disk is full." in page
    assert f"--resume {run.pk}" in page


def test_an_interrupted_run_is_not_called_running(client):
    run = make_run(status=Run.Status.RUNNING)
    assert "interrupted" in text_of(client.get(f"/runs/{run.pk}/"))


def test_progress_is_told_in_words_without_scripts(client):
    run = make_run(status=Run.Status.RUNNING)
    policies = [
        {"scheduler": "fcfs", "finished": 5, "total": 5, "wins": 1, "mean_job_completion_time": 90.0},
        {"scheduler": "sjf+easy", "finished": 2, "total": 5, "wins": 4, "mean_job_completion_time": None},
    ]
    snapshot = {"progress": 0.7, "eta_seconds": 130.0, "policies": policies}
    SimulationState.objects.filter(run=run).update(snapshot=snapshot)
    page = text_of(client.get(f"/runs/{run.pk}/"))
    assert "1 of 2 policies done, 70% of the tasks, about 2 min left" in page
    race = page[page.index("data-race>") :]
    assert race.index('data-policy="sjf+easy"') < race.index('data-policy="fcfs"')
    assert 'data-cell="mean">90.0 s<' in race
    assert 'data-cell="mean">no data<' in race
    assert "GPU use" not in race


def test_only_those_who_may_control_runs_can_do_so_from_a_page(client, controller):
    run = make_run(status=Run.Status.QUEUED)
    address = f"/runs/{run.pk}/stop/"
    assert client.post(address).status_code == 403
    run.refresh_from_db()
    assert run.status == Run.Status.QUEUED
    assert controller.post(address).status_code == 302
    run.refresh_from_db()
    assert run.status == Run.Status.STOPPED


def test_control_needs_a_csrf_token(controller):
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = controller.cookies
    run = make_run(status=Run.Status.QUEUED)
    assert strict.post(f"/runs/{run.pk}/stop/").status_code == 403


def test_control_that_the_state_does_not_allow_is_explained(controller):
    run = make_run()
    page = text_of(controller.post(f"/runs/{run.pk}/pause/", follow=True))
    assert "it cannot pause" in page


def test_the_form_of_a_new_run_starts_it(controller):
    workload = make_run().workload
    form = {"workload": workload.pk, "cluster": "hpc-4", "policies": ["fcfs", "saf"], "others": "sjf+easy@best_fit"}
    response = controller.post("/runs/new/", form)
    run = Run.objects.latest("pk")
    assert response.headers["Location"] == f"/runs/{run.pk}/"
    assert run.policies == ["fcfs", "saf", "sjf+easy@best_fit"]
    assert (job := Job.objects.get()).subject_id == run.pk
    page = text_of(controller.get(f"/runs/{run.pk}/"))
    assert f"number {job.place} in the queue" in page


def test_the_form_of_a_new_run_offers_every_order_with_the_backfillings_that_it_takes(controller):
    page = text_of(controller.get("/runs/new/"))
    # Those that everybody knows come first.
    places = [
        page.index(f'name="policies" value="{name}"') for name in ("fcfs", "sjf", "f1", "edf", "heft", "lowest_slot")
    ]
    assert places == sorted(places)
    for order in ORDERS:
        assert f'name="policies" value="{order.name}"' in page
        assert (f'value="{order.name}+easy"' in page) == (
            not (order.preempts or order.needs_site) and order.name != "recorded"
        )


def test_the_form_of_a_new_run_keeps_what_was_typed_when_it_is_refused(controller):
    workload = make_run().workload
    before = Run.objects.count()
    form = {"workload": workload.pk, "cluster": "../secret.yaml", "policies": ["saf"]}
    response = controller.post("/runs/new/", form)
    assert response.status_code == 400
    assert "There is no cluster preset" in text_of(response)
    assert 'value="saf" checked' in text_of(response)
    assert Run.objects.count() == before


@pytest.mark.parametrize("path", ["/runs/new/", "/workloads/upload/", "/sites/upload/"])
def test_forms_that_change_something_ask_to_sign_in(client, path):
    assert client.get(path).headers["Location"].startswith("/accounts/login/")


def test_pages_ask_to_sign_in_when_reading_is_not_public(client, settings):
    settings.API_READ_PUBLIC = False
    assert client.get("/runs/").headers["Location"].startswith("/accounts/login/")


def test_an_import_that_failed_says_why(client):
    job = WorkloadImport.objects.create(file_name="a.swf", status="failed", error="Line 3 is not a number.")
    page = text_of(client.get(f"/workloads/imports/{job.pk}/"))
    assert "Line 3 is not a number." in page
    assert "Nothing was stored" in page


def test_the_theme_is_kept_in_a_cookie_and_leads_nowhere_else(client):
    response = client.post("/theme/", {"theme": "dark", "next": "https://elsewhere.example/"})
    assert response.headers["Location"] == "/"
    assert 'data-theme="dark"' in text_of(client.get("/policies/"))
    client.post("/theme/", {"theme": "system"})
    assert "data-theme=" not in text_of(client.get("/policies/")).split("<body")[0]


def test_the_base_of_a_comparison_is_named_and_is_what_all_runs_play(client):
    first = make_run(name="one", policies=("ljf", "sjf"))
    second = make_run(name="two", policies=("sjf", "fcfs"))

    def told(query: str) -> str:
        page = text_of(client.get(f"/compare/?runs={first.pk},{second.pk}{query}"))
        return next(line.strip() for line in page.splitlines() if "The base is" in line)

    of_first = f"The base is sjf of run {first.pk}, one"
    assert told("") == f"<p>{of_first}: the first policy that all of them play.</p>"
    assert told("&base=sjf") == f"<p>{of_first}.</p>"
    assert told(f"&base={second.pk}:fcfs") == f"<p>The base is fcfs of run {second.pk}, two.</p>"
    assert told("&base=edf").startswith(f"<p>None of them plays edf. {of_first}: the first")
    third = make_run(name="three", policies=("edf",))
    page = text_of(client.get(f"/compare/?runs={first.pk},{third.pk}"))
    assert f"The base is ljf of run {first.pk}, one: the first policy that it plays." in page


def test_runs_of_different_workloads_are_not_paired(client):
    first, second = make_run(name="one"), make_run(name="two")
    page = text_of(client.get(f"/compare/?runs={first.pk},{second.pk}"))
    assert "do not share a workload" in page


def test_a_policy_search_says_after_how_many_generations_it_did_best(client):
    points = [(20, 3.1), (40, 2.9), (60, 3.0)]
    curve = [{"generation": number, "training": 2.8, "validation": value} for number, value in points]
    TrainedModel.objects.create(
        name="night", kind="linear", version=1, active=True, artifact="{}", scores={}, parameters={"curve": curve}
    )
    page = text_of(client.get("/training/"))
    assert "Of 60 generations, 40 do best on the validation part, 2.9:" in page


def make_search(**fields) -> PolicySearch:
    looks = [(1, 20, 3.1), (2, 20, 3.0), (1, 40, 2.9)]
    curve = [{"seed": seed, "generation": number, "training": 2.8, "validation": v} for seed, number, v in looks]
    values = {"form": "linear", "objective": "bsld", "backfill": "easy", "generations": 100, "seeds": [1, 2]}
    return PolicySearch.objects.create(name="night", curve=curve, **(values | fields))


def test_a_policy_search_under_way_shows_how_far_it_is_on_both_pages(client):
    TrainedModel.objects.create(name="night", kind="linear", version=1, active=True, artifact=LINEAR, scores={})
    search = make_search(**identity(1))
    make_search(**identity(1) | {"process_start_ticks": 1})
    for path, address in (
        ("/training/", "/training/under-way.json"),
        ("/policies/learned:night/", "/training/under-way.json?policy=learned:night"),
    ):
        page = text_of(client.get(path))
        assert "60 of 200 generations of 2 searches" in page
        assert "seed 1 does best on the validation part, 2.9 after 40 generations" in page
        state = client.get(address).json()
        assert [(one["id"], one["done"], one["total"]) for one in state["searches"]] == [(search.pk, 60, 200)]
        assert len(state["charts"][f"search-{search.pk}"]["series"]) == 2
    assert client.get("/training/under-way.json?policy=fcfs").json()["searches"] == []
    rows = client.get(f"/training/under-way/search-{search.pk}.csv").content.decode().splitlines()
    assert len(rows) == 4
    assert client.get("/training/under-way/search-999.csv").status_code == 404


def test_what_differs_between_runs_comes_first_and_in_words(client):
    first, second = make_run(name="one"), make_run(name="two")
    Run.objects.filter(pk=first.pk).update(configuration={"seed": 1, "load_factor": 1.0, "limit": None})
    Run.objects.filter(pk=second.pk).update(configuration={"seed": 1, "load_factor": 1.5, "limit": None})
    rows = client.get(f"/compare/?runs={first.pk},{second.pk}&table=configuration&format=json").json()
    arrivals = next(row for row in rows if row["setting"] == "Arrivals")
    assert arrivals["differs"]
    assert arrivals[f"run {second.pk}"] == "1.5 times as dense as in the workload"
    assert [row["differs"] for row in rows] == sorted((row["differs"] for row in rows), reverse=True)
    assert {"setting": "Tasks played", f"run {first.pk}": "all", f"run {second.pk}": "all", "differs": False} in rows


@pytest.mark.parametrize("path", ["/runs/{}/?table=odd&format=csv", "/runs/{}/?table=audit", "/training/?table=odd"])
def test_a_table_that_a_page_does_not_have_is_not_found(client, path):
    assert client.get(path.format(make_run().pk)).status_code == 404


def test_a_learned_policy_shows_its_curve_and_the_model_in_use(client):
    curve = [{"tasks": 200, "epsilon": 0.1, "reward": -1.0}, {"tasks": 100, "epsilon": 0.3, "reward": -4.0}]
    scores = {"mean_jct_of_last_fifth": 2, "mean_jct_of_last_fifth_greedy": 1.75}
    fields = {"name": "rl_agent", "kind": "rl_agent", "artifact": "{}", "scores": scores}
    old = TrainedModel.objects.create(version=1, **fields)
    fields["scores"] = {**scores, "mean_jct_of_last_fifth": 1.5}
    TrainedModel.objects.create(version=2, active=True, parent=old, parameters={"curve": curve}, **fields)
    page = text_of(client.get("/policies/rl_agent/"))
    assert "Learned: rl_agent v2" in page
    assert "the reward goes from -4 to -1" in page
    training = text_of(client.get("/training/"))
    assert "-25%" in training
    history = client.get("/training/?table=history&format=json").json()
    assert [(row["model"], row["version"], row["value"], row["value_before"]) for row in history] == [
        ("rl_agent", 2, 1.5, 2)
    ]
    chart = client.get("/training/charts.json").json()["charts"][f"scores-{old.pk}"]
    assert [series["name"] for series in chart["series"]] == ["rl_agent", "the placement greedy, on the same tasks"]
    assert [series["y"] for series in chart["series"]] == [[2, 1.5], [1.75, 1.75]]


def test_a_race_says_which_tasks_the_figures_below_it_leave_out(client):
    run = make_run()
    assert "leave out" not in text_of(client.get(f"/runs/{run.pk}/"))
    Run.objects.filter(pk=run.pk).update(configuration={"warmup": 0.1, "cooldown": 0.05})
    page = text_of(client.get(f"/runs/{run.pk}/"))
    assert (
        "The race counts every task; the figures below leave out the first 10% and the last 5% of the arrivals." in page
    )


def test_a_workload_page_shows_the_audit(client):
    run = make_run()
    run.workload.audit = {"dropped": {"unknown_runtime": {"count": 3, "places": [1, 2, 3]}}}
    run.workload.save()
    page = text_of(client.get(f"/workloads/{run.workload_id}/"))
    assert "tasks whose run time is not known" in page


def test_runs_of_a_study_that_wait_are_not_said_to_be_going_on(client):
    study = Study.objects.create(name="left off", definition={})
    finished = make_run()
    fields = {
        "workload": finished.workload,
        "cluster": finished.cluster,
        "policies": finished.policies,
        "rows_expected": 1,
    }
    for name, status in (("waits in its study", "queued"), ("goes on in its study", "running")):
        run = Run.objects.create(name=name, status=status, study=study, digest=name, **fields)
        SimulationState.objects.create(run=run)
    Run.objects.create(name="waits alone", status="queued", **fields)
    page = text_of(client.get("/"))
    assert "goes on in its study" in page
    assert "waits alone" in page
    assert "waits in its study" not in page
