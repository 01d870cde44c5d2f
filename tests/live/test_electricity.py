"""Runs that name series of carbon and price: what is stored, shown, exported, and played again from a manifest."""

import json
import zlib
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from apps.dashboard.runs.charts import run_charts
from apps.dashboard.runs.electricity_charts import POINTS
from apps.dashboard.schedule.task_story import task_story
from apps.live.play.configuration_words import configuration_rows
from apps.live.what_if.answer import answer
from apps.live.what_if.question import question
from apps.metrics.models import GroupMetric, Metric
from apps.results.models import Attempt, Run
from apps.studies.definition import Definition
from apps.studies.sources import InvalidStudy
from apps.tasks.errors import SeriesError
from apps.tasks.models import Series, Task, Workload
from apps.tasks.series_services import series_document, series_named, series_restore
from scheduler_sim.engine.series import StepSeries
from tests.files import written

pytestmark = pytest.mark.django_db(transaction=True)

SWF = """; MaxProcs: 4
; UnixStartTime: 1640995200
1 0 -1 3600 2 -1 -1 2 4000 -1 1 1 1 -1 1 -1 -1 -1
2 0 -1 3600 4 -1 -1 4 4000 -1 1 2 1 -1 1 -1 -1 -1
"""
MAPS = """Datetime (UTC),Country,Zone name,Carbon intensity gCO₂eq/kWh (direct),Carbon intensity gCO₂eq/kWh (Life cycle)
2022-01-01 00:00:00,NL,NL,80,100
2022-01-01 01:00:00,NL,NL,180,200
2022-01-01 02:00:00,NL,NL,30,50
"""
CLUSTER = {
    "name": "four",
    "groups": [{"name": "n", "count": 1, "cores": 4, "cpu_idle_watts": 10, "cpu_busy_watts": 25}],
}


def command(name: str, *arguments: object) -> str:
    out = StringIO()
    call_command(name, *map(str, arguments), stdout=out)
    return out.getvalue()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    written(tmp_path / "small.swf", SWF)
    written(tmp_path / "maps.csv", MAPS)
    written(tmp_path / "cluster.json", json.dumps(CLUSTER))
    return tmp_path


def play(place: Path, *arguments: object) -> Run:
    command(
        "runsimulation",
        *("--workload", place / "small.swf", "--cluster", place / "cluster.json", "--name", "run"),
        *("--verbosity", "0", *(() if "--policies" in arguments else ("--policies", "fcfs")), *arguments),
    )
    return Run.objects.get(name="run")


def imported(place: Path, *arguments: object) -> str:
    return command("importseries", place / "maps.csv", "--kind", "carbon", "--name", "maps", *arguments)


def test_a_run_keeps_its_series_by_digest_and_its_carbon_beside_the_energy(place: Path) -> None:
    said = imported(place, "--signal", "average")
    assert "3 values, one each 3,600 s" in said
    assert "Stored as maps@" in said
    run = play(place, "--series", "maps")
    assert run.configuration["series"] == Series.objects.get().reference
    total = Metric.objects.get(run=run, is_total=True)
    assert total.energy_joules == 540_000.0
    # An hour of two busy cores at 100 g/kWh, and one of four at 200; in the first hour two cores are idle.
    assert total.carbon_kg == pytest.approx((0.05 * 100 + 0.1 * 200) / 1000, rel=1e-12)
    assert total.idle_carbon_kg == pytest.approx(0.02 * 100 / 1000, rel=1e-12)
    windows = Metric.objects.filter(run=run, is_total=False)
    assert sum(one.carbon_kg or 0.0 for one in windows) == pytest.approx(total.carbon_kg, rel=1e-9)
    assert total.electricity_usd is None
    users = GroupMetric.objects.filter(run=run, grouped_by="user").order_by("name")
    told = [(one.name, one.energy_joules, one.cost_usd) for one in users]
    assert told == [("1", 180_000.0, None), ("2", 360_000.0, None)]
    assert [one.carbon_kg for one in users] == pytest.approx([0.005, 0.02])
    (caution,) = [one for one in run.cautions if one["kind"] == "carbon_signal"]
    assert "average mix" in caution["text"]
    command("verifyrun", "run", "--replay")


def test_a_manifest_brings_its_series_along(place: Path) -> None:
    imported(place)
    run = play(place, "--series", "maps", "--series-beyond", "repeat", "--write-manifest", place / "run.json")
    document: dict[str, Any] = json.loads((place / "run.json").read_text())
    assert [one["name"] for one in document["series"]] == ["maps"]
    before, checksum = Metric.objects.get(run=run, is_total=True).carbon_kg, run.checksum
    Series.objects.all().delete()
    command("runsimulation", "--manifest", place / "run.json", "--name", "again", "--verbosity", "0")
    again = Run.objects.get(name="again")
    assert (again.checksum, Metric.objects.get(run=again, is_total=True).carbon_kg) == (checksum, before)


def test_a_manifest_that_is_refused_leaves_no_series_behind(place: Path) -> None:
    imported(place)
    play(place, "--series", "maps", "--series-beyond", "repeat", "--write-manifest", place / "run.json")
    Run.objects.all().delete()
    Workload.objects.all().delete()
    Series.objects.all().delete()
    document = json.loads((place / "run.json").read_text())
    for part, value in (("configuration", {"policies": 5}), ("cluster", {}), ("workload", document["workload"])):
        written(place / "bad.json", json.dumps({**document, part: value}))
        with pytest.raises(CommandError):
            command("runsimulation", "--manifest", place / "bad.json", "--verbosity", "0")
    assert not Series.objects.exists()


def digested(document: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return the document of a series with some values changed, and the digest that belongs to them."""
    changed = {**document, **changes}
    values = zlib.decompress(Series.objects.get().packed)
    told = [changed[name] for name in ("kind", "unit", "signal", "is_dated", "begin", "end", "value_count")]
    return {**changed, "digest": sha256(repr(told).encode() + values).hexdigest()}


@pytest.mark.parametrize(
    "changes",
    [
        {"name": 5},
        {"name": "a" * 3000},
        {"name": "=1+1"},
        {"origin": "a" * 256},
        {"is_dated": "maybe"},
        {"begin": 0.0},
        {"end": 10**400},
        {"value_count": 4},
        {"unit": "kg/kWh"},
        {"signal": "perhaps"},
        {"audit": "none"},
        {"packed": "AAAA"},
    ],
    ids=str,
)
def test_what_a_manifest_tells_of_a_series_is_refused_where_it_has_no_meaning(
    place: Path, changes: dict[str, Any]
) -> None:
    imported(place)
    document = digested(series_document(Series.objects.get()), **changes)
    Series.objects.update(name="kept", digest="0" * 64)
    with pytest.raises(SeriesError):
        series_restore(document)
    assert Series.objects.count() == 1


def test_a_series_is_packed_and_read_before_others_have_to_wait(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting: list[bool] = []
    for name in ("compress", "decompressobj"):
        kept = getattr(zlib, name)

        def told(*given: Any, kept: Any = kept) -> Any:
            waiting.append(connection.in_atomic_block)
            return kept(*given)

        monkeypatch.setattr(zlib, name, told)
    imported(place)
    document = series_document(Series.objects.get())
    Series.objects.update(name="taken", digest="0" * 64)
    # The very same name is free again, and the name of another one gives way to the digest.
    assert series_restore(document).name == "maps"
    Series.objects.filter(name="maps").delete()
    Series.objects.update(name="maps")
    assert series_restore(document).name == f"maps {document['digest'][:12]}"
    assert waiting == [False] * 5


def test_a_series_is_found_by_so_much_of_its_digest_as_settles_it_and_without_its_values(
    place: Path, django_assert_num_queries: Any
) -> None:
    imported(place)
    one = Series.objects.get()
    with django_assert_num_queries(1):
        assert [found.pk for found in series_named(f"elsewhere@{one.digest[:12]}")] == [one.pk]
    assert series_named("maps")[0].get_deferred_fields() == {"packed"}
    for digest in ("", one.digest[:1], one.digest[:11], "%" * 12, one.digest + "0"):
        with pytest.raises(SeriesError, match="12 or more digits"):
            series_named(f"maps@{digest}")
    one.pk, one.name, one.digest = None, "second", one.digest[:12] + "0" * 52
    one.save(force_insert=True)
    with pytest.raises(SeriesError, match="more than one series"):
        series_named(f"maps@{one.digest[:12]}")


def test_figures_without_series_are_those_of_before(place: Path) -> None:
    run = play(place)
    total = Metric.objects.get(run=run, is_total=True)
    assert (total.carbon_kg, total.idle_carbon_kg, total.over_cap_time) == (None, None, None)
    assert not {"series", "series_zero", "series_beyond"} & set(run.configuration)


def test_what_a_series_lacks_is_refused_by_the_option_that_would_mend_it(place: Path) -> None:
    imported(place)
    with pytest.raises(CommandError, match="There is no series 'map'"):
        play(place, "--series", "map")
    with pytest.raises(CommandError, match="hold its ends, repeat it"):
        play(place, "--series", "maps", "--series-zero", "2023-01-01")
    with pytest.raises(CommandError, match="no meaning without series"):
        play(place, "--series-beyond", "hold")
    with pytest.raises(CommandError, match="not 'yesterday'"):
        play(place, "--series", "maps", "--series-zero", "yesterday")


def test_the_same_series_is_stored_once(place: Path) -> None:
    imported(place)
    assert "stored already, as maps@" in command("importseries", place / "maps.csv", "--kind", "carbon", "--name", "b")
    assert Series.objects.count() == 1
    with pytest.raises(CommandError, match="another series called 'maps'"):
        imported(place, "--value-column", "Carbon intensity gCO₂eq/kWh (direct)")
    assert "Nothing was stored" in imported(place, "--dry-run")


def test_the_charts_of_a_run_show_its_series_and_its_carbon(place: Path) -> None:
    imported(place)
    run = play(place, "--series", "maps")
    charts = run_charts(run, list(Metric.objects.leaderboard(run)))
    assert "from 100 to 200 g/kWh here, 150 on average" in charts["series-carbon"].finding
    assert [series.name for series in charts["carbon"].series] == ["busy", "idle"]
    assert "electricity" not in charts
    Series.objects.all().delete()
    kept = run_charts(run, list(Metric.objects.leaderboard(run)))
    assert "There is no series 'maps@" in kept["series"].finding
    assert "carbon" in kept


def test_a_series_that_would_repeat_too_often_takes_only_the_figures_by_it(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(place / "small.swf", SWF.replace("\n2 0 ", "\n2 1 "))
    written(place / "quick.csv", "time,carbon_intensity\n0,100\n0.001,200\n")
    command("importseries", place / "quick.csv", "--kind", "carbon", "--name", "quick")
    run = play(place, "--series", "quick", "--series-zero", "begin", "--series-beyond", "repeat")
    total = Metric.objects.get(run=run, is_total=True)
    assert (run.status, total.energy_joules, total.carbon_kg) == ("finished", 540_000.0, None)
    assert {one.carbon_kg for one in GroupMetric.objects.filter(run=run)} == {None}
    (caution,) = [one for one in run.cautions if one["kind"] == "series_unused"]
    assert "would repeat 3,600,000 times over 7,200 s" in caution["text"]
    command("verifyrun", "run", "--replay")
    asked = answer(question(run, {"policies": "sjf"}))
    assert [one["text"] for one in asked["cautions"] if one["kind"] == "series_unused"] == [caution["text"]]
    # Its chart shows means, for which no step is looked at.
    with monkeypatch.context() as without:
        without.setattr(StepSeries, "cuts", None)
        charts = run_charts(run, list(Metric.objects.leaderboard(run)))
    assert "150 on average" in charts["series-carbon"].finding
    assert len(charts["series-carbon"].series[0].y) == POINTS
    assert "carbon" not in charts
    # Nor does the page of a task tell what the run leaves out, also before the run says so.
    task = Task.objects.get(workload=run.workload, task_id=1)
    assert task_story(run, task).outcomes[0].electricity is None
    written(place / "share.csv", "time,pue\n0,1.2\n0.001,1.3\n")
    command("importseries", place / "share.csv", "--kind", "pue", "--name", "share")
    named = ",".join(one.reference for one in Series.objects.order_by("name"))
    run.cautions, run.configuration = [], {**run.configuration, "series": named}
    assert task_story(run, task).outcomes[0].electricity is None
    written(place / "small.swf", SWF.replace("\n2 0 ", "\n2 7200 "))
    Run.objects.all().delete()
    with pytest.raises(CommandError, match="take a longer one"):
        play(place, "--series", "quick", "--series-zero", "begin", "--series-beyond", "repeat")


def test_policies_that_hold_tasks_back_do_so_and_say_when_they_cannot(place: Path) -> None:
    imported(place)
    run = play(place, "--series", "maps", "--series-beyond", "hold", "--policies", "fcfs,lowest_window(delay=2)+easy")
    carbon = {one.scheduler: one.carbon_kg for one in Metric.objects.filter(run=run, is_total=True)}
    # From the third hour on 50 g/kWh: an hour of two cores, and behind it one of four.
    assert carbon == {"fcfs": pytest.approx(0.025), "lowest_window(delay=2)+easy": pytest.approx(0.15 * 50 / 1000)}
    (foreseen,) = [one for one in run.cautions if one["kind"] == "perfect_forecast"]
    assert foreseen["policies"] == ["lowest_window(delay=2)+easy"]
    assert "Perfect forecasts are assumed" in foreseen["text"]
    command("verifyrun", "run", "--replay")
    run.delete()
    bare = play(place, "--policies", "lowest_slot")
    assert {"no_carbon", "perfect_forecast"} & {one["kind"] for one in bare.cautions} == {"no_carbon"}


def test_a_run_whose_tasks_stop_while_electricity_is_dear_is_verified_and_without_a_series_is_first_served(
    place: Path,
) -> None:
    written(place / "waves.csv", "time,carbon_intensity\n0,50\n1800,300\n5400,40\n9000,300\n")
    command("importseries", place / "waves.csv", "--kind", "carbon", "--name", "waves")
    options = ("--series-zero", "begin", "--series-beyond", "hold", "--policies", "fcfs,wait_awhile(delay=2)")
    run = play(place, "--series", "waves", *options)
    attempts = Attempt.objects.filter(run=run).order_by("task__task_id", "number")
    assert {one.scheduler for one in attempts} == {"wait_awhile(delay=2)"}
    assert len(attempts) > 1
    one, other = Metric.objects.filter(run=run, is_total=True)
    assert one.energy_joules == other.energy_joules == 540_000.0
    command("verifyrun", "run", "--replay")
    run.delete()
    bare = play(place, "--policies", "wait_awhile")
    assert not Attempt.objects.filter(run=bare).exists()
    command("verifyrun", "run", "--replay")


def test_a_series_that_is_not_stored_is_refused_over_http_and_in_studies(place: Path, client: Client) -> None:
    play(place)
    client.force_login(User.objects.create_superuser("alice"))
    asked = {"workload": Run.objects.get().workload_id, "policies": ["fcfs"], "series": "nowhere"}
    answer = client.post("/api/v1/runs/", asked, content_type="application/json")
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["series"])
    study = {"name": "s", "workloads": [{"generate": "lublin", "tasks": 10}], "clusters": ["hpc-4"]}
    with pytest.raises(InvalidStudy, match="There is no series 'nowhere'"):
        Definition.from_json({**study, "policies": ["fcfs"], "series": "nowhere"})


@pytest.mark.parametrize("policy", ["lowest_window(delay=2)+easy", "carbon_threshold(delay=2,noise=0.2)"])
def test_an_instant_of_a_run_that_held_tasks_back_says_until_when(place: Path, client: Client, policy: str) -> None:
    imported(place)
    written(place / "small.swf", SWF.replace("2 0 -1", "2 1800 -1"))
    run = play(place, "--series", "maps", "--series-beyond", "hold", "--policies", policy)
    client.force_login(User.objects.create_superuser("alice"))
    document = client.get(f"/api/v1/runs/{run.pk}/at/3600/").json()
    told = {task["task_id"]: (task["verdict"], task["planned_time"], task["waits_for"]) for task in document["queue"]}
    assert told == {1: ("cleaner", 7200.0, "BeginTime"), 2: ("cleaner", 7200.0, "BeginTime")}
    assert (document["unexplained"], document["notes"]) == ("", [])
    page = client.get(f"/runs/{run.pk}/at/3600/?task=2").content.decode()
    assert "waits for cleaner electricity until 7200" in page
    assert "waits: waits for cleaner electricity" not in page
    assert "(BeginTime)" in command("squeue", "--run", run.pk, "--at", 3600)
    started = client.get(f"/api/v1/runs/{run.pk}/at/7200/").json()
    assert started["started"] == [1]
    Series.objects.all().delete()
    gone = client.get(f"/api/v1/runs/{run.pk}/at/3600/").json()
    assert gone["unexplained"].startswith(f"{policy.partition('(')[0]} goes by a series of carbon. There is no series")
    assert [task["verdict"] for task in gone["queue"]] == ["", ""]


def test_the_charts_of_a_run_that_held_tasks_back_show_its_series(place: Path, client: Client) -> None:
    imported(place)
    run = play(place, "--series", "maps", "--series-beyond", "hold", "--policies", "lowest_window(delay=2)")
    client.force_login(User.objects.create_superuser("alice"))
    assert "series-carbon" in client.get(f"/runs/{run.pk}/charts.json").content.decode()


@pytest.mark.parametrize("policy", ["fcfs", "srtf"])
def test_the_page_of_a_task_tells_its_carbon_under_every_policy(place: Path, client: Client, policy: str) -> None:
    # Under srtf the second task stops the first.
    written(place / "small.swf", SWF.replace("2 0 -1 3600 4 -1 -1 4 4000", "2 1800 -1 600 4 -1 -1 4 600"))
    imported(place)
    run = play(place, "--series", "maps", "--series-beyond", "hold", "--policies", policy)
    total = 0.0
    for number in (1, 2):
        story = task_story(run, Task.objects.get(workload=run.workload, task_id=number))
        (outcome,) = story.outcomes
        assert outcome.electricity is not None
        assert (story.emits, story.pays) == (True, False)
        total += outcome.electricity.carbon_kg or 0.0
        page = client.get(f"/runs/{run.pk}/tasks/{number}/").content.decode()
        assert " g</td>" in page or " kg</td>" in page
    assert total == pytest.approx(Metric.objects.get(run=run, is_total=True).carbon_kg, rel=1e-12)
    Series.objects.all().delete()
    story = task_story(run, Task.objects.get(workload=run.workload, task_id=1))
    assert story.outcomes[0].electricity is None


def test_series_stand_under_the_schedule_on_its_clock_with_what_is_drawn_beside_a_cap(
    place: Path, client: Client
) -> None:
    imported(place)
    written(place / "cap.csv", "time,watts\n0,90\n3600,70\n10800,70\n")
    command("importseries", place / "cap.csv", "--kind", "power_cap", "--name", "cap")
    run = play(place, "--series", "maps,cap")
    client.force_login(User.objects.create_superuser("alice"))
    drawn = client.get(f"/runs/{run.pk}/gantt.json?policy=fcfs&from=1800&to=5400").json()
    carbon, cap = drawn["strips"]
    assert (drawn["window_from"], carbon["times"], carbon["values"]) == (1800, [1800, 3600, 5400], [100, 200])
    assert carbon["finding"] == "Carbon intensity (maps): 100 to 200 g/kWh, 150 on average."
    # Two of four cores are busy in the first hour, then all.
    assert (cap["values"], cap["drawn"][0], cap["drawn"][-1]) == ([90, 70], 70, 100)
    assert (cap["drawn_times"][0], cap["drawn_times"][-1]) == (1800, 5400)
    assert len(cap["drawn"]) == len(cap["drawn_times"]) - 1
    assert "Under fcfs the devices draw 70 to 100 W" in cap["finding"]
    assert client.get(f"/runs/{run.pk}/at/gantt.json?policy=fcfs&from=0&to=3600").json()["strips"][0]["values"] == [100]
    picture = client.get(f"/runs/{run.pk}/gantt.svg").content.decode()
    assert "Carbon intensity (g/kWh), maps" in picture
    assert "Power cap (W, dashed), cap, and what is drawn" in picture
    told = client.get(f"/runs/{run.pk}/series.csv?from=0&to=7200").content.decode().splitlines()
    assert told[:3] == [
        "series,kind,unit,from,to,value",
        "maps,carbon,g/kWh,0.0,3600.0,100",
        "maps,carbon,g/kWh,3600.0,7200.0,200",
    ]
    for query in ("", "?from=nan&to=x", "?from=5&to=1", "?from=-1e300&to=1e300", "?policy=sjf"):
        answer = client.get(f"/runs/{run.pk}/series.json{query}")
        assert answer.status_code == 200
        assert all(len(one["values"]) <= 400 for one in answer.json()["strips"])
    page = client.get(f"/runs/{run.pk}/").content.decode()
    assert f'data-race-strips="/runs/{run.pk}/series.json"' in page or "charts are not installed" in page
    Series.objects.all().delete()
    assert client.get(f"/runs/{run.pk}/gantt.json").json()["strips"] == []


def test_a_run_takes_the_series_of_its_cluster_and_its_own_ones_win(place: Path) -> None:
    imported(place)
    written(place / "hot.csv", "time,temperature\n0,10\n3600,25\n7200,30\n")
    written(place / "flat.csv", "time,pue\n0,1.5\n3600,1.5\n7200,1.5\n")
    command("importseries", place / "hot.csv", "--kind", "temperature", "--name", "hot")
    command("importseries", place / "flat.csv", "--kind", "pue", "--name", "flat")
    curve = {"pue_by_temperature": [[10, 1.1], [25, 1.3], [35, 1.5]]}
    described = {**CLUSTER, "series": {"carbon": "maps", "temperature": "hot"}, **curve}
    written(place / "cluster.json", json.dumps(described))
    run = play(place, "--write-manifest", place / "run.json")
    maps, hot, flat = (Series.objects.get(name=name).reference for name in ("maps", "hot", "flat"))
    assert run.configuration["series"] == f"{maps},{hot}"
    assert run.configuration["pue_by_temperature"] == "10.0:1.1/25.0:1.3/35.0:1.5"
    total = Metric.objects.get(run=run, is_total=True)
    # An hour of two busy cores at 100 g/kWh and 10 degrees, and one of four at 200 and 25 degrees.
    assert total.carbon_kg == pytest.approx((0.05 * 100 * 1.1 + 0.1 * 200 * 1.3) / 1000, rel=1e-12)
    charts = run_charts(run, [total])
    assert "from 1.1 to 1.3" in charts["series-pue"].finding
    words = {("Series", f"{maps}, {hot}"), ("PUE by temperature", "1.1 at 10 °C, 1.3 at 25 °C, 1.5 at 35 °C")}
    assert words <= set(configuration_rows(run))
    command("verifyrun", "run", "--replay")
    Series.objects.filter(name="hot").delete()
    command("runsimulation", "--manifest", place / "run.json", "--name", "again", "--verbosity", "0")
    assert Run.objects.get(name="again").configuration == run.configuration
    Run.objects.all().delete()
    run = play(place, "--series", "flat")
    assert run.configuration["series"] == f"{flat},{maps}"
    assert not run.configuration.get("pue_by_temperature")
    assert Metric.objects.get(run=run, is_total=True).carbon_kg == pytest.approx(0.025 * 1.5, rel=1e-12)


def test_what_a_cluster_says_of_series_is_refused_where_the_run_begins(place: Path) -> None:
    imported(place)
    written(place / "hot.csv", "time,temperature\n0,10\n3600,25\n7200,30\n")
    command("importseries", place / "hot.csv", "--kind", "temperature", "--name", "hot")
    written(place / "cluster.json", json.dumps({**CLUSTER, "series": {"price": "maps"}}))
    with pytest.raises(CommandError, match="The cluster's series of price, maps, is one of carbon"):
        play(place)
    written(place / "cluster.json", json.dumps({**CLUSTER, "series": {"price": "nowhere"}}))
    with pytest.raises(CommandError, match="There is no series 'nowhere'"):
        play(place)
    written(place / "cluster.json", json.dumps({**CLUSTER, "series": {"carbon": "maps"}}))
    with pytest.raises(CommandError, match="Series hot is one of temperature: say what the PUE is by it"):
        play(place, "--series", "hot")
    with pytest.raises(CommandError, match="no meaning without a series of temperature"):
        play(place, "--pue-by-temperature", "10:1.1")
    assert not Run.objects.exists()


@pytest.mark.parametrize("policy", ["fcfs", "srtf"])
def test_exports_and_the_api_tell_the_electricity_of_each_task_as_its_page_and_the_run_do(
    place: Path, client: Client, policy: str
) -> None:
    # Under srtf the second task stops the first.
    written(place / "small.swf", SWF.replace("2 0 -1 3600 4 -1 -1 4 4000", "2 1800 -1 600 4 -1 -1 4 600"))
    imported(place)
    run = play(place, "--series", "maps", "--series-beyond", "hold", "--policies", policy)
    total = Metric.objects.get(run=run, is_total=True)

    def exported(kind: str, *more: str) -> list[dict[str, Any]]:
        told = command("exportdata", kind, "--run", "run", "--format", "jsonl", *more)
        return [json.loads(line) for line in told.splitlines()]

    rows = exported("results", "--with-electricity")
    assert [*rows[0]] == [*[*exported("results")[0]][:-1], "carbon_kg", "electricity_usd", "nodes"]
    assert sum(row["carbon_kg"] for row in rows) == pytest.approx(total.carbon_kg, rel=1e-12)
    assert {row["electricity_usd"] for row in rows} == {None}
    for row in rows:
        story = task_story(run, Task.objects.get(workload=run.workload, task_id=row["task_id"]))
        assert story.outcomes[0].electricity is not None
        assert row["carbon_kg"] == story.outcomes[0].electricity.carbon_kg
    attempts = exported("attempts", "--with-electricity")
    assert len(attempts) == (2 if policy == "srtf" else 0)
    if attempts:
        several = {row["task_id"] for row in attempts}
        of_them = sum(row["carbon_kg"] for row in rows if row["task_id"] in several)
        assert sum(row["carbon_kg"] for row in attempts) == pytest.approx(of_them, rel=1e-12)
    client.force_login(User.objects.create_superuser("alice"))
    page = client.get(f"/api/v1/results/?run={run.pk}").json()["results"]
    assert [one["carbon_kg"] for one in page] == [row["carbon_kg"] for row in rows]
    csv = command("exportdata", "results", "--run", "run", "--with-electricity").splitlines()
    assert csv[0].endswith(",carbon_kg,electricity_usd,nodes")
    command(
        "exportdata", "results", "--run", "run", "--with-electricity", "--format", "parquet", "--output", place / "r"
    )
    with pytest.raises(CommandError, match="belongs to results and attempts, not to groups"):
        command("exportdata", "groups", "--run", "run", "--with-electricity")
    Series.objects.all().delete()
    with pytest.raises(CommandError, match="Nothing is known of the electricity of run run"):
        command("exportdata", "results", "--run", "run", "--with-electricity")
    assert client.get(f"/api/v1/results/?run={run.pk}").json()["results"][0]["carbon_kg"] is None
