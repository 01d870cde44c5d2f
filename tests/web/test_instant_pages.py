"""The page of the time machine: what it shows, where it leads, what it refuses, and what it costs the database."""

import re
from html import unescape
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.dashboard.instants import follow
from apps.dashboard.instants.frames import MOST_FRAMES
from apps.dashboard.schedule import around, placements
from apps.metrics.models import Metric
from apps.results.models import Attempt, Run, SchedulerResult, Stretch
from apps.results.services import stretches_store
from apps.tasks.models import Task
from tests.web.conftest import make_run

pytestmark = pytest.mark.django_db

BOTH = "policy=fcfs&policy=sjf%2Beasy"


@pytest.fixture
def queued(run: Run) -> Run:
    """A run of five tasks of the whole pool, that come one second and start two seconds after one another."""
    keys = list(Task.objects.filter(workload=run.workload).order_by("task_id").values_list("pk", flat=True))
    Task.objects.filter(workload=run.workload).update(cpus=4, runtime=2, duration_estimate=2)
    place = np.arange(5.0)
    for scheduler in run.policies:
        for after, key in zip(place.tolist(), keys, strict=True):
            times = {"start_time": 1 + 2 * after, "finish_time": 3 + 2 * after, "wait_time": after}
            SchedulerResult.objects.filter(run=run, scheduler=scheduler, task_id=key).update(**times)
        task_keys, finish = np.array(keys, np.int64), 3 + 2 * place
        stretches_store(run=run, scheduler=scheduler, task_keys=task_keys, arrival=1 + place, finish=finish)
    return run


def text_of(response: Any) -> str:
    return " ".join(unescape(re.sub("<[^>]+>", " ", str(response.content, "utf-8"))).split())


def shown(client: Client, address: str, status: int = 200) -> str:
    response = client.get(address)
    assert response.status_code == status, address
    return str(response.content, "utf-8")


def test_the_page_says_what_waits_for_what_and_what_runs_until_when(client: Client, queued: Run) -> None:
    response = client.get(f"/runs/{queued.pk}/at/3/?policy=sjf%2Beasy")
    page = text_of(response)
    assert "At 3 s on the workload's clock" in page
    assert "Waiting 1 Running 1 Free cores 0 of 4 Head of the queue task 3 Reserved for it from 5 s" in page
    assert "3 4 Resources needs more than the 0 processors that are free 5 s 0 s 2 Follow" in page
    assert "2 4 node0 3 s 5 s 5 s Follow" in page
    html = str(response.content, "utf-8")
    assert f'href="/runs/{queued.pk}/at/2/?policy=sjf%2Beasy" rel="prev"' in html
    assert f'href="/runs/{queued.pk}/at/4/?policy=sjf%2Beasy" rel="next"' in html
    assert f'href="/runs/{queued.pk}/tasks/3/?at=3&amp;policy=sjf%2Beasy"' in html


def test_links_lead_through_every_event_of_both_policies_and_back(client: Client, queued: Run) -> None:
    def walked(begin: str, way: str) -> list[float]:
        times, address = [], f"/runs/{queued.pk}/at/{begin}/?{BOTH}"
        while True:
            page = shown(client, address)
            times.append(float(address.split("/")[4]))
            found = re.search(rf'href="([^"]+)" rel="{way}"', page)
            if found is None:
                return times
            address = unescape(found[1])
            assert address.endswith(BOTH)

    events = [1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 9.0, 11.0]
    assert walked("-1", "next") == [-1.0, *events]
    assert walked("1e300", "prev") == [1e300, *reversed(events)]


def test_a_task_leads_back_to_the_instant_and_to_its_arrival_and_start(client: Client, queued: Run) -> None:
    page = shown(client, f"/runs/{queued.pk}/tasks/3/?at=3.5&{BOTH}&window=9&task=2")
    (back,) = map(unescape, re.findall(r'href="([^"]+)">Back to the instant', page))
    assert back == f"/runs/{queued.pk}/at/3.5/?{BOTH}&window=9&task=2"
    assert shown(client, back)
    leads = set(map(unescape, re.findall(r'href="([^"]+)">(?:arrival|start)<', page)))
    assert leads == {
        f"/runs/{queued.pk}/at/{time}/?policy={policy}&window=9&task=3"
        for time in (3, 5)
        for policy in ("fcfs", "sjf%2Beasy")
    }
    assert "Back to the instant" not in shown(client, f"/runs/{queued.pk}/tasks/3/?at=nan")


def test_without_an_instant_the_page_goes_to_where_most_tasks_waited(client: Client, queued: Run) -> None:
    assert client.get(f"/runs/{queued.pk}/at/").headers["Location"] == f"/runs/{queued.pk}/at/1/?policy=fcfs"
    for low, high, waiting in ((1, 5, 0.5), (5, 9, 2.0), (9, 11, 0.0)):
        Metric.objects.create(
            run=queued,
            scheduler="fcfs",
            window_start_time=low,
            window_end_time=high,
            mean_queue_length=waiting,
            **dict.fromkeys(("arrived_count", "started_count", "finished_count"), 1),
        )
    assert client.get(f"/runs/{queued.pk}/at/").headers["Location"] == f"/runs/{queued.pk}/at/7/?policy=fcfs"
    chosen = client.get(f"/runs/{queued.pk}/at/?time=2.5&policy=sjf%2Beasy&policy=&task=4")
    assert chosen.headers["Location"] == f"/runs/{queued.pk}/at/2.5/?policy=sjf%2Beasy&task=4"
    assert f'href="/runs/{queued.pk}/at/"' in shown(client, f"/runs/{queued.pk}/")


@pytest.mark.parametrize("time", ["nan", "inf", "-inf", "1e400", "two", "0x10", "١"])
def test_what_is_no_instant_is_refused_in_a_sentence(client: Client, run: Run, time: str) -> None:
    expected = 200 if time == "١" else 400
    page = shown(client, f"/runs/{run.pk}/at/{time}/", expected)
    if expected == 400:
        assert "The instant is a number of seconds on the workload's clock." in unescape(page)
    assert client.get(f"/runs/{run.pk}/at/", {"time": time}).status_code in (302, 400)


@pytest.mark.parametrize(
    "query", ["window=nan", "window=-5", "window=1e400", "task=-1", "task=1e9", "first=1e9", "first=99999999999999"]
)
def test_what_else_an_address_may_hold_is_left_out_where_it_means_nothing(client: Client, run: Run, query: str) -> None:
    for address in (
        f"/runs/{run.pk}/at/2/?{query}",
        f"/runs/{run.pk}/at/-1/?{query}",
        f"/runs/{run.pk}/at/1e308/?{query}",
    ):
        assert "Time machine" in shown(client, address)


def test_a_policy_that_the_run_does_not_play_and_runs_without_placements_say_so(client: Client, run: Run) -> None:
    page = unescape(shown(client, f"/runs/{run.pk}/at/2/?policy=lifo", 400))
    assert "does not play lifo; it plays fcfs, sjf+easy." in page
    kept = make_run(name="figures only", configuration={"policies": ["fcfs"], "keep": "summary"}, policies=("fcfs",))
    stopped = make_run(name="cut short", status=Run.Status.STOPPED)
    before = make_run(name="from before")
    Stretch.objects.filter(run=before).delete()
    for one, why in (
        (kept, "keeps its figures only; without placements nothing is known of an instant."),
        (stopped, "is stopped: of tasks that have not finished nothing is stored"),
        (before, f"`manage.py squeue --run {before.pk} --index` makes up for it once."),
    ):
        assert why in unescape(shown(client, f"/runs/{one.pk}/at/2/", 409))
    assert client.get("/runs/999/at/2/").status_code == 404


def test_the_page_needs_somebody_who_may_read(client: Client, run: Run, settings: Any, user: Any) -> None:
    settings.API_READ_PUBLIC = False
    for rest in ("", "2/", "frames.json?from=2", "gantt.json?from=1&to=3"):
        address = f"/runs/{run.pk}/at/{rest}"
        assert client.get(address).headers["Location"].startswith("/accounts/login/")
    client.force_login(user)
    assert shown(client, f"/runs/{run.pk}/at/2/")
    assert client.post(f"/runs/{run.pk}/at/2/").status_code == 405


def test_frames_go_from_event_to_event_or_evenly_and_end_with_the_run(client: Client, queued: Run) -> None:
    def told(query: str) -> list[Any]:
        found: list[Any] = client.get(f"/runs/{queued.pk}/at/frames.json?{BOTH}&{query}").json()["frames"]
        return found

    events = told("from=-2&count=50")
    assert [one["time"] for one in events] == [-2, 1, 2, 3, 4, 5, 7, 9, 11]
    assert [one["next_time"] for one in events] == [1, 2, 3, 4, 5, 7, 9, 11, None]
    assert [[part["policy"] for part in one["panels"]] for one in events] == [["fcfs", "sjf+easy"]] * 9
    head = events[3]["panels"][1]
    assert (head["head"], head["shadow_time"], head["plans"]) == (3, 5.0, [[3, 4.0, 5.0, 7.0]])
    assert [(row["task"], row["follow"]) for row in head["queue"]["rows"]] == [
        (3, f"/runs/{queued.pk}/at/3/?{BOTH}&task=3")
    ]
    # The stored figures end at 6.
    assert [one["time"] for one in told("from=1&step=2&count=50")] == [1, 3, 5, 6]
    assert len(told("from=1&step=1e-9&count=50")) == MOST_FRAMES
    assert len(told("from=1&step=nan&count=-1")) == 1


def test_a_document_holds_fewer_frames_once_many_tasks_are_read(
    client: Client, queued: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Five tasks are read once a policy, and looked at once a frame and policy.
    for most, count in ((0, 1), (20, 2), (39, 3), (40, 4)):
        monkeypatch.setattr("apps.dashboard.instants.frames.MOST_READ", most)
        found = client.get(f"/runs/{queued.pk}/at/frames.json?{BOTH}&from=2&count=12").json()["frames"]
        assert [one["time"] for one in found] == [2, 3, 4, 5][:count]


@pytest.mark.parametrize("query", ["", "from=nan", "from=1e400", "from=1&policy=lifo"])
def test_frames_of_nothing_are_refused(client: Client, run: Run, query: str) -> None:
    assert client.get(f"/runs/{run.pk}/at/frames.json?{query}").status_code == 400


def test_the_gantt_chart_holds_the_window_that_is_asked_for_also_where_a_long_run_is_read_in_parts(
    client: Client, queued: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawn(query: str = "") -> Any:
        return client.get(f"/runs/{queued.pk}/at/gantt.json?policy=fcfs&from=2&to=6&{query}").json()

    whole = drawn()
    assert (whole["window_from"], whole["window_to"], whole["first"], whole["last"]) == (2, 6, 1, 6)
    assert [item[5] for item in whole["items"]] == [1, 2, 3]
    monkeypatch.setattr(around, "WHOLE", 0)
    assert drawn() == whole
    assert client.get(f"/runs/{queued.pk}/at/gantt.csv?from=nan&to=x&colour=nothing").status_code == 200
    assert client.get(f"/runs/{queued.pk}/at/gantt.json?policy=lifo").status_code == 400


def test_the_gantt_chart_of_a_part_of_a_long_run_names_tasks_in_every_query_however_many(
    client: Client, queued: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"/runs/{queued.pk}/at/gantt.json?policy=fcfs&from=2&to=6"
    SchedulerResult.objects.filter(run=queued, scheduler="fcfs", start_time=3).update(outcome="failed")
    key = queued.results.get(scheduler="fcfs", start_time=5).task_id
    for number, start, end in ((1, 5, 5.5), (2, 5.5, 7)):
        Attempt.objects.create(
            run=queued, scheduler="fcfs", task_id=key, number=number, start_time=start, end_time=end, node=0, device=-1,
            cpus=4, gpus=0, reason="requeued" if number == 1 else "",
        )  # fmt: skip
    whole = client.get(address).json()
    assert [item[5] for item in whole["items"]] == [1, 2, 3, 3]
    monkeypatch.setattr(around, "WHOLE", 0)
    monkeypatch.setattr(placements, "NAMED_AT_ONCE", 1)
    monkeypatch.setattr("apps.tasks.managers._KEYS_AT_ONCE", 2)
    with CaptureQueriesContext(connection) as found:
        assert client.get(address).json() == whole
    tables = [f'FROM "{model._meta.db_table}"' for model in (Attempt, SchedulerResult)]
    for table in tables:
        read = [one["sql"] for one in found.captured_queries if table in one["sql"].partition(" WHERE ")[0]]
        assert len(read) >= 3, "a page of two tasks each"
        # Keys that lie close together are sought by their range; whether there is any attempt is asked of the run.
        read = [sql for sql in read if not sql.startswith("SELECT 1 ")]
        assert all('"task_id" IN (' in sql or '"task_id" >= ' in sql for sql in read), read


def queries_of(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as found:
        shown(client, address)
    return len(found)


def test_the_page_costs_as_many_queries_however_many_tasks_there_are(client: Client) -> None:
    addresses = [f"/runs/{make_run(tasks, name=f'of {tasks}').pk}/at/4.5/?{BOTH}" for tasks in (5, 60)]
    few, many = (queries_of(client, address) for address in addresses)
    assert few == many <= 20


def test_a_task_is_followed_from_its_arrival_through_every_decision_to_its_start(
    client: Client, queued: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"/runs/{queued.pk}/at/3/?policy=fcfs&task=4"
    page = text_of(client.get(address))
    assert "fcfs : ready at 4 s , starts at 7 s , ends at 9 s . From arrival to start: 3 decisions" in page
    assert (
        "4 s : waits behind the head, which nothing may pass 5 s : needs more than the 0 processors that are free "
        "7 s : starts"
    ) in page
    monkeypatch.setattr(follow, "LINES", 2)
    first = shown(client, address)
    (further,) = map(unescape, re.findall(r'href="([^"]+)" rel="next">Further', first))
    assert "Earlier decisions" not in first
    rest = text_of(client.get(further))
    assert "7 s : starts Earlier decisions" in rest
    assert "5 s : needs" not in rest
    assert "7 s : starts" in text_of(client.get(f"{address}&decision=999999"))
    nobody = text_of(client.get(f"/runs/{queued.pk}/at/3/?policy=fcfs&task=77"))
    assert "No policy that is shown has placed a task of this number." in nobody


def test_it_says_what_the_followed_task_does_at_every_instant_that_is_played(client: Client, queued: Run) -> None:
    asked = f"/runs/{queued.pk}/at/frames.json?policy=fcfs&task=3&from=1&count=12"
    found = client.get(asked).json()["frames"]
    assert {frame["time"]: frame["panels"][0]["followed"] for frame in found} == {
        1.0: "has not arrived",
        2.0: "has not arrived",
        3.0: "waits: needs more than the 0 processors that are free",
        4.0: "waits: needs more than the 0 processors that are free",
        5.0: "runs on node0",
        7.0: "has ended",
        9.0: "has ended",
        11.0: "has ended",
    }
    page = shown(client, f"/runs/{queued.pk}/at/5/?policy=fcfs&task=3")
    assert "it <span data-stands>runs on node0</span>" in page
    assert client.get(asked.replace("&task=3", "")).json()["frames"][0]["panels"][0]["followed"] == ""


def test_lists_are_turned_forth_and_back_each_by_itself(
    client: Client, queued: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.dashboard.instants.panel.ROWS", 1)
    address = f"/runs/{queued.pk}/at/4/?policy=fcfs"
    page = shown(client, address)
    assert "Earlier ones" not in page
    (further,) = map(unescape, re.findall(r'href="([^"]+)">Further ones', page))
    second = shown(client, further)
    assert "1 of 2, after 1." in text_of(client.get(further))
    (earlier,) = map(unescape, re.findall(r'href="([^"]+)">Earlier ones', second))
    assert earlier == address
    assert "Further ones" not in second
    played = further.replace("/at/4/?", "/at/frames.json?from=4&count=2&")
    now, later = (frame["panels"][0] for frame in client.get(played).json()["frames"])
    assert [row["task"] for row in now["queue"]["rows"]] == [4]
    assert (now["running"]["first"], len(now["running"]["rows"])) == (0, 1)
    assert [row["task"] for row in later["queue"]["rows"]] == [5]
    # Of a list that is shorter the last page is shown.
    assert "1 of 2, after 1." in text_of(client.get(f"{address}&first=99&running=99"))


def test_frames_of_one_stretch_cost_no_more_queries_than_one(client: Client) -> None:
    address = f"/runs/{make_run(60).pk}/at/frames.json?{BOTH}&from=2&count="
    one, many = (queries_of(client, f"{address}{count}") for count in (1, 12))
    assert one == many
