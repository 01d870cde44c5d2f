"""Tasks whose width changes, from the file that describes them to what is stored of them and computed again."""

import csv
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from apps.dashboard.schedule.placements import placements, spans
from apps.live.checking.integrity import run_check
from apps.live.wire.replay import Film
from apps.results.models import Run
from apps.tasks.models import Workload
from tests.workloads import assert_same

pytestmark = pytest.mark.django_db(transaction=True)

TABLE = """arrival_time,runtime,gpus,elasticity,least_width,most_width,speedup,resize_time
0,12,2,malleable,1,4,amdahl(0.5),1
6,10,2,malleable,,4,amdahl(0.5),1
7,5,1,moldable,1,2,table(1:1/2:1.5),
90,5,1,evolving,3,2,fast,
"""
CONTRADICTING = """arrival_time,runtime,gpus,cpus,elasticity,least_width,most_width
0,12,2,1,malleable,3,4
1,12,8,1,moldable,1,4
2,12,0,4,malleable,1,2
3,12,4,1,malleable,4,4
4,12,4,1,rigid,5,6
"""
RATES = """arrival_time,runtime,gpus,elasticity,least_width,most_width,resize_time,group,size,rate_on_v100,rate_on_k80
0,12,2,malleable,1,4,1,wide,48,4,1
6,10,2,malleable,1,4,1,narrow,40,4,3.5
7,5,1,moldable,1,2,1,wide_alone,20,4,1
"""
KINDS = """name: kinds
groups:
- {name: new, count: 1, cores: 8, gpus: 2, gpu_type: v100}
- {name: old, count: 2, cores: 8, gpus: 2, gpu_type: k80}
"""
CLUSTER = "name: four\ngroups:\n- {name: gpu, count: 1, cores: 4, gpus: 4}\n"


@pytest.fixture
def stored(tmp_path: Path) -> Workload:
    (tmp_path / "tasks.csv").write_text(TABLE)
    (tmp_path / "four.yaml").write_text(CLUSTER)
    call_command("importworkload", str(tmp_path / "tasks.csv"), "--name", "elastic", stdout=StringIO())
    return Workload.objects.get(name="elastic")


def test_what_means_nothing_is_taken_as_not_stated_and_counted(stored: Workload) -> None:
    requests = stored.tasks.as_workload().requests
    assert requests is not None
    assert requests.elasticity.texts().tolist() == ["malleable", "malleable", "moldable", ""]
    assert requests.most_width.tolist() == [4, 4, 2, 0]
    assert requests.speedup.texts().tolist()[2:] == ["table(1:1/2:1.5)", ""]
    assert stored.audit["repaired"]["unusable_value"]["count"] == 2
    assert stored.audit["repaired"]["most_width_below_least_width"]["count"] == 1
    assert stored.audit["requests"]["elasticity"] == 3


def test_widths_that_contradict_what_is_asked_for_are_counted_as_repairs(tmp_path: Path) -> None:
    (tmp_path / "tasks.csv").write_text(CONTRADICTING)
    call_command("importworkload", str(tmp_path / "tasks.csv"), "--name", "contradicting", stdout=StringIO())
    stored = Workload.objects.get(name="contradicting")
    requests, repaired = stored.tasks.as_workload().requests, stored.audit["repaired"]
    assert requests is not None
    assert requests.least_width.tolist() == [2, 1, 1, 4, 5]
    assert requests.most_width.tolist() == [4, 8, 4, 4, 6]
    assert repaired["least_width_above_request"]["count"] == 1
    assert repaired["most_width_below_request"]["count"] == 2


def test_an_export_is_the_same_workload_again(stored: Workload, tmp_path: Path) -> None:
    call_command("exportdata", "tasks", "--workload", "elastic", "--output", str(tmp_path / "again.csv"))
    call_command("importworkload", str(tmp_path / "again.csv"), "--name", "again", stdout=StringIO())
    again = Workload.objects.get(name="again")
    assert_same(again.tasks.as_workload(), stored.tasks.as_workload())


def test_the_race_and_the_page_of_a_task_show_widths(stored: Workload, tmp_path: Path, client: Client) -> None:
    call_command(
        *("runsimulation", "--workload", "elastic", "--cluster", str(tmp_path / "four.yaml"), "--name", "shown"),
        *("--policies", "fcfs,equal_share"),
        verbosity=0,
        stdout=StringIO(),
    )
    run = Run.objects.get(name="shown")
    told = list(run.attempts.filter(scheduler="equal_share").values_list("start_time", "end_time", "gpus"))
    film = Film(run)
    for instant in (3.0, 8.0, 11.0):
        rigid, elastic = film.at(instant, 1.0)["policies"]
        running = [gpus for start, end, gpus in told if start <= instant < end]
        assert elastic["mean_width"] == pytest.approx(sum(running) / len(running))
        busy = sum(gpus * (min(end, instant) - start) for start, end, gpus in told if start <= instant)
        assert elastic["gpu_utilisation"] == pytest.approx(busy / (4 * instant))
        assert rigid["mean_width"] is None
    assert "Mean width" in client.get(f"/runs/{run.pk}/").content.decode()
    # At 8 s the first two hold two of four GPUs each, and the third has come.
    at = f"/runs/{run.pk}/at/8/"
    page = client.get(at, {"policy": "equal_share"}).content.decode()
    assert "Asked for" in page
    frame = client.get(f"/api/v1{at}", {"policy": "equal_share"}).json()
    held = {task["task_id"]: task["held_gpus"] for task in frame["running"]}
    assert held == {
        task: gpus
        for task, gpus, start, end in run.attempts.filter(scheduler="equal_share").values_list(
            "task__task_id", "gpus", "start_time", "end_time"
        )
        if start <= 8 < end
    }
    assert frame["free_gpus"] == 4 - sum(held.values())
    page = client.get(f"/runs/{run.pk}/tasks/1/").content.decode()
    assert "further attempts are left out" not in page
    widths = page[page.index('id="widths"') :]
    first = run.workload.first_arrival_time
    begins = run.attempts.filter(scheduler="equal_share", task__task_id=1).order_by("number").values_list("start_time")
    assert f'<td class="number">{begins[0][0] - first:,.10g} s</td>' in widths
    assert [found in widths for found in ("GPUs held", "resized", "finished", "equal_share")] == [True] * 4
    rows = client.get(f"/runs/{run.pk}/tasks/1/?table=widths&format=json").json()
    assert [row["from"] for row in rows] == [f"{begin - first:,.10g} s" for (begin,) in begins]
    call_command(
        *("runsimulation", "--workload", "elastic", "--cluster", str(tmp_path / "four.yaml"), "--name", "rigid"),
        *("--policies", "fcfs"),
        verbosity=0,
        stdout=StringIO(),
    )
    rigid_run = Run.objects.get(name="rigid")
    assert 'id="widths"' not in client.get(f"/runs/{rigid_run.pk}/tasks/1/").content.decode()
    assert "Mean width" not in client.get(f"/runs/{rigid_run.pk}/").content.decode()


def test_widths_are_stored_as_attempts_and_everything_is_found_again(stored: Workload, tmp_path: Path) -> None:
    call_command(
        *("runsimulation", "--workload", "elastic", "--cluster", str(tmp_path / "four.yaml"), "--name", "widths"),
        *("--policies", "equal_share,expand_shrink,pollux,sia(round=5)"),
        verbosity=0,
        stdout=StringIO(),
    )
    run = Run.objects.get(name="widths")
    told = run.attempts.filter(scheduler="equal_share").order_by("task__task_id", "number")
    assert list(told.values_list("number", "gpus", "reason"))[:2] == [(1, 4.0, "resized"), (2, 2.0, "finished")]
    assert told.filter(task__task_id=4).count() == 1
    drawn = spans(run, "equal_share", placements(run, "equal_share"))
    assert sorted(drawn.gpus[drawn.number == 1].tolist()) == [2.0, 4.0]
    found = run_check(run=run, replay=True)
    assert (found.faults, found.notes) == ((), ())
    call_command("exportdata", "attempts", "--run", "widths", "--output", str(tmp_path / "attempts.csv"))
    assert len((tmp_path / "attempts.csv").read_text().splitlines()) == run.attempts.count() + 1


def as_parquet(path: Path, columns: Mapping[str, Any]) -> Path:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table(columns), path)
    return path


def test_widths_and_rates_from_parquet_are_those_from_csv_to_the_end_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "rates.csv").write_text(RATES)
    (tmp_path / "kinds.yaml").write_text(KINDS)
    rows = list(csv.DictReader(RATES.splitlines()))
    texts = {"elasticity", "group"}
    columns = {name: [row[name] if name in texts else float(row[name]) for row in rows] for name in rows[0]}
    as_parquet(tmp_path / "rates.parquet", columns)
    ends = []
    for form in ("csv", "parquet"):
        call_command("importworkload", str(tmp_path / f"rates.{form}"), "--name", form, stdout=StringIO())
        call_command(
            *("runsimulation", "--workload", form, "--cluster", str(tmp_path / "kinds.yaml"), "--name", f"of {form}"),
            *("--policies", "fcfs,sia(round=2)"),
            verbosity=0,
            stdout=StringIO(),
        )
        run = Run.objects.get(name=f"of {form}")
        found = run_check(run=run, replay=True)
        assert (found.faults, found.notes) == ((), ())
        told = run.attempts.filter(scheduler="sia(round=2)").order_by("task__task_id", "number")
        ends.append(
            list(told.values_list("task__task_id", "number", "node", "gpus", "start_time", "end_time", "reason"))
        )
    assert_same(*(Workload.objects.get(name=form).tasks.as_workload() for form in ("csv", "parquet")))
    assert ends[0] == ends[1]
    assert {node for _, _, node, *_ in ends[0]} > {0}, "Both kinds are used."
    again = tmp_path / "again.parquet"
    call_command("exportdata", "tasks", "--workload", "parquet", "--output", str(again))
    call_command("importworkload", str(again), "--name", "again", stdout=StringIO())
    assert_same(*(Workload.objects.get(name=name).tasks.as_workload() for name in ("again", "csv")))


def test_widths_of_parquet_that_mean_nothing_are_counted(tmp_path: Path) -> None:
    columns = {
        "arrival_time": [0.0, 1.0],
        "runtime": [10.0, 10.0],
        "gpus": [2, 2],
        "elasticity": ["evolving", "malleable"],
        "least_width": [1, 3],
        "most_width": [None, 4],
        "speedup": ["fast", None],
    }
    as_parquet(tmp_path / "odd.parquet", columns)
    call_command("importworkload", str(tmp_path / "odd.parquet"), "--name", "odd", stdout=StringIO())
    stored = Workload.objects.get(name="odd")
    assert stored.audit["repaired"]["unusable_value"]["count"] == 2
    assert stored.audit["repaired"]["least_width_above_request"]["count"] == 1
    assert stored.audit["requests"]["elasticity"] == 1
